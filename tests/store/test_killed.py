"""A writer killed with SIGKILL anywhere leaves nothing half done, and a rerun ends in the same bytes."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.errors import PublicationError
from nn_assets.store.lake.carried import read_carried
from nn_assets.store.lake.content import frame_hash
from nn_assets.store.lake.files import sweep
from nn_assets.store.lake.lake import Lake
from nn_assets.store.lake.models import ModelStore
from nn_assets.store.lake.publication import PublicationStore
from nn_assets.store.ledger.audit import verify
from nn_assets.store.ledger.ledger import Ledger
from tests.store.killed import bars

Write = Callable[[str, Path, int], list[str] | None]


@pytest.fixture(scope="module")
def do() -> Iterator[Write]:
    """Do a write up to a step, in a process that dies there: None, or the names of the steps there were."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.store.killed"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    ) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        requests, answers = driver.stdin, driver.stdout

        def write(what: str, folder: Path, step: int) -> list[str] | None:
            requests.write(f"{what} {folder} {step}\n")
            requests.flush()
            return json.loads(answers.readline())

        yield write
        requests.close()


def dump(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".staged-" not in str(path) and path.name != ".lock"
    }


def chosen(steps: int, count: int) -> list[int]:
    """Steps spread over the whole write, the first and the last among them."""
    return sorted({1 + round(index * (steps - 1) / (count - 1)) for index in range(count)})


@pytest.mark.parametrize("kills", [5, pytest.param(10, marks=pytest.mark.full)])
def test_a_ledger_killed_anywhere_ends_as_one_never_killed(do: Write, tmp_path: Path, kills: int) -> None:
    whole = tmp_path / "whole"
    steps = len(do("ledger", whole, 0) or ())
    expected = dump(whole / "ledger.sqlite")
    assert steps > 100
    for step in chosen(steps, kills):
        folder = tmp_path / f"{step}"
        assert do("ledger", folder, step) is None, step
        file = folder / "ledger.sqlite"
        with closing(sqlite3.connect(file)) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        assert not tables or {"audit_chain", "signals", "alembic_version"} <= tables
        with Ledger(f"sqlite:///{file}") as ledger:
            counts = {ledger.count("signals"), ledger.count("fills"), ledger.count("drift") // 2}
            assert counts in ({0}, {2}, {4}), step  # all of a session or none of it
            assert verify(ledger).ok
        assert do("ledger", folder, 0)
        assert dump(file) == expected, step


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.full)])
def test_a_lake_killed_anywhere_ends_as_one_never_killed(do: Write, tmp_path: Path, kills: int) -> None:
    whole = tmp_path / "whole"
    steps = len(do("lake", whole, 0) or ())
    expected = tree(whole)
    for step in chosen(steps, kills):
        folder = tmp_path / f"{step}"
        assert do("lake", folder, step) is None, step
        lake = Lake(folder / "lake")
        readable = lake.address_of("demo", "features")
        assert readable is None or len(lake.read_table("demo", "features")) in (3, 4)
        assert [len(lake.read_table("demo", "raw_bars", a)) for a in lake.segments("demo", "raw_bars")] in (
            [],
            [2],
            [2, 3],
        )
        if lake.address_of("demo", "cube") is not None:
            assert len(lake.read_cube("demo", "cube").sessions) in (3, 4)
        if PublicationStore(lake).current("demo") is not None:
            assert len(PublicationStore(lake).bars(PublicationStore(lake).require("demo", "2018-01-06"))) == 6
        else:
            with pytest.raises(PublicationError):
                PublicationStore(lake).require("demo", "2018-01-06")
        assert do("lake", folder, 0)
        assert tree(folder) == expected, step


def damage_manifests(table: Path) -> None:
    for path in table.glob("*.manifest.json"):
        path.write_text("{", encoding="utf-8")


def flip_what_is_no_content(table: Path) -> None:
    for path in table.glob("*.parquet"):
        content = path.read_bytes()
        at = content.index(b"pandas")  # what a column is called for pandas
        path.write_bytes(content[:at] + b"pandat" + content[at + 6 :])


def damage_pointers(table: Path) -> None:
    for path in table.rglob("*.json"):
        if path.name != "additions.json" and not path.name.endswith(".manifest.json"):
            path.write_text("{", encoding="utf-8")


def lose_the_list(table: Path) -> None:
    (table / "additions.json").unlink(missing_ok=True)


HEALED = {
    damage_manifests: r".* replace .*manifest.json",
    flip_what_is_no_content: r".* replace .*parquet",
    damage_pointers: r"after replace .*damaged-.*",
    lose_the_list: r".* replace .*",
}


@pytest.mark.parametrize(("damage", "where"), HEALED.items())
@pytest.mark.parametrize("kills", [2, pytest.param(1_000, marks=pytest.mark.full)])
def test_healing_that_is_killed_anywhere_ends_as_one_never_killed(
    do: Write, tmp_path: Path, damage: Callable[[Path], None], where: str, kills: int
) -> None:
    damaged, whole = tmp_path / "damaged", tmp_path / "whole"
    assert do("lake", damaged, 0)
    written = tree(damaged)
    for table in ("raw_bars", "features", "forecasts"):
        damage(damaged / "lake" / "demo" / table)
    assert tree(damaged) != written
    shutil.copytree(damaged, whole)
    steps = do("heal", whole, 0) or []
    tried = r".*" if kills > len(steps) else where
    killed_at = [number for number, step in enumerate(steps, start=1) if re.fullmatch(tried, step)]
    assert killed_at
    expected = tree(whole)
    if damage is not damage_pointers:  # a pointer forgets what it took the place of, and is kept beside
        assert expected == written
    for step in {killed_at[number - 1] for number in chosen(len(killed_at), kills)}:
        folder = tmp_path / f"{step}"
        shutil.copytree(damaged, folder)
        assert do("heal", folder, step) is None, step
        assert do("heal", folder, 0) is not None, step
        assert tree(folder) == expected, step


@pytest.fixture(scope="module")
def ahead(do: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which a clock that ran ahead has stamped bars and a control."""
    folder = tmp_path_factory.mktemp("ahead")
    assert do("ahead", folder, 0)
    return folder


@pytest.mark.parametrize("kills", [5, pytest.param(1_000, marks=pytest.mark.full)])
def test_a_mend_of_the_clock_killed_anywhere_is_absent_or_whole_and_given_again_ends_the_same(
    do: Write, ahead: Path, tmp_path: Path, kills: int
) -> None:
    stamped = tree(ahead / "lake")
    whole = Path(shutil.copytree(ahead, tmp_path / "whole"))
    steps = do("mend", whole, 0) or []
    expected = dump(whole / "ledger.sqlite")
    assert expected != dump(ahead / "ledger.sqlite")
    first_write = next(number for number, step in enumerate(steps, start=1) if step == "before INSERT")
    seen = set()
    # Before the first write all kills are one.
    for step in {first_write - 1 + number for number in chosen(len(steps) - first_write + 1, kills)} | {1}:
        folder = Path(shutil.copytree(ahead, tmp_path / f"{step}"))
        assert do("mend", folder, step) is None, step
        with Ledger(f"sqlite:///{folder / 'ledger.sqlite'}") as ledger:
            seen.add(len(ledger.mended().read_as))
            assert verify(ledger).ok
        assert do("mend", folder, 0)
        assert dump(folder / "ledger.sqlite") == expected, step
        assert tree(folder / "lake") == stamped
    assert seen == {0, 1}  # bars and control were stamped in one moment


ADDED = [bars(rows) for rows in (2, 3, 4, 5)]


@pytest.mark.parametrize(
    "what",
    [r"before replace (segments/.*|raw_bars/additions\.json)", pytest.param(r".*", marks=pytest.mark.full)],
)
def test_an_addition_killed_at_any_step_is_absent_or_whole_and_comes_with_the_next(
    do: Write, tmp_path: Path, what: str
) -> None:
    whole = tmp_path / "whole"
    steps = do("additions", whole, 0) or []
    expected = Lake(whole / "lake").read_segments("demo", "raw_bars")
    killed_at = [number for number, step in enumerate(steps, start=1) if re.fullmatch(what, step)]
    assert len(killed_at) >= 11  # four pointers, six lists, one merger
    seen = set()
    for step in killed_at:
        folder = tmp_path / f"{step}"
        assert do("additions", folder, step) is None, step
        seen.add(additions_in(Lake(folder / "lake")))
        assert do("additions", folder, 0) is not None
        lake = Lake(folder / "lake")
        pd.testing.assert_frame_equal(lake.read_segments("demo", "raw_bars"), expected)
        listed = json.loads((lake.root / "demo" / "raw_bars" / "additions.json").read_text())["segments"]
        assert [name.split("-")[1] for name in listed] == list(lake.segments("demo", "raw_bars"))
        shutil.rmtree(folder)
    assert seen >= set(range(len(ADDED)))


def additions_in(lake: Lake) -> int:
    """How many additions there are, each whole."""
    count = lake.additions("demo", "raw_bars")
    if count == 0:
        with pytest.raises(PublicationError, match="nothing stored"):
            lake.read_segments("demo", "raw_bars")
    else:
        frame = lake.read_segments("demo", "raw_bars")
        pd.testing.assert_frame_equal(frame, pd.concat(ADDED[:count], ignore_index=True))
    return count


def test_a_model_killed_anywhere_is_absent_or_whole(do: Write, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    steps = len(do("model", whole, 0) or ())
    expected = tree(whole)
    for step in range(1, steps + 1):
        folder = tmp_path / f"{step}"
        assert do("model", folder, step) is None, step
        store = ModelStore(folder / "models")
        assert store.model_ids() == (("0f" * 16,) if store.has("0f" * 16) else ())
        assert do("model", folder, 0)
        assert tree(folder) == expected, step


# Where a day's intake is killed: the last step of that name, or the step so many before it.
POINTS = {
    "raw bars not yet told of": (r"before replace segments/.*", 0),
    "bars staged but not flushed": (r"before replace validated_bars/\w+\.parquet", -2),
    "bars staged": (r"before replace validated_bars/\w+\.parquet", 0),
    "bars under their name": (r"after replace validated_bars/\w+\.parquet", 0),
    "before the publication's record": (r"before replace history/.*", 0),
    "before the switch": (r"before replace publication/current\.json", 0),
    "after the switch": (r"after replace publication/current\.json", 0),
    "before the ledger's row is committed": (r"before commit", 0),
    "after the ledger's row": (r"after commit", 0),
}
NOT_SWITCHED = list(POINTS)[: list(POINTS).index("after the switch")]
# Every third point in every run, all of them in the full one. A pointer written before its record, and a row of the
# ledger written before its publication, were put in and found by these; a record that a kill left and nothing removed,
# and a row that it kept from being written and no later day wrote, by the test of both ends of the switch.
THIRD = list(POINTS)[1::3]


def step_of(steps: list[str], point: str) -> int:
    name, further = POINTS[point]
    return 1 + max(index for index, step in enumerate(steps) if re.fullmatch(name, step)) + further


def kept(folder: Path) -> dict[str, object]:
    """What a home says, but for the moment of a bar's arrival and what is hashed over it."""
    store = PublicationStore(Lake(folder / "lake"))
    history = store.history("demo")
    with Ledger(f"sqlite:///{folder / 'ledger.sqlite'}") as ledger:
        rows = ledger.read("publications").sort_values("last_session")
        report = verify(ledger)
    assert report.ok
    assert report.entries == len(rows)  # nothing else was written
    assert set(rows["publication_id"]) <= {publication.publication_id for publication in history}
    ledger_rows = rows[["content_hash", "first_session", "last_session", "rows", "quarantined"]]
    return {
        "raw": _said(store.lake.read_segments("demo", "raw_bars")),
        "publications": [
            (publication.ordinal, publication.content_hash, publication.last_session, publication.rows)
            for publication in history
        ],
        "bars": [_said(store.bars(publication)) for publication in history],
        "quarantine": [_said(store.quarantine(publication)) for publication in history],
        "ledger": ledger_rows.to_dict("records"),
    }


def _said(frame: pd.DataFrame) -> str:
    return frame_hash(frame.drop(columns="ingested_at", errors="ignore"))


@pytest.fixture(scope="module")
def first_day(do: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first_day")
    assert do("intake_1", folder, 0)
    return folder


@pytest.fixture(scope="module")
def second_day(do: Write, first_day: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """The steps of a second day's intake, and a home in which it came to its end."""
    folder = tmp_path_factory.mktemp("second_day") / "home"
    shutil.copytree(first_day, folder)
    steps = do("intake_2", folder, 0)
    assert steps
    return steps, folder


@pytest.fixture(scope="module")
def killed_at(
    do: Write, first_day: Path, second_day: tuple[list[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, Path], Path]:
    """Copies a home whose second day's intake was killed at a point; each is killed once."""
    made: dict[str, Path] = {}

    def of(point: str, folder: Path) -> Path:
        if point not in made:
            home = Path(shutil.copytree(first_day, tmp_path_factory.mktemp("killed") / "home"))
            assert do("intake_2", home, step_of(second_day[0], point)) is None
            made[point] = home
        return Path(shutil.copytree(made[point], folder))

    return of


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=[] if point in THIRD else pytest.mark.full) for point in POINTS]
)
def test_an_intake_killed_and_run_again_ends_as_one_never_killed(
    do: Write,
    first_day: Path,
    second_day: tuple[list[str], Path],
    killed_at: Callable[[str, Path], Path],
    point: str,
    tmp_path: Path,
) -> None:
    folder = killed_at(point, tmp_path / "home")
    before, expected, actual = kept(first_day), kept(second_day[1]), kept(folder)
    assert before != expected
    for name in ("publications", "bars", "quarantine"):
        assert actual[name] == (before if point in NOT_SWITCHED else expected)[name]
    assert actual["ledger"] == (expected if point == "after the ledger's row" else before)["ledger"]
    assert do("intake_2", folder, 0)
    assert kept(folder) == expected
    left = list(folder.rglob(".staged-*"))
    assert len(left) == (1 if POINTS[point][0].startswith("before replace") else 0)
    assert sweep(folder, older_than_seconds=0.0) == len(left)
    assert kept(folder) == expected


@pytest.mark.parametrize("point", ["before the switch", "after the switch"])
def test_a_publication_that_a_kill_kept_from_being_in_force_is_never_told_of_and_one_in_force_gets_its_row(
    do: Write, killed_at: Callable[[str, Path], Path], point: str, tmp_path: Path
) -> None:
    folder = killed_at(point, tmp_path / "home")
    store = PublicationStore(Lake(folder / "lake"))
    in_force = [publication.publication_id for publication in store.history("demo")]
    now = pd.Timestamp.now(tz="UTC")
    assert do("intake_3", folder, 0)  # the next day comes, and the killed one was not run again
    history = store.history("demo")
    assert [publication.ordinal for publication in history] == list(range(1, len(in_force) + 2))
    assert [publication.publication_id for publication in history[:-1]] == in_force
    as_of = store.current("demo", as_of=now)
    assert as_of is not None
    assert as_of.publication_id == in_force[-1]
    with Ledger(f"sqlite:///{folder / 'ledger.sqlite'}") as ledger:
        recorded = set(ledger.read("publications")["publication_id"])
    assert recorded == {
        publication.publication_id for publication in history
    }  # a row that the kill prevented came with the next


@pytest.mark.parametrize("kills", [2, pytest.param(40, marks=pytest.mark.full)])
def test_a_day_of_a_long_history_killed_anywhere_ends_as_one_never_killed(
    do: Write, tmp_path: Path, kills: int
) -> None:
    begun, whole = tmp_path / "begun", tmp_path / "whole"
    assert do("long_1", begun, 0)
    steps = do("long_2", Path(shutil.copytree(begun, whole)), 0)
    assert steps
    assert do("long_3", whole, 0)
    expected = kept(whole)
    published = next(index for index, step in enumerate(steps) if re.search("validated_bars", step))
    for step in [published + number for number in chosen(len(steps) - published, kills)]:
        folder = Path(shutil.copytree(begun, tmp_path / f"{step}"))
        assert do("long_2", folder, step) is None, step
        assert do("long_2", folder, 0), step
        assert do("long_3", folder, 0), step
        assert kept(folder) == expected, step
        carried = [read_carried(home / "lake" / "demo" / "validated_bars_carried") for home in (folder, whole)]
        assert carried[0] is not None, step
        same = [
            {name: record[name] for name in ("until", "raw_rows", "notices")}
            for record in carried
            if record is not None
        ]
        assert same[0] == same[1], step
