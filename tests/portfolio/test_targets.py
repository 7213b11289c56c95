"""Controls, lots and the neutral cut on the unscaled book; and the book carried from session to session."""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.constraints import Limits, SharedLimit
from nn_assets.portfolio.exposure import net_allowance
from nn_assets.portfolio.targets import carried, controlled, in_lots, neutral, whole_targets, without_small_changes
from nn_assets.settings import PortfolioSettings

U = np.array([400.0, -300.0, 0.0, 120.0])


@pytest.mark.parametrize(
    ("control", "scale", "held", "target"),
    [
        (Control.NORMAL, 1.0, [400.0, -300.0, 0.0, 120.0], [400.0, -300.0, 0.0, 120.0]),
        (Control.NORMAL, 0.5, [400.0, -300.0, 0.0, 120.0], [200.0, -150.0, 0.0, 60.0]),
        (Control.REDUCED, 0.25, [0.0, 0.0, 50.0, 0.0], [100.0, -75.0, 0.0, 30.0]),
        (Control.REDUCING, 1.0, [100.0, -500.0, 50.0, -20.0], [100.0, -300.0, 0.0, 0.0]),
        (Control.REDUCING, 0.5, [400.0, -100.0, 50.0, 120.0], [200.0, -100.0, 0.0, 60.0]),  # also a pause that holds
        (Control.FLAT, 1.0, [400.0, -300.0, 50.0, 120.0], [0.0, 0.0, 0.0, 0.0]),
        (Control.HALTED, 0.5, [7.0, -300.0, 50.0, 0.0], [7.0, -300.0, 50.0, 0.0]),
    ],
)
def test_what_each_control_leaves(control: Control, scale: float, held: list[float], target: list[float]) -> None:
    np.testing.assert_array_equal(controlled(U, scale, control, np.array(held)), target)


@pytest.mark.parametrize("scale", [np.nan, -0.5])
def test_a_scale_that_cannot_be_read_is_zero(scale: float) -> None:
    np.testing.assert_array_equal(controlled(U, scale, Control.NORMAL, U), np.zeros(4))


def test_a_scale_above_one_is_one_and_a_missing_quantity_none() -> None:
    np.testing.assert_array_equal(controlled(U, 3.0, Control.NORMAL, U), U)
    np.testing.assert_array_equal(controlled(np.array([np.nan]), 1.0, Control.NORMAL, np.array([5.0])), [0.0])
    assert not np.signbit(controlled(np.array([-5.0]), 0.0, Control.NORMAL, np.array([-5.0])))[0]


@pytest.mark.parametrize("drawdown", [0.5, 1.0])
@pytest.mark.parametrize("reduce", [0.5, 1.0])
@pytest.mark.parametrize("regime", [0.5, 1.0])
def test_the_reproduced_position_is_scaled_whatever_is_held(drawdown: float, reduce: float, regime: float) -> None:
    """400 held stayed 400 under REDUCE, under a drawdown of 6%, under a regime scale of one half, and under all."""
    scale = drawdown * reduce * regime
    target = in_lots(controlled(np.array([400.0]), scale, Control.NORMAL, np.array([400.0])), 1.0)
    assert target[0] == 400.0 * scale


def test_rounding_goes_towards_zero_and_a_whole_number_stays() -> None:
    quantities = in_lots(np.array([1.99, -1.99, 3.0 - 1e-12, -2.0 + 1e-12, 0.3, np.nan, 0.0]), 1.0)
    np.testing.assert_array_equal(quantities, [1.0, -1.0, 3.0, -2.0, 0.0, 0.0, 0.0])
    assert not np.signbit(quantities[4:]).any()
    np.testing.assert_allclose(in_lots(np.array([0.12349, 0.3]), 0.0001), [0.1234, 0.3], rtol=1e-12)
    assert in_lots(np.array([5.0]), 100.0)[0] == 0.0


def cut(quantity: list[float], value: list[float], keep: list[float], **changes: float) -> list[float]:
    settings = {"lot_size": 1.0, "equity_usd": 1_000_000.0, "net_limit": 0.0, **changes}
    return neutral(np.array(quantity), np.array(value), np.array(keep), **settings).tolist()


def test_the_heavier_side_is_cut_the_dearest_to_keep_first() -> None:
    # Net 20,000 of 1 million; 5,000 may stay. The second name is worth least; 150 of its lots go.
    assert cut([500.0, 500.0, -800.0], [100.0, 100.0, 100.0], [0.02, 0.01, 0.0]) == [500.0, 350.0, -800.0]
    assert cut([500.0, 100.0, -400.0], [100.0, 100.0, 100.0], [0.02, 0.01, 0.0]) == [450.0, 0.0, -400.0]
    assert cut([-500.0, -500.0, 800.0], [100.0, 100.0, 100.0], [0.01, 0.02, 0.0]) == [-350.0, -500.0, 800.0]
    assert cut([-500.0, -500.0, 800.0], [100.0, 100.0, 100.0], [0.01, np.nan, 0.0]) == [-500.0, -350.0, 800.0]


def test_within_half_a_percent_or_a_lot_of_the_dearest_name_nothing_is_cut() -> None:
    assert cut([500.0, -450.0], [100.0, 100.0], [0.0, 0.0]) == [500.0, -450.0]
    assert cut([1.0, -1.0], [30_000.0, 10_000.0], [0.0, 0.0]) == [1.0, -1.0]
    assert net_allowance(0.0) == 0.005
    assert net_allowance(0.0, 0.03) == 0.03
    assert net_allowance(1.0, 0.03) == 1.0


def test_what_cannot_be_traded_counts_in_the_net_sum_and_is_not_cut() -> None:
    assert cut([0.0, 100.0, -800.0], [np.nan, 100.0, 100.0], [np.nan, 0.0, 0.0], fixed_usd=80_000.0) == [
        0.0, 50.0, -800.0,
    ]  # fmt: skip
    assert cut([-10.0], [100.0], [0.0], fixed_usd=80_000.0) == [-10.0]  # nothing left to cut on the heavier side


@pytest.mark.parametrize("seed", range(200))
def test_a_balanced_book_in_lots_is_neutral_and_smaller(seed: int) -> None:
    g = np.random.default_rng(seed)
    count, equity = int(g.integers(2, 40)), float(g.choice([1e4, 1e6]))
    weights = 0.05 * g.normal(size=count)
    weights -= weights.mean()
    value = np.exp(g.normal(size=count) + np.log(60.0)) * g.choice([1.0, 20.0])
    before = in_lots(weights * equity / value, 1.0)
    after = neutral(before, value, g.normal(size=count), lot_size=1.0, equity_usd=equity, net_limit=0.0)
    held = value[before != 0.0]
    assert abs(after @ value) <= max(0.005 * equity, held.max(initial=0.0)) + 1e-6
    assert (np.abs(after) <= np.abs(before)).all()
    assert (after * before >= 0.0).all()
    assert (after == np.round(after)).all()


@pytest.mark.parametrize(
    ("prices", "target"),
    [
        # Held: 1,000 x 100 + 1,000 x 10 - 1,050 x 100 = 5,000, the allowance. The price of the second name moves.
        ([100.0, 10.02, 100.0], [1000.0, 998.0, -1050.0]),  # 20 over: two lots of it go
        ([100.0, 9.99, 100.0], [1000.0, 998.0, -1050.0]),  # 10 within: they stay away
        ([100.0, 7.4, 100.0], [1000.0, 1000.0, -1050.0]),  # within half the allowance: they come back
    ],
)
def test_lots_that_the_net_limit_took_stay_away_until_they_fit_with_room(
    prices: list[float], target: list[float]
) -> None:
    u, held = np.array([1000.0, 1000.0, -1050.0]), np.array([1000.0, 998.0, -1050.0])
    targets = whole_targets(
        u, u, held, Control.NORMAL, 1.0, PortfolioSettings(net_limit=0.0), priced=np.ones(3, dtype=bool),
        price=np.array(prices), worth_keeping=np.array([1.0, 0.0, 1.0]), equity_usd=1e6, stuck_usd=0.0,
    )  # fmt: skip
    np.testing.assert_array_equal(targets, target)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("price", [np.nan, np.inf, -np.inf, 0.0, -5.0])
@pytest.mark.parametrize("control", [Control.NORMAL, Control.REDUCED, Control.REDUCING, Control.FLAT])
def test_a_name_whose_price_is_no_positive_number_stays_and_the_others_are_as_without_it(
    control: Control, price: float
) -> None:
    u, held, settings = np.array([100.0, -100.0, 90.0]), np.array([90.0, -80.0, 60.0]), PortfolioSettings(net_limit=0.0)

    def targets(names: slice, prices: list[float]) -> np.ndarray:
        count = len(prices)
        return whole_targets(
            u[names], u[names], held[names], control, 0.5, settings, priced=np.ones(count, dtype=bool),
            price=np.array(prices), worth_keeping=np.zeros(count), equity_usd=1e5, stuck_usd=500.0,
        )  # fmt: skip

    others = targets(slice(1, None), [100.0, 100.0])
    np.testing.assert_array_equal(targets(slice(None), [price, 100.0, 100.0]), [90.0, *others])


def test_a_book_comes_back_whole_at_once_when_its_halving_ends() -> None:
    """Small books, dear and cheap names: 3 in 4 stayed near one half for days where each name is judged alone."""
    chosen, shares = PortfolioSettings(net_limit=0.0), []
    for seed in range(100):
        g = np.random.default_rng([seed, 77])
        price = np.exp(g.uniform(np.log(20.0), np.log(700.0), 40))
        weights = g.normal(size=40)
        u = 2e4 * (weights - weights.mean()) / np.abs(weights - weights.mean()).sum() / price
        held, gross = np.zeros(40), []
        for scale in (1.0, 0.5, 1.0):
            held = whole_targets(
                u, u, held, Control.NORMAL, scale, chosen, priced=np.ones(40, dtype=bool), price=price,
                worth_keeping=weights, equity_usd=2e4, stuck_usd=0.0,
            )  # fmt: skip
            gross.append(float(np.abs(held) @ price))
        shares.append(gross[2] / gross[0])
    assert min(shares) > 0.9


@pytest.mark.parametrize(
    "books", [range(400), pytest.param(range(400, 10_400), marks=pytest.mark.full)], ids=["400", "10,000"]
)
def test_no_smaller_scale_and_no_stricter_control_gives_a_larger_target(books: range) -> None:
    """Books of 2 to 20 names, dear and cheap, held in part and out of balance, under a net limit of 0."""
    cut, chosen = 0, PortfolioSettings(net_limit=0.0)
    for seed in books:
        g = np.random.default_rng([seed, 51])
        n = int(g.integers(2, 21))
        price = np.exp(g.uniform(np.log(3.0), np.log(900.0), n))
        u = g.normal(size=n) * 5e4 / price
        u -= (u @ price) / n / price * g.choice([0.0, 0.9, 1.0])
        held = np.trunc(g.choice([u, 0.5 * u, np.zeros(n), -u]) * (g.random(n) < 0.7))
        arguments = {
            "priced": g.random(n) > 0.05, "price": price, "worth_keeping": g.normal(size=n), "equity_usd": 1e6,
            "stuck_usd": float(g.choice([0.0, 2e4])),
        }  # fmt: skip
        before = np.where(g.random(n) < 0.5, u, 0.9 * u)
        largest = dict.fromkeys((Control.NORMAL, Control.REDUCED, Control.REDUCING), np.full(n, np.inf))
        for scale in (1.0, 0.5, 0.25, 0.125):
            stricter = np.full(n, np.inf)
            for control, known in largest.items():
                targets = np.abs(whole_targets(u, before, held, control, scale, chosen, **arguments))
                assert (targets <= known).all(), (seed, control, scale, targets - known)
                assert (targets <= stricter).all(), (seed, control, scale, targets - stricter)
                aim = np.where(arguments["priced"], scale * np.abs(u), np.abs(held))
                assert (targets <= aim + 1e-9).all()
                cut += bool((targets < np.floor(aim) - 1.0).any()) and control is Control.NORMAL
                largest[control], stricter = targets, targets
    assert cut > 0.3 * len(books)


def test_the_book_carried_is_lowered_by_what_fills_and_stops_left() -> None:
    target = np.array([200.0, -150.0, 100.0, 0.0, 60.0, -40.0])
    u = 2.0 * target + np.array([0.0, 0.0, 0.0, 30.0, 0.0, 0.0])
    held = np.array([200.0, -75.0, 0.0, 5.0, 90.0, 10.0])
    # filled, half filled, stopped out, scaled to nothing, more than the target held, held on the other side
    np.testing.assert_array_equal(carried(u, target, held), [400.0, -150.0, 0.0, 30.0, 120.0, 0.0])


def test_the_book_carried_follows_a_split() -> None:
    quantities = carried(np.array([400.0, 100.0]), np.array([200.0, 0.0]), np.array([400.0, 0.0]), np.array([2.0, 3.0]))
    np.testing.assert_array_equal(quantities, [800.0, 300.0])
    # A quarter of the new shares was filled, and a quarter of the unscaled book goes on.
    quarter = carried(np.array([400.0]), np.array([200.0]), np.array([100.0]), 2.0)
    np.testing.assert_array_equal(quarter, [200.0])


def test_changes_below_a_lot_are_left_out_but_not_where_a_limit_needs_them() -> None:
    start, after, lot = np.array([0.10, 0.05, 0.0]), np.array([0.1004, 0.06, 0.0004]), np.full(3, 0.001)
    wide = Limits(np.full(3, -1.0), np.ones(3), np.full(3, np.inf))
    np.testing.assert_array_equal(without_small_changes(after, start, lot, wide), [0.10, 0.06, 0.0004])
    tight = Limits(wide.lower, wide.upper, wide.reach, (SharedLimit("gross", np.ones(3), 0.1499),))
    needed = np.array([0.0999, 0.05, 0.0])
    np.testing.assert_array_equal(without_small_changes(needed, start, lot, tight), needed)
