"""What the README and the pages under docs/ tell a newcomer to type and to write is so."""

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

ROOT = Path(__file__).resolve().parents[2]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.glob("docs/**/*.md")}
README = PAGES["README.md"] = (ROOT / "README.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")  # says what was so: only its links are followed
DATA, STUDY, OPERATING, CODE = (PAGES[f"docs/{name}.md"] for name in ("data", "study", "operating", "code"))
READ_IN_TEN_MINUTES = 300  # lines
COMMANDS = {command.name or command.callback.__name__ for command in app.registered_commands} | {
    group.name for group in app.registered_groups
}


def section(page: str, title: str) -> str:
    start = page.index(f"\n## {title}\n")
    end = page.find("\n## ", start + 1)
    return page[start : end if end > 0 else None]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)```", page, re.DOTALL | re.MULTILINE)


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_can_be_read_at_one_sitting() -> None:
    assert len(README.splitlines()) <= READ_IN_TEN_MINUTES


def test_the_two_commands_come_first_and_are_targets(checkout) -> None:
    targets = re.findall(r"^make (\w+)", blocks(README, "sh")[0], re.MULTILINE)
    assert targets == ["demo", "test"]
    makefile = (checkout / "Makefile").read_text(encoding="utf-8")
    for name, page in PAGES.items():
        for target in re.findall(r"`make ([a-z-]+)", page):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), (name, target)


@pytest.mark.parametrize("name", ["README.md", "docs/data.md"])
def test_the_example_strategy_is_one(name) -> None:
    strategy = parse_strategy(blocks(PAGES[name], "yaml")[0])
    assert strategy.source.kind == "files"
    assert strategy.market.symbols == ("AAPL", "MSFT", "KO")


def test_the_short_example_says_what_the_long_one_does() -> None:
    short, whole = (parse_strategy(blocks(page, "yaml")[0]) for page in (README, DATA))
    assert short == whole.model_copy(update={"description": short.description})


def test_every_other_example_is_a_section_or_an_overrides_file(tmp_path) -> None:
    examples = [text for page in (README, DATA, STUDY, OPERATING) for text in blocks(page, "yaml")]
    assert len(examples) > 6
    for text in examples:
        settings = yaml.safe_load(text)
        if "name" in settings:
            assert parse_strategy(text)
        elif "extra_holidays" in settings:
            (tmp_path / "days.yaml").write_text(text, encoding="utf-8")
            assert read_overrides(tmp_path / "days.yaml")
        else:
            assert set(settings) <= set(Strategy.model_fields), settings
            parse_strategy("name: mine\nmarket: {history_starts: 2010-01-04}\n" + text)


def test_every_command_that_a_page_gives_is_there() -> None:
    for name, page in PAGES.items():
        for command in re.findall(r"(?:^|`)(?:\$ )?nn-assets ([a-z][a-z-]+)", page, re.MULTILINE):
            assert command in COMMANDS or name == "docs/extending/command.md", (name, command)


@pytest.mark.full
def test_every_command_in_the_table_exists_with_the_options_it_shows() -> None:
    rows = re.findall(r"^\| `nn-assets ([^`]*)`", section(OPERATING, "Commands"), re.MULTILINE)
    assert {row.split()[0] for row in rows} == COMMANDS
    for row in rows:
        words = [word for word in row.split("--")[0].split() if re.fullmatch(r"[a-z-]+", word)]
        result = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
        assert result.exit_code == 0, row
        for option in re.findall(r"--[a-z-]+", row):
            assert option in result.stdout, (row, option)


def test_every_table_is_listed() -> None:
    assert f"Tables: {', '.join(TABLES)}." in " ".join(section(OPERATING, "Commands").split())


def test_every_section_of_the_settings_is_listed_and_no_other() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", section(STUDY, "Settings"), re.MULTILINE)
    assert sorted(listed) == sorted(set(Strategy.model_fields) - {"name", "description", "owner"})


def test_every_room_is_in_the_layout_and_no_other(checkout) -> None:
    layout = section(CODE, "Where things are").split("    sql/")[0]
    listed = set(re.findall(r"^      (\w+)[./]", layout, re.MULTILINE))
    rooms = {path.stem for path in (checkout / "nn_assets").iterdir() if not path.name.startswith(("_", "py.typed"))}
    assert listed == rooms


def test_the_layout_is_in_the_order_of_the_imports(checkout) -> None:
    project = (checkout / "pyproject.toml").read_text(encoding="utf-8")
    layers = re.search(r"^layers = \[(.*?)\]", project, re.DOTALL | re.MULTILINE)
    order = [re.findall(r"\w+", line) for line in reversed(re.findall(r'"([^"]+)"', layers.group(1)))]
    layout = re.findall(r"^      (\w+)[./]", section(CODE, "Where things are"), re.MULTILINE)
    indices = [[layout.index(room) for room in level] for level in order]
    assert all(max(lower) < min(upper) for lower, upper in pairwise(indices))


@pytest.mark.parametrize("name", [*sorted(PAGES), "CHANGELOG.md"])
def test_every_file_and_heading_that_a_page_links_to_is_there(name, checkout) -> None:
    text = re.sub(r"^```.*?^```", "", PAGES.get(name, CHANGELOG), flags=re.DOTALL | re.MULTILINE)
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
        file = ((checkout / name).parent / link).resolve() if link else checkout / name
        assert file.is_file(), link
        assert not anchor or anchor in anchors(PAGES[file.relative_to(checkout.resolve()).as_posix()]), anchor


def test_every_page_is_reached_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#]+)", README))
    assert PAGES.keys() - {"README.md"} <= linked


def test_every_spelling_of_a_column_is_accepted() -> None:
    spellings = section(DATA, "A strategy on files")
    rows = dict(re.findall(r"^\| (session|volume|symbol) \| ([^;(|]*)", spellings, re.MULTILINE))
    assert len(rows) == 3
    whole = {"session": "date", "open": "o", "high": "HighPrice", "low": "<LOW>", "close": "4. close", "volume": "vol"}
    for field, spellings in rows.items():
        for spelling in spellings.split(","):
            headers = (whole | {field: spelling.strip()}).values()
            assert map_columns(list(headers), "x.csv", needs_volume=True)[field] == spelling.strip()


@pytest.mark.parametrize("written", ["na", "n/a", "nan", "null", "none", "-", ""])
def test_what_counts_as_an_empty_cell_is_a_missing_price_as_the_table_says(tmp_path: Path, written: str) -> None:
    (row,) = [line for line in DATA.splitlines() if line.startswith("| a missing column, text in a price")]
    assert not written or f"`{written}`" in row
    file = tmp_path / "AAA.csv"
    file.write_text(f"date,open,high,low,close,volume\n2018-01-02,{written},11,9,10,5\n", encoding="utf-8")
    assert FilesSource(file).bars()["open"].isna().all()
