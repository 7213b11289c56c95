"""Walk-forward folds: training, validation, calibration, then the months of use. Purged in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.errors import FoldError, ShortFoldError
from nn_assets.settings import LabelSettings, WalkForwardSettings

_MONTH_DIGITS = len("YYYY-MM")


@dataclass(frozen=True)
class Fold:
    """One walk-forward step, as row ranges on the session axis.

    The span of a label runs from its fill, ``row + lag``, to ``row + lag + horizon``. No span of
    an earlier part touches a row of a later part, and none touches ``used_from``: every label is
    realised before the model's first session of use.
    """

    month: str  # 'YYYY-MM', the month in which the model's use begins
    training: slice
    validation: slice
    calibration: slice
    used_from: int  # row of the first session of use; may be one past the end of the axis

    def parts(self) -> dict[str, slice]:
        """Name the three parts, in order of time."""
        return {"training": self.training, "validation": self.validation, "calibration": self.calibration}

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        ranges = {name: [rows.start, rows.stop] for name, rows in self.parts().items()}
        return {"month": self.month, "used_from": self.used_from, **ranges}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Fold:
        """Rebuild what ``to_dict`` described."""
        ranges = {name: slice(*map(int, stored[name])) for name in ("training", "validation", "calibration")}
        return cls(month=str(stored["month"]), used_from=int(stored["used_from"]), **ranges)


def purge_sessions(horizon: int, lag: int) -> int:
    """Sessions dropped before every boundary: horizon plus execution lag.

    The last row kept before a boundary at row b is ``b - 1 - (horizon + lag)``, whose label span
    ends at ``b - 1``. Counted in sessions, never in rows of a long table.

    Raises
    ------
    FoldError
        Horizon or lag is below one: a purge of zero lets labels overlap what they are judged on.
    """
    if horizon < 1 or lag < 1:
        raise FoldError(
            expected="a horizon and an execution lag of at least one session each",
            found=f"horizon {horizon}, lag {lag}",
            remedy="set label.horizon_sessions and label.execution_lag_sessions to 1 or more",
        )
    return horizon + lag


def make_fold(
    sessions: pd.DatetimeIndex,
    start: str,
    settings: WalkForwardSettings,
    label: LabelSettings,
    *,
    used_from: int | None = None,
) -> Fold:
    """Form the fold whose model is used from the first session of a month, or from a day on.

    Parameters
    ----------
    sessions : DatetimeIndex, shape (bars,)
        The session axis: every session of the calendar, ascending, tz-naive midnights. It must
        hold every session before ``start``; sessions after it change nothing.
    start : str
        'YYYY-MM' or 'YYYY-MM-DD'.
    settings : WalkForwardSettings
        Lengths of the parts in calendar months, or in days where ``refit_every_days`` is set, counted back from the
        first day of use.
    label : LabelSettings
        Horizon and execution lag, from which the purge follows.
    used_from : int, optional
        Row of the first session of use, for a refresh inside the month.

    Raises
    ------
    ShortFoldError
        The history ends before the month begins, or starts too late for all three parts.
    """
    month = start[:_MONTH_DIGITS]
    first_row = _first_row(sessions, start) if used_from is None else used_from
    anchor = _anchor(sessions, start, used_from)
    calibration_start, validation_start, training_start = (
        int(sessions.searchsorted(begin)) for begin in part_starts(anchor, settings)
    )
    if settings.window == "expanding":
        training_start = 0
    purge = purge_sessions(label.horizon_sessions, label.execution_lag_sessions)
    fold = Fold(
        month=month,
        training=slice(training_start, validation_start - purge),
        validation=slice(validation_start, calibration_start - purge),
        calibration=slice(calibration_start, first_row - purge),
        used_from=first_row,
    )
    for name, rows in fold.parts().items():
        if rows.stop <= rows.start:
            raise ShortFoldError(
                expected=f"at least one row of {name} after purging {purge} sessions",
                found=f"rows {rows.start} to {rows.stop}; history starts {sessions[0].date()}",
                remedy="ask for a later month, load more history, or lengthen walk_forward's parts",
                month=month,
            )
    return fold


def part_starts(anchor: pd.Timestamp, settings: WalkForwardSettings) -> list[pd.Timestamp]:
    """Days on which calibration, validation and training begin, of a model used from a day on."""
    if settings.refit_every_days is None:
        months = (settings.calibration_months, settings.validation_months, settings.training_months)
        return [anchor - pd.DateOffset(months=int(back)) for back in np.cumsum(months)]
    days = (settings.calibration_days, settings.validation_days, settings.training_days)
    return [anchor - pd.Timedelta(days=int(back)) for back in np.cumsum(days)]


def _first_row(sessions: pd.DatetimeIndex, start: str) -> int:
    day = pd.Timestamp(start)
    row = int(sessions.searchsorted(day))
    if row == len(sessions) and (row == 0 or sessions[-1] < day - pd.DateOffset(months=1)):
        raise ShortFoldError(
            expected=f"every session before {start}",
            found=f"history to {sessions[-1].date()}" if row else "no session",
            remedy="ask for a month that the history reaches, or load newer bars",
            month=start[:_MONTH_DIGITS],
        )
    return row


def _anchor(sessions: pd.DatetimeIndex, start: str, used_from: int | None) -> pd.Timestamp:
    if used_from is None:
        return pd.Timestamp(start)
    if used_from < len(sessions):
        return sessions[used_from]
    return sessions[-1] + pd.Timedelta(days=1)


def check_realised(fold: Fold, realised_row: npt.NDArray[np.int64]) -> None:
    """Refuse a fold with a label that is realised too late for the part it is in.

    The second lock beside the purge: it reads the labels' own account of when they are known.

    Parameters
    ----------
    fold : Fold
    realised_row : int array, shape (bars,)
        Row at which each row's label is known.

    Raises
    ------
    FoldError
        A label is realised at or after the start of the next part.
    """
    boundaries = (fold.validation.start, fold.calibration.start, fold.used_from)
    for (name, rows), boundary in zip(fold.parts().items(), boundaries, strict=True):
        latest = int(realised_row[rows].max())
        if latest >= boundary:
            raise FoldError(
                expected=f"every label of {name} realised before row {boundary}",
                found=f"a label realised at row {latest}",
                remedy="purge by horizon plus execution lag; make_fold does",
                month=fold.month,
            )


def require_rows(fold: Fold, usable: int, minimum: int) -> None:
    """Refuse a fold with too few usable training rows; a usable row has a whole window and a label.

    Raises
    ------
    ShortFoldError
        ``usable`` is below ``minimum``.
    """
    if usable < minimum:
        raise ShortFoldError(
            expected=f"at least {minimum} usable training rows",
            found=f"{usable}",
            remedy="use more symbols, a longer walk_forward.training_months (or training_days), or a later month",
            month=fold.month,
        )


def fitted_month(month: str, anchor_month: str, refit_every_months: int) -> str:
    """Find the month whose fit is in force in ``month``: the latest refit at or before it.

    Parameters
    ----------
    month, anchor_month : str
        'YYYY-MM'; refits fall on the anchor and every ``refit_every_months`` after it.

    Raises
    ------
    FoldError
        ``month`` lies before the anchor, where no model was fitted.
    """
    wanted, anchor = pd.Period(month, "M"), pd.Period(anchor_month, "M")
    if wanted < anchor:
        raise FoldError(
            expected=f"a month from {anchor_month} on",
            found=month,
            remedy="ask for a month that the study covers",
            month=month,
        )
    return str(wanted - (wanted - anchor).n % refit_every_months)


def forecast_rows(sessions: pd.DatetimeIndex, month: str) -> slice:
    """Rows of the sessions in ``month``; empty where the axis holds none."""
    start = pd.Timestamp(month)
    return slice(int(sessions.searchsorted(start)), int(sessions.searchsorted(start + pd.DateOffset(months=1))))
