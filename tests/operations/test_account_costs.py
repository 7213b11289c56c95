"""What a venue leaves unsaid of a fill: booked by the cost model in force, and never taken for something it said."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nn_assets.costs.model import Coefficient, cost_model_from
from nn_assets.execution.recorded import fill_arrays
from nn_assets.operations.accounts.collecting import collect
from nn_assets.operations.accounts.sending import send_orders
from nn_assets.operations.asof.accounts import recorded_for
from nn_assets.operations.cost_estimation import with_identity
from nn_assets.portfolio.fills import fills_frame
from tests.operations.account_books import NOON, OPEN, TRADED, Desk

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


def frame_of(desk: Desk) -> pd.DataFrame:
    (strategy,) = desk.account.strategies
    (fill,) = recorded_for(desk.stores.ledger, strategy, TRADED, 10**9).fills
    return fills_frame(fill_arrays([fill], {"AAA": 0}), ("AAA",), session=TRADED, known_at=NOON)


def test_what_the_venue_does_not_say_is_paid_and_is_no_statement(tmp_path: Path) -> None:
    desk = Desk.of(tmp_path, "one")
    collected(desk, commission_usd=None)
    (book,) = desk.driver().books()
    assert 1e6 - book.moved(desk.driver().record(), {}).cash_usd > 100 * 50.5  # it is booked
    assert frame_of(desk)["commission_usd"].isna().all()  # and no estimate takes it for a statement


def test_what_the_venue_says_of_a_fill_reaches_the_books_fills(tmp_path: Path) -> None:
    desk = Desk.of(tmp_path, "one")
    collected(desk, commission_usd=1.5, mid_price=50.4, later_mid_price=50.6)
    (row,) = frame_of(desk).to_dict("records")
    assert row["filled_at"] == OPEN
    values = {name: row[name] for name in ("commission_usd", "mid_price", "later_mid_price")}
    assert values == {"commission_usd": 1.5, "mid_price": 50.4, "later_mid_price": 50.6}
