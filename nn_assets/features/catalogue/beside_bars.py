"""Features of the series beside the bars: implied over realised volatility, funding rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import Cube, canonical
from nn_assets.errors import SettingsError
from nn_assets.features.catalogue.prices import ratio, rolling_volatility
from nn_assets.features.catalogue.stepping import Beside, Formula, Stepping
from nn_assets.features.rolling import lagged
from nn_assets.market.facts.series import KnownSeries
from nn_assets.market.panel import Panel
from nn_assets.versions import Registry

__all__ = ["SERIES_FEATURES", "SeriesFeature", "with_series_features"]

FloatArray = npt.NDArray[np.float64]

_MINUTES_OF_A_DAY = 1440.0


@dataclass(frozen=True)
class SeriesFeature:
    """One feature that reads a series.

    Parameters
    ----------
    name, group, formula, source : str
        As of the catalogue's other entries.
    role : str
        Key of ``features.series`` whose series it reads.
    reach_sessions : int
        The value of row t depends on rows t - reach_sessions .. t of panel and series.
    compute : callable
        From panel, series (as known at each session's decision) and sessions per year to an array
        (bars, symbols); NaN where either has no value within reach.
    """

    name: str
    group: str
    role: str
    reach_sessions: int
    compute: Callable[[Panel, KnownSeries, int], FloatArray] = field(repr=False, compare=False)
    formula: str
    source: str


def _implied_over_realised(panel: Panel, implied: KnownSeries, sessions_per_year: int) -> FloatArray:
    per_session = implied.values / 100.0 / np.sqrt(sessions_per_year)
    return ratio(per_session, rolling_volatility(panel, 20))


def _funding_per_day(panel: Panel, funding: KnownSeries, sessions_per_year: int) -> FloatArray:
    del panel, sessions_per_year
    return ratio(funding.values * _MINUTES_OF_A_DAY, funding.interval_minutes)


def _funding_change(panel: Panel, funding: KnownSeries, sessions_per_year: int) -> FloatArray:
    rate = _funding_per_day(panel, funding, sessions_per_year)
    return rate - lagged(rate, 1)


SERIES_FEATURES: Registry[SeriesFeature] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            SeriesFeature(
                name="implied_over_realised",
                group="volatility",
                role="implied_volatility",
                reach_sessions=20,
                compute=_implied_over_realised,
                formula="(index / 100 / sqrt(sessions per year)) / sigma_20; no value where sigma_20 is zero",
                source="Bollerslev, Tauchen and Zhou (2009), the variance risk premium, as a ratio",
            ),
            SeriesFeature(
                name="funding_rate_per_day",
                group="crypto",
                role="funding_rate",
                reach_sessions=0,
                compute=_funding_per_day,
                formula="rate x 1440 / minutes since the payment before, so that 8 h, 4 h and 1 h compare",
                source="standard",
            ),
            SeriesFeature(
                name="funding_rate_change",
                group="crypto",
                role="funding_rate",
                reach_sessions=1,
                compute=_funding_change,
                formula="funding rate per day less that of the session before",
                source="standard",
            ),
        )
    }
)
"""Every feature of a series by name, in the order of a full cube."""


def with_series_features(
    cube: Cube,
    panel: Panel,
    series: Mapping[str, KnownSeries],
    sessions_per_year: int,
    names: Sequence[str] = (),
    *,
    max_missing_fraction: float = 0.0,
    bridge: bool = False,
) -> Cube:
    """Join the features of series to a cube of the bars' features.

    Parameters
    ----------
    cube : Cube, values (bars, symbols, features)
    panel : Panel
        On the cube's axes.
    series : mapping of role to KnownSeries
        On the same sessions and symbols; their values as known at each session's decision.
    sessions_per_year : int
    names : sequence of str
        Every feature wanted, the bars' own among them, in order; none: the cube's, then every one
        whose role is filled.
    max_missing_fraction, bridge : float, bool
        As of `compute_features`.

    Returns
    -------
    Cube
        NaN where the series has no value or there is no bar, and where too many bars are missing; never an infinity.

    Raises
    ------
    SettingsError
        A feature is asked for whose series the settings do not name.
    """
    wanted = [each for each in SERIES_FEATURES.values() if (each.name in names if names else each.role in series)]
    absent = [each for each in wanted if each.role not in series]
    if absent:
        raise SettingsError(
            expected=f"a series for the feature {absent[0].name}",
            found=f"features.series of {', '.join(series) or 'nothing'}",
            remedy=f"name the series under features.series.{absent[0].role}, or leave the feature out",
            key=f"features.series.{absent[0].role}",
        )
    if not wanted:
        return cube
    there = np.isfinite(panel.close)
    stepping = Stepping(panel, there, max_missing_fraction, bridge)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        computed = [
            np.where(there, stepping.over(each.reach_sessions + 1, _of_series(each, series, sessions_per_year)), np.nan)
            for each in wanted
        ]
    values = np.concatenate([cube.values, canonical(np.stack(computed, axis=2))], axis=2)
    joined = Cube(cube.sessions, cube.symbols, (*cube.names, *(each.name for each in wanted)), values)
    return joined.select(names) if names else joined


def _of_series(entry: SeriesFeature, series: Mapping[str, KnownSeries], sessions_per_year: int) -> Formula:
    """A feature's formula, with its series on the rows of the bars that it is given."""

    def compute(panel: Panel, beside: Beside) -> FloatArray:
        known = series[entry.role]
        laid = {each.name: beside(getattr(known, each.name)) for each in fields(known)}
        return entry.compute(panel, KnownSeries(**laid), sessions_per_year)

    return compute
