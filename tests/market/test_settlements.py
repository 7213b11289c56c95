"""Settlements of binary contracts as facts: 0 or 1, known after their own session, and bars between 0 and 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.contracts import ACTION_VERSIONS, DELIVERED_ACTIONS, conform, validate
from nn_assets.errors import SchemaError, SourceError
from nn_assets.market.calendar.sessions import assumed_known_at
from nn_assets.market.facts.actions import actions_as_of, new_action_versions, with_action_moments
from nn_assets.market.quality.cleaning import clean
from nn_assets.settings import CleaningSettings
from nn_assets.sources.tables.actions_file import ActionsFile
from tests.market.builders import sound_bars

DAY, LATER = pd.Timestamp("2016-05-04"), pd.Timestamp("2016-06-01 12:00", tz="UTC")


def delivered(value: float = 1.0, kind: str = "settlement", **more: object) -> pd.DataFrame:
    frame = pd.DataFrame({"symbol": ["CUT"], "ex_session": [DAY], "kind": [kind], "value": [value], "source": ["s"]})
    return conform(frame, DELIVERED_ACTIONS).assign(**more)


@pytest.mark.parametrize("value", [1.0, 0.0, np.nan])
def test_a_settlement_pays_one_or_nothing_or_is_withdrawn(value: float) -> None:
    validate(delivered(value), DELIVERED_ACTIONS)


@pytest.mark.parametrize("value", [0.5, 2.0, 100.0])
def test_any_other_value_is_refused(value: float, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="value 0 or 1 of a settlement"):
        validate(delivered(value), DELIVERED_ACTIONS)
    file = tmp_path / "actions.csv"
    file.write_text(f"symbol,ex_session,kind,value\nCUT,2016-05-04,settlement,{value:g}\n")
    with pytest.raises(SourceError, match="settles_at_one_or_zero"):
        ActionsFile(file).actions()


def test_one_in_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "actions.csv"
    file.write_text("symbol,ex_session,kind,value\nCUT,2016-05-04,settlement,0\nHOLD,2016-05-04,settlement,1\n")
    assert ActionsFile(file).actions()[["symbol", "kind", "value"]].to_numpy().tolist() == [
        ["CUT", "settlement", 0.0],
        ["HOLD", "settlement", 1.0],
    ]


@pytest.mark.parametrize(("day", "session"), [("2016-05-04", "2016-05-04"), ("2016-05-07", "2016-05-09")])
def test_delivered_in_bulk_it_is_known_after_its_own_close_and_not_the_evening_before(day: str, session: str) -> None:
    made = with_action_moments(delivered().assign(ex_session=pd.Timestamp(day)), "XNYS", 30, LATER)
    assert made["known_at"].tolist() == list(assumed_known_at("XNYS", [pd.Timestamp(session)], 30))
    assert actions_as_of(made, made["known_at"].iloc[0] - pd.Timedelta(minutes=1)).empty


def test_one_restated_is_known_otherwise_only_from_then_on() -> None:
    first = with_action_moments(delivered(1.0), "XNYS", 30, LATER)
    second = with_action_moments(delivered(0.0), "XNYS", 30, LATER + pd.Timedelta(days=2), decided_to=DAY)
    fresh, count = new_action_versions(first, second)
    both = conform(pd.concat([first, fresh]), ACTION_VERSIONS)
    assert count.revised == 1
    assert actions_as_of(both, LATER)["value"].tolist() == [1.0]
    assert actions_as_of(both, LATER + pd.Timedelta(days=2))["value"].tolist() == [0.0]


PRICES = (0.40, 0.41, 0.40, 0.42, 0.01, 0.012, 0.98, 0.99, 0.011, 0.0109, 0.5, 0.97)


def contract_bars(last: float = 0.97) -> pd.DataFrame:
    bars = sound_bars(count=40)
    close = np.concatenate([0.4 + 0.01 * (np.arange(40 - len(PRICES)) % 7), [*PRICES[:-1], last]])
    return bars.assign(open=close, close=close, high=np.maximum(np.minimum(close * 1.02, 1.0), close), low=close * 0.5)


def test_prices_near_nothing_and_near_one_are_no_errors_of_unit_nor_bad_prints() -> None:
    binary = clean(contract_bars(), "XNYS", CleaningSettings(binary_prices=True))
    assert binary.quarantine.empty
    assert binary.notices == ()
    as_shares = clean(contract_bars(), "XNYS", CleaningSettings())
    assert {"unit_error_100x", "isolated_wick"} & set(as_shares.quarantine["rule"])  # what they are of a share


def test_a_price_above_one_is_taken_out() -> None:
    binary = clean(contract_bars(last=1.02), "XNYS", CleaningSettings(binary_prices=True))
    assert binary.quarantine["rule"].tolist() == ["impossible_size"]
    assert "of binary contracts to 1" in binary.quarantine["message"].iloc[0]
