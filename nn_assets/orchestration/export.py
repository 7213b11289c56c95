"""Tables written to files that people open: CSV, Parquet or JSON."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from nn_assets.errors import LedgerError, SettingsError
from nn_assets.market.bars import as_of as bars_as_of
from nn_assets.orchestration.catalog import find_strategy
from nn_assets.orchestration.workplace import Workplace, open_workplace
from nn_assets.settings import Strategy

__all__ = ["TABLES", "export_table"]

_LEDGER_TABLES = {
    "signals": "signals",
    "positions": "target_positions",
    "orders": "orders",
    "fills": "fills",
    "drift": "drift",
    "models": "models",
    "trials": "trials",
}
TABLES = ("bars", "quarantine", "features", "forecasts", *_LEDGER_TABLES, "audit")
# What a spreadsheet takes for a formula when a text cell begins with it.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def export_table(
    table: str, out: Path, strategy: str, first: str | None, last: str | None, as_of: str | None
) -> dict[str, Any]:
    """Write one table to a file, atomically.

    Parameters
    ----------
    table : str
        One of :data:`TABLES`.
    out : Path
        Its suffix says the format: ``.csv``, ``.parquet`` or ``.json``.
    first, last : str, optional
        Sessions (or months), both included.
    as_of : str, optional
        Only what was known at this moment; UTC unless it says otherwise.

    Raises
    ------
    SettingsError
        The table, the format or a date is not known.
    """
    if table not in TABLES:
        raise SettingsError(
            expected=f"one of {', '.join(TABLES)}", found=repr(table), remedy="name one of these tables", key="table"
        )
    moment = _moment("--as-of", as_of)
    low, high = _moment("--from", first), _moment("--to", last)
    frame = _frame(
        find_strategy(strategy).strategy,
        table,
        None if low is None else low.tz_localize(None).normalize(),
        None if high is None else high.tz_localize(None).normalize(),
        moment,
    )
    _write(frame, out)
    return {"table": table, "rows": len(frame), "file": str(out), "text": f"{len(frame)} rows of {table} in {out}"}


def _moment(option: str, text: str | None) -> pd.Timestamp | None:
    if text is None:
        return None
    try:
        stamp = pd.Timestamp(text)
    except ValueError:
        stamp = pd.NaT
    if pd.isna(stamp):
        raise SettingsError(
            expected="a date such as 2017-12-01, or a time such as 2017-12-01T21:30Z",
            found=repr(text),
            remedy="correct the option",
            key=option,
        )
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")


def _frame(
    strategy: Strategy,
    table: str,
    first: pd.Timestamp | None,
    last: pd.Timestamp | None,
    moment: pd.Timestamp | None,
) -> pd.DataFrame:
    with open_workplace(strategy) as workplace:
        if table == "audit":
            chain = workplace.ledger.read_chain()
            return chain
        if table in _LEDGER_TABLES:
            return workplace.ledger.read(_LEDGER_TABLES[table], strategy.name, first, last, moment)
        frame = _LAKE_TABLES[table](workplace)
        if moment is not None and "known_at" in frame.columns:
            frame = frame[frame["known_at"] <= moment]
    inside = pd.Series(data=True, index=frame.index)
    if first is not None:
        inside &= frame["session"] >= first
    if last is not None:
        inside &= frame["session"] <= last
    return frame[inside].reset_index(drop=True)


def _forecasts(workplace: Workplace) -> pd.DataFrame:
    return workplace.forecast_history()


_LAKE_TABLES: dict[str, Callable[[Workplace], pd.DataFrame]] = {}


def _write(frame: pd.DataFrame, out: Path) -> None:
    writers: dict[str, Callable[[Path], None]] = {
        ".csv": lambda file: _neutralised(frame).to_csv(file, index=False),
        ".parquet": lambda file: frame.to_parquet(file, index=False),
        ".json": lambda file: frame.to_json(file, orient="records", date_format="iso", indent=1),
    }
    if out.suffix not in writers:
        raise SettingsError(
            expected="a file that ends in .csv, .parquet or .json",
            found=str(out),
            remedy="choose one of these endings",
            key="--out",
        )
    beside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        writers[out.suffix](beside)
        beside.replace(out)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise LedgerError(
            expected="a place that can be written",
            found=f"{type(error).__name__}: {error}",
            remedy="choose another --out",
            file=str(out),
        ) from error


def _neutralised(frame: pd.DataFrame) -> pd.DataFrame:
    """Text cells that a spreadsheet would run as a formula get a leading apostrophe."""
    safe = frame.copy()
    for column in safe.columns:
        if pd.api.types.is_string_dtype(safe[column]):
            risky = safe[column].str.startswith(_FORMULA_STARTS, na=False)
            safe.loc[risky, column] = "'" + safe.loc[risky, column]
    return safe
