"""Real fills, read from a broker's file into the same ledger. They calibrate costs; the paper book is not moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from nn_assets.errors import SourceError
from nn_assets.frames import FILLS, validate
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.clock import now_utc
from nn_assets.operations.history import open_history
from nn_assets.sources.protocol import validate_symbol

__all__ = ["import_fills"]

_NEEDED = ("fill_id", "client_order_id", "symbol", "session", "quantity", "price")
_LARGEST = 1e15
_STATED = ("mid_price", "half_spread_usd", "commission_usd", "impact_usd")


def import_fills(strategy: str, file: Path) -> dict[str, Any]:
    """Append the fills of a CSV file to the ledger; those that are there already change nothing.

    Parameters
    ----------
    file : Path
        Columns fill_id, client_order_id, symbol, session, quantity (signed: a sale is negative) and
        price; mid_price, half_spread_usd, commission_usd and impact_usd where the broker states them.

    Raises
    ------
    SourceError
        The file cannot be read, or lacks a column.
    SchemaError
        A value breaks the contract of fills; every violation is named.
    LedgerError
        A fill id is on record with other values.
    """
    found = _read(file)
    missing = [name for name in _NEEDED if name not in found.columns]
    if missing or found.empty:
        raise SourceError(
            expected=f"rows with columns {', '.join(_NEEDED)}",
            found=f"no {', '.join(missing)}" if missing else "no row",
            remedy="export the fills with these columns, a header line first",
            file=str(file),
        )
    frame = found.reindex(columns=[*_NEEDED, *_STATED]).assign(source="imported", known_at=now_utc())
    chosen = find_strategy(strategy).strategy
    frame["session"] = _days(frame["session"], chosen.market.calendar, file)
    for row, symbol in enumerate(frame["symbol"], start=2):
        validate_symbol(symbol, file=str(file), row=row)
    for name in ("fill_id", "symbol"):
        _refuse(frame[name], frame[name].str.strip() == "", name, "a text", file)
    for name in ("quantity", "price", *_STATED):
        frame[name] = _numbers(frame[name], name, file)
    _refuse(found["quantity"], frame["quantity"] == 0.0, "quantity", "a number other than zero", file)
    checked = validate(frame[list(FILLS.columns)], FILLS)
    # Alone: a decision under way counts the fills recorded before it, and none recorded meanwhile.
    with open_history(chosen) as history, history.stores.alone(strategy):
        ledger = history.stores.ledger
        known = ledger.read("fills", strategy, where={"source": "imported"})[["fill_id", "known_at"]]
        # A fill on record keeps the moment it was first known; the ledger then compares the rest.
        merged = checked.merge(known, on="fill_id", how="left", suffixes=("", "_first"))
        checked["known_at"] = merged["known_at_first"].combine_first(merged["known_at"]).to_numpy()
        appended = ledger.append("fills", checked, run_id=f"import:{file.name}", strategy=strategy)
    told = f"{strategy}: {appended.inserted} fills imported, {appended.unchanged} were there already"
    return {"strategy": strategy, "imported": appended.inserted, "known": appended.unchanged, "text": told}


def _read(file: Path) -> pd.DataFrame:
    try:
        # Tickers such as TRUE and NAN are texts.
        return pd.read_csv(file, dtype=str, keep_default_na=False, index_col=False, on_bad_lines="error")
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SourceError(
            expected="a readable CSV file of fills",
            found=f"{type(error).__name__}: {error}",
            remedy="check the path, and that the file is plain UTF-8 text with commas",
            file=str(file),
        ) from error


def _days(texts: pd.Series, calendar: str, file: Path) -> pd.Series:
    days = pd.to_datetime(texts, format="%Y-%m-%d", errors="coerce")
    days = days.where(days.between("1990-01-01", "2035-12-31")).astype("datetime64[ns]")
    known = days.isin(sessions_between(calendar, "1990-01-01", "2035-12-31"))
    _refuse(texts, ~known, "session", f"a session of {calendar} as YYYY-MM-DD", file)
    return days


def _numbers(texts: pd.Series, name: str, file: Path) -> pd.Series:
    stated = texts.where(texts.notna() & (texts != ""))
    numbers = pd.to_numeric(stated, errors="coerce").astype("float64")
    _refuse(texts, stated.notna() & ~(numbers.abs() < _LARGEST), name, f"a number below {_LARGEST:g}", file)
    return numbers


def _refuse(texts: pd.Series, wrong: pd.Series, column: str, expected: str, file: Path) -> None:
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise SourceError(
            expected=f"{expected} in column {column}",
            found=repr(texts.iloc[row]),
            remedy="correct the cell",
            file=str(file),
            row=row + 2,
            value=texts.iloc[row],
        )
