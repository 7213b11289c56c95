"""The daily round, the study, the controls, and calls that are wrong."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.cli.runs import run_rounds
from nn_assets.errors import ModelError
from nn_assets.operations.asof.decisions import decided_sessions
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.days import play_days
from nn_assets.operations.facts import StoredFacts
from nn_assets.operations.history import open_history
from nn_assets.operations.situation import of_bars
from nn_assets.operations.stores import open_stores
from tests.cli.conftest import LIVE, STRATEGY, SYMBOLS, VAULT, call
from tests.first_lines import in_one_sentence
from tests.orchestration.conftest import living_in

COMMANDS = (
    ("demo",),
    ("check",),
    ("run",),
    ("study",),
    ("search",),
    ("export",),
    ("import-fills",),
    ("status",),
    ("audit", "verify"),
    ("control", "kill-switch"),
    ("control", "reset-breaker"),
)


def program() -> str:
    beside = Path(sys.executable).with_name("nn-assets")
    return str(beside) if beside.exists() else str(shutil.which("nn-assets"))


def started(home: Path, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Give a command as a person does: another process, another folder."""
    environment = os.environ | {"NN_ASSETS_HOME": str(home), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    environment.pop("NN_ASSETS_DATABASE_URL", None)
    return subprocess.run(
        [program(), *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


# --- the daily round ---------------------------------------------------------------------------------------


def test_a_run_decides_sessions_in_order_and_says_what_to_hold(own_home, give_own) -> None:
    answer = give_own("run", "--strategy", "mine", "--from", LIVE[1], "--json")
    assert answer.status == 0
    document = answer.document
    assert document["sessions"] == list(LIVE[1:])  # the first of them decided before, the last one now
    assert (document["strategy"], document["session"]) == ("mine", LIVE[2])
    assert set(document["targets"]) == set(SYMBOLS.values())
    assert document["equity_usd"] > 0
    assert document["trading_state"] in {"CONTINUE", "REDUCE_SIZE", "PAUSE_STRATEGY"}
    state = give_own("status", "-s", "mine", "--json").document["strategies"]["mine"]
    assert (state["decided_to"], state["undecided_sessions"]) == (LIVE[2], 0)
    assert (own_home / "reports" / f"mine-{LIVE[2]}.html").is_file()


@pytest.mark.full
def test_symbols_without_a_bar_of_the_session_are_named_by_the_run_and_in_every_first_line(own_home, give_own) -> None:
    edit = own_home / "strategies" / "mine.yaml"
    edit.write_text(f"{STRATEGY}gate:\n  max_missing_symbols_fraction: 0.3\n", encoding="utf-8")
    file = own_home / "strategies" / "bars" / "NAN_data.csv"
    header, *lines = file.read_text(encoding="utf-8").splitlines()
    day, rest = next(line.split(",", maxsplit=1) for line in lines if line.startswith(LIVE[2]))
    restated = f"{day},-{rest},{LIVE[2]}T20:30:00Z"  # contradicts the bar taken in, as of the same moment
    rows = [restated if line.startswith(day) else f"{line}," for line in lines]
    file.write_text("\n".join([f"{header},known_at", *rows]) + "\n", encoding="utf-8")
    expected = f"1 of 4 symbols has no bar of {LIVE[2]} and was decided without: NAN"
    with living_in(own_home):
        answer = run_rounds("mine", LIVE[2])
        with open_stores() as stores:
            facts = StoredFacts.of(stores, find_strategy("mine").strategy)
            (fault,) = of_bars(facts, pd.Timestamp(LIVE[2]), {"symbols": facts.strategy.market.symbols})
    assert answer["without_bars"] == {LIVE[2]: ["NAN"]}
    lines = answer["text"].splitlines()
    assert expected in lines
    assert expected in in_one_sentence(answer["text"])
    status = in_one_sentence(give_own("status", "-s", "mine").out)
    assert status == in_one_sentence(answer["text"])
    # NAN is held, which says more; of a symbol that is not, check tells.
    assert (fault.why, fault.remedy) == (expected, "nn-assets check --strategy mine tells why bars are missing")
    shown = give_own("check", "-s", "mine").out
    # Once, with both of its contents, and with what a person can do.
    (row,) = [line for line in shown.splitlines() if f"NAN {LIVE[2]} duplicate, row open " in line]
    assert row.count("open ") == 2
    assert "open -" in row
    assert row.endswith("(files:NAN_data.csv): ask the source which row is right")


@pytest.mark.full
def test_a_round_run_again_changes_nothing_that_was_decided(give_own, tmp_path) -> None:
    def decided() -> list[bytes]:
        files = [tmp_path / f"{table}.csv" for table in ("signals", "positions", "orders", "fills", "drift")]
        for file in files:
            assert give_own("export", file.stem, "--out", file, "-s", "mine").status == 0
        return [file.read_bytes() for file in files]

    before = decided()
    again = give_own("run", "-s", "mine", "--session", LIVE[1], "--json")
    assert again.status == 0
    assert "decided before, and equal" in again.err
    assert decided() == before
    verified = give_own("audit", "verify", "--json").document
    assert verified["ok"]
    assert give_own("audit", "verify", "--head", verified["head"]).status == 0
    sequence, digest = verified["head"].split(":")
    assert give_own("audit", "verify", "--head", f"{int(sequence) + 1}:{digest}").status == 1
    assert give_own("audit", "verify", "--head", "nonsense").status == 1


ROUNDS_REFUSED = {
    "in the vault": ([VAULT], ["2016-04-29", "sealed"]),
    "after the vault began": (["2016-05-10"], ["2016-05-10", "sealed"]),
    "a Saturday": (["2016-04-30"], ["XNYS", "'2016-04-30'"]),
    "a holiday": (["2016-03-25"], ["XNYS", "'2016-03-25'"]),
    "before the first live session": (["2016-04-26"], [LIVE[0], "live_starts"]),
    "a date that is none": (["2016-02-30"], ["YYYY-MM-DD", "'2016-02-30'"]),
    "a time": (["2016-04-28T20:00Z"], ["YYYY-MM-DD", "T20:00Z"]),
    "a word": (["yesterday"], ["YYYY-MM-DD", "'yesterday'"]),
    "nothing": ([""], ["YYYY-MM-DD", "''"]),
}


@pytest.mark.parametrize("case", ROUNDS_REFUSED)
def test_a_session_that_cannot_be_decided_is_refused_by_name(give, case) -> None:
    (session,), expected = ROUNDS_REFUSED[case]
    answer = give("run", "-s", "mine", "--session", session, "--json")
    assert answer.status == 1
    message = answer.document["message"]
    assert all(part in message for part in (*expected, "expected", "found", "Remedy")), message
    assert "Traceback" not in answer.err


SPANS_REFUSED = {
    "the wrong way round": (["--from", LIVE[2], "--to", LIVE[0]], f"{LIVE[2]} to {LIVE[0]}"),
    "both ways": (["--session", LIVE[2], "--from", LIVE[2]], "--session / --from / --to"),
    "no beginning": (["--to", LIVE[2]], "--from where to begin"),
    "from the vault on": (["--from", LIVE[2], "--to", VAULT], "sealed"),
    "from before the first live session on": (["--from", "2016-04-26"], "live_starts"),
    "from a day that is none": (["--from", "2016-04-30"], "key --from"),
}


@pytest.mark.parametrize("case", SPANS_REFUSED)
def test_sessions_that_cannot_be_decided_are_refused_by_name(give, case) -> None:
    words, expected = SPANS_REFUSED[case]
    answer = give("run", "-s", "mine", *words, "--json")
    assert answer.status == 1
    assert expected in answer.document["message"]


def test_a_live_start_before_what_was_decided_is_refused_before_dagster_starts(own_home) -> None:
    earlier = STRATEGY.replace(f"live_starts: {LIVE[0]}", "live_starts: 2016-04-25")
    (own_home / "strategies" / "mine.yaml").write_text(earlier, encoding="utf-8")
    answer = call(own_home, "run", "-s", "mine", "--session", "2016-04-26", "--json")
    assert answer.status == 1
    assert "key market.live_starts" in answer.document["message"]
    assert f"set it back to {LIVE[0]}" in answer.document["message"]
    assert answer.err == ""


# --- the study ---------------------------------------------------------------------------------------------


@pytest.mark.full
def test_a_study_of_some_months_tells_verdict_and_figures(give_own) -> None:
    answer = give_own("study", "-s", "mine", "--from", "2016-04", "--to", "2016-04", "--json")
    assert answer.status == 0, answer.out
    document = answer.document
    assert (document["from"], document["to"]) == ("2016-04", "2016-04")
    assert document["verdict"].split(":")[0] in {"signal found", "edge found", "no edge found", "cannot tell"}
    assert 0.0 <= document["figures"]["network_auc"] <= 1.0
    assert document["figures"]["trials"] >= 3


STUDIES_REFUSED = {
    "before history can train": (["--from", "2015-06"], ["2016-01 to 2016-04", "'2015-06'"]),
    "in the vault": (["--to", "2016-05"], ["2016-01 to 2016-04", "'2016-05'"]),
    "no month": (["--from", "spring"], ["2016-01 to 2016-04", "'spring'"]),
    "an impossible month": (["--to", "2016-13"], ["2016-01 to 2016-04", "'2016-13'"]),
    "the wrong way round": (["--from", "2016-04", "--to", "2016-02"], ["2016-04 to 2016-02"]),
}


@pytest.mark.parametrize("case", STUDIES_REFUSED)
def test_months_that_cannot_be_studied_are_refused_by_name(give, case) -> None:
    words, expected = STUDIES_REFUSED[case]
    answer = give("study", "-s", "mine", *words, "--json")
    assert answer.status == 1
    message = answer.document["message"]
    assert all(part in message for part in (*expected, "expected", "found", "Remedy")), message


# --- the controls ------------------------------------------------------------------------------------------


@pytest.mark.full
@pytest.mark.parametrize("state", ["HALTED", "REDUCING", "ACTIVE"])
def test_the_kill_switch_stays_as_it_was_set(give_own, state) -> None:
    words = ("control", "kill-switch", state, "--reason", "a test", "--who", "me", "-s", "mine", "--json")
    answer = give_own(*words)
    assert answer.status == 0
    assert answer.document["kill_switch"] == state
    assert give_own("status", "-s", "mine", "--json").document["strategies"]["mine"]["kill_switch"] == state
    assert give_own("audit", "verify", "--json").document["ok"]


@pytest.mark.full
def test_a_halted_strategy_orders_nothing(give_own, tmp_path) -> None:
    give_own("control", "kill-switch", "HALTED", "--reason", "a test", "-s", "mine")
    assert give_own("run", "-s", "mine", "--session", LIVE[2], "--json").status == 0
    out = tmp_path / "orders.json"
    give_own("export", "orders", "--out", out, "-s", "mine", "--from", LIVE[2])
    orders = json.loads(out.read_text(encoding="utf-8"))
    assert [order for order in orders if order["status"] == "accepted"] == []


def test_a_breaker_reset_cannot_be_armed_in_advance(give_own) -> None:
    answer = give_own("control", "reset-breaker", "--reason", "looked into", "--who", "me", "-s", "mine", "--json")
    assert answer.status == 1
    assert "none latched" in answer.document["message"]
    assert give_own("audit", "verify", "--json").document["ok"]


def latch(home: Path, strategy: str, kinds: str) -> None:
    """Put a session with some breakers latched on record, after the last one."""
    with living_in(home), open_stores() as stores:
        last = stores.ledger.latest("portfolio_states", strategy).iloc[-1].to_dict()
        row = {**last, "session": last["session"] + pd.Timedelta(days=1), "breaker": kinds}
        stores.ledger.append("portfolio_states", [row], run_id="test", strategy=strategy)


def test_a_breaker_is_reset_by_its_kind_and_several_latched_must_be_named(own_home, give_own) -> None:
    latch(own_home, "mine", "stale_data, drawdown")
    state = give_own("status", "-s", "mine", "--json").document["strategies"]["mine"]
    assert state["breaker"] == "stale_data, drawdown"
    words = ("control", "reset-breaker", "--reason", "looked into", "--who", "me", "-s", "mine", "--json")
    for named in ([], ["--kind", "weekly_loss"]):
        refused = give_own(*words, *named)
        assert refused.status == 1
        assert "--kind stale_data --kind drawdown" in refused.document["message"]
    answer = give_own(*words, "--kind", "stale_data")
    assert answer.status == 0
    assert answer.document["released"] == ["stale_data"]
    assert answer.document["latched"] == ["drawdown"]
    assert give_own("audit", "verify", "--json").document["ok"]


CONTROLS_REFUSED = {
    "an unknown state": (["kill-switch", "OFF", "--reason", "x"], ["ACTIVE, REDUCING, HALTED", "'OFF'"]),
    "a state in small letters": (["kill-switch", "halted", "--reason", "x"], ["'halted'"]),
    "no reason": (["kill-switch", "HALTED", "--reason", "  "], ["a reason"]),
    "no reason for a reset": (["reset-breaker", "--reason", ""], ["a reason"]),
}


@pytest.mark.parametrize("case", CONTROLS_REFUSED)
def test_a_control_that_cannot_be_set_is_refused_by_name(give, case) -> None:
    words, expected = CONTROLS_REFUSED[case]
    answer = give("control", *words, "-s", "mine", "--json")
    assert answer.status == 1
    message = answer.document["message"]
    assert all(part in message for part in (*expected, "expected", "found", "Remedy")), message


@pytest.mark.parametrize("words", [["run"], ["study"], ["status"]])
def test_an_unknown_strategy_is_named_beside_those_there_are(give, words) -> None:
    answer = give(*words, "--strategy", "yours", "--json")
    assert answer.status == 1
    assert "expected one of index_daily, planted_edge, mine; found 'yours'" in answer.document["message"]


def test_without_json_an_error_is_one_line_on_standard_error(give) -> None:
    answer = give("run", "-s", "yours")
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.startswith("SettingsError: ")
    assert answer.err.count("\n") == 1


# --- calls -------------------------------------------------------------------------------------------------


@pytest.mark.full
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_takes_json(give, command) -> None:
    answer = give(*command, "--help")
    assert answer.status == 0
    assert "--json" in answer.out


def test_help_of_import_fills_names_each_column_with_its_unit(give) -> None:
    said = " ".join(give("import-fills", "--help").out.split())
    for column in ("session (YYYY-MM-DD)", "quantity (shares)", "price (USD/share)", "commission_usd (USD)"):
        assert column in said
    assert "filled_at (UTC, as 2018-01-31T21:15:00+00:00)" in said
    assert "NaN" in said


@pytest.mark.parametrize(
    "words",
    [
        ["export", "bars"],
        ["export"],
        ["study", "--refit-every", "0"],
        ["study", "--refit-every", "often"],
        ["runn"],
        ["run", "--sesion", LIVE[0]],
        ["control", "kill-switch", "HALTED"],
        # What lasts is put down to no strategy that was not named.
        ["control", "reset-breaker", "--reason", "x"],
        ["control", "release-alarm", "--reason", "x"],
        ["import-fills", "fills.csv"],
    ],
)
def test_a_wrong_call_is_status_two(give, words) -> None:
    assert give(*words).status == 2


@pytest.mark.slow
def test_as_a_program_each_answer_is_one_document_and_the_folder_makes_no_difference(finished_home, tmp_path) -> None:
    good = started(finished_home, "status", "-s", "mine", "--json", folder=tmp_path)
    assert (good.returncode, good.stderr) == (0, "")
    assert json.loads(good.stdout)["strategies"]["mine"]["decided_to"] == LIVE[1]
    wrong = started(finished_home, "export", "bars", "--json", folder=tmp_path)
    assert wrong.returncode == 2
    assert "--out" in json.loads(wrong.stdout)["message"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("study",), ("First month, YYYY-MM", "Last month, YYYY-MM")),
        (("export",), ("First session, YYYY-MM-DD.", "Last session, YYYY-MM-DD.")),
        (("control", "kill-switch"), ("nothing is sent or filled, not even a stop", "may only shrink or close")),
        (("control", "clock"), ("Treat timestamps written by a clock that ran ahead as earlier than now",)),
        ((), ("decisions derived again",)),
    ],
)
def test_the_help_says_what_an_option_takes_and_what_a_command_does(tmp_path, words, expected) -> None:
    text = " ".join(call(tmp_path, *words, "--help").out.split())
    for part in expected:
        assert part in text


def test_sessions_of_which_one_month_has_no_model_are_refused_before_any_is_decided(own_home) -> None:
    """It decided those before that month, and failed midway."""
    file = own_home / "strategies" / "mine.yaml"
    later = file.read_text(encoding="utf-8").replace("vault_starts: 2016-05-02", "vault_starts: 2016-05-20")
    file.write_text(later, encoding="utf-8")
    before = sorted(path.name for path in (own_home / "lake" / "mine" / "raw_bars" / "segments").iterdir())
    answer = call(own_home, "run", "-s", "mine", "--from", LIVE[1], "--to", "2016-05-03", "--json")
    assert (answer.status, answer.document["error"]) == (1, "ModelError")
    assert answer.document["message"].endswith(
        f"expected a model of every month from {LIVE[2]} to 2016-05-03, before a session of them is decided; found for "
        "2016-05 none. Remedy: nn-assets study --strategy mine --from 2016-05 --to 2016-05, then the same sessions "
        "again: none was decided"
    )
    assert before == sorted(path.name for path in (own_home / "lake" / "mine" / "raw_bars" / "segments").iterdir())
    with living_in(own_home), open_history(find_strategy("mine").strategy) as history:
        days = [pd.Timestamp(day) for day in (*LIVE, "2016-05-02", "2016-05-03")]
        with pytest.raises(ModelError, match="for 2016-05 none"):  # a range that the UI asks for
            next(play_days(history, days, "r", logging.getLogger("test")))
        assert [str(day.date()) for day in decided_sessions(history.stores.ledger, "mine")] == list(LIVE[:2])
