"""What a strategy's text says is quoted where it is wrong, unless it may be a key, a password or an address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import field_validator

from nn_assets.errors import PluginError, SettingsError
from nn_assets.operations.strategy_files import parse_strategy
from nn_assets.settings.own import section_of
from nn_assets.settings.section import Section


class Own(Section):
    address: str = "https://h"
    token: str = ""
    port: int = 1
    steps: int = 1

    @field_validator("address")
    @classmethod
    def _is_safe(cls, address: str) -> str:
        if not address.startswith("https"):
            raise ValueError(f"https was expected, not {address}")
        return address

    @field_validator("steps")
    @classmethod
    def _fails(cls, steps: int) -> int:
        return 10 // steps


@pytest.mark.parametrize(
    "values",
    [
        {"address": "http://me:SECRET@h"},
        {"adress": "postgresql://me:SECRET@h/d"},
        {"adress": "me:SECRET@h"},
        {"address": ["https://me:SECRET@h"]},
        {"address": {"any": "SECRET"}},
        {"address": [{"token": "SECRET"}]},
        {"token": ["SECRET"]},
        {"tokn": "SECRET"},
        {"pasword": "SECRET"},
        {"dsn": "host=h password=SECRET"},
    ],
)
def test_a_value_that_may_be_secret_is_not_shown(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=f"found {next(iter(values))} = ") as refused:
        section_of(Own, values, member="the broker mine", key="execution.broker_settings")
    assert "SECRET" not in str(refused.value)
    source = f"source: {{kind: sql, {str(values)[1:]}"
    text = f"name: x\nmarket: {{history_starts: 2016-01-04, symbols: [AAA]}}\n{source}\n"
    with pytest.raises(SettingsError, match="source") as refused:
        parse_strategy(text)
    assert "SECRET" not in str(refused.value)


def test_a_value_of_any_other_key_is_shown() -> None:
    with pytest.raises(SettingsError, match="found port = 'x': a whole number was expected; stps = 3: no such key"):
        section_of(Own, {"port": "x", "stps": 3}, member="the broker mine", key="execution.broker_settings")


def test_a_validator_that_fails_is_named_with_its_line() -> None:
    with pytest.raises(PluginError, match="found ZeroDivisionError") as refused:
        section_of(Own, {"steps": 0}, member="the broker mine", key="execution.broker_settings")
    line = Path(__file__).read_text(encoding="utf-8").splitlines().index("        return 10 // steps") + 1
    assert refused.value.where == {"file": __file__, "line": line, "key": "plugins"}
