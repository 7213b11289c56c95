"""From a panel to a cube of features."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields as fields_of
from types import MappingProxyType
from typing import Any

import numpy as np

from nn_assets.arrays import BoolArray, Cube, FloatArray, canonical, read_only
from nn_assets.contracts import DETAILS
from nn_assets.errors import SettingsError, did_you_mean
from nn_assets.features.catalogue.definition import Context, Feature
from nn_assets.features.catalogue.own_series import names_of_own_series
from nn_assets.features.catalogue.prices import log_change
from nn_assets.features.catalogue.ranks import place_among_members
from nn_assets.features.catalogue.registry import CATALOGUE, STANDARD
from nn_assets.features.catalogue.stepping import Beside, Laid, Stepping, last_known
from nn_assets.market.facts.series import KnownSeries
from nn_assets.market.panel import Panel
from nn_assets.plugins import no_such_member

_NO_SERIES: Mapping[str, KnownSeries] = MappingProxyType({})
_OBSERVED_SESSIONS = 60
_BLOCK_VALUES = 65_536


def available_features(
    panel: Panel,
    *,
    market_symbol: str | None = None,
    candidates: BoolArray | None = None,
    roles: Iterable[str] = (),
    own: Iterable[str] = (),
) -> tuple[str, ...]:
    """Names of every standard feature whose inputs exist, in the catalogue's order.

    A field exists if it holds a positive value within the first 60 sessions from the first close of
    the panel; of ``candidates`` alone, where these are given and ever have a close. Only the beginning
    of the history decides, so the answer does not change as history grows; a field that comes later is
    had by naming its features.

    Parameters
    ----------
    panel : Panel, arrays of shape (bars, symbols)
    market_symbol : str, optional
        The instrument that represents the market; without it there are no cross-market features.
    candidates : array of bool, shape (bars, symbols), optional
        Members of the universe on each session.
    roles : iterable of str
        Those that a series fills.
    own : iterable of str
        Features of plug-ins to look at besides.
    """
    judged = np.ones(panel.close.shape, dtype=bool) if candidates is None else candidates
    if not (judged & (panel.close > 0.0)).any():
        judged = np.ones(panel.close.shape, dtype=bool)
    priced = np.flatnonzero((judged & (panel.close > 0.0)).any(axis=1))
    first = int(priced[0]) if len(priced) else 0
    window = slice(first, first + _OBSERVED_SESSIONS)
    present = {name for name, values in panel.arrays.items() if bool((judged[window] & (values[window] > 0.0)).any())}
    entries = [*STANDARD.values(), *(CATALOGUE[name] for name in own)]
    filled = {"", *roles}
    return tuple(
        entry.name
        for entry in entries
        if present.issuperset(entry.fields)
        and (market_symbol is not None or not entry.needs_market)
        and entry.role in filled
    )


def refuse_features_beyond(fields: Sequence[str], names: Sequence[str], *, market_symbol: str | None) -> None:
    """Refuse features that read other fields of a bar than those that there are.

    Without a market symbol those that need one are not named among the features that can be had.

    Raises
    ------
    SettingsError
        Names them, and the features that can be had.
    """
    read = [entry for entry in CATALOGUE.values() if set(entry.fields) <= set(fields)]
    beyond = [name for name in names if name in CATALOGUE and not set(CATALOGUE[name].fields) <= set(fields)]
    available = [
        entry.name for entry in read if not entry.reads_series and (market_symbol is not None or not entry.needs_market)
    ]
    if beyond:
        raise SettingsError(
            expected=f"features of {', '.join(fields)} alone: {', '.join(available)}",
            found=", ".join(beyond),
            remedy=f"take {', '.join(beyond)} out of features.names, or leave features.names empty",
            key="features.names",
        )


def refuse_missing_details(entries: Iterable[Feature], present: Collection[str]) -> None:
    """Refuse features that read a detail of a bar which no source ever gave: their values would all be missing.

    Parameters
    ----------
    present : collection of str
        Fields of a bar that there are.

    Raises
    ------
    SettingsError
        Names the first such feature and what it lacks.
    """
    for entry in entries:
        absent = [name for name in entry.fields if name in DETAILS and name not in present]
        if absent:
            raise SettingsError(
                expected=f"bars that carry {', '.join(absent)}, which the feature {entry.name} reads",
                found="no such bar: the source gives none",
                remedy=f"give the source a column {absent[0]} (docs/data.md), or take {entry.name} out of "
                "features.names",
                key="features.names",
                feature=entry.name,
                column=absent[0],
            )


def compute_features(
    panel: Panel,
    names: Sequence[str] = (),
    *,
    market_symbol: str | None = None,
    series: Mapping[str, KnownSeries] = _NO_SERIES,
    factors: Sequence[str] = (),
    sessions_per_year: int = 252,
    candidates: BoolArray | None = None,
    max_missing_fraction: float = 0.0,
    bridge: bool = False,
) -> Cube:
    """Compute features of every symbol and session.

    Parameters
    ----------
    panel : Panel, arrays of shape (bars, symbols)
    names : sequence of str
        Features in the order wanted; none means all of `available_features`.
    market_symbol : str, optional
        The symbol of the panel that represents the market.
    series : mapping of role to KnownSeries, (bars, symbols)
        As known at each session's decision.
    factors : sequence of str
        Roles of the series that are factor returns.
    sessions_per_year : int
    candidates : array of bool, shape (bars, symbols), optional
        As for `available_features`; every symbol has features, whether a member or not. A feature that ranks does so
        among them.
    max_missing_fraction : float
        Share of missing bars that a window may step over, as in `Stepping`; by default none. A bar is missing, to a
        feature, where a field that it reads is, or the market symbol's close for one that needs it.
    bridge : bool
        Bridge such a gap by the last close, with zero volume, instead of stepping over it.

    Returns
    -------
    Cube, values of shape (bars, symbols, features), float64
        The value of row t depends, to the bit, on the last reach_sessions + 1 bars of its own symbol (and
        of the market symbol), on where bars are missing among the last max(reach_sessions + 1, 20), and on nothing
        else; of a feature that ranks, on these of all members of session t. NaN where there is no bar, where more than
        the share are missing, or where the formula has no value; never an infinity.

    Raises
    ------
    SettingsError
        A name that the catalogue lacks, a feature that needs a market symbol or a series where none is given, or
        a market symbol or a detail of bars that the panel lacks.
    """
    market = _market_close(panel, market_symbol)
    bridged = last_known(market) if bridge and market is not None else None
    wanted = tuple(names) or available_features(panel, market_symbol=market_symbol, candidates=candidates, roles=series)
    entries = [_entry(name, market_symbol, series, factors) for name in wanted]
    refuse_missing_details(entries, panel.arrays)
    shape = (panel.session_count, len(panel.symbols), len(entries))
    values = np.empty(shape)
    # Blocks of symbols keep every intermediate array in the processor's cache; symbols are
    # independent, so where the blocks end changes no bit.
    width = max(1, _BLOCK_VALUES // max(1, panel.session_count))
    for start in range(0, len(panel.symbols), width):
        columns = slice(start, start + width)
        block = _columns(panel, columns)
        computed = np.empty((len(entries), panel.session_count, len(block.symbols)))
        steppings: dict[tuple[tuple[str, ...], bool], Stepping] = {}
        for index, entry in enumerate(entries):
            read = entry.fields, entry.needs_market
            if read not in steppings:
                steppings[read] = Stepping(block, _there(block, entry, market), max_missing_fraction, bridge)
            # A price that overflows is a missing value, not a warning.
            block_series = [_of_columns(series[role], columns) for role in _roles_read(entry, factors)]
            formulas = (_beside(entry, closes, block_series, sessions_per_year) for closes in (market, bridged))
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                computed[index] = steppings[read].over(entry.reach_sessions + 1, *formulas)
            if entry.reads_series:  # a series goes on where bars end
                computed[index][~steppings[read].there] = np.nan
        values[:, start : start + width, :] = canonical(computed).transpose(1, 2, 0)
    for index in (column for column, entry in enumerate(entries) if entry.ranked):
        values[:, :, index] = place_among_members(values[:, :, index], candidates)
    return Cube(panel.sessions, panel.symbols, wanted, values)


def _entry(name: str, market_symbol: str | None, series: Mapping[str, KnownSeries], factors: Sequence[str]) -> Feature:
    entry = CATALOGUE.get(name)
    if entry is None:
        offered = (*CATALOGUE, *names_of_own_series(series, factors))
        raise no_such_member("feature", "features.names", name, offered)
    if entry.needs_market and market_symbol is None:
        raise SettingsError(
            expected=f"a market symbol for the feature {name}",
            found="none",
            remedy="set features.market_symbol, or leave the feature out",
            key="features.market_symbol",
        )
    if (fault := fault_of_series(entry, series, factors)) is not None:
        raise fault
    return entry


def fault_of_series(entry: Feature, roles: Iterable[str], factors: Sequence[str]) -> SettingsError | None:
    """What a feature misses of the series that it reads; None where it has them all.

    Parameters
    ----------
    entry : Feature
    roles : iterable of str
        Keys of ``features.series``.
    factors : sequence of str
        ``features.factors``.
    """
    filled = tuple(roles)
    if entry.factors and (not factors or (entry.role and entry.role not in factors)):
        return SettingsError(
            expected=f"{entry.role or 'series'} among features.factors, for the feature {entry.name}",
            found=f"features.factors of {', '.join(factors) or 'nothing'}",
            remedy=f"{did_you_mean(entry.role, factors)}list the roles of the series that are factor returns under "
            "features.factors, or leave the feature out",
            key="features.factors",
        )
    missing = next((role for role in _roles_read(entry, factors) if role not in filled), None)
    if missing is None:
        return None
    return SettingsError(
        expected=f"a series for the feature {entry.name}",
        found=f"features.series of {', '.join(filled) or 'nothing'}",
        remedy=f"{did_you_mean(missing, filled)}name the series under features.series.{missing}, or leave the feature "
        "out",
        key=f"features.series.{missing}",
    )


def _roles_read(entry: Feature, factors: Sequence[str]) -> tuple[str, ...]:
    """The roles of the series that a feature reads, its own first."""
    own = (entry.role,) if entry.role else ()
    return (*own, *(role for role in factors if role not in own)) if entry.factors else own


def _market_close(panel: Panel, market_symbol: str | None) -> FloatArray | None:
    """Closes of the instrument that represents the market, (bars, 1)."""
    if market_symbol is None:
        return None
    if market_symbol not in panel.symbols:
        raise SettingsError(
            expected="a market symbol among the panel's symbols",
            found=repr(market_symbol),
            remedy="add it to market.symbols, or correct features.market_symbol",
            key="features.market_symbol",
            value=market_symbol,
        )
    column = panel.symbols.index(market_symbol)
    return _own(panel.close, slice(column, column + 1))


def _there(panel: Panel, entry: Feature, market: FloatArray | None) -> BoolArray:
    """Where there is a bar with every field that a feature reads, and the market's, (bars, symbols)."""
    has_fields = np.logical_and.reduce([np.isfinite(getattr(panel, name)) for name in entry.fields])
    there: BoolArray = has_fields & np.isfinite(market) if entry.needs_market and market is not None else has_fields
    return there


def _beside(entry: Feature, market: FloatArray | None, series: Sequence[KnownSeries], sessions_per_year: int) -> Laid:
    """A feature's formula, with the market's returns and its series over the bars that it is given."""

    def compute(panel: Panel, beside: Beside) -> FloatArray:
        moved = None if market is None else log_change(beside(market))
        laid = tuple(
            KnownSeries(**{field.name: beside(getattr(each, field.name)) for field in fields_of(each)})
            for each in series
        )
        own, factors = laid[0] if entry.role else None, laid if entry.factors else ()
        return entry.computed(panel, Context(moved, own, sessions_per_year, factors))

    return compute


def _of_columns(series: KnownSeries, columns: slice) -> KnownSeries:
    return KnownSeries(**{field.name: _own(getattr(series, field.name), columns) for field in fields_of(series)})


def _columns(panel: Panel, columns: slice) -> Panel:
    fields: dict[str, Any] = {name: _own(values, columns) for name, values in panel.arrays.items()}
    return Panel(sessions=panel.sessions, symbols=panel.symbols[columns], **fields)


def _own(values: FloatArray, columns: slice) -> FloatArray:
    """Some columns in memory of their own, read-only: of a panel that was cut, a view leads to all that was cut off."""
    return read_only(np.array(values[:, columns], order="C"))
