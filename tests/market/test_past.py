"""What was usual before a row, and what its market did, against loops over rows that know of no arrays."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from nn_assets.market.facts.rows import Rows
from nn_assets.market.quality.past import market_moves, trailing, usual_range, usual_ranges

WINDOW = 30


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Four symbols of different length, some of whose rows became known days later than others of their session."""
    random = np.random.default_rng(8)
    lengths = (5, 19, 21, 90)
    symbol = np.repeat(np.arange(len(lengths)), lengths)
    session = np.concatenate([np.arange(90 - length, 90) for length in lengths]).astype(np.int64)
    known_at = session + random.choice([0, 0, 3], len(session))
    price = random.normal(size=len(session))
    return Rows(symbol, session, price, price, price, price, price, known_at, known_at, session, np.ones(len(session)))


def holed(rows: Rows) -> np.ndarray:
    values = np.random.default_rng(9).normal(size=len(rows))
    values[::7] = np.nan
    values[3::50] = np.inf
    return values


@pytest.mark.parametrize("at_once", [7, 10_000])
def test_usual_ranges_are_medians_of_the_finite_values_before(rows: Rows, at_once: int, monkeypatch) -> None:
    monkeypatch.setattr("nn_assets.market.quality.past._AT_ONCE", at_once)
    values, indices = holed(rows), np.arange(len(rows))[::-1]
    expected = []
    for index in indices:
        before = [values[at] for at in range(max(index - WINDOW, 0), index) if rows.symbol[at] == rows.symbol[index]]
        finite = [float(value) for value in before if np.isfinite(value)]
        expected.append(statistics.median(finite) if len(finite) >= 20 else float("inf"))
    assert 10 < sum(np.isfinite(expected)) < len(expected) - 10
    assert usual_ranges(rows, values, indices, WINDOW).tolist() == expected
    assert [usual_range(trailing(rows, values, int(index), WINDOW)) for index in indices] == expected
    assert len(usual_ranges(rows, values, indices[:0], WINDOW)) == 0


def test_the_market_of_a_row_is_what_was_known_with_it(rows: Rows) -> None:
    moves, indices = holed(rows), np.arange(len(rows))[::-1]
    expected = []
    for index in indices:
        others = [
            float(moves[at])
            for at in range(len(rows))
            if rows.session[at] == rows.session[index]
            and rows.known_at[at] <= rows.known_at[index]
            and np.isfinite(moves[at])
        ]
        expected.append(statistics.median(others) if len(others) >= 3 else 0.0)
    assert 10 < np.count_nonzero(expected) < len(expected) - 10
    assert market_moves(rows, moves, indices).tolist() == expected
    assert len(market_moves(rows, moves, indices[:0])) == 0
