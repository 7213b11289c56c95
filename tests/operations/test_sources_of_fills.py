"""What a fill leaves unsaid depends on who says it: a paper fill without an impact rested, a real one just lacks it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.operations.decisions import session_state
from nn_assets.session.fill_costs import slippage_of
from nn_assets.settings import CostSettings

DAYS = pd.bdate_range("2024-01-02", periods=60)
TAKER_BPS, MAKER_BPS = 5.0, 1.0


def test_honest_fills_of_a_broker_are_no_slippage_where_makers_pay_less(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    quantity = rng.uniform(100.0, 900.0, 4 * len(DAYS))
    unsaid = dict.fromkeys(("mid_price", "half_spread_usd", "impact_usd"), np.nan)
    charged = quantity * 50.0 * TAKER_BPS * 1e-4 * rng.uniform(0.98, 1.02, len(quantity))
    fills = pd.DataFrame(
        {
            "fill_id": [str(number) for number in range(len(quantity))],
            "client_order_id": "o",
            "symbol": "BTC",
            "session": np.repeat(DAYS, 4),
            "quantity": quantity,
            "price": 50.0,
            "commission_usd": charged,
            "source": "imported",
            **unsaid,
        }
    )
    model = cost_model_from(CostSettings(commission_bps=TAKER_BPS, maker_fee_bps=MAKER_BPS))
    monkeypatch.setattr(session_state, "cost_model", lambda *_: model)

    def at(day: pd.Timestamp) -> Any:
        known = {"previous_adv_usd": np.array([5e7]), "previous_volatility": np.array([0.02])}
        return SimpleNamespace(session=day, closing_adv_usd=None, closing_volatility=None, **known)

    panel = SimpleNamespace(symbols=("BTC",), row=lambda day: day)
    stores = SimpleNamespace(ledger=SimpleNamespace(read=lambda *_, **__: fills))
    history: Any = SimpleNamespace(stores=stores, strategy=SimpleNamespace(name="demo"))
    market: Any = SimpleNamespace(panel=panel, at=at)
    costs = session_state.recorded_fill_costs(history, dict.fromkeys(DAYS, ()), market, dict.fromkeys(DAYS))
    slippage = slippage_of(costs, 0.5)
    assert slippage is not None
    assert not slippage.breach
    assert slippage.ratio == pytest.approx(1.0, abs=0.02)
