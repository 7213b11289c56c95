"""A refresh carried out after further sessions were decided: in force from the first undecided one, never before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.asked import REFRESH_TAG
from nn_assets.operations.asof.models import models_in_force
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay
from nn_assets.operations.decisions.rounds import decide_session
from nn_assets.operations.history import open_history
from nn_assets.operations.models.stored import load_model
from tests.operations import homes
from tests.orchestration.conftest import FIRST_LIVE, FIRST_MONTH, RECORDS, recorded, strategy_of, write_strategy
from tests.runs import materialise

pytestmark = pytest.mark.slow


def days(first: str, last: str) -> list[pd.Timestamp]:
    return list(sessions_between("XNYS", first, last))


def decide(*sessions: pd.Timestamp) -> list[bool]:
    with open_history(strategy_of()) as history:
        return [decide_session(history, session, "test").already_decided for session in sessions]


def refresh_by_dagster(asked_after: str, partition: str) -> None:
    """Carry out what the drift sensor asked for after a session."""
    materialise(strategy_of(), "study", first=partition, last=partition, tags={REFRESH_TAG: asked_after})


def refresh(asked_after: str, partition: str) -> None:
    """The same without Dagster."""
    homes.refresh(strategy_of(), pd.Timestamp(asked_after), partition[:7])


def go_on_until(home: Path, last: str, month: str, first_live: str) -> None:
    """Let history end later, and have models and forecasts of one month more; live from a session on.

    When a refresh takes force is asked, not whether it should: any tiny network may be worse than another by chance,
    so that the tolerance, which is a setting of the models, lets each pass.
    """
    write_strategy(
        home,
        market={"history_ends": last, "live_starts": first_live},
        walk_forward={"refresh_tolerance_fraction": 10.0},
    )
    homes.take_in(strategy_of())
    homes.train(strategy_of(), homes.months_between(FIRST_MONTH[:7], month))


def assert_takes_force_on(
    home: Path,
    decided: list[pd.Timestamp],
    asked_after: str,
    partition: str,
    refresh: Callable[[str, str], None] = refresh,
) -> None:
    """Refresh after some sessions were decided, and demand that only the sessions that follow know of it."""
    effective, *further = days(str(decided[-1].date()), "2017-07-07")[1:]
    before = {table: recorded(home, table) for table in ("decisions", *RECORDS)}
    old = recorded(home, "models")
    refresh(asked_after, partition)
    models = recorded(home, "models")
    (new,) = set(models["model_id"]) - set(old["model_id"])
    (row,) = models[models["model_id"] == new].to_dict("records")
    assert row["effective_session"] == effective
    assert row["month"] == effective.strftime("%Y-%m")
    with open_history(strategy_of()) as history:
        in_force = models_in_force(history.stores.ledger, history.strategy)
        fold = load_model(history.stores, new).fold
    assert [in_force.on(session) == new for session in (*decided, effective)] == [False] * len(decided) + [True]
    assert fold.used_from == len(sessions_between("XNYS", "2016-01-04", decided[-1]))  # fitted on all that was decided
    assert decide(*reversed(decided)) == [True] * len(decided)
    for table, frame in before.items():
        pd.testing.assert_frame_equal(recorded(home, table), frame, check_exact=True)
    assert decide(effective, *further[:1]) == [False] * len([effective, *further[:1]])
    model_ids = recorded(home, "decisions").set_index("session")["model_id"]
    assert (model_ids[model_ids.index < effective] != new).all()
    assert (model_ids[model_ids.index >= effective] == new).all()
    assert (model_ids[model_ids.index >= effective].index[0]) == effective
    with open_history(strategy_of()) as history:
        assert decisions_repeat_in_replay(history) == (len(model_ids), [])


@pytest.mark.full
def test_a_late_refresh_leaves_the_sessions_decided_meanwhile(studied: Path) -> None:
    decided = days(FIRST_LIVE, "2017-06-22")
    decide(*decided)
    assert_takes_force_on(
        studied, decided, asked_after="2017-06-21", partition="2017-06-01", refresh=refresh_by_dagster
    )


@pytest.mark.full
def test_a_refresh_that_comes_after_the_end_of_its_month_takes_force_in_the_next(studied: Path) -> None:
    go_on_until(studied, "2017-07-07", "2017-07", "2017-06-28")
    decided = days("2017-06-28", "2017-07-03")
    decide(*decided)
    assert_takes_force_on(studied, decided, asked_after="2017-06-28", partition="2017-06-01")


@pytest.mark.full
def test_a_month_without_a_refit_of_its_own_keeps_the_refreshed_model(studied: Path) -> None:
    go_on_until(studied, "2017-08-04", "2017-07", "2017-06-30")
    decide(*days("2017-06-30", "2017-07-03"))
    refresh("2017-07-03", "2017-07-01")
    with open_history(strategy_of()) as history:
        refreshed = models_in_force(history.stores.ledger, history.strategy).on(pd.Timestamp("2017-07-31"))
        assert refreshed != models_in_force(history.stores.ledger, history.strategy).on(pd.Timestamp("2017-07-03"))
    homes.train(strategy_of(), ["2017-08"])
    august = recorded(studied, "models").query("month == '2017-08'")
    assert not august["fitted"].any()
    assert set(august["model_id"]) == {refreshed}
