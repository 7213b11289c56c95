"""The code behind a table is what its module imports: no more, so that no change elsewhere makes it measure again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.proof import behind, tables
from tests.proof.behind import CHECKOUT, modules_behind


def _write(folder: Path, **sources: str) -> None:
    for name, source in sources.items():
        file = folder.joinpath(*name.split("__")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")


def test_imports_are_followed_through_packages_functions_and_circles(tmp_path: Path) -> None:
    _write(
        tmp_path,
        table="import os\nfrom home.one import thing\n",
        home__init="",
        home__one="def thing():\n    from home import two\n    import home.deep.three as other\n",
        home__two="import table\n",
        home__deep__three="",
        home__deep__beside="",
        home__apart="import home.one\n",
    )
    (tmp_path / "home" / "__init__.py").write_text("import first\n", encoding="utf-8")
    (tmp_path / "first.py").write_text("", encoding="utf-8")
    assert set(modules_behind("table", tmp_path)) == {
        *("table", "home", "first", "home.one", "home.two", "home.deep.three")
    }


def test_a_relative_import_is_refused_rather_than_missed(tmp_path: Path) -> None:
    _write(tmp_path, table="from . import one\n")
    with pytest.raises(AssertionError, match=r"table\.py:1"):
        modules_behind("table", tmp_path)


@pytest.mark.full
def test_whatever_an_interpreter_loads_is_behind_a_table() -> None:
    command = "import sys, tests.proof.false_edge; print(*(name for name in sys.modules if name[:9] == 'nn_assets'))"
    completed = subprocess.run(
        [sys.executable, "-c", command], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    loaded = set(completed.stdout.split())
    assert "nn_assets.learning.model" in loaded
    assert loaded <= set(modules_behind("tests.proof.false_edge"))


@pytest.mark.full
def test_pages_and_dagster_are_behind_no_table_of_verdicts() -> None:
    for table in ("false_edge", "power", "capture", "replayed"):
        rooms = {".".join(name.split(".")[:2]) for name in modules_behind(f"tests.proof.{table}")}
        assert not rooms & {
            f"nn_assets.{room}" for room in ("orchestration", "cli", "definitions", "reports", "brokers")
        }
    assert "nn_assets.learning.training" in modules_behind("tests.proof.replayed")
    assert "nn_assets.learning.training" not in modules_behind("tests.proof.capture")


def test_the_code_changes_with_what_the_table_refers_to_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behind, "CHECKOUT", tmp_path)
    monkeypatch.setattr(behind, "REGISTRIES", ("nn_assets.kinds:KINDS", "nn_assets.far.kinds:KINDS"))
    _write(
        tmp_path,
        tests__proof__one="from nn_assets import files\nfrom nn_assets.used import asked\n",
        nn_assets__used="from nn_assets.kinds import KINDS\n\n\ndef asked():\n    return helps()\n\n\n"
        "def helps():\n    return 'rates.csv', KINDS\n\n\ndef other():\n    return 1\n",
        nn_assets__kinds="def kind():\n    return 1\n\n\nKINDS: Registry[int] = {'a': kind}\n",
        nn_assets__far__kinds="def kind():\n    return 1\n\n\nKINDS = {'a': kind}\n",
        nn_assets__settings__base="S = 1\n",
    )
    for folder in ("nn_assets", "nn_assets/far", "nn_assets/settings"):
        (tmp_path / folder / "__init__.py").write_text("")
    for name in ("rates.csv", "other.csv", "files/a.yaml"):
        (tmp_path / "nn_assets" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "nn_assets" / name).write_text("0")

    def edited(name: str, before: str, after: str) -> bool:
        """Whether an edit of a file changes the code behind the table."""
        file, first = tmp_path / "nn_assets" / name, behind.code_of.__wrapped__("one")
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after, 1))
        changed = behind.code_of.__wrapped__("one") != first
        file.write_text(text)
        return changed

    assert edited("used.py", "return 'rates.csv', KINDS", "return 'rates.csv', KINDS, 2")
    assert edited("kinds.py", "return 1", "return 2")
    assert edited("rates.csv", "0", "1")
    assert edited("files/a.yaml", "0", "1")
    assert edited("settings/base.py", "S = 1", "S = 2")
    assert not edited("used.py", "return 1", "return 2")
    assert not edited("used.py", "def helps():\n", 'def helps():\n    """What it is."""  # and how\n')
    assert not edited("settings/base.py", "S = 1", '"""What it is."""\nS = 1  # and how')
    assert not edited("far/kinds.py", "return 1", "return 2")
    assert not edited("other.csv", "0", "1")


@pytest.mark.full
def test_every_table_with_panels_has_code_behind_it() -> None:
    codes = {name: behind.code_of(name) for name in tables.NAMES if tables.panels_of(name)}
    assert codes["false_edge"] == codes["power"]  # one measurement
    assert codes["capture"] != codes["controls"]
