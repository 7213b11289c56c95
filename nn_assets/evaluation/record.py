"""The out-of-sample record that figures are taken from: forecasts, realised labels, books' returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.errors import SchemaError

__all__ = ["BookTrack", "StudyRecord", "record_from_forecasts"]

FloatArray = npt.NDArray[np.float64]
IntegerArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BookTrack:
    """Daily results of one book (an estimator's replay, or a yardstick such as buy-and-hold).

    Arrays are (sessions,); row t is what the book earned from the close of t-1 to the close of t. NaN
    before the book starts.
    """

    net: FloatArray  # return after every cost and financing, fraction of equity
    gross: FloatArray  # return before trading costs, fraction of equity
    turnover: FloatArray  # absolute traded value, fraction of equity


@dataclass(frozen=True)
class StudyRecord:
    """Out-of-sample forecasts of all folds on one session axis, beside what became of them.

    Rows are decision sessions. ``forecasts`` and ``tracks`` are keyed by estimator ('network',
    'linear', 'boosting'); ``tracks`` also by yardstick ('buy_and_hold').
    """

    sessions: pd.DatetimeIndex  # (sessions,)
    symbols: tuple[str, ...]
    forecasts: Mapping[str, FloatArray]  # (sessions, symbols) calibrated probability; NaN no forecast
    targets: FloatArray  # (sessions, symbols) 1, 0 or NaN
    returns: FloatArray  # (sessions, symbols) label's own return over the horizon, fraction; NaN unknown
    realised_row: IntegerArray  # (sessions,) row of this axis at which the label is known
    months: npt.NDArray[np.str_]  # (sessions,) 'YYYY-MM' of the model in force; '' where none
    tracks: Mapping[str, BookTrack] = field(default_factory=dict)
    regimes: npt.NDArray[np.str_] | None = None  # (sessions,) name of the regime; '' unknown

    def __post_init__(self) -> None:
        rows, columns = len(self.sessions), len(self.symbols)
        wide = {"targets": self.targets, "returns": self.returns, **self.forecasts}
        narrow: dict[str, npt.NDArray[np.generic]] = {
            "realised_row": self.realised_row,
            "months": self.months,
        }
        for name, track in self.tracks.items():
            narrow |= {
                f"{name} net": track.net,
                f"{name} gross": track.gross,
                f"{name} turnover": track.turnover,
            }
        shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
        shapes = {name: (a.shape, (rows, columns)) for name, a in wide.items()}
        shapes |= {name: (a.shape, (rows,)) for name, a in narrow.items()}
        for name, (found, expected) in shapes.items():
            if found != expected:
                raise SchemaError(
                    expected=f"shape {expected}",
                    found=f"shape {found}",
                    remedy="align every array of a record on its sessions and symbols",
                    key=name,
                )

    def until(self, row: int) -> StudyRecord:
        """Cut the record after ``row``: what was known at its session's close.

        Labels realised later than ``row`` become NaN, so a month's verdict reads nothing of its future.
        """
        stop = row + 1
        unknown = self.realised_row[:stop] > row
        targets, returns = self.targets[:stop].copy(), self.returns[:stop].copy()
        targets[unknown], returns[unknown] = np.nan, np.nan
        return replace(
            self,
            sessions=self.sessions[:stop],
            forecasts={name: values[:stop] for name, values in self.forecasts.items()},
            targets=targets,
            returns=returns,
            realised_row=self.realised_row[:stop],
            months=self.months[:stop],
            tracks={
                name: BookTrack(net=track.net[:stop], gross=track.gross[:stop], turnover=track.turnover[:stop])
                for name, track in self.tracks.items()
            },
            regimes=None if self.regimes is None else self.regimes[:stop],
        )


def record_from_forecasts(
    forecasts: pd.DataFrame,
    sessions: pd.DatetimeIndex,
    symbols: tuple[str, ...],
    targets: FloatArray,
    returns: FloatArray,
    realised_row: IntegerArray,
    months: Mapping[pd.Timestamp, str] | None = None,
    tracks: Mapping[str, BookTrack] | None = None,
) -> StudyRecord:
    """Join a long frame of forecasts with labels on the same axis.

    Parameters
    ----------
    forecasts : DataFrame
        Columns symbol, session, estimator, calibrated_probability, model_id. Rows outside the axis are
        left out; symbols and sessions without a row are NaN.
    sessions, symbols
        The axis: row and column of every array.
    targets, returns : ndarray, shape (sessions, symbols)
    realised_row : ndarray of int, shape (sessions,)
        In rows of ``sessions``.
    months : mapping of session to 'YYYY-MM', optional
        Month of the model in force. By default the months are told apart by the network's ``model_id``
        and named by the first session that used it.
    tracks : mapping, optional
        Daily results by estimator or yardstick, on ``sessions``.

    Raises
    ------
    SchemaError
        Two forecasts of one estimator for the same symbol and session, or arrays off the axis.
    """
    row = sessions.get_indexer(pd.DatetimeIndex(forecasts["session"]).as_unit("ns"))
    column = pd.Index(symbols).get_indexer(forecasts["symbol"])
    inside = (row >= 0) & (column >= 0)
    kept, row, column = forecasts.loc[inside], row[inside], column[inside]
    spread: dict[str, FloatArray] = {}
    for estimator in dict.fromkeys(kept["estimator"]):
        mine = (kept["estimator"] == estimator).to_numpy()
        _refuse_duplicates(row[mine] * len(symbols) + column[mine], str(estimator))
        values = np.full((len(sessions), len(symbols)), np.nan)
        values[row[mine], column[mine]] = kept["calibrated_probability"].to_numpy(dtype=np.float64)[mine]
        spread[str(estimator)] = values
    if months is not None:
        named = np.array([months.get(session, "") for session in sessions], dtype=np.str_)
    else:
        named = _months_of_models(kept, row, sessions)
    return StudyRecord(
        sessions=sessions,
        symbols=symbols,
        forecasts=spread,
        targets=targets,
        returns=returns,
        realised_row=realised_row,
        months=named,
        tracks=dict(tracks or {}),
    )


def _refuse_duplicates(places: npt.NDArray[np.intp], estimator: str) -> None:
    if len(np.unique(places)) != len(places):
        raise SchemaError(
            expected="one forecast per symbol, session and estimator",
            found=f"{len(places) - len(np.unique(places))} more",
            remedy="keep the forecasts of the model in force only",
            key=estimator,
        )


def _months_of_models(
    forecasts: pd.DataFrame, row: npt.NDArray[np.intp], sessions: pd.DatetimeIndex
) -> npt.NDArray[np.str_]:
    named = np.full(len(sessions), "", dtype="U7")
    order = np.argsort(row, kind="stable")
    models = forecasts["model_id"].to_numpy(dtype=object)[order]
    first_month: dict[object, str] = {}
    for place, model in zip(row[order], models, strict=True):
        month = first_month.setdefault(model, sessions[place].strftime("%Y-%m"))
        named[place] = month
    return named
