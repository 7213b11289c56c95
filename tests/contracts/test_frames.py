"""What signatures say of frames: each contract has one name there, each name is a contract's, and it holds."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pandas as pd

from nn_assets.contracts import DELIVERED_BARS, frames
from nn_assets.contracts.ledger import AUDIT_CHAIN, LEDGER
from nn_assets.contracts.tables import CROSSING, LAKE
from nn_assets.market.facts import actions, bars
from nn_assets.market.quality.cleaning import Cleaned, clean
from nn_assets.settings import CleaningSettings
from tests.market.builders import ARRIVAL, CALENDAR, moment, sound_bars

CONTRACTS = {contract.name: contract for contract in (*CROSSING, *LAKE, *LEDGER, AUDIT_CHAIN)}
NAMES = {name for name, alias in vars(frames).items() if get_origin(alias) is Annotated}
TYPED = ("nn_assets.market.facts", "nn_assets.market.quality", "nn_assets.sources.protocol", "nn_assets.store")


def contracts_in(hint: Any) -> Iterator[str]:
    """Names of the contracts that a type names, unions and tuples looked into."""
    if get_origin(hint) is Annotated and get_args(hint)[0] is pd.DataFrame:
        yield get_args(hint)[1]
    elif get_origin(hint) is not None:
        for argument in get_args(hint):
            yield from contracts_in(argument)


def public_signatures() -> Iterator[tuple[str, Any]]:
    """Places of the public functions, methods and fields of the rooms that handle frames of contracts, and types."""
    for room in TYPED:
        top = importlib.import_module(room)
        inside = [info.name for info in pkgutil.walk_packages(getattr(top, "__path__", ()), f"{room}.")]
        for module in map(importlib.import_module, (room, *inside)):
            own = {
                name: member
                for name, member in vars(module).items()
                if getattr(member, "__module__", "") == module.__name__
            }
            for name, member in own.items():
                parts = {name: member} | {
                    f"{name}.{part}": function
                    for part, function in vars(member).items()
                    if inspect.isfunction(function)
                }
                for qualname, obj in parts.items():
                    for written in getattr(obj, "__annotations__", {}).values():
                        if not re.search(r"(^|\.)_", qualname) and NAMES & set(re.findall(r"\w+", str(written))):
                            yield f"{module.__name__}.{qualname}", eval(written, vars(module))


def test_each_name_is_a_contracts_own_and_signatures_use_it(checkout: Path) -> None:
    named = [name for alias in vars(frames).values() for name in contracts_in(alias)]
    assert sorted(named) == sorted(set(named) & set(CONTRACTS))
    texts = [file.read_text(encoding="utf-8") for file in (checkout / "nn_assets").rglob("*.py")]
    used = {name for text in texts if "nn_assets.contracts.frames import" in text for name in re.findall(r"\w+", text)}
    assert sorted(NAMES - used) == []


def test_signatures_name_contracts_that_exist() -> None:
    named = defaultdict[str, set[str]](set)
    for qualname, hint in public_signatures():
        named[qualname].update(contracts_in(hint))
    assert set().union(*named.values()) <= set(CONTRACTS)
    assert named["nn_assets.market.quality.cleaning.clean"] == {"bar_versions", "action_versions", "compared"}
    assert named["nn_assets.sources.protocol.Source.bars"] == {"delivered_bars"}
    assert named["nn_assets.store.lake.publication.PublicationStore.publish"] == {"bars", "intraday_bars", "quarantine"}


def _check(value: object, hint: Any) -> None:
    (name,) = contracts_in(hint)
    assert isinstance(value, pd.DataFrame)
    assert CONTRACTS[name].kept_by(value[list(CONTRACTS[name].columns)]), name


def test_what_is_made_of_bars_keeps_the_contracts_that_signatures_name() -> None:
    delivered = sound_bars(("AAA", "BBB"), 30)[list(DELIVERED_BARS.columns)]
    delivered.loc[3, "close"] = -1.0
    versions = bars.with_assumed_known_at(delivered, CALENDAR, 30, ARRIVAL)
    added, _ = bars.new_versions(versions.iloc[:0], versions)
    known = bars.known_bars(added, moment("2020-06-01"))
    cleaned = clean(known, CALENDAR, CleaningSettings())
    assert len(cleaned.quarantine) == 1
    for function, made in ((bars.with_assumed_known_at, versions), (bars.known_bars, known)):
        _check(made, get_type_hints(function, include_extras=True)["return"])
    _check(added, get_args(get_type_hints(bars.new_versions, include_extras=True)["return"])[0])
    fields = get_type_hints(Cleaned, include_extras=True)
    _check(cleaned.bars, fields["bars"])
    _check(cleaned.quarantine, fields["quarantine"])


def test_what_is_made_of_actions_keeps_the_contracts_that_signatures_name() -> None:
    days = pd.to_datetime(["2018-03-01", "2018-06-01"]).as_unit("ns")
    delivered = pd.DataFrame(
        {"symbol": "AAA", "ex_session": days, "kind": ["split", "dividend"], "value": [2.0, 0.5], "source": "test"}
    )
    versions = actions.with_action_moments(delivered, CALENDAR, 30, ARRIVAL)
    added, _ = actions.new_action_versions(versions.iloc[:0], versions)
    known = actions.actions_as_of(added, moment("2020-06-01"))
    assert len(known) == 2
    for function, made in ((actions.with_action_moments, versions), (actions.actions_as_of, known)):
        _check(made, get_type_hints(function, include_extras=True)["return"])
    _check(added, get_args(get_type_hints(actions.new_action_versions, include_extras=True)["return"])[0])
