"""``check``: what a newcomer's data are taken for, before anything is trained on them."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from nn_assets.cli.check_text import _possible_copies_text
from tests.cli.conftest import FIRST, LAST, LIVE, NEGATIVE, STRATEGY, SYMBOLS, VAULT, Answer, call, write_bars

BESIDE = """\
series:
- {name: fear, path: fear.csv, lag_minutes: 15}
universe:
  path: members.csv
"""
MEMBERS = "ticker,start_date,end_date\n" + "".join(f"{name},2010-01-04,\n" for name in (*SYMBOLS.values(), "NEVER"))
FEAR = "date,close\n2015-01-02,17.79\n2015-01-05,19.92\n2015-01-19,20.95\n"  # the last is a holiday
LAST_SEEN = "2016-04-29"  # the vault begins with the next session


_WITH_EQUAL_LIMITS = STRATEGY.replace("portfolio:\n", "portfolio:\n  session_loss_limit_fraction: 0.04\n")


@pytest.fixture
def fresh_home(tmp_path) -> Path:
    """Bars and a strategy of one's own in a home in which nothing ever ran."""
    home = tmp_path / "home"
    write_bars(home / "strategies" / "bars")
    (home / "strategies" / "mine.yaml").write_text(STRATEGY, encoding="utf-8")
    return home


@pytest.fixture(scope="module")
def first_check(tmp_path_factory) -> tuple[Path, Answer]:
    """A home that was checked once, and what was told. Read it; never write to it."""
    home = tmp_path_factory.mktemp("checked") / "home"
    write_bars(home / "strategies" / "bars")
    (home / "strategies" / "mine.yaml").write_text(_WITH_EQUAL_LIMITS, encoding="utf-8")
    return home, call(home, "check", "--strategy", "mine", "--json")


@pytest.fixture
def checked_home(first_check, tmp_path) -> Path:
    """A copy of that home, which a test may change."""
    return Path(shutil.copytree(first_check[0], tmp_path / "home"))


def sessions_after(home: Path) -> int:
    lines = (home / "strategies" / "bars" / "CON_data.csv").read_text(encoding="utf-8").splitlines()[1:]
    return len(lines) - sessions_of(home)


def sessions_of(home: Path) -> int:
    lines = (home / "strategies" / "bars" / "CON_data.csv").read_text(encoding="utf-8").splitlines()[1:]
    return sum(line[:10] <= LAST_SEEN for line in lines)


@pytest.mark.full
def test_what_came_in_is_told_and_the_next_command(first_check) -> None:
    home, answer = first_check
    assert answer.status == 0, answer.out
    document, rows, outside = answer.document, 4 * sessions_of(home), len(SYMBOLS) * sessions_after(home)
    assert document["rows"] == {
        "delivered": rows + outside,
        "outside": outside,
        "added": rows,
        "revised": 0,
        "equal_rows": 0,
    }
    assert document["symbols"] == sorted(SYMBOLS.values())
    assert (document["first_session"], document["last_session"]) == (FIRST, LAST_SEEN)
    assert LAST_SEEN < LAST
    symbol, session, close = NEGATIVE
    assert document["quarantine"]["rows"] == 1
    assert document["quarantine"]["by_rule"] == {"non_positive_price": 1}
    assert document["quarantine"]["first"] == [
        {
            "symbol": symbol, "session": session, "rule": "non_positive_price", "field": "close", "value": str(close),
            "source": "files:CON_data.csv",
        }
    ]  # fmt: skip
    assert (document["series"], document["universe"], document["intraday"]) == ([], None, None)
    assert document["gate"]["passed"] is True
    assert (document["never_delivered"], document["late_starts"]) == ({}, {})
    assert document["files"]["without_bars"] == []
    assert not document["nothing_new"]
    assert Path(document["data_docs"]) == home / "reports" / "mine-data-docs.html"
    assert Path(document["data_docs"]).is_file()
    assert document["next"] == "nn-assets study --strategy mine"
    # The data alone: no feature, no model.
    assert not (home / "lake" / "mine" / "features").exists()


@pytest.mark.full
def test_what_was_taken_in_can_be_exported(first_check, tmp_path) -> None:
    answer = call(first_check[0], "export", "bars", "--out", tmp_path / "bars.csv", "-s", "mine", "--json")
    assert (answer.status, answer.document["rows"]) == (0, 4 * sessions_of(first_check[0]) - 1)


@pytest.mark.full
def test_for_a_person_it_is_text_with_the_same_facts(checked_home) -> None:
    answer = call(checked_home, "check", "-s", "mine", "--whole")
    assert answer.status == 0, answer.err
    for part in (
        "the whole pass over all bars gives what is published",
        f"{FIRST} to {LAST_SEEN}",
        "non_positive_price 1",
        "CON 2015-03-10 non_positive_price, close -12.5",
        "mine-data-docs.html",
        "nn-assets study --strategy mine",
        "nothing is new",
    ):
        assert part in answer.out, answer.out


@pytest.mark.full
def test_a_second_run_says_that_nothing_is_new(checked_home) -> None:
    again = call(checked_home, "check", "-s", "mine", "--json")
    assert again.document["nothing_new"] is True
    # Files that reach into the vault are read again: they have more to say later.
    outside = len(SYMBOLS) * sessions_after(checked_home)
    assert again.document["rows"] == {
        "delivered": 4 * sessions_of(checked_home) + outside,
        "outside": outside,
        "added": 0,
        "revised": 0,
        "equal_rows": 0,
    }
    assert again.document["quarantine"]["rows"] == 1
    file = checked_home / "strategies" / "bars" / "CON_data.csv"
    file.write_text(file.read_text(encoding="utf-8").replace("-12.5", "12.5"), encoding="utf-8")
    mended = call(checked_home, "check", "-s", "mine", "--json").document
    assert not mended["nothing_new"]
    assert mended["rows"]["revised"] == 1
    (restated,) = mended["restated"]
    assert re.fullmatch(r"CON 2015-03-10: close -12.5 -> 12.5, known since 20\d\d-\d\d-\d\d \d\d:\d\d UTC", restated)


@pytest.mark.full
def test_a_disk_that_fills_up_in_the_middle_of_a_check_is_told_by_name_and_the_check_made_again_passes(
    fresh_home, first_check, monkeypatch
) -> None:
    """The bars are stored, the files of their publication are not: nothing is in force until all of it is written."""
    replace, written = os.replace, []

    def full(staged: Path, path: Path) -> None:
        written.append(Path(path).parent.name)
        if "quarantine" in written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(staged, path)

    (fresh_home / "strategies" / "mine.yaml").write_text(_WITH_EQUAL_LIMITS, encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        refused = call(fresh_home, "check", "-s", "mine", "--json")
    assert {"raw_bars", "validated_bars"} <= set(written)
    assert refused.status == 1
    assert (refused.document["ok"], refused.document["error"]) == (False, "NoRoomError")
    assert "make room and run again" in refused.document["message"]
    assert "Traceback" not in refused.err
    assert not (fresh_home / "lake" / "mine" / "publication" / "current.json").exists()
    again, whole = call(fresh_home, "check", "-s", "mine", "--json"), first_check[1]
    assert again.status == 0
    assert again.document["rows"]["added"] == 0, "what was finished is kept"
    own = ("run_id", "rows", "data_docs")  # a folder of its own, and bars that were stored before
    assert {key: value for key, value in again.document.items() if key not in own} == {
        key: value for key, value in whole.document.items() if key not in own
    }


@pytest.mark.full
def test_series_and_universe_are_told_too(fresh_home) -> None:
    strategies = fresh_home / "strategies"
    (strategies / "mine.yaml").write_text(STRATEGY + BESIDE, encoding="utf-8")
    (strategies / "fear.csv").write_text(FEAR, encoding="utf-8")
    (strategies / "members.csv").write_text(MEMBERS, encoding="utf-8")
    answer = call(fresh_home, "check", "-s", "mine", "--json")
    assert answer.status == 0, answer.out
    document = answer.document
    (fear,) = document["series"]
    assert (fear["name"], fear["observations"], fear["first"], fear["last"]) == ("fear", 2, "2015-01-02", "2015-01-05")
    assert document["series_rows"] == {"added": 2, "revised": 0, "quarantined": 1}
    assert document["universe"]["members"] == 5
    assert document["members_without_bars"] == [
        {"year": 2015, "members": 5, "without_bars": 1},
        {"year": 2016, "members": 5, "without_bars": 1},
    ]
    (strategies / "fear.csv").write_text(FEAR + "2015-01-06,21.12\n", encoding="utf-8")
    assert not call(fresh_home, "check", "-s", "mine", "--json").document["nothing_new"]


@pytest.mark.full
def test_notices_are_counted_and_the_first_ten_shown(fresh_home) -> None:
    # Bars three times their neighbours, each symbol's on days of its own: nothing of the market explains them.
    for number, file in enumerate(sorted((fresh_home / "strategies" / "bars").glob("*.csv"))):
        header, *lines = file.read_text(encoding="utf-8").splitlines()
        for index in range(100 + 7 * number, 300, 40):
            day, *prices, volume = lines[index].split(",")
            lines[index] = ",".join([day, *(str(3.0 * float(price)) for price in prices), volume])
        file.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    document = call(fresh_home, "check", "-s", "mine", "--json").document
    assert document["notices"]["count"] > 10
    assert len(document["notices"]["first"]) == 10
    assert sum(document["notices"]["by_rule"].values()) == document["notices"]["count"]
    shown = call(fresh_home, "check", "-s", "mine").out
    assert f"and {document['notices']['count'] - 10} more: nn-assets export notices" in shown
    out = fresh_home.parent / "notices.csv"
    answer = call(fresh_home, "export", "notices", "--out", out, "-s", "mine", "--json")
    assert answer.document["rows"] == document["notices"]["count"], answer.out


@pytest.mark.full
def test_a_source_at_fault_is_the_usual_error(fresh_home) -> None:
    (fresh_home / "strategies" / "bars" / "CON_data.csv").unlink()
    answer = call(fresh_home, "check", "-s", "mine", "--json")
    assert answer.status == 1
    assert answer.document["error"] == "SourceError"
    assert "no bar of CON" in answer.document["message"]
    first, last = answer.document["message"].splitlines()[0], answer.document["message"].splitlines()[-1]
    assert "Remedy: " in first
    assert last.startswith(f"step mine__raw_bars failed in run {answer.document['run_id']} of ")


@pytest.mark.full
def test_every_file_at_fault_is_told_at_once(fresh_home) -> None:
    for name in ("CON", "NAN"):
        file = fresh_home / "strategies" / "bars" / f"{name}_data.csv"
        file.write_text(file.read_text(encoding="utf-8") + "2016-05-31,1,2,1,halted,10\n", encoding="utf-8")
    message = call(fresh_home, "check", "-s", "mine", "--json").document["message"]
    assert "CON_data.csv" in message
    assert "NAN_data.csv" in message


@pytest.fixture(scope="module")
def halted_check(tmp_path_factory) -> tuple[Path, Answer]:
    """A home whose first delivery the gate refused, and what was told. Read it; never write to it."""
    home = tmp_path_factory.mktemp("halted") / "home"
    write_bars(home / "strategies" / "bars")
    (home / "strategies" / "mine.yaml").write_text(STRATEGY, encoding="utf-8")
    file = home / "strategies" / "bars" / "CON_data.csv"
    header, *lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join([header, *(line.replace(",", ",-", 1) for line in lines)]) + "\n", encoding="utf-8")
    return home, call(home, "check", "-s", "mine", "--json")


def test_a_gate_that_halts_is_told_with_what_came_in_and_every_check_that_failed(halted_check) -> None:
    home, answer = halted_check
    document, rows = answer.document, sessions_of(home)
    assert answer.status == 1
    assert (document["ok"], document["error"]) == (False, "GateHalted")
    assert document["published_to"] is None
    assert (document["rows"]["added"], document["symbols"]) == (4 * rows, ["BRK.B", "NAN", "TRUE"])
    assert document["quarantine"]["by_rule"] == {"non_positive_price": rows}
    failed = {check["name"]: check for check in document["gate"]["failed"]}
    assert set(failed) == {"quarantined_share", "missing_symbols"}
    assert len(failed["quarantined_share"]["violations"]) == rows
    assert {check["name"] for check in document["failed_checks"]} == {f"validated_bars.{name}" for name in failed}
    message = document["message"]  # as of any run that failed
    assert "rule quarantined_share" in message
    assert message.count("Remedy: ") == 1
    text, _, remedy = message.partition("\nRemedy: ")
    assert "\n  - CON " in text
    remedy, _, run = remedy.partition("\n")
    assert "gate.max_quarantined_fraction" in remedy
    assert run.startswith(f"step mine__validated_bars failed in run {document['run_id']} of ")
    assert "\n" not in run


def test_for_a_person_a_halt_ends_with_the_first_line_of_status_and_is_one_alert(halted_check) -> None:
    home, answer = halted_check
    lines = call(home, "status", "-s", "mine").out.splitlines()
    assert answer.document["headline"].splitlines() == lines[: answer.document["headline"].count("\n") + 1]
    assert lines[0].startswith("mine HALTED: the gate halted on ")
    assert (lines[0].count("the gate halted"), lines[0].count("quarantined_share")) == (1, 1)
    assert len(lines[0].partition("; ")[0]) < 400
    (alert,) = [json.loads(line) for line in (home / "alerts.jsonl").read_text(encoding="utf-8").splitlines()]
    assert alert["headline"] == answer.document["headline"]
    assert alert["cause"].startswith("mine__validated_bars: the gate halted: quarantined_share: ")
    assert "missing_symbols: 1 of 4 symbols" in alert["cause"]
    assert len(alert["cause"]) < 400
    assert "gate.max_quarantined_fraction" in alert["remedy"]


def test_a_halt_as_text_has_the_facts_the_rows_and_the_remedy_and_mended_data_pass(halted_check, tmp_path) -> None:
    home = Path(shutil.copytree(halted_check[0], tmp_path / "home"))
    shown = call(home, "check", "-s", "mine")
    rows = sessions_of(home)
    assert shown.status == 1
    for part in (
        "mine: data taken in and refused: nothing was published before, so that nothing can be studied or decided",
        f"quarantine  {rows:,}: non_positive_price {rows:,}",
        "gate        HALTED by quarantined_share, missing_symbols",
        "missing_symbols: 1 of 4 symbols (25.0%) lack a current bar, limit 10.0%. Remedy: ask the source for",
        f"  - CON {FIRST}: non_positive_price, open -",
        f"- and {rows - 5:,} more",
        f"first model 2016-01, from bars that begin {FIRST}; every feature is there from ",
        "next        mend the data at the source, then nn-assets check --strategy mine",
    ):
        assert part in shown.out, shown.out
    assert shown.out.splitlines()[-1].startswith("mine HALTED: the gate halted on ")
    file = home / "strategies" / "bars" / "CON_data.csv"
    file.write_text(file.read_text(encoding="utf-8").replace(",-", ","), encoding="utf-8")
    earlier, later = _give_one_session_anothers_bars(home)
    mended = call(home, *["check", "-s", "mine"])
    assert mended.status == 0
    head, *lines = mended.out.splitlines()
    assert head == (
        f"mine: data taken in; 2 bars kept equal a later session's and may hold prices of the future: {earlier} (2)"
    )
    first = lines[next(at for at, line in enumerate(lines) if line.startswith("  notices ")) + 1].strip()
    assert first.startswith(f"many symbols {later}: copied_session 0.5: 2 of 4 symbols (50%), NAN among them, have ")


def _give_one_session_anothers_bars(home: Path) -> tuple[str, str]:
    """Two of the four symbols' bars of one session as of a later session too; which two."""
    for name in ("NAN", "TRUE"):
        file = home / "strategies" / "bars" / f"{name}_data.csv"
        lines = file.read_text(encoding="utf-8").splitlines()
        earlier, later = lines[101][:10], lines[110][:10]
        lines[110] = later + lines[101][10:]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return earlier, later


def test_data_that_end_are_one_cause_and_the_next_command_says_what_lets_them_pass(fresh_home) -> None:
    """That the remedy helps is tried in ``tests/operations/test_ends_of_history.py``."""
    open_ended = re.sub(r"  (history_ends|vault_starts): .*\n", "", STRATEGY)
    (fresh_home / "strategies" / "mine.yaml").write_text(open_ended, encoding="utf-8")
    halted = call(fresh_home, "check", "-s", "mine")
    assert halted.status == 1
    lines = halted.out.split("\n  gate ")[1].splitlines()
    assert lines[0].split() == ["HALTED", "by", "freshness"]
    end = f"where the data end there, set market.history_ends to {LAST}"
    assert f"  next        {end}; else mend the data at the source, then nn-assets check --strategy mine" in halted.out
    for other in ("missing_symbols", "missing_sessions", "stale_feed", "fresh_symbols", "usual_", "complete_symbols"):
        assert other not in halted.out, other
    assert halted.out.splitlines()[-1].count("nn-assets study --strategy mine") == 1
    assert "nn-assets run" not in halted.out


def test_a_studied_strategy_is_sent_on_to_its_first_undecided_session(own_home) -> None:
    document = call(own_home, "check", "-s", "mine", "--json").document
    assert document["next"] == f"nn-assets run --strategy mine --from {LIVE[2]}"
    assert document["nothing_new"] is True
    assert call(own_home, *document["next"].split()[1:]).status == 0
    decided = call(own_home, "check", "-s", "mine", "--json")
    assert decided.status == 0, decided.out
    assert decided.document["next"] == "nn-assets status --strategy mine"


def test_a_history_too_short_for_a_model_is_told_now(fresh_home) -> None:
    short = STRATEGY.replace("training_months: 6", "training_months: 36").replace(f"  live_starts: {LIVE[0]}\n", "")
    (fresh_home / "strategies" / "mine.yaml").write_text(short, encoding="utf-8")
    document = call(fresh_home, "check", "-s", "mine", "--json").document
    assert document["next"].startswith("bring bars from 2012-10-01 or earlier on, set market.history_starts there")
    assert "2018-07" in document["history_too_short"]


def test_bars_never_delivered_known_ahead_late_or_too_early_and_late_starts_are_told_apart(fresh_home) -> None:
    bars = fresh_home / "strategies" / "bars"
    for name, gone in (("NAN", range(1, 4)), ("CON", (50,))):
        file = bars / f"{name}_data.csv"
        lines = file.read_text(encoding="utf-8").splitlines()
        file.write_text("\n".join(line for at, line in enumerate(lines) if at not in gone) + "\n", encoding="utf-8")
    file = bars / "TRUE_data.csv"
    header, *lines = file.read_text(encoding="utf-8").splitlines()
    moments = {"2015-09-01": "2099-01-04T21:00Z", "2015-09-02": "2099-01-04T21:00Z"}  # in the future
    moments |= {"2015-09-04": "2015-09-04T17:00Z"}  # before the close
    moments |= {"2015-09-08": "2015-09-21T21:00Z"}  # long after it
    with_moments = [f"{line},{moments.get(line[:10], '')}" for line in lines]
    file.write_text("\n".join([f"{header},known_at", *with_moments]) + "\n", encoding="utf-8")
    with_sectors = STRATEGY.replace("portfolio:\n", "portfolio:\n  sectors: {CONN: banks, NAN: banks}\n")
    (fresh_home / "strategies" / "mine.yaml").write_text(with_sectors, encoding="utf-8")
    answer = call(fresh_home, "check", "-s", "mine")
    assert answer.status == 0, answer.out
    outside = len(SYMBOLS) * sessions_after(fresh_home)
    for line in (
        "missing     1 bar never delivered: CON 1 on 2015-03-16",
        "late starts 1: NAN 2015-01-07",
        "known ahead 2 bars came with a known_at in the future, missing until then: TRUE 2 from 2015-09-01 on;",
        "known late  1 bar is known only after the decision of the same session, which lacks it: TRUE 1 on 2015-09-08;",
        "TRUE 2015-09-04 unfinished_last_bar, known_at 2015-09-04 17:00:00+00:00, before the bar ended (files:",
        f"vault       {outside} rows held out, of sessions of the vault, which begins {VAULT} (market.vault_starts)",
        "unknown     portfolio.sectors names CONN, which is no symbol of these data, and has no effect: did you mean",
    ):
        assert line in answer.out, answer.out
    assert "of other symbols or sessions" not in answer.out


def test_of_a_universe_a_symbol_is_late_by_its_membership_and_owes_nothing_outside_of_it(fresh_home) -> None:
    """NAN joins in June, with bars from two sessions later on; TRUE joins with its bars; CON leaves with its bars."""
    strategies, joined, left = fresh_home / "strategies", "2015-06-01", "2016-02-01"
    members = {"BRK.B": ("2010-01-04", ""), "NAN": (joined, ""), "TRUE": (joined, ""), "CON": ("2010-01-04", left)}
    lines = [f"{name},{first},{last}" for name, (first, last) in members.items()]
    (strategies / "members.csv").write_text("\n".join(["ticker,start_date,end_date", *lines]) + "\n", encoding="utf-8")
    (strategies / "mine.yaml").write_text(STRATEGY + "universe:\n  path: members.csv\n", encoding="utf-8")
    for name, first, last in (("NAN", "2015-06-03", "9"), ("TRUE", joined, "9"), ("CON", "", left)):
        file = strategies / "bars" / f"{name}_data.csv"
        head, *rows = file.read_text(encoding="utf-8").splitlines()
        kept = [row for row in rows if first <= row[:10] < last]
        file.write_text("\n".join([head, *kept]) + "\n", encoding="utf-8")
    answer = call(fresh_home, "check", "-s", "mine", "--json")
    assert answer.status == 0, answer.out
    assert answer.document["late_starts"] == {"NAN": "2015-06-03"}
    assert answer.document["never_delivered"] == {}


def test_actions_and_a_second_source_are_told_with_what_is_left_out_and_what_it_could_not_judge(fresh_home) -> None:
    rows = ["CON,2015-06-01,split,2", "CON,2014-06-02,split,2", "ABC,2015-06-01,dividend,0.1", f"CON,{LAST},split,2"]
    strategies = fresh_home / "strategies"
    (strategies / "actions.csv").write_text("\n".join(["symbol,ex_session,kind,value", *rows]) + "\n", encoding="utf-8")
    day = "2015-09-01"
    write_bars(strategies / "venue")
    (strategies / "venue" / "NAN_data.csv").unlink()
    file = strategies / "venue" / "TRUE_data.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    columns, at = lines[0].split(","), next(at for at, line in enumerate(lines) if line.startswith(day))
    cells = dict(zip(columns, lines[at].split(","), strict=True))
    high = next(name for name in columns if name.lower() == "high")
    cells[high] = str(float(cells[high]) * 1.2)
    file.write_text("\n".join([*lines[:at], ",".join(cells.values()), *lines[at + 1 :]]) + "\n", encoding="utf-8")
    named = STRATEGY.replace("source:\n", "source:\n  actions_path: actions.csv\n")
    named = named.replace("market:\n", "market:\n  compare_with: {kind: files, path: venue}\n")
    named = named.replace("learning:\n", "learning:\n  baselines: [linear]\n")
    (strategies / "mine.yaml").write_text(named, encoding="utf-8")
    answer = call(fresh_home, "check", "-s", "mine")
    assert answer.status == 0, answer.out
    assert (
        "  baselines   learning.baselines leaves out boosting: a study does not judge the network beside" in answer.out
    )
    line = "actions     1 splits and dividends, 1 added, 0 revised, 3 of other symbols or sessions left out"
    assert line in answer.out
    for left_out in ("CON 2014-06-02 (split, actions:actions.csv)", "ABC 2015-06-01 (dividend, actions:actions.csv)"):
        assert left_out in answer.out
    judged, unjudged = 3 * sessions_of(fresh_home), sessions_of(fresh_home)
    assert f"compared    {judged:,} bars with those of files, {unjudged:,} without one that was known in" in answer.out
    assert f"TRUE {day}: odd_print_elsewhere" in answer.out


def test_limits_that_are_equal_are_told(first_check) -> None:
    answer = first_check[1]
    (message,) = answer.document["breakers"]
    assert message.startswith("portfolio.session_loss_limit_fraction 0.04 equals portfolio.weekly_loss_limit_fraction")


def test_the_first_line_names_sessions_of_most_possible_copies_first() -> None:
    by_session = {f"2014-{month:02d}-03": month % 3 + 1 for month in range(1, 13)}
    by_session |= {"2015-01-02": 42, "2013-01-02": 42}
    text = _possible_copies_text(by_session)
    assert text.startswith("; 108 bars kept equal a later session's and may hold prices of the future: ")
    assert text.partition("future: ")[2].startswith("2013-01-02 (42), 2015-01-02 (42), 2014-02-03 (3), 2014-05-03 (3)")
    assert text.endswith(", and 2 more")
    assert _possible_copies_text({}) == ""
    assert _possible_copies_text({"2015-01-02": 1}).startswith("; 1 bar kept equals a later session's")
