"""A leak alarm stands for a strategy's data whatever its settings; a release holds for what it names, on its data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.evaluation.leak_alarms import StandingAlarm
from nn_assets.operations.asof.alarms import (
    LEAK_RELEASE,
    open_alarms,
    released_alarms,
    released_figures,
    standing_alarms,
)
from nn_assets.operations.asof.trials import Ground, ground_of
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


FINDING = "network: rank IC 0.3 is above 0.1"
_NUMBERS = ("estimate", "standard_error", "degrees", "adjusted_p_value", "allowed_p_value")
_INTERVAL = ("interval_low", "interval_high", "smallest_effect")


def put_look(
    ledger: Ledger, trial: str, month: str = "2013-11", name: str = ALARM, figure: float | None = 0.3, **other: str
) -> None:
    """A look that left an alarm standing; without a figure, as rows of before said it; without a name, none."""
    rung = {} if figure is None else {"rung": {name: {"trial_id": trial, "month": month, "figure": figure}}}
    look = {
        "trial_id": trial,
        "data_hash": ground(bars("ABCDEFGHIJ")).data_hash,
        "month": month,
        "study_id": "s",
        "verdict": "leak alarm" if name else "cannot tell",
        "look": 1,
        "sessions": 900,
        "trials": 1,
        **dict.fromkeys((*_NUMBERS, *_INTERVAL), 0.5),
        "allows_trading": False,
        "details": {"standing_alarms": {name: FINDING}, **rung} if name else {"standing_alarms": {}},
        **other,
    }
    ledger.append("looks", [look], run_id="run", strategy="s", reason="studied again")


def put_release(ledger: Ledger, number: int, *figures: tuple[str, float]) -> None:
    """Release the alarm as of some configurations and figures."""
    said = [{"alarm": ALARM, "trial_id": trial, "figure": figure, "finding": FINDING} for trial, figure in figures]
    ledger.append(
        "controls",
        [
            {
                "control_id": f"released-{number}",
                "kind": LEAK_RELEASE,
                "state": "RELEASED",
                "known_at": pd.Timestamp("2014-01-02", tz="UTC"),
                "who": "ann",
                "reason": "the edge is planted",
                "details": {"data_hash": NOW.data_hash, "alarms": [ALARM], "figures": said},
            }
        ],
        run_id="run",
        strategy="s",
    )


NOW = ground(bars("ABCDEFGHIJ"))


@pytest.fixture
def unreleased(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """A ledger of the same data in which nobody released anything."""
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path / "other"))
    monkeypatch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
    with Ledger() as opened:
        opened.append("data_fingerprints", [NOW.to_row()], run_id="run", strategy="s")
        yield opened


@pytest.mark.parametrize(("now", "stands"), [(longer(1250), True), (longer(2010), False), (longer(500), True)])
def test_an_alarm_stands_on_the_same_data_or_a_part_of_them_and_no_longer(
    unreleased: Ledger, now: pd.DataFrame, stands: bool
) -> None:
    put_look(unreleased, "t", figure=None)
    expected = [StandingAlarm(ALARM, FINDING, "2013-11", "t")] if stands else []
    assert standing_alarms(unreleased, ground(now), "t") == expected


def test_an_alarm_is_not_erased_by_a_later_version_of_its_look_that_did_not_ring(unreleased: Ledger) -> None:
    put_look(unreleased, "t", name="boosting rank IC")
    put_look(unreleased, "t", name="")  # the same look, studied again without that estimator
    (alarm,) = standing_alarms(unreleased, NOW, "t")
    assert (alarm.name, alarm.of_other_settings) == ("boosting rank IC", False)


def test_an_alarm_stands_under_other_settings_too_and_says_so(unreleased: Ledger) -> None:
    put_look(unreleased, "t")
    (alarm,) = standing_alarms(unreleased, NOW, "other")
    assert alarm.of_other_settings
    assert alarm.sentence == f"{FINDING} (since the look of 2013-11, of other settings)"
    assert [one.alarm.trial_id for one in open_alarms(unreleased, "s")] == ["t"]
    assert standing_alarms(unreleased, ground_of("another", NOW.data_hash, bars("ABCDEFGHIJ")), "other") == []


def test_a_release_covers_the_configurations_that_it_names_and_the_larger_of_their_figures(
    unreleased: Ledger,
) -> None:
    put_look(unreleased, "t")
    put_look(unreleased, "u", figure=0.2)
    put_release(unreleased, 1, ("t", 0.3), ("t", 0.25))
    assert released_figures(unreleased, NOW, "t") == {ALARM: 0.3}
    assert "at 0.300 by ann: the edge is planted" in released_alarms(unreleased, NOW, "t")[ALARM]
    assert [alarm.trial_id for alarm in standing_alarms(unreleased, NOW, "t")] == ["u"]
    assert list(released_alarms(unreleased, NOW, "u")) == [f"{ALARM} of other settings"]
    put_release(unreleased, 2, ("u", 0.2))
    assert standing_alarms(unreleased, NOW, "t") == standing_alarms(unreleased, NOW, "u") == []
    assert open_alarms(unreleased, "s") == []
    put_look(unreleased, "t", month="2013-12", figure=0.6)  # rang again after its release
    assert [(alarm.month, alarm.figure) for alarm in standing_alarms(unreleased, NOW, "u")] == [("2013-12", 0.6)]


def test_a_release_of_before_covers_its_name_whatever_the_figure_and_the_settings(ledger: Ledger) -> None:
    put_look(ledger, "t", figure=None)
    put_look(ledger, "u", month="2013-12", figure=0.6)
    assert standing_alarms(ledger, NOW, "t") == []
    assert released_figures(ledger, NOW, "t") == {}
    assert ALARM in released_alarms(ledger, NOW, "u")
