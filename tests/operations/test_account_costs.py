"""What a venue leaves unsaid of a fill: booked by the cost model in force, and never taken for something it said."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nn_assets.costs.model import Coefficient, cost_model_from
from nn_assets.operations.accounts.collecting import collect
from nn_assets.operations.accounts.sending import send_orders
from nn_assets.operations.asof.accounts import recorded_for
from nn_assets.operations.cost_estimation import with_identity
from tests.operations.account_books import NOON, TRADED, Desk

SINCE = pd.Timestamp("2024-03-01")


def collected(desk: Desk, **more) -> None:
    desk.decided("one", {"AAA": 100})
    send_orders(desk.driver())
    (name,) = desk.venue.taken
    desk.venue.fill(name, 100.0, 50.5, **more)
    desk.moment = NOON
    with desk.driver().alone():
        assert collect(desk.driver()).fills == 1


def test_a_commission_that_is_not_stated_is_booked_by_the_model_in_force(tmp_path: Path) -> None:
    desk = Desk.of(tmp_path, "one")
    (strategy,) = desk.account.strategies
    model = cost_model_from(strategy.costs).to_dict() | {"commission": vars(Coefficient(0.004, "fraction", "fitted"))}
    row = {"session": SINCE, "source": "imported", "in_force": True, "coefficients": model, "figures": {}}
    desk.stores.ledger.append("cost_models", [with_identity(row)], run_id="test", strategy="one")
    collected(desk, commission_usd=None)
    (fill,) = recorded_for(desk.stores.ledger, strategy, TRADED, 10**9).fills
    assert fill.commission_usd == pytest.approx(100 * 50.5 * 0.004)
