"""What a fill leaves unsaid depends on who says it, and what it is held against on whose order it fills."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.operations.decisions import session_state
from nn_assets.reports.round_notices import slippage_notices
from nn_assets.session.fill_costs import FillCosts, slippage_of
from nn_assets.settings import CostSettings
from tests.operations.account_books import ACCOUNT, a_strategy

DAYS = pd.bdate_range("2024-01-02", periods=60)
TAKER_BPS, MAKER_BPS = 5.0, 1.0
OPEN = 50.0


def recorded(count: int, **columns: object) -> pd.DataFrame:
    """Fills on record of one symbol, as many a session as go evenly."""
    rng = np.random.default_rng(0)
    said: dict[str, object] = {
        "fill_id": [f"{number:03d}" for number in range(count)],
        "client_order_id": "o",
        "symbol": "BTC",
        "session": np.repeat(DAYS, count // len(DAYS)),
        "quantity": rng.uniform(100.0, 900.0, count),
        "price": OPEN,
        "source": "imported",
        **dict.fromkeys(("mid_price", "half_spread_usd", "impact_usd", "commission_usd"), np.nan),
    }
    return pd.DataFrame({**said, **columns})


def costs_of(
    fills: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    settings: CostSettings,
    orders: list[str],
    sent: dict[str, str],
) -> tuple[FillCosts, ...]:
    """Costs of fills of the desk's book, whose orders and whose account's (with their kinds) are these."""
    strategy = a_strategy("demo")
    monkeypatch.setattr(session_state, "cost_model", lambda *_: cost_model_from(settings))
    tables = {
        ("fills", "demo"): fills,
        ("orders", "demo"): pd.DataFrame({"session": DAYS[0], "client_order_id": orders}),
        ("account_orders", f"account.{ACCOUNT}"): pd.DataFrame({"client_order_id": list(sent), "kind": sent.values()}),
    }

    def at(day: pd.Timestamp) -> Any:
        known = {"previous_adv_usd": np.array([5e7]), "previous_volatility": np.array([0.02])}
        return SimpleNamespace(
            session=day, open=np.array([OPEN]), closing_adv_usd=None, closing_volatility=None, **known
        )

    ledger = SimpleNamespace(read=lambda table, name, *_, **__: tables[table, name])
    history: Any = SimpleNamespace(stores=SimpleNamespace(ledger=ledger), strategy=strategy)
    market: Any = SimpleNamespace(panel=SimpleNamespace(symbols=("BTC",), row=lambda day: day), at=at)
    return session_state.recorded_fill_costs(history, dict.fromkeys(DAYS, ()), market, dict.fromkeys(DAYS))


def test_honest_fills_of_a_broker_are_no_slippage_where_makers_pay_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of no order on record, so that their commission alone is judged."""
    rng = np.random.default_rng(1)
    fills = recorded(240)
    charged = fills["quantity"] * OPEN * TAKER_BPS * 1e-4 * rng.uniform(0.98, 1.02, 240)
    settings = CostSettings(commission_bps=TAKER_BPS, maker_fee_bps=MAKER_BPS)
    costs = costs_of(fills.assign(commission_usd=charged), monkeypatch, settings, [], {})
    slippage = slippage_of(costs, 0.5)
    assert not slippage.breach
    assert slippage.ratio == pytest.approx(1.0, abs=0.02)
    assert slippage.message.endswith("; 240 of 240 against nothing (stops, and fills of no order or bar on record)")


def test_fills_of_the_books_and_the_accounts_orders_are_held_against_the_bar_and_a_stops_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = np.tile(["own", "account's", "stop", "unknown"], 60)
    fills = recorded(240, client_order_id=names, price=OPEN * (1.0 + 9e-4))
    sent = {"account's": "at_open", "stop": "stop"}
    costs = costs_of(fills, monkeypatch, CostSettings(), ["own"], sent)
    for record in costs:
        assert np.isfinite(record.realised).tolist() == [True, True, False, False]  # in the order of their ids
        assert record.realised[:2] == pytest.approx(9e-4, rel=1e-2)
        assert (record.by_bar, record.unheld) == (2, 2)
    message = slippage_of(costs, 0.25).message
    assert "120 of 240 fills against their bars, for want of a mid, 120 of 240 against nothing" in message
    (shown,) = _notices((*costs[:-1], FillCosts(costs[-1].session, *([np.full(3, np.nan)] * 3), unheld=3)))
    assert shown.startswith("Fills of the last 60 sessions cost more than the model in force says:")


@pytest.mark.parametrize(("unheld", "notices"), [(2, 0), (3, 1)])
def test_a_page_says_where_most_fills_are_held_against_nothing(unheld: int, notices: int) -> None:
    day = np.datetime64("2024-01-02")
    shown = _notices((FillCosts(day, np.full(4, np.nan), np.full(4, np.nan), np.full(4, 0.01), unheld=unheld),))
    assert len(shown) == notices
    if notices:
        assert "3 of 4 against nothing (stops, and fills of no order or bar on record)" in shown[0]
    assert _notices(()) == []


def _notices(costs: tuple[FillCosts, ...]) -> list[str]:
    played: Any = SimpleNamespace(session_state=SimpleNamespace(fill_costs=costs))
    return slippage_notices(a_strategy("demo"), played)
