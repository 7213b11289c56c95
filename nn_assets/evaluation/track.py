"""The out-of-sample record that figures are taken from: forecasts, realised labels, books' returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import FloatArray, IntArray, Symbol
from nn_assets.errors import SchemaError


@dataclass(frozen=True)
class BookTrack:
    """Daily results of one book (an estimator's replay, or a yardstick such as buy-and-hold).

    Arrays are (sessions,); row t is what the book earned from the close of t-1 to the close of t. NaN
    before the book starts.
    """

    net: FloatArray  # return after every cost and financing, fraction of equity
    gross: FloatArray  # return before trading costs, fraction of equity
    turnover: FloatArray  # absolute traded value, fraction of equity

    def map(self, change: Callable[[FloatArray], FloatArray]) -> BookTrack:
        """The same results with each array changed in the same way."""
        return BookTrack(change(self.net), change(self.gross), change(self.turnover))


@dataclass(frozen=True)
class StudyTrack:
    """Out-of-sample forecasts of all folds on one session axis, beside their outcomes.

    Rows are decision sessions. ``forecasts`` and ``tracks`` are keyed by estimator ('network',
    'linear', 'boosting', ...); ``tracks`` also by yardstick ('buy_and_hold').
    """

    sessions: pd.DatetimeIndex  # (sessions,)
    symbols: tuple[Symbol, ...]
    forecasts: Mapping[str, FloatArray]  # (sessions, symbols) calibrated probability; NaN no forecast
    targets: FloatArray  # (sessions, symbols) 1, 0 or NaN
    returns: FloatArray  # (sessions, symbols) label's own return over the horizon, fraction; NaN unknown
    realised_row: IntArray  # (sessions,) row of this axis at which the label is known
    months: npt.NDArray[np.str_]  # (sessions,) 'YYYY-MM' of the model in force; '' where none
    tracks: Mapping[str, BookTrack] = field(default_factory=dict)
    regimes: npt.NDArray[np.str_] | None = None  # (sessions,) name of the regime; '' unknown
    models: npt.NDArray[np.str_] | None = None  # (sessions,) id in force; by month if left out
    scores: Mapping[str, FloatArray] | None = None  # (sessions, symbols) before calibration; ranked by
    base_rates: Mapping[str, FloatArray] | None = None  # (sessions, symbols) p0 of the calibration in force then
    ranked_against: FloatArray | None = None  # (sessions, symbols) likewise unknown; the returns where left out
    training_share: FloatArray | None = None  # (sessions,) of the training rows in the session's regime; NaN unknown
    first_rows: IntArray | None = None  # (symbols,) row of each one's first bar; all count where left out

    def __post_init__(self) -> None:
        rows, columns = len(self.sessions), len(self.symbols)
        wide = {"targets": self.targets, "returns": self.returns, **self.forecasts}
        wide |= {f"{name} score": values for name, values in (self.scores or {}).items()}
        wide |= {} if self.ranked_against is None else {"ranked against": self.ranked_against}
        wide |= {f"{name} base rate": values for name, values in (self.base_rates or {}).items()}
        narrow: dict[str, npt.NDArray[np.generic]] = {
            "realised_row": self.realised_row,
            "months": self.months,
        }
        if self.models is not None:
            narrow["models"] = self.models
        for name, track in self.tracks.items():
            narrow |= {
                f"{name} net": track.net,
                f"{name} gross": track.gross,
                f"{name} turnover": track.turnover,
            }
        shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
        shapes = {name: (a.shape, (rows, columns)) for name, a in wide.items()}
        shapes |= {name: (a.shape, (rows,)) for name, a in narrow.items()}
        for name, (shape, expected) in shapes.items():
            if shape != expected:
                raise SchemaError(
                    expected=f"shape {expected}",
                    found=f"shape {shape}",
                    remedy="align every array of a record on its sessions and symbols",
                    key=name,
                )

    @property
    def breadth(self) -> int:
        """How many symbols there were by the last session: a later listing changes no earlier figure."""
        return len(self.symbols) if self.first_rows is None else int((self.first_rows < len(self.sessions)).sum())

    @property
    def folds(self) -> npt.NDArray[np.str_]:
        """The model that made each session's forecasts, (sessions,): what is never ranked against another."""
        return self.months if self.models is None else self.models

    def ranked(self, name: str) -> FloatArray:
        """What an estimator's forecasts are ranked by, (sessions, symbols): its own figure, before any calibration.

        A calibration's level follows earlier outcomes: ranked by calibrated forecasts of several months, a
        forecaster that knows nothing would seem to be worse than chance. The forecasts where no score is there.
        """
        return self.forecasts[name] if self.scores is None else self.scores[name]

    @property
    def outcomes(self) -> FloatArray:
        """What forecasts are ranked against within a session, (sessions, symbols)."""
        return self.returns if self.ranked_against is None else self.ranked_against

    @property
    def rises(self) -> FloatArray:
        """Whether what forecasts are ranked against is above zero, 1, 0 or NaN: the sign that an AUC is of.

        Not the event that a label asks for: who knows volatilities alone knows which returns exceed a threshold.
        """
        against = self.ranked_against
        return self.targets if against is None else np.where(np.isfinite(against), against > 0.0, np.nan)

    def labelled(
        self, targets: FloatArray, returns: FloatArray, ranked_against: FloatArray | None = None
    ) -> StudyTrack:
        """The same record with the labels as another moment knew them, shape (sessions, symbols)."""
        return replace(self, targets=targets, returns=returns, ranked_against=ranked_against)

    def counted_after(self, session: pd.Timestamp) -> StudyTrack:
        """Leave out what was forecast and earned up to a session: it was in-sample for some choice."""
        seen = self.sessions <= session

        def left(values: FloatArray) -> FloatArray:
            return np.where(seen if values.ndim == 1 else seen[:, None], np.nan, values)

        return replace(
            self,
            forecasts={name: left(values) for name, values in self.forecasts.items()},
            scores=_map_arrays(self.scores, left),
            base_rates=_map_arrays(self.base_rates, left),
            tracks={name: track.map(left) for name, track in self.tracks.items()},
        )

    def until(self, row: int) -> StudyTrack:
        """Cut the record after ``row``: what was known at its session's close.

        Labels realised later than ``row`` become NaN, so a month's verdict reads nothing of its future.
        """
        stop = row + 1
        unknown = self.realised_row[:stop] > row
        targets, returns = self.targets[:stop].copy(), self.returns[:stop].copy()
        targets[unknown], returns[unknown] = np.nan, np.nan
        ranked_against = None if self.ranked_against is None else self.ranked_against[:stop].copy()
        if ranked_against is not None:
            ranked_against[unknown] = np.nan
        return replace(
            self,
            sessions=self.sessions[:stop],
            forecasts={name: values[:stop] for name, values in self.forecasts.items()},
            scores=_map_arrays(self.scores, lambda values: values[:stop]),
            base_rates=_map_arrays(self.base_rates, lambda values: values[:stop]),
            targets=targets,
            returns=returns,
            ranked_against=ranked_against,
            realised_row=self.realised_row[:stop],
            months=self.months[:stop],
            tracks={name: track.map(lambda values: values[:stop]) for name, track in self.tracks.items()},
            regimes=None if self.regimes is None else self.regimes[:stop],
            models=None if self.models is None else self.models[:stop],
            training_share=None if self.training_share is None else self.training_share[:stop],
        )


def _map_arrays(
    arrays: Mapping[str, FloatArray] | None, change: Callable[[FloatArray], FloatArray]
) -> dict[str, FloatArray] | None:
    return None if arrays is None else {name: change(values) for name, values in arrays.items()}
