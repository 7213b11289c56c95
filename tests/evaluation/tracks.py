"""Made-up records for the tests of figures, verdicts and pages."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from nn_assets.evaluation.track import BookTrack, StudyTrack
from nn_assets.market.calendar.sessions import sessions_between

ESTIMATORS = ("network", "linear", "boosting")


@cache
def _calendar() -> pd.DatetimeIndex:
    return sessions_between("XNYS", "2005-01-03", "2030-12-31")


def made_record(
    rows: int = 500,
    columns: int = 6,
    *,
    seed: int = 0,
    strength: float = 0.0,
    horizon: int = 5,
    drift: float = 0.0,
) -> StudyTrack:
    """Forecasts that foretell a share ``strength`` of the label; books that earn ``drift`` a session."""
    generator = np.random.default_rng(seed)
    sessions = _calendar()[:rows]
    daily = generator.standard_normal((rows + horizon + 1, columns)) * 0.01
    ahead = np.array([daily[row + 2 : row + 2 + horizon].sum(axis=0) for row in range(rows)])
    returns = np.where(np.arange(rows)[:, None] < rows - horizon - 1, ahead, np.nan)
    targets = np.where(np.isfinite(returns), (returns > 0.0).astype(float), np.nan)
    forecasts, tracks = {}, {}
    for name in ESTIMATORS:
        signal = strength * np.nan_to_num(returns) / 0.022 + generator.standard_normal((rows, columns))
        forecasts[name] = 0.5 + 0.03 * signal
        net = drift + 0.008 * generator.standard_normal(rows)
        tracks[name] = BookTrack(net=net, gross=net + 2e-4, turnover=np.full(rows, 0.1))
    held = daily[:rows].mean(axis=1)
    tracks["buy_and_hold"] = BookTrack(net=held, gross=held, turnover=np.zeros(rows))
    months = np.array([f"{session.year}-{1 if session.month < 7 else 7:02d}" for session in sessions])
    return StudyTrack(
        sessions=sessions,
        symbols=tuple(f"SIM{number + 1:02d}" for number in range(columns)),
        forecasts=forecasts,
        targets=targets,
        returns=returns,
        realised_row=np.arange(rows) + horizon + 1,
        months=months,
        tracks=tracks,
    )
