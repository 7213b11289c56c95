"""What ``pip wheel .`` makes holds all that the package reads, and works from an empty folder in an empty home."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nn_assets.versions import version_of
from nn_assets.versions.moved import counted_name

pytest.importorskip("setuptools", reason="setuptools is not installed")

FOLDERS = ("nn_assets", "sql", "tests/learning")  # some tests, which must not come along
FILES = ("tests/__init__.py", "pyproject.toml", "setup.py", "README.md", "LICENSE", "dagster.yaml", "workspace.yaml")
LEFT_BEHIND = ("strategies/gone.yaml", "sql/migrations/versions/9999_gone.py", "gone.py")

# One process for all: the libraries take longer to import than the commands to answer. The script is the one that
# the installation made; it is read anew for each command, as a shell would start it.
COMMANDS = (
    ("--help",),
    ("check", "--strategy", "index_daily", "--json"),
    ("status", "--json"),
    ("query", "trial_count", "--json"),
    ("audit", "verify", "--json"),
)
DRIVER = """
import contextlib, io, json, runpy, sys

script, commands = sys.argv[1], json.loads(sys.argv[2])
answers = []
for words in commands:
    sys.argv = [script, *words]
    out = io.StringIO()
    status = 0
    try:
        with contextlib.redirect_stdout(out):
            runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:
        status = ended.code or 0
    answers.append({"status": status, "out": out.getvalue()})

import nn_assets
from nn_assets.versions import version_of
from nn_assets.store.home import checkout, home

print(json.dumps({
    "answers": answers,
    "package": nn_assets.__file__,
    "home": str(home()),
    "checkout": checkout(),
    "code": version_of("nn_assets.definitions:defs"),
    "from_elsewhere": [
        str(module.__file__) for name, module in sys.modules.items()
        if name.partition(".")[0] == "nn_assets" and "/site-packages/nn_assets/" not in str(module.__file__)
    ],
}))
"""


@dataclass(frozen=True)
class Installed:
    """An environment that holds the wheel, and what was told and written when it was used from an empty folder."""

    report: dict[str, Any]
    home: Path
    folder: Path
    package: Path
    written: dict[str, int]
    error: str


def run(*words: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program that must succeed, in an environment of next to nothing."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "TMPDIR") if key in os.environ}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env={**kept, "OMP_NUM_THREADS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built without a network in a copy, over what an earlier build left behind."""
    copy = tmp_path_factory.mktemp("copy")
    for name in FOLDERS:
        shutil.copytree(checkout / name, copy / name)  # with its __pycache__, which must not come along
    for name in FILES:
        shutil.copy(checkout / name, copy / name)
    for name in LEFT_BEHIND:
        file = copy / "build" / "lib" / "nn_assets" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("", encoding="utf-8")
    out = tmp_path_factory.mktemp("out")
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--wheel-dir", out)
    run(sys.executable, "-m", "pip", "wheel", ".", *options, folder=copy, HOME=str(out))
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def contents(wheel: Path) -> dict[str, bytes]:
    """The files of the wheel, by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def sizes(folder: Path) -> dict[str, int]:
    """Every file below a folder, with its size; folders count, empty ones too."""
    return {str(path.relative_to(folder)): path.stat().st_size if path.is_file() else 0 for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in an environment of its own, whose libraries are those of the running one, after it was used."""
    environment, home, folder, cache = (tmp_path_factory.mktemp(name) for name in ("venv", "user", "empty", "cache"))
    run(sys.executable, "-m", "venv", "--without-pip", environment, folder=folder)
    python = environment / "bin" / "python"
    arguments = ("--no-deps", "--no-index", "--quiet", wheel)
    run(sys.executable, "-m", "pip", "--python", python, "install", *arguments, folder=folder, HOME=str(cache))
    # Only now: a path in a .pth file brings the libraries, and leaves an editable nn_assets among them asleep.
    site = Path(sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)}))
    libraries = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    (site / "libraries.pth").write_text("\n".join(libraries) + "\n", encoding="utf-8")
    before = sizes(environment)
    script = environment / "bin" / "nn-assets"
    done = run(
        *(python, "-c", DRIVER, script, json.dumps(COMMANDS)),
        folder=folder,
        HOME=str(home),
        MPLCONFIGDIR=str(cache),  # matplotlib's list of fonts is no part of what is kept
        MPLBACKEND="Agg",
        COLUMNS="200",
    )
    after = sizes(environment)
    return Installed(
        report=json.loads(done.stdout.splitlines()[-1]),
        home=home,
        folder=folder,
        package=site / "nn_assets",
        written={name: size for name, size in after.items() if before.get(name) != size},
        error=done.stderr,
    )


# --- the wheel ---------------------------------------------------------------------------------------------


def test_it_holds_the_package_alone(contents) -> None:
    assert {name.partition("/")[0] for name in contents} == {"nn_assets", "nn_assets-0.1.0.dist-info"}
    parts = {name: name.split("/") for name in contents}
    assert [name for name, components in parts.items() if {"__pycache__", "tests"} & set(components)] == []
    assert [name for name, components in parts.items() if components[-1].startswith(("test_", "conftest", "."))] == []
    assert [name for name in contents if name.endswith(".pyc")] == []


def test_it_holds_every_module_and_every_file_that_is_read(contents, checkout) -> None:
    package = {
        f"nn_assets/{file.relative_to(checkout / 'nn_assets').as_posix()}"
        for file in (checkout / "nn_assets").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".png" and file.name[0] != "."
    }
    assert package <= set(contents)
    assert {"nn_assets/py.typed", "nn_assets/strategies/index_daily.yaml"} <= package


def test_it_holds_what_versions_of_code_are_told_by_and_every_one_is_as_the_checkouts(contents, checkout) -> None:
    shipped = json.loads(contents["nn_assets/versions.json"])["modules"]
    names = {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in contents
        if name.endswith(".py")
    }
    assert set(shipped) == {counted_name(name) for name in names if not name.startswith("nn_assets.sql.")}
    trend = ast.parse((checkout / "nn_assets" / "features" / "catalogue" / "trend.py").read_text(encoding="utf-8"))
    functions = {node.name for node in trend.body if isinstance(node, ast.FunctionDef)}
    assert functions <= set(shipped["nn_assets.features.catalogue.trend"]["definitions"])


def test_what_lies_beside_the_package_is_inside_and_is_the_same(contents, checkout) -> None:
    beside = {
        f"nn_assets/sql/{file.relative_to(checkout / 'sql').as_posix()}": file.read_bytes()
        for file in (checkout / "sql").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    beside |= {
        f"nn_assets/instance/{name}": (checkout / name).read_bytes() for name in ("dagster.yaml", "workspace.yaml")
    }
    folders = ("nn_assets/sql/", "nn_assets/instance/")
    shipped = {name: content for name, content in contents.items() if name.startswith(folders)}
    assert shipped == beside
    assert "nn_assets/sql/migrations/env.py" in shipped


def test_nothing_of_an_earlier_build_comes_along(contents) -> None:
    assert [name for name in contents if "gone" in name] == []


def test_it_names_no_folder_of_the_machine_that_built_it(contents, checkout, tmp_path_factory) -> None:
    folders = {str(checkout), str(tmp_path_factory.getbasetemp()), sys.prefix, str(Path.home()) + "/."}
    leaks = [(name, folder) for name, text in contents.items() for folder in folders if folder.encode() in text]
    assert leaks == []


# --- installed, and used from an empty folder ------------------------------------------------------------------


def test_it_is_the_wheel_that_was_used(installed) -> None:
    assert Path(installed.report["package"]) == installed.package / "__init__.py"
    assert installed.report["from_elsewhere"] == []
    assert installed.report["checkout"] is None


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_works(installed, words) -> None:
    answer = installed.report["answers"][COMMANDS.index(words)]
    assert answer["status"] == 0, answer["out"] + installed.error[-3000:]
    if "--json" in words:
        assert json.loads(answer["out"])["ok"] is True


def test_the_data_went_through_dagster_and_the_ledger_was_made(installed) -> None:
    helped, checked, status, _, verified = (answer["out"] for answer in installed.report["answers"])
    assert "walk-forward" in helped
    assert json.loads(checked)["symbols"] == ["NASDAQ", "SP500"]
    assert set(json.loads(status)["strategies"]) == {"index_daily", "planted_edge"}
    assert json.loads(verified)["findings"] == []
    home = installed.home / ".nn_assets"
    runs = list((home / "dagster" / "storage" / "history" / "runs").glob(json.loads(checked)["run_id"] + ".db"))
    assert len(runs) == 1
    assert (home / "ledger.sqlite").is_file()


def test_the_home_is_the_users_and_nothing_is_written_elsewhere(installed) -> None:
    assert installed.report["home"] == str(installed.home / ".nn_assets")
    assert [path.name for path in installed.home.iterdir()] == [".nn_assets"]
    assert list(installed.folder.iterdir()) == []
    assert installed.written == {}


def test_its_code_is_the_checkouts(installed) -> None:
    # Studies are addressed by it: a home may move from a checkout to an installed package.
    assert installed.report["code"] == version_of("nn_assets.definitions:defs")
