"""Which networks, if any, forecast better than the simple ones: paired tests on the same sessions of the same folds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import FloatArray
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
    finding: str  # 'beats', 'is beaten by' or 'not distinguishable from'


@dataclass(frozen=True, eq=False)
class Comparison:
    """All contestants on the same sessions, and every network against every simple one."""

    contestants: tuple[Contestant, ...]
    pairs: tuple[Pair, ...]
    statistic: str  # 'rank IC' or 'AUC'
    chance: float
    sessions: int
    level: float  # of one comparison, so that all together keep to `LEVEL`

    def of(self, network: str) -> tuple[Pair, ...]:
        """A network's pairs."""
        return tuple(pair for pair in self.pairs if pair.network == network)

    @property
    def winners(self) -> tuple[str, ...]:
        """Networks that beat every simple one."""
        names = dict.fromkeys(pair.network for pair in self.pairs)
        return tuple(name for name in names if all(pair.finding == "beats" for pair in self.of(name)))

    @property
    def verdict(self) -> str:
        """Which networks beat the simple ones, in one sentence."""
        networks = [one.name for one in self.contestants if not one.simple]
        rivals = _listed([one.name for one in self.contestants if one.simple])
        pairs = self.pairs
        tested = f"{len(pairs)} paired comparisons on daily {self.statistic} over {self.sessions:,} sessions"
        if self.winners:
            verb = "beats" if len(self.winners) == 1 else "beat"
            return f"{_listed(self.winners)} {verb} the simple ones ({rivals}) in {tested}"
        none = f"none of {len(networks)} networks beats" if len(networks) > 1 else f"{networks[0]} does not beat"
        won = Counter(pair.rival for pair in pairs if pair.finding == "beats")
        lost = [f"{pair.network} is beaten by {pair.rival}" for pair in pairs if pair.finding == "is beaten by"]
        undecided = len(pairs) - won.total() - len(lost)
        share = tested if undecided == len(pairs) else f"{undecided} of {tested}"
        beaten = [f"{rival} is beaten by {count} of {len(networks)}" for rival, count in won.items()]
        return "; ".join([f"{none} the simple ones ({rivals}): not distinguishable in {share}", *beaten, *lost])


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
        Probabilities; NaN without a forecast.
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
    robust errors, at the level of Šidák (1967) for as many comparisons as there are. A network beats the simple ones
    where it beats each of them.
    """
    names = tuple(forecasts)
    everywhere = np.all([np.isfinite(values).all(axis=0) for values in forecasts.values()], axis=0)
    wide = returns.shape[1] >= CROSS_SECTION
    contributions, outcomes = (rank_ic_contributions, returns) if wide else (auc_contributions, targets)
    chance = 0.0 if wide else 0.5

    def daily(values: FloatArray) -> FloatArray:
        return contributions(np.where(everywhere, values, np.nan), outcomes, folds)

    series = {name: daily(forecasts[name].mean(axis=0)) for name in names}
    contestants = []
    for name in names:
        test = robust_mean_test(series[name], horizon, null=chance)
        half = float("nan") if test.standard_error is None else test.quantile(0.975) * test.standard_error
        middle = float("nan") if test.estimate is None else test.estimate
        alone = tuple(_mean(daily(member)) for member in forecasts[name])
        contestants.append(Contestant(name, name in simple, test, alone, middle - half, middle + half))
    matches = [(network, rival) for network in names if network not in simple for rival in simple]
    level = per_trial_level(LEVEL, len(matches))
    pairs = tuple(
        _pair(network, rival, paired_test(series[network], series[rival], horizon), level) for network, rival in matches
    )
    sessions = int(np.sum(np.all([np.isfinite(values) for values in series.values()], axis=0)))
    return Comparison(tuple(contestants), pairs, "rank IC" if wide else "AUC", chance, sessions, level)


def _mean(values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def _pair(network: str, rival: str, test: MeanTest, level: float) -> Pair:
    finding = "not distinguishable from"
    if test.p_value is not None:
        finding = "beats" if test.p_value < level else "is beaten by" if 1.0 - test.p_value < level else finding
    return Pair(network, rival, test, finding)
