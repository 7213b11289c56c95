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

from nn_assets.contracts.frames import DeliveredBars
from nn_assets.errors import SourceError
from nn_assets.settings.sources import Address, SourceSection, Variable
from nn_assets.sources.answers import Action, Scope, partial_answer
from nn_assets.sources.http import JsonClient, JsonVendorWithActions
from nn_assets.sources.keys import EnvironmentKey
from nn_assets.sources.registry import Extra, SourceContext, SourceMember
from nn_assets.sources.retry import DEFAULT_POLICY, RetryPolicy

_BAR = {"moment": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
_DETAILS = {"vwap": "vw", "trades": "n"}
_GOOD = ("OK", "DELAYED")
_BARS_A_PAGE, _ACTIONS_A_PAGE = "50000", "5000"
_NO_END = "2099-12-31"


class MassiveSettings(SourceSection):
    """Massive, formerly Polygon."""

    kind: Literal["massive"] = "massive"
    key_env: Variable = "MASSIVE_API_KEY"
    base_url: Address = "https://api.massive.com"


@dataclass(frozen=True)
class MassiveSource(JsonVendorWithActions):
    """Massive's daily bars, asked with ``adjusted=false``.

    Volume is that of the consolidated tape; vwap and trade counts come where the vendor gives them. A subscription that
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

    extra = "massive"
    scope: Scope
    key: EnvironmentKey
    base_url: str = "https://api.massive.com"
    policy: RetryPolicy = DEFAULT_POLICY
    timeout_seconds: float = 30.0
    name: str = "massive"

    @property
    def keys(self) -> dict[str, EnvironmentKey]:
        """The key, as a bearer token."""
        return {"Authorization": self.key}

    def bars_of(self, client: JsonClient, symbol: str, first: pd.Timestamp, last: pd.Timestamp | None) -> DeliveredBars:
        """Ask for one symbol's bars; fewer rows than announced, and adjusted prices, are refused."""
        return self.joined(symbol, self._bar_pages(client, symbol, first, last), _BAR, first, last, _DETAILS)

    def _bar_pages(
        self, client: JsonClient, symbol: str, first: pd.Timestamp, last: pd.Timestamp | None
    ) -> Iterator[list[Any]]:
        end = _NO_END if last is None else str(last.date())
        path = f"/v2/aggs/ticker/{quote(symbol, safe='')}/range/1/day/{first.date()}/{end}"
        query = {"adjusted": "false", "sort": "asc", "limit": _BARS_A_PAGE}
        for page, rows in self._pages(client, path, query, symbol):
            if page.get("adjusted") is not False:
                raise self._not_as_asked(symbol, "raw_prices", "raw prices, adjusted: false", "adjusted", page)
            if page.get("ticker", symbol) != symbol:
                raise self._not_as_asked(symbol, "same_symbol", f"bars of {symbol}", "ticker", page)
            yield rows

    def actions_of(
        self, client: JsonClient, symbol: str, first: pd.Timestamp, last: pd.Timestamp | None
    ) -> Iterator[Action]:
        """Ask for one symbol's splits and cash dividends."""
        yield from self._splits(client, symbol, first, last)
        yield from self._dividends(client, symbol, first, last)

    def _pages(
        self, client: JsonClient, path: str, query: Mapping[str, str], symbol: str
    ) -> Iterator[tuple[Mapping[str, Any], list[Any]]]:
        """Yield each page with its rows, as many as it announces."""
        address, params, seen_addresses = path, dict(query), set[str]()
        while address:
            page = client.get(address, params, symbol=symbol)
            rows = page.get("results") or []
            if page.get("status") not in _GOOD or not isinstance(rows, list):
                raise self._not_as_asked(symbol, "good_status", f"status {' or '.join(_GOOD)}", "status", page)
            announced = page.get("resultsCount", len(rows))
            if announced != len(rows):
                raise partial_answer(self.name, symbol, f"{len(rows)} rows of {announced} announced", value=announced)
            yield page, rows
            address, params = str(page.get("next_url") or ""), {}
            if address in seen_addresses:
                raise partial_answer(self.name, symbol, "a page that names itself or an earlier one as the next")
            seen_addresses.add(address)

    def _splits(
        self, client: JsonClient, symbol: str, first: pd.Timestamp, last: pd.Timestamp | None
    ) -> Iterator[Action]:
        for row in self._events(client, "splits", "execution_date", symbol, first, last):
            old, new = row.get("split_from"), row.get("split_to")
            ratio = new / old if isinstance(old, int | float) and isinstance(new, int | float) and old else None
            yield symbol, row.get("execution_date"), "split", ratio

    def _dividends(
        self, client: JsonClient, symbol: str, first: pd.Timestamp, last: pd.Timestamp | None
    ) -> Iterator[Action]:
        for row in self._events(client, "dividends", "ex_dividend_date", symbol, first, last):
            if row.get("currency", "USD") != "USD":
                raise self._not_as_asked(symbol, "dividend_currency", "a dividend in US dollars", "currency", row)
            # cash_amount is what was paid; split_adjusted_cash_amount would know later splits.
            yield symbol, row.get("ex_dividend_date"), "dividend", row.get("cash_amount")

    def _events(
        self, client: JsonClient, kind: str, day: str, symbol: str, first: pd.Timestamp, last: pd.Timestamp | None
    ) -> Iterator[Mapping[str, Any]]:
        query = {"ticker": symbol, f"{day}.gte": str(first.date()), "sort": f"{day}.asc", "limit": _ACTIONS_A_PAGE}
        if last is not None:
            query[f"{day}.lte"] = str(last.date())
        for page, rows in self._pages(client, f"/stocks/v1/{kind}", query, symbol):
            # Bars of no day come without results; actions of no day as an empty list of them.
            if page.get("results") is None:
                raise self._not_as_asked(symbol, "list_of_actions", f"a list of {kind}", "results", page)
            for row in rows:
                if not isinstance(row, Mapping) or row.get("ticker") != symbol:
                    raise self._not_as_asked(symbol, "same_symbol", f"{kind} of {symbol}", "ticker", row)
                yield row

    def _not_as_asked(self, symbol: str, rule: str, expected: str, column: str, page: Any) -> SourceError:
        value = repr(page.get(column) if isinstance(page, Mapping) else page)[:120]
        return self.not_as_asked(symbol, expected, f"{column} {value}", rule=rule, column=column, value=value)


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
