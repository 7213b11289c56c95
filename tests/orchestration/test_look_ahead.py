"""The look-ahead proof over everything stored: history cut at a session, and history a year longer, change nothing.

Each home is built from nothing on its own stretch of history, so a value that read one bar too many
would differ in the other home.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.arrays import Cube
from nn_assets.store.lake.lake import Lake
from tests.orchestration.conftest import (
    CUT_LIVE,
    FIRST_LIVE,
    FIRST_MONTH,
    LAST,
    NAME,
    RECORDS,
    assert_same_decisions,
    living_in,
    recorded,
    strategy_of,
    write_strategy,
)
from tests.runs import materialise

pytestmark = pytest.mark.slow

# Inside a month, on a month's last session, and among the live sessions.
CUTS = ("2017-03-31", pytest.param("2017-05-12", marks=pytest.mark.full), CUT_LIVE)
MONTHS_TABLES = ("stationarity", "selected_features", "forecasts", "walk_forward_study", "model_evaluation")
SESSIONED = {"forecasts", "walk_forward_study"}

Homes = Callable[[str], Path]


def cube(home: Path) -> Cube:
    with living_in(home):
        stored = Lake().read_cube(NAME, "features")
        return Cube(stored.sessions, stored.symbols, stored.names, np.array(stored.values))


def month_frames(home: Path, table: str) -> dict[str, pd.DataFrame]:
    with living_in(home):
        lake = Lake()
        return {month: lake.read_months(NAME, table, [month]) for month in lake.months(NAME, table)}


def models(home: Path, last_month: str) -> pd.DataFrame:
    rows = recorded(home, "models")
    columns = ["month", "model_id", "fitted", "effective_session", "artifact_sha256", "figures", "data_hash"]
    return rows.loc[rows["month"] <= last_month, columns].reset_index(drop=True)


def studies(home: Path, before_month: str, *, with_verdicts: bool) -> list[str]:
    """Verdicts and figures of months that had ended, each once however often it was studied.

    The addresses of study and data are each home's own. Without verdicts: the figures alone.
    """
    rows = recorded(home, "studies")
    columns = ["month", "verdict", "trial_count", "figures", "first_session", "last_session"]
    ended = rows.loc[rows["month"] < before_month, columns]
    if not with_verdicts:
        verdict_keys = ("allows_trading", "reason")
        figures = [{key: entry[key] for key in entry if key not in verdict_keys} for entry in ended["figures"]]
        ended = ended.drop(columns="verdict").assign(figures=figures)
    return sorted({json.dumps(row, default=str, sort_keys=True) for row in ended.to_dict("records")})


def assert_equal_up_to(cut: str, shorter: Path, longer: Path, months: int) -> None:
    """Demand that everything stored in two homes is equal, to the bit, up to a session."""
    session, month = pd.Timestamp(cut), cut[:7]
    one, other = cube(shorter), cube(longer).until(session)
    assert one.sessions[-1] == session
    assert one.until(session).content_hash() == other.content_hash()
    for table in MONTHS_TABLES:
        small, large = month_frames(shorter, table), month_frames(longer, table)
        whole = [key for key in small if key < month]
        assert len(whole) == months - 1
        for key in whole:
            pd.testing.assert_frame_equal(small[key], large[key], check_exact=True)
        if table in SESSIONED:  # the month of the cut, as far as it goes
            kept = large[month][large[month]["session"] <= session].reset_index(drop=True)
            pd.testing.assert_frame_equal(small[month], kept, check_exact=True)
        elif table != "model_evaluation":
            pd.testing.assert_frame_equal(small[month], large[month], check_exact=True)
    pd.testing.assert_frame_equal(models(shorter, month), models(longer, month), check_exact=True)
    assert len(models(shorter, month)) == months
    # A history that ends before the live start states none, so that its own newest month has the first look.
    one_look = cut >= FIRST_LIVE
    actual, expected = (studies(home, month, with_verdicts=one_look) for home in (shorter, longer))
    assert actual == expected
    assert len(actual) == months - 1


@pytest.mark.full
@pytest.mark.parametrize("cut", CUTS)
def test_history_cut_at_a_session_gives_everything_stored_up_to_it(
    cut: str, cut_home: Homes, studied_home: Path
) -> None:
    assert_equal_up_to(cut, cut_home(cut), studied_home, months=int(cut[5:7]))


def test_history_cut_at_a_session_gives_every_decision_up_to_it(cut_decided_home: Path, decided_home: Path) -> None:
    assert assert_same_decisions(cut_decided_home, decided_home, CUT_LIVE) == 5
    for table in RECORDS:
        assert not recorded(cut_decided_home, table).empty, table


@pytest.mark.full  # the same of a home grown by a year, and of homes cut, is asked below and above
def test_a_year_more_of_history_changes_no_earlier_row(decided_home: Path, tmp_path: Path) -> None:
    longer = tmp_path / "longer"
    write_strategy(longer, market={"history_ends": "2018-06-29"})
    with living_in(longer):
        materialise(strategy_of(), "study", first=FIRST_MONTH, last="2017-08-01")
        materialise(strategy_of(), "daily", first=FIRST_LIVE, last="2017-07-05")
    assert len(recorded(longer, "decisions")) == 8 + 2
    assert_equal_up_to(LAST, decided_home, longer, months=6)
    assert assert_same_decisions(longer, decided_home, LAST) == 8


@pytest.mark.full
def test_the_same_home_grown_by_a_year_keeps_every_earlier_row(decided: Path, decided_home: Path) -> None:
    write_strategy(decided, market={"history_ends": "2018-06-29"})
    materialise(strategy_of(), "study", first=FIRST_MONTH, last="2017-07-01")
    materialise(strategy_of(), "daily", first="2017-07-03", last="2017-07-03")
    assert_equal_up_to(LAST, decided_home, decided, months=6)
    assert assert_same_decisions(decided, decided_home, LAST) == 8
    assert len(recorded(decided, "decisions")) == 9
    fitted = recorded(decided, "models")
    assert fitted["month"].is_unique  # no month was given another model
