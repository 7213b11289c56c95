"""Daily bars, splits and dividends that Yahoo shows, through yfinance; made raw again.

Yahoo adjusts prices, volumes and dividends of the past for every split since, and calls that raw. The
same answer names the splits, so it is undone here: price x f, volume / f, dividend x f, with f the
product of the ratios of all later splits. Figures are 32-bit numbers at Yahoo: 7 significant digits
are kept of prices, whole units of volume; otherwise each new split would change all earlier bars by a
hair. (A reverse split does change earlier volumes by a hair: Yahoo's whole shares lose digits to it.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from nn_assets.contracts import DELIVERED_BARS, conform
from nn_assets.contracts.frames import DeliveredBars
from nn_assets.settings.sources import Address, SourceSection
from nn_assets.sources.answers import Action, Scope, ScopedActions, nothing_of, partial_answer
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

_PRICES = {"open": "Open", "high": "High", "low": "Low", "close": "Close"}
_SIGNIFICANT_DIGITS = 7
_CHART = "/v8/finance/chart/"
_CURL_CUT_OFF = (18, 56, 92)  # partial file, failure while receiving, HTTP/2 stream not closed cleanly


class YfinanceSettings(SourceSection):
    """Yahoo's figures through yfinance; no key."""

    kind: Literal["yfinance"] = "yfinance"
    base_url: Address | None = None


@dataclass(frozen=True)
class YfinanceSource(ScopedActions):
    """Yahoo's daily bars with Yahoo's split adjustment undone.

    Always asked up to the present: later splits are needed to undo their effect.
    A spin-off that Yahoo books as a split of an odd ratio is undone like one.

    Parameters
    ----------
    scope : Scope
        What is asked for where a request leaves it open.
    base_url : str, optional
        Asked in place of Yahoo's own hosts.
    policy : RetryPolicy
    timeout_seconds : float
    """

    scope: Scope
    base_url: str | None = None
    policy: RetryPolicy = DEFAULT_POLICY
    timeout_seconds: float = 30.0
    name: str = "yfinance"

    def bars_from(self, names: tuple[str, ...], first: pd.Timestamp, last: pd.Timestamp | None) -> DeliveredBars:
        """Ask for raw daily bars; bars that are not daily are refused."""
        delivered = []
        for symbol, history in self._histories(names, first).items():
            if history.empty:
                raise nothing_of(self.name, symbol, first, last)
            later = _later_splits(history)
            table = {field: _significant(history[column] * later) for field, column in _PRICES.items()}
            table["volume"] = (history["Volume"] / later).round()
            delivered.append(
                conform(
                    pd.DataFrame(table).assign(symbol=symbol, session=history.index, source=self.name), DELIVERED_BARS
                )
            )
        return pd.concat(delivered, ignore_index=True)

    def actions_from(self, names: tuple[str, ...], first: pd.Timestamp, _last: pd.Timestamp | None) -> Iterator[Action]:
        """Ask for splits and dividends, these as paid on the day."""
        for symbol, history in self._histories(names, first).items():
            splits, paid = history["Stock Splits"], _significant(history["Dividends"] * _later_splits(history))
            yield from ((symbol, day, "split", float(ratio)) for day, ratio in splits[splits != 0.0].items())
            yield from ((symbol, day, "dividend", float(cash)) for day, cash in paid[paid != 0.0].items())

    def _histories(self, names: tuple[str, ...], first: pd.Timestamp) -> dict[str, pd.DataFrame]:
        """Yahoo's tables by symbol, as yfinance gives them, their index the days on the exchange's clock."""
        try:
            import yfinance
        except ModuleNotFoundError:
            raise missing_extra("yfinance", "yfinance") from None
        yfinance.config.debug.hide_exceptions = False
        histories = {}
        with _listening(self.base_url, self.timeout_seconds) as session:
            for symbol in names:
                request = _Asked(yfinance.Ticker(symbol, session=session), first, self.timeout_seconds)
                outcome = persist(request.attempt, self.policy, self.name)
                if isinstance(outcome, Fault):
                    raise outcome.error(source=self.name, symbol=symbol)
                days = outcome.index.tz_localize(None).normalize()
                if days.has_duplicates:
                    raise partial_answer(self.name, symbol, "a day that comes twice")
                histories[symbol] = outcome.set_axis(days.as_unit("ns"))
        return histories


@dataclass(frozen=True)
class _Asked:
    """One question to yfinance."""

    ticker: Any
    first: pd.Timestamp
    timeout_seconds: float

    def attempt(self) -> Any:
        """Ask once. Exceptions of the library end here, as faults."""
        try:
            return self.ticker.history(
                start=str(self.first.date()),
                interval="1d",
                auto_adjust=False,
                back_adjust=False,
                repair=False,
                keepna=True,
                actions=True,
                timeout=self.timeout_seconds,
            )
        except Faulted as signal:
            return signal.fault
        except Exception as error:  # noqa: BLE001  yfinance's parsers fail in any way on answers of another shape
            message = f"{type(error).__name__}: {error}"[:200]
            remedy = "check market.symbols against Yahoo's spelling; update yfinance, or report it"
            return Fault("rows_as_documented", "a chart as yfinance expects it", message, remedy)


def _later_splits(history: pd.DataFrame) -> pd.Series:
    """Product of the ratios of all splits after each day, 1 where there is none."""
    ratios = history["Stock Splits"].where(history["Stock Splits"] != 0.0, 1.0)
    since = ratios[::-1].cumprod()[::-1]  # from the day on, its own split included
    return since / ratios


def _significant(values: pd.Series) -> pd.Series:
    """Round to the digits that a 32-bit number carries. NaN stays NaN."""
    numbers = values.to_numpy(np.float64)
    with np.errstate(divide="ignore"):
        size = np.where(numbers == 0.0, 0.0, np.floor(np.log10(np.abs(numbers))))
    decimals = np.nan_to_num(_SIGNIFICANT_DIGITS - 1 - size).astype(int)
    rounded = [round(number, ndigits) for number, ndigits in zip(numbers.tolist(), decimals.tolist(), strict=True)]
    return pd.Series(rounded, index=values.index, dtype=np.float64)


def _listening(base_url: str | None, timeout_seconds: float) -> Any:
    """Make a session that yfinance asks through: every chart is judged before yfinance sees it."""
    from curl_cffi import requests

    class Session(requests.Session[requests.Response]):
        def request(self, method: Any, url: str, *rest: Any, **options: Any) -> Any:
            chart = _CHART in url
            options["timeout"] = timeout_seconds
            try:
                answer = super().request(method, rehosted(url, base_url), *rest, **options)
            except requests.exceptions.RequestException as error:
                if not chart:
                    raise
                raise Faulted(_unanswered(error, timeout_seconds)) from None
            if chart:
                outcome = judge(answer.status_code, answer.headers, answer.content)
                fault = outcome if isinstance(outcome, Fault) else _other_bars(outcome)
                if fault:
                    raise Faulted(fault)
            return answer

    return Session(impersonate="chrome")


def _unanswered(error: Any, timeout_seconds: float) -> Fault:
    message = f"{type(error).__name__}: {error}"[:200]
    if "timed out" in message.lower():
        return too_slow(timeout_seconds, message)
    if getattr(error, "code", None) in _CURL_CUT_OFF:
        return broken_off(message)
    return not_there("Yahoo's answer", message)


def _other_bars(answer: Any) -> Fault | None:
    """Give the fault of an answer that is no chart, or whose bars are not daily; Yahoo widens them unasked."""
    try:
        chart = answer["chart"]
        problem, results = chart["error"], chart["result"]
        detail = problem["description"] if problem else results[0]["meta"]["dataGranularity"]
    except (KeyError, TypeError, IndexError):
        keys = sorted(answer)[:5] if isinstance(answer, Mapping) else type(answer).__name__
        return Fault("rows_as_documented", "a chart", f"JSON with {keys}", "update yfinance, or report it")
    if problem:
        return Fault("accepted", "a request that Yahoo accepts", str(detail)[:200], "check market.symbols")
    return (
        None
        if detail == "1d"
        else Fault("daily_bars", "bars of a day", f"bars of {detail!r}", "ask for a later first session")
    )


def _build(settings: YfinanceSettings, context: SourceContext) -> YfinanceSource:
    return YfinanceSource(context.scope, settings.base_url)


SOURCE = SourceMember(
    kind="yfinance",
    settings=YfinanceSettings,
    build=_build,
    label="Bars from Yahoo",
    delivers=("bars", "actions"),
    extra=Extra("yfinance", "yfinance"),
)
