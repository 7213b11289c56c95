"""What a decision derives from its inputs: where it starts, what has evidence, what cannot be sold."""

from __future__ import annotations

import numpy as np
import pytest

from tests.portfolio.facts import facts


@pytest.mark.parametrize(("horizon", "needed"), [(5, 60), (11, 66)])
def test_a_size_needs_sixty_sessions_or_six_horizons_of_outcomes(horizon: int, needed: int) -> None:
    inputs = facts(3, outcome_sessions=np.array([needed - 1, needed, needed + 1]), horizon_sessions=horizon)
    assert inputs.evidence.tolist() == [False, True, True]


def test_a_decision_starts_from_the_unscaled_book_or_else_from_what_is_held() -> None:
    held, unscaled = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    assert facts(2, current_quantity=held).start_quantity.tolist() == [1.0, 2.0]
    assert facts(2, current_quantity=held, unscaled_quantity=unscaled).start_quantity.tolist() == [3.0, 4.0]
    assert facts(2).regime_scale == 1.0  # left out, nothing is scaled


def test_what_is_held_without_a_price_weighs_at_its_last_mark() -> None:
    price, held = np.array([50.0, np.nan, 0.0, -1.0, 0.5]), np.array([10.0, -200.0, 30.0, 40.0, 10.0])
    mark = np.array([50.0, 20.0, 10.0, np.nan, 0.5])
    inputs = facts(5, reference_price=price, current_quantity=held, last_mark=mark, equity_usd=1e5)
    assert inputs.stuck_weight.tolist() == [0.0, -0.04, 0.003, 0.0, 0.0]
    for changes in (
        {"last_mark": None},
        {"equity_usd": 0.0},
        {"equity_usd": -5.0},
        {"reference_price": np.full(5, 50.0)},
    ):
        arguments = {"reference_price": price, "current_quantity": held, "last_mark": mark, "equity_usd": 1e5} | changes
        assert facts(5, **arguments).stuck_weight.tolist() == [0.0] * 5
