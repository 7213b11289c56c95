"""What is said of bars within the session that are at fault, by moment: in ``check``, ``status`` and an export."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nn_assets.cli.check import check_data
from nn_assets.cli.status import report
from nn_assets.contracts import QUARANTINE, validate
from nn_assets.market.quality.still_prices import still_price_notices
from nn_assets.operations.exported_tables import read_exported
from nn_assets.operations.history import open_history
from nn_assets.operations.intake.bars import audit_bars
from nn_assets.operations.study_page import _set_aside
from tests.operations import within_the_session as intraday
from tests.orchestration.conftest import living_in, strategy_of

STARTS, ENDS, DAYS = "2024-01-15", "2024-01-18", 4
FAULTY = pd.Timestamp("2024-01-17 09:00", tz="UTC")
STILL_FROM = pd.Timestamp("2024-01-16", tz="UTC")
ABSENT = pd.Timestamp("2024-01-18 10:00", tz="UTC")


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Hourly bars: one whose high is below its low, one that never came, two symbols that stand still."""
    home = tmp_path_factory.mktemp("quarantined_within")
    bars = intraday.simulated_bars(STARTS, DAYS * 24, edge=0.0, symbols=5, minutes=60)
    faulty = (bars["symbol"] == "SIM02") & (bars["date"] == FAULTY)
    bars.loc[faulty, ["high", "low"]] = bars.loc[faulty, ["low", "high"]].to_numpy()
    bars = bars[(bars["symbol"] != "SIM03") | (bars["date"] != ABSENT)].reset_index(drop=True)
    still = (bars["symbol"] == "SIM04") | ((bars["symbol"] == "SIM05") & (bars["date"] >= STILL_FROM))
    bars.loc[still, ["open", "high", "low", "close"]] = 50.0
    sections: dict[str, Any] = {"intraday": {"bar_minutes": 60}, "gate": {"max_stale_sessions": 3}}
    intraday.write(home, bars, starts=STARTS, ends=ENDS, **sections)
    with living_in(home):
        yield check_data(intraday.NAME)


def test_check_names_rule_symbol_and_moment_of_a_bar_in_quarantine(checked: dict[str, Any]) -> None:
    assert checked["quarantine"]["by_rule"] == {"high_low_bracket": 1}
    (line,) = [line for line in checked["text"].splitlines() if "high_low_bracket, " in line]
    assert line.split()[:3] == ["SIM02", "2024-01-17T09:00", "high_low_bracket,"]
    assert FAULTY.isoformat() in line
    assert checked["never_delivered"] == {"SIM03": 1}
    assert checked["first_missing"] == {"SIM03": "2024-01-18T10:00"}
    assert checked["intraday"]["missing_bars"] == 1
    assert "  decisions   2024-01-15T00:00 to 2024-01-18T23:00\n" in checked["text"]
    assert "  sessions " not in checked["text"]


def test_an_export_the_page_and_status_have_the_bar_in_quarantine(checked: dict[str, Any]) -> None:
    with open_history(strategy_of(intraday.NAME)) as history:
        rows = read_exported(history, "quarantine", None, None, None)
        known = read_exported(history, "quarantine", None, None, FAULTY + pd.Timedelta(hours=1, seconds=5))
        on_page, shown = _set_aside(history, history.covering(None))
        before = read_exported(history, "quarantine", None, None, FAULTY)
    validate(rows, QUARANTINE.within_sessions())
    (row,) = rows.to_dict("records")
    assert (row["symbol"], row["rule"]) == ("SIM02", "high_low_bracket")
    assert row["value"].startswith(FAULTY.isoformat())
    assert row["session"] == FAULTY.tz_localize(None)
    pd.testing.assert_frame_equal(known, rows)
    assert before.empty  # it was not known yet
    assert shown == "1"  # as the study's page has it
    pd.testing.assert_frame_equal(on_page, rows)
    assert report(intraday.NAME)["strategies"][intraday.NAME]["quarantined"] == 1


def test_a_bar_of_few_symbols_and_the_newest_one_are_named_by_their_moments(checked: dict[str, Any]) -> None:
    (line,) = [line for line in checked["gate"]["warnings"] if line.startswith("usual_volume")]
    assert line.endswith(": 1: 2024-01-18T10:00 4 of 5 bars")
    with open_history(strategy_of(intraday.NAME)) as history:
        (fresh,) = [check for check in audit_bars(history).report.checks if check.name == "freshness"]
    assert fresh.detail.startswith("newest clean bar 2024-01-18T23:00, 0 bars behind 2024-01-18T23:00")


def test_a_price_that_never_moves_is_a_notice_and_has_neither_label_nor_size(checked: dict[str, Any]) -> None:
    line, of_the_end = checked["notices"]["first"]
    assert line.startswith("SIM04 2024-01-15 to 2024-01-18: price_stood_still 96: price stood still at 50 on every bar")
    with open_history(strategy_of(intraday.NAME)) as history:
        cut = history.cut_for(history.last_session)
    labelled = np.isfinite(cut.labels.targets).any(axis=0)
    sized = (cut.market.volatility > 0.0).any(axis=0)
    assert (labelled.tolist(), sized.tolist()) == ([True, True, True, False, True],) * 2
    assert of_the_end.startswith("SIM05 2024-01-16 to 2024-01-18: price_stood_still 72: price stood still at 50 on its")
    assert (cut.market.volatility[-1] > 0.0).tolist() == [True, True, True, False, False]  # after sixty bars of one


def test_a_price_whose_newest_bars_do_not_move_is_a_notice_and_one_that_moved_just_now_is_none() -> None:
    bars = intraday.simulated_bars(STARTS, 20, edge=0.0, symbols=2, minutes=60).assign(session=pd.Timestamp(STARTS))
    bars["close"] = 50.0
    assert [notice.symbol for notice in still_price_notices(bars)] == ["SIM01", "SIM02"]
    assert still_price_notices(bars, 21) == []  # a label reaches over more
    assert still_price_notices(bars[2:]) == []  # nineteen of each
    bars.loc[bars.index[-2:], "close"] = 50.01
    assert still_price_notices(bars) == []


def test_the_stretch_that_stands_still_is_told_from_its_first_bar_on() -> None:
    """Of 100 bars: one moves, one is still but for its first tick, one for its last 30, one for 30 in the middle."""
    bars = intraday.simulated_bars("2024-01-15", 100, edge=0.0, symbols=4, minutes=60)
    bars["session"] = bars["date"].dt.tz_localize(None)
    hour = (bars["date"] - bars["date"].min()) // pd.Timedelta(hours=1)
    still = {"SIM02": hour >= 1, "SIM03": hour >= 70, "SIM04": hour.between(30, 59)}
    for symbol, when in still.items():
        bars.loc[(bars["symbol"] == symbol) & when, "close"] = 50.0
    stretches = [(one.symbol, one.first_session, one.last_session, one.value) for one in still_price_notices(bars)]
    end = pd.Timestamp("2024-01-19 03:00")
    assert stretches == [
        ("SIM02", pd.Timestamp("2024-01-15 01:00"), end, 99.0),
        ("SIM03", pd.Timestamp("2024-01-17 22:00"), end, 30.0),
    ]
    assert "on its last 30 bars: no label and no size once its volatility is 0" in still_price_notices(bars)[1].message
    shuffled = bars.sort_values(["date", "symbol"], ascending=[True, False])
    assert [one.value for one in still_price_notices(shuffled)] == [99.0, 30.0]
