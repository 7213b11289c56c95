"""The page on features, networks and limits of one's own: every block of it is run, from a folder of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from nn_assets.cli.app import app
from nn_assets.errors import PluginError
from nn_assets.operations.plugins import prepare
from nn_assets.settings import load_strategy
from nn_assets.store.ledger.ledger import Ledger
from tests.orchestration.conftest import living_in
from tests.shared_homes import nothing_drawn

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("extended")
    (folder / "strategies").mkdir()
    with living_in(folder), nothing_drawn():
        yield folder


def parts(checkout: Path) -> dict[str, list[tuple[str, str]]]:
    """Blocks of the page by heading, each with its language."""
    text = (checkout / "docs" / "extending.md").read_text(encoding="utf-8")
    sections = re.split(r"^## (.*)$", text, flags=re.MULTILINE)
    return {name: _BLOCK.findall(body) for name, body in zip(sections[1::2], sections[2::2], strict=True)}


def blocks_of(page: Path) -> list[tuple[str, str]]:
    """Every block of a page, each with its language."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def follow(blocks: list[tuple[str, str]], home: Path) -> list[str]:
    """Do as the blocks say: write files, run tests, give commands; the answers of the commands."""
    answers = []
    for language, text in blocks:
        if language == "console":
            for line in text.splitlines():
                words = line.removeprefix("$ nn-assets ").split()
                result = CliRunner().invoke(app, [*words, "--json"])
                assert result.exit_code == 0, (line, result.output)
                answers.append(result.stdout)
            continue
        name, _, changed_from = text.partition("\n")[0].removeprefix("# ").partition(", changed from ")
        file = home / name
        if changed_from:
            keys = yaml.safe_load((home / changed_from).read_text(encoding="utf-8")) | yaml.safe_load(text)
            text = yaml.safe_dump(keys)
        file.write_text(text, encoding="utf-8")
        if file.name.startswith("test_"):
            names: dict[str, object] = {}
            exec(compile(text, str(file), "exec"), names)
            tests = [test for name, test in names.items() if name.startswith("test_")]
            assert tests
            for test in tests:
                test()  # type: ignore[operator]
    return answers


def test_every_block_of_the_page_is_followed_to_a_decided_session_and_a_finished_study(
    checkout: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = {path: path.stat().st_mtime_ns for path in (checkout / "nn_assets").rglob("*.py")}
    monkeypatch.chdir(home)
    blocks = parts(checkout)
    assert [language for language, _ in blocks["A feature"]] == ["python", "yaml", "python", "console"]
    decided = follow(blocks["A feature"], home)
    assert json.loads(decided[-1])["ok"]
    assert [language for language, _ in blocks["A network"]] == ["python", "python", "console"]
    studied = follow(
        [*blocks["A limit on the book"], *blocks["A label"], *blocks["A section of a page"], *blocks["A network"]], home
    )
    assert json.loads(studied[-1])["ok"]
    page = (home / "reports" / "my_second-study.html").read_text(encoding="utf-8")
    assert re.search(r"<h3>How often this was looked at</h3><p>Look \d+, of \d+ trials?", page)
    with Ledger() as ledger:
        assert len(ledger.read("decisions", "my_first")) == 1
        assert set(ledger.read("models", "my_second")["estimator"]) == {"convolved"}
        assert len(ledger.read("studies", "my_second"))
    assert {path: path.stat().st_mtime_ns for path in (checkout / "nn_assets").rglob("*.py")} == package


def test_what_the_page_says_of_a_feature_that_looks_ahead_holds(checkout: Path, tmp_path: Path) -> None:
    (_, feature), (_, strategy), *_ = parts(checkout)["A feature"]
    (tmp_path / "my_features.py").write_text(feature.replace("lagged(panel.close, 1)", "panel.close[-1]"))
    (tmp_path / "my_first.yaml").write_text(strategy)
    with pytest.raises(PluginError, match=r"feature gap_over_sigma, symbol SIM\d+, session .*it looks ahead.* and "):
        prepare(load_strategy(tmp_path / "my_first.yaml"))
