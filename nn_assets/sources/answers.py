"""What vendors' answers have in common: who and when is asked, bars from rows, pages that follow each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.contracts import DELIVERED_BARS, conform
from nn_assets.contracts.frames import DeliveredActions, DeliveredBars
from nn_assets.errors import SourceError
from nn_assets.market.calendar.sessions import sessions_between, timezone_of
from nn_assets.sources.protocol import actions_left, checked_selection, leaving_out, validate_symbol

Action = tuple[str, object, str, object]
"""Symbol, ex-session, kind and value of a split or dividend, as a vendor gives them."""

_FIELDS = ("open", "high", "low", "close", "volume")
_NO_DETAILS: Mapping[str, str] = MappingProxyType({})
_LONGEST_SILENCE_SESSIONS = 10
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_OFFSET = r"[0-9](?:Z|[+-][0-9]{2}:?[0-9]{2})$"


@dataclass(frozen=True)
class Scope:
    """What a vendor is asked for where a request leaves it open: it has too much to deliver all.

    Parameters
    ----------
    calendar : str
        Whose sessions the bars belong to; its timezone gives a moment its day.
    universe : tuple of str
        The symbols delivered when none are named.
    history_starts : date
        The first session delivered when none is named.
    """

    calendar: str
    universe: tuple[str, ...]
    history_starts: date

    def asked(
        self, source: str, symbols: tuple[str, ...], first: pd.Timestamp | None
    ) -> tuple[tuple[str, ...], pd.Timestamp]:
        """Symbols and first session of a request.

        Raises
        ------
        SourceError
            No symbols at all, or one that no exchange uses.
        """
        names = tuple(dict.fromkeys(symbols or self.universe))
        if not names:
            raise SourceError(
                expected="symbols to ask the vendor for",
                found="none",
                remedy="list them in market.symbols",
                source=source,
                rule="symbols_named",
                key="market.symbols",
            )
        for name in names:
            validate_symbol(name, source=source)
        return names, pd.Timestamp(first if first is not None else self.history_starts)

    @property
    def timezone(self) -> str:
        """The calendar's timezone."""
        return timezone_of(self.calendar)

    def refuse_gap(self, source: str, symbol: str, before: pd.Timestamp, after: pd.Timestamp) -> None:
        """Refuse two pages between which sessions are missing, more than a halt explains.

        Raises
        ------
        SourceError
            Over 10 sessions lie between the last bar of one page and the first of the next.
        """
        between = len(sessions_between(self.calendar, before, after)) - 2
        if between > _LONGEST_SILENCE_SESSIONS:
            found = f"{between} sessions missing between a page that ends {before.date()} and the next"
            raise partial_answer(source, symbol, found, session=after.date())


class ScopedSource:
    """A source with too much to deliver all: what a request leaves open its scope says.

    A member is a frozen dataclass with the attributes below as fields, and gives ``bars_from``.

    Attributes
    ----------
    name : str
        The kind of source.
    scope : Scope
    """

    name: str
    scope: Scope

    def bars_from(self, names: tuple[str, ...], first: pd.Timestamp, last: pd.Timestamp | None) -> DeliveredBars:
        """Ask for the bars of some symbols; others and those of other days may come too."""
        raise NotImplementedError

    def bars(
        self,
        symbols: tuple[str, ...] = (),
        first: pd.Timestamp | None = None,
        last: pd.Timestamp | None = None,
    ) -> DeliveredBars:
        """Deliver raw daily bars; see ``Source.bars``.

        Raises
        ------
        SourceError
            No key, no good answer, one that is partial, or no bar of a symbol.
        """
        names, start = self.scope.asked(self.name, symbols, first)
        return checked_selection(self.bars_from(names, start, last), self.name, names, start, last)


class ScopedActions(ScopedSource):
    """Such a source that knows splits and dividends too; a member gives ``actions_from`` as well."""

    def actions_from(self, names: tuple[str, ...], first: pd.Timestamp, last: pd.Timestamp | None) -> Iterable[Action]:
        """Ask for splits and dividends; of other symbols and days some may come too."""
        raise NotImplementedError

    def actions(
        self,
        symbols: tuple[str, ...] = (),
        first: pd.Timestamp | None = None,
        last: pd.Timestamp | None = None,
    ) -> DeliveredActions:
        """Deliver splits and cash dividends; see ``ActionSource.actions``."""
        names, start = self.scope.asked(self.name, symbols, first)
        rows = list(self.actions_from(names, start, last))
        wanted, others = ([row for row in rows if (row[0] in names) is own] for own in (True, False))
        return action_table(self.name, wanted, start, last, others)


def partial_answer(source: str, symbol: str, found: str, **where: object) -> SourceError:
    """Make the error for an answer of which something is missing."""
    return SourceError(
        expected="a whole answer: as many rows as announced, each once, page after page",
        found=found,
        remedy="run again; if it stays, report it to the vendor",
        **{"source": source, "symbol": symbol, "rule": "whole_answer", **where},
    )


def nothing_of(
    source: str,
    symbol: str,
    first: pd.Timestamp,
    last: pd.Timestamp | None,
    *,
    what: str = "bars",
    key: str = "market.symbols",
) -> SourceError:
    """Make the error for an answer without a row; ``key`` is the setting that names the symbol."""
    return SourceError(
        expected=f"{what} of {symbol} from {first.date()} to {'now' if last is None else last.date()}",
        found="an empty answer",
        remedy=f"correct {key}, or ask for sessions on which it traded and which the subscription covers",
        source=source,
        symbol=symbol,
        session=first.date(),
        rule="not_empty",
    )


def days_of(moments: pd.Series, timezone: str) -> pd.Series:
    """Days of UTC moments on the exchange's clock, as tz-naive midnights."""
    days: pd.Series = moments.dt.tz_convert(timezone).dt.tz_localize(None).dt.normalize().dt.as_unit("ns")
    return days


def bar_table(
    source: str,
    symbol: str,
    rows: Sequence[Any],
    keys: Mapping[str, str],
    timezone: str,
    details: Mapping[str, str] = _NO_DETAILS,
) -> DeliveredBars:
    """Bars of one symbol from a vendor's rows.

    Parameters
    ----------
    source, symbol : str
    rows : sequence
        Mappings, oldest first.
    keys : mapping of str to str
        Field (moment, open, high, low, close, volume) to the vendor's key. A moment is milliseconds
        since 1970 UTC, a text with an offset, or the day itself, as 2018-01-31.
    timezone : str
        Whose day a moment belongs to.
    details : mapping of str to str
        Detail of ``DETAILS`` to the vendor's key, which rows may lack.

    Returns
    -------
    DataFrame
        Keeps ``DELIVERED_BARS``, beside columns of the details that any row has. NaN where the vendor says null.

    Raises
    ------
    SourceError
        Something other than a row, a missing key, a value that is no number, a moment that cannot be read,
        or moments that do not rise; names symbol, session or row, and value.
    """
    context: dict[str, object] = {"source": source, "symbol": symbol}
    for number, row in enumerate(rows):
        absent = [key for key in keys.values() if key not in row] if isinstance(row, Mapping) else ["every key"]
        if absent:
            raise _malformed(f"no {', '.join(absent)} in it", {**context, "row": number, "value": repr(row)[:120]})
    written = [row[keys["moment"]] for row in rows]
    kinds = {type(moment) for moment in written}
    if kinds not in ({int}, {str}):
        wrong = next(
            moment for moment in written if type(moment) is not type(written[0]) or not isinstance(moment, int | str)
        )
        raise _malformed("a moment that is none", {**context, "value": repr(wrong)[:120]})
    moments, days = _moments_and_days(pd.Series(written), timezone)
    if moments.isna().any():
        wrong = written[int(np.argmax(moments.isna()))]
        raise _malformed("a moment that is none", {**context, "value": repr(wrong)[:120]})
    table: dict[str, Any] = {"symbol": symbol, "session": days, "source": source}
    present = {name: key for name, key in details.items() if any(row.get(key) is not None for row in rows)}
    for name in (*_FIELDS, *present):
        values = [row[keys[name]] if name in keys else row.get(present[name]) for row in rows]
        row_index = next((number for number, value in enumerate(values) if not _is_number(value)), None)
        if row_index is not None:
            where = {
                **context,
                "session": days[row_index].date(),
                "column": name,
                "value": repr(values[row_index])[:120],
            }
            raise _malformed(f"no number in {name}", where)
        table[name] = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    late = moments[moments.diff() <= pd.Timedelta(0)]
    if len(late):
        raise partial_answer(source, symbol, "rows that come twice or out of order", session=late.iloc[0].date())
    bars = pd.DataFrame(table)
    return conform(bars, DELIVERED_BARS).assign(**{name: bars[name] for name in present})


def _moments_and_days(written: pd.Series, timezone: str) -> tuple[pd.Series, pd.Series]:
    """UTC moments and their days; NaT for what is no moment, and for a time without an offset."""
    if pd.api.types.is_integer_dtype(written):
        moments = pd.to_datetime(written, utc=True, errors="coerce", unit="ms")
        return moments, days_of(moments, timezone)
    is_day = written.str.fullmatch(_DAY)
    readable = written.where(is_day | written.str.contains(_OFFSET))
    moments = pd.to_datetime(readable, utc=True, errors="coerce", format="ISO8601")
    return moments, days_of(moments, timezone).where(~is_day, days_of(moments, "UTC"))


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _malformed(found: str, where: Mapping[str, object]) -> SourceError:
    return SourceError(
        expected="rows as the vendor documents them",
        found=found,
        remedy="run again; if it stays, the vendor has changed its answers: report it",
        rule="rows_as_documented",
        **where,
    )


def action_table(
    source: str,
    rows: Iterable[Action],
    first: pd.Timestamp,
    last: pd.Timestamp | None,
    others: Iterable[Action] = (),
) -> DeliveredActions:
    """Splits and dividends of a span, ordered by symbol and ex-session; one a symbol, day and kind.

    Dividends of one day (a regular and a special one) add up, splits of one day multiply.

    Parameters
    ----------
    source : str
    rows : iterable of (symbol, ex-session, kind, value)
        Kind is split (new shares for each old one) or dividend (cash for each share held that day).
    first, last : Timestamp
        Both included; no end where ``last`` is None.
    others : iterable of (symbol, ex-session, kind, value)
        Those of symbols that were not asked for: counted and named with those of other days, and left out.

    Returns
    -------
    DataFrame
        Columns symbol, ex_session (tz-naive midnight), kind, value (float64, above zero), source.
        Empty where nothing happened: that is an answer.

    Raises
    ------
    SourceError
        An ex-session that is no day, or a value that is no number above zero.
    """
    listed, strangers = list(rows), list(others)
    for symbol, day, kind, value in listed:
        if not (_is_number(value) and value is not None and 0.0 < float(value) < np.inf):  # type: ignore[arg-type]
            raise _malformed(
                f"a {kind} of no size", {"source": source, "symbol": symbol, "session": day, "value": repr(value)}
            )
    table = _without_values(source, listed)
    if (dayless := table["ex_session"].isna()).any():
        symbol, day, kind, _ = listed[int(np.argmax(dayless))]
        raise _malformed(f"a {kind} without a day", {"source": source, "symbol": symbol, "value": repr(day)})
    table.insert(list(table.columns).index("source"), "value", pd.Series([row[3] for row in listed], dtype=np.float64))
    within = (table["ex_session"] >= first) & ((table["ex_session"] <= last) if last is not None else True)
    key = ["symbol", "ex_session", "kind", "source"]
    inside = table[within]
    several = inside.groupby(key)["value"]
    value = several.transform("sum").where(inside["kind"] != "split", several.transform("prod"))
    single = inside.assign(value=value).drop_duplicates(key)
    ordered = single.sort_values(["symbol", "ex_session", "kind"], kind="stable").reset_index(drop=True)
    left = pd.concat([table[~within], _without_values(source, strangers)], ignore_index=True)
    return leaving_out(ordered, actions_left(left), last)


def _without_values(source: str, rows: Sequence[Action]) -> pd.DataFrame:
    """Actions but for their values, which may be no numbers; NaT where a day cannot be read."""
    days = pd.to_datetime(pd.Series([day for _, day, _, _ in rows], dtype=object), errors="coerce", format="ISO8601")
    return pd.DataFrame(
        {
            "symbol": pd.Series([str(row[0]) for row in rows], dtype="str"),
            "ex_session": days.astype("datetime64[ns]"),
            "kind": pd.Series([str(row[2]) for row in rows], dtype="str"),
            "source": pd.Series([source] * len(rows), dtype="str"),
        }
    )
