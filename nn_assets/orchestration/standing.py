"""The state that one session left for the next, read back from the ledger exactly."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nn_assets.errors import DecisionError
from nn_assets.evaluation.daily_round import Standing, first_standing
from nn_assets.evaluation.market_view import market_view
from nn_assets.evaluation.spending import SLIPPAGE_SESSIONS, Spending, spending_of
from nn_assets.execution.orders import Orders
from nn_assets.market.sessions import previous_session
from nn_assets.orchestration.cost_models import cost_model, recorded_cost_model_ids
from nn_assets.orchestration.workplace import Workplace
from nn_assets.oversight.severity import resumed_trading_state
from nn_assets.portfolio.fills import FillArrays
from nn_assets.portfolio.records import book_from_records

__all__ = ["standing_before"]

# Enough of the history of states to know since when the present one holds.
_STATES_LOOKED_BACK = 400


def standing_before(workplace: Workplace, session: pd.Timestamp, symbols: tuple[str, ...]) -> Standing:
    """State left by the session before, read back exactly; a flat book on the first live session."""
    strategy = workplace.strategy
    live = workplace.first_live_session
    if session < live:
        raise DecisionError(
            expected=f"a session from {live.date()} on, the first live one",
            found=str(session.date()),
            remedy="set market.live_starts earlier to replay as if live, or ask for a later session",
            session=session.date(),
        )
    if session == live:
        return first_standing(strategy, symbols, session)
    before = previous_session(strategy.market.calendar, session)
    states = workplace.ledger.read("portfolio_states", strategy.name, before, before)
    if states.empty:
        raise DecisionError(
            expected=f"{before.date()} decided",
            found="no portfolio state for it",
            remedy=f"nn-assets run --strategy {strategy.name} --session {before.date()}",
            session=session.date(),
        )
    holdings = workplace.ledger.read("holdings", strategy.name, before, before)
    book = book_from_records(states.iloc[0].to_dict(), holdings, states["book"].iloc[0])
    if book.symbols != symbols:
        raise DecisionError(
            expected=f"the symbols held so far: {', '.join(book.symbols)}",
            found=", ".join(symbols),
            remedy="list market.symbols in the strategy, so that a symbol that comes or goes changes nothing",
            session=session.date(),
        )
    trading = workplace.ledger.read("trading_states", strategy.name, None, before)
    return Standing(
        book=book,
        orders=_orders_of(workplace, before, book.symbols),
        trading=resumed_trading_state(trading.tail(_STATES_LOOKED_BACK), strategy.oversight),
        spending=_spending(workplace, before, book.symbols),
    )


def _orders_of(workplace: Workplace, session: pd.Timestamp, symbols: tuple[str, ...]) -> Orders:
    found = workplace.ledger.read("orders", workplace.strategy.name, session, session)
    place = {symbol: number for number, symbol in enumerate(symbols)}
    found = found.assign(place=found["symbol"].map(place)).sort_values("place")
    sign = np.where(found["side"] == "buy", 1.0, -1.0)
    return Orders(
        client_order_id=tuple(found["client_order_id"]),
        symbol=found["place"].to_numpy(dtype=np.int64),
        quantity=sign * found["quantity"].to_numpy(dtype=np.float64),
        urgency=tuple(found["urgency"]),
        reference_price=found["reference_price"].to_numpy(dtype=np.float64),
        reason_code=tuple(None if pd.isna(code) else str(code) for code in found["reason_code"]),
    )


def _spending(workplace: Workplace, until: pd.Timestamp, symbols: tuple[str, ...]) -> tuple[Spending, ...]:
    """Costs of the fills of the last sessions, as the round itself measured them."""
    strategy = workplace.strategy
    recent = workplace.live_sessions[workplace.live_sessions <= until][-SLIPPAGE_SESSIONS:]
    fills = workplace.ledger.read("fills", strategy.name, recent[0], until, where={"source": "paper"})
    market = market_view(workplace.panel(until), strategy.portfolio)
    used = recorded_cost_model_ids(workplace.ledger.read("decisions", strategy.name, recent[0], until))
    return tuple(
        spending_of(
            _batches(fills[fills["session"] == day], symbols),
            market.at(market.panel.row(day)),
            cost_model(workplace, used[day]),
        )
        for day in recent
    )


def _batches(fills: pd.DataFrame, symbols: tuple[str, ...]) -> tuple[FillArrays, ...]:
    ordered = fills.sort_values("fill_id")
    place = {symbol: number for number, symbol in enumerate(symbols)}
    numbers = {
        name: ordered[name].to_numpy(dtype=np.float64)
        for name in ("quantity", "price", "mid_price", "half_spread_usd", "commission_usd", "impact_usd")
    }
    batch = FillArrays(
        fill_id=tuple(ordered["fill_id"]),
        client_order_id=tuple(ordered["client_order_id"]),
        symbol=np.array([place[symbol] for symbol in ordered["symbol"]], dtype=np.int64),
        is_stop=np.zeros(len(ordered), dtype=np.bool_),
        **numbers,
    )
    return (batch,)
