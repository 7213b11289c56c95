"""What the package keeps by name is read by every strategy of a process: no plug-in can write to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from nn_assets import plugins
from nn_assets.contracts.tables import BARS
from nn_assets.evaluation.figures import LEAK_ALARMS
from nn_assets.execution.registry import BROKERS
from nn_assets.learning.compute import COMPUTES
from nn_assets.operations.decisions.round_checks import ROUND_CHECKS
from nn_assets.operations.wings import Wing
from nn_assets.settings.sections import (
    BROKERS_OF_ITS_OWN,
    COMPUTES_OF_ITS_OWN,
    KEYS_OF_NETWORKS,
    LABELS_OF_ITS_OWN,
    NETWORKS_OF_ITS_OWN,
)
from nn_assets.store.ledger.schema import TABLES

SCHEDULES: dict[str, Any] = {}
WING = Wing(lambda strategy: (), schedules=SCHEDULES, tables={BARS: lambda history: None})
MAPPINGS: dict[str, Mapping[Any, Any]] = {
    **{f"members of the kind {registry.kind}": registry.own for registry in plugins._REGISTRIES},
    "columns of a contract": BARS.columns,
    "alarms": LEAK_ALARMS,
    "networks": NETWORKS_OF_ITS_OWN,
    "keys of networks": KEYS_OF_NETWORKS,
    "labels": LABELS_OF_ITS_OWN,
    "tables of the ledger": TABLES,
    "checks of a round": ROUND_CHECKS,
    "schedules of a wing": WING.schedules,
    "tables of a wing": WING.tables,
}


@pytest.mark.parametrize("mapping", MAPPINGS.values(), ids=MAPPINGS)
def test_an_entry_is_neither_replaced_nor_added_nor_removed(mapping: Any) -> None:
    before = dict(mapping)
    name = next(iter(mapping), "mine")
    with pytest.raises(TypeError, match="does not support item assignment"):
        mapping[name] = None
    with pytest.raises(TypeError, match="does not support item deletion"):
        del mapping[name]
    assert dict(mapping) == before


def test_what_a_wing_was_made_of_can_change_without_it() -> None:
    SCHEDULES["late"] = None
    try:
        assert dict(WING.schedules) == {}
    finally:
        del SCHEDULES["late"]


def test_brokers_and_computes_that_need_no_plug_in_are_those_of_the_registries() -> None:
    assert set(BROKERS_OF_ITS_OWN) == set(BROKERS.own)
    assert set(COMPUTES_OF_ITS_OWN) == set(COMPUTES.own)
