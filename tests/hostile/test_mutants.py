"""Mutants of good files: each is refused, halted or quarantined by name, or gives the same bars; none does harm.

What must come of a mutant is said by an oracle that reads the same bytes by plain loops.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from nn_assets.errors import SourceError
from nn_assets.sources.tables.files import FilesSource
from tests.hostile.feeding import Fed, bars_of, check, deliver, fed_home
from tests.hostile.file_mutations import (
    CSV_MUTATIONS,
    PACKED_MUTATIONS,
    PARQUET_MUTATIONS,
    bytes_changed,
    wrong_days,
)
from tests.hostile.good import LAYOUTS, Good, Row, bundled, laid_out, parquet_bytes, stocks, table_of
from tests.hostile.oracle import Delivery, Fault
from tests.hostile.row_mutations import ROW_MUTATIONS

# Mutants of each kind: a few in every run, and as many as there are to be at full size.
FEW = {"bundled": 1, "stocks": 1}
FULL = {"bundled": 16, "stocks": 3}
SIZES = [pytest.param(FEW, id="few"), pytest.param(FULL, id="full", marks=pytest.mark.full)]
KINDS = (*ROW_MUTATIONS, *CSV_MUTATIONS, *PACKED_MUTATIONS, *PARQUET_MUTATIONS, "Parquet bytes changed")
# Where an outcome is sure to come up, it must: a check that lets nothing, or everything, through would show.
OUTCOMES = {
    **dict.fromkeys(["unsorted rows", "mixed time zones", "future sessions", "odd symbols beside"], "same"),
    "duplicated rows": "same",
    **dict.fromkeys(["a column more", "columns in another order", "other line ends"], "same"),
    **dict.fromkeys(["Parquet days of another good type", "Parquet columns beside"], "same"),
    **dict.fromkeys(["negative or zero prices", "missing prices", "conflicting duplicates"], "halted"),
    **dict.fromkeys(["day or month first", "intraday times", "a symbol missing", "a column less"], "refused"),
    **dict.fromkeys(["zero bytes", "gzip truncated", "Parquet damaged", "another kind of file"], "refused"),
    **dict.fromkeys(["weekend sessions"], "quarantined"),
}
LONG_ONLY = ("symbols that none has", "odd symbols beside")  # what no file can be named


@pytest.fixture(scope="module", params=["bundled", "stocks"])
def fed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fed]:
    good = bundled() if request.param == "bundled" else stocks(request.getfixturevalue("shared_data") / "sp500_5yr")
    with fed_home(good, tmp_path_factory.mktemp("hostile")) as home:
        yield home


def mutant(kind: str, good: Good, rng: Random) -> tuple[dict[str, bytes], Delivery | None]:
    """Files of a mutant, and what they say."""
    if kind in ROW_MUTATIONS:
        rows = ROW_MUTATIONS[kind](good, rng)
        layouts = [layout for layout in LAYOUTS if kind not in LONG_ONLY or layout.startswith("long")]
        layout = rng.choice(layouts)
        return laid_out(rows, layout), said_by_rows(rows, layout)
    if kind in CSV_MUTATIONS:
        files = laid_out(list(good.rows), rng.choice(["long.csv", "split.csv"]))
        name = rng.choice(sorted(files))
        mutated = CSV_MUTATIONS[kind](files[name].decode(), rng)
        files[name] = mutated.encode() if isinstance(mutated, str) else mutated
        return files, bars_of(files)
    if kind in PACKED_MUTATIONS:
        files = {
            name: PACKED_MUTATIONS[kind](content, rng)
            for name, content in laid_out(list(good.rows), "long.csv.gz").items()
        }
        return files, bars_of(files)
    layout = rng.choice(["long.parquet", "split.parquet"])
    files = laid_out(list(good.rows), layout)
    name = rng.choice(sorted(files))
    if kind == "Parquet bytes changed":
        return {**files, name: bytes_changed(files[name], rng)}, None
    rows = [row for row in good.rows if layout.startswith("long") or name == f"{row.symbol}.parquet"]
    files[name], same = PARQUET_MUTATIONS[kind](rows, layout.startswith("long"), rng)
    delivery = said_by_rows(list(good.rows), layout)
    return files, delivery if same else Delivery(faults=[Fault(name)])


def said_by_rows(rows: list[Row], layout: str) -> Delivery:
    """What rows say in a layout: their places are lines of a CSV, or rows of a Parquet."""
    if not layout.endswith("parquet"):
        return bars_of(laid_out(rows, layout))
    delivery = bars_of(laid_out(rows, layout.replace("parquet", "csv")))
    faults = [
        Fault(fault.file.replace(".csv", ".parquet"), (fault.row or 1) - 1, fault.column) for fault in delivery.faults
    ]
    return Delivery(delivery.bars, faults)


def for_each_mutant(
    kind: str, good: Good, examples: int, take: Callable[[dict[str, bytes], Delivery | None], None]
) -> None:
    """Give the mutants of a kind one by one, the same ones in every run; a failing one is made simpler first."""

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def one(rng: Random) -> None:
        take(*mutant(kind, good, rng))

    one()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_a_mutant_is_named_or_harmless(fed: Fed, size: dict[str, int], kind: str) -> None:
    came = set()

    def feed(files: dict[str, bytes], delivery: Delivery | None) -> None:
        deliver(fed.folder, files)
        came.add(check(fed, delivery))

    # The first of a few may stay below the gate's limit.
    examples = max(size[fed.good.name], 2 if OUTCOMES.get(kind) == "halted" else 1)
    for_each_mutant(kind, fed.good, examples, feed)
    assert OUTCOMES.get(kind) in (None, *came), came


@pytest.mark.parametrize("index", range(len(wrong_days(1))))
def test_every_column_of_wrong_days_is_refused_by_the_name_of_its_file(tmp_path: Path, index: int) -> None:
    table = table_of(list(bundled().rows)[:3], symbol=True)
    days = table.schema.get_field_index("date")
    file = tmp_path / "bars.parquet"
    file.write_bytes(parquet_bytes(table.set_column(days, "date", wrong_days(3)[index])))
    with pytest.raises(SourceError) as refused:
        FilesSource(file).bars(bundled().symbols)
    assert Path(str(refused.value.where["file"])).name == "bars.parquet"


def test_there_are_sixty_kinds() -> None:
    assert len(KINDS) >= 60
    assert set(OUTCOMES) <= set(KINDS)


@pytest.mark.full
def test_there_are_a_thousand_mutants_of_the_sample_alone() -> None:
    good, seen = bundled(), set()
    for kind in KINDS:
        for_each_mutant(kind, good, FULL[good.name], lambda files, _: seen.add(tuple(sorted(files.items()))))
    assert len(seen) >= 1000


def _loop(folder: Path) -> None:
    (folder / "LOOP.csv").symlink_to(folder / "LOOP.csv")


def _two_loops(folder: Path) -> None:
    (folder / "A.csv").symlink_to(folder / "B.csv")
    (folder / "B.csv").symlink_to(folder / "A.csv")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "PIPE.csv")


def _dangling(folder: Path) -> None:
    (folder / "GONE.csv").symlink_to(folder / "nowhere")


def _named_folder(folder: Path) -> None:
    (folder / "FOLDER.csv").mkdir()


def _link_to_itself(folder: Path) -> None:
    (folder / "again.csv").symlink_to(folder)


def _others(folder: Path) -> None:
    (folder / ".hidden.csv").write_bytes(b"\x00")
    (folder / "notes.txt").write_bytes(b"\x00")
    (folder / "bars.csv.bak").write_bytes(b"\x00")


def _locked(folder: Path) -> None:
    (folder / "bars.csv").chmod(0)


def _empty(folder: Path) -> None:
    (folder / "bars.csv").unlink()


def _two_formats(folder: Path) -> None:
    (folder / "COPY.parquet").write_bytes((folder / "bars.csv").read_bytes())


REFUSED_FOLDERS = {"LOOP.csv": _loop, "A.csv": _two_loops, "PIPE.csv": _pipe, "GONE.csv": _dangling}


@pytest.mark.parametrize("name", REFUSED_FOLDERS)
def test_what_is_no_plain_file_is_named_and_never_waited_for(fed: Fed, name: str) -> None:
    deliver(fed.folder, laid_out(list(fed.good.rows), "long.csv"))
    REFUSED_FOLDERS[name](fed.folder)
    assert check(fed, Delivery(faults=[Fault(name)])) == "refused"


@pytest.mark.full
@pytest.mark.parametrize("beside", [_named_folder, _link_to_itself, _others])
def test_what_is_none_of_the_files_meant_changes_nothing(fed: Fed, beside: Callable[[Path], None]) -> None:
    files = laid_out(list(fed.good.rows), "long.csv")
    deliver(fed.folder, files)
    beside(fed.folder)
    assert check(fed, bars_of(files)) == "same"


@pytest.mark.parametrize(("spoil", "name"), [(_locked, "bars.csv"), (_empty, "data"), (_two_formats, "COPY.parquet")])
def test_files_that_cannot_be_read_are_named(fed: Fed, spoil: Callable[[Path], None], name: str) -> None:
    deliver(fed.folder, laid_out(list(fed.good.rows), "long.csv"))
    spoil(fed.folder)
    if spoil is _locked and os.access(fed.folder / name, os.R_OK):
        pytest.skip("this user may read every file, whatever its rights")
    assert check(fed, Delivery(faults=[Fault(name)])) == "refused"


@pytest.mark.full
@pytest.mark.parametrize("layout", LAYOUTS)
def test_good_files_give_the_same_bars_in_every_layout(fed: Fed, layout: str) -> None:
    deliver(fed.folder, laid_out(list(fed.good.rows), layout))
    assert check(fed, said_by_rows(list(fed.good.rows), layout)) == "same"
