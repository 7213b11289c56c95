"""A walk-forward study: every estimator's out-of-sample forecasts replayed, measured and judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import Cube, Symbol
from nn_assets.costs.model import CostModel
from nn_assets.estimators import TRADED, estimators_of
from nn_assets.evaluation.figures import StudyFigures, study_figures
from nn_assets.evaluation.leak_alarms import StandingAlarm, first_of_each_name
from nn_assets.evaluation.replay import BuyAndHold, CapacityOf, GroupsOf, Replay, Scene, replay
from nn_assets.evaluation.smallest_effect import usual_daily_volatility
from nn_assets.evaluation.track import BookTrack, StudyTrack
from nn_assets.evaluation.verdict import NOT_A_LOOK, Look, Verdict, is_released, look_of, size_of, verdict
from nn_assets.evaluation.volatility_figures import VolatilityTrack, loss_figures, volatility_study_figures
from nn_assets.evaluation.volatility_verdict import volatility_look, volatility_verdict, without_trading
from nn_assets.features.labels import Labels
from nn_assets.learning.forecasts import Forecasts
from nn_assets.learning.refresh import RefreshCheck
from nn_assets.market.calendar.decision_bars import DecisionTiming
from nn_assets.market.cash import cash_rates
from nn_assets.oversight.reference import DriftReference
from nn_assets.oversight.refreshes import RefreshWatch
from nn_assets.portfolio.late_actions import LateActions
from nn_assets.session.drift_watch import DriftWatch, drift_watch
from nn_assets.session.late_rounds import late_actions_since
from nn_assets.session.market_view import MarketView
from nn_assets.settings import Strategy

YARDSTICK = "buy_and_hold"

Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class StudyStretch:
    """What consecutive sessions of a study know: one cut of the facts, on the session axis up to its end."""

    rows: range
    market: MarketView
    cube: Cube
    labels: Labels
    # Of the models in force up to its end, by estimator and model id.
    references: Mapping[str, Mapping[str, DriftReference]]
    groups: GroupsOf | None = None  # as of a scene
    timing: DecisionTiming | None = None  # as of a scene


@dataclass(frozen=True)
class StudyRefresh:
    """A refresh that drift asked for after a session; no check where no session of the study followed."""

    session: pd.Timestamp
    model_id: str | None = None  # fitted for it; None where none was, or could be
    check: RefreshCheck | None = None


@dataclass(frozen=True, eq=False)
class StudyMaterial:
    """What a study is made of, all on one session axis that ends with its last session."""

    sessions: pd.DatetimeIndex  # (bars,)
    symbols: tuple[Symbol, ...]
    forecasts: Forecasts  # of every estimator, each session's by what it knew
    month_by_row: Sequence[str]  # (bars,), month whose model was in force; '' where none
    model_by_row: Sequence[str | None]  # (bars,)
    known: Callable[
        [], Iterable[StudyStretch]
    ]  # the stretches of the sessions studied, in order; made anew at each call
    costs: Callable[[int], CostModel]  # row to the cost model in force on it
    refreshes: Sequence[StudyRefresh] = ()  # asked for by the drift of the forecasts, ascending
    training: Mapping[str, range] = field(default_factory=dict)  # rows that each model was trained on, by its id
    first_rows: npt.NDArray[np.int64] | None = None  # (symbols,), of each one's first bar; None for a stated axis
    capacity: CapacityOf | None = None  # as of a scene

    @property
    def rows(self) -> range:
        """Rows of the sessions studied."""
        used = [row for row, month in enumerate(self.month_by_row) if month]
        return range(used[0], used[-1] + 1)


@dataclass(frozen=True, eq=False)
class Study:
    """The record, the replays behind it, and its figures in total and by fold."""

    track: StudyTrack
    replays: Mapping[str, Replay]
    rows: range
    figures: StudyFigures
    labels: Mapping[int, Labels]  # as known in each stretch of sessions, by the row of its last one
    costs: Callable[[int], CostModel]  # row to the cost model in force on it
    no_markov: Mapping[str, str] = field(default_factory=dict)  # month to why the rules name regimes of it all the same
    volatility: VolatilityTrack | None = None  # the record, where the label is a volatility: no book is replayed

    def labels_known_at(self, row: int) -> Labels:
        """The labels realised by a row, as known at its session's close."""
        return self.labels[min(last for last in self.labels if last >= row)].until(row)


@dataclass(frozen=True)
class Terms:
    """What a study is judged by, beside its record: what was tried, seen and released on these data before.

    ``trials`` counts this study's estimators; ``trial_sharpes`` are net Sharpe ratios per session of trials on
    record. ``first_look`` is the month of the first verdict on the history; ``looks`` are the looks on record of
    this configuration, ascending. ``released`` says by a leak alarm's name who released it, when and why, and
    ``released_figures`` how large it was; ``standing_alarms`` are those that nobody released, of whatever settings. Up
    to ``in_sample_until`` the record has seen what it forecasts: those sessions count for no figure and no verdict.
    ``decisions_per_day`` are those of a usual day that a label counts of, where the strategy decides within the
    session, and ``counted_per_year`` as many of a year; as many as annualise a figure where it is left out.
    ``unjudged`` is the verdict of every month where no look can be taken.
    """

    trials: int
    trial_sharpes: Sequence[float] = ()
    first_look: str = ""
    looks: Sequence[Look] = ()
    released: Mapping[str, str] = field(default_factory=dict)
    released_figures: Mapping[str, float] = field(default_factory=dict)
    standing_alarms: Sequence[StandingAlarm] = ()
    in_sample_until: pd.Timestamp | None = None
    decisions_per_day: int | None = None
    unjudged: Verdict | None = None
    counted_per_year: int | None = None


@dataclass(frozen=True)
class MonthVerdict:
    """What could be said when a month had ended; ``look`` is None where none was planned for it.

    ``standing_alarms`` are the leak alarms that it leaves unreleased.
    """

    month: str
    figures: StudyFigures
    verdict: Verdict
    look: Look | None
    standing_alarms: tuple[StandingAlarm, ...] = ()


def run_study(
    strategy: Strategy,
    sessions_per_year: int,
    material: StudyMaterial,
    terms: Terms,
    tell: Progress = lambda _: None,
    played: Sequence[str] | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Study:
    """Replay every estimator through the one daily round, and measure.

    One rule for every estimator: an ensemble of as many members, its confidence, sizing, costs, and a watch for
    drift as the network has it live. Refreshes are asked for by the drift of the first one played, the network's, as
    they are live: one model holds every estimator, so that all are refreshed at once, and all have half their size
    while a request is open.

    Parameters
    ----------
    tell : callable
        Hears what is being done.
    played : sequence of str, optional
        Estimators whose books are replayed, all of the strategy's when left out; of the others the forecasts alone are
        measured.
    progress : callable
        Hears after each round how many of all estimators' are played, and of how many.
    """
    rows, played = material.rows, estimators_of(strategy.learning.baselines) if played is None else played
    players = {estimator: _Player(strategy, sessions_per_year, material, estimator) for estimator in played}
    yardstick = BuyAndHold(strategy.portfolio.initial_capital_usd, material.costs(rows[0]))
    labels: dict[int, Labels] = {}
    regimes = np.full(len(material.sessions), "", dtype="U32")
    training_share = np.full(len(material.sessions), np.nan)
    no_markov: dict[str, str] = {}
    counted = "sessions" if terms.decisions_per_day is None else "decisions"
    rounds = count(1)
    for stretch in material.known():
        watch: DriftWatch | None = None
        refreshes: Callable[[int], RefreshWatch] | None = None
        for estimator, player in players.items():
            tell(f"replaying {estimator} over {len(stretch.rows)} of {len(rows)} {counted}")
            watch = player.play(stretch, watch, refreshes, lambda _: progress(next(rounds), len(rows) * len(players)))
            refreshes = refreshes or player.refresh_after
        for row in stretch.rows:
            regimes[row] = stretch.market.regimes.label(row)
            if why := stretch.market.regimes.no_markov(row):
                no_markov.setdefault(material.month_by_row[row], why)
            trained_on = material.training.get(material.model_by_row[row] or "")
            if trained_on is not None:
                training_share[row] = stretch.market.regimes.share_of(row, trained_on)
        labels[stretch.rows[-1]] = stretch.labels
        yardstick.hold(_scene(material, stretch, TRADED, None))
    replays = {estimator: player.replay for estimator, player in players.items()}
    stop = rows[-1] + 1
    tracks = {name: replay.track.map(lambda values: values[:stop]) for name, replay in replays.items()}
    tracks[YARDSTICK] = yardstick.track
    last = labels[rows[-1]].until(rows[-1])
    track = StudyTrack(
        sessions=material.sessions[:stop],
        symbols=material.symbols,
        forecasts={name: arrays.calibrated[:stop] for name, arrays in material.forecasts.judged.items()},
        scores={name: arrays.probability[:stop] for name, arrays in material.forecasts.judged.items()},
        base_rates={name: arrays.base_rate[:stop] for name, arrays in material.forecasts.judged.items()},
        targets=last.targets,
        returns=last.returns,
        ranked_against=last.ranked_against,
        realised_row=last.realised_row,
        months=np.array(material.month_by_row[:stop], dtype=np.str_),
        tracks=tracks,
        regimes=regimes[:stop],
        models=np.array([model or "" for model in material.model_by_row[:stop]], dtype=np.str_),
        training_share=training_share[:stop] if material.training else None,
        first_rows=material.first_rows,
    )
    figures = _figures(strategy, sessions_per_year, track, terms, material.costs(rows[-1]), by_fold=True)
    return Study(track, replays, rows, figures, labels, material.costs, no_markov)


def replays_of(
    strategies: Mapping[str, Strategy],
    sessions_per_year: int,
    material: StudyMaterial,
    estimator: str = TRADED,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, Replay]:
    """Replay one estimator under each of several settings of one strategy, each as a study does, by their names.

    Parameters
    ----------
    strategies : mapping of str to Strategy
        Alike in all that the material is made by.
    progress : callable
        Hears after each round how many of all are played, and of how many.
    """
    players = {name: _Player(of, sessions_per_year, material, estimator) for name, of in strategies.items()}
    rounds, whole = count(1), len(material.rows) * len(players)
    for stretch in material.known():
        watch: DriftWatch | None = None
        for player in players.values():
            watch = player.play(stretch, watch, None, lambda _: progress(next(rounds), whole))
    return {name: player.replay for name, player in players.items()}


class _Player:
    """One estimator's replay, taken on from one stretch to the next."""

    def __init__(self, strategy: Strategy, sessions_per_year: int, material: StudyMaterial, estimator: str) -> None:
        self._strategy, self._sessions_per_year = strategy, sessions_per_year
        self._material, self._estimator = material, estimator
        self._parts: list[Replay] = []
        self._before: MarketView | None = None  # of the stretch played last
        self._first = 0  # its first row

    def play(
        self,
        stretch: StudyStretch,
        shared_watch: DriftWatch | None,
        refreshes: Callable[[int], RefreshWatch] | None,
        progress: Callable[[int], None],
    ) -> DriftWatch:
        """Play the sessions of a stretch; its watch for drift, for the player that comes next."""
        self._first = stretch.rows[0]
        watch = drift_watch(
            stretch.cube.where(stretch.labels.candidates),
            self._material.forecasts[self._estimator].probability[: stretch.cube.session_count],
            self._material.model_by_row[: stretch.cube.session_count],
            stretch.references.get(self._estimator, {}),
            self._strategy.oversight,
            shared_watch,
        )
        scene = _scene(self._material, stretch, self._estimator, watch)
        late = self._late_actions(stretch)
        self._parts.append(
            replay(
                self._strategy,
                self._material.costs(stretch.rows[0]),
                self._sessions_per_year,
                [scene],
                initial=self._parts[-1].session_state if self._parts else None,
                latched=self._parts[-1].latched if self._parts else 0,
                late=lambda row: late if row == stretch.rows[0] else None,
                refreshes=refreshes,
                progress=progress,
            )
        )
        self._before = stretch.market
        return watch

    def refresh_after(self, row: int) -> RefreshWatch:
        """The watch over refreshes after a row of the stretch played last."""
        last = self._parts[-1].rounds
        return last[row - self._first].session_state.refresh

    def _late_actions(self, stretch: StudyStretch) -> LateActions | None:
        """What the book is mended by before the first fill of a stretch."""
        if self._before is None:
            return None
        rounds = [session_round for part in self._parts for session_round in part.rounds]
        return late_actions_since(rounds, self._before, stretch.market, self._strategy.portfolio.stop_atr_multiple)

    @property
    def replay(self) -> Replay:
        """All that was played."""
        bars = len(self._parts[-1].track.net)
        columns = np.full((3, bars), np.nan)
        for part in self._parts:
            for column, values in zip(columns, (part.track.net, part.track.gross, part.track.turnover), strict=True):
                played = np.isfinite(values)
                column[: len(values)][played] = values[played]
        return Replay(
            tuple(session_round for part in self._parts for session_round in part.rounds), BookTrack(*columns)
        )


def _scene(material: StudyMaterial, stretch: StudyStretch, estimator: str, watch: DriftWatch | None) -> Scene:
    bars = stretch.market.panel.session_count
    cut = material.forecasts[estimator].at(slice(bars))
    volatility = material.forecasts.volatility
    return Scene(
        stretch.rows,
        stretch.market,
        stretch.labels,
        cut,
        watch,
        material.costs,
        stretch.groups,
        None if volatility is None else volatility.at(slice(bars)),
        stretch.timing,
        material.capacity,
    )


def judge_months(
    strategy: Strategy, sessions_per_year: int, study: Study, months: Sequence[str], terms: Terms
) -> tuple[MonthVerdict, ...]:
    """The verdict that the record allowed at each month's end, oldest first; nothing later is read.

    A month before the first look has figures and no verdict: unplanned looks are not taken.
    """
    return judge_figures(month_figures(strategy, sessions_per_year, study, months, terms), terms)


def month_figures(
    strategy: Strategy, sessions_per_year: int, study: Study, months: Sequence[str], terms: Terms
) -> dict[str, StudyFigures]:
    """The figures of the record as it stood at each month's end, by month, ascending."""
    return {month: _figures_of(strategy, sessions_per_year, study, month, terms) for month in sorted(months)}


def judge_figures(
    figures_by_month: Mapping[str, StudyFigures], terms: Terms, estimator: str = TRADED
) -> tuple[MonthVerdict, ...]:
    """Judge one estimator by the figures of ascending months' ends, as :func:`judge_months` does.

    A look on record that saw what is seen now is that look, and is not taken again; one that saw another record of
    the same month was a look of its own, and counts.
    """
    judged: list[MonthVerdict] = []
    rung = list(terms.standing_alarms)
    for month, figures in figures_by_month.items():
        if month < terms.first_look or terms.unjudged is not None:
            why = terms.unjudged or NOT_A_LOOK
            judged.append(MonthVerdict(month, figures, unjudged(why, figures, terms), None))
            continue
        taken = [entry.look for entry in judged if entry.look is not None]
        judged_looks = [*taken, _look(figures, month, estimator)]
        others = [look for look in terms.looks if look.month <= month and not any(map(look.sees_as, judged_looks))]
        before = sorted([*others, *taken], key=lambda look: look.month)
        still = [alarm for alarm in rung if alarm.month <= month]
        if figures.volatility is None:
            new_verdict = verdict(
                figures,
                before,
                month,
                estimator=estimator,
                released=terms.released,
                released_figures=terms.released_figures,
                standing_alarms=still,
                decisions_per_day=terms.decisions_per_day,
                counted_per_year=terms.counted_per_year,
            )
        else:
            new_verdict = volatility_verdict(figures, before, month, estimator=estimator)
        if terms.in_sample_until is not None:
            marked = f"; in-sample up to {terms.in_sample_until.date()}, which counts for nothing"
            new_verdict = replace(new_verdict, reason=new_verdict.reason + marked)
        look = _look(figures, month, estimator, allows_trading=new_verdict.allows_trading)
        left = _left_standing(new_verdict, figures, month, still, terms)
        rung += [alarm for alarm in left if alarm not in still]
        judged.append(MonthVerdict(month, figures, new_verdict, look, left))
    return tuple(judged)


def _left_standing(
    new_verdict: Verdict, figures: StudyFigures, month: str, standing_alarms: Sequence[StandingAlarm], terms: Terms
) -> tuple[StandingAlarm, ...]:
    """The alarms that a look leaves: its own with their figures, beside those that stood before."""
    left = first_of_each_name(standing_alarms)
    for alarm in (*figures.alarms, *figures.doubts):
        rings = new_verdict.unreleased_alarms.get(alarm.name) == str(alarm)
        if rings and not is_released(figures, alarm, terms.released, terms.released_figures):
            size = size_of(figures, alarm)
            left[alarm.name] = StandingAlarm(alarm.name, str(alarm), month, figure=None if size is None else size[0])
    return tuple(left[name] for name in new_verdict.unreleased_alarms)


def unjudged(why: Verdict, figures: StudyFigures, terms: Terms) -> Verdict:
    """That nothing was judged, by what the label is judged by."""
    if figures.volatility is not None:
        return without_trading(why, figures.volatility)
    return replace(why, decisions_per_day=terms.decisions_per_day)


def _look(figures: StudyFigures, month: str, estimator: str, *, allows_trading: bool = False) -> Look:
    """What a look sees, by what the label is judged by."""
    if figures.volatility is not None:
        return volatility_look(figures.volatility, month, estimator)
    return look_of(figures, month, estimator, allows_trading=allows_trading)


def figures_of_volatility(
    strategy: Strategy,
    sessions_per_year: int,
    track: StudyTrack,
    volatility: VolatilityTrack,
    labels: Labels,
    terms: Terms,
) -> StudyFigures:
    """The figures of forecasts of a volatility, as far as the labels, the track's first rows, are realised."""
    counted = np.ones(len(track.sessions), dtype=np.bool_)
    if terms.in_sample_until is not None:
        counted &= np.asarray(track.sessions > terms.in_sample_until)
    horizon, bars = strategy.label.horizon_sessions, len(labels.targets)
    realised = np.isfinite(labels.targets) & counted[:bars, None]
    return volatility_study_figures(
        loss_figures(volatility, labels, track.realised_row, horizon, counted),
        {name: int((np.isfinite(made[:bars]) & realised).sum()) for name, made in volatility.forecasts.items()},
        horizon=horizon,
        sessions_per_year=sessions_per_year,
        symbols=track.breadth,
        trials=terms.trials,
    )


def _figures_of(strategy: Strategy, sessions_per_year: int, study: Study, month: str, terms: Terms) -> StudyFigures:
    last_row = int(np.flatnonzero(study.track.months == month)[-1])
    labels = study.labels_known_at(last_row)
    if study.volatility is not None:
        track = study.track.until(last_row)
        return figures_of_volatility(strategy, sessions_per_year, track, study.volatility, labels, terms)
    known = study.track.until(last_row).labelled(labels.targets, labels.returns, labels.ranked_against)
    cut = replace(known, regimes=None, training_share=None)
    return _figures(strategy, sessions_per_year, cut, terms, study.costs(last_row), by_fold=False)


def _figures(
    strategy: Strategy,
    sessions_per_year: int,
    track: StudyTrack,
    terms: Terms,
    costs: CostModel,
    *,
    by_fold: bool,
) -> StudyFigures:
    if terms.in_sample_until is not None:
        track = track.counted_after(terms.in_sample_until)
    return study_figures(
        track,
        horizon_sessions=strategy.label.horizon_sessions,
        sessions_per_year=sessions_per_year,
        trials=terms.trials,
        trial_sharpes=terms.trial_sharpes,
        cash_rate_per_session=cash_rates(strategy.market, track.sessions) / sessions_per_year,
        linear_cost=costs.linear(usual_daily_volatility(track.returns, strategy)),
        configured_effect=strategy.oversight.smallest_effect,
        by_fold=by_fold,
    )
