"""What reads a plug-in's table is a person's own function, and a table without sessions shows all that is sealed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from nn_assets.contracts.contract import Contract, text
from nn_assets.errors import NnAssetsError, PluginError, PublicationError, SettingsError
from nn_assets.operations.exported_tables import read_of_plugin
from nn_assets.operations.strategy_files import parse_strategy

NAMES = Contract("names", "market", "Mine.", "who", exported="names").of(who=text("who"))
STRATEGY = "name: x\nmarket: {{history_starts: 2016-01-04, symbols: [AAA], vault_starts: {}}}\n"
SEALED, OPEN = "2017-02-02", "null"


def fails(history: Any) -> pd.DataFrame:
    return pd.DataFrame({"who": [history.nobody]})


def halts(_history: Any) -> pd.DataFrame:
    raise PublicationError(expected="it", found="nothing", remedy="none")


CASES: dict[str, tuple[Any, str, type[NnAssetsError], str]] = {
    "an error": (fails, OPEN, PluginError, "test_plugin_tables.py, line 22, .*of names.*AttributeError"),
    "no frame": (lambda _: ["a"], OPEN, PluginError, "TypeError: a list, which is no frame"),
    "an end of the process": (lambda _: exit(0), OPEN, PluginError, "SystemExit: 0"),
    "an error of the package": (halts, OPEN, PublicationError, "expected it"),
    "nothing": (lambda _: None, OPEN, PublicationError, "nothing stored"),
    "a vault": (lambda _: pd.DataFrame({"who": ["a"]}), SEALED, SettingsError, "from 2017-02-02 on are sealed"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_table_that_cannot_be_read_or_cut_is_refused_by_name(case: tuple[Any, str, type[NnAssetsError], str]) -> None:
    read, vault_starts, error, message = case
    history: Any = SimpleNamespace(strategy=parse_strategy(STRATEGY.format(vault_starts)))
    with pytest.raises(error, match=message):
        read_of_plugin(history, NAMES, read, None, None, None)


def test_a_table_without_sessions_comes_whole_where_nothing_is_sealed() -> None:
    history: Any = SimpleNamespace(strategy=parse_strategy(STRATEGY.format(OPEN)))
    frame = read_of_plugin(history, NAMES, lambda _: pd.DataFrame({"who": ["a"]}, dtype="str"), None, None, None)
    assert list(frame["who"]) == ["a"]
