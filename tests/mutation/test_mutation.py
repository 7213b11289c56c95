"""The mutation run: what it counts, and that it can tell the killed from the living."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutation import results
from tests.mutation.draw import CHECKOUT, LEAST, ROOMS, candidates, drawn
from tests.mutation.named import FILE, NAMED, Named
from tests.mutation.operators import mutants_of
from tests.mutation.runner import Outcome, Reached
from tests.mutation.score import score

SOURCE = '''
"""Words: 1 + 1."""
from __future__ import annotations
__all__ = ["f"]
Pair = tuple[int, int]
LIMIT: float = 0.5


def f(x: int = 3, *, strict: bool = True) -> Pair:
    """More words."""
    if x < LIMIT:
        message = f"too small by {LIMIT - x}"
        raise ValueError(message, x + 1)
    x += 2
    return g(x[1:], min(x, -x) if x and not strict else zip(x, x, strict=True))
'''


def changes(source: str) -> Counter[tuple[str, str]]:
    return Counter((mutant.operator, mutant.after) for mutant in mutants_of("file.py", source))


def test_each_operator_makes_the_faults_it_says_and_words_are_left_alone() -> None:
    counts = changes(SOURCE)
    assert counts == Counter(
        {
            ("constant", "1.0"): 1,  # of 0.5
            ("constant", "0.25"): 1,
            ("constant", "4"): 1,  # of the default 3
            ("constant", "2"): 2,  # of 3 and of the slice's 1
            ("boolean", "False"): 1,
            ("edge", "x <= LIMIT"): 1,
            ("other side", "x >= LIMIT"): 1,
            ("removed statement", "pass"): 2,  # the raise, and x += 2
            ("arithmetic", "x -= 2"): 1,
            ("constant", "3"): 1,  # of 2
            ("constant", "1"): 1,
            ("constant", "0"): 1,  # of the slice
            ("returned argument", "return x[1:]"): 1,
            ("offset", ":"): 1,
            ("not", "min(x, -x) if not (x and (not strict)) else zip(x, x, strict=True)"): 1,
            ("min max", "max(x, -x)"): 1,
            ("sign", "x"): 1,
            ("and or", "x or not strict"): 1,
            ("not", "strict"): 1,
        }
    )


@pytest.mark.parametrize("fault", NAMED, ids=lambda fault: fault.operator)
def test_what_a_named_fault_replaces_stands_once_in_its_file(fault: Named) -> None:
    assert fault.source.count(fault.before) == 1


@pytest.mark.parametrize("fault", NAMED, ids=lambda fault: fault.operator)
def test_the_test_that_a_named_fault_dies_by_is_there(fault: Named) -> None:
    assert results.test_code(fault.test)


def test_a_mutant_is_its_own_change_alone() -> None:
    for mutant in mutants_of("file.py", SOURCE):
        before, after = ast.dump(ast.parse(SOURCE)), ast.dump(mutant.tree())
        assert before != after
        assert ast.dump(ast.parse(ast.unparse(mutant.tree()))) == ast.dump(
            ast.parse(ast.unparse(ast.parse(ast.unparse(mutant.tree()))))
        )
        compile(mutant.tree(), "file.py", "exec")


def test_a_place_does_not_move_with_the_lines_above_it_and_its_address_does() -> None:
    one = mutants_of("file.py", SOURCE)
    other = mutants_of("file.py", SOURCE.replace('"""Words', '"""Many\n\nmore words'))
    assert [mutant.place for mutant in one] == [mutant.place for mutant in other]
    assert not {mutant.address for mutant in one} & {mutant.address for mutant in other}
    # An argument is about a function: it holds while the function is the same.
    inside = [(a, b) for a, b in zip(one, other, strict=True) if a.function]
    assert [a.argument for a, _ in inside] == [b.argument for _, b in inside]


@pytest.mark.full  # of a test's own tool
def test_the_draw_is_large_enough_and_balanced() -> None:
    mutants = drawn()
    assert len(mutants) >= LEAST
    assert len({mutant.address for mutant in mutants}) == len(mutants)
    of_file, there = (
        Counter(mutant.file for mutant in mutants),
        {file: len(group) for file, group in candidates().items()},
    )
    most = max(of_file.values())
    assert of_file == {file: min(count, most) for file, count in there.items()}
    assert {file.split("/")[1] for file in of_file} == set(ROOMS)


@pytest.mark.full  # of a test's own tool
def test_the_runner_tells_the_killed_from_the_living() -> None:
    test = "tests/portfolio/test_kelly.py::test_the_weight_is_the_bet_over_what_is_lost_per_unit"
    completed = subprocess.run(
        [sys.executable, "-m", "tests.mutation.probe", test], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert [json.loads(line) for line in completed.stdout.splitlines()] == [
        ["nothing", "survived", ""],
        ["the sign of q", "killed", test],
        ["it never ends", "timed out", test],
        ["it cannot be imported", "killed", "tests/portfolio/test_kelly.py"],
        ["no test is there", "survived", ""],
    ]


def test_a_result_stands_while_file_and_test_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    first, second, third = mutants_of("file.py", SOURCE)[:3]
    here = "tests/mutation/test_mutation.py::test_a_result_stands_while_file_and_test_are_the_same"
    results.write(first, Outcome("killed", here))
    results.write(second, Outcome("survived"))
    with (tmp_path / results.DRAWN).open("a") as lines:
        lines.write('{"address": "cut sh')
    have = results.kept()
    assert set(have) == {first.address, second.address}
    assert have[first.address].stands
    assert not replace(have[first.address], test_code="other").stands
    assert not replace(have[first.address], test=f"{here}_no_more").stands
    counted = score([first, second, third])
    assert (counted.died, counted.argued, len(counted.living), counted.missing) == (1, 0, 1, 1)
    (tmp_path / "equivalent.jsonl").write_text(json.dumps({"argument": second.argument, "why": "because"}) + "\n")
    counted = score([first, second, third])
    assert (counted.died, counted.argued, counted.living) == (1, 1, ())
    assert counted.share_died == pytest.approx(1 / 3)
    results.rewrite([first])
    assert set(results.kept()) == {first.address}


def test_the_tests_of_a_mutant_are_those_that_reach_it_quickest_first_within_the_budget() -> None:
    mutant = next(candidate for candidate in mutants_of("file.py", SOURCE) if candidate.operator == "edge")
    reached = {
        "a::slow": Reached(3.0, {"file.py": mutant.lines}),
        "a::quick": Reached(0.5, {"file.py": mutant.lines}),
        "b::quick": Reached(0.1, {"file.py": mutant.lines}),
        "b::elsewhere": Reached(0.1, {"file.py": frozenset({1000})}),
        "c::elsewhere": Reached(0.1, {"other.py": mutant.lines}),
    }
    assert list(results.tests_for(mutant, reached, 9.0)) == ["b::quick", "a::quick", "a::slow"]
    assert list(results.tests_for(mutant, reached, 2.0)) == ["b::quick", "a::quick"]


@pytest.mark.full
def test_at_least_85_of_100_mutants_die_and_every_named_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Results are kept: only mutants of changed files, or whose killing test changed, are run."""
    subprocess.run([sys.executable, "-m", "tests.mutation"], cwd=CHECKOUT, check=True)
    sampled, named = score(drawn()), score(NAMED, FILE)
    with capsys.disabled():
        print(f"\n{sampled}\n{named}")
    assert sampled.mutants >= LEAST
    assert sampled.missing == 0
    assert sampled.share_died >= 0.85
    assert sampled.share_argued <= 0.05
    assert named.died == named.mutants
