"""Folders of the lake on which decisions stand, deleted whole: told before a round, and what is said to do works."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.cli.status import report
from nn_assets.errors import PublicationError
from nn_assets.operations.history import open_history
from nn_assets.store.lake.lake import Lake
from tests.operations import homes
from tests.orchestration.conftest import NAME, living_in, strategy_of, write_strategy

DAY = pd.Timestamp("2017-06-21")


@pytest.fixture(scope="module")
def decided_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with bars published, and one session that only the ledger knows of."""
    home = tmp_path_factory.mktemp("lost")
    write_strategy(home)
    head = dict.fromkeys(("data_hash", "model_id", "code_version", "settings_hash", "content_hash"), "0" * 64)
    with living_in(home):
        homes.take_in(strategy_of())
        with open_history(strategy_of()) as history:
            ledger = history.stores.ledger
            with ledger.transaction("test", strategy=NAME, known_at=DAY.tz_localize("UTC")) as transaction:
                transaction.append("decisions", [{"session": DAY, **head}])
    return home


def headline() -> str:
    return str(report(NAME)["strategies"][NAME]["headline"])


def lost() -> bool:
    return any(phrase in headline() for phrase in ("the bars are gone", "what decisions stand on is gone"))


@pytest.mark.parametrize("gone", [("raw_bars",), ("raw_bars", "publication"), ("",)])
def test_bars_that_are_gone_are_told_and_refused_by_the_next_round_until_they_are_restored(
    decided_once: Path, tmp_path: Path, gone: tuple[str, ...]
) -> None:
    home = Path(shutil.copytree(decided_once, tmp_path / "home"))
    with living_in(home):
        folder = Lake().folder(NAME, "raw_bars")
        assert not lost()
        for table in gone:
            shutil.rmtree(folder.parent / table)
        line = headline()
        assert line.startswith(f"{NAME} HALTED: ")
        assert f"the bars are gone: nothing is stored in {folder}" in line
        assert "restore the folder from a backup; without one" in line
        assert "nn-assets run" not in line
        with pytest.raises(PublicationError, match="restore the folder from a backup") as refused:
            homes.take_in(strategy_of())
        assert refused.value.where["file"] == str(folder)
        shutil.rmtree(home / "lake")
        shutil.copytree(decided_once / "lake", home / "lake")
        homes.take_in(strategy_of())
        assert not lost()


def test_publications_that_are_gone_are_told_until_what_is_stored_is_published_anew(
    decided_once: Path, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(decided_once, tmp_path / "home"))
    with living_in(home):
        folder = Lake().folder(NAME, "publication")
        before = sorted(path.name for path in (folder / "history").iterdir())
        shutil.rmtree(folder)
        line = headline()
        assert line.startswith(f"{NAME} HALTED: ")
        assert f"nothing is published in {folder}" in line
        assert f"nn-assets check --strategy {NAME}" in line
        homes.take_in(strategy_of())  # as check does
        assert not lost()
        assert sorted(path.name for path in (folder / "history").iterdir()) == before


def test_before_anything_was_taken_in_nothing_is_gone(tmp_path: Path) -> None:
    write_strategy(tmp_path)
    with living_in(tmp_path):
        assert not lost()
