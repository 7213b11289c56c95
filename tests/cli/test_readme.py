"""What the README tells a newcomer to type and to write is so."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from nn_assets.cli import app
from nn_assets.cli.export import TABLES
from nn_assets.operations.strategy_files import parse_strategy
from nn_assets.settings import Strategy
from nn_assets.settings.calendar_file import read_overrides
from nn_assets.sources.spellings import map_columns
from nn_assets.sources.tables.files import FilesSource


@pytest.fixture(scope="module")
def readme() -> str:
    return (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def section(readme: str, title: str) -> str:
    start = readme.index(f"\n## {title}\n")
    end = readme.find("\n## ", start + 1)
    return readme[start : end if end > 0 else None]


def test_the_two_commands_come_first_and_are_targets(readme, checkout) -> None:
    first = re.search(r"```sh\n(.*?)```", readme, re.DOTALL).group(1)
    targets = re.findall(r"^make (\w+)", first, re.MULTILINE)
    assert targets == ["demo", "test"]
    makefile = (checkout / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`make ([a-z]+)", readme)) | set(targets):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_example_strategy_is_one(readme) -> None:
    strategy = parse_strategy(re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)[0])
    assert strategy.source.kind == "files"
    assert strategy.market.symbols == ("AAPL", "MSFT", "KO")


def test_every_other_example_is_a_section_or_an_overrides_file(readme, tmp_path) -> None:
    for text in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)[1:]:
        settings = yaml.safe_load(text)
        if "extra_holidays" in settings:
            (tmp_path / "days.yaml").write_text(text, encoding="utf-8")
            assert read_overrides(tmp_path / "days.yaml")
        else:
            assert set(settings) <= set(Strategy.model_fields), settings
            parse_strategy("name: mine\nmarket: {history_starts: 2010-01-04}\n" + text)


@pytest.mark.full
def test_every_command_in_the_table_exists_with_the_options_it_shows(readme) -> None:
    rows = re.findall(r"^\| `nn-assets ([^`]*)`", section(readme, "Commands"), re.MULTILINE)
    named = {row.split()[0] for row in rows}
    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert named == commands | {group.name for group in app.registered_groups}
    for row in rows:
        words = [word for word in row.split("--")[0].split() if re.fullmatch(r"[a-z-]+", word)]
        result = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
        assert result.exit_code == 0, row
        for option in re.findall(r"--[a-z-]+", row):
            assert option in result.stdout, (row, option)


def test_every_table_is_listed(readme) -> None:
    assert f"Tables: {', '.join(TABLES)}." in " ".join(section(readme, "Commands").split())


def test_every_section_of_the_settings_is_listed_and_no_other(readme) -> None:
    listed = re.findall(r"^\| `(\w+)` \|", section(readme, "Settings"), re.MULTILINE)
    assert sorted(listed) == sorted(set(Strategy.model_fields) - {"name", "description", "owner"})


def test_every_room_is_in_the_layout_and_no_other(readme, checkout) -> None:
    layout = section(readme, "Where things are").split("    sql/")[0]
    listed = set(re.findall(r"^      (\w+)[./]", layout, re.MULTILINE))
    rooms = {path.stem for path in (checkout / "nn_assets").iterdir() if not path.name.startswith(("_", "py.typed"))}
    assert listed == rooms


def test_the_layout_is_in_the_order_of_the_imports(readme, checkout) -> None:
    project = (checkout / "pyproject.toml").read_text(encoding="utf-8")
    layers = re.search(r"^layers = \[(.*?)\]", project, re.DOTALL | re.MULTILINE)
    order = [re.findall(r"\w+", line) for line in reversed(re.findall(r'"([^"]+)"', layers.group(1)))]
    layout = re.findall(r"^      (\w+)[./]", section(readme, "Where things are"), re.MULTILINE)
    indices = [[layout.index(room) for room in level] for level in order]
    assert all(max(lower) < min(upper) for lower, upper in pairwise(indices))


def test_every_file_it_points_at_is_there(readme, checkout) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", readme):
        assert (checkout / link).is_file(), link


def test_every_spelling_of_a_column_is_accepted(readme) -> None:
    rows = dict(re.findall(r"^\| (session|volume|symbol) \| ([^;(|]*)", section(readme, "Your own data"), re.MULTILINE))
    whole = {"session": "date", "open": "o", "high": "HighPrice", "low": "<LOW>", "close": "4. close", "volume": "vol"}
    for field, spellings in rows.items():
        for spelling in spellings.split(","):
            headers = (whole | {field: spelling.strip()}).values()
            assert map_columns(list(headers), "x.csv", needs_volume=True)[field] == spelling.strip()


@pytest.mark.parametrize("written", ["na", "n/a", "nan", "null", "none", "-", ""])
def test_what_counts_as_an_empty_cell_is_a_missing_price_as_the_table_says(
    readme: str, tmp_path: Path, written: str
) -> None:
    (row,) = [line for line in readme.splitlines() if line.startswith("| a missing column, text in a price")]
    assert not written or f"`{written}`" in row
    file = tmp_path / "AAA.csv"
    file.write_text(f"date,open,high,low,close,volume\n2018-01-02,{written},11,9,10,5\n", encoding="utf-8")
    assert FilesSource(file).bars()["open"].isna().all()
