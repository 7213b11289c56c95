"""The simulator as a source: bars of a made-up market, the same whatever span is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from nn_assets.arrays import Session
from nn_assets.contracts.frames import DeliveredBars, DeliveredSeries
from nn_assets.errors import SourceError
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.settings.section import WhenSet
from nn_assets.settings.sources import SourceSection
from nn_assets.simulator.funding import simulate_funding
from nn_assets.simulator.markets import COINS, MarketShape, simulate_market, symbol_names
from nn_assets.sources.answers import Scope
from nn_assets.sources.protocol import checked_selection
from nn_assets.sources.registry import SourceContext, SourceMember

_NAME = re.compile(r"SIM([0-9]{2,4})")
_DEFAULT_COUNT = 20


class SimulatorSettings(SourceSection):
    """A made-up market, of ``stocks`` or of ``coins``: how much prices move, and whether they gap overnight."""

    kind: Literal["simulator"] = "simulator"
    market: WhenSet[Literal["stocks", "coins"]] = "stocks"
    seed: int = 20_180_102
    planted_rank_ic: float = 0.05
    signal_persistence: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.95


@dataclass(frozen=True)
class SimulatedSource:
    """A seeded market behind the source protocol. It gives bars; the truth behind them stays inside.

    Parameters
    ----------
    calendar : str
        Whose sessions the market trades on.
    history_starts : date
        Where the market starts. It belongs to the seed: another start is another market.
    history_ends : date, optional
        Last day served when a request names none.
    seed, planted_rank_ic, signal_persistence, shape
        As in `nn_assets.simulator.markets.simulate_market`.
    """

    calendar: str
    history_starts: date
    history_ends: date | None = None
    seed: int = 20_180_102
    planted_rank_ic: float = 0.05
    signal_persistence: float = 0.95
    shape: MarketShape = field(default_factory=MarketShape)
    name: str = "simulator"

    def bars(
        self,
        symbols: tuple[str, ...] = (),
        first: pd.Timestamp | None = None,
        last: pd.Timestamp | None = None,
    ) -> DeliveredBars:
        """Bars of the symbols asked for, from ``first`` to ``last``, both included.

        Parameters
        ----------
        symbols : tuple of str
            Names ``SIM01`` and up; all of the default twenty when empty. A symbol's bars do not depend
            on which others are asked for.
        first, last : Timestamp, optional
            Tz-naive midnights; the whole history where missing.

        Returns
        -------
        DataFrame
            Columns symbol, session, open, high, low, close, volume, source; sorted by symbol and
            session. No NaN.

        Raises
        ------
        SourceError
            A name that is not the simulator's, no last day, or a span without a session.
        """
        names = symbols or symbol_names(_DEFAULT_COUNT)
        count = max(_ordinal(symbol, self.name) for symbol in names)
        sessions = sessions_between(self.calendar, self.history_starts, self._last(last))
        if len(sessions) == 0:
            raise SourceError(
                expected=f"a span that reaches {self.history_starts}, where the simulated market starts",
                found=f"{first} to {last}",
                remedy="ask for sessions from market.history_starts on",
                source=self.name,
            )
        market = simulate_market(count, sessions, self.seed, self.planted_rank_ic, self.signal_persistence, self.shape)
        bars = market.bars.assign(source=self.name)
        return checked_selection(bars, self.name, names, first, last)

    def funding_rates(
        self, symbols: tuple[str, ...] = (), first: pd.Timestamp | None = None, last: pd.Timestamp | None = None
    ) -> DeliveredSeries:
        """Funding rates of its symbols as perpetuals; see :meth:`SimulatedFunding.funding_rates`."""
        scope = Scope(self.calendar, symbol_names(_DEFAULT_COUNT), self.history_starts)
        return SimulatedFunding(scope).funding_rates(symbols, first, last)

    def _last(self, last: pd.Timestamp | None) -> Session:
        end = last if last is not None else self.history_ends
        if end is None:
            raise _endless(self.name)
        return end


@dataclass(frozen=True)
class SimulatedFunding:
    """Funding rates of the simulated market's perpetuals, behind the same door as an exchange's.

    Parameters
    ----------
    scope : Scope
        Which symbols and first day are meant where a request leaves them open.
    """

    scope: Scope
    name: str = "simulator"
    exchange: str = "simulator"

    def funding_rates(
        self, symbols: tuple[str, ...] = (), first: pd.Timestamp | None = None, last: pd.Timestamp | None = None
    ) -> DeliveredSeries:
        """Deliver rates from a first UTC day to a last one, both included, ordered by symbol and moment.

        Returns
        -------
        DataFrame
            Columns name (``funding_rate``), symbol, observed_at, value; see
            :func:`nn_assets.simulator.funding.simulate_funding`.

        Raises
        ------
        SourceError
            A name that is not the simulator's, or no last day.
        """
        names, start = self.scope.asked(self.name, symbols, first)
        ordinals = np.array([_ordinal(symbol, self.name) for symbol in names], dtype=np.int64)
        if last is None:
            raise _endless(self.name)
        moments, rates = simulate_funding(ordinals, pd.date_range(start, last, freq="D"))
        return pd.DataFrame(
            {
                "name": pd.Series(["funding_rate"] * rates.size, dtype="str"),
                "symbol": pd.Series(np.repeat(np.array(names, dtype=object), len(moments)), dtype="str"),
                "observed_at": pd.DatetimeIndex(np.tile(moments.asi8, len(names))).tz_localize("UTC"),
                "value": rates.T.ravel(),
            }
        )


def _ordinal(symbol: str, source: str) -> int:
    match = _NAME.fullmatch(symbol)
    if match is None or symbol != f"SIM{int(match[1]):02d}" or int(match[1]) == 0:
        raise SourceError(
            expected="a simulated symbol, SIM01 and up",
            found=repr(symbol),
            remedy="list SIM01, SIM02 and so on in market.symbols",
            source=source,
            symbol=symbol,
        )
    return int(match[1])


def _endless(source: str) -> SourceError:
    return SourceError(
        expected="a last session: a simulated market never ends by itself",
        found="none",
        remedy="state market.history_ends in the strategy, or ask with a last session",
        source=source,
        key="market.history_ends",
    )


def _build(settings: SimulatorSettings, context: SourceContext) -> SimulatedSource:
    return SimulatedSource(
        calendar=context.market.calendar,
        history_starts=context.market.history_starts,
        history_ends=context.market.history_ends,
        seed=settings.seed,
        planted_rank_ic=settings.planted_rank_ic,
        signal_persistence=settings.signal_persistence,
        shape=COINS if settings.market == "coins" else MarketShape(),
    )


def _funding(scope: Scope, _exchange: str, _base_url: str | None) -> SimulatedFunding:
    return SimulatedFunding(scope)


SOURCE = SourceMember(
    kind="simulator",
    settings=SimulatorSettings,
    build=_build,
    label="Simulated market",
    delivers=("bars", "funding_rates"),
    simulated=True,
    funding=_funding,
)
