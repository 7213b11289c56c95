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

from nn_assets.errors import SourceError
from nn_assets.settings.sources import Address, SourceSection, Variable
from nn_assets.sources.answers import Scope, action_table, bar_table, nothing_of, partial_answer
from nn_assets.sources.http import JsonClient
from nn_assets.sources.keys import EnvironmentKey
from nn_assets.sources.protocol import checked_selection
from nn_assets.sources.registry import Extra, SourceContext, SourceMember
from nn_assets.sources.retry import DEFAULT_POLICY, RetryPolicy

__all__ = ["SOURCE", "AlpacaSettings", "AlpacaSource"]

_BAR = {"moment": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
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
class AlpacaSource:
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

    scope: Scope
    key: EnvironmentKey
    secret: EnvironmentKey
    feed: str = "sip"
    base_url: str = "https://data.alpaca.markets"
    policy: RetryPolicy = DEFAULT_POLICY
    timeout_seconds: float = 30.0
    name: str = "alpaca"

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
            No key, no good answer, pages that do not follow each other, or no bar of a symbol.
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

        Spin-offs, mergers and unit splits, which change more than one symbol, are left out.
        """
        names, start = self.scope.asked(self.name, symbols, first)
        rows: list[tuple[str, object, str, object]] = []
        with self._client() as client:
            for symbol in names:
                rows += self._actions_of(client, symbol, start, last)
        return action_table(self.name, rows, start, last)

    def _client(self) -> JsonClient:
        keys = {"APCA-API-KEY-ID": self.key, "APCA-API-SECRET-KEY": self.secret}
        return JsonClient(self.name, "alpaca", self.base_url, keys, self.policy, self.timeout_seconds)

    def _bars_of(self, client: JsonClient, symbol: str, first: pd.Timestamp, last: pd.Timestamp | None) -> pd.DataFrame:
        asked = {
            "timeframe": "1Day",
            "start": self._midnight(first),
            "limit": _BARS_A_PAGE,
            "adjustment": "raw",
            "feed": self.feed,
            "sort": "asc",
        }
        if last is not None:
            asked["end"] = self._midnight(last)  # a daily bar bears its session's midnight; the end is included
        rows: list[Any] = []
        for page in self._pages(client, f"/v2/stocks/{quote(symbol, safe='')}/bars", asked, symbol):
            found = page.get("bars", ()) or []
            if not isinstance(found, list) or "bars" not in page or page.get("symbol", symbol) != symbol:
                raise self._not_as_asked(symbol, f"a page of bars of {symbol}", page)
            if rows and found:
                seam = bar_table(self.name, symbol, [rows[-1], found[0]], _BAR, self.scope.timezone)
                self.scope.refuse_gap(self.name, symbol, seam["session"].iloc[0], seam["session"].iloc[1])
            rows += found
        if not rows:
            raise nothing_of(self.name, symbol, first, last)
        return bar_table(self.name, symbol, rows, _BAR, self.scope.timezone)

    def _midnight(self, day: pd.Timestamp) -> str:
        return str(day.tz_localize(self.scope.timezone).isoformat())

    def _actions_of(
        self, client: JsonClient, symbol: str, first: pd.Timestamp, last: pd.Timestamp | None
    ) -> Iterator[tuple[str, object, str, object]]:
        asked = {
            "symbols": symbol,
            "types": "forward_split,reverse_split,stock_dividend,cash_dividend",
            "start": str(first.date()),
            "limit": _ACTIONS_A_PAGE,
            "sort": "asc",
        }
        if last is not None:
            asked["end"] = str((last + _PROCESSED_WITHIN).date())
        for page in self._pages(client, "/v1/corporate-actions", asked, symbol):
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
        self, client: JsonClient, path: str, asked: Mapping[str, str], symbol: str
    ) -> Iterator[Mapping[str, Any]]:
        params, seen = dict(asked), set[str]()
        while True:
            page = client.get(path, params, symbol=symbol)
            yield page
            token = page.get("next_page_token")
            if not token:
                return
            if token in seen:
                raise partial_answer(self.name, symbol, "a page that names itself or an earlier one as the next")
            seen.add(token)
            params = {**asked, "page_token": str(token)}

    def _not_as_asked(self, symbol: str, expected: str, page: object) -> SourceError:
        return SourceError(
            expected=expected,
            found=repr(page)[:200],
            remedy="run again; if it stays, the vendor has changed its answers: report it",
            source=self.name,
            symbol=symbol,
            rule="rows_as_documented",
        )


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
