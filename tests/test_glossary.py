"""The glossary names modules that are there, each word once, and the code's names keep to it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")

SAY_NOTHING = {"found", "told", "place", "stated", "standing", "given", "spending"}
"""Words that name nothing in particular, as a whole name."""
MAY_BE_NAMES = rf"\b_*(?:{'|'.join(SAY_NOTHING)})\s*(?:[:=,)(]|in\b)"
OF_STORED_RECORDS = {
    ("nn_assets/evaluation/figure_set.py", "told"),
    *((f"tests/mutation/{name}.py", "place") for name in ("named", "operators", "results")),
}
"""Keys of what is stored: they stay."""
OF_AN_ERROR = "found"  # beside expected and remedy
ONLY_IN = {
    "breaker": "cli contracts operations oversight portfolio reports session settings",
    "calibration": "evaluation learning measures operations reports settings",
    "look": "contracts evaluation operations oversight",
    "notice": "cli contracts market operations reports",
    "programme": "operations portfolio session settings",
    "trial": "contracts evaluation operations settings",
    "vault": "operations settings",
    "verdict": "cli contracts evaluation features operations oversight portfolio reports session settings",
    "wing": "operations orchestration",
}
"""Words of one sense, with the rooms that have to do with it: elsewhere a name would use another sense."""


def words_of(name: str) -> set[str]:
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace("look_ahead", "").split("_")
    return {part.removesuffix("s") for part in parts}


def names_in(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Names of variables, parameters, attributes, functions and classes that a file defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield (node.id if isinstance(node, ast.Name) else node.attr), node
        elif isinstance(node, ast.arg):
            yield node.arg, node
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node


def used_other_than_in_errors(tree: ast.AST) -> Iterator[int]:
    """Lines that read a local variable ``found`` other than to raise or return an error, or as the ``found`` of one."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        parents = {child: node for node in ast.walk(function) for child in ast.iter_child_nodes(node)}
        uses = [node for node in parents if isinstance(node, ast.Name) and node.id == OF_AN_ERROR]
        if not any(isinstance(node.ctx, ast.Store) for node in uses):
            continue
        for node in uses:
            above: ast.AST = node
            while not isinstance(above, ast.stmt) and not (isinstance(above, ast.keyword) and above.arg == OF_AN_ERROR):
                above = parents[above]
            if isinstance(node.ctx, ast.Load) and not isinstance(above, ast.keyword | ast.Raise | ast.Return):
                yield node.lineno


def faults_of(text: str, file: str) -> list[str]:
    """Names in a file's text that go against the glossary, with their lines."""
    tree, (top, room) = ast.parse(text), Path(file).with_suffix("").parts[:2]
    faults = []
    for name, node in names_in(tree):
        line, plain = f"{file}:{getattr(node, 'lineno', 0)} {name}", name.strip("_").lower()
        of_an_error = plain == OF_AN_ERROR and top == "nn_assets" and not isinstance(node, ast.FunctionDef)
        if plain in SAY_NOTHING and not of_an_error and (file, name) not in OF_STORED_RECORDS:
            faults.append(f"{line}: say what it is")
        if top == "nn_assets":
            others = [word for word in words_of(name) & ONLY_IN.keys() if room not in ONLY_IN[word].split()]
            faults += [f"{line}: another sense of {word!r} than the glossary's" for word in others]
    if top == "nn_assets":
        faults += [f"{file}:{number} found: only an error has it" for number in used_other_than_in_errors(tree)]
    return faults


def test_every_place_named_is_there() -> None:
    named = set(re.findall(r"`(nn_assets[a-z_.0-9]*)`", PAGE))
    assert len(named) > 30
    assert [name for name in sorted(named) if find_spec(name) is None] == []


def test_no_word_has_two_entries() -> None:
    words = [word for row in re.findall(r"^\| ([^|]+) \|", PAGE, re.MULTILINE) for word in re.split(r", ", row.strip())]
    words = [word for word in words if word != "word" and not set(word) <= {"-"}]
    assert len(words) > 50
    assert sorted(words) == sorted(set(words))
    assert ONLY_IN.keys() <= set(words)


@pytest.mark.parametrize("top", ["nn_assets", "tests"])
def test_names_keep_to_the_glossary(top: str) -> None:
    files = {file.relative_to(ROOT): file.read_text(encoding="utf-8") for file in sorted((ROOT / top).rglob("*.py"))}
    assert len(files) > 200
    faults = []
    for file, text in files.items():
        of_others = [word for word, rooms in ONLY_IN.items() if file.with_suffix("").parts[1] not in rooms.split()]
        if re.search("|".join((MAY_BE_NAMES, *(of_others if top == "nn_assets" else ()))), text, re.IGNORECASE):
            faults += faults_of(text, file.as_posix())
    assert faults == []


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("tests/test_bars.py", "def told(rows):\n    return rows", "say what it is"),
        ("nn_assets/market/panel.py", "def f(bars):\n    place = bars[0]\n    return place", "say what it is"),
        (
            "nn_assets/market/panel.py",
            "def f(index):\n    found = index >= 0\n    x = g(found)\n    return x",
            "only an",
        ),
        ("nn_assets/costs/model.py", "def fit_calibration(fills): ...", "another sense of 'calibration'"),
        ("nn_assets/market/panel.py", "class Verdicts: ...", "another sense of 'verdict'"),
    ],
)
def test_a_name_against_the_glossary_is_noticed(file: str, text: str, fault: str) -> None:
    (only,) = faults_of(text, file)
    assert fault in only


def test_an_error_may_say_what_was_found() -> None:
    text = "def refuse(found):\n    raise ValueError(expected(found=found))\n\n\ndef no_look_ahead(): ...\n"
    assert faults_of(text, "nn_assets/market/panel.py") == []
