"""Tables written to files that people open: CSV, Parquet or JSON."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.errors import LedgerError, SettingsError
from nn_assets.market.bars import as_of as known_bars
from nn_assets.market.cleaning import clean
from nn_assets.market.sessions import assumed_known_at
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
            expected=f"one of {', '.join(TABLES)}",
            found=repr(table),
            remedy="name one of these tables",
            key="table",
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
    return {
        "table": table,
        "rows": len(frame),
        "file": str(out),
        "text": f"{len(frame)} rows of {table} in {out}",
    }


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
            return workplace.ledger.chain()
        if table in _LEDGER_TABLES:
            return workplace.ledger.read(_LEDGER_TABLES[table], strategy.name, first, last, moment)
        frame = _LAKE_TABLES[table](workplace, moment)
    inside = pd.Series(data=True, index=frame.index)
    if first is not None:
        inside &= frame["session"] >= first
    if last is not None:
        inside &= frame["session"] <= last
    return frame[inside].reset_index(drop=True)


def _bars(workplace: Workplace, moment: pd.Timestamp | None) -> pd.DataFrame:
    """Clean bars, as published or as they were known at a moment."""
    if moment is None:
        return workplace.bars()
    market = workplace.strategy.market
    return clean(known_bars(workplace.raw_versions(), moment), market.calendar, workplace.strategy.cleaning).bars


def _quarantine(workplace: Workplace, moment: pd.Timestamp | None) -> pd.DataFrame:
    if moment is not None:
        market = workplace.strategy.market
        known = known_bars(workplace.raw_versions(), moment)
        return clean(known, market.calendar, workplace.strategy.cleaning).quarantine
    publication = workplace.publications.require(workplace.strategy.name, workplace.last_session)
    return workplace.publications.quarantine(publication)


def _features(workplace: Workplace, moment: pd.Timestamp | None) -> pd.DataFrame:
    """Features in wide form, one row for each symbol and session."""
    session = workplace.last_session if moment is None else _last_known(workplace, moment)
    cube = workplace.cube(session)
    values = np.asarray(cube.values)
    bars, symbols = values.shape[:2]
    frame = pd.DataFrame(values.reshape(bars * symbols, -1), columns=list(cube.names))
    frame.insert(0, "symbol", list(cube.symbols) * bars)
    frame.insert(0, "session", cube.sessions.repeat(symbols))
    return frame


def _forecasts(workplace: Workplace, moment: pd.Timestamp | None) -> pd.DataFrame:
    frame = workplace.forecast_history()
    return frame if moment is None else frame[frame["session"] <= _last_known(workplace, moment)]


def _last_known(workplace: Workplace, moment: pd.Timestamp) -> pd.Timestamp:
    """The last session whose decision could be made by a moment."""
    market, sessions = workplace.strategy.market, workplace.sessions()
    known = assumed_known_at(market.calendar, sessions, market.known_at_lag_minutes) <= moment
    if not known.any():
        raise SettingsError(
            expected=f"a time after the close of {sessions[0].date()}",
            found=moment.isoformat(),
            remedy="ask for a later time",
            key="--as-of",
        )
    return sessions[known][-1]


_LAKE_TABLES: dict[str, Callable[[Workplace, pd.Timestamp | None], pd.DataFrame]] = {
    "bars": _bars,
    "quarantine": _quarantine,
    "features": _features,
    "forecasts": _forecasts,
}


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
