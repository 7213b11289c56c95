"""Kelly bets on binary contracts, against published numbers and a search by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize

from nn_assets.portfolio.binary_kelly import kelly_stakes


def alone(p: float, ask: float, bid: float | None = None) -> float:
    price = np.array([ask]), np.array([ask if bid is None else bid])
    return float(kelly_stakes(np.array([p]), *price, np.zeros(1, dtype=np.int64))[0])


@pytest.mark.parametrize(
    ("p", "price", "stake"),
    [
        (0.6, 0.5, 0.2),  # even odds: Kelly (1956), 2 p - 1
        (0.55, 0.5, 0.1),
        (0.6, 1.0 / 3.0, 0.4),  # 2 to 1: Thorp (2006), p - q / b
        (0.4, 0.5, -0.2),
        (0.1, 0.25, -0.6),  # no at 0.75: (0.25 - 0.1) / 0.25
        (0.3, 0.3, 0.0),
        (1.0, 0.9, 1.0),
        (0.0, 0.2, -1.0),
    ],
)
def test_a_contract_alone_has_the_bet_of_the_books(p: float, price: float, stake: float) -> None:
    assert alone(p, price) == pytest.approx(stake, abs=1e-12)


def test_costs_are_in_the_price_and_between_bid_and_ask_nothing_is_bet() -> None:
    assert alone(0.6, 0.52, 0.48) == pytest.approx(0.08 / 0.48, abs=1e-12)
    assert alone(0.4, 0.52, 0.48) == pytest.approx(-0.08 / 0.48, abs=1e-12)
    assert alone(0.51, 0.52, 0.48) == alone(0.49, 0.52, 0.48) == 0.0


def test_names_of_their_own_are_solved_each_by_itself() -> None:
    p, price = np.array([0.6, 0.1, 0.3]), np.array([0.5, 0.25, 0.3])
    np.testing.assert_allclose(kelly_stakes(p, price, price, np.arange(3)), [0.2, -0.6, 0.0], atol=1e-12)


def _reserve_rate(p: list[float], price: list[float]) -> list[float]:
    """Smoczynski and Tomkins (2010): outcomes by p over price, taken while that is above the reserve rate."""
    order = sorted(range(len(p)), key=lambda j: p[j] / price[j], reverse=True)
    taken: list[int] = []
    rate = 1.0
    for j in order:
        if p[j] / price[j] <= rate:
            break
        taken.append(j)
        rate = (1.0 - sum(p[i] for i in taken)) / (1.0 - sum(price[i] for i in taken))
    return [p[j] - rate * price[j] if j in taken else 0.0 for j in range(len(p))]


def test_outcomes_that_exclude_each_other_have_the_stakes_of_the_reserve_rate() -> None:
    draw = np.random.default_rng(5)
    bets = 0
    for _ in range(40):
        count = int(draw.integers(2, 7))
        price = draw.dirichlet(np.ones(count + 1))[:count] * 1.08 + 0.01
        if price.sum() >= 0.98:
            continue
        p = draw.dirichlet(np.full(count + 1, 4.0))[:count]
        stakes = kelly_stakes(p, price, np.zeros(count), np.zeros(count, dtype=np.int64))
        np.testing.assert_allclose(stakes, _reserve_rate(p.tolist(), price.tolist()), atol=1e-9)
        bets += int((stakes > 0.0).sum())
    assert bets > 40


def _growth(p: np.ndarray, contracts: np.ndarray, ask: np.ndarray, bid: np.ndarray) -> float:
    """E log of what capital becomes; -inf where an outcome that can be ruins it."""
    outlay = np.where(contracts > 0.0, contracts * ask, contracts * bid).sum()
    after = np.concatenate([[1.0 - outlay], 1.0 - outlay + contracts])
    chance = np.concatenate([[1.0 - p.sum()], p])
    if (after[chance > 0.0] <= 0.0).any():
        return -np.inf
    return float((chance[chance > 0.0] * np.log(after[chance > 0.0])).sum())


@pytest.mark.parametrize(
    ("p", "mid", "cost"),
    [
        ((0.5, 0.2), (0.4, 0.3), 0.01),
        ((0.2, 0.2, 0.3), (0.35, 0.15, 0.3), 0.0),
        ((0.7, 0.1), (0.55, 0.3), 0.02),
        ((0.05, 0.5), (0.3, 0.35), 0.0),
    ],
)
def test_no_book_on_a_grid_grows_faster(p: tuple[float, ...], mid: tuple[float, ...], cost: float) -> None:
    chance, price = np.array(p), np.array(mid)
    ask, bid = price + cost, price - cost
    stakes = kelly_stakes(chance, ask, bid, np.zeros(len(p), dtype=np.int64))
    best = np.where(stakes > 0.0, stakes / ask, stakes / (1.0 - bid))
    growth = _growth(chance, best, ask, bid)
    assert np.count_nonzero(stakes) >= 1
    assert growth > 0.0
    for away in itertools.product(np.linspace(-0.6, 0.6, 13), repeat=len(p)):
        assert _growth(chance, best + np.array(away), ask, bid) <= growth + 1e-12


def test_what_is_not_known_gets_nothing_and_takes_nothing_from_its_event() -> None:
    p, price = np.array([0.5, np.nan, 0.2]), np.array([0.4, 0.2, np.nan])
    stakes = kelly_stakes(p, price, price, np.zeros(3, dtype=np.int64))
    assert stakes[1:].tolist() == [0.0, 0.0]
    assert stakes[0] == pytest.approx(0.1 / 0.6, abs=1e-12)


def test_bids_that_come_to_more_than_one_are_doubted() -> None:
    p, bid = np.array([0.4, 0.4, 0.3]), np.array([0.6, 0.5, 0.3])
    stakes = kelly_stakes(p, bid + 0.01, bid, np.array([0, 0, 1]))
    assert np.isnan(stakes[:2]).all()
    assert stakes[2] == 0.0


def test_probabilities_that_come_to_more_than_one_are_scaled_and_never_stake_more_than_all() -> None:
    p, price = np.array([0.9, 0.6]), np.array([0.3, 0.3])
    stakes = kelly_stakes(p, price, np.zeros(2), np.zeros(2, dtype=np.int64))
    np.testing.assert_allclose(stakes, [0.6, 0.4], atol=1e-9)


def _best_growth(p: np.ndarray, ask: np.ndarray, bid: np.ndarray) -> float:
    """The largest E log by sequential least squares over contracts of both sides, each paid for out of the capital."""
    count = len(p)
    chance, paid = np.concatenate([[1.0 - p.sum()], p]), np.concatenate([ask, 1.0 - bid])
    outlay = np.concatenate([-ask, bid])
    slope = np.vstack([outlay, np.hstack([np.eye(count), -np.eye(count)]) + outlay])

    def after(contracts: np.ndarray) -> np.ndarray:
        return np.maximum(1.0 + slope @ contracts, 1e-12)

    answer = minimize(
        lambda contracts: -(chance @ np.log(after(contracts))),
        np.zeros(2 * count),
        jac=lambda contracts: -(chance / after(contracts)) @ slope,
        bounds=[(0.0, None)] * (2 * count),
        constraints=[
            {"type": "ineq", "fun": lambda contracts: 1.0 - paid @ contracts, "jac": lambda _: -paid},
            {"type": "ineq", "fun": lambda contracts: 1.0 + slope @ contracts - 1e-9, "jac": lambda _: slope},
        ],
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-13},
    )
    contracts = np.maximum(answer.x, 0.0)
    contracts /= max(1.0, float(paid @ contracts))
    return float(chance @ np.log(after(contracts)))


@pytest.mark.parametrize("events", [40, pytest.param(300, marks=pytest.mark.full)])
def test_where_the_stakes_would_come_to_more_than_all_they_are_the_optimum_of_all(events: int) -> None:
    draw = np.random.default_rng(11)
    bound = 0
    while bound < events:
        count = int(draw.integers(2, 9))
        mid, half = draw.dirichlet(np.ones(count + 1))[:count] * draw.uniform(0.8, 1.0), draw.uniform(0.0, 0.01)
        ask, bid = np.clip(mid + half, 0.001, 0.999), np.clip(mid - half, 0.0, 0.99)
        p = draw.dirichlet(np.full(count + 1, draw.uniform(0.5, 4.0)))[:count]
        stakes = kelly_stakes(p, ask, bid, np.zeros(count, dtype=np.int64))
        total = np.abs(stakes).sum()
        assert total <= 1.0 + 1e-9
        if total < 1.0 - 1e-9:
            continue
        bound += 1
        contracts = np.where(stakes > 0.0, stakes / ask, stakes / (1.0 - bid))
        assert _growth(p, contracts, ask, bid) == pytest.approx(_best_growth(p, ask, bid), abs=1e-6)


@pytest.mark.parametrize("p", [0.0, 0.01])
def test_ten_noes_of_one_event_share_the_capital_and_leave_another_event_alone(p: float) -> None:
    chance, price = np.append(np.full(10, p), 0.6), np.append(np.full(10, 0.09), 0.5)
    stakes = kelly_stakes(chance, price, price, np.append(np.zeros(10, dtype=np.int64), 1))
    np.testing.assert_allclose(stakes, [-0.1] * 10 + [0.2], atol=1e-9)


def test_of_noes_that_cannot_lose_all_goes_to_the_one_that_pays_best() -> None:
    """Outcomes that cannot be are free of risk: the dearest bid gains the most, 0.4 on 0.6, and nothing beside it."""
    bid = np.array([0.4, 0.2, 0.1])
    stakes = kelly_stakes(np.zeros(3), bid + 0.01, bid, np.zeros(3, dtype=np.int64))
    np.testing.assert_allclose(stakes, [-1.0, 0.0, 0.0], atol=1e-9)
