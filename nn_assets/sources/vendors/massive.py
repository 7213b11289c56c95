"""Daily bars, splits and dividends from Massive (formerly Polygon), raw as traded.

Follows the vendor's REST documentation: ``/v2/aggs/ticker``, ``/stocks/v1/splits`` and
``/stocks/v1/dividends``, pages by ``next_url``, rows announced by ``resultsCount``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

import pandas as pd

from nn_assets.errors import SourceError
from nn_assets.settings.sources import Address, SourceSection, Variable
from nn_assets.sources.answers import Scope, action_table, bar_table, nothing_of, partial_answer
from nn_assets.sources.http import JsonClient
from nn_assets.sources.keys import EnvironmentKey
from nn_assets.sources.protocol import checked_selection
from nn_assets.sources.registry import Extra, SourceContext, SourceMember
from nn_assets.sources.retry import DEFAULT_POLICY, RetryPolicy

__all__ = ["SOURCE", "MassiveSettings", "MassiveSource"]

_BAR = {"moment": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
_GOOD = ("OK", "DELAYED")
_BARS_A_PAGE, _ACTIONS_A_PAGE = "50000", "5000"
_NO_END = "2099-12-31"


class MassiveSettings(SourceSection):
    """Massive, formerly Polygon."""

    kind: Literal["massive"] = "massive"
    key_env: Variable = "MASSIVE_API_KEY"
    base_url: Address = "https://api.massive.com"


@dataclass(frozen=True)
class MassiveSource:
    """Massive's daily bars, asked with ``adjusted=false``.

    Volume is that of the consolidated tape; vwap and trade counts are left out. A subscription that
    covers less than the span asked for delivers what it covers: the gate judges what is missing.

    Parameters
    ----------
    scope : Scope
        What is asked for where a request leaves it open.
    key : EnvironmentKey
        Sent as a bearer token, to ``base_url`` only.
    base_url : str
    policy : RetryPolicy
    timeout_seconds : float
    """

    scope: Scope
    key: EnvironmentKey
    base_url: str = "https://api.massive.com"
    policy: RetryPolicy = DEFAULT_POLICY
    timeout_seconds: float = 30.0
    name: str = "massive"

    def bars(
        self,
        symbols: tuple[str, ...] = (),
        first: pd.Timestamp | None = None,
        last: pd.Timestamp | None = None,
    ) -> pd.DataFrame:
        """Deliver raw daily bars; see ``Source.bars``.

        Raises
        ------
        SourceError
            No key, no good answer, fewer rows than announced, pages that do not follow each other,
            adjusted prices, or no bar of a symbol.
        """
        names, start = self.scope.asked(self.name, symbols, first)
        with self._client() as client:
            delivered = [self._bars_of(client, symbol, start, last) for symbol in names]
        return checked_selection(pd.concat(delivered, ignore_index=True), self.name, names, start, last)

    def actions(
        self,
        symbols: tuple[str, ...] = (),
        first: pd.Timestamp | None = None,
        last: pd.Timestamp | None = None,
    ) -> pd.DataFrame:
        """Deliver splits and cash dividends; see ``ActionSource.actions``. A stock dividend is a split.

        Raises
        ------
        SourceError
            As for bars; no list of them, not even an empty one; a dividend in another currency than
            US dollars.
        """
        names, start = self.scope.asked(self.name, symbols, first)
        rows: list[tuple[str, object, str, object]] = []
        with self._client() as client:
            for symbol in names:
                rows += self._splits(client, symbol, start, last)
                rows += self._dividends(client, symbol, start, last)
        return action_table(self.name, rows, start, last)

    def _client(self) -> JsonClient:
        keys = {"Authorization": self.key}
        return JsonClient(self.name, "massive", self.base_url, keys, self.policy, self.timeout_seconds)

    def _bars_of(self, client: JsonClient, symbol: str, first: pd.Timestamp, last: pd.Timestamp | None) -> pd.DataFrame:
        end = _NO_END if last is None else str(last.date())
        path = f"/v2/aggs/ticker/{quote(symbol, safe='')}/range/1/day/{first.date()}/{end}"
        asked = {"adjusted": "false", "sort": "asc", "limit": _BARS_A_PAGE}
        rows: list[Any] = []
        for page, found in self._pages(client, path, asked, symbol):
            if page.get("adjusted") is not False:
                raise self._not_as_asked(symbol, "raw_prices", "raw prices, adjusted: false", "adjusted", page)
            if page.get("ticker", symbol) != symbol:
                raise self._not_as_asked(symbol, "same_symbol", f"bars of {symbol}", "ticker", page)
            if rows and found:
                seam = bar_table(self.name, symbol, [rows[-1], found[0]], _BAR, self.scope.timezone)
                self.scope.refuse_gap(self.name, symbol, seam["session"].iloc[0], seam["session"].iloc[1])
            rows += found
        if not rows:
            raise nothing_of(self.name, symbol, first, last)
        return bar_table(self.name, symbol, rows, _BAR, self.scope.timezone)

    def _pages(
        self, client: JsonClient, path: str, asked: Mapping[str, str], symbol: str
    ) -> Iterator[tuple[Mapping[str, Any], list[Any]]]:
        """Yield each page with its rows, as many as it announces."""
        address, params, seen = path, dict(asked), set[str]()
        while address:
            page = client.get(address, params, symbol=symbol)
            found = page.get("results") or []
            if page.get("status") not in _GOOD or not isinstance(found, list):
                raise self._not_as_asked(symbol, "good_status", f"status {' or '.join(_GOOD)}", "status", page)
            announced = page.get("resultsCount", len(found))
            if announced != len(found):
                raise partial_answer(self.name, symbol, f"{len(found)} rows of {announced} announced", value=announced)
            yield page, found
            address, params = str(page.get("next_url") or ""), {}
            if address in seen:
                raise partial_answer(self.name, symbol, "a page that names itself or an earlier one as the next")
            seen.add(address)

    def _splits(
        self, client: JsonClient, symbol: str, first: pd.Timestamp, last: pd.Timestamp | None
    ) -> Iterator[tuple[str, object, str, object]]:
        for row in self._events(client, "splits", "execution_date", symbol, first, last):
            old, new = row.get("split_from"), row.get("split_to")
            ratio = new / old if isinstance(old, int | float) and isinstance(new, int | float) and old else None
            yield symbol, row.get("execution_date"), "split", ratio

    def _dividends(
        self, client: JsonClient, symbol: str, first: pd.Timestamp, last: pd.Timestamp | None
    ) -> Iterator[tuple[str, object, str, object]]:
        for row in self._events(client, "dividends", "ex_dividend_date", symbol, first, last):
            if row.get("currency", "USD") != "USD":
                raise self._not_as_asked(symbol, "dividend_currency", "a dividend in US dollars", "currency", row)
            # cash_amount is what was paid; split_adjusted_cash_amount would know later splits.
            yield symbol, row.get("ex_dividend_date"), "dividend", row.get("cash_amount")

    def _events(
        self, client: JsonClient, kind: str, day: str, symbol: str, first: pd.Timestamp, last: pd.Timestamp | None
    ) -> Iterator[Mapping[str, Any]]:
        asked = {"ticker": symbol, f"{day}.gte": str(first.date()), "sort": f"{day}.asc", "limit": _ACTIONS_A_PAGE}
        if last is not None:
            asked[f"{day}.lte"] = str(last.date())
        for page, found in self._pages(client, f"/stocks/v1/{kind}", asked, symbol):
            # Bars of no day come without results; actions of no day as an empty list of them.
            if page.get("results") is None:
                raise self._not_as_asked(symbol, "list_of_actions", f"a list of {kind}", "results", page)
            for row in found:
                if not isinstance(row, Mapping) or row.get("ticker") != symbol:
                    raise self._not_as_asked(symbol, "same_symbol", f"{kind} of {symbol}", "ticker", row)
                yield row

    def _not_as_asked(self, symbol: str, rule: str, expected: str, column: str, page: Any) -> SourceError:
        value = repr(page.get(column) if isinstance(page, Mapping) else page)[:120]
        return SourceError(
            expected=expected,
            found=f"{column} {value}",
            remedy="run again; if it stays, the vendor has changed its answers: report it",
            source=self.name,
            symbol=symbol,
            rule=rule,
            column=column,
            value=value,
        )


def _build(settings: MassiveSettings, context: SourceContext) -> MassiveSource:
    return MassiveSource(context.scope, EnvironmentKey(settings.key_env), settings.base_url)


SOURCE = SourceMember(
    kind="massive",
    settings=MassiveSettings,
    build=_build,
    label="Bars from Massive",
    delivers=("bars", "actions"),
    extra=Extra("massive", "httpx"),
)
