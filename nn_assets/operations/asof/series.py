"""Other series as a session's decision knew them."""

from __future__ import annotations

import pandas as pd

from nn_assets.errors import SettingsError
from nn_assets.frames import SERIES, empty
from nn_assets.market.facts.series import KnownSeries, known_series
from nn_assets.operations.asof.stored import read_once
from nn_assets.operations.clock import as_of_sessions
from nn_assets.settings import Strategy
from nn_assets.store.lake.lake import Lake

__all__ = ["OTHER_SERIES", "known_by_role", "read_known_series", "series_versions"]

OTHER_SERIES = "other_series"


def series_versions(strategy: Strategy, lake: Lake) -> pd.DataFrame:
    """Every version of every observation stored; none before the first delivery."""
    segments = lake.segments(strategy.name, OTHER_SERIES)
    return read_once(lake, strategy.name, OTHER_SERIES, segments) if segments else empty(SERIES)


def known_by_role(
    strategy: Strategy, lake: Lake, sessions: pd.DatetimeIndex, symbols: tuple[str, ...]
) -> dict[str, KnownSeries]:
    """The series that features read, by what they are to them."""
    return {
        role: read_known_series(strategy, lake, name, sessions, symbols)
        for role, name in strategy.features.series.items()
    }


def read_known_series(
    strategy: Strategy, lake: Lake, name: str, sessions: pd.DatetimeIndex, symbols: tuple[str, ...]
) -> KnownSeries:
    """The newest value of a series known at each session's decision, (sessions, symbols).

    Raises
    ------
    SettingsError
        The strategy names no such series, or it was never taken in.
    """
    named = [each for each in strategy.series if each.name == name]
    if not named:
        raise SettingsError(
            expected=f"a series among {', '.join(each.name for each in strategy.series) or 'none named'}",
            found=repr(name),
            remedy="name it under series in the strategy file",
            key="series",
        )
    return known_series(
        series_versions(strategy, lake),
        name,
        symbols,
        sessions,
        as_of_sessions(strategy.market, sessions),
        stale_after_sessions=max(each.stale_after_sessions for each in named),
    )
