"""Daily bars and funding rates of the crypto exchanges that ccxt knows. Public data: no key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any, Literal

import pandas as pd

from nn_assets.contracts.frames import DeliveredBars, DeliveredSeries
from nn_assets.errors import SourceError
from nn_assets.settings.sources import Address, Exchange, SourceSection
from nn_assets.sources.answers import Scope, ScopedSource, bar_table, nothing_of, partial_answer
from nn_assets.sources.http import rehosted
from nn_assets.sources.keys import missing_extra
from nn_assets.sources.registry import Extra, SourceContext, SourceMember
from nn_assets.sources.retry import (
    DEFAULT_POLICY,
    Fault,
    Faulted,
    RetryPolicy,
    broken_off,
    judge,
    not_there,
    persist,
    too_slow,
)

_DAY = 86_400_000
_FIELDS = ("moment", "open", "high", "low", "close", "volume")
_LONGEST_MESSAGE = 200
_LEFT_TO_CCXT = (400, 404, 409, 422)  # the exchange's own words for a wrong symbol and the like


class CcxtSettings(SourceSection):
    """Public data of the crypto ``exchange`` that ccxt knows by this id; no key."""

    kind: Literal["ccxt"] = "ccxt"
    exchange: Exchange
    base_url: Address | None = None

    @property
    def funding_exchange(self) -> tuple[str, str | None]:
        """The exchange itself, and its address."""
        return self.exchange, self.base_url


@dataclass(frozen=True)
class CcxtSource(ScopedSource):
    """One exchange's bars, by UTC day. Symbols are ccxt's: BTC/USDT, BTC/USDT:USDT for a perpetual.

    Exchanges differ in how far back they deliver; what is missing the gate judges.

    Parameters
    ----------
    scope : Scope
        What is asked for where a request leaves it open. Its calendar is not used: days are UTC's.
    exchange : str
        An id that ccxt knows.
    base_url : str, optional
        Asked in place of the exchange's own host.
    policy : RetryPolicy
    timeout_seconds : float
    paced : bool
        Whether ccxt keeps the pauses that the exchange asks for between requests.
    symbols_key, exchange_key : str
        The settings that name the symbols and the exchange, for the remedies of errors.
    """

    scope: Scope
    exchange: str
    base_url: str | None = None
    policy: RetryPolicy = DEFAULT_POLICY
    timeout_seconds: float = 30.0
    paced: bool = True
    symbols_key: str = "market.symbols"
    exchange_key: str = "source.exchange"
    name: str = "ccxt"

    def bars_from(self, names: tuple[str, ...], first: pd.Timestamp, last: pd.Timestamp | None) -> DeliveredBars:
        """Ask for daily bars; a day that is not over comes unfinished.

        Raises
        ------
        SourceError
            No such exchange or symbol, no good answer, a row whose moment cannot be read, days that are not UTC's,
            pages that do not follow each other, or no bar of a symbol.
        """
        with self._session() as session:
            exchange = self._opened(session, "fetchOHLCV", names)
            delivered = [self._bars_of(exchange, symbol, first, last) for symbol in names]
        bars = pd.concat(delivered, ignore_index=True).assign(source=f"{self.name}:{self.exchange}")
        return bars.astype({"source": "str"})

    def funding_rates(
        self,
        symbols: tuple[str, ...] = (),
        first: pd.Timestamp | None = None,
        last: pd.Timestamp | None = None,
    ) -> DeliveredSeries:
        """Deliver the funding rates of perpetuals.

        Parameters
        ----------
        symbols, first, last
            As in ``Source.bars``; the whole of the last UTC day is included.

        Returns
        -------
        DataFrame
            Columns name (``funding_rate``), symbol, observed_at (the UTC moment at which it was paid),
            value (fraction of the position's value; longs pay shorts where it is positive); ordered
            by symbol and moment.

        Raises
        ------
        SourceError
            As for bars; an exchange without funding rates, or one that gives the newest alone; a symbol
            without one in the span.
        """
        names, start = self.scope.asked(self.name, symbols, first)
        end = None if last is None else last + pd.Timedelta(days=1)
        until = float("inf") if end is None else _milliseconds(end)
        tables = []
        with self._session() as session:
            exchange = self._opened(session, "fetchFundingRateHistory", names)
            for symbol in names:
                pages = self._pages(symbol, exchange.fetch_funding_rate_history, _rate, start, end, step=0)
                rates = {moment: rate for page in pages for moment, rate in page}
                self._refuse_newest_alone(symbol, exchange.fetch_funding_rate_history, start, rates)
                rows = {moment: rate for moment, rate in rates.items() if _milliseconds(start) <= moment < until}
                if not rows:
                    source = f"{self.name}:{self.exchange}"
                    raise nothing_of(source, symbol, start, last, what="funding rates", key=self.symbols_key)
                tables.append(self._rates(symbol, rows))
        return pd.concat(tables, ignore_index=True)

    def _refuse_newest_alone(
        self, symbol: str, ask: Callable[..., Any], start: pd.Timestamp, rates: Mapping[int, float]
    ) -> None:
        """Refuse rates that begin late because the exchange answers from the newest back, not from the day asked."""
        begins = min(rates, default=0)
        if begins <= _milliseconds(start) + _DAY:
            return
        answer = self._ask(partial(ask, symbol, begins, 2), symbol=symbol)
        again = [moment for moment, _ in self._read(symbol, answer, _rate)]
        if min(again, default=begins + 3 * _DAY) > begins + 2 * _DAY:
            day = pd.Timestamp(begins, unit="ms").date()
            raise self._refused(
                "from_the_start",
                f"rates from {start.date()} on, the oldest first",
                f"choose another in {self.exchange_key}, take a file of rates, or set market.history_starts later",
                symbol,
                f"the newest alone, from {day}",
            )

    def _session(self) -> Any:
        try:
            import ccxt  # noqa: F401  asked for first: it brings requests
        except ModuleNotFoundError:
            raise missing_extra("ccxt", "ccxt") from None
        return _listening(self.base_url, self.timeout_seconds)

    def _opened(self, session: Any, ability: str, symbols: tuple[str, ...]) -> Any:
        import ccxt

        if self.exchange not in ccxt.exchanges:
            raise self._refused(
                "known_exchange", "an exchange that ccxt knows by this id", f"correct {self.exchange_key}"
            )
        options = {"session": session, "timeout": int(self.timeout_seconds * 1000), "requests_trust_env": True}
        options["enableRateLimit"] = self.paced
        exchange = getattr(ccxt, self.exchange)(options)
        _refuse_rows_without_moment(exchange)
        if not exchange.has.get(ability):
            remedy = f"choose another in {self.exchange_key}"
            raise self._refused("offered", f"an exchange that offers {ability}", remedy)
        self._ask(exchange.load_markets, symbol=", ".join(symbols)[:120])
        return exchange

    def _bars_of(self, exchange: Any, symbol: str, first: pd.Timestamp, last: pd.Timestamp | None) -> pd.DataFrame:
        def ask(name: str, since: int) -> Any:
            return exchange.fetch_ohlcv(name, "1d", since)

        pages = self._pages(symbol, ask, _bar, first, last, step=_DAY)
        rows = {row["moment"]: row for page in pages for _, row in page}
        if not rows:
            raise nothing_of(self.name, symbol, first, last)
        astray = next((moment for moment in rows if moment % _DAY), None)
        if astray is not None:
            moment = str(pd.Timestamp(astray, unit="ms", tz="UTC"))
            raise self._refused(
                "utc_days", "days that begin at midnight UTC", "choose another exchange", symbol, moment
            )
        keys = {name: name for name in _FIELDS}
        return bar_table(self.name, symbol, [rows[moment] for moment in sorted(rows)], keys, "UTC")

    def _pages(
        self,
        symbol: str,
        ask: Callable[[str, int], Any],
        read: Callable[[Any], tuple[int, Any] | None],
        first: pd.Timestamp,
        last: pd.Timestamp | None,
        *,
        step: int,
    ) -> Iterator[list[tuple[int, Any]]]:
        """Yield pages that each begin where the one before ended: the moment last seen, or a step on."""
        since, newest = _milliseconds(first), None
        while True:
            answer = self._ask(partial(ask, symbol, since), symbol=symbol)
            page = sorted(self._read(symbol, answer, read), key=lambda row: row[0])
            moments = [moment for moment, _ in page]
            if not page or moments[-1] == newest:
                return
            if newest is not None and not newest <= moments[0] <= newest + step:
                found = f"a page that does not follow {pd.Timestamp(newest, unit='ms')}"
                raise partial_answer(self.name, symbol, found, session=pd.Timestamp(moments[0], unit="ms"))
            if len(set(moments)) < len(moments):
                raise partial_answer(self.name, symbol, "a row that comes twice in a page")
            yield page
            since = newest = moments[-1]
            if last is not None and newest >= _milliseconds(last):
                return

    def _read(
        self, symbol: str, answer: Any, read: Callable[[Any], tuple[int, Any] | None]
    ) -> Iterator[tuple[int, Any]]:
        for row in answer if isinstance(answer, list) else [answer]:
            parsed = read(row)
            if parsed is None:
                raise self._refused("rows_as_documented", "rows as ccxt documents them", "report it", symbol, row)
            yield parsed

    def _rates(self, symbol: str, rows: Mapping[int, float]) -> pd.DataFrame:
        moments = sorted(rows)
        return pd.DataFrame(
            {
                "name": pd.Series(["funding_rate"] * len(moments), dtype="str"),
                "symbol": pd.Series([symbol] * len(moments), dtype="str"),
                "observed_at": pd.to_datetime(moments, unit="ms", utc=True).as_unit("ns"),
                "value": [float(rows[moment]) for moment in moments],
            }
        )

    def _ask(self, call: Callable[[], Any], **where: object) -> Any:
        exchange_name = f"{self.name}:{self.exchange}"
        outcome = persist(lambda: _attempt(call, self.symbols_key, self.exchange_key), self.policy, exchange_name)
        if isinstance(outcome, Fault):
            raise outcome.error(source=f"{self.name}:{self.exchange}", **where)
        return outcome

    def _refused(
        self, rule: str, expected: str, remedy: str, symbol: str | None = None, value: object = None
    ) -> SourceError:
        shown = self.exchange if value is None else repr(value)[:120]
        where = {"source": f"{self.name}:{self.exchange}", "symbol": symbol, "rule": rule, "value": shown}
        return SourceError(expected=expected, found=shown, remedy=remedy, **where)


def _milliseconds(day: pd.Timestamp) -> int:
    return int(day.tz_localize("UTC").timestamp() * 1000)


def _bar(row: Any) -> tuple[int, dict[str, Any]] | None:
    if not isinstance(row, list) or len(row) < len(_FIELDS) or type(row[0]) is not int:
        return None
    return row[0], dict(zip(_FIELDS, row, strict=False))


def _rate(row: Any) -> tuple[int, float] | None:
    moment, rate = (row.get("timestamp"), row.get("fundingRate")) if isinstance(row, dict) else (None, None)
    return (moment, rate) if type(moment) is int and isinstance(rate, int | float) else None


def _refuse_rows_without_moment(exchange: Any) -> None:
    """Have an exchange refuse an answer with a row of no readable moment, which ccxt drops where it cuts to a span."""

    def cutting(cut: Callable[..., Any]) -> Callable[..., Any]:
        named = signature(cut)

        def checked(*args: Any, **kwargs: Any) -> Any:
            bound_call = named.bind(*args, **kwargs)
            bound_call.apply_defaults()
            rows, key = exchange.to_array(bound_call.arguments["array"] or []), bound_call.arguments["key"]
            # ccxt takes a moment of 0, too, for one that is not there.
            if lost := [row for row in rows if not exchange.safe_integer(row, key)]:
                count = f"{len(lost)} of {len(rows)} rows without a moment that can be read, the first {lost[0]!r}"
                expected = "rows as ccxt documents them"
                raise Faulted(
                    Fault("readable_moment", expected, count[:_LONGEST_MESSAGE], "run again; if it stays, report it")
                )
            return cut(*args, **kwargs)

        return checked

    for name in ("filter_by_since_limit", "filter_by_value_since_limit"):
        setattr(exchange, name, cutting(getattr(exchange, name)))


def _listening(base_url: str | None, timeout_seconds: float) -> Any:
    """Make a session that ccxt asks through: every answer is judged before ccxt sees it."""
    import requests

    class Session(requests.Session):
        def request(self, method: str, url: Any, *rest: Any, **options: Any) -> Any:
            try:
                answer = super().request(method, rehosted(url, base_url), *rest, **options)
            except requests.exceptions.ChunkedEncodingError as error:
                raise Faulted(broken_off(f"{type(error).__name__}: {error}"[:200])) from None
            except requests.exceptions.RequestException as error:
                raise Faulted(_unanswered(error, timeout_seconds)) from None
            if answer.status_code not in _LEFT_TO_CCXT:
                outcome = judge(answer.status_code, answer.headers, answer.content, says_json=False)
                if isinstance(outcome, Fault):
                    raise Faulted(outcome)
            return answer

    return Session()


def _unanswered(error: Exception, timeout_seconds: float) -> Fault:
    message = f"{type(error).__name__}: {error}"[:200]
    if "timed out" in str(error).lower():
        return too_slow(timeout_seconds, message)
    return not_there("an exchange that answers", message)


def _attempt(call: Callable[[], Any], symbols_key: str, exchange_key: str) -> Any:
    """Ask once. Exceptions of the library end here, as faults."""
    import ccxt

    try:
        return call()
    except Faulted as signal:
        return signal.fault
    except ccxt.BadSymbol as error:
        return Fault("known_symbol", "a symbol that the exchange has", str(error)[:200], f"correct {symbols_key}")
    except ccxt.NetworkError as error:
        message = f"{type(error).__name__}: {error}"[:200]
        return Fault("vendor_available", "an answer", message, "run again later", passing=True)
    except ccxt.BaseError as error:
        message = f"{type(error).__name__}: {error}"[:200]
        remedy = f"check {symbols_key} and {exchange_key}"
        return Fault("accepted", "a request that the exchange accepts", message, remedy)
    except Exception as error:  # noqa: BLE001  ccxt's parsers fail in any way on answers of another shape
        message = f"{type(error).__name__}: {error}"[:200]
        return Fault("rows_as_documented", "an answer as ccxt expects it", message, "update ccxt, or report it")


def _build(settings: CcxtSettings, context: SourceContext) -> CcxtSource:
    return CcxtSource(context.scope, settings.exchange, settings.base_url)


def _funding(scope: Scope, exchange: str, base_url: str | None) -> CcxtSource:
    return CcxtSource(scope, exchange, base_url, symbols_key="series.symbols", exchange_key="series.exchange")


SOURCE = SourceMember(
    kind="ccxt",
    settings=CcxtSettings,
    build=_build,
    label="Bars from an exchange",
    delivers=("bars", "funding_rates"),
    extra=Extra("ccxt", "ccxt"),
    funding=_funding,
)
