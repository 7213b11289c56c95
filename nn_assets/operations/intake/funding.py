"""Funding rates asked from an exchange: the whole history at first, then from a little before the last rate stored.

What was asked is on record beside the series, so that other settings (an earlier ``history_starts``, another
perpetual, other bounds) ask for, and judge, the whole history again. The record is written after the rates
are stored: killed between, a rerun asks once more, and adds nothing.

    <lake>/<strategy>/other_series/asked.json
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nn_assets.arrays import Symbol
from nn_assets.contracts import DELIVERED_SERIES, conform
from nn_assets.contracts.frames import DeliveredSeries, Quarantine, SeriesVersions
from nn_assets.operations.clock import as_of_session
from nn_assets.settings import FundingSeriesSettings, Strategy
from nn_assets.sources.answers import Scope, nothing_of, partial_answer
from nn_assets.sources.registry import FundingSource, source_member
from nn_assets.store.lake.files import read_record, write_record
from nn_assets.store.lake.port import BlobPath

_RECORD = "asked.json"
_OVERLAP = pd.Timedelta(days=7)  # asked again each time, so that a restated rate shows


@dataclass(frozen=True, eq=False)
class FundingRequest:
    """What is asked of the exchange for one series.

    Parameters
    ----------
    settings : FundingSeriesSettings
    source : FundingSource
    newest : dict of str to Timestamp, UTC
        The last rate stored of each of the bars' symbols that has one.
    history_starts : Timestamp
        The first day asked of a symbol that has none.
    end : Timestamp, UTC
        The decision on the last session that may be seen: no rate after it is delivered.
    """

    settings: FundingSeriesSettings
    source: FundingSource
    newest: dict[str, pd.Timestamp]
    history_starts: pd.Timestamp
    end: pd.Timestamp

    @classmethod
    def of(
        cls, strategy: Strategy, settings: FundingSeriesSettings, stored: SeriesVersions, last_session: pd.Timestamp
    ) -> FundingRequest:
        """Make the request that goes on from the versions stored; an empty frame of them asks for everything."""
        market, end = strategy.market, as_of_session(strategy.market, last_session)
        scope = Scope(market.calendar, tuple(settings.symbols.values()), market.history_starts)
        exchange, base_url = _exchange_and_url(strategy, settings)
        funding = source_member(settings.asked_of).funding
        assert funding is not None, "of a kind of series by that name"
        request = cls(settings, funding(scope, exchange, base_url), {}, pd.Timestamp(market.history_starts), end)
        observed = stored[(stored["name"] == settings.name) & (stored["observed_at"] <= end)]
        for own, perpetual in settings.symbols.items():
            rows = observed[(observed["symbol"] == own) & (observed["source"] == request._source_name(perpetual))]
            if len(rows):
                request.newest[own] = rows["observed_at"].max()
        return request

    def first(self, symbol: Symbol) -> pd.Timestamp:
        """The first UTC day asked of one of the bars' symbols."""
        newest = self.newest.get(symbol)
        if newest is None:
            return self.history_starts
        return max((newest - _OVERLAP).tz_localize(None).normalize(), self.history_starts)

    def deliver(self, tell: Callable[[str], None]) -> DeliveredSeries:
        """Ask, and give the rates under the bars' symbols.

        Returns
        -------
        DataFrame
            Columns of ``DELIVERED_SERIES``; ``source`` names the exchange and the perpetual.

        Raises
        ------
        SourceError
            The extra is not installed, or a symbol has no whole answer; nothing is delivered then.
        """
        firsts = {symbol: self.first(symbol) for symbol in self.settings.symbols}
        last = self.end.tz_localize(None).normalize()
        parts = []
        for first in sorted(set(firsts.values())):
            tickers = {own: self.settings.symbols[own] for own, day in firsts.items() if day == first}
            names = tuple(dict.fromkeys(tickers.values()))
            tell(f"{self.settings.name}: asking {self._vendor} for the rates of {', '.join(names)} from {first.date()}")
            rates = self.source.funding_rates(names, first, last)
            rates = rates[rates["observed_at"] <= self.end]
            for own, perpetual in tickers.items():
                parts.append(self._checked(rates[rates["symbol"] == perpetual], own, perpetual, first))
        delivered = pd.concat(parts, ignore_index=True)
        days = f"{delivered['observed_at'].min().date()} to {delivered['observed_at'].max().date()}"
        tell(f"{self.settings.name}: {len(delivered)} rates, {days}")
        return delivered

    def _checked(self, rates: DeliveredSeries, own: str, perpetual: str, first: pd.Timestamp) -> DeliveredSeries:
        if rates.empty:
            last = self.end.tz_localize(None).normalize()
            raise nothing_of(self._vendor, perpetual, first, last, what="funding rates", key="series.symbols")
        newest, until = self.newest.get(own), rates["observed_at"].max()
        if newest is not None and until < newest - pd.Timedelta(seconds=self.settings.grid_tolerance_seconds):
            raise partial_answer(self._vendor, perpetual, f"rates up to {until}, though one of {newest} came before")
        unstated = pd.Series(pd.NaT, index=rates.index, dtype="datetime64[ns, UTC]")
        columns = {
            "name": self.settings.name,
            "symbol": own,
            "source": self._source_name(perpetual),
            "known_at": unstated,
        }
        values: dict[str, Any] = {**columns, **dict.fromkeys(("open", "low", "high"), float("nan"))}
        return conform(rates.assign(**values), DELIVERED_SERIES)

    @property
    def _vendor(self) -> str:
        return f"{self.source.name}:{self.source.exchange}"

    def _source_name(self, perpetual: str) -> str:
        return f"{self._vendor} {perpetual}"

    def not_asked(self, quarantine: Quarantine) -> Quarantine:
        """The rows of a quarantine that came with earlier deliveries of this series, of days not asked again."""
        observed = quarantine["known_at"] - pd.Timedelta(minutes=self.settings.lag_minutes)
        kept = pd.Series(data=False, index=quarantine.index)
        for own, perpetual in self.settings.symbols.items():
            matching = quarantine["symbol"] == f"{self.settings.name} {own}".strip()
            matching &= quarantine["source"] == self._source_name(perpetual)
            kept |= matching & (observed < self.first(own).tz_localize("UTC"))
        return quarantine[kept]


def _exchange_and_url(strategy: Strategy, settings: FundingSeriesSettings) -> tuple[str, str | None]:
    """The exchange that a series is asked from, and where."""
    if settings.exchange is not None:
        return settings.exchange, settings.base_url
    own = strategy.source.funding_exchange
    assert own is not None, "settings demand it"
    return own[0], settings.base_url or own[1]


def asked_before(folder: BlobPath, strategy: Strategy, settings: FundingSeriesSettings) -> bool:
    """Whether the last delivery was asked for, and judged, by the same settings."""
    record = read_record(folder / _RECORD) or {}
    return _request_key(strategy, settings) in record.get("asked", [])


def remember_asked(folder: BlobPath, strategy: Strategy) -> None:
    """Put on record by which settings the rates stored were asked for."""
    funding = [series for series in strategy.series if isinstance(series, FundingSeriesSettings)]
    if funding:
        write_record(folder / _RECORD, {"asked": [_request_key(strategy, series) for series in funding]})


def _request_key(strategy: Strategy, settings: FundingSeriesSettings) -> dict[str, Any]:
    return {
        "settings": settings.model_dump(mode="json"),
        "place": list(_exchange_and_url(strategy, settings)),
        "first": str(strategy.market.history_starts),
        "calendar": strategy.market.calendar,
    }
