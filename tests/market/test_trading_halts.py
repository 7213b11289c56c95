"""Halts of instruments as facts: read from files, known from a moment on, and judged by the gate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.contracts import HALTS, QUARANTINE, empty
from nn_assets.errors import SourceError
from nn_assets.market.facts.trading_halts import halted_on, halts_as_of, new_halts
from nn_assets.market.quality.cleaning import Cleaned
from nn_assets.market.quality.gate import inspect
from nn_assets.settings import GateSettings
from nn_assets.sources.tables.halts_file import read_halts_file
from tests.market.builders import sound_bars

ARRIVAL = pd.Timestamp("2018-03-01T12:00:00Z")


def moment(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def read(tmp_path: Path, text: str) -> pd.DataFrame:
    (tmp_path / "halts.csv").write_text(text)
    return read_halts_file(tmp_path, "halts.csv")


@pytest.mark.parametrize(
    ("text", "spells"),
    [
        ("symbol,from,to\nA,2018-01-03,2018-01-05\n", [("2018-01-03", "2018-01-06")]),
        ("ticker,halted_from,resumes\nA,2018-01-03,2018-01-05\nA,2018-02-01,\n",
         [("2018-01-03", "2018-01-05"), ("2018-02-01", "NaT")]),
        ("symbol,session\nA,2018-01-03\nA,2018-01-04\n", [("2018-01-03", "2018-01-04"), ("2018-01-04", "2018-01-05")]),
        ("symbol,halted_from,halted_to,known_at\n", []),
    ],
)  # fmt: skip
def test_a_file_says_from_when_to_when_in_any_of_three_ways_and_a_header_alone_says_nobody(
    tmp_path: Path, text: str, spells: list[tuple[str, str]]
) -> None:
    halts = read(tmp_path, text)
    made = [(str(row.halted_from)[:10], str(row.resumes)[:10]) for row in halts.itertuples()]
    assert made == spells


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        ("A,2018-01-05,2018-01-03", "halts_end_after_they_begin"),
        ("A,2018-01-03,2018-01-09\nA,2018-01-05,2018-01-12", "halts_do_not_overlap"),
        ("A,2018-01-03,\nA,2018-01-05,", "halts_do_not_overlap"),
        ("A,soon,", "values_of_their_kind"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(tmp_path: Path, rows: str, rule: str) -> None:
    with pytest.raises(SourceError, match=rule):
        read(tmp_path, f"symbol,halted_from,resumes\n{rows}\n")


def test_a_halt_that_becomes_known_late_changes_no_earlier_session_and_one_withdrawn_ends(tmp_path: Path) -> None:
    sessions = pd.bdate_range("2018-01-01", "2018-01-12").as_unit("ns")
    closes = pd.DatetimeIndex(sessions + pd.Timedelta(hours=21)).tz_localize("UTC")
    text = "symbol,from,to,known_at\nA,2018-01-03,2018-01-05,\nB,2018-01-04,2018-01-09,2018-01-08T12:00:00Z\n"
    delivered = read(tmp_path, text)
    fresh, counted = new_halts(empty(HALTS), delivered, ARRIVAL)
    assert counted.added == 2
    halted = halted_on(fresh, ("A", "B"), sessions, closes)
    days = [set(sessions[halted[:, column]].strftime("%d")) for column in (0, 1)]
    assert days == [{"03", "04", "05"}, {"08", "09"}]  # of B nothing was known before the 8th
    now = halted_on(fresh, ("B",), sessions, pd.DatetimeIndex([ARRIVAL] * len(sessions)))
    assert set(sessions[now[:, 0]].strftime("%d")) == {"04", "05", "08", "09"}
    again, unchanged = new_halts(fresh, delivered, ARRIVAL + pd.Timedelta(days=1))
    assert (len(again), unchanged.unchanged) == (0, 2)
    later = ARRIVAL + pd.Timedelta(days=2)
    gone, counted = new_halts(fresh, delivered[:1], later)
    assert counted.revised == 1
    both = pd.concat([fresh, gone], ignore_index=True)
    assert halts_as_of(both, later)["symbol"].tolist() == ["A"]
    np.testing.assert_array_equal(halted_on(both, ("A", "B"), sessions, closes), halted)


def test_what_arrives_after_a_decision_was_not_known_by_it_even_on_a_first_delivery(tmp_path: Path) -> None:
    delivered = read(tmp_path, "symbol,from,to,known_at\nA,2018-01-03,2018-01-05,2018-01-03T12:00:00Z\n")
    fresh, _ = new_halts(empty(HALTS), delivered, ARRIVAL, decided_at=moment("2018-02-01T21:00:00"))
    assert fresh["known_at"].tolist() == [ARRIVAL]


@pytest.mark.parametrize("halted_sessions", [0, 2, 3])
def test_the_gate_counts_halted_sessions_neither_as_missing_nor_as_stale(halted_sessions: int) -> None:
    bars = sound_bars(("AAA", "BBB", "CCC"), count=12)
    sessions = pd.DatetimeIndex(bars["session"].unique())
    came = bars[~((bars["symbol"] == "BBB") & (bars["session"] >= sessions[-3]))]
    halted = np.zeros(12, dtype=bool)
    halted[-halted_sessions or 12 :] = True
    expected = np.ones((12, 3), dtype=bool)
    expected[halted, 1] = False
    judged = inspect(
        Cleaned(came.reset_index(drop=True), empty(QUARANTINE), ()),
        ("AAA", "BBB", "CCC"),
        sessions,
        GateSettings(),
        members=expected,
        halted={"BBB": halted} if halted.any() else {},
    )
    by_name = {check.name: check for check in judged.checks}
    symbols, missing = by_name["missing_symbols"], by_name["missing_sessions"]
    assert symbols.passed is (halted_sessions > 0)
    assert missing.detail.startswith(f"{3 - halted_sessions} of {36 - halted_sessions} bars due")


@pytest.mark.parametrize("resumed", [False, True])
def test_where_all_are_halted_nothing_is_late_and_the_first_bar_after_it_is_due_again(resumed: bool) -> None:
    bars = sound_bars(("AAA",), count=8)
    sessions = pd.DatetimeIndex(bars["session"].unique())
    came = bars[bars["session"] < sessions[-3]].reset_index(drop=True)
    halted = np.arange(8) >= 5
    halted[-1] = not resumed
    judged = inspect(
        Cleaned(came, empty(QUARANTINE), ()),
        ("AAA",),
        sessions,
        GateSettings(),
        members=~halted[:, None],
        halted={"AAA": halted},
    )
    assert judged.passed is not resumed
    failed = {check.name for check in judged.failures}
    assert failed == ({"missing_symbols", "missing_sessions", "freshness"} if resumed else set())
    assert all(check.passed for check in judged.checks if check.name == "stale_feed") is not resumed
