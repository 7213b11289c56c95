"""A wing that a plug-in brought: the page that tells how is followed, and what breaks what is asked is refused."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from typer.testing import CliRunner

from nn_assets.cli.app import app
from nn_assets.cli.status import report
from nn_assets.contracts.dictionary import dictionary
from nn_assets.errors import NnAssetsError, PluginError, SchemaError
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.history import open_history
from nn_assets.operations.names import full_name
from nn_assets.operations.outcomes import FAILED, record_tick
from nn_assets.operations.wings import WINGS, Making
from nn_assets.orchestration.build import all_definitions
from nn_assets.plugins import load
from nn_assets.store.ledger.ledger import Ledger
from tests.contracts.wings import WingContract
from tests.orchestration.conftest import living_in
from tests.plugins.test_extending import blocks_of, follow
from tests.plugins.texts import written
from tests.shared_homes import nothing_drawn

PAGE = "table.md"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    (home := tmp_path / "home").joinpath("strategies").mkdir(parents=True)
    with living_in(home), nothing_drawn():
        yield home


def test_the_page_is_followed_to_a_table_and_a_schedule_and_status_tells_their_run_and_tick(
    checkout: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = {path: path.stat().st_mtime_ns for path in (checkout / "nn_assets").rglob("*.py")}
    monkeypatch.chdir(home)
    blocks = blocks_of(checkout / "docs" / "extending" / PAGE)
    assert [language for language, _ in blocks] == ["python", "yaml", "csv", "python", "console"]
    follow(blocks, home)
    exported = pd.read_csv("../earnings.csv")
    assert exported["surprise_fraction"].tolist() == [0.04, -0.01]
    page = Path("../tables.md").read_text(encoding="utf-8")
    assert page.startswith(dictionary())
    assert page.count("| surprise_fraction | number | fraction |  | earned over expected, less 1 |") == 1
    state = report("my_third")["strategies"]["my_third"]
    assert any(line.startswith("earnings_intake: SUCCEEDED") for line in state["runs"])
    assert any(line.startswith("earnings_daily: SKIPPED") for line in state["ticks"])
    with Ledger() as ledger:
        record_tick(ledger, "my_third", "earnings_daily", FAILED, "OSError: no such file")
    assert "earnings_daily" in report("my_third")["strategies"]["my_third"]["headline"]
    assert {path: path.stat().st_mtime_ns for path in (checkout / "nn_assets").rglob("*.py")} == package


@pytest.fixture(scope="module")
def third(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the page's table was taken in."""
    home = tmp_path_factory.mktemp("third")
    (home / "strategies").mkdir()
    with living_in(home):
        page = checkout / "docs" / "extending" / PAGE
        follow(blocks_of(page)[:3], home)
        command = re.search(r'^    \$ python -c "(.*)"$', page.read_text(encoding="utf-8"), re.MULTILINE)
        assert command is not None
        exec(command[1], {})
    return home


class TestWingOfAFile(WingContract):
    name = "earnings"
    strategy_name = "my_third"

    @pytest.fixture
    def home(self, third: Path) -> Iterator[Path]:
        with living_in(third):
            yield third


def wing_file(assets: str, arguments: str = "jobs=[Job('my_job', 'Mine.')]") -> str:
    """A file of one wing, ``mine``."""
    return (
        "import dagster as dg\nfrom nn_assets.operations.wings import *\n"
        "def make(history, making):\n    return {}\n\n"
        f"def mine(strategy):\n    return {assets}\n\nregister_wing('mine', mine, {arguments})\n"
    )


OWN = "[Table('mine', 'A table of mine, that says nothing at all of anything.', make)]"
FAULTS = {
    "an error": (wing_file("1 / 0"), "ZeroDivisionError"),
    "no asset": (wing_file("['mine']"), "AttributeError"),
    "an asset of another": (wing_file("[dg.asset(name='mine', code_version='1')(lambda: 1)]"), "mine, of version 1"),
    "no version": (wing_file("[dg.asset(key=[strategy.name, 'mine'])(lambda: 1)]"), "of version None"),
    "made by no function at the top": (wing_file(OWN.replace("make)", "lambda *_: {})")), "top of a module"),
    "an asset that is there": (wing_file(OWN.replace("'mine'", "'raw_bars'")), "raw_bars"),
    "a wing that is there": (wing_file(OWN).replace("wing('mine'", "wing('market'"), "nn_assets itself"),
    "a job that is there": (wing_file(OWN, "jobs=[Job('daily', 'Mine.')]"), "names that are not taken"),
    "a job and an asset of one name": (wing_file(OWN, "jobs=[Job('mine', 'Mine.')]"), "mine__mine"),
    "a job that nobody describes": (wing_file(OWN, "jobs=[Job('mine')]"), "described by one"),
    "an asset in its job that is none": (wing_file(OWN, "jobs=[Job('my_job', 'Mine.', ('other',))]"), "other"),
    "a job taken along that is none": (wing_file(OWN, "jobs=[Job('my_job', 'Mine.', takes=('other',))]"), "other"),
    "a check of what is not there": (
        wing_file(OWN, "checks=[StoredCheck('other', 'is_there', 'It is.', 'look', lambda history: (True, ''))]"),
        "other",
    ),
    "a schedule that is there": (
        wing_file(
            OWN,
            "jobs=[Job('my_job', 'Mine.')], "
            "schedules={'daily_round': Scheduled('my_job', lambda market: '0 7 * * *', lambda strategy, moment: '')}",
        ),
        "daily_round",
    ),
    "a schedule of the sensor's name": (
        wing_file(
            OWN,
            "jobs=[Job('my_job', 'Mine.')], "
            "schedules={'drift_refresh': Scheduled('my_job', lambda market: '0 7 * * *', lambda strategy, moment: '')}",
        ),
        "drift_refresh",
    ),
    "a schedule for no job": (
        wing_file(OWN, "schedules={'dawn': Scheduled('other', lambda market: '0 7 * * *', lambda *_: '')}"),
        "other",
    ),
    "no cron": (
        wing_file(
            OWN,
            "jobs=[Job('my_job', 'Mine.')], schedules={'dawn': Scheduled('my_job', lambda _: 'dawn', lambda *_: '')}",
        ),
        "cron",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS.values(), ids=FAULTS)
def test_a_wing_that_is_not_as_asked_is_refused(home: Path, case: tuple[str, str]) -> None:
    text, message = case
    written(home / "strategies", mine=text)
    with pytest.raises(NnAssetsError, match=message):
        all_definitions(only="mine")


def test_a_refused_wing_leaves_its_own_strategy_out_and_no_other(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    written(home / "strategies", mine=wing_file("1 / 0"))
    with caplog.at_level(logging.ERROR):
        jobs = {job.name for job in all_definitions().jobs or ()}
    assert full_name("index_daily", "daily") in jobs
    assert full_name("mine", "daily") not in jobs
    assert "of the wing mine what Dagster takes; found ZeroDivisionError" in caplog.text


def test_a_wing_may_add_its_table_to_the_jobs_that_are_there(home: Path) -> None:
    written(home / "strategies", mine=wing_file(OWN, "jobs=[Job('tables')]"))
    definitions = all_definitions(only="mine")
    for kind in ("tables", "study", "daily"):
        job = definitions.resolve_job_def(full_name("mine", kind))
        assert dg.AssetKey(["mine", "mine"]) in job.asset_layer.selected_asset_keys
    assert full_name("mine", "costs") in {job.name for job in definitions.jobs or ()}


def test_a_strategy_without_it_has_none_of_it(home: Path) -> None:
    written(home / "strategies", mine=wing_file(OWN))
    definitions = all_definitions()
    named = {job.name for job in definitions.jobs or ()}
    assert full_name("mine", "my_job") in named
    assert full_name("index_daily", "my_job") not in named


def test_a_table_of_a_wing_is_cut_by_session_and_moment_and_nothing_sealed_comes_out(
    third: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    strategy_text = (third / "strategies" / "my_third.yaml").read_text()
    with living_in(third):

        def exported(*options: str) -> list[str]:
            result = CliRunner().invoke(
                app, ["export", "earnings", "--strategy", "my_third", "--out", "x.csv", *options]
            )
            assert result.exit_code == 0, result.output
            return list(pd.read_csv("x.csv")["symbol"])

        assert exported() == ["SIM01", "SIM02"]
        assert exported("--from", "2017-02-02") == ["SIM02"]
        assert exported("--to", "2017-02-01") == ["SIM01"]
        assert exported("--as-of", "2017-02-02T12:00Z") == ["SIM01"]
        (third / "strategies" / "my_third.yaml").write_text(strategy_text + "  vault_starts: 2017-02-02\n")
        try:
            assert exported() == ["SIM01"]
        finally:
            (third / "strategies" / "my_third.yaml").write_text(strategy_text)


def test_rows_of_a_wings_table_are_held_to_its_key_as_they_are_added(third: Path, tmp_path: Path) -> None:
    """A second row of a key was stored, and refused at the export alone."""
    home = Path(shutil.copytree(third, tmp_path / "home"))
    file = home / "strategies" / "earnings.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    head = [line for line in lines if line.startswith(("#", "symbol"))]
    (first,) = [line for line in lines if line.startswith("SIM01")]
    other = first.replace("0.04", "0.05")
    with living_in(home), open_history(find_strategy("my_third").strategy) as history:
        (table,) = WINGS["earnings"]().assets(history.strategy)

        def taken_in(*rows: str) -> int:
            file.write_text("\n".join([*head, *rows]) + "\n", encoding="utf-8")
            return int(table.make(history, Making("my_third", "r", lambda _: None))["added"])

        def stored() -> pd.DataFrame:
            return history.stores.lake.read_segments("my_third", "earnings")

        before = stored()
        assert taken_in(first, first) == 0
        new = first.replace("SIM01", "SIM03")
        for rows in ((new, other), (new, new.replace("0.04", "0.05"))):  # stored before, and beside it in one file
            with pytest.raises(SchemaError) as refused:
                taken_in(*rows)
            symbol = "SIM01" if other in rows else "SIM03"
            assert str(refused.value).startswith(
                f"[table earnings, key symbol {symbol}, session 2017-02-01, rule one_row_a_key] expected "
                "surprise_fraction 0.04; found surprise_fraction 0.05. Remedy: nothing was stored"
            )
            pd.testing.assert_frame_equal(stored(), before)
        assert taken_in(first, new, new) == 1
        assert list(stored()["symbol"]) == ["SIM01", "SIM02", "SIM03"]


CONTRACTS = {
    "no key": ("'one', 'market', 'Mine.'", "text('who')", "keyed_by is empty"),
    "a key of no column": ("'one', 'market', 'Mine.', 'who sesion'", "text('who')", "names sesion, of the columns who"),
    "a column of the key twice": ("'one', 'market', 'Mine.', 'who who'", "text('who')", "twice: who who"),
    "a key that may be missing": ("'one', 'market', 'Mine.', 'who'", "text('who', nullable=True)", "key and nullable"),
    "a kind that is none": (
        "'one', 'market', 'Mine.', 'who'",
        "Column('txet', 'who')",
        "'txet' of who is none",
    ),
    "a room that is none": ("'one', 'markte', 'Mine.', 'who'", "text('who')", "'markte' is none of .*market"),
    "no sentence": ("'one', 'market', '', 'who'", "text('who')", "says is ''"),
    "no sentence of a column": ("'one', 'market', 'Mine.', 'who'", "text('')", "who lacks a sentence"),
}


@pytest.mark.parametrize("case", CONTRACTS.values(), ids=CONTRACTS)
def test_a_contract_of_a_table_that_is_none_is_refused_with_the_file_and_line(
    tmp_path: Path, case: tuple[str, str, str]
) -> None:
    contract, column, message = case
    (tmp_path / "my_wing.py").write_text(
        "from nn_assets.contracts.contract import Column, Contract, text\n"
        "from nn_assets.operations.wings import register_wing\n"
        f"ONE = Contract({contract}).of(who={column})\n"
        "def mine(strategy):\n    return []\n"
        "register_wing('mine', mine, tables={ONE: lambda _: None})\n"
    )
    with pytest.raises(PluginError, match=message) as refused:
        load([str(tmp_path / "my_wing.py")])
    where = refused.value.where
    assert (where["table"], where["file"], where["line"]) == ("one", str(tmp_path / "my_wing.py"), 6)


FAULTS_OF_TABLES = {
    "a name of the package": ('exported="bars"', (), "bars twice, in the plug-ins of my_third or in nn_assets"),
    "a name of another table": ('exported="mine"', (), "mine twice"),
    "no name": ("", (), "expected one of .*, mine; found 'other'"),
    "rows that are none": ('exported="other"', (), "found nothing stored"),
    "no session": ('exported="other"', ("--from", "2017-01-02"), "without --from: it has no column session"),
    "no moment": ('exported="other"', ("--as-of", "2017-01-02"), "without --as-of: it has no column known_at"),
}


@pytest.mark.parametrize("case", FAULTS_OF_TABLES.values(), ids=FAULTS_OF_TABLES)
def test_a_table_of_a_wing_that_cannot_be_exported_is_refused_by_name(
    third: Path, tmp_path: Path, case: tuple[str, tuple[str, ...], str]
) -> None:
    arguments, options, message = case
    text = wing_file(OWN).replace(
        "register_wing(",
        "from nn_assets.contracts.contract import Contract, text\n"
        f"ONE = Contract('one', 'market', 'Mine.', 'who', {arguments}).of(who=text('who'))\n"
        "TWO = Contract('two', 'market', 'Mine.', 'who', exported='mine').of(who=text('who'))\n"
        "register_wing(",
    )
    home = tmp_path / "home"
    shutil.copytree(third, home)
    (home / "strategies" / "my_wing.py").write_text(
        text[:-2] + ", tables={ONE: lambda _: None, TWO: lambda _: None})\n"
    )
    file = home / "strategies" / "my_third.yaml"
    file.write_text(file.read_text().replace("my_earnings.py", "my_wing.py"))
    with living_in(home):
        out = ["--strategy", "my_third", "--out", str(tmp_path / "x.csv"), "--json"]
        result = CliRunner().invoke(app, ["export", "other", *out, *options])
    assert result.exit_code == 1
    assert re.search(message, json.loads(result.output)["message"])
