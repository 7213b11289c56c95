"""What the training rows of a fold say of its features: how each is made stationary, and which are chosen.

The rows of a month name the model that they were made for, by its address: the hash of data, code and
configuration. So a model is never fitted on what was decided on other data, or by other code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.arrays import Cube
from nn_assets.errors import PublicationError, ShortFoldError
from nn_assets.features.labels import label_kind
from nn_assets.features.selection import SelectionReport
from nn_assets.features.stationarity import StationarityReport, apply_transforms
from nn_assets.learning.address import model_address
from nn_assets.learning.first_month import first_model_month
from nn_assets.learning.folds import Fold, make_fold
from nn_assets.learning.heads import HEADS
from nn_assets.learning.model import FoldData, chosen_features, judged_features
from nn_assets.learning.refits import DailyRefits, refits_of
from nn_assets.learning.refresh import RefreshCheck
from nn_assets.market.calendar.sessions import next_session, previous_session
from nn_assets.operations.asof.choices import with_choice
from nn_assets.operations.asof.decisions import first_undecided
from nn_assets.operations.asof.models import ANSWERED, model_settings_apart, recorded_models, scheduled_models
from nn_assets.operations.cut import Cut
from nn_assets.operations.history import History
from nn_assets.operations.judged import Judged
from nn_assets.settings import Strategy

Frames = dict[str, pd.DataFrame]


@dataclass(frozen=True, eq=False)
class DueFold:
    """A fold to fit, and the facts known at the last session before its model is used."""

    fold: Fold
    cut: Cut
    strategy: Strategy  # with the choice in force where its hyper-parameters are searched
    parent: str = ""  # address of the scheduled refit before it, where networks begin warm; nothing of the first

    @classmethod
    def of(cls, history: History, fold: Fold, start: str | None = None) -> DueFold:
        """What is known when a fold's model falls due, and the choice in force then; or as a month or a day begins."""
        cut = history.cut_for(history.axis[min(fold.used_from, len(history.axis)) - 1])
        choice = with_choice(history.stores.ledger, history.strategy, start or use_begins(history, fold))
        return cls(fold, cut, choice, refit_before(history, fold.used_from))

    @property
    def cube(self) -> Cube:
        """The features that a fit sees: those of the cut, or of them what a search chose."""
        return searched_features(self.cut.cube, self.strategy)

    def address(self, strategy: Strategy, code: str | None = None) -> str:
        """Address of the model that a fit gives, or gave by the code of a version."""
        parent = self.parent if strategy.learning.warm_start else ""
        return model_address(self.cube, self.cut.labels, self.fold, strategy, code, parent)


def refit_before(history: History, used_from: int) -> str:
    """Address of the newest scheduled refit used before a row, each with that before it in its own; nothing without.

    Nothing either where networks do not begin warm. Once a session is decided, a refit is the model that it put on
    record, whatever code fitted it, as long as the store has that.
    """
    strategy = history.strategy
    if not strategy.learning.warm_start:
        return ""
    before, parent = _refits_before(history, used_from), ""
    recorded = {} if history.refit_addresses.keys() >= before.keys() else refits_on_record(history, before.values())
    for row, refit in before.items():
        if row not in history.refit_addresses:
            history.refit_addresses[row] = _address_of_refit(history, refit, row, parent, recorded.get(refit))
        parent = history.refit_addresses[row]
    return parent


def _refits_before(history: History, used_from: int) -> dict[int, str]:
    """The scheduled refits used before a row, by their own rows, in order."""
    last = f"{history.axis[min(used_from, len(history.axis)) - 1]:%Y-%m}"
    months = [str(month) for month in pd.period_range(first_model_month(history.strategy), last, freq="M")]
    refits = refits_of(history.strategy).of_months(months)
    rows = ((int(history.axis.searchsorted(pd.Timestamp(refit))), refit) for refit in refits)
    return {row: refit for row, refit in rows if row < used_from}


def _address_of_refit(
    history: History, refit: str, row: int, parent: str, recorded: tuple[str, RefreshCheck] | None
) -> str:
    if recorded is not None and recorded[1].accepted:
        return recorded[0]
    strategy, ledger = history.strategy, history.stores.ledger
    fold = make_fold(history.axis, refit, strategy.walk_forward, strategy.label)
    cut = history.cut_for(history.axis[row - 1])
    due = DueFold(fold, cut, with_choice(ledger, strategy, refit), parent)
    if recorded is None:
        return due.address(due.strategy)
    # One that was not taken: by the first code that fitted it, so that a later one's changes no fit after it.
    codes = dict.fromkeys(recorded_models(ledger, strategy).sort_values("sequence")["code_version"])
    fitted = (due.address(due.strategy, code) for code in (*codes, None))
    return next((address for address in fitted if history.stores.models.has(address)), recorded[0])


def lacking_before(history: History, used_from: int) -> list[DueFold]:
    """Scheduled refits used before a row whose models the store lacks, after the newest that it has, in order."""
    lacking = list[str]()
    refit_before(history, used_from)  # which works out the address of each
    for row, refit in reversed(_refits_before(history, used_from).items()):
        if history.stores.models.has(history.refit_addresses[row]):
            break
        lacking.append(refit)
    return list(folds_of(history, lacking))


def refits_on_record(history: History, refits: Iterable[str]) -> dict[str, tuple[str, RefreshCheck]]:
    """The models that refits of some months put on record, and their checks; none as long as no session is decided.

    One that is lost from the store is left out, to be fitted again.
    """
    ledger, strategy, chosen = history.stores.ledger, history.strategy, {}
    if first_undecided(ledger, strategy) is None:
        return {}
    by_month, rows = scheduled_models(ledger, strategy).by_month, recorded_models(ledger, strategy)
    pace = refits_of(strategy)
    for refit in refits:
        month = pace.partition(refit)
        _, model_id = by_month.get(month, [(None, "")])[0]  # what was refreshed since is come to from there
        if isinstance(pace, DailyRefits):  # several may begin in a month
            answered = np.array([refit in figures.get(ANSWERED, ()) for figures in rows["figures"]], dtype=np.bool_)
            answers = rows[(rows["month"] == month) & answered]
            model_id = str(answers["model_id"].iloc[-1]) if len(answers) else ""
        if model_id and history.stores.models.has(model_id):
            row = rows[(rows["month"] == month) & (rows["model_id"] == model_id)].iloc[-1]
            figures = row["figures"]
            losses = figures.get("candidate_loss"), figures.get("incumbent_loss")
            chosen[refit] = model_id, RefreshCheck(bool(row["fitted"]), str(figures.get("check")), *losses)
    return chosen


def due_refits(history: History, months: Iterable[str]) -> dict[str, list[str]]:
    """The refits in force in each of some months that are due by now, in order; each month has one at least.

    One that begins within a month is due once the session before its own is there.

    Raises
    ------
    ShortFoldError
        The very first begins within a month (``walk_forward.partial_months``), and is not due yet.
    """
    refits, axis, calendar = refits_of(history.strategy), history.axis, history.strategy.market.calendar

    def is_due(refit: str) -> bool:
        day = pd.Timestamp(refit)
        return len(axis) > 0 and (day <= axis[-1] or day <= next_session(calendar, axis[-1]))

    due = {}
    for month in months:
        first, *later = refits.in_force(month)
        if first > month and not is_due(first) and history.strategy.walk_forward.partial_months:
            raise ShortFoldError(
                expected=f"every session before the first refit, {first}",
                found=f"history to {axis[-1].date()}" if len(axis) else "no session",
                remedy="take in the bars up to it, set market.history_ends later, or shorten training_days",
                month=month,
            )
        due[month] = [first, *filter(is_due, later)]
    return due


def due_folds(history: History, months: Iterable[str]) -> Iterator[DueFold]:
    """The folds to fit for some months, in order of time: one for each refit that is in force in them."""
    yield from folds_of(history, {refit for refits in due_refits(history, months).values() for refit in refits})


def folds_of(history: History, refits: Iterable[str]) -> Iterator[DueFold]:
    """The folds of some refits, in order of time."""
    strategy = history.strategy
    for refit in sorted(refits):
        yield DueFold.of(history, make_fold(history.axis, refit, strategy.walk_forward, strategy.label), refit)


def refresh_fold(history: History, session: pd.Timestamp) -> DueFold:
    """The fold of a refresh on data up to a session: a late one on data up to the last session decided."""
    strategy = history.strategy
    undecided = first_undecided(history.stores.ledger, strategy)
    if undecided is not None and undecided > next_session(strategy.market.calendar, session):
        session = previous_session(strategy.market.calendar, undecided)
    return fold_after(history, session)


def fold_after(history: History, session: pd.Timestamp) -> DueFold:
    """The fold of a model that is fitted on data up to a session and used from the next one."""
    strategy, sessions = history.strategy, history.sessions(session)
    effective = next_session(strategy.market.calendar, session)
    fold = make_fold(
        sessions, effective.strftime("%Y-%m"), strategy.walk_forward, strategy.label, used_from=len(sessions)
    )
    # By the choice in force when it is fitted: that of the next month or day may not be made yet.
    return DueFold.of(history, fold, f"{session:%Y-%m-%d}")


def use_begins(history: History, fold: Fold) -> str:
    """The month from which a fold's model is used; the day, where refits fall on days."""
    strategy, axis = history.strategy, history.axis
    if strategy.walk_forward.refit_every_days is None:
        return fold.month
    ahead = fold.used_from >= len(axis)
    return str((next_session(strategy.market.calendar, axis[-1]) if ahead else axis[fold.used_from]).date())


def searched_features(cube: Cube, strategy: Strategy) -> Cube:
    """The features of a cube that a strategy's search chose; all of them where it varies no names."""
    varied = strategy.search is not None and "features.names" in strategy.search.space
    return cube.select(strategy.features.names) if varied and strategy.features.names else cube


def fold_data(due: DueFold) -> FoldData:
    """All that a model is fitted on, its features judged and chosen here and now."""
    judged = _judged(due, due.strategy)
    chosen = _chosen(due, due.strategy, judged) if due.strategy.features.select else None
    parent = due.parent if due.strategy.learning.warm_start else ""  # a cold candidate of a strategy that begins warm
    return FoldData(due.cube, due.cut.labels, due.fold, judged, chosen, due.strategy, parent)


def require_learnable(data: FoldData, strategy: Strategy) -> None:
    """Refuse a fold that nothing is learned of: training labels that are all the same, or no row to stop training by.

    Raises
    ------
    TrainingError
        All training labels are the same: a network would learn that nothing else happens.
    ShortFoldError
        No validation row has all features and a label, as after a series has ended.
    """
    learned, fold = data.labels.learned, data.fold
    there = learned[fold.training]
    if len(there := there[np.isfinite(there)]):  # of none it is said that the fold is too short
        HEADS[label_kind(strategy.label).learns].require_learnable(there, f"the network used from {fold.month}")
    kept = () if data.stationarity is None else data.stationarity.kept
    features = [np.isfinite(data.cube.feature(name)[fold.validation]) for name in kept]
    if kept and not np.logical_and.reduce([np.isfinite(learned[fold.validation]), *features]).any():
        raise ShortFoldError(
            expected="validation rows with all features and a label, by which training stops",
            found="none",
            remedy="look at the features there (nn-assets check): a series that has ended leaves none; or lengthen "
            "walk_forward.validation_months (or validation_days)",
            month=fold.month,
        )


def stationarity(history: History, months: list[str], refresh: pd.Timestamp | None) -> Frames:
    """The verdict on each feature, on the training rows of each month's fold; one frame a month.

    Parameters
    ----------
    refresh : Timestamp, optional
        The session after whose close a refresh is fitted; its fold then serves every month asked for.
    """
    return _by_month(history, months, refresh, _stationarity)


def selected_features(history: History, months: list[str], refresh: pd.Timestamp | None, verdicts: Frames) -> Frames:
    """The features that each month's model sees, in order of choice, by the verdicts of :func:`stationarity`."""

    def select(due: DueFold, strategy: Strategy, month: str) -> pd.DataFrame:
        return _selection(due, strategy, stationarity_of(verdicts[month], due.address(strategy), due))

    return _by_month(history, months, refresh, select)


def _by_month(
    history: History,
    months: list[str],
    refresh: pd.Timestamp | None,
    judge: Callable[[DueFold, Strategy, str], pd.DataFrame],
) -> Frames:
    """One frame per month asked for, of its refits in order; a month between refits repeats the one that it reuses."""
    if refresh is not None:
        frame = _named(judge(due := refresh_fold(history, refresh), due.strategy, months[0]), due)
        return {month: frame.assign(month=month) for month in months}
    using: dict[str, list[str]] = {}
    for month, refits in due_refits(history, months).items():
        for refit in refits:
            using.setdefault(refit, []).append(month)
    parts: dict[str, list[pd.DataFrame]] = {month: [] for month in months}
    for refit in sorted(using):
        (due,) = folds_of(history, [refit])
        frame = _named(judge(due, due.strategy, using[refit][0]), due)
        for month in using[refit]:
            parts[month].append(frame.assign(month=month))
    return {month: pd.concat(frames, ignore_index=True) for month, frames in parts.items()}


def _named(frame: pd.DataFrame, due: DueFold) -> pd.DataFrame:
    return frame.assign(model_id=due.address(due.strategy))


def _judged(due: DueFold, strategy: Strategy) -> StationarityReport:
    return judged_features(due.cube, due.cut.members, due.fold.training, strategy)


def _chosen(due: DueFold, strategy: Strategy, judged: StationarityReport) -> SelectionReport:
    return chosen_features(apply_transforms(due.cube, judged), due.cut.labels, due.fold.training, strategy)


def _stationarity(due: DueFold, strategy: Strategy, _month: str) -> pd.DataFrame:
    report = _judged(due, strategy)
    rows = [
        (feature.name, feature.verdict, feature.pass_share, feature.median_p_value, feature.kpss_share)
        for feature in report.verdicts
    ]
    frame = pd.DataFrame(rows, columns=["feature", "verdict", "pass_share", "median_p_value", "kpss_share"])
    return frame.astype({"median_p_value": "float64"}).assign(report=json.dumps(report.to_dict(), sort_keys=True))


def _selection(due: DueFold, strategy: Strategy, verdicts: StationarityReport) -> pd.DataFrame:
    if not strategy.features.select:
        return pd.DataFrame({"feature": list(verdicts.kept), "why": "stationary", "report": ""})
    report = _chosen(due, strategy, verdicts)
    reasons = {feature.name: feature.reason for feature in report.figures}
    frame = pd.DataFrame({"feature": list(report.selected), "why": [reasons[name] for name in report.selected]})
    return frame.assign(report=json.dumps(report.to_dict(), sort_keys=True))


def stationarity_metadata(frames: Frames) -> dict[str, Any]:
    """What an operator sees of the verdicts of some months, by name."""
    newest = _newest(frames)
    return {
        "months": len(frames),
        "dropped_in_newest": int((newest["verdict"] == "dropped").sum()),
        "newest": newest.drop(columns="report"),
    }


def selection_metadata(frames: Frames) -> dict[str, Any]:
    """What an operator sees of the features chosen for some months, by name."""
    return {"months": len(frames), "newest": _newest(frames).drop(columns="report")}


def _newest(frames: Frames) -> pd.DataFrame:
    """The rows of the newest month's last refit."""
    frame = frames[max(frames)]
    return frame[frame["model_id"] == frame["model_id"].iloc[-1]] if len(frame) else frame


def confirmation(frames: Frames) -> Judged:
    """Whether KPSS confirms the features that the newest of some months keeps; it vetoes nothing."""
    report = StationarityReport.from_dict(json.loads(str(_newest(frames)["report"].iloc[0])))
    doubted = report.doubted
    named = ", ".join(f"{name} on {share:.0%} of symbols" for name, share in doubted.items())
    text = f"KPSS confirms {len(report.kept) - len(doubted)} of {len(report.kept)} features kept"
    if report.pooled:
        text += f"; {', '.join(report.pooled)} passed by the test for short windows alone"
    finding = f"{text}; not {named}" if doubted else text if report.kept else "no feature was kept"
    return Judged("kpss_confirms", not doubted if report.kept else None, finding, warns=True)


def stationarity_of(frame: pd.DataFrame, model_id: str, due: DueFold) -> StationarityReport:
    """The report in a month's frame of :func:`stationarity`.

    Raises
    ------
    PublicationError
        It was made for another model than the one that is due: on other data, by other code or settings.
    """
    return StationarityReport.from_dict(json.loads(_report(frame, model_id, due, "stationarity")))


def selection_of(frame: pd.DataFrame, model_id: str, due: DueFold) -> SelectionReport | None:
    """The report in a month's frame of :func:`selected_features`; None where the settings select nothing.

    Raises
    ------
    PublicationError
        As :func:`stationarity_of`.
    """
    report = _report(frame, model_id, due, "selected_features")
    return SelectionReport.from_dict(json.loads(report)) if report else None


def _report(frame: pd.DataFrame, model_id: str, due: DueFold, asset: str) -> str:
    rows = frame[frame["model_id"] == model_id]
    if rows.empty:
        made_for = str(frame["model_id"].iloc[0]) if len(frame) else "none"
        facts = due.cut.facts
        apart = model_settings_apart(facts.stores.ledger, facts.strategy, {"model_id": made_for})
        raise PublicationError(
            expected=f"{asset} of model {model_id}",
            found=f"of model {made_for}: other data, code or settings" + (f" ({apart})" if apart else ""),
            remedy=f"nn-assets study --strategy {facts.strategy.name} --from {due.fold.month} --to {due.fold.month}",
            table=asset,
        )
    return str(rows["report"].iloc[0])
