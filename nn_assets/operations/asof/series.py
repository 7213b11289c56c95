"""Other series as each session's decision knew them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nn_assets.arrays import Symbol
from nn_assets.contracts import SERIES, empty
from nn_assets.contracts.frames import SeriesVersions
from nn_assets.errors import SettingsError
from nn_assets.market.calendar.sessions import session_hours
from nn_assets.market.facts.funding import Funding, funding_by_decision, funding_by_session
from nn_assets.market.facts.series import KnownSeries, known_series
from nn_assets.operations.asof.stored import OTHER_SERIES, versions_of
from nn_assets.operations.clock import as_of_sessions
from nn_assets.operations.stores import Stores
from nn_assets.portfolio.greeks import Greeks
from nn_assets.settings import Strategy

__all__ = ["OTHER_SERIES", "funding_known", "greeks_known", "known_by_role", "read_series_versions", "series_known"]


def read_series_versions(stores: Stores, strategy: str) -> SeriesVersions:
    """Every version of every observation stored; none before the first delivery."""
    lake = stores.lake
    return versions_of(stores, strategy, OTHER_SERIES) if lake.segments(strategy, OTHER_SERIES) else empty(SERIES)


def known_by_role(
    strategy: Strategy, versions: SeriesVersions, sessions: pd.DatetimeIndex, symbols: tuple[Symbol, ...]
) -> dict[str, KnownSeries]:
    """The series that features read, by what they are to them."""
    return {
        role: series_known(strategy, versions, name, sessions, symbols)
        for role, name in strategy.features.series.items()
    }


def series_known(
    strategy: Strategy, versions: SeriesVersions, name: str, sessions: pd.DatetimeIndex, symbols: tuple[Symbol, ...]
) -> KnownSeries:
    """The newest value of a series known at each session's decision, (sessions, symbols).

    Parameters
    ----------
    versions : DataFrame
        As :func:`read_series_versions` gives them.

    Raises
    ------
    SettingsError
        The strategy names no such series.
    """
    named = [series for series in strategy.series if series.name == name]
    if not named:
        raise SettingsError(
            expected=f"a series among {', '.join(series.name for series in strategy.series) or 'none named'}",
            found=repr(name),
            remedy="name it under series in the strategy file",
            key="series",
        )
    return known_series(
        versions,
        name,
        symbols,
        sessions,
        as_of_sessions(strategy.market, sessions),
        stale_after_sessions=max(series.stale_after_sessions for series in named),
    )


def greeks_known(
    strategy: Strategy, versions: SeriesVersions, sessions: pd.DatetimeIndex, symbols: tuple[Symbol, ...]
) -> Greeks | None:
    """The Greeks that ``portfolio.greeks`` limits, each session's as known at its decision; None where it limits none.

    Parameters
    ----------
    versions : DataFrame
        As :func:`read_series_versions` gives them.

    Raises
    ------
    SettingsError
        A series of them was never stored.
    """
    limited = strategy.portfolio.greeks
    if limited is None:
        return None
    carried = np.isin(np.array(symbols, dtype=np.str_), limited.symbols)
    own = versions[versions["symbol"] != ""]  # what a whole market has is no instrument's Greek
    known = {name: series_known(strategy, own, series, sessions, symbols) for name, series in limited.series.items()}
    return Greeks(carried, {name: vars(observed)["values"] for name, observed in known.items()})


def funding_known(
    strategy: Strategy, versions: SeriesVersions, sessions: pd.DatetimeIndex, symbols: tuple[Symbol, ...]
) -> Funding | None:
    """What positions pay as perpetuals by the series of ``costs.funding``; None where the strategy names none.

    Parameters
    ----------
    versions : DataFrame
        As :func:`read_series_versions` gives them.
    sessions : DatetimeIndex, shape (sessions,)
        Every session of the calendar from the first to the last.
    """
    name = strategy.costs.funding
    if name is None:
        return None
    calendar = strategy.market.calendar
    opens = pd.DatetimeIndex(session_hours(calendar, sessions[0], sessions[-1])["opens"])
    decided_at = as_of_sessions(strategy.market, sessions)
    if strategy.decisions is not None:
        return funding_by_decision(versions, name, symbols, sessions, opens, decided_at)
    return funding_by_session(
        versions,
        name,
        symbols,
        sessions,
        opens,
        decided_at,
        stale_after_sessions=max(series.stale_after_sessions for series in strategy.series if series.name == name),
    )
