"""The state that one session left for the next, read back from the ledger exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.arrays import Symbol, values_of
from nn_assets.contracts.frames import FillRows
from nn_assets.errors import DecisionError
from nn_assets.execution.orders import Orders, client_order_id
from nn_assets.execution.venues import account_of, ledger_name
from nn_assets.market.calendar.sessions import previous_session
from nn_assets.operations.asof.accounts import ORDERS
from nn_assets.operations.asof.costs import cost_model, recorded_cost_model_ids
from nn_assets.operations.asof.refreshes import recorded_watch, watch_left_for_live
from nn_assets.operations.edited import left_while_bound
from nn_assets.operations.history import History
from nn_assets.oversight.refreshes import RefreshWatch
from nn_assets.oversight.severity import TradingState, resumed_trading_state
from nn_assets.portfolio.fills import NUMBERS, FillArrays
from nn_assets.portfolio.records import book_from_records
from nn_assets.session.daily_round import SessionState, first_session_state
from nn_assets.session.fill_costs import SLIPPAGE_SESSIONS, FillCosts, fill_costs_of
from nn_assets.session.market_view import MarketView

# Enough of the history of states to know since when the present one holds.
_STATES_LOOKED_BACK = 400


def session_state_before(
    history: History,
    session: pd.Timestamp,
    symbols: tuple[Symbol, ...],
    market: MarketView,
    recorded_by: pd.Timestamp | None = None,
) -> SessionState:
    """State left by the session before, read back exactly; on the first live session a flat book, in the study's state.

    Parameters
    ----------
    symbols : tuple of str
        The symbol axis.
    market : MarketView
        As known at the session's close.
    recorded_by : UTC moment, optional
        When the session was decided before: fills imported later are not that decision's.

    Raises
    ------
    DecisionError
        The session lies before the live start, the one before is undecided, or a symbol that left is held or on order.
    """
    strategy = history.strategy
    history.require_live(session)
    if session == history.first_live_session:
        return _first_session_state(history, symbols, recorded_by)
    before = previous_session(strategy.market.calendar, session)
    states = history.stores.ledger.read("portfolio_states", strategy.name, before, before)
    if states.empty:
        raise DecisionError(
            expected=f"{before.date()} decided",
            found="no portfolio state for it",
            remedy=f"nn-assets run --strategy {strategy.name} --session {before.date()}",
            session=session.date(),
        )
    if (left := left_while_bound(history.stores.ledger, strategy.name, before, symbols)) is not None:
        raise left
    holdings = history.stores.ledger.read("holdings", strategy.name, before, before)
    book = book_from_records(values_of(states.iloc[0]), holdings, states["book"].iloc[0])
    trading, refresh = _watch_before(history, before)
    return SessionState(
        book=book.of_symbols(symbols),
        orders=_orders_of(history, before, symbols),
        trading=trading,
        fill_costs=_fill_costs(history, before, market, recorded_by),
        refresh=refresh,
    )


def _first_session_state(
    history: History, symbols: tuple[Symbol, ...], recorded_by: pd.Timestamp | None
) -> SessionState:
    """A flat book before the first live session, in the state that a study left for it where one did."""
    session_state = first_session_state(history.strategy, symbols, history.first_live_session)
    left = watch_left_for_live(history.stores.ledger, history.strategy, session_state.session, recorded_by)
    if left is None:
        return session_state
    trading, refresh = left
    return replace(session_state, trading=trading, refresh=refresh)


def _watch_before(history: History, session: pd.Timestamp) -> tuple[TradingState, RefreshWatch]:
    """The state by the score, and the requests for a refresh, as a session left them.

    While a request is open the recorded state is the stricter of the two: the one by the score is then kept
    beside the decision.
    """
    name, ledger = history.strategy.name, history.stores.ledger
    refresh = ledger.read("decisions", name, session, session)["details"].iloc[0].get("refresh")
    if refresh is None:
        states = ledger.read("trading_states", name, None, session)
        return resumed_trading_state(states.tail(_STATES_LOOKED_BACK), history.strategy.oversight), RefreshWatch()
    last = ledger.latest("trading_states", name, last=session).iloc[-1]
    return recorded_watch(refresh, int(last["score"]), last["session"], last["effective_session"])


def _orders_of(history: History, session: pd.Timestamp, symbols: tuple[Symbol, ...]) -> Orders:
    rows = history.stores.ledger.read("orders", history.strategy.name, session, session)
    columns = {symbol: number for number, symbol in enumerate(symbols)}
    rows = rows[rows["symbol"].isin(symbols)]  # others were denied
    opens = [
        name == client_order_id(history.strategy.name, session, symbol, opening=True)
        for name, symbol in zip(rows["client_order_id"], rows["symbol"], strict=True)
    ]
    rows = rows.assign(place=rows["symbol"].map(columns), opens=opens).sort_values(["place", "opens"])
    sign = np.where(rows["side"] == "buy", 1.0, -1.0)
    return Orders(
        client_order_id=tuple(rows["client_order_id"]),
        symbol=rows["place"].to_numpy(dtype=np.int64),
        quantity=sign * rows["quantity"].to_numpy(dtype=np.float64),
        urgency=tuple(rows["urgency"]),
        reference_price=rows["reference_price"].to_numpy(dtype=np.float64),
        reason_code=tuple(None if pd.isna(code) else str(code) for code in rows["reason_code"]),
    )


def _fill_costs(
    history: History, until: pd.Timestamp, market: MarketView, recorded_by: pd.Timestamp | None
) -> tuple[FillCosts, ...]:
    """Costs of the fills of the last sessions, as the round itself measured them."""
    name, symbols = history.strategy.name, market.panel.symbols
    recent = history.live_sessions[history.live_sessions <= until][-SLIPPAGE_SESSIONS:]
    fills = history.stores.ledger.read("fills", name, recent[0], until)
    fills = fills[fills["source"] != "imported"]
    used = recorded_cost_model_ids(history.stores.ledger.read("decisions", name, recent[0], until))
    orders = _order_names(history, list(recent))
    paper = {day: _batches(fills[fills["session"] == day], symbols, orders) for day in recent}
    return recorded_fill_costs(history, paper, market, used, recorded_by)


def recorded_fill_costs(
    history: History,
    paper: Mapping[pd.Timestamp, Sequence[FillArrays]],
    market: MarketView,
    used: Mapping[pd.Timestamp, str | None],
    recorded_by: pd.Timestamp | None = None,
) -> tuple[FillCosts, ...]:
    """Costs of the fills of some sessions: of the real ones where a session has any, else of the paper ones.

    The paper broker charges what the cost model says, give or take its noise: only real fills can tell
    that trading costs more.

    Parameters
    ----------
    paper : mapping of session to batches of fills
        Consecutive sessions in order, at most :data:`~nn_assets.session.fill_costs.SLIPPAGE_SESSIONS`.
    market : MarketView
        Covers these sessions.
    used : mapping of session to cost model id
        As :func:`~nn_assets.operations.asof.costs.recorded_cost_model_ids` gives it.
    recorded_by : UTC moment, optional
        Only fills imported by then count. Whenever they were paid, they count from the first session
        decided after their import.
    """
    days, symbols = list(paper), market.panel.symbols
    if not days:
        return ()
    real = history.stores.ledger.read(
        "fills", history.strategy.name, days[0], days[-1], recorded_by=recorded_by, where={"source": "imported"}
    )
    orders = _order_names(history, days)
    imported = {day: _batches(rows, symbols, orders) for day, rows in real.groupby("session")}
    models = {
        model_id: cost_model(history.stores.ledger, history.strategy, model_id)
        for model_id in {used[day] for day in days}
    }
    return tuple(
        fill_costs_of(
            imported.get(day, paper[day]),
            market.at(market.panel.row(day)),
            models[used[day]],
            execution=history.strategy.label.execution,
        )
        for day in days
    )


def _order_names(history: History, days: Sequence[pd.Timestamp]) -> frozenset[str]:
    """Orders that fills of some sessions may be of, but stops: those of decisions, and those of the account.

    A broker's statement names an order as the venue does, which is by the account's own name of it.
    """
    ledger, strategy, first = history.stores.ledger, history.strategy, days[0] - pd.Timedelta(days=30)
    decided = ledger.read("orders", strategy.name, first, days[-1], columns=["session", "client_order_id"])
    account = account_of(strategy)
    if account is None:
        return frozenset(decided["client_order_id"])
    sent = ledger.read(ORDERS, ledger_name(account), first, days[-1])
    return frozenset(decided["client_order_id"]).union(sent.loc[sent["kind"] != "stop", "client_order_id"])


def _batches(fills: FillRows, symbols: tuple[Symbol, ...], orders: frozenset[str]) -> tuple[FillArrays, ...]:
    """Fills of a session, a batch for each that says so: what a paper fill leaves unsaid means something else."""
    if fills.empty:
        return (_batch(fills, symbols, "paper", orders),)
    return tuple(_batch(rows, symbols, str(source), orders) for source, rows in fills.groupby("source"))


def _batch(fills: FillRows, symbols: tuple[Symbol, ...], source: str, orders: frozenset[str]) -> FillArrays:
    ordered = fills[fills["symbol"].isin(symbols)].sort_values("fill_id")
    columns = {symbol: number for number, symbol in enumerate(symbols)}
    numbers: dict[str, Any] = {name: ordered[name].to_numpy(dtype=np.float64) for name in NUMBERS}
    return FillArrays(
        fill_id=tuple(ordered["fill_id"]),
        client_order_id=tuple(ordered["client_order_id"]),
        symbol=np.array([columns[symbol] for symbol in ordered["symbol"]], dtype=np.int64),
        is_stop=~ordered["client_order_id"].isin(orders).to_numpy(dtype=np.bool_),
        source=source,
        **numbers,
    )
