"""Splits and dividends from a CSV file that a person or a vendor wrote."""

from __future__ import annotations

import csv
import gzip
import zlib
from pathlib import Path

import pandas as pd

from nn_assets.errors import SourceError
from nn_assets.frames import DELIVERED_ACTIONS, conform, violations
from nn_assets.sources.protocol import validate_symbol

__all__ = ["ActionsFile"]

_COLUMNS = ("symbol", "ex_session", "kind", "value")
# What 64 bits of nanoseconds hold.
_FIRST, _LAST = pd.Timestamp("1678-01-01", tz="UTC"), pd.Timestamp("2261-12-31", tz="UTC")
_UNREADABLE = (
    OSError,
    EOFError,
    zlib.error,
    csv.Error,
    UnicodeDecodeError,
    pd.errors.ParserError,
    pd.errors.EmptyDataError,
)


class ActionsFile:
    """A CSV with the columns symbol, ex_session, kind and value; others are passed over.

    One row an action: ``split`` with new shares for one old, or ``dividend`` with cash per share as
    held on the ex-session, unadjusted. An empty value withdraws an action that was delivered before;
    deleting its row does not. A ``known_at`` column (UTC) replaces the moment assumed.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def actions(
        self,
        symbols: tuple[str, ...] = (),
        first: pd.Timestamp | None = None,
        last: pd.Timestamp | None = None,
    ) -> pd.DataFrame:
        """Deliver the file's actions of the symbols and span asked for; none is no error.

        Raises
        ------
        SourceError
            The file cannot be read, lacks a column, has a line of fewer or more cells than its first,
            or holds an action twice, an unknown kind, a date that is none, a value that is not above
            zero, or an impossible symbol.
        """
        table = self._read()
        for place, symbol in enumerate(table["symbol"], start=2):
            validate_symbol(symbol, file=str(self.path), row=place)
        chosen = table["symbol"].isin(symbols) if symbols else pd.Series(data=True, index=table.index)
        if first is not None:
            chosen &= table["ex_session"] >= first
        if last is not None:
            chosen &= table["ex_session"] <= last
        return table[chosen].sort_values(["symbol", "ex_session", "kind"], ignore_index=True)

    def _read(self) -> pd.DataFrame:
        try:
            self._refuse_unequal_lines()
            # Tickers such as TRUE and NAN are texts.
            table = pd.read_csv(self.path, dtype=str, keep_default_na=False, index_col=False)
        except _UNREADABLE as error:
            raise self._refusal(f"{type(error).__name__}: {error}", "check source.actions_path and the file") from error
        missing = [name for name in _COLUMNS if name not in table.columns]
        if missing:
            raise self._refusal(f"no column {', '.join(missing)}", "name the columns in the file's first line")
        table = table.assign(
            ex_session=self._days(table["ex_session"]),
            value=self._numbers(table["value"]),
            source=f"actions:{self.path.name}",
        )
        moments = {}
        if "known_at" in table.columns:
            moments["known_at"] = self._moments(table["known_at"])
        actions = conform(table, DELIVERED_ACTIONS)
        faults = violations(actions, DELIVERED_ACTIONS)
        if faults:
            found = "; ".join(map(str, faults[:20]))
            raise self._refusal(found, "one row an action, dividends of one day added up; correct the rows named")
        return actions.assign(**moments)

    def _refuse_unequal_lines(self) -> None:
        """Refuse lines with fewer or more cells than the header: pandas fills them up, or cuts them."""
        opener = gzip.open if self.path.suffix.lower() == ".gz" else open
        with opener(self.path, "rt", encoding="utf-8-sig", newline="") as stream:
            lines = csv.reader(stream)
            header = next(lines, [])
            for cells in lines:
                if len(cells) != len(header) and any(cell.strip() for cell in cells):
                    raise self._refusal(
                        f"{len(cells)} cells in line {lines.line_num}, {len(header)} in the first",
                        "write as many cells in each line as in the first; quote a cell that holds a comma",
                    )

    def _days(self, texts: pd.Series) -> pd.Series:
        days = pd.to_datetime(texts.str.strip(), format="%Y-%m-%d", errors="coerce")
        wrong = days.isna() | (days > _LAST.tz_localize(None)) | (days < _FIRST.tz_localize(None))
        self._refuse(texts, wrong, "ex_session", "write dates as YYYY-MM-DD, of the years 1678 to 2261")
        return days

    def _numbers(self, texts: pd.Series) -> pd.Series:
        numbers = pd.to_numeric(texts.str.strip(), errors="coerce")
        wrong = numbers.isna() & (texts.str.strip() != "")
        self._refuse(texts, wrong, "value", "write a number, or nothing to withdraw the action")
        return numbers

    def _moments(self, texts: pd.Series) -> pd.Series:
        moments = pd.to_datetime(texts.str.strip(), format="ISO8601", utc=True, errors="coerce")
        wrong = moments.isna() & (texts.str.strip() != "")
        wrong |= (moments > _LAST) | (moments < _FIRST)
        self._refuse(texts, wrong, "known_at", "write a moment as 2014-06-06T20:30:00Z, or nothing")
        return moments.dt.as_unit("ns")

    def _refuse(self, texts: pd.Series, wrong: pd.Series, column: str, remedy: str) -> None:
        if wrong.any():
            place = int(wrong.to_numpy().argmax())
            raise self._refusal(f"{column} {texts.iloc[place]!r} in line {place + 2}", remedy)

    def _refusal(self, found: str, remedy: str) -> SourceError:
        return SourceError(
            expected=f"a CSV file of splits and dividends with columns {', '.join(_COLUMNS)}",
            found=found,
            remedy=remedy,
            file=str(self.path),
        )
