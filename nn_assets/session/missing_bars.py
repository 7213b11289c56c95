"""Which symbols of a decision lack bars that it would have read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import BoolArray
from nn_assets.features.catalogue import CATALOGUE
from nn_assets.features.own_bars import JUDGED_SESSIONS, sessions_reached


@dataclass(frozen=True)
class MissingBars:
    """Columns of the symbols that lack a bar, each in one list at most."""

    stepped_over: tuple[int, ...]  # with a signal that steps over, or bridges, a missing bar
    none_today: tuple[int, ...]  # without a bar of the session, though lately there was one
    silenced: tuple[int, ...]  # without a signal, though others have one, and with a missing bar among those read


def sessions_read(names: Sequence[str], lookback: int, max_missing_fraction: float) -> int:
    """Sessions that a forecast reads: the longest feature's, at the oldest row of the network's window.

    Parameters
    ----------
    names : sequence of str
        The strategy's features.
    lookback : int
    max_missing_fraction : float
    """
    longest = max(CATALOGUE[name].reach_sessions for name in names) + 1
    return sessions_reached(longest, max_missing_fraction) + sessions_reached(lookback, max_missing_fraction) - 1


def missing_bars(
    has_bar: BoolArray,
    signalled: BoolArray,
    members: BoolArray | None,
    sessions: int,
    halted: BoolArray | None = None,
) -> MissingBars:
    """Find the symbols that lack bars at the newest session. Sessions before a symbol's first bar lack none.

    Parameters
    ----------
    has_bar : array of bool, shape (bars, symbols)
        Where there is a bar; the last row is the decision's session.
    signalled : array of bool, shape (symbols,)
        Which have a signal.
    members : array of bool, shape (bars, symbols), or None
        Members of the universe: only their missing bars are reported. None: all symbols.
    sessions : int
        That a forecast reads, of :func:`sessions_read`.
    halted : array of bool, shape (symbols,), optional
        Which are known not to trade on the session: their bar is not missing.
    """
    missing = np.logical_or.accumulate(has_bar, axis=0) & ~has_bar
    lately = missing[-sessions:].any(axis=0)
    in_universe = np.ones(has_bar.shape[1], dtype=bool) if members is None else members[-1]
    on_halt = np.zeros(has_bar.shape[1], dtype=bool) if halted is None else halted
    lists = (
        lately & signalled,
        missing[-1] & has_bar[-JUDGED_SESSIONS:].any(axis=0) & in_universe & ~on_halt,
        lately & has_bar[-1] & ~signalled & signalled.any() & in_universe,
    )
    return MissingBars(*(tuple(np.flatnonzero(mask).tolist()) for mask in lists))
