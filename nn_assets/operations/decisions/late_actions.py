"""Splits and dividends that became known after their ex-session was decided: what the next session mends by."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import Symbol
from nn_assets.contracts.frames import ActionVersions, PortfolioStateRows
from nn_assets.market.adjustment import adjustment_of
from nn_assets.operations.history import History
from nn_assets.portfolio.breakers import LOSSES, BreakerReset, named_kinds
from nn_assets.portfolio.late_actions import ActionRows, LateActions
from nn_assets.session.market_view import MarketView


def late_actions(history: History, session: pd.Timestamp, market: MarketView) -> LateActions | None:
    """Actions of live sessions before a session that it knows otherwise than the session before did.

    New, restated and withdrawn ones are read as every fact is: as known at each session's close, and
    for one decided before, as taken in by then. So an action is in the book from the first session
    decided after it was known, once, and a session decided again takes the same.

    Parameters
    ----------
    session : Timestamp
        The session being decided, the one before decided already.
    market : MarketView
        As known at its close.

    Returns
    -------
    LateActions or None
        None where nothing changed. The fills are those that moved the book: on record, on paper.
    """
    live = history.live_sessions
    gone, symbols = live[live < session], market.panel.symbols
    if len(gone) == 0:
        return None
    before = history.view(gone[-1])
    known_now = _by_session(history.view(session).actions, gone, symbols)
    taken = _by_session(before.actions, gone, symbols)
    if not taken.differs(known_now).any():
        return None
    panel = before.panel
    states = history.stores.ledger.read("portfolio_states", history.strategy.name, gone[0], gone[-1])
    states = states.set_index("session").loc[gone]
    marks = _on_record(history, "holdings", "price", gone, symbols)
    multiple = history.strategy.portfolio.stop_atr_multiple
    return LateActions(
        sessions=gone.to_numpy().astype("datetime64[D]"),
        traded=_on_record(history, "fills", "quantity", gone, symbols),
        taken=taken,
        known=known_now,
        mark=np.vstack([np.full(len(symbols), np.nan), marks[:-1]]),
        quoted=_of_symbols(np.isfinite(panel.close[panel.row(gone[0]) :]), panel.symbols, symbols),
        stop_distance=multiple * market.average_true_range[market.panel.row(gone[-1])],
        held=_on_record(history, "holdings", "quantity", gone, symbols),
        equity_usd=states["equity_usd"].to_numpy(dtype=np.float64),
        booked_usd=np.array([_booked(remainder) for remainder in states["book"]]),
        reset=_reset(history, states),
        first_peak_usd=float(states["high_water_mark_usd"].iloc[0]),
        closes=market.panel.close[market.panel.row(gone[0]) : market.panel.row(gone[-1]) + 1],
    )


def _of_symbols(
    quoted: npt.NDArray[np.bool_], seen_symbols: tuple[str, ...], symbols: tuple[Symbol, ...]
) -> npt.NDArray[np.bool_]:
    """What was quoted, (sessions, symbols), on another symbol axis: symbols that joined since were not."""
    columns = pd.Index(seen_symbols).get_indexer(pd.Index(list(symbols)))
    return np.asarray(quoted[:, columns] & (columns >= 0), dtype=np.bool_)


def _booked(remainder: str | Mapping[str, float]) -> float:
    book = json.loads(remainder) if isinstance(remainder, str) else remainder
    return sum(float(book.get(f"session_{name}_usd", 0.0)) for name in ("dividends", "cash_in_lieu", "delistings"))


def _reset(history: History, states: PortfolioStateRows) -> npt.NDArray[np.bool_]:
    """Sessions that began with a latched loss that a reset released for their decision, shape (sessions,)."""
    decisions = history.stores.ledger.read("decisions", history.strategy.name, states.index[0], states.index[-1])
    recorded = decisions.set_index("session")["details"].loc[states.index]
    latched = [(), *(named_kinds(breaker) for breaker in states["breaker"].iloc[:-1])]
    return np.array(
        [
            details["breaker_reset"] is not None
            and not LOSSES.isdisjoint(BreakerReset.from_record(details["breaker_reset"]).among(kinds))
            for details, kinds in zip(recorded, latched, strict=True)
        ],
        dtype=np.bool_,
    )


def _by_session(actions: ActionVersions | None, sessions: pd.DatetimeIndex, symbols: tuple[Symbol, ...]) -> ActionRows:
    shape = (len(sessions), len(symbols))
    # Without closes only the lay-out is left.
    laid = None
    if actions is not None:
        laid = adjustment_of(actions, sessions, symbols, np.full(shape, np.nan), "previous_close")
    if laid is None:
        return ActionRows.nothing(*shape)
    return ActionRows(laid.split, laid.dividend, laid.delisting, laid.assumed)


def _on_record(
    history: History, table: str, column: str, sessions: pd.DatetimeIndex, symbols: tuple[Symbol, ...]
) -> npt.NDArray[np.float64]:
    """A column of the ledger added up by (sessions, symbols); 0 where nothing is on record."""
    where = {"source": "paper"} if table == "fills" else None
    rows = history.stores.ledger.read(table, history.strategy.name, sessions[0], sessions[-1], where=where)
    rows = rows[rows["symbol"].isin(symbols)]
    row, symbol_index = (
        sessions.get_indexer(pd.DatetimeIndex(rows["session"])),
        pd.Index(symbols).get_indexer(pd.Index(rows["symbol"])),
    )
    total = np.zeros((len(sessions), len(symbols)))
    np.add.at(total, (row, symbol_index), rows[column].to_numpy(dtype=np.float64))
    return total
