"""What ``per_name`` never does, on random books of 1 to 60 names with mixed holdings, all controls, all limits.

The contract's property (f), volatility at fixed mu, and of the others those that hold name by name: (a) scales,
(b) a name's own cap, (d) limits, (e) a constant signal. Every book is decided and judged by (a) and (d); each of the
first 600 by one comparison in turn, each of the others by all. Every 20th is played on for (e). Inputs only are
drawn here; what is expected is arithmetic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from nn_assets.portfolio.decide import Decision, DecisionInputs, decide
from nn_assets.portfolio.inputs import ProgrammeFacts
from nn_assets.portfolio.targets import carried
from nn_assets.settings import PortfolioSettings
from tests.portfolio.facts import COSTS

TOLERANCE = 1e-6
HORIZON = 10
WIN, LOSS = 0.82, 0.78  # in the name's own volatility over the horizon
USUAL = 0.016
LIMITS = ("single name", "ADV", "2% at risk", "usual volatility", "risk", "gross", "capacity", "sector", "net", "beta")


def random_settings(g: np.random.Generator, names: int) -> PortfolioSettings:
    return PortfolioSettings(
        gross_limit=float(g.choice([1.0, 0.3])),
        net_limit=float(g.choice([1.0, 0.3, 0.0])),
        beta_limit=float(g.choice([1.0, 0.05])),
        single_name_limit=float(g.choice([0.05, 0.1, 0.3, 1.0])),
        risk_total_fraction=float(g.choice([0.1, 0.03])),
        sector_limit=float(g.choice([0.3, 0.1])),
        sectors={f"S{index:02d}": f"sector {index % 5}" for index in range(names)},
        capacity_usd=2e5 if g.random() < 0.2 else None,
        allow_short=bool(g.random() < 0.8),
        hold_premium=bool(g.random() < 0.3),
        when_paused=str(g.choice(["flat", "hold"])),
    )


def random_facts(seed: int, most: int = 60) -> tuple[DecisionInputs, PortfolioSettings]:
    g = np.random.default_rng([seed, 31])
    n = int(np.exp(g.uniform(0.0, np.log(most + 1))))
    chosen = random_settings(g, n)
    sigma = USUAL * np.exp(0.4 * g.normal(size=n))
    price = np.exp(np.log(50.0) + 0.4 * g.normal(size=n))
    market = g.normal(0.0, 0.008, (60, 1))
    returns = market * (1.0 + 0.3 * g.normal(size=n)) + sigma * g.normal(size=(60, n))
    equity = float(g.choice([1e5, 1e6, 1e7]))
    adv = np.exp(np.log(8e7) + 1.5 * g.normal(size=n))
    rate = 0.5 + 0.02 * g.normal(size=n)
    p = rate + g.choice([0.01, 0.03, 0.06]) * g.normal(size=n)
    p = np.where(g.random(n) < 0.05, np.nan, np.clip(p, 0.05, 0.95))
    held = np.trunc(g.choice([0.0, 0.3, 1.0, 3.0]) * g.normal(size=n) / n * equity / price * (g.random(n) < 0.8))
    unscaled = np.where(g.random(n) < 0.2, 1.6 * held, held)
    gone = (g.random(n) < 0.05) & (g.random() < 0.3)
    distance = np.where(g.random(n) < 0.4, g.uniform(0.0, 0.9, n), 0.06) * price
    inputs = DecisionInputs(
        symbols=tuple(f"S{index:02d}" for index in range(n)),
        session=np.datetime64("2017-06-01"),
        reference_price=np.where(gone, np.nan, price),
        last_mark=price,
        calibrated_probability=p,
        base_rate=rate,
        confidence=g.uniform(0.3, 1.0, n),
        mean_win=WIN * sigma * HORIZON**0.5,
        mean_loss=LOSS * sigma * HORIZON**0.5,
        outcomes=np.where(g.random(n) < 0.03, 10, 500).astype(np.int64),
        outcome_sessions=np.full(n, 300, dtype=np.int64),
        atr=1.5 * sigma * price,
        daily_volatility=sigma,
        adv_usd=adv,
        trailing_returns=returns,
        beta=np.where(g.random(n) < 0.1, np.nan, 1.0 + 0.3 * g.normal(size=n)),
        current_quantity=held,
        unscaled_quantity=unscaled,
        stop_price=np.where(held == 0.0, np.nan, np.maximum(price - np.sign(held) * distance, 0.01)),
        blocked_side=(g.integers(-1, 2, n) * (g.random(n) < 0.1)).astype(np.int64),
        equity_usd=equity,
        drawdown_fraction=float(g.choice([0.0, 0.03, 0.05, 0.07])),
        was_halved=bool(g.random() < 0.3),
        horizon_sessions=HORIZON,
        edge_scale=0.5 / (WIN * LOSS * USUAL),
        verdict_allows=True,
        trading_state=str(g.choice(["CONTINUE", "CONTINUE", "REDUCE_SIZE", "PAUSE_STRATEGY"])),
        kill_switch=str(g.choice(["ACTIVE", "ACTIVE", "ACTIVE", "REDUCING"])),
        regime_scale=float(g.choice([1.0, 1.0, 0.5])),
    )
    return inputs, chosen


@pytest.mark.parametrize(
    ("books", "compared"),
    [(range(200), 1), pytest.param(range(200, 11_000), 5, marks=pytest.mark.full)],
    ids=["200", "10,800"],
)
def test_the_properties_hold_on_random_books(books: range, compared: int, capsys: pytest.CaptureFixture[str]) -> None:
    binding: Counter[str] = Counter()
    for seed in books:
        inputs, chosen = random_facts(seed)
        decision = decide(inputs, chosen, COSTS)
        assert decision.answer.no_answer is None
        binding.update(_binding(decision))
        _no_control_leaves_more_than_its_scale(decision)
        _no_limit_is_exceeded(decision)
        g = np.random.default_rng([seed, 32])
        for turn in range(seed, seed + compared):
            COMPARISONS[turn % len(COMPARISONS)](decision, g)
        if seed % 20 == 0:
            _a_constant_signal_reaches_a_constant_size(inputs, chosen)
    shares = {name: binding[name] / len(books) for name in (*LIMITS, "gross above 5%", "no price", "long only")}
    with capsys.disabled():
        print(f"\n{len(books):,} books; binding: {', '.join(f'{name} {share:.1%}' for name, share in shares.items())}")
    assert shares["gross above 5%"] >= 0.5
    assert min(shares.values()) >= 0.05


@pytest.mark.parametrize(
    "books", [[*range(60), 1543], pytest.param(range(60, 10_060), marks=pytest.mark.full)], ids=["60", "10,000"]
)
def test_whole_decisions_by_the_programme_keep_to_the_same_limits_and_scales(books: Sequence[int]) -> None:
    held = 0
    for seed in books:
        inputs, chosen = random_facts(seed)
        by_programme = chosen.model_copy(update={"construction": "programme"})
        decision = decide(_with_programme_facts(inputs, seed), by_programme, COSTS)
        assert decision.answer.no_answer is None
        _no_control_leaves_more_than_its_scale(decision)
        _no_limit_is_exceeded(decision)
        _more_drawdown(decision, np.random.default_rng([seed, 34]))
        held += bool(np.abs(decision.weights[7]).sum() > 0.05)
    assert held >= 0.5 * len(books)


def _with_programme_facts(inputs: DecisionInputs, seed: int) -> DecisionInputs:
    g, n = np.random.default_rng([seed, 33]), len(inputs.symbols)
    market = g.normal(0.0, 0.008, (120, 1))
    programme = ProgrammeFacts(
        label_volatility=inputs.daily_volatility,
        outcome_slope=2.3,
        change_share=0.7,
        autocorrelation=0.825,
        returns=market * inputs.beta.clip(0.5, 1.5) + inputs.daily_volatility * g.normal(size=(120, n)),
        relative=bool(g.random() < 0.5),
        short_fee=0.0001,
        margin_fee=0.0001,
    )
    return replace(inputs, programme=programme)


def _parts(decision: Decision) -> dict[str, np.ndarray]:
    """Facts of a book that limits are measured by, written down anew."""
    inputs, chosen = decision.inputs, decision.settings
    priced = np.isfinite(inputs.reference_price)
    side = np.sign(inputs.current_quantity)
    resting = side * (inputs.reference_price - inputs.stop_price) / inputs.reference_price
    added = chosen.stop_atr_multiple * inputs.atr / inputs.reference_price
    distance = np.where(resting > added, resting, added)
    kept = inputs.current_quantity
    if chosen.construction == "programme":  # which carries the unscaled book on, and counts the larger of the two
        kept = np.where(np.abs(kept) > np.abs(inputs.unscaled_quantity), kept, inputs.unscaled_quantity)
    stuck = np.where(priced, 0.0, kept * inputs.last_mark / inputs.equity_usd)
    return {
        "distance": np.where(priced, distance, 0.0),
        "beta": np.where(np.isfinite(inputs.beta), inputs.beta, 1.0),
        "stuck": stuck,
        "u": np.where(priced, decision.weights[7], 0.0),
        "single name": np.full(len(stuck), chosen.single_name_limit),
        "ADV": chosen.adv_limit_fraction * inputs.adv_usd / inputs.equity_usd,
        "2% at risk": 0.02 / np.where(priced, distance, np.inf),
    }


def _binding(decision: Decision) -> set[str]:
    chosen, of = decision.settings, _parts(decision)
    u, book = of["u"], of["u"] + of["stuck"]
    sectors = np.arange(len(u)) % 5
    binding = {name for name in ("single name", "ADV", "2% at risk") if _at(np.abs(u), of[name], u != 0.0)}
    binding |= (
        {"usual volatility"} if _at(np.abs(u), np.abs(decision.weights[5]), _cut_in_step_five(decision)) else set()
    )
    binding |= {"risk"} if np.abs(book) @ of["distance"] >= chosen.risk_total_fraction - TOLERANCE else set()
    capacity = np.inf if chosen.capacity_usd is None else chosen.capacity_usd / decision.inputs.equity_usd
    named = "capacity" if capacity < chosen.gross_limit else "gross"
    binding |= {named} if np.abs(book).sum() >= min(chosen.gross_limit, capacity) - TOLERANCE else set()
    grouped = [np.abs(book[sectors == sector]).sum() for sector in range(5)]
    binding |= {"sector"} if max(grouped) >= chosen.sector_limit - TOLERANCE else set()
    binding |= {"net"} if abs(book.sum()) >= max(chosen.net_limit, 0.005) - TOLERANCE else set()
    binding |= {"beta"} if abs(of["beta"] @ book) >= chosen.beta_limit - TOLERANCE else set()
    binding |= {"gross above 5%"} if np.abs(u).sum() > 0.05 else set()
    binding |= {"no price"} if of["stuck"].any() else set()
    return binding | (set() if chosen.allow_short else {"long only"})


def _at(size: np.ndarray, cap: np.ndarray, of: np.ndarray) -> bool:
    return bool((of & (np.abs(size - cap) <= TOLERANCE)).any())


def _cut_in_step_five(decision: Decision) -> np.ndarray:
    return np.abs(decision.weights[5]) < np.abs(decision.weights[4]) - TOLERANCE


def _no_control_leaves_more_than_its_scale(decision: Decision) -> None:
    """(a): the scale is worked out here, from the states in force."""
    inputs, chosen = decision.inputs, decision.settings
    scale = inputs.regime_scale
    scale *= 0.5 if inputs.drawdown_fraction > (0.45 if inputs.was_halved else 0.60) * 0.08 else 1.0
    scale *= {"CONTINUE": 1.0, "REDUCE_SIZE": 0.5, "PAUSE_STRATEGY": 0.5 if chosen.when_paused == "hold" else 0.0}[
        inputs.trading_state
    ]
    priced = np.isfinite(inputs.reference_price)
    target, u = np.abs(decision.target_quantity[priced]), np.abs(decision.unscaled_quantity[priced])
    assert (target <= scale * u + 1.0).all()
    if inputs.kill_switch == "REDUCING":
        assert (target <= np.abs(inputs.current_quantity[priced]) + 1e-9).all()
    assert (decision.target_quantity[~priced] == inputs.current_quantity[~priced]).all()


def _no_limit_is_exceeded(decision: Decision) -> None:
    """(d): but by what has no price, and never by more than that alone."""
    chosen, of, inputs = decision.settings, _parts(decision), decision.inputs
    u, stuck = of["u"], of["stuck"]
    book = u + stuck
    for cap in ("single name", "ADV", "2% at risk"):
        assert (np.abs(u) <= of[cap] + TOLERANCE).all()
    capacity = np.inf if chosen.capacity_usd is None else chosen.capacity_usd / inputs.equity_usd
    sectors = np.arange(len(u)) % 5
    for weight, limit in (
        (np.ones(len(u)), min(chosen.gross_limit, capacity)),
        (of["distance"], chosen.risk_total_fraction),
        *((sectors == sector, chosen.sector_limit) for sector in range(5)),
    ):
        assert weight @ np.abs(book) <= max(limit, weight @ np.abs(stuck)) + TOLERANCE
    for weight, limit in ((np.ones(len(u)), max(chosen.net_limit, 0.005)), (of["beta"], chosen.beta_limit)):
        assert abs(weight @ book) <= max(limit, abs(weight @ stuck)) + TOLERANCE
    assert (u[inputs.blocked_side > 0] <= 0.0).all()
    assert (u[inputs.blocked_side < 0] >= 0.0).all()
    if not chosen.allow_short:
        assert (u >= 0.0).all()
    # After rounding, within one lot of the dearest name on either side: of what is held without a price, and not of
    # the unscaled book that is carried on for it.
    kept = np.where(np.isfinite(inputs.reference_price), 0.0, inputs.current_quantity * inputs.last_mark)
    stays = kept.sum() / inputs.equity_usd
    lot = float(np.nan_to_num(inputs.reference_price).max()) / inputs.equity_usd
    assert abs(decision.target_weight.sum() + stays) <= max(chosen.net_limit, 0.005, lot, abs(stays)) + TOLERANCE


def _chosen_name(decision: Decision, g: np.random.Generator) -> int:
    return int(np.argmax(np.abs(decision.weights[7])) if g.random() < 0.7 else g.integers(len(decision.direction)))


def _never_larger(decision: Decision, changed: DecisionInputs, name: int) -> None:
    after = decide(changed, decision.settings, COSTS)
    lot = np.nan_to_num(decision.inputs.reference_price[name]) / decision.inputs.equity_usd
    # A change below a lot is not made: the book before may stand for either.
    assert abs(after.weights[7, name]) <= abs(decision.weights[7, name]) + lot + TOLERANCE
    assert abs(after.weights[6, name]) <= abs(decision.weights[6, name]) + TOLERANCE


def _scaled(values: np.ndarray, name: int, factor: float) -> np.ndarray:
    return values * np.where(np.arange(len(values)) == name, factor, 1.0)


def _more_volatility(decision: Decision, g: np.random.Generator) -> None:
    """(f): mu is that of p, G and L, which stay as they are."""
    name, factor = _chosen_name(decision, g), 1.0 + 3.0 * g.random()
    changed = replace(decision.inputs, daily_volatility=_scaled(decision.inputs.daily_volatility, name, factor))
    _never_larger(decision, changed, name)


def _more_volatility_in_win_and_loss(decision: Decision, g: np.random.Generator) -> None:
    """(f): G and L grow with the volatility, and p nears break-even so that p G - (1 - p) L stays as it was."""
    inputs, name = decision.inputs, _chosen_name(decision, g)
    factor = 1.0 + 2.0 * g.random()
    hold = decision.settings.hold_premium
    rate = 0.5 if hold else inputs.base_rate[name]
    moved = inputs.calibrated_probability[name] - rate
    side, even = np.sign(moved), LOSS / (WIN + LOSS)
    mu = 0.5 + abs(moved) - even  # in units of G + L
    if not mu > 0.0 or side == 0.0:
        return  # no edge on the side of the signal: there is nothing to keep fixed
    nearer = inputs.calibrated_probability.copy()
    nearer[name] = rate + side * (even + mu / factor - 0.5)
    if np.sign(nearer[name] - rate) != side:
        return  # G is larger than L: the same mu would lie on the other side of one half
    changed = replace(
        inputs,
        calibrated_probability=nearer,
        daily_volatility=_scaled(inputs.daily_volatility, name, factor),
        mean_win=_scaled(inputs.mean_win, name, factor),
        mean_loss=_scaled(inputs.mean_loss, name, factor),
    )
    _never_larger(decision, changed, name)


def _less_volume(decision: Decision, g: np.random.Generator) -> None:
    """(b): a name's own cap by volume, which is also a dearer order."""
    name = _chosen_name(decision, g)
    _never_larger(decision, replace(decision.inputs, adv_usd=_scaled(decision.inputs.adv_usd, name, g.random())), name)


def _wider_range(decision: Decision, g: np.random.Generator) -> None:
    """(b): a stop further away, which also uses more of the total risk."""
    name = _chosen_name(decision, g)
    if (
        np.abs(decision.weights[6]) @ _parts(decision)["distance"]
    ) >= decision.settings.risk_total_fraction - TOLERANCE:
        return  # a budget that others share can then leave the name more
    changed = replace(decision.inputs, atr=_scaled(decision.inputs.atr, name, 1.0 + 0.2 * g.random()))
    after = decide(changed, decision.settings, COSTS)
    if (np.abs(after.weights[6]) @ _parts(after)["distance"]) < decision.settings.risk_total_fraction - TOLERANCE:
        _never_larger(decision, changed, name)


def _more_drawdown(decision: Decision, g: np.random.Generator) -> None:
    """No position is larger for a deeper drawdown, by not one share; the book without a scale stays to the bit."""
    deeper = replace(decision.inputs, drawdown_fraction=decision.inputs.drawdown_fraction + 0.05 * g.random())
    after = decide(deeper, decision.settings, COSTS)
    assert after.weights[7].tobytes() == decision.weights[7].tobytes()
    assert (np.abs(after.target_quantity) <= np.abs(decision.target_quantity)).all()


COMPARISONS = (
    _more_volatility,
    _more_volatility_in_win_and_loss,
    _less_volume,
    _wider_range,
    _more_drawdown,
)


def _a_constant_signal_reaches_a_constant_size(inputs: DecisionInputs, chosen: PortfolioSettings) -> None:
    """(e): within 60 sessions, all filled and no price moved, nothing changes any more, not by a bit."""
    inputs = replace(inputs, stop_price=np.full(len(inputs.symbols), np.nan))
    before = None
    for _ in range(60):
        decision = decide(inputs, chosen, COSTS)
        if before is not None and decision.unscaled_quantity.tobytes() == before.unscaled_quantity.tobytes():
            assert decision.target_quantity.tobytes() == before.target_quantity.tobytes()
            return
        before, held = decision, decision.target_quantity
        u = carried(decision.unscaled_quantity, held, held)
        inputs = replace(inputs, current_quantity=held, unscaled_quantity=u)
    pytest.fail(f"still moving, {len(inputs.symbols)} names")
