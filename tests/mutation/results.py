"""What became of each mutant, kept by content as JSON lines; and which tests reach which lines, kept beside it.

A result stands while the mutant's file is the same and, of a killed one, the test that killed it. ``reach.json`` is
no result: it is made again where it is missing, and is not committed.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.mutation.draw import CHECKOUT
from tests.mutation.operators import Mutant
from tests.mutation.runner import Outcome, Reached, reach_of

__all__ = ["DRAWN", "FOLDER", "Kept", "arguments", "kept", "reach", "rewrite", "tests_for", "write"]

FOLDER = Path(__file__).parent / "results"
DRAWN = "drawn.jsonl"
SEARCHED = ("portfolio", "costs", "execution", "evaluation", "session")
"""Folders of tests that are run against mutants; those of other rooms are slower and reach less."""
PLUGINS = ("tests/plugins/test_constraints.py", "tests/plugins/test_contracts_held.py")
"""And tests of what plug-ins bring to these rooms."""


@dataclass(frozen=True)
class Kept:
    """One line: the mutant, what became of it, and the hash of the test that killed it."""

    address: str
    place: str
    line: int
    before: str
    after: str
    kind: str
    test: str = ""
    why: str = ""
    seconds: float = 0.0
    test_code: str = ""

    @property
    def stands(self) -> bool:
        """Whether the test that killed it, if one did, is still there and the same."""
        return not self.test or self.test_code == test_code(self.test)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.cache
def _functions(file: str) -> dict[str, str]:
    path = CHECKOUT / file
    if not path.exists():
        return {}
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.name: _hash(ast.dump(node)) for node in nodes if isinstance(node, ast.FunctionDef)}


def test_code(test: str) -> str:
    """Hash of a test's function; of its whole file where the file itself failed; '' of a test that is gone."""
    file, _, name = test.partition("::")
    if not name:
        return _hash((CHECKOUT / file).read_text()) if (CHECKOUT / file).is_file() else ""
    return _functions(file).get(name.rpartition("::")[2].partition("[")[0], "")


test_code.__test__ = False  # type: ignore[attr-defined]


def kept(file: str = DRAWN) -> dict[str, Kept]:
    """Every result by its address; the newest where there are two. A line cut short by a kill is none."""
    path, results = FOLDER / file, {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            one = Kept(**json.loads(line))
        except ValueError:
            continue
        results[one.address] = one
    return results


def write(mutant: Mutant, outcome: Outcome, file: str = DRAWN) -> Kept:
    """Add one result."""
    code = test_code(outcome.test) if outcome.test else ""
    identity = mutant.address, mutant.place, mutant.line, mutant.before[:200], mutant.after[:200]
    one = Kept(*identity, outcome.kind, outcome.test, outcome.why, round(outcome.seconds, 1), code)
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / file).open("a") as lines:
        lines.write(json.dumps(asdict(one), sort_keys=True) + "\n")
    return one


def rewrite(mutants: Iterable[Mutant], file: str = DRAWN) -> None:
    """Leave one line for each of these mutants, in order of place, and none of others."""
    have = kept(file)
    lines = [
        have[mutant.address] for mutant in sorted(mutants, key=lambda mutant: mutant.place) if mutant.address in have
    ]
    (FOLDER / file).write_text("".join(json.dumps(asdict(one), sort_keys=True) + "\n" for one in lines))


def arguments() -> dict[str, str]:
    """Why a mutant changes nothing that anyone could observe, by what was argued about: function, place and change."""
    path = FOLDER / "equivalent.jsonl"
    return (
        {one["argument"]: one["why"] for one in map(json.loads, path.read_text().splitlines())} if path.exists() else {}
    )


def searched(more: Sequence[str] = ()) -> list[str]:
    """Test files that are run against mutants."""
    paths = [path for room in SEARCHED for path in (CHECKOUT / "tests" / room).glob("test_*.py")]
    return sorted({*(str(path.relative_to(CHECKOUT)) for path in paths), *PLUGINS, *more})


def reach(more: Sequence[str] = ()) -> dict[str, Reached]:
    """Every test's time and lines; measured again where the test's file or a file that it reached has changed."""
    path = FOLDER / "reach.json"
    have = json.loads(path.read_text()) if path.exists() else {}
    reached: dict[str, Reached] = {}
    for file in searched(more):
        entry = have.get(file)
        if entry is None or entry["files"] != _contents(entry["files"]):
            tests = reach_of(file)
            files = {file, *(source for one in tests.values() for source in one.lines)}
            entry = have[file] = {
                "files": _contents(sorted(files)),
                "tests": {
                    name: [one.seconds, {source: _ranges(at) for source, at in one.lines.items()}]
                    for name, one in tests.items()
                },
            }
            FOLDER.mkdir(exist_ok=True)
            path.write_text(json.dumps(have))
        for name, (seconds, lines) in entry["tests"].items():
            reached[name] = Reached(seconds, {source: _lines(text) for source, text in lines.items()})
    return reached


def _contents(files: Iterable[str]) -> dict[str, str]:
    return {file: _hash((CHECKOUT / file).read_text()) if (CHECKOUT / file).exists() else "" for file in files}


def _ranges(lines: Iterable[int]) -> str:
    out: list[list[int]] = []
    for line in sorted(lines):
        if out and out[-1][1] == line - 1:
            out[-1][1] = line
        else:
            out.append([line, line])
    return ",".join(f"{first}-{last}" for first, last in out)


@functools.lru_cache(maxsize=100_000)
def _lines(text: str) -> frozenset[int]:
    spans = (part.split("-") for part in text.split(",") if part)
    return frozenset(line for first, last in spans for line in range(int(first), int(last) + 1))


def tests_for(mutant: Mutant, reached: Mapping[str, Reached], budget: float) -> dict[str, float]:
    """Tests that reach a mutant, as many as the budget allows: those of its module's own file first, then by time.

    Files follow from the quickest to the slowest, and in each its tests do.
    """
    files: dict[str, list[tuple[float, str]]] = {}
    for name, one in reached.items():
        lines = one.lines.get(mutant.file, frozenset())
        if lines and (mutant.at_import or lines & mutant.lines):
            files.setdefault(name.partition("::")[0], []).append((one.seconds, name))
    own = f"/test_{Path(mutant.file).stem}."
    chosen: dict[str, float] = {}
    for file in sorted(files, key=lambda file: (own not in file, sum(seconds for seconds, _ in files[file]))):
        for seconds, name in sorted(files[file]):
            if seconds <= budget:
                budget -= seconds
                chosen[name] = seconds
    return chosen
