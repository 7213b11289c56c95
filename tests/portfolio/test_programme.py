"""The programme against closed forms, against a second solver that shares no code with it, and on bad input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize

from nn_assets.costs.model import cost_model_from
from nn_assets.portfolio import conic, programme
from nn_assets.portfolio.cone_form import Rows
from nn_assets.portfolio.constraints import Limits, SharedLimit, exceeded, no_new_risk
from nn_assets.portfolio.covariance import FactorCovariance
from nn_assets.portfolio.programme import ChangeCost, Financing, Programme, change_cost, solve, worth
from nn_assets.settings import CostSettings
from tests.portfolio.books import matrix_of, random_book, small_book


def one_name(mean: float, variance: float, **changes: object) -> Programme:
    return small_book(
        1, mean=np.array([mean]), covariance=FactorCovariance(np.zeros((1, 0)), np.array([variance])), **changes
    )


# Closed forms


def test_one_name_is_k_mu_over_variance() -> None:
    assert solve(one_name(0.003, 0.01)).weights[0] == pytest.approx(0.5 * 0.003 / 0.01, rel=1e-9)
    assert solve(one_name(0.003, 0.01, kelly_fraction=1.0)).weights[0] == pytest.approx(0.3, rel=1e-9)


def test_an_even_bet_at_55_percent_is_ten_percent_in_full_kelly() -> None:
    # p = 0.55, G = L = 1: mu = 0.1, second moment G L + mu (G - L) = 1; published f* = 0.10.
    assert solve(one_name(0.1, 1.0, kelly_fraction=1.0)).weights[0] == pytest.approx(0.10, rel=1e-9)


@pytest.mark.parametrize(("p", "size"), [(0.52, 0.01), (0.55, 0.02), (0.6, 0.05)])
def test_two_outcomes_at_even_odds_are_half_of_p_over_l_less_q_over_g(p: float, size: float) -> None:
    mean = (2 * p - 1) * size
    weight = solve(one_name(mean, size * size, limits=free_limits(1, 50.0))).weights[0]
    assert weight == pytest.approx(0.5 * (p / size - (1 - p) / size), rel=1e-9)


@pytest.mark.parametrize("odds", [0.8, 0.9, 1.1, 1.25])
@pytest.mark.parametrize(("full", "error"), [(0.02, 0.02), (0.05, 0.02), (0.08, 0.02), (0.1, 0.025)])
def test_two_outcomes_at_other_odds_are_half_kelly_to_second_order(odds: float, full: float, error: float) -> None:
    """2% up to full Kelly of 0.08; at 0.1 the arithmetic itself gives 2.4% at the ends of 0.8 to 1.25."""
    loss = 0.02
    p = (full * odds + 1.0) / (odds + 1.0)  # f* = (p b - q) / b, in units of the stake
    mean = p * odds * loss - (1 - p) * loss
    second = odds * loss * loss + mean * (odds - 1.0) * loss
    weight = solve(one_name(mean, second, limits=free_limits(1, 50.0))).weights[0]
    assert weight * loss == pytest.approx(0.5 * full, rel=error)


def free_limits(names: int, bound: float = 5.0) -> Limits:
    return Limits(np.full(names, -bound), np.full(names, bound), np.full(names, np.inf))


@pytest.mark.parametrize("names", [2, 7, 40])
def test_the_free_optimum_is_half_of_the_inverse_covariance_times_mu(names: int) -> None:
    book = small_book(names, limits=free_limits(names, 50.0))
    expected = 0.5 * np.linalg.solve(matrix_of(book.covariance), book.mean)
    np.testing.assert_allclose(solve(book).weights, expected, atol=1e-6)


def test_independent_names_are_each_their_own() -> None:
    variance = np.array([0.01, 0.02, 0.005])
    book = small_book(3, covariance=FactorCovariance(np.zeros((3, 0)), variance))
    np.testing.assert_allclose(solve(book).weights, 0.5 * book.mean / variance, atol=1e-7)


def test_one_name_with_linear_cost_moves_to_the_nearer_end_of_the_no_trade_zone() -> None:
    # Free optimum 0.15; cost 0.001 moves the ends by k c / variance = 0.05.
    cost = ChangeCost(np.array([0.001]), np.zeros(1), np.zeros(1))
    for start, expected in ((0.0, 0.10), (0.12, 0.12), (0.199, 0.199), (0.4, 0.20)):
        weight = solve(one_name(0.003, 0.01, cost=cost, start=np.array([start]))).weights[0]
        assert weight == pytest.approx(expected, rel=1e-9)
        assert (weight == start) == (start == expected)  # to the bit where it stays


def test_one_name_with_impact_solves_its_quadratic() -> None:
    """mu - w S / k = lin + 1.5 temp sqrt(w) + 2 perm w is a quadratic in sqrt(w): oracle numpy's roots."""
    cost = ChangeCost(np.array([2e-4]), np.array([3e-3]), np.array([4e-3]))
    roots = np.roots([0.01 / 0.5 + 2 * 4e-3, 1.5 * 3e-3, -(0.003 - 2e-4)])
    weight = solve(one_name(0.003, 0.01, cost=cost)).weights[0]
    assert weight == pytest.approx(float(roots.real.max()) ** 2, rel=1e-9)


def test_a_short_pays_its_fee_and_margin_begins_at_the_whole_capital() -> None:
    fee = Financing(np.array([0.001]), 0.002)
    assert solve(one_name(-0.003, 0.01, financing=fee)).weights[0] == pytest.approx(-0.10, rel=1e-9)
    assert solve(one_name(-0.0009, 0.01, financing=fee)).weights[0] == 0.0
    assert solve(one_name(0.021, 0.01, financing=fee)).weights[0] == pytest.approx(1.0, rel=1e-9)  # 1.05 unpaid for
    assert solve(one_name(0.026, 0.01, financing=fee)).weights[0] == pytest.approx(1.2, rel=1e-9)


def test_one_name_outright_is_what_the_cones_give() -> None:
    books = (random_book(seed, most=1) for seed in range(80))
    outright = [(book, solution) for book in books if (solution := solve(book)).status == "one name"]
    asked = []

    def through_the_cones(problem: conic.Problem) -> conic.Answer:
        asked.append(problem)
        return next(conic.many_names(problem))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programme, "one_name", through_the_cones)
        for book, solution in outright:
            np.testing.assert_allclose(solve(book).weights, solution.weights, atol=1e-6)
    assert len(asked) == len(outright) > 50


# The cost object


def test_the_cost_of_a_change_is_that_of_the_cost_object_at_every_size() -> None:
    model, adv, sigma, equity = cost_model_from(CostSettings()), np.array([2e7, 5e8]), np.array([0.02, 0.01]), 3e6
    cost = change_cost(model, adv, sigma, equity)
    for size in (1e-5, 0.01, 0.3):
        order = size * equity
        share = order / adv
        by_hand = 4.5e-4 + 1.8e-4 + 0.15 * sigma * np.sqrt(share) + 0.03 * sigma * share  # the contract's formula
        np.testing.assert_allclose(cost.of(np.array([size, -size])) * equity, by_hand * order, rtol=1e-12)


# A second solver


def second_solver(book: Programme) -> np.ndarray:
    """The programme written again, for SLSQP: buys, sales, longs and shorts as variables of their own."""
    n, k, q = len(book.mean), book.kelly_fraction, book.change_share
    matrix = book.covariance.loadings @ book.covariance.loadings.T + np.diag(book.covariance.specific)
    limits, cost = book.limits, book.cost
    bound = np.minimum(limits.reach, 10.0)

    def parts(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        buys, sales = x[:n], x[n : 2 * n]
        return book.start + buys - sales, buys + sales, x[2 * n :]

    def loss(x: np.ndarray) -> float:
        w, change, size = parts(x)
        paid = cost.linear * change + cost.temporary * np.maximum(change, 0.0) ** 1.5 + cost.permanent * change**2
        short = book.financing.short_fee * (size - w) / 2.0
        return 1e3 * float(-book.mean @ w + w @ matrix @ w / (2.0 * k) + q * paid.sum() + short.sum())

    rows = [{"type": "ineq", "fun": lambda x: parts(x)[2] - parts(x)[0]}]
    rows += [{"type": "ineq", "fun": lambda x: parts(x)[2] + parts(x)[0]}]
    rows += [{"type": "ineq", "fun": lambda x: limits.upper - parts(x)[0]}]
    rows += [{"type": "ineq", "fun": lambda x: parts(x)[0] - limits.lower}]
    for limit in limits.sizes:
        rows.append({"type": "ineq", "fun": lambda x, e=limit: e.limit - e.coefficient @ parts(x)[2]})
    for limit in limits.nets:
        rows.append({"type": "ineq", "fun": lambda x, e=limit: e.limit - e.coefficient @ parts(x)[0]})
        rows.append({"type": "ineq", "fun": lambda x, e=limit: e.limit + e.coefficient @ parts(x)[0]})
    first = no_new_risk(book.start, limits)
    x0 = np.concatenate([np.maximum(first - book.start, 0), np.maximum(book.start - first, 0), np.abs(first)])
    box = [(0.0, b) for b in np.concatenate([bound, bound])] + [(0.0, 10.0)] * n
    result = minimize(loss, x0, bounds=box, constraints=rows, method="SLSQP", options={"ftol": 1e-15, "maxiter": 2000})
    return parts(result.x)[0]


def plain_book(seed: int, names: int) -> Programme:
    """Every kind of limit, every fact there, and nothing that cannot be traded."""
    g = np.random.default_rng([seed, 5])
    sigma = 0.015 * np.exp(0.3 * g.normal(size=names))
    cap = np.full(names, g.choice([0.1, 0.4]))
    share = np.sqrt(1e6 / np.exp(np.log(3e7) + g.normal(size=names)))
    start = np.clip(0.3 * g.normal(size=names) / names, -cap, cap) * (g.random(names) < 0.6)
    group = (np.arange(names) % 2 == 0).astype(float)
    return Programme(
        mean=0.008 * g.normal(size=names),
        covariance=FactorCovariance(0.02 * g.normal(size=(names, 2)), sigma**2 * 10),
        start=start,
        limits=Limits(
            np.where(g.random(names) < 0.2, 0.0, -cap), cap, np.full(names, np.inf),
            (SharedLimit("gross", np.ones(names), 0.6), SharedLimit("risk", 3 * sigma, 0.03),
             SharedLimit("group", group, 0.25)),
            (SharedLimit("net", np.ones(names), 0.1), SharedLimit("beta", 1 + 0.3 * g.normal(size=names), 0.08)),
        ),
        cost=ChangeCost(np.full(names, 6.3e-4), 0.15 * sigma * share, 0.03 * sigma * share**2),
        financing=Financing(np.full(names, 2e-4)),
        change_share=0.7,
    )  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize("seed", range(12))
def test_a_second_solver_finds_nothing_better_and_the_same_weights(seed: int) -> None:
    book = plain_book(seed, 2 + seed % 5)
    solution, other = solve(book), second_solver(book)
    assert solution.status == "solved"
    assert exceeded(solution.weights, book.limits) == ()
    other = np.clip(other, book.limits.lower, book.limits.upper)
    assert exceeded(other, book.limits, 1e-6) == ()
    assert worth(book, solution.weights) >= worth(book, other) - 1e-11
    np.testing.assert_allclose(solution.weights, other, atol=2e-6)


def test_no_small_move_within_the_limits_is_better() -> None:
    """Concave: no better neighbour, no better book. 200 directions towards other books that keep to the limits."""
    g = np.random.default_rng(0)
    for seed in range(10):
        book = plain_book(seed, 25)
        weights = solve(book).weights
        for _ in range(20):
            other = no_new_risk(0.1 * g.normal(size=25), book.limits)
            for step in (1e-3, 1e-1):
                assert worth(book, weights + step * (other - weights)) <= worth(book, weights) + 1e-10


# Determinism, limits, bad input


def test_the_same_programme_gives_the_same_bits() -> None:
    for seed in range(20):
        first, second = solve(random_book(seed)).weights, solve(random_book(seed)).weights
        assert first.tobytes() == second.tobytes()


def test_a_name_that_is_not_moved_keeps_its_weight_to_the_bit() -> None:
    same = 0
    for seed in range(60):
        book = random_book(seed)
        weights = solve(book).weights
        assert not ((np.abs(weights - book.start) < 1e-7) & (weights != book.start)).any()
        same += int(((weights == book.start) & (weights != 0.0)).sum())
    assert same > 20


def test_the_fuller_side_of_a_neutral_book_does_not_shrink_to_the_emptier() -> None:
    """20 longs worth having and 2 shorts: the shorts are filled by what hedges best, not the longs emptied."""
    mean = np.concatenate([np.full(20, 0.01), np.full(2, -0.01), np.zeros(18)])
    covariance = FactorCovariance(np.full((40, 1), 0.025), np.full(40, 0.0025))
    limits = Limits(
        np.full(40, -0.1), np.full(40, 0.1), np.full(40, np.inf),
        (SharedLimit("gross", np.ones(40), 1.0),), (SharedLimit("net", np.ones(40), 0.005),),
    )  # fmt: skip
    weights = solve(small_book(40, mean=mean, covariance=covariance, limits=limits)).weights
    assert abs(weights.sum()) <= 0.005 + 1e-6
    assert np.abs(weights).sum() == pytest.approx(1.0, abs=1e-6)


def test_all_names_one_sided_in_a_neutral_book_stay_within_its_slack() -> None:
    limits = Limits(np.zeros(8), np.full(8, 0.1), np.full(8, np.inf), (), (SharedLimit("net", np.ones(8), 0.005),))
    solution = solve(small_book(8, mean=np.full(8, 0.01), limits=limits))
    assert not solution.fallback
    assert solution.weights.sum() == pytest.approx(0.005, abs=1e-6)


def test_what_cannot_be_traded_takes_its_part_first_and_nothing_adds_to_it() -> None:
    start = np.array([0.08, 0.0, 0.0, 0.0])
    limits = Limits(
        np.full(4, -0.1), np.full(4, 0.1), np.array([0.0, np.inf, np.inf, np.inf]),
        (SharedLimit("gross", np.ones(4), 0.2),), (SharedLimit("net", np.ones(4), 0.1),),
    )  # fmt: skip
    weights = solve(small_book(4, mean=np.array([np.nan, 0.01, 0.01, 0.01]), start=start, limits=limits)).weights
    assert weights[0] == 0.08
    assert weights[1:].sum() == pytest.approx(0.02, abs=1e-6)  # what net leaves
    hedge = solve(small_book(4, mean=np.array([np.nan, -0.01, -0.01, -0.01]), start=start, limits=limits)).weights
    assert np.abs(hedge).sum() == pytest.approx(0.2, abs=1e-6)  # what gross leaves


def test_a_position_over_a_limit_shrinks_as_fast_as_it_can_be_traded_and_is_told() -> None:
    start, reach = np.array([0.30, 0.05, 0.0]), np.array([0.04, np.inf, np.inf])
    limits = Limits(np.full(3, -0.1), np.full(3, 0.1), reach, (SharedLimit("gross", np.ones(3), 0.2),), ())
    solution = solve(small_book(3, mean=np.full(3, 0.02), start=start, limits=limits))
    np.testing.assert_allclose(solution.weights, [0.26, 0.0, 0.0], atol=1e-12)
    assert solution.exceeded == ("name", "gross")
    assert not solution.fallback


@pytest.mark.parametrize("hedged", [-0.05, 0.0])
def test_what_cannot_be_traded_is_hedged_to_the_net_limit_where_that_can_be_reached(hedged: float) -> None:
    limits = Limits(
        np.full(3, -0.1), np.full(3, 0.1), np.array([0.0, np.inf, np.inf]), (), (SharedLimit("net", np.ones(3), 0.005),)
    )
    book = small_book(3, mean=np.array([np.nan, 0.0, 0.0]), start=np.array([0.1, hedged, hedged]), limits=limits)
    solution = solve(book)
    assert solution.weights.sum() == pytest.approx(0.005, abs=1e-6)
    assert solution.exceeded == ("name",)  # without mu it may not be held at all
    assert not solution.fallback
    short = replace(book, limits=replace(limits, lower=np.full(3, -0.02)))
    np.testing.assert_allclose(solve(short).weights, [0.1, -0.02, -0.02], atol=1e-7)  # as near as it goes
    assert solve(short).exceeded == ("name", "net")


def test_two_net_limits_in_excess_give_way_to_the_strict_ends_of_each_other() -> None:
    """One name left to hedge -0.08: net wants it at 0.075, beta of 2 must not rise above 0.05, which 0.065 is."""
    limits = Limits(
        np.array([-0.1, 0.0]), np.array([0.1, 0.0]), np.array([np.inf, 0.0]), (),
        (SharedLimit("net", np.ones(2), 0.005), SharedLimit("beta", np.array([2.0, 1.0]), 0.05)),
    )  # fmt: skip
    solution = solve(small_book(2, mean=np.array([0.0, np.nan]), start=np.array([0.0, -0.08]), limits=limits))
    np.testing.assert_allclose(solution.weights, [0.065, -0.08], atol=1e-9)
    assert solution.exceeded == ("name", "net")
    assert not solution.fallback


@pytest.mark.parametrize("field", ["mean", "start", "specific", "loadings", "linear", "temporary", "permanent", "fee"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_fact_that_is_no_number_closes_its_name_and_leaves_the_others_as_without_it(field: str, bad: float) -> None:
    book = plain_book(3, 6)
    poisoned = _poisoned(book, field, bad)
    if field == "start":
        book = replace(book, start=np.where(np.arange(6) == 2, 0.0, book.start))
    solution = solve(poisoned)
    without = solve(replace(book, mean=np.where(np.arange(6) == 2, np.nan, book.mean)))
    assert solution.weights[2] == 0.0
    assert not solution.fallback
    np.testing.assert_allclose(solution.weights, without.weights, atol=1e-9)


def _poisoned(book: Programme, field: str, bad: float) -> Programme:
    def put(values: np.ndarray) -> np.ndarray:
        values = values.copy()
        values[2] = bad
        return values

    if field in ("mean", "start"):
        return replace(book, **{field: put(getattr(book, field))})
    if field in ("specific", "loadings"):
        return replace(book, covariance=replace(book.covariance, **{field: put(getattr(book.covariance, field))}))
    if field == "fee":
        return replace(book, financing=Financing(put(book.financing.short_fee)))
    return replace(book, cost=replace(book.cost, **{field: put(getattr(book.cost, field))}))


def test_a_covariance_of_zero_holds_nothing() -> None:
    book = small_book(4, covariance=FactorCovariance(np.zeros((4, 2)), np.zeros(4)))
    assert (solve(book).weights == 0.0).all()


def test_an_empty_book_and_one_without_any_facts_are_answered() -> None:
    assert solve(small_book(0)).weights.shape == (0,)
    solution = solve(small_book(3, mean=np.full(3, np.nan), start=np.array([0.1, -0.2, 0.0])))
    assert (solution.weights == 0.0).all()
    assert solution.status == "no choice"


@pytest.mark.parametrize("broken", ["status", "nan", "over", "worse"])
def test_without_an_answer_nothing_is_opened_or_enlarged_and_an_alarm_is_raised(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = plain_book(3, 6)
    book = replace(book, start=solve(book).weights)

    def no_answer(problem: conic.Problem) -> Iterator[conic.Answer]:
        names = len(problem.mean)
        value = {"status": np.nan, "nan": np.nan, "over": 5.0, "worse": 0.0}[broken]
        word = "the solver says MaxIterations" if broken == "status" else conic.SOLVED
        weights = np.full(names, value)
        if broken == "worse":
            weights = np.where(problem.mean < 0.0, problem.upper, problem.lower) * 0.02
        yield conic.Answer(weights, word, 200)

    monkeypatch.setattr(conic, "many_names", no_answer)
    solution = solve(book)
    assert solution.fallback
    assert solution.status
    assert (np.abs(solution.weights) <= np.abs(book.start)).all()
    assert (solution.weights * book.start >= 0.0).all()
    assert exceeded(solution.weights, book.limits) == ()
    np.testing.assert_array_equal(solution.weights, no_new_risk(book.start, book.limits))


@pytest.mark.parametrize("seed", range(30))
def test_the_book_without_new_risk_opens_nothing_and_keeps_to_every_limit(seed: int) -> None:
    book = plain_book(seed, 12)
    start = 0.4 * np.random.default_rng(seed).normal(size=12)
    weights = no_new_risk(start, book.limits)
    assert (np.abs(weights) <= np.abs(start) + 1e-15).all()
    assert (weights * start >= 0.0).all()
    assert exceeded(weights, book.limits) == ()


def test_without_an_answer_or_with_one_that_breaks_a_limit_the_next_scale_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempt, units = conic._attempt, []

    def two_fail(problem: conic.Problem, unit: float, money: float) -> tuple[conic.Answer, dict]:
        units.append((unit, money))
        answer, prices = attempt(problem, unit, money)
        bad = [replace(answer, weights=answer.weights * np.nan), replace(answer, weights=answer.weights + 1.0)]
        return (bad[len(units) - 1] if len(units) <= 2 else answer), prices

    book = plain_book(1, 8)
    before = solve(book)
    monkeypatch.setattr(conic, "_attempt", two_fail)
    after = solve(book)
    assert units == [(1.0, 1.0), (10.0, 1.0), (10.0, 10.0)]
    assert not after.fallback
    np.testing.assert_allclose(after.weights, before.weights, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["neutral", "neutral, falling", "neutral, rising", "any net", "long only", "margin"])
def test_a_large_book_solved_over_the_names_that_matter_is_the_whole_books(
    seed: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, g = 400, np.random.default_rng([seed, 7])
    book = plain_book(seed, names)
    limits = replace(
        book.limits,
        lower=np.zeros(names) if kind == "long only" else np.full(names, -0.05),
        upper=np.full(names, 0.05),
        sizes=tuple(replace(limit, limit=3.0) if kind == "margin" else limit for limit in book.limits.sizes),
        nets=(SharedLimit("net", np.ones(names), 0.005 if "neutral" in kind else 3.0), book.limits.nets[1]),
    )
    if kind == "margin":
        limits = replace(limits, nets=limits.nets[:1])
    start = np.where(g.random(names) < 0.05, book.start, 0.0)
    tilt = {"margin": 0.008, "neutral, falling": -0.015, "neutral, rising": 0.015}.get(kind, 0.0)
    book = replace(book, limits=limits, start=start, mean=book.mean + tilt)
    book = replace(book, financing=replace(book.financing, margin_fee=0.002))
    sizes, attempt = [], conic._attempt

    def counted(problem: conic.Problem, unit: float, money: float) -> tuple[conic.Answer, dict]:
        sizes.append(len(problem.mean))
        return attempt(problem, unit, money)

    monkeypatch.setattr(conic, "_attempt", counted)
    grown = solve(book)
    assert 3 * max(sizes) < 2 * names
    monkeypatch.setattr(conic, "_SMALL", names)
    whole = solve(book)
    assert sizes[-1] == names
    np.testing.assert_allclose(grown.weights, whole.weights, atol=1e-6)
    assert not grown.fallback


def test_random_books_solved_over_the_names_that_matter_are_the_whole_books(monkeypatch: pytest.MonkeyPatch) -> None:
    growing, grown = conic._growing, []

    def counted(problem: conic.Problem) -> conic.Answer | None:
        grown.append(growing(problem))
        return grown[-1]

    books = [random_book(seed) for seed in range(300)]
    whole = [solve(book).weights for book in books]
    monkeypatch.setattr(conic, "_SMALL", 4)
    monkeypatch.setattr(conic, "_growing", counted)
    for book, weights in zip(books, whole, strict=True):
        np.testing.assert_allclose(solve(book).weights, weights, atol=1e-6)
    assert sum(answer is not None for answer in grown) > 15


@pytest.mark.parametrize("names", [2, 3])
def test_the_risk_and_the_margin_of_what_cannot_be_traded_count(names: int) -> None:
    """Stuck at 0.2 with covariance c to each other: k mu = v w + c (0.2 + the other's w), all others alike."""
    stuck = np.append(np.nan, np.full(names - 1, 0.02))
    reach = np.append(0.0, np.full(names - 1, np.inf))
    limits = Limits(np.full(names, -5.0), np.full(names, 5.0), reach)
    covariance = FactorCovariance(np.full((names, 1), 0.05), np.full(names, 0.0075))
    start = np.append(0.2, np.zeros(names - 1))
    book = small_book(names, mean=stuck, covariance=covariance, limits=limits, start=start)
    others = (0.5 * 0.02 - 0.0025 * 0.2) / (0.01 + 0.0025 * (names - 2))
    np.testing.assert_allclose(solve(book).weights[1:], others, atol=1e-7)
    margin = replace(book, financing=Financing(np.zeros(names), 0.5))
    assert solve(margin).weights.sum() == pytest.approx(1.0, abs=1e-6)


def test_rows_in_order_are_the_matrix_that_scipy_makes_of_them() -> None:
    rows = Rows()
    rows.elementwise(np.array([1.0, 2.0]), (np.array([3, 1]), 1.0), (np.array([4, 4]), -1.0))
    rows.total(5.0, np.array([2, 0, 3]), np.array([0.25, 0.0, -7.0]))  # of which a 0 is left out
    rows.cones(np.array([0.5]), np.array([4]), np.array([0]))
    arrays = [np.concatenate(parts) for parts in (rows.value, rows.row, rows.column)]
    whole = sparse.csc_matrix((arrays[0], (arrays[1], arrays[2])), shape=(6, 6))
    whole.eliminate_zeros()
    matrix = rows.matrix(6)
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(matrix, name), getattr(whole, name))
