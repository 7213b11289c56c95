"""Instruments grouped by how they move, as limits where no sector is given.

Average linkage (Sokal and Michener 1958) on the distance sqrt((1 - rho) / 2) of Mantegna (1999), rho the correlation of
returns less the session's mean: what all do together groups nobody. The number of groups is the one with the largest
mean silhouette (Rousseeuw 1987), among those in which no group has more than half of the names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray, IntArray, Symbol
from nn_assets.errors import first_of
from nn_assets.settings.sections import RETURNS_TO_GROUP

UNASSIGNED = "unassigned"
"""The group of names with too few returns, or none that vary."""

MINIMUM_RETURNS = RETURNS_TO_GROUP
MINIMUM_SILHOUETTE = 0.02
"""Mean silhouette below which names do not move in groups: that of independent names lies below it."""

_FEWEST = 4  # names: of fewer no group of two is at most half
_MOST_GROUPS = 20
_LARGEST_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class Groups:
    """The group of each symbol.

    Attributes
    ----------
    symbols : in order
    names : the group of each: its most central member, `UNASSIGNED`, or empty where names do not move in groups
    silhouette : mean over the grouped names, -1 to 1; NaN without groups
    returns : most that any of them has
    """

    symbols: tuple[Symbol, ...]
    names: tuple[str, ...]
    silhouette: float
    returns: int

    @property
    def members(self) -> Mapping[str, Sequence[Symbol]]:
        """The members of each group, by its name, the largest group first."""
        by_name: dict[str, list[Symbol]] = {}
        for symbol, name in zip(self.symbols, self.names, strict=True):
            if name:
                by_name.setdefault(name, []).append(symbol)
        return dict(sorted(by_name.items(), key=lambda item: (-len(item[1]), item[0])))

    @property
    def text(self) -> str:
        """What a person reads of them: each group's members, and why there are none, or why names are in none."""
        members = dict(self.members)
        unassigned = members.pop(UNASSIGNED, [])
        said = [f"like {name}: {', '.join(first_of(of_group))}" for name, of_group in members.items()]
        counted = len(self.symbols) - len(unassigned)
        few = f"{self.returns}, {MINIMUM_RETURNS} needed"
        if unassigned and self.returns < MINIMUM_RETURNS:
            return f"none: too few returns ({few}); all names are one group, {UNASSIGNED}"
        if not members and counted < _FEWEST:
            said.append(f"none: {counted} names have {MINIMUM_RETURNS} returns that vary, {_FEWEST} needed")
        elif not members:
            said.append("none: names do not move in groups")
        if unassigned:
            why = f"fewer than {MINIMUM_RETURNS} returns, or none that vary"
            said.append(f"{UNASSIGNED}, one group ({why}): {', '.join(first_of(unassigned))}")
        return "; ".join(said)


def behaviour_groups(symbols: tuple[Symbol, ...], returns: FloatArray, members: BoolArray | None = None) -> Groups:
    """Group symbols by their returns.

    Parameters
    ----------
    returns : ndarray, shape (sessions, symbols)
        Session returns, fraction; NaN where there is none.
    members : ndarray of bool, shape (sessions, symbols), optional
        Of the universe: only their returns count. Everyone without one.

    Returns
    -------
    Groups
        The same whichever symbols without a return of theirs are beside them.
    """
    counted = returns if members is None else np.where(members, returns, np.nan)
    present = np.isfinite(counted)
    usable = present.sum(axis=0) >= MINIMUM_RETURNS
    highest = np.where(present, counted, -np.inf).max(axis=0, initial=-np.inf)
    usable &= highest > np.where(present, counted, np.inf).min(axis=0, initial=np.inf)
    columns = np.flatnonzero(usable)
    distance = _distance(np.ascontiguousarray(counted[:, columns]))
    label, silhouette = _clustered(distance)
    names = [UNASSIGNED] * len(symbols)
    for column in columns:
        names[column] = ""
    for group in () if label is None else np.unique(label):
        own = np.flatnonzero(label == group)
        central = own[int(distance[np.ix_(own, own)].sum(axis=1).argmin())]
        for column in columns[own]:
            names[column] = symbols[columns[central]]
    return Groups(symbols, tuple(names), silhouette, int(present.sum(axis=0).max(initial=0)))


def _clustered(distance: FloatArray) -> tuple[IntArray | None, float]:
    """Number of the group of each name, and the mean silhouette; None where no number of groups is good enough."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    count, best, labels = len(distance), MINIMUM_SILHOUETTE, None
    if count < _FEWEST:
        return None, float("nan")
    tree = linkage(squareform(distance, checks=False), method="average")
    for groups in range(2, min(_MOST_GROUPS, count // 2) + 1):
        label = np.asarray(fcluster(tree, groups, criterion="maxclust"), dtype=np.int64)
        if np.bincount(label).max() > _LARGEST_SHARE * count:
            continue
        silhouette = float(silhouettes(distance, label).mean())
        if silhouette > best:
            best, labels = silhouette, label
    return labels, best if labels is not None else float("nan")


def _distance(returns: FloatArray) -> FloatArray:
    """sqrt((1 - rho) / 2) of returns less the session's mean, (names, names); a missing return counts as the mean."""
    present = np.isfinite(returns)
    filled = np.where(present, returns, 0.0)
    mean = filled.sum(axis=1, keepdims=True) / np.maximum(present.sum(axis=1, keepdims=True), 1)
    excess = np.where(present, filled - mean, 0.0)
    excess -= excess.mean(axis=0)
    norm = np.sqrt((excess * excess).sum(axis=0))
    unit = excess / np.where(norm > 0.0, norm, 1.0)
    distance = np.sqrt(np.clip((1.0 - unit.T @ unit) / 2.0, 0.0, 1.0))
    np.fill_diagonal(distance, 0.0)
    return np.asarray((distance + distance.T) / 2.0)


def silhouettes(distance: FloatArray, label: IntArray) -> FloatArray:
    """(b - a) / max(a, b) of each name, a its mean distance to its own group, b to the nearest other one.

    0 for a name alone in its group (Rousseeuw 1987).

    Parameters
    ----------
    distance : ndarray, shape (names, names)
    label : ndarray of int, shape (names,)
        At least two groups.
    """
    kinds = np.unique(label)
    belongs = (label[:, None] == kinds).astype(np.float64)  # (names, groups)
    size, own = belongs.sum(axis=0), np.searchsorted(kinds, label)
    total = distance @ belongs
    every = np.arange(len(label))
    inside = total[every, own] / np.maximum(size[own] - 1.0, 1.0)
    others = total / size
    others[every, own] = np.inf
    nearest = others.min(axis=1)
    width = (nearest - inside) / np.maximum(np.maximum(nearest, inside), np.finfo(np.float64).tiny)
    return np.where(size[own] > 1.0, width, 0.0)
