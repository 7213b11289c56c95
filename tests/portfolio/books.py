"""Random books for the programme: names, holdings, limits and costs of all sizes. Inputs only, no expectations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nn_assets.portfolio.book import Book
from nn_assets.portfolio.constraints import Limits, SharedLimit
from nn_assets.portfolio.covariance import FactorCovariance
from nn_assets.portfolio.programme import ChangeCost, Financing, Programme

HORIZON = 10


def matrix_of(covariance: FactorCovariance) -> np.ndarray:
    """S in full, (symbols, symbols)."""
    return covariance.loadings @ covariance.loadings.T + np.diag(covariance.specific)


def awaiting(book: Book, ordered: np.ndarray, stop_distance: np.ndarray) -> Book:
    """The book with orders under way, whose targets are what they lead to."""
    target = book.quantity + ordered
    return book.awaiting(ordered, stop_distance, target, target)


def random_book(seed: int, most: int = 60) -> Programme:
    """A book of 1 to ``most`` names, drawn log-uniformly, so that small books are as frequent as large ones."""
    return random_book_and_caps(seed, most)[0]


def random_book_and_caps(seed: int, most: int = 60) -> tuple[Programme, dict[str, np.ndarray]]:
    """The book, and the three caps whose smallest bounds each name."""
    g = np.random.default_rng([seed, 9])
    n = int(np.exp(g.uniform(0.0, np.log(most + 1))))
    volatility = 0.016 * np.exp(0.4 * g.normal(size=n))
    loadings = np.column_stack([0.008 + 0.003 * g.normal(size=n), 0.004 * g.normal(size=n), 0.004 * g.normal(size=n)])
    covariance = FactorCovariance(loadings * np.sqrt(HORIZON), volatility**2 * HORIZON)
    mean = 2.5 * g.choice([0.005, 0.02, 0.05]) * g.normal(size=n) * volatility * np.sqrt(HORIZON)
    mean = np.where(g.random(n) < 0.05, np.nan, mean)
    adv, equity = np.exp(np.log(8e7) + 1.5 * g.normal(size=n)), g.choice([1e5, 1e6, 1e7])
    distance = np.maximum(3.0 * volatility, g.uniform(0.0, 0.6, n) * (g.random(n) < 0.3))
    single = np.full(n, g.choice([0.1, 0.1, 0.3, 1.0]))
    caps = {"single name": single, "ADV": 0.01 * adv / equity, "2% at risk": 0.02 / distance}
    cap = np.minimum.reduce(list(caps.values()))
    held = g.choice([0.0, 0.3, 1.0, 3.0]) * g.normal(size=n) / n * (g.random(n) < g.choice([0.3, 1.0]))
    start = np.where(g.random(n) < 0.15, np.sign(held) * cap, held)
    stuck = (g.random(n) < 0.05) & (g.random() < 0.4)
    side = g.integers(-1, 2, n) * (g.random(n) < 0.1)
    lower = np.where((side < 0) | (g.random() < 0.2), 0.0, -cap)
    upper = np.where(side > 0, 0.0, cap)
    # Impact is that of real orders; the coefficients follow the contract's cost formula.
    share = np.sqrt(equity / adv)
    total = ("capacity", 0.2) if g.random() < 0.2 else ("gross", g.choice([1.0, 1.0, 0.3]))
    book = Programme(
        mean=mean,
        covariance=covariance,
        start=start,
        limits=Limits(
            lower,
            upper,
            np.where(stuck, 0.0, np.where(g.random(n) < 0.1, 0.02, np.inf)),
            (
                SharedLimit(total[0], np.ones(n), total[1]),
                SharedLimit("risk", distance, 0.10 if g.random() < 0.5 else 0.03),
                *_sectors(g, n),
            ),
            (
                SharedLimit("net", np.ones(n), g.choice([1.0, 0.3, 0.005])),
                SharedLimit("beta", 1.0 + 0.3 * g.normal(size=n), g.choice([1.0, 0.05])),
            ),
        ),
        cost=ChangeCost(np.full(n, 6.3e-4), 0.15 * volatility * share, 0.03 * volatility * share**2),
        financing=Financing(np.full(n, g.choice([0.0, 2e-4])), g.choice([0.0, 4e-4])),
        change_share=g.choice([1.0, 0.3]),
    )
    return book, caps


def _sectors(g: np.random.Generator, names: int) -> list[SharedLimit]:
    group = g.integers(0, 5, names)
    limit = g.choice([0.3, 0.3, 0.1])
    return [SharedLimit(f"sector {s}", (group == s).astype(float), limit) for s in range(5) if (group == s).any()]


def small_book(names: int, seed: int = 0, **changes: object) -> Programme:
    """A book of free names under a gross limit of one alone, without costs; ``changes`` replace fields."""
    g = np.random.default_rng([seed, 3])
    zeros = np.zeros(names)
    book = Programme(
        mean=0.004 * g.normal(size=names),
        covariance=FactorCovariance(0.02 * g.normal(size=(names, 3)), np.full(names, 0.0025)),
        start=zeros,
        limits=Limits(np.full(names, -5.0), np.full(names, 5.0), np.full(names, np.inf)),
        cost=ChangeCost(zeros, zeros, zeros),
        financing=Financing(zeros),
    )
    return replace(book, **changes)
