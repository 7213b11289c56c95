"""The pages on another compute and another venue: their files keep the contracts, and a study runs on both."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nn_assets.operations.stores import open_stores
from tests.orchestration.conftest import living_in, nothing_mirrored
from tests.plugins.test_extending import _BLOCK, follow
from tests.shared_homes import nothing_drawn

PAGES = Path(__file__).parents[2] / "docs" / "extending"
BLOCKS = {name: _BLOCK.findall((PAGES / f"{name}.md").read_text(encoding="utf-8")) for name in ("compute", "venue")}


def _test_of(page: str) -> Any:
    """The class of tests that a page shows."""
    text = next(text for _, text in BLOCKS[page] if text.startswith("# test_"))
    names: dict[str, Any] = {"__name__": __name__}
    exec(text, names)
    return names[re.findall(r"^class (Test\w+)", text, re.MULTILINE)[0]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("ported")
    (folder / "strategies").mkdir()
    for _, text in (*BLOCKS["compute"], *BLOCKS["venue"]):
        if text.startswith("# strategies/"):
            (folder / text.partition("\n")[0].removeprefix("# ")).write_text(text, encoding="utf-8")
    with living_in(folder), nothing_drawn(), nothing_mirrored():
        yield folder


@pytest.fixture(autouse=True)
def _in_the_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


class TestTheVenueOfThePage(_test_of("venue")):  # type: ignore[misc]
    pass


@pytest.mark.full
class TestTheComputeOfThePage(_test_of("compute")):  # type: ignore[misc]
    pass


def test_a_study_runs_on_a_compute_and_a_venue_of_ones_own(home: Path) -> None:
    answers = follow([block for block in BLOCKS["venue"] if block[0] == "console"], home)
    assert json.loads(answers[-1])["ok"]
    with open_stores() as stores:
        assert len(stores.ledger.read("studies", "my_own"))
        assert len(stores.ledger.read("models", "my_own"))
