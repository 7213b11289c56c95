"""What executes has one name: a plug-in's broker or venue under a name of the package's own is refused by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nn_assets.errors import PluginError
from nn_assets.execution.registry import register_broker
from nn_assets.execution.venues import register_venue
from nn_assets.operations.plugins import fault_of_names
from tests.plugins.texts import naming, written

_TEXT = "from nn_assets.execution.{room} import register_{kind}\n\n\n@register_{kind}('{name}')\ndef mine(account):\n"
_ROOMS = {"broker": "registry", "venue": "venues"}


@pytest.mark.parametrize("kind", ["broker", "venue"])
@pytest.mark.parametrize("name", ["paper", "alpaca", "file_drop"])
def test_a_plug_in_of_before_an_upgrade_halts_by_the_name_that_is_the_packages_now(
    tmp_path: Path, kind: str, name: str
) -> None:
    text = _TEXT.format(room=_ROOMS[kind], kind=kind, name=name) + "    return None\n"
    fault = fault_of_names(naming(written(tmp_path, mine=text), execution=f"{{broker: {name}}}"))
    assert fault is not None
    assert f"expected a {kind} of a plug-in under a name that nn_assets does not have itself; found {name}" in str(
        fault
    )


def test_neither_registers_under_a_name_of_the_other() -> None:
    for name in ("alpaca", "file_drop"):
        with pytest.raises(PluginError, match=f"found '{name}', which is a venue's"):
            register_broker(name)
    with pytest.raises(PluginError, match="found 'paper', which is a broker's"):
        register_venue("paper")
