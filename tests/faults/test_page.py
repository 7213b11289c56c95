"""The published matrix is that of the data; its write points are those of the code; and some of it is tried anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nn_assets.operations.accounts import points
from tests.faults.__main__ import built
from tests.faults.ends import EQUAL
from tests.faults.faulted import FAULTS, play
from tests.faults.killing import Whole, kill, whole_step
from tests.faults.page import PAGE, plain, text
from tests.faults.results import keep, kept
from tests.faults.sites import write_sites
from tests.faults.world import STEP, STEPS, build_untrained
from tests.forks import ended

POINTS = kept("points")


def test_the_page_is_what_the_results_give() -> None:
    assert PAGE.read_text("utf-8") == text(), "write it anew: make faults FAULTS_FLAGS='--minutes 0'"


def test_every_place_of_the_package_that_writes_is_in_the_matrix_or_named_with_where_it_is_killed() -> None:
    sites, named = write_sites(), kept("sites")
    remedy = (
        "pass it in the day (tests/faults/world.py) and measure it, or say in results/sites.jsonl where it is killed"
    )
    assert sorted(sites) == sorted(named), remedy
    for site, where in named.items():
        assert ("elsewhere" in where) != (where.get("day") in POINTS), site


def test_every_named_point_of_the_accounts_driver_is_a_write_point_of_the_matrix() -> None:
    rows = {name.partition(" | driver: ")[2] for name in POINTS} - {""}
    assert rows == set(points.POINTS)
    assert len({name.partition(" | ")[2] for name in POINTS}) >= 40


def test_where_nothing_was_measured_the_page_says_so(tmp_path: Path) -> None:
    killed = kept("killed")
    for name, about in POINTS.items():
        (row,) = [
            line for line in _lines_of(name.partition(" | ")[0]) if line.startswith(f"| `{name.split(' | ')[1]}` ")
        ]
        cells = row.strip("| ").split(" | ")[1:]
        for moment, cell in zip(("before", "during", "after", "twice"), cells, strict=True):
            measured = f"{name} | {moment}" in killed
            assert (cell == "not measured") == (moment in about["kills"] and not measured), (name, moment)
    keep("killed", {"a": {"says": "one"}}, tmp_path)
    keep("killed", {"b": {"says": "two"}, "a": {"says": "three"}}, tmp_path)
    assert kept("killed", tmp_path) == {"a": {"says": "three"}, "b": {"says": "two"}}


def _lines_of(step: str) -> list[str]:
    return PAGE.read_text("utf-8").partition(f"### {step}: ")[2].partition("\n##")[0].splitlines()


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Whole]]:
    """A home in which nothing was trained nor decided, and the two steps that need neither."""
    folder = tmp_path_factory.mktemp("untrained")
    root = folder / "world"
    root.mkdir()
    assert ended(lambda: build_untrained(root), folder / "error.txt") == 0, (folder / "error.txt").read_text()
    return root, {name: whole_step(root, STEP[name], folder) for name in ("intake", "halt")}


@pytest.mark.parametrize(
    ("step", "point", "moment"),
    [
        ("intake", "file: validated_bars/HASH.parquet", "during"),
        ("halt", "rows: controls", "during"),
        ("halt", "rows: controls", "after"),
    ],
)
def test_a_step_killed_at_a_write_ends_as_one_never_killed(
    untrained: tuple[Path, dict[str, Whole]], step: str, point: str, moment: str
) -> None:
    root, wholes = untrained
    assert kill(root, wholes[step], point, moment)["same"] == [EQUAL]
    assert {f"{step} | {name}" for name in wholes[step].points} == {
        name for name in POINTS if name.startswith(f"{step} | ")
    }


# --- all of it, at full size ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_day() -> Iterator[tuple[Path, dict[str, Whole]]]:
    """The whole day, never killed."""
    with built() as (root, wholes):
        yield root, {whole.step.name: whole for whole in wholes}


@pytest.mark.full
def test_the_write_points_of_the_day_are_the_rows_of_the_matrix(whole_day: tuple[Path, dict[str, Whole]]) -> None:
    wholes = whole_day[1]
    passed = {f"{name} | {point}": wholes[name].moments(point) for name in wholes for point in wholes[name].points}
    assert passed == {name: about["kills"] for name, about in POINTS.items()}
    sites: dict[str, Any] = kept("sites")
    there = {site for whole in wholes.values() for site in whole.sites} & set(sites)
    assert there == {site for site, where in sites.items() if "day" in where}


@pytest.mark.full
@pytest.mark.parametrize("name", POINTS)
def test_every_write_point_killed_ends_as_one_never_killed(whole_day: tuple[Path, dict[str, Whole]], name: str) -> None:
    root, wholes = whole_day
    step, _, point = name.partition(" | ")
    for moment in POINTS[name]["kills"]:
        cell, measured = kill(root, wholes[step], point, moment), kept("killed").get(f"{name} | {moment}")
        assert measured is None or cell == measured, moment


@pytest.mark.full
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_fault_is_said_and_mended(whole_day: tuple[Path, dict[str, Whole]], fault: Any) -> None:
    root, wholes = whole_day
    cell, measured = play(root, wholes[fault.step], fault), kept("faulted").get(fault.name)
    assert measured is None or (plain(cell["raises"]), cell["same"]) == (plain(measured["raises"]), measured["same"])


def test_the_steps_of_the_page_are_those_of_the_day() -> None:
    assert [step.name for step in STEPS] == [
        line.split(":")[0].removeprefix("### ")
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith("###")
    ]
