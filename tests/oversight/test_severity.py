"""The score, and how the trading state follows it."""

from __future__ import annotations

from math import nan

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn_assets.errors import ControlError
from nn_assets.oversight.drift import DriftReport, DriftStatistic
from nn_assets.oversight.severity import (
    STATES,
    Severity,
    TradingState,
    initial_trading_state,
    next_trading_state,
    resumed_trading_state,
    severity,
)
from nn_assets.oversight.slippage import SlippageTest
from nn_assets.settings import OversightSettings

SETTINGS = OversightSettings(cooldown_sessions=3)
DAYS = pd.bdate_range("2018-01-02", periods=100).as_unit("ns")
BREACH = SlippageTest(breach=True, statistic=4.0, p_value=0.0, observations=60, ratio=1.9, message="n 60")


def report(*, prediction: bool = False, jointly: bool = False, alone: int = 0) -> DriftReport:
    forecast = DriftStatistic("prediction", "forecast", 0.5 if prediction else 0.1, 0.3, 0.5, prediction)
    features = [DriftStatistic("feature", f"f{i}", 0.4, 0.3, 0.2, True) for i in range(alone)]
    third = 1.4 if jointly else 0.8
    names = ("f0", "f1", "f2") if jointly else ()
    return DriftReport(DAYS[0], (forecast, *features), third, 1.1, names, "")


@pytest.mark.parametrize(
    ("prediction", "jointly", "slippage", "score"),
    [
        (False, False, False, 0),
        (True, False, False, 3),
        (False, True, False, 2),
        (False, False, True, 2),
        (True, True, False, 5),
        (True, False, True, 5),
        (False, True, True, 4),
        (True, True, True, 7),
    ],
)
def test_the_score_adds_the_contracts_points_and_names_each(prediction, jointly, slippage, score):
    result = severity(report(prediction=prediction, jointly=jointly), BREACH if slippage else None)
    assert result.score == score
    assert len(result.reasons) == prediction + jointly + slippage


def test_features_that_ring_alone_score_nothing():
    assert severity(report(alone=5)).score == 0


def test_a_report_without_enough_sessions_scores_nothing():
    blind = DriftReport(DAYS[0], (), nan, 1.1, (), "not enough sessions: 5 of 60")
    assert severity(blind) == Severity(0, (), examined=False)


@pytest.mark.parametrize(
    ("forecasts", "features", "examined"),
    [
        ((), (), False),
        ((0.1,), (), True),
        ((nan,), (0.1, 0.1, 0.1), False),
        ((0.1, nan), (0.1, 0.1, 0.1), False),
        ((0.1,), (0.1, 0.1, 0.1, nan), True),
        ((0.1,), (0.1, 0.1, nan, nan), False),
        ((0.1,), (0.1, 0.1), True),
        ((0.1,), (0.1, nan), False),
    ],
)
def test_a_report_is_an_examination_where_forecasts_and_features_enough_have_values(forecasts, features, examined):
    tests = [DriftStatistic("prediction", f"forecast:{i}", value, 0.3, 0.5, False) for i, value in enumerate(forecasts)]
    tests += [DriftStatistic("feature", f"f{i}", value, 0.3, 0.2, False) for i, value in enumerate(features)]
    of = DriftReport(DAYS[0], tuple(tests), 0.0, 1.1, (), "")
    assert of.examined is examined
    assert severity(of).examined is examined


def test_a_session_that_was_not_examined_shortens_no_cooldown_and_is_resumed_so():
    state, records = initial_trading_state(DAYS[0], DAYS[1]), []
    for day, (score, seen) in enumerate(
        [(5, True), (0, True), (0, True), *[(0, False)] * 4, (0, True), (0, False), (0, True)], start=1
    ):
        state = next_trading_state(state, Severity(score, (), examined=seen), SETTINGS, DAYS[day], DAYS[day + 1])
        row = {"session": state.session, "effective_session": state.effective_session, "state": state.state}
        records.append({**row, "score": float(state.score), "reasons": list(state.reasons)})
        assert resumed_trading_state(pd.DataFrame(records), SETTINGS) == state
    assert [STATES.index(row["state"]) for row in records] == [2, 2, 2, 2, 2, 2, 2, 1, 1, 1]
    assert records[3]["reasons"] == ["not examined: PAUSE_STRATEGY held, 1 examined sessions still to pass"]
    assert state.cooldown_left == 2


def run(scores: list[int], settings: OversightSettings = SETTINGS) -> list[TradingState]:
    state, states = initial_trading_state(DAYS[0], DAYS[1]), []
    for day, score in enumerate(scores, start=1):
        state = next_trading_state(state, Severity(score, ("r",)), settings, DAYS[day], DAYS[day + 1])
        states.append(state)
    return states


@pytest.mark.parametrize(
    ("score", "state"),
    [
        (0, "CONTINUE"),
        (2, "CONTINUE"),
        (3, "REDUCE_SIZE"),
        (4, "REDUCE_SIZE"),
        (5, "PAUSE_STRATEGY"),
        (7, "PAUSE_STRATEGY"),
    ],
)
def test_the_state_rises_at_once_to_what_the_score_asks_for(score, state):
    result = run([score])[0]
    assert (result.state, result.session, result.effective_session) == (state, DAYS[1], DAYS[2])


def test_the_state_falls_one_step_after_each_full_cooldown():
    states = [trading_state.state for trading_state in run([7, 0, 0, 0, 0, 0, 0, 0])]
    pause, reduce = "PAUSE_STRATEGY", "REDUCE_SIZE"
    assert states == [pause, pause, pause, reduce, reduce, reduce, "CONTINUE", "CONTINUE"]


def test_one_relapse_starts_the_cooldown_anew():
    states = run([3, 0, 0, 3, 0, 0, 0])
    assert [state.state for state in states] == ["REDUCE_SIZE"] * 6 + ["CONTINUE"]
    assert [state.cooldown_left for state in states] == [3, 2, 1, 3, 2, 1, 0]


def test_a_state_held_by_its_cooldown_says_so_and_since_when():
    states = run([3, 0, 0])
    assert "held: cooldown, 1 more" in states[2].reasons[-1]
    assert states[2].since == DAYS[1]


def test_thresholds_are_settings():
    strict = OversightSettings(reduce_score=2, pause_score=3)
    assert [state.state for state in run([2, 3], strict)] == ["REDUCE_SIZE", "PAUSE_STRATEGY"]


@given(st.lists(st.integers(0, 7), min_size=1, max_size=60), st.integers(1, 6))
def test_the_state_is_never_below_what_the_score_asks_and_never_falls_two_steps(scores, cooldown):
    states = run(scores, OversightSettings(cooldown_sessions=cooldown))
    levels = [STATES.index(state.state) for state in states]
    asked = [2 if score >= 5 else 1 if score >= 3 else 0 for score in scores]
    assert all(level >= least for level, least in zip(levels, asked, strict=True))
    assert (np.diff([0, *levels]) >= -1).all()
    for day in np.flatnonzero(np.diff(levels) < 0) + 1:
        # Fell on `day`: no session of the cooldown asked for the state that was left.
        assert max(asked[day - cooldown + 1 : day + 1]) < levels[day - 1]


@given(st.lists(st.integers(0, 7), min_size=1, max_size=60), st.integers(1, 6))
def test_a_state_resumed_from_the_ledger_equals_the_one_that_was_decided(scores, cooldown):
    settings = OversightSettings(cooldown_sessions=cooldown)
    states = run(scores, settings)
    first = initial_trading_state(DAYS[0], DAYS[1])
    columns = ["session", "effective_session", "state", "score", "reasons"]
    records = pd.DataFrame([{name: getattr(s, name) for name in columns} for s in (first, *states)])
    assert resumed_trading_state(records, settings) == states[-1]


def test_records_that_are_missing_or_unknown_are_refused():
    columns = ["session", "effective_session", "state", "score", "reasons"]
    with pytest.raises(ControlError, match="0 records"):
        resumed_trading_state(pd.DataFrame(columns=columns), SETTINGS)
    odd = pd.DataFrame([[DAYS[0], DAYS[1], "SLEEP", 0, ()]], columns=columns)
    with pytest.raises(ControlError, match="SLEEP"):
        resumed_trading_state(odd, SETTINGS)


def test_sessions_out_of_order_and_thresholds_out_of_order_are_refused():
    state = initial_trading_state(DAYS[5], DAYS[6])
    with pytest.raises(ControlError, match="decide sessions in order"):
        next_trading_state(state, Severity(0, ()), SETTINGS, DAYS[5], DAYS[6])
    with pytest.raises(ValueError, match="must lie below"):
        OversightSettings(reduce_score=5, pause_score=3)


def test_a_state_effective_before_it_is_decided_is_refused():
    with pytest.raises(ControlError):
        initial_trading_state(DAYS[1], DAYS[1])
