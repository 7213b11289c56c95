"""Small frames of bars for the market room's tests."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nn_assets.contracts import BAR_VERSIONS, BARS, QUARANTINE, conform, validate
from nn_assets.market.calendar.sessions import assumed_known_at, sessions_between
from nn_assets.market.quality.cleaning import Cleaned, clean
from nn_assets.settings import CleaningSettings

CALENDAR = "XNYS"
ARRIVAL = pd.Timestamp("2020-01-02 12:00", tz="UTC")


def moment(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def sound_bars(symbols: tuple[str, ...] = ("AAA",), count: int = 120, seed: int = 1) -> pd.DataFrame:
    """Bars that break no rule: a random walk with volume, on consecutive sessions from 2018-01-02."""
    sessions = sessions_between(CALENDAR, "2018-01-02", "2019-12-31")[:count]
    frames = []
    for offset, symbol in enumerate(symbols):
        random = np.random.default_rng(seed + offset)
        close = 50.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, count)))
        open_ = close * np.exp(random.normal(0.0, 0.004, count))
        frames.append(
            pd.DataFrame(
                {
                    "symbol": symbol,
                    "session": sessions,
                    "open": open_,
                    "high": np.maximum(open_, close) * 1.005,
                    "low": np.minimum(open_, close) * 0.995,
                    "close": close,
                    "volume": random.integers(900_000, 1_100_000, count).astype(float),
                    "source": "test",
                    "known_at": assumed_known_at(CALENDAR, sessions, 30),
                    "ingested_at": ARRIVAL,
                }
            )
        )
    return conform(pd.concat(frames), BAR_VERSIONS)


def with_values(bars: pd.DataFrame, row: int, **values: object) -> pd.DataFrame:
    """The same bars with some values of one row replaced."""
    changed = bars.copy()
    for name, value in values.items():
        changed.loc[row, name] = value
    return changed


def cleaned(bars: pd.DataFrame, **changes: object) -> Cleaned:
    result = clean(bars, CALENDAR, CleaningSettings(**changes))
    validate(result.bars, BARS)
    validate(result.quarantine, QUARANTINE)
    assert len(result.bars) + len(result.quarantine) + result.equal_rows == len(bars)
    return result


def verdicts(result: Cleaned) -> list[tuple[str, str, str]]:
    return list(
        zip(
            result.quarantine["session"].dt.strftime("%F"),
            result.quarantine["rule"],
            result.quarantine["field"],
            strict=True,
        )
    )
