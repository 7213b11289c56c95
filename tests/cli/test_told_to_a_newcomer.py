"""What a first user's slips are answered with: what is missing by name, and the command that goes on from there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.cli.check_text import gap_lines
from nn_assets.cli.ledger import lined_up
from nn_assets.errors import SettingsError
from nn_assets.operations.strategy_files import parse_strategy
from nn_assets.settings import LabelSettings
from tests.cli.conftest import LIVE, STRATEGY, call

FRESH = "planted_edge"


def test_a_fresh_home_is_told_to_check_first_and_run_refuses_before_anything_is_loaded(tmp_path: Path) -> None:
    headline = call(tmp_path, "status", "-s", FRESH).out.splitlines()[0]
    assert headline.endswith(f"A person is needed: nn-assets check --strategy {FRESH}.")
    refused = call(tmp_path, "run", "-s", FRESH, "--json")
    assert refused.status == 1
    assert refused.document["error"] == "ModelError"  # and not that sessions before it are undecided
    assert f"Remedy: nn-assets study --strategy {FRESH}" in refused.document["message"]
    first = call(tmp_path, "run", "-s", FRESH, "--from", "2017-12-15", "--json")
    assert first.document["error"] == "ModelError"
    assert f"nn-assets study --strategy {FRESH}" in first.document["message"]
    assert not (tmp_path / "lake").exists()
    assert not (tmp_path / "dagster").exists()


def test_the_version_is_told(tmp_path: Path) -> None:
    answer = call(tmp_path, "--version")
    assert answer.status == 0
    assert answer.out == "nn-assets 0.1.0\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("market: {history_starts: 2010-01-04}\n", "name is missing: add `name: mine` (line 1)"),
        ("name: demo\n", "market is missing: add `market:` (line 1)"),
        ("name: demo\nmarket:\n  calendar: XNYS\n", "market.history_starts is missing: add `history_starts:` (line 2)"),
        (
            "name: demo\nmarket: {history_starts: 2010-01-04}\nseries:\n- {name: fear}\n",
            "series.0.path is missing: add `path:` (line 4)",
        ),
    ],
)
def test_a_key_that_is_missing_is_said_to_be(text: str, expected: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_strategy(text, file="/some/where/mine.yaml")
    assert refused.value.found == expected
    assert "delete" not in refused.value.remedy


def test_the_remedy_for_a_missing_name_works() -> None:
    assert parse_strategy("name: mine\nmarket: {history_starts: 2010-01-04}\n").name == "mine"


def test_a_query_for_what_is_not_on_record_says_so_by_name(give) -> None:
    def asked(*values: str) -> tuple[int, str]:
        answer = give(
            "query", "why_this_size", "-s", "mine", *(word for value in values for word in ("--value", value))
        )
        return answer.status, answer.out + answer.err

    status, text = asked(f"session={LIVE[0]}", "symbol=NOBODY")
    assert status == 1
    assert "no symbol NOBODY was decided" in text
    assert "CON" in text
    status, text = asked("session=2016-04-24", "symbol=CON")  # a Sunday
    assert status == 1
    assert f"no decision of mine on 2016-04-24; there are those from {LIVE[0]} to {LIVE[1]}" in text
    status, text = asked(f"session={LIVE[0]}", "symbol=CON", "symbol=NOBODY")
    assert status == 1
    assert " signal " in text
    assert "no symbol NOBODY" in text


@pytest.mark.parametrize("day", ["20-11-2026", "x", ""])
def test_a_day_that_is_none_is_said_to_be_and_the_database_not_blamed(give, day: str) -> None:
    answer = give(
        "query", "why_this_size", "-s", "mine", "--value", f"session={day}", "--value", "symbol=CON", "--json"
    )
    assert answer.status == 1
    assert "expected a day as YYYY-MM-DD for session" in answer.document["message"]
    assert "database" not in answer.document["message"]


def test_a_query_without_its_values_gives_an_example_that_works(give) -> None:
    answer = give("query", "why_this_size", "-s", "mine", "--json")
    assert answer.status == 1
    _, example = answer.document["message"].split("such as nn-assets ")
    again = give(*example.split())
    assert again.status == 0
    assert "nothing" not in again.out


def test_a_table_is_lined_up_without_blanks_to_the_right() -> None:
    frame = pd.DataFrame({"step": [1, 10], "rule": ["a", "longer"], "reason": ["short", "x" * 80]})
    assert lined_up(frame).splitlines() == [
        "step rule   reason",
        "   1 a      short",
        "  10 longer " + "x" * 80,
    ]


def test_restated_says_what_it_is_about_where_nothing_was(give) -> None:
    assert "export bars" in give("query", "restated", "-s", "mine").out
    document = give("query", "restated", "-s", "mine", "--json").document  # it was a list of no rows, and no word
    assert document["rows"] == []
    assert "bars restated by a source are in nn-assets export bars" in document["note"]


def test_what_is_missing_is_named_with_its_first_session() -> None:
    assert gap_lines({"Q05": 1, "Q07": 12}, {"Q05": "2026-09-03", "Q07": "2026-09-04"}) == [
        "Q05 1 on 2026-09-03",
        "Q07 12 from 2026-09-04 on",
    ]


def test_a_history_that_is_too_short_is_told_what_to_bring(finished_home: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    bars = home / "strategies" / "bars"
    bars.mkdir(parents=True)
    for file in (finished_home / "strategies" / "bars").iterdir():
        header, *rows = file.read_text(encoding="utf-8").splitlines()
        kept = [row for row in rows if row >= "2015-10-01"]
        (bars / file.name).write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")
    other = f"{header}\n2016-01-04,10,11,9,10,1000\n2016-05-03,10,11,9,10,1000\n"  # the second lies in the vault
    (bars / "OTHER.csv").write_text(other, encoding="utf-8")
    text = STRATEGY.replace("history_starts: 2015-01-02", "history_starts: 2015-10-01").replace(
        "  calendar: XNYS\n", ""
    )
    text = text.replace("  live_starts: 2016-04-27\n", "").replace("  horizon_sessions: 3\n", "")
    (home / "strategies" / "mine.yaml").write_text(text, encoding="utf-8")
    answer = call(home, "check", "-s", "mine")
    assert answer.status == 0, answer.err
    assert "calendar    XNYS, since market.calendar is left out" in answer.out
    horizon = LabelSettings().horizon_sessions
    assert f"label       a horizon of {horizon} sessions, since label.horizon_sessions is left out\n" in answer.out
    outside = answer.out.split("\n  outside ")[1].splitlines()[0]
    assert "rows of other symbols or sessions left out: OTHER 2016-01-04 (files:OTHER.csv), and " in outside
    assert "2016-05" not in outside
    remedy = answer.out.split("next")[-1]
    assert "bring bars from 2015-04-01 or earlier on, set market.history_starts there" in remedy
    shutil.rmtree(bars)  # the remedy
    shutil.copytree(finished_home / "strategies" / "bars", bars)
    text = text.replace("history_starts: 2015-10-01", "history_starts: 2015-04-01")
    (home / "strategies" / "mine.yaml").write_text(text, encoding="utf-8")
    assert "nn-assets study --strategy mine" in call(home, "check", "-s", "mine").out.split("next")[-1]


def test_bars_are_exported_as_corrected_also_where_the_decision_came_before(own_home: Path, tmp_path: Path) -> None:
    file = own_home / "strategies" / "bars" / "CON_data.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    index = next(number for number, line in enumerate(lines) if line.startswith(LIVE[0]))
    cells = lines[index].split(",")
    was, cells[5] = cells[5], str(float(cells[5]) + 1.0)  # the volume
    lines[index] = ",".join(cells)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert call(own_home, "check", "-s", "mine").status == 0

    def volume(*options: str) -> float:
        out = tmp_path / "bars.parquet"
        answer = call(
            own_home, "export", "bars", "--out", out, "-s", "mine", "--from", LIVE[0], "--to", LIVE[0], *options
        )
        assert answer.status == 0, answer.err
        bars = pd.read_parquet(out)
        return float(bars.loc[bars["symbol"] == "CON", "volume"].iloc[0])

    assert volume() == float(was) + 1.0
    assert volume("--as-of", "2016-04-28") == float(was)
