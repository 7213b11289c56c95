"""A strategy small enough to run end to end in seconds, and homes in which it already ran.

Homes are built once and copied: a test that changes one works on its own copy.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
import yaml

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations import facts
from nn_assets.operations.asof.traces import STEPS, read_steps
from nn_assets.operations.catalog import find_strategy
from nn_assets.orchestration.build import all_definitions, job_name
from nn_assets.orchestration.instance import open_instance
from nn_assets.orchestration.naming import asset_key
from nn_assets.settings import Strategy
from nn_assets.store.home import home as home_folder
from nn_assets.store.lake.lake import Lake
from nn_assets.store.lake.models import ModelStore
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.schema import TABLES
from tests.operations import homes
from tests.runs import materialise
from tests.shared_homes import built_once, each_kind_drawn_once, nothing_drawn

NAME = "tiny"
FIRST_LIVE, LAST = "2017-06-21", "2017-06-30"
CUT_LIVE = "2017-06-27"
FIRST_MONTH, LAST_MONTH = "2017-01-01", "2017-06-01"

TINY: dict[str, dict[str, object]] = {
    "source": {"kind": "simulator", "seed": 5, "planted_rank_ic": 0.3},
    "market": {
        "calendar": "XNYS",
        "symbols": [f"SIM{number:02d}" for number in range(1, 7)],
        "history_starts": "2016-01-04",
        "history_ends": LAST,
        "live_starts": FIRST_LIVE,
    },
    "features": {"names": ["log_return_1", "log_return_5", "close_location"], "panel_pass_share": 0.5},
    "label": {"horizon_sessions": 3, "execution": "next_open"},
    "learning": {
        "network": "mlp",
        "lookback": 5,
        "hidden": 4,
        "layers": 1,
        "ensemble": 2,
        "maximum_epochs": 3,
        "processes": 1,
    },
    "walk_forward": {
        "training_months": 6,
        "validation_months": 1,
        "calibration_months": 1,
        "refit_every_months": 3,
        "minimum_training_rows": 200,
    },
    "costs": {"half_spread_bps": 0.5, "commission_bps": 0.2},
}


def write_strategy(home: Path, name: str = NAME, **sections: dict[str, object]) -> Path:
    """Write the tiny strategy into a home; a key given as None is left out."""
    settings: dict[str, object] = {"name": name, "trade_without_verdict": True}
    for section in {**TINY, **sections}:
        merged = {**TINY.get(section, {}), **sections.get(section, {})}
        settings[section] = {key: value for key, value in merged.items() if value is not None}
    file = home / "strategies" / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return file


@contextmanager
def living_in(home: Path) -> Iterator[None]:
    """Make a folder the home for a while, as a process started there would have it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NN_ASSETS_HOME", str(home))
        patch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
        yield


def strategy_of(name: str = NAME) -> Strategy:
    """The strategy as the home of the moment states it."""
    return find_strategy(name).strategy


@pytest.fixture(autouse=True)
def _nothing_drawn() -> Iterator[None]:
    with nothing_drawn():
        yield


@pytest.fixture(scope="session")
def studied_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose six months of models, forecasts and study were materialised through Dagster."""

    def build(home: Path) -> None:
        write_strategy(home)
        with living_in(home):
            materialise(strategy_of(), "study", first=FIRST_MONTH, last=LAST_MONTH)

    return built_once("studied", tmp_path_factory, build)


@pytest.fixture(scope="session")
def decided_home(studied_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same home after every live session was decided in one run over the range."""

    def build(home: Path) -> None:
        shutil.copytree(studied_home, home)
        with living_in(home), each_kind_drawn_once():
            materialise(strategy_of(), "daily", first=FIRST_LIVE, last=LAST)

    return built_once("decided", tmp_path_factory, build)


@pytest.fixture(scope="session")
def cut_home(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give a home of the same strategy in which history ends at a session: nothing later was ever there."""
    made: dict[str, Path] = {}

    def of(session: str) -> Path:
        def build(home: Path) -> None:
            live = FIRST_LIVE if session > FIRST_LIVE else None
            write_strategy(home, market={"history_ends": session, "live_starts": live})
            with living_in(home), nothing_drawn():
                materialise(strategy_of(), "study", first=FIRST_MONTH, last=f"{session[:7]}-01")

        if session not in made:
            made[session] = built_once(f"cut-{session}", tmp_path_factory, build)
        return made[session]

    return of


@pytest.fixture(scope="session")
def cut_decided_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose history ends at :data:`CUT_LIVE`, studied and decided up to there without Dagster."""

    def build(home: Path) -> None:
        write_strategy(home, market={"history_ends": CUT_LIVE})
        with living_in(home):
            homes.take_in(strategy_of())
            homes.study(strategy_of(), homes.months_between(FIRST_MONTH[:7], LAST_MONTH[:7]))
            homes.decide(strategy_of(), sessions_between("XNYS", FIRST_LIVE, CUT_LIVE))

    return built_once("cut-decided", tmp_path_factory, build)


def _copied(source: Path, folder: Path) -> Path:
    home = folder / "home"
    shutil.copytree(source, home)
    return home


@pytest.fixture
def studied(studied_home: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the studied home, lived in."""
    home = _copied(studied_home, tmp_path)
    with living_in(home):
        yield home


@pytest.fixture
def decided(decided_home: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the decided home, lived in."""
    home = _copied(decided_home, tmp_path)
    with living_in(home):
        yield home


@pytest.fixture(scope="session")
def opened_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose ledger and Dagster's storage were made, in which nothing ran."""
    home = tmp_path_factory.mktemp("opened")
    with living_in(home), Ledger(), open_instance():
        pass
    return home


@pytest.fixture
def empty_home(opened_home: Path, tmp_path: Path) -> Iterator[Path]:
    """A home in which nothing ever ran, lived in."""
    home = _copied(opened_home, tmp_path)
    with living_in(home):
        yield home


@contextmanager
def clock_at(moment: str) -> Iterator[None]:
    """Set the clock that says which session is the last one closed. Arrivals keep the wall clock."""
    stamp = pd.Timestamp(moment, tz="UTC").as_unit("ns")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facts, "now_utc", lambda: stamp)
        yield


def run_assets(
    strategy: Strategy, kind: str, names: tuple[str, ...], first: str | None = None, last: str | None = None
) -> dg.ExecuteInProcessResult:
    """Materialise some assets of a job, as a person would from the UI; the result may be a failure."""
    job = all_definitions(only=strategy.name).resolve_job_def(job_name(strategy, kind))
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last} if first else {}
    with open_instance() as instance:
        return job.execute_in_process(
            instance=instance,
            asset_selection=[asset_key(strategy, name) for name in names],
            tags=tags,
            run_config={"loggers": {"console": {}}},
            raise_on_error=False,
        )


def left_by_killed_writers() -> tuple[Path, ...]:
    """Files that killed writers left staged in the lake and among the models: an old and a young one in each."""
    folders = [Lake().folder(NAME, "forecasts"), ModelStore().root / "ab"]
    left = tuple(folder / name for folder in folders for name in (".staged-old", ".staged-young"))
    for file in left:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"half a file")
        if file.name.endswith("old"):
            os.utime(file, (0, 0))
    return left


def held_alone(name: str = NAME) -> bool:
    """Whether someone holds the strategy alone: no one else could, this moment."""
    with (home_folder() / "locks" / name / ".lock").open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def failures_of(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """What each failed step says at bottom."""
    messages = {}
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            messages[str(event.step_key)] = str(error.message if error else "")
    return messages


def materialise_tables(strategy: Strategy) -> None:
    """Take in bars, publish them and compute features, as every run begins."""
    materialise(strategy, "tables")


RECORDS = (
    "signals",
    "target_positions",
    "position_steps",
    "traces",
    "orders",
    "fills",
    "portfolio_states",
    "holdings",
    "drift",
    "trading_states",
)


def recorded(home: Path, table: str, last: str | None = None) -> pd.DataFrame:
    """A table of a home's ledger, up to a session; of steps what its files hold, too."""
    with living_in(home), Ledger() as ledger:
        return read_steps(Lake(), ledger, NAME, None, last) if table == STEPS else ledger.read(table, NAME, None, last)


def assert_same_decisions(one: Path, other: Path, last: str) -> int:
    """Demand that two homes decided every session up to one alike, to the bit; how many sessions."""
    heads = [recorded(home, "decisions", last) for home in (one, other)]
    columns = ["session", "data_hash", "model_id", "verdict", "content_hash", "details"]
    pd.testing.assert_frame_equal(heads[0][columns], heads[1][columns])
    for table in RECORDS:
        pd.testing.assert_frame_equal(recorded(one, table, last), recorded(other, table, last), check_exact=True)
    return len(heads[0])


def row_counts(home: Path) -> dict[str, int]:
    """Rows of every table of a home's ledger, every version counted, but for those of how runs went."""
    with living_in(home), Ledger() as ledger:
        return {table: ledger.count(table) for table in TABLES if table not in ("outcomes", "verifications")}


def subprocess_environment(home: Path) -> dict[str, str]:
    """Environment of a process of its own that lives in a home."""
    kept = {key: value for key, value in os.environ.items() if key not in ("NN_ASSETS_DATABASE_URL", "DAGSTER_HOME")}
    return {**kept, "NN_ASSETS_HOME": str(home), "OMP_NUM_THREADS": "1"}
