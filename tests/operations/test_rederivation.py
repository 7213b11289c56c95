"""What arrives for a session that was derived again before has it derived again, whichever kind of fact it is."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nn_assets.operations.decisions import rederivation
from nn_assets.operations.decisions.rederivation import Rederived, rederive_decisions
from nn_assets.operations.history import History, open_history
from tests.operations.test_as_known import strategy

DAY = pd.Timestamp("2016-08-25")  # the fourth of the eight that are decided
KINDS = {
    "raw_versions": "session",
    "action_versions": "ex_session",
    "series_versions": "session",
    "membership_versions": "member_from",
}


def rederived(monkeypatch: pytest.MonkeyPatch, **arrived: pd.DataFrame) -> tuple[Rederived, list[str]]:
    """Ask, with facts in place of those stored; and the sessions that were looked at, which are not played here."""
    looked_at = list[str]()

    def looked(history: History, after: pd.Timestamp | None = None) -> tuple[int, list[str]]:
        moments = history.decision_moments.index
        looked_at.extend(str(day.date()) for day in moments if after is None or day > after)
        return len(looked_at), []

    monkeypatch.setattr(rederivation, "decisions_repeat_in_replay", looked)
    with open_history(strategy()) as history:
        vars(history).update(arrived)  # what it would read once from the stores
        return rederive_decisions(history, "test"), looked_at


def test_every_kind_of_fact_that_arrives_for_a_verified_session_has_it_looked_at_again(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, every = rederived(monkeypatch)
    assert first == Rederived(8, 0, ())
    assert rederived(monkeypatch) == (Rederived(0, 8, ()), [])
    with open_history(strategy()) as history:
        stored = {kind: getattr(history, kind) for kind in KINDS}
    for kind, column in KINDS.items():
        one = stored[kind].iloc[-1:].assign(**{column: DAY, "ingested_at": pd.Timestamp.now(tz="UTC").as_unit("ns")})
        with_it = {kind: pd.concat([stored[kind], one], ignore_index=True)}
        result, looked_at = rederived(monkeypatch, **with_it)
        assert looked_at == [day for day in every if day >= str(DAY.date())], kind
        assert (result.played, result.before) == (len(looked_at), 8 - len(looked_at)), kind
