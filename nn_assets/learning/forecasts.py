"""Forecasts as arrays on the session axis; long rows are only how they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import FloatArray, Session, Symbol
from nn_assets.contracts.frames import ForecastRows
from nn_assets.errors import SchemaError
from nn_assets.estimators import TRADED, USUAL, VOLATILITY

_STORED = ("probability", "dispersion")


@dataclass(frozen=True, eq=False)
class ForecastArrays:
    """One estimator's forecasts, shape (sessions, symbols); NaN where there is none."""

    probability: FloatArray  # mean of the members, uncalibrated
    dispersion: FloatArray  # standard deviation over the members; 0 for one member
    calibrated: FloatArray  # by the calibration in force on the session; NaN until that is known
    base_rate: FloatArray  # p0, that of the same calibration
    confidence: FloatArray  # 0..1, usual dispersion over the forecast's own, times novelty where that is asked for
    score: FloatArray  # logits in units of their own model, of no calibration; NaN until its scale is known
    novelty: FloatArray  # the factor of the confidence that novelty is, 0..1; 1 where that is not asked for

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Parts of consecutive sessions as one."""
        columns = zip(*(_parts(part) for part in parts), strict=True)
        return cls(*(np.concatenate(values) for values in columns))

    def at(self, rows: int | slice) -> ForecastArrays:
        """Forecasts of one session, (symbols,), or of some, as views."""
        return ForecastArrays(*(values[rows] for values in _parts(self)))

    def less_sure(self, share: FloatArray) -> ForecastArrays:
        """The same with a share of the confidence, of the arrays' shape: what novelty leaves of it."""
        return replace(self, confidence=self.confidence * share, novelty=self.novelty * share)


@dataclass(frozen=True, eq=False)
class Forecasts:
    """Every estimator's forecasts of some consecutive sessions, and the model that made each session's."""

    sessions: pd.DatetimeIndex  # (sessions,)
    symbols: tuple[Symbol, ...]
    estimators: Mapping[str, ForecastArrays]
    model_ids: Sequence[str | None]  # (sessions,); None where there is no forecast

    @property
    def judged(self) -> Mapping[str, ForecastArrays]:
        """Those that forecast the label: all but that of volatility."""
        return {name: arrays for name, arrays in self.estimators.items() if name != VOLATILITY}

    @property
    def volatility(self) -> ForecastArrays | None:
        """Forecasts of volatility, v / (1 + v) of the variance v in units of the recent one; None without any."""
        return self.estimators.get(VOLATILITY)

    def __getitem__(self, estimator: str) -> ForecastArrays:
        return self.estimators[estimator]

    def where(self, kept: npt.NDArray[np.bool_] | None) -> Forecasts:
        """Keep the forecasts of a mask (sessions, symbols); all without one."""
        if kept is None:
            return self
        estimators = {
            name: ForecastArrays(*(np.where(kept, values, np.nan) for values in _parts(arrays)))
            for name, arrays in self.estimators.items()
        }
        left = [bool(row.any()) for row in np.isfinite(estimators[TRADED].probability)]
        models = [model if there else None for model, there in zip(self.model_ids, left, strict=True)]
        return Forecasts(self.sessions, self.symbols, estimators, models)

    def until(self, session: Session) -> Forecasts:
        """Cut the forecasts after a session."""
        stop = int(self.sessions.searchsorted(pd.Timestamp(session), side="right"))
        return self.rows(slice(0, stop))

    def rows(self, rows: slice) -> Forecasts:
        """Forecasts of some rows, as views."""
        estimators = {name: arrays.at(rows) for name, arrays in self.estimators.items()}
        return Forecasts(self.sessions[rows], self.symbols, estimators, self.model_ids[rows])

    def of_symbols(self, symbols: tuple[Symbol, ...]) -> Forecasts:
        """Lay the forecasts on another symbol axis: symbols that are not here have none there."""
        if symbols == self.symbols:
            return self
        table = no_forecasts(self.sessions, symbols, tuple(self.estimators))
        table.put(self)
        return table

    def put(self, part: Forecasts) -> None:
        """Write the forecasts of a part of the sessions and symbols over what is here.

        An estimator that the part lacks has no forecast there; one that is not here is left out.
        """
        row = self.sessions.get_indexer(part.sessions)
        same = self.symbols == part.symbols
        column = np.arange(len(self.symbols)) if same else pd.Index(self.symbols).get_indexer(pd.Index(part.symbols))
        rows, columns = row >= 0, column >= 0
        target_cells, source_cells = np.ix_(row[rows], column[columns]), np.ix_(rows, columns)
        for name, arrays in self.estimators.items():
            if name not in part.estimators:
                for target in _parts(arrays):
                    target[target_cells] = np.nan
                continue
            for target, source in zip(_parts(arrays), _parts(part.estimators[name]), strict=True):
                target[target_cells] = source[source_cells]
        assert isinstance(self.model_ids, list), "an empty table takes parts"
        for index, model_id in zip(row[rows], np.array(part.model_ids, dtype=object)[rows], strict=True):
            self.model_ids[index] = model_id

    def to_rows(self) -> ForecastRows:
        """As stored: one row for each session, symbol and estimator, in this order; none where there is no forecast.

        Returns
        -------
        DataFrame
            symbol, session, estimator, probability, dispersion, model_id. What is calibrated is derived again.
        """
        row, column = np.nonzero(np.isfinite(self.estimators[TRADED].probability))
        kinds = len(self.estimators)
        numbers = {
            name: np.stack([getattr(arrays, name)[row, column] for arrays in self.estimators.values()], axis=1).ravel()
            for name in _STORED
        }
        models = np.array(self.model_ids, dtype=object)[np.repeat(row, kinds)]
        rows = pd.DataFrame(
            {
                "symbol": pd.Series(self.symbols, dtype="str").take(np.repeat(column, kinds)).array,
                "session": self.sessions[np.repeat(row, kinds)].as_unit("ns"),
                "estimator": pd.Series(list(self.estimators) * len(row), dtype="str"),
                **numbers,
                "model_id": pd.Series(list(models), dtype="str"),
            }
        )
        held = np.isfinite(numbers["probability"])  # a model of before holds fewer estimators
        return rows if held.all() else rows[held].reset_index(drop=True)


def _parts(arrays: ForecastArrays) -> tuple[FloatArray, ...]:
    return tuple(getattr(arrays, field.name) for field in fields(ForecastArrays))


def no_forecasts(
    sessions: pd.DatetimeIndex, symbols: tuple[Symbol, ...], estimators: Sequence[str] = USUAL
) -> Forecasts:
    """A table without any forecast, to put some of these estimators into."""
    shape = (len(sessions), len(symbols))
    arrays = {name: ForecastArrays(*(np.full(shape, np.nan) for _ in fields(ForecastArrays))) for name in estimators}
    return Forecasts(sessions, symbols, arrays, [None] * len(sessions))


def forecasts_from_rows(
    rows: ForecastRows, sessions: pd.DatetimeIndex, symbols: tuple[Symbol, ...], estimators: Sequence[str] = USUAL
) -> Forecasts:
    """Spread stored rows of some estimators over (sessions, symbols); rows outside the axis are left out.

    Raises
    ------
    SchemaError
        Two forecasts of one estimator for the same symbol and session.
    """
    table = no_forecasts(sessions, symbols, estimators)
    row = sessions.get_indexer(pd.DatetimeIndex(rows["session"]))
    column = pd.Index(symbols).get_indexer(pd.Index(rows["symbol"]))
    inside = (row >= 0) & (column >= 0)
    estimator, models = rows["estimator"].to_numpy(), rows["model_id"].to_numpy()
    for name, arrays in table.estimators.items():
        selected = inside & (estimator == name)
        cells = row[selected] * len(symbols) + column[selected]
        if len(np.unique(cells)) != len(cells):
            raise SchemaError(
                expected="one forecast per symbol, session and estimator",
                found=f"{len(cells) - len(np.unique(cells))} more",
                remedy="keep the forecasts of the model in force only",
                key=name,
            )
        for stored in _STORED:
            getattr(arrays, stored)[row[selected], column[selected]] = rows[stored].to_numpy(dtype=np.float64)[selected]
    assert isinstance(table.model_ids, list), "made so"
    for index, model_id in zip(row[inside], models[inside], strict=True):
        table.model_ids[index] = str(model_id)
    return table
