"""A leak alarm's release holds for the data that it was given on, and is void for others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.operations.asof.trials import LEAK_RELEASE, Ground, ground_of, looks_taken, released_alarms
from nn_assets.store.ledger.ledger import Ledger

SESSIONS = pd.bdate_range("2010-01-04", periods=1000)
ALARM = "network rank IC"


def bars(symbols: str, sessions: pd.DatetimeIndex = SESSIONS) -> pd.DataFrame:
    """Closes that hang on symbol and session alone, whatever else is there."""
    parts = []
    for symbol in symbols:
        moves = np.random.default_rng(ord(symbol)).standard_normal(3000) * 0.01
        closes = 50.0 * np.exp(np.cumsum(moves))[: len(sessions)]
        parts.append(pd.DataFrame({"symbol": symbol, "session": sessions, "close": closes}))
    return pd.concat(parts, ignore_index=True)


def ground(of: pd.DataFrame) -> Ground:
    return ground_of("s", f"{len(of):016x}", of)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """The ledger of a home where the alarm was released on ten symbols of a thousand sessions each."""
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    monkeypatch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
    released = ground(bars("ABCDEFGHIJ"))
    control = {
        "control_id": "released",
        "kind": LEAK_RELEASE,
        "state": "RELEASED",
        "known_at": pd.Timestamp("2014-01-02", tz="UTC"),
        "who": "ann",
        "reason": "the edge is planted",
        "details": {"data_hash": released.data_hash, "alarms": [ALARM]},
    }
    with Ledger() as opened:
        opened.append("data_fingerprints", [released.to_row()], run_id="run", strategy="s")
        opened.append("controls", [control], run_id="run", strategy="s")
        yield opened


def longer(sessions: int) -> pd.DataFrame:
    return bars("ABCDEFGHIJ", pd.bdate_range("2010-01-04", periods=sessions))


@pytest.mark.full
@pytest.mark.parametrize(
    ("now", "holds"),
    [
        (bars("ABCDEFGHIJ"), True),
        (longer(1250), True),  # a year on four
        (longer(1990), True),
        (longer(2010), False),  # as much again is other data
        (bars("ABCDEFGHIJKLM"), True),
        (bars("ABCDEFGHIJKLMNOPQRST"), False),
        (bars("ABCDEFGHIJKLMNOPQRSTUVWXYZabcd"), False),  # three times the data, two thirds of it new
        (bars("ABCDEFGHI"), False),
        (longer(995), True),
        (longer(980), False),
        (bars("ABCDEFGHIJ").assign(close=lambda frame: frame["close"] * 1.01), False),
    ],
)
def test_a_release_holds_while_its_closes_are_there_and_most_of_the_data(
    ledger: Ledger, now: pd.DataFrame, holds: bool
) -> None:
    released = released_alarms(ledger, ground(now))
    assert bool(released) is holds
    if holds:
        assert "by ann: the edge is planted" in released[ALARM]


@pytest.mark.parametrize(("now", "stands"), [(longer(1250), True), (longer(2010), False)])
def test_an_alarm_of_an_earlier_look_stands_on_the_same_data_and_no_longer(
    ledger: Ledger, now: pd.DataFrame, stands: bool
) -> None:
    numbers = dict.fromkeys(("estimate", "standard_error", "degrees", "adjusted_p_value", "allowed_p_value"), 0.5)
    interval = dict.fromkeys(("interval_low", "interval_high", "smallest_effect"), 0.5)
    look = {
        "trial_id": "t",
        "data_hash": ground(bars("ABCDEFGHIJ")).data_hash,
        "month": "2013-11",
        "study_id": "s",
        "verdict": "leak alarm",
        "look": 1,
        "sessions": 900,
        "trials": 1,
        **numbers,
        **interval,
        "allows_trading": False,
        "details": {"standing_alarms": {ALARM: "network: rank IC 0.3 is above 0.1"}},
    }
    ledger.append("looks", [look], run_id="run", strategy="s")
    (taken,) = looks_taken(ledger, ground(now), "t")
    assert dict(taken.alarms) == ({ALARM: "network: rank IC 0.3 is above 0.1"} if stands else {})
