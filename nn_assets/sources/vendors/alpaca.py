"""Daily bars, splits and dividends of US stocks from Alpaca, raw as traded.

Follows the vendor's REST documentation: ``/v2/stocks/{symbol}/bars`` and ``/v1/corporate-actions``,
pages by ``next_page_token``.
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
_BARS_A_PAGE, _ACTIONS_A_PAGE = "10000", "1000"
_ACTIONS = {
    "forward_splits": "split",
    "reverse_splits": "split",
    "stock_dividends": "split",
    "cash_dividends": "dividend",
}
# Actions are found by the day they are processed, dividends up to months after their ex-day.
_PROCESSED_WITHIN = pd.Timedelta(days=366)


class AlpacaSettings(SourceSection):
    """Alpaca; ``feed`` is the consolidated tape or one venue."""

    kind: Literal["alpaca"] = "alpaca"
    key_env: Variable = "APCA_API_KEY_ID"
    secret_env: Variable = "APCA_API_SECRET_KEY"  # noqa: S105  the variable's name
    feed: Literal["sip", "iex", "otc"] = "sip"
    base_url: Address = "https://data.alpaca.markets"


@dataclass(frozen=True)
class AlpacaSource(JsonVendorWithActions):
    """Alpaca's daily bars, asked with ``adjustment=raw``, one symbol at a time.

    Volume is that of the feed: ``iex`` sees a few percent of what is traded. Bars of a renamed
    company are those of its present symbol.

    Parameters
    ----------
    scope : Scope
        What is asked for where a request leaves it open.
    key, secret : EnvironmentKey
        Sent in headers, to ``base_url`` only.
    feed : str
        ``sip`` (the consolidated tape), ``iex`` or ``otc``.
    base_url : str
    policy : RetryPolicy
    timeout_seconds : float
    """

    extra = "alpaca"
    scope: Scope
    key: EnvironmentKey
    secret: EnvironmentKey
    feed: str = "sip"
    base_url: str = "https://data.alpaca.markets"
    policy: RetryPolicy = DEFAULT_POLICY
    timeout_seconds: float = 30.0
    name: str = "alpaca"

    @property
    def keys(self) -> dict[str, EnvironmentKey]:
        """Key and secret, each in a header of its own."""
        return {"APCA-API-KEY-ID": self.key, "APCA-API-SECRET-KEY": self.secret}

    def bars_of(self, client: JsonClient, symbol: str, first: pd.Timestamp, last: pd.Timestamp | None) -> DeliveredBars:
        """Ask for one symbol's bars."""
        query = {
            "timeframe": "1Day",
            "start": self._midnight(first),
            "limit": _BARS_A_PAGE,
            "adjustment": "raw",
            "feed": self.feed,
            "sort": "asc",
        }
        if last is not None:
            query["end"] = self._midnight(last)  # a daily bar bears its session's midnight; the end is included
        return self.joined(symbol, self._bar_pages(client, symbol, query), _BAR, first, last, _DETAILS)

    def _bar_pages(self, client: JsonClient, symbol: str, query: Mapping[str, str]) -> Iterator[list[Any]]:
        for page in self._pages(client, f"/v2/stocks/{quote(symbol, safe='')}/bars", query, symbol):
            rows = page.get("bars", ()) or []
            if not isinstance(rows, list) or "bars" not in page or page.get("symbol", symbol) != symbol:
                raise self._not_as_asked(symbol, f"a page of bars of {symbol}", page)
            yield rows

    def _midnight(self, day: pd.Timestamp) -> str:
        return str(day.tz_localize(self.scope.timezone).isoformat())

    def actions_of(
        self, client: JsonClient, symbol: str, first: pd.Timestamp, last: pd.Timestamp | None
    ) -> Iterator[Action]:
        """Ask for one symbol's splits and cash dividends; a stock dividend is a split.

        Spin-offs, mergers and unit splits, which change more than one symbol, are left out.
        """
        query = {
            "symbols": symbol,
            "types": "forward_split,reverse_split,stock_dividend,cash_dividend",
            "start": str(first.date()),
            "limit": _ACTIONS_A_PAGE,
            "sort": "asc",
        }
        if last is not None:
            query["end"] = str((last + _PROCESSED_WITHIN).date())
        for page in self._pages(client, "/v1/corporate-actions", query, symbol):
            listed = page.get("corporate_actions")
            if not isinstance(listed, Mapping):
                raise self._not_as_asked(symbol, "corporate_actions", page)
            for kind, rows in listed.items():
                if not isinstance(rows, list) or (rows and kind not in _ACTIONS):
                    raise self._not_as_asked(symbol, f"actions of the kinds {', '.join(_ACTIONS)}", {kind: rows})
                for row in rows:
                    if not isinstance(row, Mapping) or row.get("symbol") != symbol:
                        raise self._not_as_asked(symbol, f"actions of {symbol}", row)
                    yield symbol, row.get("ex_date"), _ACTIONS[kind], _value_of(kind, row)

    def _pages(
        self, client: JsonClient, path: str, query: Mapping[str, str], symbol: str
    ) -> Iterator[Mapping[str, Any]]:
        params, seen_tokens = dict(query), set[str]()
        while True:
            page = client.get(path, params, symbol=symbol)
            yield page
            token = page.get("next_page_token")
            if not token:
                return
            if token in seen_tokens:
                raise partial_answer(self.name, symbol, "a page that names itself or an earlier one as the next")
            seen_tokens.add(token)
            params = {**query, "page_token": str(token)}

    def _not_as_asked(self, symbol: str, expected: str, page: object) -> SourceError:
        return self.not_as_asked(symbol, expected, repr(page)[:200])


def _value_of(kind: str, row: Mapping[str, Any]) -> object:
    if kind == "cash_dividends":
        return row.get("rate")
    if kind == "stock_dividends":  # new shares for each share held, beside it
        rate = row.get("rate")
        return 1.0 + rate if isinstance(rate, int | float) else None
    old, new = row.get("old_rate"), row.get("new_rate")
    return new / old if isinstance(old, int | float) and isinstance(new, int | float) and old else None


def _build(settings: AlpacaSettings, context: SourceContext) -> AlpacaSource:
    keys = EnvironmentKey(settings.key_env), EnvironmentKey(settings.secret_env)
    return AlpacaSource(context.scope, *keys, feed=settings.feed, base_url=settings.base_url)


SOURCE = SourceMember(
    kind="alpaca",
    settings=AlpacaSettings,
    build=_build,
    label="Bars from Alpaca",
    delivers=("bars", "actions"),
    extra=Extra("alpaca", "httpx"),
)
