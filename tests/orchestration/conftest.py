"""A strategy small enough to run end to end in seconds, and homes in which it already ran.

Homes are built once a session and copied: a test that changes one works on its own copy.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import yaml

from nn_assets.orchestration import models, workplace
from nn_assets.orchestration.catalog import find_strategy
from nn_assets.orchestration.headless import materialise
from nn_assets.settings import Strategy

NAME = "tiny"
FIRST_LIVE, LAST = "2017-06-21", "2017-06-30"
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
    "features": {"names": ["log_return_1", "log_return_5", "close_location"]},
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
    told: dict[str, object] = {"name": name, "trade_without_verdict": True}
    for section in {**TINY, **sections}:
        merged = {**TINY.get(section, {}), **sections.get(section, {})}
        told[section] = {key: value for key, value in merged.items() if value is not None}
    file = home / "strategies" / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(told), encoding="utf-8")
    return file


def forget() -> None:
    """Empty what a process keeps of one home, so that nothing of it serves another."""
    models._REFERENCES.clear()
    models._read_model.cache_clear()
    models._read_month.cache_clear()
    workplace._PUBLISHED.clear()
    workplace._read_versions.cache_clear()


@contextmanager
def living_in(home: Path) -> Iterator[None]:
    """Make a folder the home for a while, as a process started there would have it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NN_ASSETS_HOME", str(home))
        patch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
        forget()
        yield
    forget()


def strategy_of(name: str = NAME) -> Strategy:
    """The strategy as the home of the moment states it."""
    return find_strategy(name).strategy


@pytest.fixture(scope="session")
def studied_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose six months of models, forecasts and study were materialised through Dagster."""
    home = tmp_path_factory.mktemp("studied")
    write_strategy(home)
    with living_in(home):
        materialise(strategy_of(), "study", first=FIRST_MONTH, last=LAST_MONTH)
    return home


@pytest.fixture(scope="session")
def decided_home(studied_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same home after every live session was decided in one run over the range."""
    home = tmp_path_factory.mktemp("decided") / "home"
    shutil.copytree(studied_home, home)
    with living_in(home):
        materialise(strategy_of(), "daily", first=FIRST_LIVE, last=LAST)
    return home


@pytest.fixture(scope="session")
def cut_home(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give a home of the same strategy in which history ends at a session: nothing later was ever there."""
    made: dict[str, Path] = {}

    def build(session: str) -> Path:
        if session not in made:
            home = tmp_path_factory.mktemp(f"cut-{session}")
            live = FIRST_LIVE if session > FIRST_LIVE else None
            write_strategy(home, market={"history_ends": session, "live_starts": live})
            with living_in(home):
                materialise(strategy_of(), "study", first=FIRST_MONTH, last=f"{session[:7]}-01")
            made[session] = home
        return made[session]

    return build


def _copied(source: Path, place: Path) -> Path:
    home = place / "home"
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


@pytest.fixture
def empty_home(tmp_path: Path) -> Iterator[Path]:
    """A home in which nothing ever ran, lived in."""
    home = tmp_path / "home"
    home.mkdir()
    with living_in(home):
        yield home


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Set the clock that says which session is the last one closed. Arrivals keep the wall clock."""

    def set_to(moment: str) -> None:
        stamp = pd.Timestamp(moment, tz="UTC").as_unit("ns")
        monkeypatch.setattr(workplace, "now_utc", lambda: stamp)

    return set_to


def subprocess_environment(home: Path) -> dict[str, str]:
    """Environment of a process of its own that lives in a home."""
    kept = {key: value for key, value in os.environ.items() if key not in ("NN_ASSETS_DATABASE_URL", "DAGSTER_HOME")}
    return {**kept, "NN_ASSETS_HOME": str(home), "OMP_NUM_THREADS": "1"}
