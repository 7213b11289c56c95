"""Limits on the book's Greeks hold, in both constructions; what is not known of them is not held.

What a book's Greek is, is reckoned here from units and dollars per unit alone: sum over units held, over equity.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from nn_assets.costs.model import cost_model_from
from nn_assets.execution.paper import PaperBroker
from nn_assets.operations.asof.series import greeks_known
from nn_assets.portfolio.binding import binding_constraints
from nn_assets.portfolio.decide import decide
from nn_assets.portfolio.greeks import Greeks
from nn_assets.portfolio.inputs import Decision, DecisionInputs
from nn_assets.portfolio.trace import steps_frame
from nn_assets.session.daily_round import Controls, SessionFacts, first_session_state, play_session
from nn_assets.settings import PortfolioSettings, Strategy
from tests.portfolio.facts import COSTS, facts
from tests.portfolio.test_by_programme import NAMES, inputs_of
from tests.session.worlds import SYMBOLS, world, world_strategy

PRICE = 50.0
CARRIERS = ("S00", "S01", "S02")
LIMITED: dict[str, Any] = {
    "symbols": CARRIERS,
    "delta": "deltas",
    "delta_limit": 0.002,
    "vega": "vegas",
    "vega_limit": 0.001,
}
WIDE = {
    "beta_limit": 9.0, "gross_limit": 9.0, "net_limit": 9.0, "single_name_limit": 1.0, "risk_total_fraction": 1.0,
    "risk_per_signal_fraction": 1.0, "adv_limit_fraction": 1.0,
}  # fmt: skip


def greeks(count: int, **changed: object) -> Greeks:
    """Options on something: 3 to 5 dollars a contract for 1%, and vega on one of them alone."""
    delta, vega = np.full(count, np.nan), np.full(count, np.nan)
    delta[:3], vega[:3] = [3.0, 4.0, -5.0], [0.0, 2.5, 0.0]
    named = {"delta": delta, "vega": vega}
    for name, values in changed.items():
        named[name][:3] = values
    return Greeks(np.arange(count) < 3, named)


def per_name(**changes: object) -> DecisionInputs:
    return facts(4, calibrated_probability=np.array([0.62, 0.62, 0.38, 0.60]), **changes)


def programme(**changes: object) -> DecisionInputs:
    probability = np.r_[0.60, 0.60, 0.42, np.full(NAMES - 3, 0.54)]
    return inputs_of(calibrated_probability=probability, **changes)


CONSTRUCTIONS = {"per_name": (per_name, 4), "programme": (programme, NAMES)}


def settings(construction: str, limited: dict[str, object] | None = None) -> PortfolioSettings:
    named = {} if limited is None else {"greeks": limited}
    return PortfolioSettings.model_validate({"construction": construction, **WIDE, **named})


def of_book(decision: Decision, greek: np.ndarray) -> float:
    """Fraction of equity."""
    held = decision.target_quantity != 0.0
    return float((decision.target_quantity[held] * np.nan_to_num(greek[held])).sum()) / decision.inputs.equity_usd


@pytest.mark.parametrize("greek", ["delta", "vega"])
@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_the_book_keeps_to_the_limit_and_the_trace_names_it(construction: str, greek: str) -> None:
    made, count = CONSTRUCTIONS[construction]
    known = greeks(count)
    free = decide(made(greeks=known), settings(construction), COSTS)
    limited = {name: value for name, value in LIMITED.items() if name in ("symbols", greek, f"{greek}_limit")}
    limit = LIMITED[f"{greek}_limit"]
    assert abs(of_book(free, known.per_unit[greek])) > 2.0 * limit
    bound = decide(made(greeks=known), settings(construction, limited), COSTS)
    lot = 5.0 / 1_000_000.0
    assert 0.9 * limit < abs(of_book(bound, known.per_unit[greek])) <= limit + lot
    frame = steps_frame(bound)
    after = frame.pivot(index="step", columns="symbol", values="weight_after")[list(bound.inputs.symbols)].to_numpy()
    named = dict(zip(bound.inputs.symbols, binding_constraints(bound, after), strict=True))
    of_it = [symbol for symbol, bound_by in named.items() if bound_by == (greek, 6)]
    assert set(of_it) & set(CARRIERS)
    sixth = frame[frame["step"] == 6].set_index("symbol")["reason"]
    assert all(greek in sixth[symbol] for symbol in of_it)
    both = decide(made(greeks=known), settings(construction, LIMITED), COSTS)
    assert abs(of_book(both, known.per_unit[greek])) <= limit + lot


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_an_instrument_whose_greek_is_not_known_is_not_held_and_the_others_are(construction: str) -> None:
    made, count = CONSTRUCTIONS[construction]
    chosen = settings(construction, LIMITED)
    held = np.zeros(count)
    held[1] = 40.0
    lacking = decide(
        made(greeks=greeks(count, vega=[0.0, np.nan, 0.0]), current_quantity=held, unscaled_quantity=held),
        chosen,
        COSTS,
    )
    assert lacking.target_quantity[1] == 0.0  # what is held is closed
    assert lacking.target_quantity[0] != 0.0
    assert lacking.target_quantity[3] != 0.0  # carries none
    reasons = steps_frame(lacking).set_index(["symbol", "step"])["reason"]
    assert "a Greek of it" in reasons["S01", 1]
    # Nobody gives any: a way to a decision that forgets them holds none of their instruments.
    nobody = decide(made(), chosen, COSTS)
    assert not nobody.target_quantity[:3].any()
    assert nobody.target_quantity[3] != 0.0


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_what_cannot_be_sold_and_lacks_its_greek_leaves_room_for_no_other_that_has_greeks(construction: str) -> None:
    made, count = CONSTRUCTIONS[construction]
    price, held, mark = np.full(count, PRICE), np.zeros(count), np.full(count, PRICE)
    price[1], held[1] = np.nan, 40.0
    stuck = made(
        greeks=greeks(count, delta=[3.0, np.nan, -5.0]),
        reference_price=price,
        current_quantity=held,
        unscaled_quantity=held,
        last_mark=mark,
    )
    decision = decide(stuck, settings(construction, LIMITED), COSTS)
    assert not decision.target_quantity[[0, 2]].any()
    assert decision.target_quantity[3] != 0.0
    known = decide(replace(stuck, greeks=greeks(count)), settings(construction, LIMITED), COSTS)
    assert known.target_quantity[[0, 2]].any()
    assert abs(of_book(known, greeks(count).per_unit["delta"])) <= 0.002 + 5e-6


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_greeks_that_nothing_limits_change_no_bit(construction: str) -> None:
    made, count = CONSTRUCTIONS[construction]
    chosen = settings(construction)
    with_them, without = (decide(made(greeks=known), chosen, COSTS) for known in (greeks(count), None))
    assert with_them.target_quantity.tobytes() == without.target_quantity.tobytes()
    assert with_them.weights.tobytes() == without.weights.tobytes()


# --- as known at each session -------------------------------------------------------------------------------


def limited_by(**changes: object) -> Strategy:
    base = world_strategy()
    portfolio = base.portfolio.model_dump(mode="json", exclude_unset=True)
    series = [
        {"name": name, "path": "greeks.csv", "value_column": name, "lag_minutes": 0, "stale_after_sessions": 1}
        for name in ("delta", "vega")
    ]
    limited = {"symbols": ["AAA"], "delta": "delta", "delta_limit": 0.01, **changes}
    of_world = base.model_dump(mode="json", exclude_unset=True)
    return Strategy.model_validate(of_world | {"series": series, "portfolio": {**portfolio, "greeks": limited}})


def observations(*rows: tuple[str, str, str, float]) -> pd.DataFrame:
    """Name and symbol, day, when it was known, value."""
    frame = pd.DataFrame(rows, columns=["symbol", "session", "known_at", "value"])
    known = pd.to_datetime(frame["known_at"], utc=True).dt.as_unit("ns")
    session = pd.to_datetime(frame["session"]).dt.as_unit("ns")
    return frame.assign(
        name="delta", session=session, known_at=known, ingested_at=known, observed_at=session.dt.tz_localize("UTC")
    )


SESSIONS = pd.DatetimeIndex(["2014-03-03", "2014-03-04", "2014-03-05", "2014-03-06", "2014-03-07"]).as_unit("ns")
AS_THEN = [
    ("AAA", "2014-03-03", "2014-03-03 21:00", 1.0),
    ("AAA", "2014-03-04", "2014-03-05 12:00", 2.0),  # known a day late
    ("", "2014-03-03", "2014-03-03 21:00", 9.0),  # of the whole market: of no instrument
]


def test_each_session_reads_what_it_knew_and_a_stale_or_absent_greek_is_none() -> None:
    known = greeks_known(limited_by(), observations(*AS_THEN), SESSIONS, SYMBOLS)
    assert known is not None
    assert known.carried.tolist() == [True, False, False, False, False]
    np.testing.assert_array_equal(known.per_unit["delta"][:, 0], [1.0, 1.0, 2.0, np.nan, np.nan])
    assert np.isnan(known.per_unit["delta"][:, 1:]).all()
    # Restated, and more, later: rows before stay to the bit.
    later = [("AAA", "2014-03-03", "2014-03-06 12:00", 70.0), ("AAA", "2014-03-06", "2014-03-06 20:00", 80.0)]
    after = greeks_known(limited_by(), observations(*AS_THEN, *later), SESSIONS, SYMBOLS)
    assert after is not None
    assert after.per_unit["delta"][:3].tobytes() == known.per_unit["delta"][:3].tobytes()
    assert after.per_unit["delta"][3, 0] == 80.0
    assert greeks_known(world_strategy(), observations(*AS_THEN), SESSIONS, SYMBOLS) is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"delta": None}, "state the series and its limit"),
        ({"gamma": "gammas"}, "state the series and its limit"),
        ({"delta": None, "delta_limit": None}, "limits nothing"),
        ({"delta": "deltas"}, "names deltas, which series does not"),
        ({"symbols": []}, "at least 1 item"),
        ({"symbols": ["AAA", "AAA"]}, "names a symbol twice"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        limited_by(**changes)


# --- end to end: a replay whose book would be far beyond the limit -------------------------------------------


def test_a_replay_keeps_the_book_within_its_greeks_on_every_session() -> None:
    of = world(world_strategy())
    rows = range(150, 175)
    delta = np.full((len(of.panel.sessions), 5), np.nan)
    delta[:, :2] = 4.0
    delta[160:163, 0] = np.nan  # not delivered for three sessions
    known = Greeks(np.arange(5) < 2, {"delta": delta})
    market = replace(of.market, greeks=known)
    limited = {"symbols": SYMBOLS[:2], "delta": "delta", "delta_limit": 0.002}

    def played(strategy: Strategy) -> tuple[list[float], list[float]]:
        state = first_session_state(strategy, SYMBOLS, of.panel.sessions[rows[0]])
        sums, of_first = [], []
        for row in rows:
            facts_of = SessionFacts(market.at(row), of.signals(row), None, Controls(verdict_allows=True))
            done = play_session(strategy, cost_model_from(strategy.costs), 252, state, facts_of, PaperBroker)
            state = done.session_state
            target = done.decision.target_quantity
            sums.append(abs(4.0 * float(target[:2].sum())) / done.decision.inputs.equity_usd)
            of_first.append(float(target[0]))
        return sums, of_first

    portfolio = of.strategy.portfolio.model_copy(update=WIDE)
    free, _ = played(of.strategy.model_copy(update={"portfolio": portfolio}))
    chosen = PortfolioSettings.model_validate({**portfolio.model_dump(exclude_unset=True), **WIDE, "greeks": limited})
    bound, first = played(of.strategy.model_copy(update={"portfolio": chosen}))
    assert max(free) > 0.006
    assert max(bound) <= 0.002 + 4.0 / 900_000.0
    assert max(bound) > 0.0018
    assert first[10:13] == [0.0, 0.0, 0.0]
    assert any(first[:10])
