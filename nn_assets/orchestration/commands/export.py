"""Tables written to files that people open: CSV, Parquet or JSON."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.errors import SettingsError
from nn_assets.market.bars import as_of as known_bars
from nn_assets.market.cleaning import clean
from nn_assets.market.sessions import assumed_known_at
from nn_assets.orchestration.catalog import find_strategy
from nn_assets.orchestration.clock import now_utc
from nn_assets.orchestration.commands.table_files import FORMATS, write_table_file
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
_BY_MONTH = ("models",)
_WITHOUT_SESSIONS = {
    "trials": "every trial counts against the strategy, whatever the session",
    "audit": "a part of the chain could not be verified",
}
TABLES = ("bars", "quarantine", "features", "forecasts", *_LEDGER_TABLES, "audit")
_MONTH = re.compile(r"\d{4}-\d{2}")


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
        The table, the format or a date is not known, or what ``write_table_file`` refuses.
    """
    if table not in TABLES:
        raise SettingsError(
            expected=f"one of {', '.join(TABLES)}",
            found=repr(table),
            remedy="name one of these tables",
            key="table",
        )
    _check_options(table, out, first, last, as_of)
    moment = _moment("--as-of", as_of)
    low, high = _day("--from", first), _day("--to", last)
    if low is not None and high is not None and low > high:
        raise SettingsError(
            expected="a first session that does not lie after the last",
            found=f"{low.date()} to {high.date()}",
            remedy="swap the two",
            key="--from / --to",
        )
    frame = _frame(find_strategy(strategy).strategy, table, low, high, moment)
    write_table_file(frame, out)
    return {
        "table": table,
        "rows": len(frame),
        "file": str(out),
        "text": f"{len(frame)} rows of {table} in {out}",
    }


def _check_options(table: str, out: Path, first: str | None, last: str | None, as_of: str | None) -> None:
    """Refuse what a table cannot honour: an option passed over in silence would give another table."""
    if out.suffix.lower() not in FORMATS:
        raise SettingsError(
            expected="a file that ends in .csv, .parquet or .json",
            found=str(out),
            remedy="choose one of these endings",
            key="--out",
        )
    given = {"--from": first, "--to": last, "--as-of": as_of if table == "audit" else None}
    asked = [option for option, value in given.items() if value is not None]
    if table in _WITHOUT_SESSIONS and asked:
        raise SettingsError(
            expected=f"{table} without {asked[0]}: {_WITHOUT_SESSIONS[table]}",
            found=f"{asked[0]} {given[asked[0]]}",
            remedy=f"leave out {' and '.join(asked)}",
            key=asked[0],
        )


def _day(option: str, text: str | None) -> pd.Timestamp | None:
    moment = _moment(option, text)
    if moment is None:
        return None
    day = moment.tz_localize(None).normalize()
    # A month, as in --to 2017-12, is meant to its end.
    return day + pd.offsets.MonthEnd() if option == "--to" and _MONTH.fullmatch(str(text)) else day


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
            low, high = (_month(first), _month(last)) if table in _BY_MONTH else (first, last)
            return workplace.ledger.read(_LEDGER_TABLES[table], strategy.name, low, high, moment)
        frame = _LAKE_TABLES[table](workplace, moment)
    inside = pd.Series(data=True, index=frame.index)
    if first is not None:
        inside &= frame["session"] >= first
    if last is not None:
        inside &= frame["session"] <= last
    return frame[inside].reset_index(drop=True)


def _month(day: pd.Timestamp | None) -> str | None:
    return None if day is None else day.strftime("%Y-%m")


def _bars(workplace: Workplace, moment: pd.Timestamp | None) -> pd.DataFrame:
    """Clean bars, as published or as they were known at a moment."""
    if moment is None:
        return workplace.bars()
    market = workplace.strategy.market
    return clean(known_bars(workplace.raw_versions(), moment), market.calendar, workplace.strategy.cleaning).bars


def _quarantine(workplace: Workplace, moment: pd.Timestamp | None) -> pd.DataFrame:
    # From the raw bars, so that what made the gate halt can be read although nothing was published.
    market = workplace.strategy.market
    known = known_bars(workplace.raw_versions(), now_utc() if moment is None else moment)
    return clean(known, market.calendar, workplace.strategy.cleaning).quarantine


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
