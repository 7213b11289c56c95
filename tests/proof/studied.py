"""One simulated panel, studied end to end by the package's own parts, in memory: no home, no ledger, no pages.

Bars, features, labels, folds, models, calibrations, replays and verdicts are what operations would make of the same
bars; ``test_studied.py`` holds them to that. Left out are boosting, which the tables do not judge (it still counts
as a trial, as it does for every user), the replays of books that nobody asks for, and the refreshes that drift asks
for: a request stands, with half the size, until the next model or the end of the drift.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

from nn_assets.arrays import Cube
from nn_assets.costs.model import cost_model_from
from nn_assets.estimators import USUAL
from nn_assets.evaluation.figure_set import StudyFigures
from nn_assets.evaluation.significance import paired_test
from nn_assets.evaluation.study import (
    MonthVerdict,
    Study,
    StudyMaterial,
    StudyStretch,
    Terms,
    judge_figures,
    month_figures,
    run_study,
)
from nn_assets.features.catalogue import compute_features
from nn_assets.features.labels import Labels, make_labels
from nn_assets.learning import baselines
from nn_assets.learning.baselines import BoostedTrees
from nn_assets.learning.calibration import Calibration
from nn_assets.learning.first_month import first_model_month
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.folds import fitted_month, forecast_rows, make_fold
from nn_assets.learning.forecasts import Forecasts, no_forecasts
from nn_assets.learning.inference import forecast
from nn_assets.learning.refresh import check_refresh
from nn_assets.market.calendar.sessions import sessions_between, sessions_per_year
from nn_assets.market.cash import cash_rates
from nn_assets.market.panel import panel_from_bars
from nn_assets.operations.history import Stretch
from nn_assets.operations.models.calibration import calibrate_forecasts, calibration_of
from nn_assets.operations.strategy_files import make_strategy
from nn_assets.session.drift_watch import model_references
from nn_assets.session.market_view import MarketView, market_view
from nn_assets.settings import Strategy
from nn_assets.simulator.markets import SimulatedMarket, simulate_market, symbol_names
from tests.learning.tiny import fit_model
from tests.proof import truth
from tests.proof.truth import label_returns, rank_ic

JUDGED = ("network", "linear")
SIGNAL = "planted signal"  # what is planted, judged in the network's place; none on noise
CALENDAR, STARTS, AT_THE_LATEST = "XNYS", "2012-01-03", "2022-12-30"

_NO_TREES = BoostedTrees(0.0, *(np.empty(0, dtype=kind) for kind in (int, int, float, int, int, float)))


def settings_of(panel: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that every panel is studied with, written out here: a bundled strategy may change, a table not.

    A small MLP on the default catalogue, models of 30 + 3 + 3 months fitted once a year, a dollar-neutral book made
    by the programme; all else is the package's default.

    ``panel`` has names, sessions, seed, rank_ic (with the next session's return), persistence (AR(1)), horizon.
    """
    return {
        "name": "panel",  # orders are named by it, and the paper broker's noise by them
        "source": {
            "kind": "simulator",
            "seed": panel["seed"],
            "planted_rank_ic": panel["rank_ic"],
            "signal_persistence": panel["persistence"],
        },
        "market": {
            "calendar": CALENDAR,
            "symbols": list(symbol_names(panel["names"])),
            "history_starts": STARTS,
            "history_ends": str(sessions_of(panel)[-1].date()),
            "cash_rates": "us_treasury_bills",
        },
        "label": {"kind": "direction_relative", "horizon_sessions": panel["horizon"], "execution": "next_open"},
        "learning": {"network": "mlp", "lookback": 10, "hidden": 16, "layers": 1, "processes": 1},
        "walk_forward": {"refit_every_months": 12},
        "portfolio": {"construction": "programme", "net_limit": 0.0},
        "trade_without_verdict": True,
    }


def sessions_of(panel: Mapping[str, Any]) -> pd.DatetimeIndex:
    """The panel's sessions."""
    return sessions_between(CALENDAR, STARTS, AT_THE_LATEST)[: panel["sessions"]]


class _Kept:
    """Models by their id, as the stores hand them out."""

    def __init__(self) -> None:
        self.models: dict[str, FoldModel] = {}

    def once(self, address: tuple[str, str], _: Callable[[], Any]) -> FoldModel:
        return self.models[address[1]]


@dataclass(frozen=True, eq=False)
class _Facts:
    """All that the panel's last session knows: bars are never restated, so it serves every session before."""

    strategy: Strategy
    sessions: pd.DatetimeIndex
    market: MarketView
    cube: Cube
    labels: Labels
    members: None = None


@dataclass(frozen=True, eq=False)
class _History:
    """What the calibration of a record asks of a history."""

    cut: _Facts
    stores: _Kept
    made: dict[Any, dict[int, Forecasts]] = field(default_factory=dict)

    @property
    def strategy(self) -> Strategy:
        return self.cut.strategy

    @property
    def axis(self) -> pd.DatetimeIndex:
        return self.cut.sessions

    @property
    def sessions_per_year(self) -> int:
        return sessions_per_year(CALENDAR)

    def stretches(self, rows: Iterable[int]) -> Iterator[Stretch]:
        asked = list(rows)
        yield Stretch(0, range(asked[0], asked[-1] + 1), self.cut)  # type: ignore[arg-type]


class Studied:
    """A panel's market, models and record, made as far as they are asked for."""

    def __init__(self, panel: Mapping[str, Any]) -> None:
        self.panel, self.strategy = panel, make_strategy(settings_of(panel))
        self._kept = _Kept()

    @cached_property
    def made(self) -> SimulatedMarket:
        """The market with its truth."""
        panel = self.panel
        return simulate_market(
            panel["names"], sessions_of(panel), panel["seed"], panel["rank_ic"], panel["persistence"]
        )

    @cached_property
    def history(self) -> _History:
        """Bars, features and labels."""
        strategy, sessions = self.strategy, self.made.sessions
        bars = panel_from_bars(self.made.bars, sessions, self.made.symbols)
        prices = bars.total_return()
        rate = cash_rates(strategy.market, sessions) / sessions_per_year(CALENDAR)
        return _History(
            _Facts(
                strategy,
                sessions,
                market_view(bars, strategy.portfolio),
                compute_features(prices, strategy.features.names, market_symbol=strategy.features.market_symbol),
                make_labels(prices, strategy.label, rate),
            ),
            self._kept,
        )

    @cached_property
    def months(self) -> list[str]:
        """Months of the record that have ended, ascending."""
        last = (self.made.sessions[-1] + pd.Timedelta(days=4)).to_period("M") - 1
        return [str(period) for period in pd.period_range(first_model_month(self.strategy), last, freq="M")]

    @cached_property
    def models(self) -> dict[str, FoldModel]:
        """The model in force in each month: fitted once a year, put in force if it passes its check."""
        cut, strategy = self.history.cut, self.strategy
        every, chosen = strategy.walk_forward.refit_every_months, {}
        in_force: FoldModel | None = None
        for month in self.months:
            if fitted_month(month, self.months[0], every) == month:
                fold = make_fold(cut.sessions, month, strategy.walk_forward, strategy.label)
                with mock.patch.object(baselines, "fit_boosting", return_value=_NO_TREES):
                    fitted = fit_model(cut.cube, cut.labels, fold, strategy)
                self._kept.models[fitted.model_id] = fitted
                if in_force is None or self._passes(fitted, in_force):
                    in_force = fitted
            assert in_force is not None, "the first month is a month of a fit"
            chosen[month] = in_force
        return chosen

    def _passes(self, candidate: FoldModel, incumbent: FoldModel) -> bool:
        cut, strategy = self.history.cut, self.strategy
        tolerance = strategy.walk_forward.refresh_tolerance_fraction
        horizon = strategy.label.horizon_sessions
        return check_refresh(candidate, incumbent, cut.cube, cut.labels, tolerance, horizon).accepted

    @cached_property
    def raw(self) -> Forecasts:
        """Forecasts out of sample, uncalibrated."""
        cut = self.history.cut
        table = no_forecasts(cut.sessions, cut.market.panel.symbols)
        for month, model in self.models.items():
            table.put(forecast(model, cut.cube, forecast_rows(cut.sessions, month)))
        return table

    @cached_property
    def material(self) -> StudyMaterial:
        """What the study is made of."""
        cut = self.history.cut
        record = calibrate_forecasts(self.history, self.raw, JUDGED)  # type: ignore[arg-type]
        judged = replace(record, estimators={name: record[name] for name in JUDGED})
        month_by_row = [""] * len(cut.sessions)
        for month in self.months:
            rows = forecast_rows(cut.sessions, month)
            month_by_row[rows] = [month] * (rows.stop - rows.start)
        costs = cost_model_from(self.strategy.costs)

        def known() -> Iterator[StudyStretch]:
            used = [row for row, month in enumerate(month_by_row) if month]
            yield StudyStretch(range(used[0], used[-1] + 1), cut.market, cut.cube, cut.labels, self.references)

        return StudyMaterial(
            cut.sessions, cut.market.panel.symbols, judged, month_by_row, record.model_ids, known, lambda _: costs
        )

    # Drift references cost seconds, and a record that is not replayed needs none.
    played: tuple[str, ...] = ()

    @property
    def references(self) -> dict[str, Any]:
        """What each model knew when it was fitted, by estimator."""
        if not self.played:
            return {name: {} for name in USUAL}
        cut, settings = self.history.cut, self.strategy.oversight
        by_model = {
            model_id: model_references(model, cut.cube, settings, self.history.sessions_per_year)
            for model_id, model in self._kept.models.items()
        }
        return {name: {model_id: by_estimator[name] for model_id, by_estimator in by_model.items()} for name in USUAL}

    def study(self, played: Sequence[str]) -> Study:
        """The study, with the books of some estimators."""
        self.played = tuple(played)
        return run_study(
            self.strategy, self.history.sessions_per_year, self.material, self.terms(self.months[-1]), played=played
        )

    def terms(self, first_look: str) -> Terms:
        """First verdict at a month's end; the package's own three estimators are trials, whoever is judged."""
        return Terms(trials=len(USUAL), first_look=first_look)

    def figures(self, study: Study, months: Sequence[str]) -> dict[str, StudyFigures]:
        """The figures at months' ends."""
        per_year = self.history.sessions_per_year
        return month_figures(self.strategy, per_year, study, months, self.terms(months[0]))

    def judged(self, figures: Mapping[str, StudyFigures], first_look: str, estimator: str) -> tuple[MonthVerdict, ...]:
        """Verdicts at each month's end from the first look on."""
        return tuple(
            month_verdict
            for month_verdict in judge_figures(figures, self.terms(first_look), estimator)
            if month_verdict.look is not None
        )

    def foreseen(self, study: Study) -> Study:
        """The study of a network that knew what is planted: the same sessions and names, ranked by the true signal."""
        record = study.track
        forecast = np.isfinite(record.forecasts["network"])
        stop = len(record.sessions)

        def known(truth: np.ndarray) -> dict[str, np.ndarray]:
            return {"network": np.where(forecast, truth[:stop], np.nan)}

        foreseen = replace(
            record, forecasts=known(self._chance), scores=known(self.made.truth.signal), base_rates=None, tracks={}
        )
        return replace(study, track=foreseen)

    def calibration(self, month: str, estimator: str) -> Calibration:
        """The calibration in force in a month."""
        start = forecast_rows(self.made.sessions, month).start
        return calibration_of(self.history, self.raw.rows(slice(start + 1)), estimator)  # type: ignore[arg-type]

    def true_slope(self, month: str, estimator: str) -> float | None:
        """What the calibration of a month would be if the truth were known; None where nothing is planted."""
        if self.panel["rank_ic"] == 0.0:
            return None
        start = forecast_rows(self.made.sessions, month).start
        half_life = self.strategy.portfolio.shrink_half_life_months / 12.0 * self.history.sessions_per_year
        score = self._scores[estimator][:start]
        realised = self.history.cut.labels.until(start - 1).targets
        return truth.slope(score, self._chance[:start], np.isfinite(score) & np.isfinite(realised), half_life)

    @cached_property
    def _chance(self) -> np.ndarray:
        panel = self.panel
        return truth.probability(self.made, panel["rank_ic"], panel["persistence"], panel["horizon"])

    @cached_property
    def _scores(self) -> dict[str, np.ndarray]:
        """Logits of the record and of the first model's calibration rows, in units of their own models."""
        first = self.models[self.months[0]]
        held_out = first.fold.calibration
        before = forecast(first, self.history.cut.cube, held_out, before_use=True)
        scores = {}
        for name in JUDGED:
            score = np.full(self.raw[name].probability.shape, np.nan)
            by_model = np.array(self.raw.model_ids, dtype=object)
            for model_id, model in self._kept.models.items():
                rows = by_model == model_id
                score[rows] = model.logit_scales[name].score(self.raw[name].probability[rows])
            score[held_out] = first.logit_scales[name].score(before[name].probability)
            scores[name] = score
        return scores


# When the first verdict on the history is taken; every later month's end is a look. The first is what a strategy does
# that seals its last year, the default of a vault: its history is judged up to the vault, and then month by month.
# The last is a history without a vault, judged once.
FIRST_LOOKS = {"sealed year": -13, "every month": 0, "once": -1}
PLANS = {
    "sealed year": "first look a year before the end",
    "every month": "a look every month",
    "once": "one look at the end",
}
CALLED = {"network": "small MLP", "linear": "linear", SIGNAL: "the planted signal itself"}
_LETTERS = {"leak alarm": "L", "no edge found": "N", "edge found": "E", "signal found": "S", "cannot tell": "C"}
FINDING_CODES = "SE"


def measured(panel: Mapping[str, Any], *, edges: bool) -> dict[str, Any]:
    """All that the tables say of a panel: numbers of six digits, by month's end where they are lists.

    A book is replayed where the panel asks for one, and with ``edges`` where a signal was found at some look, so that
    it can be told from an edge: without a signal no verdict reads it.
    """
    studied = Studied(panel)
    bare = studied.study(())
    figures = studied.figures(bare, studied.months)
    books = tuple(
        name
        for name in JUDGED
        if panel.get("book")
        or (
            edges
            and any(
                letter in FINDING_CODES for letters in _words(studied, figures, name).values() for letter in letters
            )
        )
    )
    # Refreshes are asked for by the first one played: the network, as in every study.
    study = studied.study(JUDGED) if books else bare
    figures = studied.figures(study, studied.months) if books else figures
    own = label_returns(studied.made, panel["horizon"])
    rows = [row for row, month in enumerate(study.track.months) if month]
    planted = rank_ic(studied.made.truth.signal[rows], own[rows])
    summary: dict[str, Any] = {
        "first month": studied.months[0],
        "smallest effect": _short(figures[month].smallest_effect.value for month in studied.months),
        "planted label rank IC": _short([np.nanmean(planted)])[0],
        "kept models": len({model.model_id for model in studied.models.values()}),
    }
    for name in JUDGED:
        summary[name] = _of_estimator(studied, study, figures, name)
    if panel["rank_ic"]:
        foreseen = studied.figures(studied.foreseen(bare), studied.months)
        summary[SIGNAL] = _tested(studied, foreseen, "network")
    return summary


def _words(studied: Studied, figures: Mapping[str, StudyFigures], name: str) -> dict[str, str]:
    """A letter a look, by when the first was taken."""
    return {
        called: "".join(
            _LETTERS[month_verdict.verdict.kind]
            for month_verdict in studied.judged(figures, studied.months[first], name)
        )
        for called, first in FIRST_LOOKS.items()
    }


def _of_estimator(studied: Studied, study: Study, figures: Mapping[str, StudyFigures], name: str) -> dict[str, Any]:
    last = figures[studied.months[-1]].total[name]
    once = studied.judged(figures, studied.months[-1], name)[0].verdict
    arrays = studied.material.forecasts[name]
    stop = len(study.track.targets)
    outcome = study.track.until(stop - 1).targets
    worse = [_brier_by_session(probability[:stop], outcome) for probability in (arrays.calibrated, arrays.base_rate)]
    brier = paired_test(worse[0], worse[1], studied.panel["horizon"])
    slopes = [studied.calibration(month, name) for month in studied.months]
    return {
        **_tested(studied, figures, name),
        "adjusted p": _short([once.adjusted_p_value])[0],
        "upper bound": _short([once.interval_high])[0],
        "slope": _short(calibration.slope for calibration in slopes),
        "outcomes": _short(calibration.effective_outcomes for calibration in slopes),
        "true slope": _short(studied.true_slope(month, name) for month in studied.months),
        "brier": _short([last.brier])[0],
        "base rate's brier": _short([float(np.nanmean(worse[1]))])[0],
        "brier less the base rate's": _short([brier.estimate])[0],
        "its t": _short([brier.t_statistic])[0],
        "deflated Sharpe": _short(monthly.total[name].deflated_sharpe for monthly in figures.values())
        if name in study.replays
        else None,
        "net Sharpe": _short([last.sharpe_net])[0],
        "gross Sharpe": _short([last.sharpe_gross])[0],
        "turnover a year": _short([last.turnover_per_year])[0],
    }


def _tested(studied: Studied, figures: Mapping[str, StudyFigures], name: str) -> dict[str, Any]:
    """What the tests of the rank IC came to at each month's end, and t at the last."""
    tests = [monthly.total[name].tests["rank_ic"] for monthly in figures.values()]
    return {
        "verdicts": _words(studied, figures, name),
        "rank IC": _short(test.estimate for test in tests),
        "error": _short(test.standard_error for test in tests),
        "sessions": [test.sessions for test in tests],
        "t": _short([tests[-1].t_statistic])[0],
        "alarms": sorted(
            {str(alarm.name) for monthly in figures.values() for alarm in monthly.alarms if alarm.estimator == name}
        ),
    }


def _brier_by_session(probability: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Mean squared error over the names that have a forecast and an outcome, (sessions,); NaN where none has."""
    errors = (probability - outcome) ** 2
    known = np.isfinite(errors)
    return np.where(known.any(axis=1), np.nansum(errors, axis=1) / np.maximum(known.sum(axis=1), 1), np.nan)


def _short(values: Iterable[float | None]) -> list[float | None]:
    """Six digits, so that a line stays small; None where there is none."""
    return [None if value is None or not np.isfinite(value) else float(f"{value:.6g}") for value in values]
