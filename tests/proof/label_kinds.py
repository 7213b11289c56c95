"""Each kind of label that is traded, studied on one market with a planted signal: what its forecasts know of the truth.

As ``studied.py`` studies a panel, with the kind's own labels and the book replayed. The truth is the simulator's: the
share of a name's next return that is planted, and what of it is left to earn from the fill to the horizon.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nn_assets.operations.strategy_files import make_strategy
from nn_assets.portfolio.expected import expected_own_return
from nn_assets.session.programme_facts import programme_watch
from nn_assets.signals.signals import outcome_statistics
from tests.proof.studied import JUDGED, Studied, settings_of
from tests.proof.truth import SHAPE, rank_ic

KINDS: Mapping[str, Mapping[str, Any]] = {
    "direction": {},
    "direction_relative": {},
    "return_zscored": {},
    "return_zscored_relative": {},
    "threshold_move": {},
    "threshold_move down": {"side": "down"},
    "threshold_move fraction": {"unit": "fraction", "threshold": 0.02},
}


class StudiedKind(Studied):
    """A panel that is studied by one kind of label; every book is dollar-neutral, so that books can be compared."""

    def __init__(self, panel: Mapping[str, Any], called: str) -> None:
        super().__init__(panel)
        settings = settings_of(panel)
        settings["label"] |= {"kind": called.split(maxsplit=1)[0], "settings": dict(KINDS[called])}
        settings["learning"] |= dict(panel.get("learning", {}))
        self.strategy = make_strategy(settings)

    @property
    def left_to_earn(self) -> np.ndarray:
        """The planted mean from the fill, at the next open, to the horizon, (sessions, names): see ``truth.py``."""
        persistence, horizon = self.panel["persistence"], self.panel["horizon"]
        lasts = 1.0 - SHAPE.overnight_share + sum(persistence**j for j in range(1, horizon))
        return self.made.truth.expected_return * (lasts + SHAPE.overnight_share * persistence**horizon)

    def promised(self, estimator: str) -> np.ndarray:
        """The return expected of each name at each session, as its book is made by, (sessions, names)."""
        cut, horizon = self.history.cut, self.strategy.label.horizon_sessions
        forecasts, labels = self.material.forecasts[estimator], cut.labels
        outcomes = outcome_statistics(
            forecasts.probability, labels.returns, labels.realised_row, cut.market.volatility, horizon
        )
        watch = programme_watch(self.strategy, 252, cut.market, forecasts, labels, outcomes)
        assert watch is not None
        made = np.full(forecasts.probability.shape, np.nan)
        for row in np.flatnonzero(np.isfinite(forecasts.calibrated).any(axis=1)):
            facts, now = watch.at(row), forecasts.at(int(row))
            made[row] = expected_own_return(
                now.calibrated, now.base_rate, facts.label_volatility, horizon, facts.outcome_slope,
                confidence=now.confidence, novelty=now.novelty, relative=facts.relative,
            )  # fmt: skip
        return made


def _mean(values: np.ndarray) -> float:
    """Mean of what is finite; NaN where nothing is, as where nothing is planted."""
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else float("nan")


def measure(panel: Mapping[str, Any], called: str, *, books: bool = True) -> dict[str, dict[str, float]]:
    """By estimator: rank ICs within sessions, the slope of the truth on what is promised, and the book."""
    studied = StudiedKind(panel, called)
    study = studied.study(JUDGED if books else ())
    truth, measured = studied.left_to_earn, {}
    rows = np.array([row for row, month in enumerate(study.track.months) if month])
    for name in JUDGED:
        promised = studied.promised(name)[rows]
        planted = truth[rows] - truth[rows].mean(axis=1, keepdims=True)
        excess = promised - np.nanmean(promised, axis=1, keepdims=True)
        known = np.isfinite(excess)
        total = study.figures.total[name]
        measured[name] = {
            "rank IC of forecasts with the truth": _mean(rank_ic(study.track.ranked(name)[rows], planted)),
            "rank IC of promises with the truth": _mean(rank_ic(promised, planted)),
            "truth on promise": float((excess * planted)[known].sum() / (excess**2)[known].sum()),
            "mean promise, bps": 1e4 * float(np.nanmean(promised)),
            "rank IC": float(total.rank_ic or np.nan),
            "rank IC t": float(total.rank_ic_t or np.nan),
            "AUC": float(total.auc or np.nan),
            "gross Sharpe": float(total.sharpe_gross or np.nan),
            "net Sharpe": float(total.sharpe_net or np.nan),
        }
    measured["market"] = {
        "alarms": float(len(study.figures.alarms)),
        "smallest effect": study.figures.smallest_effect.value,
        "rank IC of the truth with the label": _mean(rank_ic(truth[rows], study.track.outcomes[rows])),
    }
    return measured


def qlike(variance: np.ndarray, forecast: np.ndarray) -> float:
    """Patton (2011), equation 5, over what is finite in both: 0 where every forecast is right."""
    ratio = variance / forecast
    return float(np.nanmean(ratio - np.log(ratio) - 1.0))


def measure_volatility(panel: Mapping[str, Any]) -> dict[str, float]:
    """Out-of-sample QLIKE of volatility forecasts and of what they are to beat: sigma_20, and the EWMA of sizing."""
    studied = Studied(panel)
    label = studied.strategy.label.model_copy(update={"kind": "log_realised_volatility"})
    studied.strategy = studied.strategy.model_copy(update={"label": label})
    cut = studied.history.cut
    labels, raw = cut.labels, studied.raw
    assert labels.values is not None
    assert labels.scale is not None
    realised = np.exp(labels.values) * labels.scale**2
    there = np.isfinite(raw["network"].probability) & np.isfinite(realised)
    recent = {"sigma_20": labels.scale**2, "EWMA": cut.market.volatility**2}
    shares = {name: raw[name].probability for name in JUDGED}  # of v times the recent variance, v / (1 + v)
    variances = {name: share / (1.0 - share) * labels.scale**2 for name, share in shares.items()} | recent
    return {name: qlike(realised[there], np.asarray(variance[there])) for name, variance in variances.items()}
