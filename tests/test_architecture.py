"""The rules between the rooms hold, and a violation of each would be noticed."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOMS_WITH_TORCH = "learning"


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [str(program), "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def copy(tmp_path: Path, checkout: Path) -> Path:
    """A copy of the package that a test may break."""
    shutil.copytree(checkout / "nn_assets", tmp_path / "nn_assets", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(checkout / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.full
def test_the_import_contracts_hold(checkout: Path) -> None:
    linted = _lint(checkout)
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.full
@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("market/panel.py", "import nn_assets.features.labels", "only the rooms"),
        ("portfolio/kelly.py", "import dagster", "Dagster lives"),
        ("arrays.py", "import torch", "torch lives"),
        ("market/panel.py", "import pandera", "pandera lives"),
        ("portfolio/kelly.py", "import sqlalchemy", "SQLAlchemy lives"),
        ("orchestration/schedules.py", "import nn_assets.orchestration.build", "A part of orchestration"),
        ("operations/history.py", "import nn_assets.operations.intake.bars", "A part of operations"),
        ("operations/intake/bars.py", "import nn_assets.operations.session_page", "A part of operations"),
        ("operations/decisions/rounds.py", "import nn_assets.cli.status", "only the rooms"),
        ("operations/study.py", "import dagster", "Dagster lives"),
        ("market/facts/bars.py", "import nn_assets.market.quality.gate", "A part of market"),
        ("store/lake/files.py", "import nn_assets.store.ledger.ledger", "A part of store"),
        ("sources/days.py", "import nn_assets.sources.tables.files", "A part of sources"),
    ],
)
def test_a_deliberate_violation_breaks_its_contract(copy: Path, module: str, line: str, contract: str) -> None:
    file = copy / "nn_assets" / module
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text.replace("from __future__ import annotations\n", f"from __future__ import annotations\n{line}\n", 1),
        encoding="utf-8",
    )
    linted = _lint(copy)
    assert linted.returncode != 0
    broken = [row for row in linted.stdout.splitlines() if "BROKEN" in row]
    assert any(contract in row for row in broken), linted.stdout


@pytest.mark.full
@pytest.mark.parametrize("above", ["", "market", "store", "sources", "operations", "orchestration"])
def test_a_room_that_no_contract_lists_is_noticed(copy: Path, above: str) -> None:
    room = copy / "nn_assets" / above / "annex"
    room.mkdir()
    (room / "__init__.py").write_text('"""A room."""\n', encoding="utf-8")
    assert _lint(copy).returncode != 0


def test_every_room_says_what_it_takes_gives_and_never_does(checkout: Path) -> None:
    for charter in (checkout / "nn_assets").glob("*/__init__.py"):
        text = charter.read_text(encoding="utf-8")
        assert text.startswith('"""'), charter
        assert "Takes" in text, charter
        assert "Never" in text, charter


def test_no_module_reads_or_writes_a_pickle(checkout: Path) -> None:
    for file in (checkout / "nn_assets").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "import pickle" not in text, file
        assert "joblib" not in text, file
        assert "torch.load" not in text, file


_WRITES = {"append_segment", "publish", "transaction", "unlink", "write_bytes", "write_text"}


def test_what_reads_as_of_a_moment_stores_nothing(checkout: Path) -> None:
    for file in (checkout / "nn_assets" / "operations" / "asof").glob("*.py"):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            to_ledger = name == "append" and any(keyword.arg == "run_id" for keyword in call.keywords)
            writes = to_ledger or name in _WRITES or name.startswith(("record_", "write_"))
            assert not writes, (file, name)


def test_orchestration_is_dagster_alone_and_so_stays_small(checkout: Path) -> None:
    files = (checkout / "nn_assets" / "orchestration").rglob("*.py")
    assert sum(file.read_text(encoding="utf-8").count("\n") for file in files) <= 2000
