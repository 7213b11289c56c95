"""Controls and costs are those of a session's own moments, whenever it is decided or studied."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.errors import LedgerError
from nn_assets.evaluation.replay import Replay, replay
from nn_assets.operations.asof.alarms import LEAK_RELEASE
from nn_assets.operations.asof.capacity import CAPACITY
from nn_assets.operations.asof.controls import (
    breaker_reset_for,
    fill_moment,
    kill_switch_at,
    kill_switch_now,
    unfinished_run_before,
)
from nn_assets.operations.asof.costs import costs_in_force
from nn_assets.operations.asof.studies import late_verdict
from nn_assets.operations.asof.trials import ground_of
from nn_assets.operations.clock import as_of_session
from nn_assets.operations.decisions.records import _control_details, recorded_context
from nn_assets.operations.history import open_history
from nn_assets.operations.session_view import SessionView
from nn_assets.operations.study import study_until
from nn_assets.portfolio.breakers import BreakerReset
from nn_assets.session.daily_round import Controls
from nn_assets.settings import CostSettings, ExecutionSettings, Strategy
from nn_assets.store.ledger.ledger import Ledger
from tests.operations.homes import months_between
from tests.operations.test_as_known import FIRST_MONTH, LAST_MONTH, Lived, strategy
from tests.orchestration.conftest import living_in
from tests.session.worlds import World, world, world_strategy

FRIDAY, MONDAY, TUESDAY = (pd.Timestamp(day) for day in ("2026-11-20", "2026-11-23", "2026-11-24"))


class Clock:
    """What the ledger takes for now."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def running_strategy(**market: object) -> Strategy:
    settings = {"history_starts": "2020-01-02", "live_starts": "2026-11-02", "calendar": "XNYS", **market}
    return Strategy.model_validate(
        {"name": "running", "market": settings, "label": {"horizon_sessions": 3, "execution": "next_open"}}
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", clock=clock)


def set_switch(ledger: Ledger, clock: Clock, moment: str, state: str) -> None:
    clock.now = pd.Timestamp(moment, tz="UTC").to_pydatetime()
    row = {"control_id": moment, "kind": "kill_switch", "state": state, "who": "me", "reason": "why", "details": {}}
    ledger.append("controls", [row], run_id="test", strategy="running")


def switches(ledger: Ledger, strategy: Strategy, session: pd.Timestamp) -> tuple[str, str]:
    """Before the fill of a session's orders under way, and at its decision."""
    moments = fill_moment(strategy, session), as_of_session(strategy.market, session)
    return tuple(kill_switch_at(ledger, strategy, *moments))  # type: ignore[return-value]


def test_a_switch_set_after_the_open_leaves_the_fills_alone_that_had_happened(ledger: Ledger, clock: Clock) -> None:
    set_switch(ledger, clock, "2026-11-23 16:00", "HALTED")  # XNYS opens at 14:30 UTC and closes at 21:00
    assert switches(ledger, running_strategy(), FRIDAY) == ("ACTIVE", "ACTIVE")
    assert switches(ledger, running_strategy(), MONDAY) == ("ACTIVE", "HALTED")
    assert switches(ledger, running_strategy(), TUESDAY) == ("HALTED", "HALTED")


def test_a_switch_released_between_the_open_and_the_close_had_stopped_the_fills(ledger: Ledger, clock: Clock) -> None:
    set_switch(ledger, clock, "2026-11-20 20:00", "HALTED")
    set_switch(ledger, clock, "2026-11-23 20:00", "ACTIVE")
    assert switches(ledger, running_strategy(), MONDAY) == ("HALTED", "ACTIVE")


def test_a_switch_set_at_the_very_moment_of_a_fill_or_a_decision_counts_for_it(ledger: Ledger, clock: Clock) -> None:
    set_switch(ledger, clock, "2026-11-23 14:30", "HALTED")  # Monday's open
    assert switches(ledger, running_strategy(), FRIDAY) == ("ACTIVE", "ACTIVE")
    assert switches(ledger, running_strategy(), MONDAY) == ("HALTED", "HALTED")
    set_switch(ledger, clock, "2026-11-24 21:30", "ACTIVE")  # Tuesday's decision
    assert switches(ledger, running_strategy(), TUESDAY) == ("HALTED", "ACTIVE")


def test_with_fills_at_the_close_the_switch_at_the_close_holds(ledger: Ledger, clock: Clock) -> None:
    set_switch(ledger, clock, "2026-11-23 16:00", "HALTED")
    closing = running_strategy().model_copy(
        update={"label": running_strategy().label.model_copy(update={"execution": "next_close"})}
    )
    assert switches(ledger, closing, MONDAY) == ("HALTED", "HALTED")


def test_a_backfill_does_not_run_under_the_switch_of_today(ledger: Ledger, clock: Clock) -> None:
    set_switch(ledger, clock, "2026-11-28 01:00", "HALTED")
    assert kill_switch_now(ledger, "running") == "HALTED"
    assert switches(ledger, running_strategy(), TUESDAY) == ("ACTIVE", "ACTIVE")


def test_a_strategy_whose_history_has_ended_obeys_the_switch_set_last(ledger: Ledger, clock: Clock) -> None:
    set_switch(ledger, clock, "2026-11-28 01:00", "HALTED")
    assert switches(ledger, running_strategy(history_ends="2026-11-24"), TUESDAY) == ("HALTED", "HALTED")


def test_what_is_set_after_a_decision_is_not_in_its_view(ends_before: Lived, tmp_path: Path) -> None:
    """Of a history that has ended, too: what was set by its decision counts, and nothing later."""
    home = Path(shutil.copytree(ends_before.home, tmp_path / "home"))
    session = pd.Timestamp("2016-08-25")
    with living_in(home), open_history(strategy()) as history:
        before = history.view(session).controls
        halt = {
            "control_id": "h",
            "kind": "kill_switch",
            "state": "HALTED",
            "who": "me",
            "reason": "why",
            "details": {},
        }
        history.stores.ledger.append("controls", [halt], run_id="test", strategy="known")
    with living_in(home), open_history(strategy()) as history:
        assert (before.kill_switch, before.kill_switch_before_fill) == ("ACTIVE", "ACTIVE")
        assert history.view(session).controls == before
        assert kill_switch_now(history.stores.ledger, "known") == "HALTED"


def test_a_reset_set_after_a_decision_is_not_in_its_view(ledger: Ledger, clock: Clock) -> None:
    ended = running_strategy(history_ends="2026-11-24")
    decide(ledger, clock, FRIDAY, "session_loss")
    decided_at = pd.Timestamp("2026-11-23 22:00", tz="UTC")
    set_reset(ledger, clock, "2026-11-23 22:30", FRIDAY, "session_loss")
    clock.now = datetime(2026, 12, 24, tzinfo=UTC)
    assert breaker_reset_for(ledger, ended, MONDAY, decided_at) is None
    reset = BreakerReset("me", "why", ("session_loss",))
    assert breaker_reset_for(ledger, ended, MONDAY, decided_at + pd.Timedelta(hours=1)) == reset


def test_a_vault_that_lies_ahead_leaves_the_clock_running(ledger: Ledger, clock: Clock) -> None:
    set_switch(ledger, clock, "2026-11-23 16:00", "HALTED")
    set_switch(ledger, clock, "2026-11-24 10:00", "ACTIVE")
    assert switches(ledger, running_strategy(vault_starts="2034-01-03"), MONDAY) == ("ACTIVE", "HALTED")


def test_a_switch_that_cannot_be_read_counts_as_halted(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise LedgerError(expected="a ledger", found="a torn page", remedy="restore a backup")

    monkeypatch.setattr(ledger, "read", broken)
    assert kill_switch_now(ledger, "running") == "HALTED"
    assert switches(ledger, running_strategy(), MONDAY) == ("HALTED", "HALTED")


# --- the verdict -----------------------------------------------------------------------------------------


def put_study(ledger: Ledger, clock: Clock, strategy: Strategy, moment: str, verdict: str) -> None:
    """Put a study of October on record; the same month's of later takes the place of the one before."""
    clock.now = pd.Timestamp(moment, tz="UTC").to_pydatetime()
    row = {
        **dict.fromkeys(("data_hash", "code_version"), "-"),
        "study_id": moment,
        "month": "2026-10",
        "verdict": verdict,
        "trial_count": 1,
        "figures": {"allows_trading": verdict == "edge found", "reason": ""},
        "settings_hash": strategy.content_hash(),
        "first_session": pd.Timestamp("2026-10-01"),
        "last_session": pd.Timestamp("2026-10-30"),
    }
    ledger.append("studies", [row], run_id="test", strategy="running")


def verdict_on(ledger: Ledger, strategy: Strategy, session: pd.Timestamp, decided: str | None = None) -> object:
    """The verdict that a view of a session shows, which its controls go by; None where it shows no study."""
    recorded = {} if decided is None else {session: pd.Timestamp(decided, tz="UTC")}
    moments = pd.Series(recorded, dtype="datetime64[ns, UTC]", index=pd.DatetimeIndex(recorded))
    facts = SimpleNamespace(
        stores=SimpleNamespace(ledger=ledger), strategy=strategy, decided_at=moments.get, decision_moments=moments
    )
    view = SessionView(facts, session, 0, None)  # type: ignore[arg-type]
    assert view.controls.verdict_allows == (view.study is not None and view.study["verdict"] == "edge found")
    return None if view.study is None else view.study["verdict"]


@pytest.mark.parametrize("decided", [None, "2026-11-29 09:00"])
def test_a_session_that_was_missed_is_decided_by_the_verdict_of_its_own_moment(
    ledger: Ledger, clock: Clock, decided: str | None
) -> None:
    strategy = running_strategy()
    put_study(ledger, clock, strategy, "2026-11-01 12:00", "leak alarm")
    put_study(ledger, clock, strategy, "2026-11-28 12:00", "edge found")  # after the alarm was released
    assert verdict_on(ledger, strategy, TUESDAY, decided) == "leak alarm"
    assert verdict_on(ledger, strategy, pd.Timestamp("2026-11-30")) == "edge found"


@pytest.mark.parametrize(
    ("verdict", "allowed"), [("leak alarm", False), ("signal found", True), ("no edge found", True)]
)
def test_a_leak_alarm_in_force_stops_a_strategy_that_trades_without_a_verdict(
    ledger: Ledger, clock: Clock, verdict: str, allowed: bool
) -> None:
    strategy = running_strategy().model_copy(update={"trade_without_verdict": True})
    put_study(ledger, clock, strategy, "2026-11-01 12:00", verdict)
    facts = SimpleNamespace(
        stores=SimpleNamespace(ledger=ledger),
        strategy=strategy,
        decided_at=lambda _: None,
        decision_moments=pd.Series([], dtype="datetime64[ns, UTC]", index=pd.DatetimeIndex([])),
    )
    controls = SessionView(facts, TUESDAY, 0, None).controls  # type: ignore[arg-type]
    assert controls.allow(without_verdict=True) is allowed


def test_a_verdict_counts_on_when_the_orders_go_to_an_account_since_studies_fill_on_paper(
    ledger: Ledger, clock: Clock
) -> None:
    studied = running_strategy()
    put_study(ledger, clock, studied, "2026-11-01 12:00", "edge found")
    version = {"settings_hash": studied.content_hash(), "settings": studied.behaviour()}
    ledger.append("settings_versions", [version], run_id="test", strategy="running")
    for account in ({"broker": "alpaca"}, {"broker": "file_drop", "broker_settings": {"folder": "."}, "account": "a"}):
        sends = studied.model_copy(update={"execution": ExecutionSettings.model_validate(account)})
        assert verdict_on(ledger, sends, TUESDAY) == "edge found"
    capped = {"broker": "alpaca", "participation_cap_fraction": 0.5}
    other = studied.model_copy(update={"execution": ExecutionSettings.model_validate(capped)})
    assert verdict_on(ledger, other, TUESDAY) is None  # a study fills by it


NO_NUMBERS = dict.fromkeys(
    ("estimate", "standard_error", "degrees", "adjusted_p_value", "allowed_p_value", "interval_low", "interval_high"),
    0.1,
)


def put_alarm(ledger: Ledger, clock: Clock, moment: str, closes: pd.DataFrame) -> None:
    """Put a look of October on record that left an alarm of another configuration standing."""
    clock.now = pd.Timestamp(moment, tz="UTC").to_pydatetime()
    left = {"network rank IC": "network: rank IC 0.3 is above 0.1"}
    look = {
        **NO_NUMBERS,
        "trial_id": "another",
        "data_hash": "d",
        "month": "2026-10",
        "study_id": moment,
        "verdict": "leak alarm",
        "look": 1,
        "sessions": 900,
        "trials": 1,
        "smallest_effect": 0.02,
        "allows_trading": False,
        "details": {
            "standing_alarms": left,
            "rung": {"network rank IC": {"trial_id": "another", "month": "2026-10", "figure": 0.3}},
        },
    }
    ledger.append("data_fingerprints", [ground_of("running", "d", closes).to_row()], run_id="test", strategy="running")
    ledger.append("looks", [look], run_id="test", strategy="running")


def release_alarm(ledger: Ledger, clock: Clock, moment: str) -> None:
    clock.now = pd.Timestamp(moment, tz="UTC").to_pydatetime()
    said = {"alarm": "network rank IC", "trial_id": "another", "figure": 0.3, "finding": "-"}
    control = {
        "control_id": "r",
        "kind": LEAK_RELEASE,
        "state": "RELEASED",
        "who": "ann",
        "reason": "planted",
        "details": {"data_hash": "d", "alarms": ["network rank IC"], "figures": [said]},
    }
    ledger.append("controls", [control], run_id="test", strategy="running")


@pytest.mark.parametrize("verdict", [None, "edge found"])
def test_an_alarm_of_other_settings_stops_sessions_after_its_month_on_its_data_until_it_is_released(
    ledger: Ledger, clock: Clock, verdict: str | None
) -> None:
    """Of a strategy that trades without a verdict, and of one whose own verdict lets it trade."""
    strategy = running_strategy().model_copy(update={"trade_without_verdict": verdict is None})
    days = pd.bdate_range("2026-01-02", TUESDAY)
    closes = pd.DataFrame({"symbol": "A", "session": days, "close": np.arange(20.0, 20.0 + len(days))})
    if verdict is not None:
        put_study(ledger, clock, strategy, "2026-11-01 11:00", verdict)
    facts = SimpleNamespace(
        stores=SimpleNamespace(ledger=ledger),
        strategy=strategy,
        decided_at=lambda _: None,
        decision_moments=pd.Series([], dtype="datetime64[ns, UTC]", index=pd.DatetimeIndex([])),
    )

    def trades(session: pd.Timestamp, known: pd.DataFrame = closes) -> bool:
        view = SessionView(facts, session, 0, SimpleNamespace(bars=known))  # type: ignore[arg-type]
        return view.controls.allow(without_verdict=strategy.trade_without_verdict)

    assert trades(MONDAY)
    put_alarm(ledger, clock, "2026-11-22 12:00", closes)
    assert not trades(MONDAY)
    assert trades(FRIDAY)  # decided before it rang
    assert trades(MONDAY, closes.assign(close=closes["close"] * 1.1))  # other data
    release_alarm(ledger, clock, "2026-11-24 12:00")
    assert not trades(MONDAY)  # what is released later changes nothing of it
    assert trades(TUESDAY)


def test_missed_sessions_are_caught_up_on_a_verdict_that_was_there(ledger: Ledger, clock: Clock) -> None:
    strategy = running_strategy()
    put_study(ledger, clock, strategy, "2026-11-01 12:00", "edge found")
    put_study(ledger, clock, strategy, "2026-11-28 12:00", "leak alarm")
    assert verdict_on(ledger, strategy, TUESDAY) == "edge found"
    late = late_verdict(ledger, strategy, TUESDAY)
    assert str(late).startswith("'leak alarm' of 2026-10 was put on record at 2026-11-28 12:00 UTC")


def test_a_first_study_allows_no_session_that_was_over_before_it_and_is_told_by_name(
    ledger: Ledger, clock: Clock
) -> None:
    strategy = running_strategy()
    put_study(ledger, clock, strategy, "2026-11-24 21:31", "edge found")  # a minute after Tuesday's moment
    assert verdict_on(ledger, strategy, TUESDAY) is None
    late = late_verdict(ledger, strategy, TUESDAY)
    assert late == (
        "'edge found' of 2026-10 was put on record at 2026-11-24 21:31 UTC, after the session's moment "
        "(2026-11-24 21:30 UTC)"
    )
    assert late_verdict(ledger, strategy, TUESDAY, pd.Timestamp("2026-11-24 21:30:30", tz="UTC")) is None
    assert verdict_on(ledger, strategy, TUESDAY + pd.Timedelta(days=1)) == "edge found"


def test_a_history_that_has_ended_is_replayed_on_the_verdict_of_now(ledger: Ledger, clock: Clock) -> None:
    strategy = running_strategy(history_ends="2026-11-24")
    put_study(ledger, clock, strategy, "2026-11-28 12:00", "edge found")
    assert verdict_on(ledger, strategy, TUESDAY) == "edge found"
    assert verdict_on(ledger, strategy, TUESDAY, "2026-11-27 09:00") is None  # decided before there was any
    assert late_verdict(ledger, strategy, TUESDAY) is None


# --- the release of a breaker ----------------------------------------------------------------------------


def decide(
    ledger: Ledger, clock: Clock, session: pd.Timestamp, breaker: str | None, reset: object = None, at: str = ""
) -> None:
    """Put as much of a session on record as a reset looks at, a quarter of an hour after its close or at a moment."""
    usual = as_of_session(running_strategy().market, session) + pd.Timedelta(minutes=15)
    clock.now = (pd.Timestamp(at, tz="UTC") if at else usual).to_pydatetime()
    head = dict.fromkeys(("data_hash", "model_id", "code_version", "settings_hash", "content_hash"), "-")
    details = {"verdict_allows": False, "kill_switch": "ACTIVE", "breaker_reset": reset, "cost_model_id": None}
    numbers = dict.fromkeys(
        (
            "cash_usd",
            "equity_usd",
            "gross_fraction",
            "net_fraction",
            "high_water_mark_usd",
            "drawdown_fraction",
            "session_return",
            "costs_usd",
        ),
        1.0,
    )
    with ledger.transaction("test", strategy="running") as transaction:
        transaction.append("decisions", [{"session": session, **head, "details": details}])
        transaction.append("portfolio_states", [{"session": session, **numbers, "breaker": breaker, "book": {}}])


def set_reset(ledger: Ledger, clock: Clock, moment: str, after: pd.Timestamp, breaker: str | list[str]) -> None:
    clock.now = pd.Timestamp(moment, tz="UTC").to_pydatetime()
    named = {"breaker": breaker} if isinstance(breaker, str) else {"breakers": breaker}
    details = {"after_session": str(after.date()), **named}
    row = {"control_id": moment, "kind": "breaker_reset", "state": "RESET", "who": "me", "reason": "why"}
    ledger.append("controls", [{**row, "details": details}], run_id="test", strategy="running")


def test_a_reset_releases_the_next_session_once(ledger: Ledger, clock: Clock) -> None:
    decide(ledger, clock, FRIDAY, "session_loss")
    set_reset(ledger, clock, "2026-11-21 10:00", FRIDAY, "session_loss")
    assert breaker_reset_for(ledger, running_strategy(), MONDAY) == BreakerReset("me", "why", ("session_loss",))
    decide(ledger, clock, MONDAY, "session_loss", reset=["me", "why"])  # released, and fired again
    assert breaker_reset_for(ledger, running_strategy(), TUESDAY) is None


def test_a_reset_releases_no_breaker_that_fired_after_it_was_set(ledger: Ledger, clock: Clock) -> None:
    decide(ledger, clock, FRIDAY, "session_loss")
    set_reset(ledger, clock, "2026-11-23 22:00", FRIDAY, "session_loss")  # after Monday's decision was due
    decide(ledger, clock, MONDAY, "drawdown")
    assert breaker_reset_for(ledger, running_strategy(), TUESDAY) is None


def test_resets_of_several_breakers_wait_together_and_each_is_used_once(ledger: Ledger, clock: Clock) -> None:
    decide(ledger, clock, FRIDAY, "stale_data, drawdown, weekly_loss")
    set_reset(ledger, clock, "2026-11-21 10:00", FRIDAY, "stale_data")
    set_reset(ledger, clock, "2026-11-22 10:00", FRIDAY, ["drawdown"])
    reset = breaker_reset_for(ledger, running_strategy(), MONDAY)
    assert reset == BreakerReset("me", "why", ("stale_data", "drawdown"))
    decide(ledger, clock, MONDAY, "drawdown, weekly_loss", reset=["me", "why", ["stale_data"]])
    # Only one of the two came in time for Monday; the other waits on, and what nobody named stays.
    assert breaker_reset_for(ledger, running_strategy(), TUESDAY) == BreakerReset("me", "why", ("drawdown",))
    decide(ledger, clock, TUESDAY, "drawdown, weekly_loss", reset=["me", "why", ["drawdown"]])
    assert breaker_reset_for(ledger, running_strategy(), TUESDAY + pd.Timedelta(days=1)) is None


def test_a_reset_set_after_missed_sessions_is_kept_for_the_first_that_it_came_in_time_for(
    ledger: Ledger, clock: Clock
) -> None:
    decide(ledger, clock, FRIDAY, "weekly_loss")
    set_reset(ledger, clock, "2026-11-24 09:00", FRIDAY, "weekly_loss")  # Monday was missed, and is caught up now
    assert breaker_reset_for(ledger, running_strategy(), MONDAY) is None
    decide(ledger, clock, MONDAY, "weekly_loss")
    assert breaker_reset_for(ledger, running_strategy(), TUESDAY) == BreakerReset("me", "why", ("weekly_loss",))


# --- a run that was not finished -----------------------------------------------------------------------


def test_orders_on_record_before_their_fill_are_no_unfinished_run(ledger: Ledger, clock: Clock) -> None:
    decide(ledger, clock, FRIDAY, None)
    decide(ledger, clock, MONDAY, None)
    assert unfinished_run_before(ledger, running_strategy(), TUESDAY) is None


def test_a_round_on_record_at_the_very_open_was_in_time(ledger: Ledger, clock: Clock) -> None:
    decide(ledger, clock, FRIDAY, None)
    decide(ledger, clock, MONDAY, None, at="2026-11-24 14:30")
    assert unfinished_run_before(ledger, running_strategy(), TUESDAY) is None
    decide(ledger, clock, TUESDAY, None, at="2026-11-25 14:30:01")
    assert unfinished_run_before(ledger, running_strategy(), TUESDAY + pd.Timedelta(days=1)) is not None


def test_orders_on_record_after_their_fill_are_an_unfinished_run_that_names_both_moments(
    ledger: Ledger, clock: Clock
) -> None:
    decide(ledger, clock, FRIDAY, None)
    decide(ledger, clock, MONDAY, None, at="2026-11-25 09:00")
    unfinished = unfinished_run_before(ledger, running_strategy(), TUESDAY)
    assert unfinished is not None
    assert all(part in unfinished for part in ("2026-11-23", "2026-11-25 09:00", "2026-11-24"))
    assert unfinished_run_before(ledger, running_strategy(), MONDAY) is None


def test_what_a_decision_was_told_of_an_unfinished_run_is_replayed_from_its_record() -> None:
    controls = Controls(verdict_allows=True, unfinished_run="sent too late")
    details = {**_control_details(controls), "cost_model_id": None}
    decision = pd.Series({"details": details, "study_id": None, "verdict": None, "model_id": "m"})
    assert recorded_context(decision).controls == controls
    assert "unfinished_run" not in _control_details(Controls())  # decisions of before it was told have no such word


def test_a_history_played_as_if_live_is_none(ledger: Ledger, clock: Clock) -> None:
    decide(ledger, clock, FRIDAY, None, at="2026-11-27 09:00")
    decide(ledger, clock, MONDAY, None, at="2026-11-27 09:01")
    assert unfinished_run_before(ledger, running_strategy(), TUESDAY) is None


# --- the effect of the switch on what is held and sent ---------------------------------------------------


@pytest.fixture(scope="module")
def market() -> World:
    return world(world_strategy("next_open"))


def played(market: World, at: int, controls: Controls) -> tuple[int, int]:
    """Fills of one session's orders under way, and the orders that it accepts, under controls of its own."""
    allowed = Controls(verdict_allows=True)
    rounds = replay(
        market.strategy,
        cost_model_from(market.strategy.costs),
        252,
        [market.scene(range(80, at + 1))],
        controls=lambda row: controls if row == at else allowed,
    ).rounds
    return len(rounds[-1].fills[0]), int(rounds[-1].orders.accepted.sum())


@pytest.mark.full
def test_orders_under_way_obey_the_switch_before_their_fill_and_new_ones_that_of_the_decision(market: World) -> None:
    free = played(market, 150, Controls(verdict_allows=True))
    assert min(free) > 0
    set_later = Controls(verdict_allows=True, kill_switch="HALTED", kill_switch_before_fill="ACTIVE")
    assert played(market, 150, set_later) == (free[0], 0)
    released = Controls(verdict_allows=True, kill_switch="ACTIVE", kill_switch_before_fill="HALTED")
    filled, accepted = played(market, 150, released)
    assert (filled, accepted > 0) == (0, True)
    assert played(market, 150, Controls(verdict_allows=True, kill_switch="HALTED")) == (0, 0)


# --- costs -----------------------------------------------------------------------------------------------


def test_a_cost_model_prices_the_sessions_after_its_own_and_none_before(tmp_path: Path) -> None:
    strategy_then = running_strategy()
    with Ledger(f"sqlite:///{tmp_path / 'costs.sqlite'}") as ledger:
        rows = [
            {
                "cost_model_id": name,
                "session": session,
                "source": "imported",
                "in_force": in_force,
                "coefficients": cost_model_from(strategy_then.costs).to_dict(),
                "figures": {},
            }
            for name, session, in_force in (("a", FRIDAY, True), ("b", MONDAY, False), ("c", TUESDAY, True))
        ]
        ledger.append("cost_models", rows, run_id="test", strategy="running")
        costs = costs_in_force(ledger, "running")
    after = pd.Timestamp("2026-11-25")
    assert [costs.on(day) for day in (FRIDAY, MONDAY, TUESDAY, after)] == [None, "a", "a", "c"]
    assert costs.newest == "c"


def put_estimates(ledger: Ledger, clock: Clock, moment: str, session: pd.Timestamp) -> None:
    """An estimate of costs and one of capacity, of data up to a session, put on record at a UTC moment."""
    clock.now = pd.Timestamp(moment, tz="UTC").to_pydatetime()
    dear = CostSettings(half_spread_bps=25.0)
    costs = {"cost_model_id": moment, "session": session, "source": "imported", "in_force": True, "figures": {}}
    capacity = {"control_id": moment, "kind": CAPACITY, "state": "some", "who": "me", "reason": "why"}
    details = {"session": session.isoformat(), "capacity_usd": 1e6}
    with ledger.transaction("test", strategy="running") as transaction:
        transaction.append("cost_models", [{**costs, "coefficients": cost_model_from(dear).to_dict()}])
        transaction.append("controls", [{**capacity, "details": details}])


def estimates_on(
    ledger: Ledger, strategy: Strategy, session: pd.Timestamp, decided: str | None = None
) -> tuple[str | None, float, float | None]:
    """What a view of a session is priced by (its id, its half-spread in bps), and the capacity its sizes follow."""
    recorded = {} if decided is None else {session: pd.Timestamp(decided, tz="UTC")}
    moments = pd.Series(recorded, dtype="datetime64[ns, UTC]", index=pd.DatetimeIndex(recorded))
    facts = SimpleNamespace(
        stores=SimpleNamespace(ledger=ledger), strategy=strategy, decided_at=moments.get, decision_moments=moments
    )
    view = SessionView(facts, session, 0, None)  # type: ignore[arg-type]
    return view.cost_model_id, round(view.costs.half_spread.value * 1e4, 6), view.controls.capacity_usd


def of_capacity(**market: object) -> Strategy:
    of = running_strategy(**market)
    return of.model_copy(update={"portfolio": of.portfolio.model_copy(update={"capacity_share": 0.5})})


def test_an_estimate_recorded_after_a_sessions_decision_moment_neither_prices_nor_sizes_it(
    ledger: Ledger, clock: Clock
) -> None:
    """Data end on Friday while nothing runs: Monday's decision was due at 21:30 UTC, the estimate came on Tuesday.

    Measured before: Monday, decided late on Wednesday, was priced and sized by it.
    """
    came = "2026-11-24 10:00"
    put_estimates(ledger, clock, came, FRIDAY)
    clock.now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    settings, estimated = (None, 4.5, None), (came, 25.0, 1e6)
    of = of_capacity()
    assert estimates_on(ledger, of, MONDAY) == settings
    assert estimates_on(ledger, of, MONDAY, decided="2026-11-25 12:00") == settings
    assert estimates_on(ledger, of, TUESDAY) == estimated  # due eleven hours after it
    assert estimates_on(ledger, of, TUESDAY, decided="2026-11-24 09:00") == settings
    assert estimates_on(ledger, of, FRIDAY) == settings
    ended = of_capacity(history_ends="2026-11-24")  # played as if live: no moment, and it counts by its session
    assert estimates_on(ledger, ended, MONDAY) == estimated


def test_an_estimate_recorded_at_the_very_moment_of_a_decision_counts_for_it(ledger: Ledger, clock: Clock) -> None:
    put_estimates(ledger, clock, "2026-11-23 21:30", FRIDAY)
    assert estimates_on(ledger, of_capacity(), MONDAY) == ("2026-11-23 21:30", 25.0, 1e6)


@pytest.mark.full
def test_a_study_prices_each_session_by_the_cost_model_in_force_on_it(ends_before: Lived, tmp_path: Path) -> None:
    home = Path(shutil.copytree(ends_before.home, tmp_path / "home"))
    since = pd.Timestamp("2016-08-15")  # sixty sessions of outcomes are realised on 2016-08-01
    shutil.rmtree(home / "reports", ignore_errors=True)
    with living_in(home), open_history(strategy()) as history:
        months = months_between(FIRST_MONTH, LAST_MONTH)
        before = study_until(history, months, "before", lambda _: None).study.replays["network"]
        dear = strategy().costs.model_copy(update={"half_spread_bps": 25.0})
        row = {
            "cost_model_id": "dear",
            "session": since,
            "source": "imported",
            "in_force": True,
            "coefficients": cost_model_from(dear).to_dict(),
            "figures": {},
        }
        history.stores.ledger.append("cost_models", [row], run_id="test", strategy="known")
        after = study_until(history, months, "after", lambda _: None).study.replays["network"]
        row_of_change = history.row(since)
    first = history.row(before.rounds[0].session)
    assert np.array_equal(before.track.net[first : row_of_change + 1], after.track.net[first : row_of_change + 1])
    assert spread_paid(after, until=since) == spread_paid(before, until=since)
    assert spread_paid(after, after=since) > 20.0 * spread_paid(before, after=since)  # 25 bps and 0.5


def spread_paid(played: Replay, until: pd.Timestamp | None = None, after: pd.Timestamp | None = None) -> float:
    """Half-spread paid, as a fraction of what was traded."""
    chosen = [
        batch
        for done in played.rounds
        for batch in done.fills
        if (until is None or done.session <= until) and (after is None or done.session > after)
    ]
    traded = sum(float(np.abs(batch.quantity * batch.mid_price).sum()) for batch in chosen)
    return sum(float(batch.half_spread_usd.sum()) for batch in chosen) / traded
