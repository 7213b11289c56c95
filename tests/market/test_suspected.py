"""Suspicions carried on session by session are those of all bars looked at anew, and so is what they follow from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.quality.suspected import Suspected

AXIS = sessions_between("XNYS", "2017-03-01", "2018-12-31")
SYMBOLS = [f"S{number}" for number in range(7)]
SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(2, 200))]


def odd_market(seed: int, sessions: int, events: float = 0.02) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bars with jumps, slips of the unit, gaps and halts; splits and dividends that fit the prices, or do not."""
    random = np.random.default_rng(seed)
    bars, actions = [], []
    for symbol in SYMBOLS:
        move = random.normal(0.0, 0.012, sessions)
        odd = random.random(sessions) < events
        move[odd] += random.choice([-1.0, 1.0], odd.sum()) * random.uniform(0.15, 0.9, odd.sum())
        back = np.flatnonzero(odd[:-1] & (random.random(sessions - 1) < 0.4))
        move[back + 1] = -move[back]
        for row in np.flatnonzero(random.random(sessions) < 0.02):
            ratio = float(random.choice([1.1, 2.0, 3.0, 0.25]))
            actions.append((symbol, AXIS[row], "split", ratio))
            shown = row + int(random.choice([0, 0, 0, -4, 7, 10, sessions]))
            if 0 <= shown < sessions:
                move[shown] -= np.log(ratio)
        close = 40.0 * np.exp(np.cumsum(move))
        for row in np.flatnonzero(random.random(sessions) < 0.08):
            amount = float(close[row] * random.choice([0.004, 0.004, 0.004, 0.1, 0.6]))
            actions.append((symbol, AXIS[row], "dividend", round(amount, 3)))
        close[random.random(sessions) < 0.004] *= 100.0
        overnight = np.where(random.random(sessions) < 0.5, close, np.append(close[0], close[:-1]))
        rows = pd.DataFrame({"symbol": symbol, "session": AXIS[:sessions], "open": overnight, "close": close})
        rows["high"] = rows[["open", "close"]].max(axis=1) * 1.004
        rows["low"] = rows[["open", "close"]].min(axis=1) * 0.996
        rows.loc[random.random(sessions) < 0.005, "low"] /= 120.0
        rows["volume"] = random.integers(100, 900, sessions).astype(float)
        known_bars = random.random(sessions) > 0.03
        if random.random() < 0.3:
            halted = int(random.integers(sessions))
            known_bars[halted : halted + int(random.integers(60))] = False
        bars.append(rows[known_bars])
    known_actions = pd.DataFrame(actions, columns=["symbol", "ex_session", "kind", "value"])
    return pd.concat(bars).sort_values(["session", "symbol"], ignore_index=True), known_actions


def known(bars: pd.DataFrame, actions: pd.DataFrame, last: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    return bars[bars["session"] <= AXIS[last]], actions[actions["ex_session"] <= AXIS[last]]


def equal(one: Suspected, other: Suspected) -> None:
    assert [each.line for each in one.notices] == [each.line for each in other.notices]
    assert one.tables.keys() == other.tables.keys()
    for name, table in one.tables.items():
        pd.testing.assert_frame_equal(pd.DataFrame(table), pd.DataFrame(other.tables[name]), check_exact=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_day_by_day_as_of_all_bars(seed: int) -> None:
    sessions, first = 160, 120
    bars, actions = odd_market(seed, sessions)
    suspected, alone, last = Suspected.of(*known(bars, actions, first)), 0, first
    random = np.random.default_rng(seed)
    while last + 3 < sessions:
        came, last = AXIS[last + 1], last + int(random.integers(1, 4))
        known_bars, known_actions = known(bars, actions, last)
        counts = known_bars.groupby("symbol").size()
        carried, reach = None, 90
        while carried is None:
            start = AXIS[max(0, last - reach)]
            carried = suspected.carried_on(known_bars[known_bars["session"] >= start], counts, came, known_actions)
            alone += carried is not None and start > AXIS[0]
            reach *= 2
        whole = Suspected.of(known_bars, known_actions)
        equal(carried, whole)
        suspected = carried
    assert len(suspected.notices) > 5
    assert alone or seed > 1


def test_an_action_before_a_gap_is_of_the_bar_after_it() -> None:
    bars, _ = odd_market(3, 100, events=0.0)
    bars = bars[(bars["symbol"] != "S3") | (bars["session"] < AXIS[90]) | (bars["session"] > AXIS[95])]
    actions = pd.DataFrame({"symbol": ["S3"], "ex_session": [AXIS[92]], "kind": ["dividend"], "value": [500.0]})
    suspected = Suspected.of(*known(bars, actions, 94))
    known_bars, known_actions = known(bars, actions, 97)
    carried = suspected.carried_on(known_bars, known_bars.groupby("symbol").size(), AXIS[95], known_actions)
    assert carried is not None
    equal(carried, Suspected.of(known_bars, known_actions))
    assert "dividend_size" in {each.rule for each in carried.notices}


def test_too_few_bars_before_those_that_came_are_told() -> None:
    bars, actions = odd_market(4, 120)
    known_bars, known_actions = known(bars, actions, 110)
    suspected = Suspected.of(*known(bars, actions, 109))
    counts = known_bars.groupby("symbol").size()
    assert suspected.carried_on(known_bars[known_bars["session"] >= AXIS[60]], counts, AXIS[110], known_actions) is None
