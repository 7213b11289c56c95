"""Kinds of source by name: those of the package, known without an import, and one from a file of somebody's own."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nn_assets.cli.missing import missing_of
from nn_assets.errors import SettingsError
from nn_assets.operations.strategy_files import load_strategy, parse_strategy, with_checked_source
from nn_assets.settings import UncheckedSource
from nn_assets.settings import parse_strategy as parse_stated
from nn_assets.settings.sources import name_source, source_kinds, source_modules
from nn_assets.sources.registry import SOURCES, SourceContext, register_source, source_member
from tests.sources.members import MemberContract

TEXT = "name: mine\nmarket: {symbols: [AAA], history_starts: 2018-01-02}\nsource: {kind: quarterly%s}\n"
VENDOR = '''
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from nn_assets.settings.sources import Count, NamesFile, SourceSection, Variable
from nn_assets.sources.registry import Extra, SourceContext, register_source


class QuarterlySettings(SourceSection):
    """A vendor of somebody's own."""

    kind: Literal["quarterly"] = "quarterly"
    tier: Count = 1
    token_env: Variable = "ABSENT_TOKEN"
    ledger: NamesFile[str | None] = None


@dataclass(frozen=True)
class QuarterlySource:
    tier: int
    starts: pd.Timestamp
    name: str = "quarterly"

    def bars(self, symbols=(), first=None, last=None):
        raise NotImplementedError


def build(settings: QuarterlySettings, context: SourceContext) -> QuarterlySource:
    return QuarterlySource(settings.tier, pd.Timestamp(context.market.history_starts))


register_source(
    "quarterly", QuarterlySettings, build, label="Bars of our own", extra=Extra("ours", "nosuchmodule")
)
'''


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No kind of a test's own outlives it."""
    monkeypatch.setattr(SOURCES, "_added", {})
    monkeypatch.setattr("nn_assets.settings.sources._named_elsewhere", set())
    yield
    sys.modules.pop("quarterly", None)


def imported(folder: Path, text: str = VENDOR, name: str = "quarterly") -> ModuleType:
    """A module from a file outside the package."""
    file = folder / f"{name}.py"
    file.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_every_kind_of_the_package_goes_through_the_contract() -> None:
    for file in [*Path(__file__).parent.glob("test_*.py"), Path("tests/simulator/test_simulated_source.py")]:
        importlib.import_module(f"tests.{file.parent.name}.{file.stem}")
    assert {contract.kind for contract in MemberContract.__subclasses__()} >= set(source_kinds())


@pytest.mark.parametrize("kind", source_kinds())
def test_a_module_of_vendors_is_a_member_of_its_name(kind: str) -> None:
    assert source_member(kind).kind == kind
    assert importlib.import_module(source_modules()[kind]).SOURCE is source_member(kind)


def test_settings_know_every_kind_by_name_and_import_none() -> None:
    program = (
        "import sys\n"
        "from nn_assets.settings import parse_strategy\n"
        "text = 'name: a\\nmarket: {history_starts: 2018-01-02}\\nsource: {kind: alpaca, x: 1}'\n"
        "source = parse_strategy(text).source\n"
        "print(type(source).__name__, source.x, [name for name in sys.modules if name.startswith('nn_assets.sources')])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "UncheckedSource 1 []\n"


def test_a_source_that_no_model_has_checked_has_no_hash() -> None:
    unchecked = parse_stated("name: a\nmarket: {history_starts: 2018-01-02}\nsource: {kind: alpaca}\n")
    assert isinstance(unchecked.source, UncheckedSource)
    for ask in (unchecked.content_hash, lambda: unchecked.closes_only):
        with pytest.raises(SettingsError, match="whose keys the model of kind 'alpaca' has checked"):
            ask()


def test_a_vendor_from_a_file_of_somebodys_own_is_a_member_like_any_other(tmp_path) -> None:
    with pytest.raises(SettingsError, match=r"one of 'bundled', .* was expected"):
        parse_strategy(TEXT % "")
    module = imported(tmp_path)
    strategy = parse_strategy(TEXT % ", tier: 3, ledger: no.csv")
    assert strategy.source == module.QuarterlySettings(tier=3, ledger="no.csv")
    assert strategy.behaviour("source")["source"] == {
        "kind": "quarterly",
        "tier": 3,
        "token_env": "ABSENT_TOKEN",
        "ledger": "no.csv",
    }
    built = source_member("quarterly").build(strategy.source, SourceContext(strategy.market, tmp_path))
    assert (built.tier, str(built.starts.date())) == (3, "2018-01-02")
    assert [line.partition(": ")[0] for line in missing_of(strategy, tmp_path)] == [
        "source.ledger",
        "source.token_env",
        "source.kind",
    ]


def test_what_is_wrong_with_its_keys_is_told_together_with_all_else_by_line(tmp_path) -> None:
    imported(tmp_path)
    file = tmp_path / "mine.yaml"
    file.write_text(TEXT % ", teir: 3, token_env: a b" + "learning: {hiden: 3}\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_strategy(file)
    assert caught.value.where == {"file": str(file), "line": 3, "key": "source.token_env"}
    for message in (
        "source.teir = 3: no such key of kind 'quarterly' (line 3), did you mean tier?",
        "source.token_env = (not shown): the name of an environment variable was expected",
        "learning.hiden = 3: no such key (line 4), did you mean hidden?",
    ):
        assert message in caught.value.found


def test_a_second_source_is_checked_by_its_own_model_too() -> None:
    text = (
        "name: mine\nmarket:\n  history_starts: 2018-01-02\n"
        "  compare_with: {kind: files, path: x, max_row: 3}\nsource: {kind: yfinance}\n"
    )
    with pytest.raises(SettingsError) as caught:
        parse_strategy(text)
    assert caught.value.where["key"] == "market.compare_with.max_row"
    assert "no such key of kind 'files' (line 4), did you mean max_rows?" in caught.value.found


def test_a_strategy_made_of_stated_sources_is_checked_later_to_the_same_one() -> None:
    text = (
        "name: mine\ncosts: {half_spread_bps: 3.0}\n"
        "market: {history_starts: 2018-01-02, compare_with: {kind: files, path: venue}}\n"
    )
    for source in ("", "source: {kind: yfinance}\n"):
        unchecked = parse_stated(text + source)
        assert isinstance(unchecked.market.compare_with, UncheckedSource)
        checked = with_checked_source(unchecked)
        assert checked == parse_strategy(text + source)
        assert checked.model_fields_set == unchecked.model_fields_set
        assert checked.content_hash() == parse_strategy(text + source).content_hash()
        assert with_checked_source(checked) is checked


@pytest.mark.parametrize("kind", ["alpaca", "files"])
def test_the_name_of_a_kind_of_the_package_is_taken(kind: str) -> None:
    member = source_member(kind)
    with pytest.raises(SettingsError) as caught:
        register_source(kind, member.settings, member.build, label="Another")
    assert f"{kind!r} in " in caught.value.found
    assert caught.value.found.endswith("a name that nn_assets itself has taken")
    assert source_member(kind) is member


@pytest.mark.parametrize("delivers", [("barz",), ("bars", "action"), ()])
def test_a_source_delivers_what_there_is(delivers: tuple[Any, ...]) -> None:
    member = source_member("files")
    with pytest.raises(SettingsError, match="bars, actions, known_at, funding_rates") as caught:
        register_source("mine", member.settings, member.build, label="Mine", delivers=delivers)
    assert caught.value.found == (", ".join(delivers) or "nothing")
    assert "mine" not in SOURCES


def test_a_name_that_another_file_registered_is_taken_and_a_file_read_again_replaces_its_own(tmp_path) -> None:
    imported(tmp_path)
    first = source_member("quarterly")
    again = imported(tmp_path, VENDOR.replace("Bars of our own", "Bars anew"))
    assert source_member("quarterly").label == "Bars anew"
    assert source_member("quarterly").settings is again.QuarterlySettings is not first.settings
    with pytest.raises(SettingsError, match="'quarterly' in other, a name that quarterly has taken"):
        imported(tmp_path, name="other")


def test_a_settings_model_of_another_kind_is_refused(tmp_path) -> None:
    wrong = VENDOR.replace('Literal["quarterly"] = "quarterly"', 'Literal["yearly"] = "yearly"')
    with pytest.raises(SettingsError, match="QuarterlySettings of kind 'yearly'"):
        imported(tmp_path, wrong)
    assert "quarterly" not in source_kinds()


def test_a_kind_that_is_named_and_not_there_is_an_error_by_name() -> None:
    name_source("gone")
    with pytest.raises(SettingsError, match=r"source\.kind gone is no source"):
        parse_strategy(TEXT.replace("quarterly", "gone") % "")
    with pytest.raises(SettingsError, match="did you mean alpaca"):
        source_member("alpca")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (TEXT.replace("quarterly%s", "simulater"), "source.kind = 'simulater': did you mean simulator?"),
        (
            TEXT.replace("symbols", "compare_with: {kind: filez}, symbols").replace("quarterly%s", "alpaca"),
            "market.compare_with.kind = 'filez': did you mean files?",
        ),
        ((TEXT % "").replace("quarterly", "bundled") + "series: [{name: a, kind: fred_, path: x}]", "one of"),
    ],
)
def test_a_kind_that_is_mistyped_is_refused_with_the_nearest_one(text: str, key: str) -> None:
    for parse in (parse_strategy, parse_stated):
        with pytest.raises(SettingsError) as caught:
            parse(text)
        assert key in caught.value.found
