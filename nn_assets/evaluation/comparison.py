"""Which networks, if any, forecast better than the simple ones: paired tests on the same sessions of the same folds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.evaluation.significance import (
    CROSS_SECTION,
    MeanTest,
    Names,
    auc_contributions,
    paired_test,
    rank_ic_contributions,
    robust_mean_test,
)
from nn_assets.evaluation.spending import per_trial_level

_NOT_COMPARED = "not compared with"

LEVEL = 0.05
"""One-sided error of all comparisons together, as of the remarks on a study's page."""


@dataclass(frozen=True, eq=False)
class Contestant:
    """An ensemble's figure on out-of-sample sessions, and what each of its members comes to by itself."""

    name: str
    simple: bool
    test: MeanTest  # of the ensemble's mean forecast, against chance
    of_members: tuple[float, ...]  # NaN where a member's forecasts never vary
    low: float  # two-sided 95% interval of the figure
    high: float
    why: str = ""  # it has no figure, and is compared with none

    @property
    def estimate(self) -> float:
        """Rank IC, or AUC of few instruments; NaN without any."""
        return float("nan") if self.test.estimate is None else self.test.estimate

    @property
    def spread(self) -> float:
        """Standard deviation over members of different seeds; NaN of fewer than two."""
        known = [value for value in self.of_members if np.isfinite(value)]
        return float(np.std(known, ddof=1)) if len(known) > 1 else float("nan")


@dataclass(frozen=True)
class Pair:
    """A network against a simple one: their mean difference a session, and which of the two it favours."""

    network: str
    rival: str
    test: MeanTest
    finding: str  # 'beats', 'is beaten by', 'not distinguishable from', or 'not compared with'

    @property
    def compared(self) -> bool:
        """Whether a test could be made; its ``reason`` says why not."""
        return self.finding != _NOT_COMPARED


@dataclass(frozen=True, eq=False)
class Comparison:
    """All contestants on the same cells, and every network against every simple one."""

    contestants: tuple[Contestant, ...]
    pairs: tuple[Pair, ...]
    statistic: str  # 'rank IC' or 'AUC'
    chance: float
    level: float  # of one comparison, so that all that were made together keep to `LEVEL`

    def of(self, network: str) -> tuple[Pair, ...]:
        """A network's pairs."""
        return tuple(pair for pair in self.pairs if pair.network == network)

    @property
    def compared(self) -> tuple[Pair, ...]:
        """The pairs of which a test could be made."""
        return tuple(pair for pair in self.pairs if pair.compared)

    @property
    def sessions(self) -> int:
        """The fewest sessions of any pair compared; 0 without one."""
        return min((pair.test.sessions for pair in self.compared), default=0)

    @property
    def rivals(self) -> tuple[str, ...]:
        """The simple ones with which any network could be compared; all of them where none could."""
        simple = tuple(one.name for one in self.contestants if one.simple)
        met = {pair.rival for pair in self.compared}
        return tuple(name for name in simple if name in met) or simple

    @property
    def winners(self) -> tuple[str, ...]:
        """Networks that beat every simple one with which any could be compared."""
        names = dict.fromkeys(pair.network for pair in self.compared)
        beaten = {name: {pair.rival for pair in self.of(name) if pair.finding == "beats"} for name in names}
        return tuple(name for name in names if beaten[name] == set(self.rivals))

    @property
    def left_out(self) -> tuple[str, ...]:
        """What was not compared and why, a few words each: whole contestants, and single pairs of the others."""
        whole = {one.name: one.why for one in self.contestants if one.why}
        single = [pair for pair in self.pairs if not pair.compared and not {pair.network, pair.rival} & set(whole)]
        return (
            *(f"{name}: {why}, not compared" for name, why in whole.items()),
            *(f"{pair.network} against {pair.rival}: {pair.test.reason}, not compared" for pair in single),
        )

    @property
    def verdict(self) -> str:
        """Which networks beat the simple ones, in one sentence."""
        return "; ".join([*self._findings(), *self.left_out])

    def _findings(self) -> list[str]:
        networks = dict.fromkeys(pair.network for pair in self.compared)
        all_networks = [one.name for one in self.contestants if not one.simple]
        rivals, count = _listed(self.rivals), len(self.compared)
        if not count:
            return [f"no network ({_listed(all_networks)}) can be compared with the simple ones ({rivals})"]
        tested = f"{count} paired comparison{'s' * (count > 1)} on daily {self.statistic} over {self._sessions_text}"
        if self.winners:
            verb = "beats" if len(self.winners) == 1 else "beat"
            return [f"{_listed(self.winners)} {verb} the simple ones ({rivals}) in {tested}"]
        several = len(all_networks) > 1
        none = f"none of {len(all_networks)} networks beats" if several else f"{all_networks[0]} does not beat"
        won = Counter(pair.rival for pair in self.compared if pair.finding == "beats")
        lost = [f"{pair.network} is beaten by {pair.rival}" for pair in self.compared if pair.finding == "is beaten by"]
        decided = won.total() + len(lost)
        share = f"{decided} of {tested} find a difference" if decided else f"not distinguishable in {tested}"
        beaten = [f"{rival} is beaten by {number} of {len(networks)}" for rival, number in won.items()]
        return [f"{none} the simple ones ({rivals}): {share}", *beaten, *lost]

    @property
    def _sessions_text(self) -> str:
        counts = [pair.test.sessions for pair in self.compared]
        fewest, most = min(counts), max(counts)
        return f"{fewest:,} sessions" if fewest == most else f"{fewest:,} to {most:,} sessions"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def compare(
    forecasts: Mapping[str, FloatArray],
    simple: Sequence[str],
    returns: FloatArray,
    targets: FloatArray,
    folds: Names,
    horizon: int,
) -> Comparison:
    """Measure ensembles on the cells that all of them forecast, and test every network against every simple one.

    Parameters
    ----------
    forecasts : mapping of name to array, shape (members, sessions, symbols)
        Probabilities; NaN without a forecast. A member without any in a fold was not trained there: the ensemble's is
        the mean of the others, and its own figure is over the sessions that it has.
    simple : sequence of str
        Those of the names that are no networks.
    returns, targets : arrays, shape (sessions, symbols)
        The label's own return, and 1, 0 or NaN.
    folds : array of str, shape (sessions,)
        Which fold's models made the session's forecasts.
    horizon : int
        Of the label, sessions.

    Notes
    -----
    Daily rank IC across symbols; of fewer than 5 symbols AUC, as a study's remarks do. Diebold and Mariano (1995) with
    robust errors, on the sessions that both of a pair have, at the level of Šidák (1967) for as many comparisons as
    could be made. A network beats the simple ones where it beats each of them. One that forecasts nothing, or one value
    for all names of every session, which ranks nothing, is compared with none, and takes no cell from the others.
    """
    names = tuple(forecasts)
    there: dict[str, BoolArray] = {name: _of_all_members(own, folds) for name, own in forecasts.items()}
    everywhere = np.all([cells for cells in there.values() if cells.any()] or [*there.values()], axis=0)
    wide = returns.shape[1] >= CROSS_SECTION
    contributions, outcomes = (rank_ic_contributions, returns) if wide else (auc_contributions, targets)
    chance = 0.0 if wide else 0.5

    def daily(values: FloatArray) -> FloatArray:
        return contributions(np.where(everywhere, values, np.nan), outcomes, folds)

    series = {name: daily(mean_of_members(forecasts[name])) for name in names}
    contestants = []
    for name in names:
        test = robust_mean_test(series[name], horizon, null=chance)
        half = float("nan") if test.standard_error is None else test.quantile(0.975) * test.standard_error
        middle = float("nan") if test.estimate is None else test.estimate
        alone = tuple(_mean(daily(member)) for member in forecasts[name])
        why = "" if test.estimate is not None else _why_none(mean_of_members(forecasts[name]), there[name], test)
        contestants.append(Contestant(name, name in simple, test, alone, middle - half, middle + half, why))
    tests = {
        (network, rival): paired_test(series[network], series[rival], horizon)
        for network in names
        if network not in simple
        for rival in simple
    }
    level = per_trial_level(LEVEL, sum(map(_was_made, tests.values())))
    pairs = tuple(_pair(network, rival, test, level) for (network, rival), test in tests.items())
    return Comparison(tuple(contestants), pairs, "rank IC" if wide else "AUC", chance, level)


def _of_all_members(forecasts: FloatArray, folds: Names) -> BoolArray:
    """Cells that every member of their fold forecasts, (sessions, symbols)."""
    there = np.isfinite(forecasts)
    needed = np.zeros_like(there)
    for fold in np.unique(folds):
        needed[:, folds == fold] = there[:, folds == fold].any(axis=(1, 2), keepdims=True)
    return np.asarray((there | ~needed).all(axis=0) & needed.any(axis=0))


def mean_of_members(forecasts: FloatArray) -> FloatArray:
    """Mean over the members that have a forecast, (members, ...) to (...); NaN where none has."""
    there = np.isfinite(forecasts)
    count = there.sum(axis=0)
    total = np.where(there, forecasts, 0.0).sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))


def _why_none(values: FloatArray, there: BoolArray, test: MeanTest) -> str:
    """Why an ensemble, (sessions, symbols), has no figure on any session."""
    if not there.any():
        return "no forecast"
    highest = np.where(there, values, -np.inf).max(axis=1)
    lowest = np.where(there, values, np.inf).min(axis=1)
    return test.reason if (highest > lowest).any() else "one value for all names"


def _was_made(test: MeanTest) -> bool:
    """Whether a test of a pair says anything: of two that are the same in every session, that they are."""
    return test.p_value is not None or test.never_varies


def _mean(values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def _pair(network: str, rival: str, test: MeanTest, level: float) -> Pair:
    finding = "not distinguishable from" if _was_made(test) else _NOT_COMPARED
    if test.p_value is not None:
        finding = "beats" if test.p_value < level else "is beaten by" if 1.0 - test.p_value < level else finding
    return Pair(network, rival, test, finding)
