"""What the forecasts of compared networks earn: each ensemble, and each of its members, through the study's replay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.estimators import TRADED
from nn_assets.evaluation.comparison import mean_of_members
from nn_assets.evaluation.figure_set import Figures
from nn_assets.evaluation.study import Terms, run_study
from nn_assets.learning.forecasts import Forecasts, no_forecasts
from nn_assets.operations.asof.choices import in_sample_until
from nn_assets.operations.history import History
from nn_assets.operations.models.calibration import calibrate_forecasts
from nn_assets.operations.replay_pace import ReplayPace
from nn_assets.operations.study_material import material_of
from nn_assets.settings.sections import NO_DIRECTION


@dataclass(frozen=True)
class Money:
    """What a contestant's book came to, out of sample; None where there is no figure, with the reason."""

    sharpe_net: float | None = None  # of the ensemble, a year, in excess of cash
    sharpe_gross: float | None = None
    of_members: tuple[float, ...] = ()  # net, of each member by itself
    why: str = ""

    @property
    def spread(self) -> float | None:
        """Standard deviation of the members' net Sharpe ratios; None of fewer than two."""
        return float(np.std(self.of_members, ddof=1)) if len(self.of_members) > 1 else None


def books_of(
    history: History,
    months: Sequence[str],
    forecasts: Mapping[str, FloatArray],
    models: Mapping[str, tuple[str, Sequence[str | None]]],
    tell: Callable[[str], None],
    *,
    alone: bool = True,
) -> dict[str, Money]:
    """Replay every contestant through the daily round that a study replays its estimators through.

    One decision, one cost object and one calibration for all, those of the strategy; the verdict lets every book trade.
    Drift is not watched, and so no refresh asked for: a model serves from its fit to the next. Sessions that a choice
    over all folds has seen count for no figure, as in a study.

    Parameters
    ----------
    months : sequence of str
        YYYY-MM, consecutive, that are out of sample.
    forecasts : mapping of name to array, shape (members, sessions, symbols)
        Uncalibrated probabilities on the whole axis; NaN without a forecast, as of a member that a fold has not.
    models : mapping of name to (str, sequence of str or None)
        What the models that made them call the contestant, and their id by session, (sessions,).
    alone : bool
        Whether each member is replayed by itself too, for the spread over seeds.
    """
    if history.strategy.of_no_direction:
        return dict.fromkeys(forecasts, Money(why=f"no book: {NO_DIRECTION}"))
    made = {}
    # members that ever trained; of the others there is nothing to replay
    there = {name: [one for one in members if np.isfinite(one).any()] for name, members in forecasts.items()}
    pace = ReplayPace(tell, sum(1 + len(trained) * alone for trained in there.values() if trained))
    for name, members in forecasts.items():
        trained = there[name]
        if not trained:
            made[name] = Money(why="no forecast")
            continue
        tell(f"replaying {name}" + f" and each of its {len(trained)} members" * alone)
        estimator, model_ids = models[name]
        whole = _figures(history, months, estimator, model_ids, members, pace)
        by_itself = trained if alone else []
        each = (_figures(history, months, estimator, model_ids, member[None], pace) for member in by_itself)
        known = tuple(one.sharpe_net for one in each if one.sharpe_net is not None)
        why = "" if whole.sharpe_net is not None else whole.absent.get("sharpe_net", "the book has no returns")
        made[name] = Money(whole.sharpe_net, whole.sharpe_gross, known, why)
    return made


def _figures(
    history: History,
    months: Sequence[str],
    estimator: str,
    model_ids: Sequence[str | None],
    members: FloatArray,
    pace: ReplayPace,
) -> Figures:
    """Figures of the book of some members together, (members, sessions, symbols)."""
    record = _record(history, estimator, model_ids, members)
    calibrated = calibrate_forecasts(history, record, [estimator])
    traded = Forecasts(record.sessions, record.symbols, {TRADED: calibrated[estimator]}, record.model_ids)
    material = material_of(history, months, traded, watched=False)
    terms = Terms(trials=1, in_sample_until=in_sample_until(history.stores.ledger, history.strategy))
    study = run_study(history.strategy, history.sessions_per_year, material, terms, played=(TRADED,), progress=pace)
    return study.figures.total[TRADED]


def _record(history: History, estimator: str, model_ids: Sequence[str | None], members: FloatArray) -> Forecasts:
    """An ensemble's forecasts as a record: the mean and the standard deviation over the members there are."""
    table = no_forecasts(history.axis, history.symbols, (estimator,))
    count = np.isfinite(members).sum(axis=0)
    table[estimator].probability[:] = mean_of_members(members)
    table[estimator].dispersion[:] = np.where(count > 0, 0.0, np.nan)
    table[estimator].dispersion[count > 1] = np.nanstd(members[:, count > 1], axis=0, ddof=1)
    forecast = np.isfinite(table[estimator].probability)
    ids = [model if row.any() else None for model, row in zip(model_ids, forecast, strict=True)]
    return Forecasts(history.axis, history.symbols, table.estimators, ids)
