"""Which column of a vendor's table is which: common spellings, and symbols in file names."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from nn_assets.contracts import DETAILS
from nn_assets.errors import SourceError

_log = logging.getLogger(__name__)

UNEQUAL_REMEDY = (
    "write decimals with a point (1.25 for 1,25) and no thousands separators, quote a text that holds the separator, "
    "or deliver the file again"
)
_SEPARATORS = {";": "semicolons", "\t": "tabs"}

# Of several spellings present the first listed wins: `symbol` beside `name` is the ticker.
_SPELLINGS = {
    "session": ("session", "date", "datetime", "timestamp", "tradedate", "tradingday", "day", "time"),
    "symbol": ("symbol", "ticker", "tic", "stock", "instrument", "name"),
    "open": ("open", "openprice", "o"),
    "high": ("high", "highprice", "h"),
    "low": ("low", "lowprice", "l"),
    "close": ("close", "closeprice", "c"),
    "volume": ("volume", "vol", "v"),
    "vwap": ("vwap", "vw", "volumeweightedaverageprice"),
    "trades": ("trades", "tradecount", "numberoftrades", "transactions"),
    "bid": ("bid", "bidprice", "closebid", "bidclose"),
    "ask": ("ask", "askprice", "closeask", "askclose"),
    "effective_spread": ("effectivespread",),
    "known_at": ("knownat",),
}
_OF_A_FILE = "name {columns} in the header, the file's first line"
_OF_CLOSES = (
    "; or, where the file holds closes alone, a column close or a column a symbol, set source.closes_only: true"
)
_NEEDED = ("session", "open", "high", "low", "close")
_DAY = re.compile(r"(?<![0-9])((?:19|20)[0-9]{2})([-_]?)(0[1-9]|1[0-2])\2([0-3][0-9])(?![0-9])")
_SUFFIX = re.compile(r"[_-](data|daily|prices?|bars?|ohlcv?|history)$", re.IGNORECASE)


def quoted(text: object) -> str:
    """Quote a text for an error: escaped, and cut where it is long."""
    return repr(str(text)[:80])


def separator_of(first_line: str, path: Path) -> str:
    """What tells a CSV's cells apart: a comma, or the semicolons or tabs of a first line that has no comma.

    That it is another than the comma is told.
    """
    separators = [mark for mark in _SEPARATORS if mark in first_line and "," not in first_line]
    if len(separators) != 1:
        return ","
    _log.warning("%s: cells stand apart by %s, and are read so", path, _SEPARATORS[separators[0]])
    return separators[0]


def normalised(header: str) -> str:
    """Reduce a header to what spellings share: ``open_``, ``<OPEN>`` and ``1. open`` become ``open``."""
    return re.sub(r"^[0-9]+\.|[^a-z]", "", header.strip().lower())


def map_columns(
    headers: Sequence[str],
    file: str | None,
    *,
    needs_volume: bool,
    remedy: str | None = None,
) -> dict[str, str]:
    """Find the columns of a bar among a table's headers.

    Parameters
    ----------
    headers : sequence of str
        As written in the file. Columns that do not belong to a bar, adjusted ones among them, are left out.
    file : str or None
        For the error.
    needs_volume : bool
        Whether a table without a volume column is refused.
    remedy : str, optional
        What to do about the missing ``{columns}``, the first of which is ``{column}``; of a file when left out.

    Returns
    -------
    dict of str to str
        Field to header: session, open, high, low, close; symbol, volume and those of ``DETAILS`` where there are such.

    Raises
    ------
    SourceError
        A column is missing, or two headers are equally good for one field.
    """
    columns: dict[str, str] = {}
    for field, spellings in _SPELLINGS.items():
        for spelling in spellings:
            candidates = [header for header in headers if normalised(header) == spelling]
            if len(candidates) > 1 and field in DETAILS:
                _log.warning("%s: %d columns for %s: none is taken", file or "the answer", len(candidates), field)
                break
            if len(candidates) > 1:
                raise SourceError(
                    expected=f"one column for {field}",
                    found=f"{len(candidates)}: {', '.join(map(quoted, candidates[:30]))}",
                    remedy="delete or rename the columns that are not meant",
                    file=file,
                    rule="one_column_per_field",
                    column=field,
                )
            if candidates:
                columns[field] = candidates[0]
                break
    missing = [field for field in (*_NEEDED, *["volume"] * needs_volume) if field not in columns]
    if missing:
        if remedy is None:
            remedy = _OF_A_FILE + (_OF_CLOSES if {"high", "low"} <= set(missing) else "")
        raise SourceError(
            expected=f"columns {', '.join(_NEEDED)}{', volume' * needs_volume}, in a common spelling",
            found=f"no column for {', '.join(missing)} among {', '.join(map(quoted, headers[:30])) or 'none'}",
            remedy=remedy.format(columns=listed_columns(missing), column=missing[0]),
            file=file,
            rule="complete_columns",
            column=missing[0],
        )
    return columns


def map_details(headers: Sequence[str], file: str) -> dict[str, str]:
    """Find the columns that say more of a bar than its prices and volume; none of two that are equally good.

    Parameters
    ----------
    headers : sequence of str
        As written in the file, those left out that are something else.
    file : str
        For the message.
    """
    columns: dict[str, str] = {}
    for field in DETAILS:
        for spelling in _SPELLINGS[field]:
            candidates = [header for header in headers if normalised(header) == spelling]
            if len(candidates) > 1:
                _log.warning("%s: %d columns for %s: none is taken", file, len(candidates), field)
            elif candidates:
                columns[field] = candidates[0]
            if candidates:
                break
    return columns


def listed_columns(columns: Sequence[str]) -> str:
    """Name one column or several, as a remedy does: ``the columns 'open' and 'close'``."""
    named = [repr(column) for column in columns]
    return f"the column {named[0]}" if len(named) == 1 else f"the columns {', '.join(named[:-1])} and {named[-1]}"


def symbol_from_name(path: Path) -> str:
    """Symbol of a file that holds one: ``NUE_data.csv`` is NUE, ``BF.B.csv.gz`` is BF.B."""
    name = path.name
    for ending in (".gz", ".csv", ".parquet", ".pq"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return _SUFFIX.sub("", name)


def day_of_name(path: Path) -> pd.Timestamp | None:
    """Day in a file's name (``20150323.tar.gz``, ``prices_2015-03-23.csv``); None where there is none.

    Raises
    ------
    SourceError
        Several different days, or one that the calendar does not have.
    """
    texts = sorted({f"{year}-{month}-{day}" for year, _, month, day in _DAY.findall(path.name)})
    days = pd.to_datetime(pd.Series(texts, dtype="str"), format="%Y-%m-%d", errors="coerce")
    if len(days) > 1 or days.isna().any():
        raise SourceError(
            expected="one day in the file's name, such as 20150323",
            found=", ".join(texts),
            remedy="rename the file, or set source.known_at_from to close",
            file=str(path),
            rule="one_day_in_name",
        )
    return days.iloc[0].as_unit("ns") if len(days) else None
