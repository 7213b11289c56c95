"""Homes of :mod:`tests.operations.test_as_known`, made once for all files that ask."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operations.test_as_known import CUT, END, Lived, live, read_back
from tests.orchestration.conftest import living_in
from tests.shared_homes import built_once, nothing_drawn


@pytest.fixture(autouse=True)
def _nothing_drawn() -> Iterator[None]:
    with nothing_drawn():
        yield


@pytest.fixture(scope="session")
def ends_before(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """The home whose files end in August. Read it; never write to it."""
    return read_back(built_once("known-until-august", tmp_path_factory, lambda home: live(home, CUT, late=False)))


@pytest.fixture(scope="session")
def goes_on(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """The home whose files go on, with what was restated and told late. Read it; never write to it."""
    return read_back(built_once("known-until-september", tmp_path_factory, lambda home: live(home, END, late=True)))


@pytest.fixture
def own_home(ends_before: Lived, tmp_path: Path) -> Iterator[Path]:
    """A copy of the home whose files end in August, lived in."""
    home = Path(shutil.copytree(ends_before.home, tmp_path / "home"))
    with living_in(home):
        yield home
