"""The command line answers at once: what it imports, and the processor time that it takes before its own work.

Each command is given in a process of its own, on the home of version 0.1. Its own work is what the same words cost
when they are given again in that process, with everything imported; all else is start-up.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from nn_assets.operations import exported_names, exported_tables

ARCHIVE = Path(__file__).parent.parent / "home_0_1" / "home.tar.gz"
FORBIDDEN = {
    "alembic",
    "arch",
    "dagster",
    "great_expectations",
    "matplotlib",
    "pandera",
    "scipy",
    "sklearn",
    "statsmodels",
    "torch",
}
SHORT = FORBIDDEN | {"exchange_calendars", "numpy", "pandas", "pyarrow", "pydantic", "sqlalchemy"}
HELP_SECONDS, COMMAND_SECONDS = 0.4, 1.5

GIVE_TWICE = """
import json, sys, time
from nn_assets.cli import main

def give():
    begun = time.process_time()
    try:
        main()
    except SystemExit as ended:
        return ended.code, time.process_time() - begun
    return None, time.process_time() - begun

status, _ = give()
modules = sorted({name.partition(".")[0] for name in sys.modules})
again = give()[1] if "--twice" in sys.argv[:1] else 0.0
print(json.dumps([status, modules, again]), file=sys.stderr)
"""

HELPS = {
    "help": (["--help"], 0),
    "help of a command": (["export", "--help"], 0),
    "nothing": ([], 2),
    "no such command": (["no-such-command"], 2),
    "a missing argument": (["export"], 2),
    "a missing argument, as JSON": (["query", "--json"], 2),
}
COMMANDS = {
    "status": ["status"],
    "query": ["query", "trial_count", "--strategy", "house"],
    "export of the ledger": ["export", "positions", "--strategy", "house", "--out", "OUT.csv"],
    "export of bars": ["export", "bars", "--strategy", "house", "--out", "OUT.parquet"],
    "export of the quarantine": ["export", "quarantine", "--strategy", "house", "--out", "OUT.csv"],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """The home that version 0.1 left; the commands here read it."""
    place = tmp_path_factory.mktemp("start_up") / "home"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(place, filter="data")
    given("status", home=place)  # brings its ledger up to date
    return place


def given(*words: str, home: Path, twice: bool = False) -> tuple[int, set[str], float]:
    """Exit status, the modules there at the end by their top names, and the seconds of start-up."""
    environment = {**os.environ, "NN_ASSETS_HOME": str(home), "OMP_NUM_THREADS": "1"}
    argv = ["--twice" if twice else "nn-assets", *words]
    program = f"import sys; sys.argv = {argv!r}\n{GIVE_TWICE}"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    status, modules, again = json.loads(process.stderr.splitlines()[-1])
    return status or 0, set(modules), used - 2.0 * again


@pytest.mark.parametrize(("words", "expected"), HELPS.values(), ids=HELPS)
def test_help_and_a_wrong_call_answer_without_what_a_command_needs(words, expected, tmp_path) -> None:
    tries = [given(*words, home=tmp_path)]
    while min(seconds for *_, seconds in tries) > HELP_SECONDS and len(tries) < 3:
        tries.append(given(*words, home=tmp_path))
    assert tries[0][0] == expected
    assert tries[0][1] & SHORT == set()
    assert min(seconds for *_, seconds in tries) <= HELP_SECONDS


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_command_that_reads_starts_without_the_heavy_libraries(words, home, tmp_path) -> None:
    named = [word.replace("OUT", str(tmp_path / "out")) for word in words]
    tries = [given(*named, home=home, twice=True)]
    while min(seconds for *_, seconds in tries) > COMMAND_SECONDS and len(tries) < 3:
        tries.append(given(*named, home=home, twice=True))
    assert tries[0][0] == 0
    assert tries[0][1] & FORBIDDEN == set()
    assert min(seconds for *_, seconds in tries) <= COMMAND_SECONDS


def test_status_of_an_empty_home_starts_without_the_heavy_libraries(tmp_path) -> None:
    given("status", home=tmp_path)  # makes the ledger, which takes alembic
    status, modules, _ = given("status", home=tmp_path)
    assert status == 0
    assert modules & FORBIDDEN == set()


def test_every_table_that_the_help_names_can_be_read() -> None:
    assert tuple(exported_tables._LAKE_TABLES) == exported_names.LAKE_TABLES
