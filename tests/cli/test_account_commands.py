"""What the commands of accounts take, and whom they name, in a home whose strategy trades by file drop."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import call

COMMANDS = ("send", "sync", "reconcile", "cancel", "show")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    desk = tmp_path / "desk"
    (desk / "main" / "in").mkdir(parents=True)
    folder = tmp_path / "home" / "strategies"
    folder.mkdir(parents=True)
    market = "{calendar: XNYS, symbols: [AAA], history_starts: 2020-01-02}"
    broker = f"{{broker: file_drop, broker_settings: {{folder: {desk}}}, account: main, settle_seconds: 0.0}}"
    text = f"name: mine\nsource: {{kind: simulator}}\nmarket: {market}\nexecution: {broker}\n"
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    (desk / "main" / "in" / "positions.csv").write_text("symbol,quantity,as_of\nend,0\n")
    (desk / "main" / "in" / "cash.csv").write_text("cash_usd,as_of\n1000000,2020-01-02T12:00:00+00:00\nend,1\n")
    return tmp_path / "home"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_strategy_names_its_account_and_one_that_there_is_not_is_told_those_there_are(
    home: Path, command: str
) -> None:
    named = call(home, "account", command, "--strategy", "mine", "--json")
    assert named.status == 0, named.out
    assert "main" in str(named.document)
    unknown = call(home, "account", command, "-s", "mien", "--json")
    assert unknown.status == 1
    for part in ("'mien'", "index_daily, planted_edge, mine", "did you mean mine?"):
        assert part in unknown.document["message"]


def test_a_strategy_on_paper_or_on_another_account_is_refused_by_name(home: Path) -> None:
    on_paper = call(home, "account", "reconcile", "-s", "index_daily", "--json").document
    assert "found index_daily, which fills on paper" in on_paper["message"]
    assert "name one that does (mine)" in on_paper["message"]
    elsewhere = call(home, "account", "show", "-s", "mine", "-a", "other", "--json").document
    assert "on other; found mine, which trades on main" in elsewhere["message"]
    assert call(home, "account", "show", "-a", "other", "--json").status == 1


def test_first_lines_are_short_and_every_difference_stands_below(home: Path) -> None:
    inbox = home.parent / "desk" / "main" / "in"
    held = [f"SYMBOL{number:02d},{number},2020-01-02T12:00:00+00:00" for number in range(1, 41)]
    (inbox / "positions.csv").write_text("\n".join(["symbol,quantity,as_of", *held, "end,40", ""]))
    for command in ("reconcile", "sync", "show"):
        answer = call(home, "account", command)
        first, *below = answer.out.splitlines()
        assert len(first) <= 200, first
        assert first.startswith("main: ")
        assert "differs" in first
        rows = [line.strip() for line in below if "the books hold" in line]
        assert rows == [f"SYMBOL{number:02d}: the books hold 0, the venue {number}" for number in range(1, 41)]


def test_status_begins_with_what_needs_a_person_and_ends_with_what_was_never_used(home: Path) -> None:
    folder = home / "strategies"
    for name in ("aaa", "zzz"):
        text = (folder / "mine.yaml").read_text(encoding="utf-8").replace("name: mine", f"name: {name}")
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    (folder / "zzz.yaml").write_text("name: zzz\nmarket: {calendar: NOWHERE}\n", encoding="utf-8")
    said = [line for line in call(home, "status").out.splitlines() if line and not line.startswith(" ")]
    assert [line.split()[0] for line in said] == ["zzz", "aaa", "mine", "index_daily,"]
    assert said[0].startswith("zzz HALTED: ")
    assert said[-1].startswith("index_daily, planted_edge: come with the package, never used in this home")
