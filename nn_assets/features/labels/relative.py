"""``direction_relative``: whether a name does better than the median of its session."""

from __future__ import annotations

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray, Symbol
from nn_assets.errors import SettingsError
from nn_assets.features.labels.definition import LabelFacts, LabelKind, forward_returns
from nn_assets.market.panel import Panel
from nn_assets.settings import LabelSettings

MINIMUM_CROSS_SECTION = 5
"""Symbols below which a cross-section's median says little, so that relative labels are refused."""


def _own_return(panel: Panel, label: LabelSettings, facts: LabelFacts) -> FloatArray:
    """Forward return - median over the candidates that have one in that session, (bars, symbols).

    A session with fewer than 5 of them has none.

    Raises
    ------
    SettingsError
        The panel has fewer than 5 symbols.
    """
    forward = forward_returns(panel, label)
    judged = forward if facts.candidates is None else np.where(facts.candidates, forward, np.nan)
    return forward - median_over_symbols(judged, panel.symbols, label.kind)


def median_over_symbols(forward: FloatArray, symbols: tuple[Symbol, ...], kind: str) -> FloatArray:
    """Median of each session's realised returns, shape (bars, 1); NaN below the minimum count.

    Raises
    ------
    SettingsError
        There are fewer than 5 symbols for the label ``kind``.
    """
    if len(symbols) < MINIMUM_CROSS_SECTION:
        raise SettingsError(
            expected=f"at least {MINIMUM_CROSS_SECTION} symbols for labels relative to the median",
            found=f"{len(symbols)}: {', '.join(symbols)}",
            remedy="set label.kind to 'direction', or add symbols",
            key="label.kind",
            value=kind,
        )
    median = np.full((len(forward), 1), np.nan)
    enough = np.isfinite(forward).sum(axis=1) >= MINIMUM_CROSS_SECTION
    median[enough, 0] = np.nanmedian(forward[enough], axis=1)
    return median


def less_the_median(returns: FloatArray, candidates: BoolArray | None = None) -> FloatArray:
    """Session returns less the median of the session's candidates, (bars, symbols).

    NaN for all in a session with fewer than 5 returns of candidates.

    Parameters
    ----------
    returns : array, shape (bars, symbols), fraction
        NaN: none.
    candidates : array of bool, shape (bars, symbols), optional
        Members of the universe at each session; everyone when left out.
    """
    judged = returns if candidates is None else np.where(candidates, returns, np.nan)
    median = np.full((len(judged), 1), np.nan)
    enough = np.isfinite(judged).sum(axis=1) >= MINIMUM_CROSS_SECTION
    median[enough, 0] = np.nanmedian(judged[enough], axis=1)
    return np.asarray(returns - median)


DIRECTION_RELATIVE = LabelKind(_own_return, relative=True)
