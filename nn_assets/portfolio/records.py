"""The book as the ledger stores it, exactly: a portfolio_states row, holdings rows, and what they leave out.

Floats travel as themselves in the frames' columns and as shortest-repr JSON in the extra record, so
that a book read back continues to the same bits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.contracts import HOLDINGS, framed
from nn_assets.contracts.frames import HoldingRows
from nn_assets.errors import LedgerError
from nn_assets.portfolio.book import Book, PortfolioState
from nn_assets.portfolio.breakers import Breaker, named_kinds

_NUMBERS = ("quantity", "price", "entry_price", "stop_price")
_DAYS = ("entered_session", "blocked_until")
_PER_SYMBOL = ("pending_stop_distance", "unfilled_quantity")
_DECIDED = ("unscaled_quantity", "target_quantity")  # absent from the records of version 0.1
# On record only where there were any: a book without actions and funding keeps the record that it always had.
_FLOWS_IF_ANY = ("session_dividends_usd", "session_cash_in_lieu_usd", "session_delistings_usd", "session_funding_usd")
_SCALARS = ("highest_ever_usd", "week_peak_usd", "session_costs_usd", "session_financing_usd")


FLOWS = ("financing_usd", "funding_usd", "dividends_usd", "cash_in_lieu_usd", "delistings_usd")


def state_row(state: PortfolioState) -> dict[str, object]:
    """Return the row of the portfolio_states frame; the session as a Timestamp."""
    row = asdict(state)
    row["session"] = pd.Timestamp(state.session).as_unit("ns")
    return row


def holdings_frame(book: Book) -> HoldingRows:
    """Return the holdings columns, one row per symbol, flat ones included (they may be blocked)."""
    columns = {name: getattr(book, name) for name in HOLDINGS.columns if name != "symbol"}
    return framed(HOLDINGS, len(book.symbols), symbol=book.symbols, **columns)


def book_remainder(book: Book) -> str:
    """Return, as canonical JSON, what neither the state's row nor the holdings say.

    The key ``symbols`` keeps the order of the arrays; NaN is null.
    """
    record: dict[str, object] = {name: getattr(book, name) for name in _SCALARS}
    record |= {name: getattr(book, name) for name in _FLOWS_IF_ANY if getattr(book, name) != 0.0}
    record["symbols"] = list(book.symbols)
    strictest, *others = book.breakers or (None,)
    record["breaker_reason"] = None if strictest is None else strictest.reason
    if others:
        record["other_breakers"] = {breaker.kind: breaker.reason for breaker in others if breaker is not None}
    if book.halved:
        record["halved"] = True
    if not np.isnat(book.day):  # of bars within the session alone
        record |= {"day": str(book.day), "day_start_usd": book.day_start_usd}
    if book.funding_assumed:
        record["funding_assumed"] = list(book.funding_assumed)
    marked = np.flatnonzero(~((book.marked_session == book.session) | np.isnat(book.session)))
    if len(marked):  # a position without a bar of the session
        record["marked_session"] = {book.symbols[index]: str(book.marked_session[index]) for index in marked}
    for name in (*_PER_SYMBOL, *_DECIDED):
        record[name] = [None if math.isnan(value) else value for value in getattr(book, name).tolist()]
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)


def breakers_of(named: object, remainder: str | Mapping[str, Any]) -> tuple[Breaker, ...]:
    """The breakers that a state's column names, with the reasons that the remainder keeps."""
    rest = _read(remainder)
    reasons = rest.get("other_breakers", {})
    return tuple(Breaker(kind, str(reasons.get(kind, rest["breaker_reason"]))) for kind in named_kinds(named))


def session_flows(remainder: str | Mapping[str, Any]) -> dict[str, float]:
    """What moved the session's cash besides fills, dollars received less paid, by the names in :data:`FLOWS`."""
    rest = _read(remainder)
    return {name: float(rest.get(f"session_{name}", 0.0)) for name in FLOWS}


def unmarked_symbols(remainder: str | Mapping[str, Any]) -> dict[str, str]:
    """Positions without a bar of the record's session, with the day of their mark."""
    return {symbol: day for symbol, day in _read(remainder).get("marked_session", {}).items() if day != "NaT"}


def is_halved(remainder: str | Mapping[str, Any]) -> bool:
    """Whether sizes are halved in a drawdown."""
    return bool(_read(remainder).get("halved", False))


def book_from_records(state: Mapping[str, Any], holdings: HoldingRows, remainder: str | Mapping[str, object]) -> Book:
    """Rebuild the book that :func:`state_row`, :func:`holdings_frame` and :func:`book_remainder` describe.

    Parameters
    ----------
    state : mapping
        One row of portfolio_states.
    holdings : DataFrame
        The holdings of that session, in any row order.
    remainder : str or mapping
        The remainder, as JSON or already read.

    Raises
    ------
    LedgerError
        Holdings and remainder name different symbols.
    """
    rest = _read(remainder)
    symbols = recorded_symbols(remainder)
    if sorted(holdings["symbol"]) != sorted(symbols):
        raise LedgerError(
            expected=f"one holdings row for each of {len(symbols)} symbols",
            found=f"{len(holdings)} rows",
            remedy="verify the ledger with `nn-assets audit verify`",
            session=state["session"],
        )
    ordered = holdings.set_index("symbol").loc[list(symbols)]
    numbers = {name: ordered[name].to_numpy(dtype=np.float64).copy() for name in _NUMBERS}
    days = {name: ordered[name].to_numpy().astype("datetime64[D]") for name in _DAYS}
    # A book on record without a scale counts as unscaled, as if its orders were going to complete it.
    ordered_too = numbers["quantity"] + _array(rest["unfilled_quantity"])
    parts: dict[str, Any] = {
        **numbers,
        **{name: _array(rest[name]) if name in rest else ordered_too.copy() for name in _DECIDED},
        **days,
        **{name: _array(rest[name]) for name in _PER_SYMBOL},
        **{name: float(rest[name]) for name in _SCALARS},
        **{name: float(rest.get(name, 0.0)) for name in _FLOWS_IF_ANY},
    }
    session = np.datetime64(pd.Timestamp(state["session"]).date(), "D")
    return Book(
        symbols=symbols,
        cash_usd=float(state["cash_usd"]),
        equity_usd=float(state["equity_usd"]),
        high_water_mark_usd=float(state["high_water_mark_usd"]),
        session=session,
        marked_session=np.array(
            [rest.get("marked_session", {}).get(symbol, session) for symbol in symbols], dtype="datetime64[D]"
        ),
        blocked_side=ordered["blocked_side"].to_numpy().astype(np.int64),
        breakers=breakers_of(state["breaker"], rest),
        halved=is_halved(rest),
        day=np.datetime64(rest.get("day", "NaT"), "D"),
        day_start_usd=float(rest.get("day_start_usd", math.nan)),
        funding_assumed=tuple(rest.get("funding_assumed", ())),
        **parts,
    )


def recorded_symbols(remainder: str | Mapping[str, object]) -> tuple[str, ...]:
    """The symbol axis of the book that a remainder is of."""
    return tuple(_read(remainder)["symbols"])


def _read(remainder: str | Mapping[str, object]) -> dict[str, Any]:
    return json.loads(remainder) if isinstance(remainder, str) else dict(remainder)


def _array(values: list[float | None]) -> npt.NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
