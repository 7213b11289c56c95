"""A round anchors the head of the chain outside; where it cannot, the first line says so, and the round stands."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nn_assets.cli.ledger import verify_audit
from nn_assets.errors import AuditError
from nn_assets.operations import days
from nn_assets.operations.days import play_days
from nn_assets.operations.history import open_history
from nn_assets.operations.situation import headline_now
from tests.operations.test_as_known import strategy


def first_line() -> str:
    with open_history(strategy()) as history:
        return str(headline_now(history))


def test_a_round_anchors_the_head_and_one_that_cannot_is_told_and_not_lost(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "elsewhere" / "anchor.txt"
    monkeypatch.setenv("NN_ASSETS_ANCHOR", str(file))
    with open_history(strategy()) as history:  # the folder is not there: a disk that is not mounted
        (day,) = history.decision_moments.index[-1:]
        ((decided, _),) = play_days(history, [day], "again", logging.getLogger("test"))
        assert decided.already_decided
        assert not decided.differs
        assert f"the anchor {file} is not there" in str(headline_now(history))
    assert not file.exists()
    assert "not anchored" in (own_home / "alerts.jsonl").read_text()
    file.parent.mkdir()
    with open_history(strategy()) as history:
        days._anchor(history, day, "again", logging.getLogger("test"))  # as a round ends
    assert "anchor" not in first_line()
    written = file.read_text().splitlines()
    assert len(written) == 1
    verified = verify_audit()
    assert verified["ok"]
    assert f"it holds all 1 heads anchored in {file}" in verified["text"]
    other = written[0][:-4] + "beef"
    file.write_text(f"{other}\n")
    verified = verify_audit()
    assert not verified["ok"]
    assert "ledger rewritten" in verified["findings"][0]
    line = first_line()
    assert " HALTED: " in line
    assert "ledger rewritten" in line
    with open_history(strategy()) as history, pytest.raises(AuditError, match="ledger rewritten"):
        next(play_days(history, [day], "again", logging.getLogger("test")))
