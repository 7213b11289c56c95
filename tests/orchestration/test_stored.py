"""Which sessions were decided, and versions read once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nn_assets.errors import PublicationError
from nn_assets.operations.asof.stored import decided_sessions, last_decided_session, read_once
from nn_assets.store.lake.lake import Lake
from nn_assets.store.ledger.ledger import Ledger

DECISION = dict.fromkeys(("data_hash", "model_id", "code_version", "settings_hash", "content_hash"), "-")


def test_the_last_session_decided_is_that_of_the_strategy_whatever_the_order_of_recording(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger:
        assert last_decided_session(ledger, "mine") is None
        for strategy, day in (("mine", "2018-01-04"), ("mine", "2018-01-03"), ("yours", "2018-01-05")):
            row = {"session": pd.Timestamp(day), **DECISION, "details": {}}
            ledger.append("decisions", [row], run_id="run", strategy=strategy)
        assert last_decided_session(ledger, "mine") == pd.Timestamp("2018-01-04")
        assert decided_sessions(ledger, "mine") == [pd.Timestamp("2018-01-03"), pd.Timestamp("2018-01-04")]


def test_versions_are_those_of_the_segments_named_and_are_read_once(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    with pytest.raises(PublicationError, match="a segment of told"):
        read_once(lake, "mine", "told", lake.segments("mine", "told"))
    frames = [pd.DataFrame({"value": [float(place), 0.5]}) for place in range(3)]
    for frame in frames[:2]:
        lake.append_segment("mine", "told", frame)
    before = lake.segments("mine", "told")
    found = read_once(lake, "mine", "told", before)
    pd.testing.assert_frame_equal(found, pd.concat(frames[:2], ignore_index=True))
    lake.append_segment("mine", "told", frames[2])
    assert read_once(lake, "mine", "told", before) is found
    pd.testing.assert_frame_equal(
        read_once(lake, "mine", "told", lake.segments("mine", "told")), lake.read_segments("mine", "told")
    )
    lake.append_segment("mine", "other", frames[2])
    assert len(read_once(lake, "mine", "other", lake.segments("mine", "other"))) == 2
