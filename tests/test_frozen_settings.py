"""Nothing of a strategy can be written to: whoever holds its settings reads what its hash says."""

from __future__ import annotations

import json
import pickle
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from copy import copy, deepcopy
from types import MappingProxyType
from typing import Any, get_args, get_origin

import numpy as np
import pytest
from pydantic import BaseModel, Field, ValidationError

from nn_assets.operations.strategy_files import parse_strategy
from nn_assets.settings import Strategy
from nn_assets.settings.section import Section
from nn_assets.settings.sources import source_kinds
from nn_assets.sources.registry import source_model

STRATEGY = """
name: frozen
source: {kind: files, path: bars}
market: {history_starts: 2016-01-04, symbols: [AAA], cash_rates: {2015-01-02: 0.01}}
features: {series: {vix: fear}}
series:
  - {name: fear, path: fear, symbol_from: file_name, named: {a: AAA}}
  - {kind: ccxt_funding, name: rates, exchange: binance, symbols: {AAA: "AAA:USDT"}}
  - {kind: simulator_funding, name: made_up, symbols: {AAA: SIM01}}
universe: {path: members.csv, renamed: {AAA: AAB}}
portfolio: {sectors: {AAA: tech}, constraints: {pair: {names: [AAA, {deep: [1]}]}}}
label: {kind: mine, settings: {steps: [1, {deep: 2}]}}
learning: {network: mine, network_settings: {sizes: [[1, 2], {deep: {}}]},
  compute: mine, compute_settings: {queue: [a]}}
search: {trials: 2, space: {features.names: {choices: [[log_return_1], [log_return_5]]}}}
execution: {broker: mine, broker_settings: {routes: {a: [1]}}}
"""
INTRADAY = "name: within\nmarket: {history_starts: 2016-01-04}\nintraday: {path: bars, named: {a: AAA}}\n"
TRADES = "name: ticks\nmarket: {history_starts: 2016-01-04}\nsource: {kind: trades, path: ticks, named: {a: AAA}}\n"
CONTRACTS = """
name: contracts
market: {history_starts: 2016-01-04, asset_class: binary, contracts: {AAA: {event: B}}}
label: {kind: settlement}
"""
PLUGIN = """
register_label("mine", relative=False)
register_network("mine")
register_constraint("pair")
register_compute("mine")
register_broker("mine")
"""


def _models(model: type[Section]) -> Iterator[type[Section]]:
    if model.__module__.startswith("nn_assets."):
        yield model
    for derived in model.__subclasses__():
        yield from _models(derived)


def _mentions_a_mapping(annotation: Any) -> bool:
    """Whether a value of a type may be, or hold, what can be written to."""
    mutable = get_origin(annotation) or annotation
    return mutable in (dict, list, set, Mapping) or any(map(_mentions_a_mapping, get_args(annotation)))


def _containers(value: Any) -> Iterator[Any]:
    if isinstance(value, BaseModel):
        for name in (*type(value).model_fields, *(value.model_extra or ())):
            yield from _containers(getattr(value, name))
    elif isinstance(value, (dict, list, tuple)):
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from _containers(item)


def _sections(value: Any) -> Iterator[Section]:
    if isinstance(value, Section):
        yield value
        for name in type(value).model_fields:
            yield from _sections(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _sections(item)


@pytest.fixture
def strategies(tmp_path_factory: pytest.TempPathFactory) -> list[Strategy]:
    file = tmp_path_factory.mktemp("frozen") / "mine.py"
    file.write_text(PLUGIN)
    texts = f"plugins: [{file}]\n{STRATEGY}", INTRADAY, TRADES, CONTRACTS
    return [parse_strategy(text) for text in texts]


def test_every_mapping_of_every_section_refuses_to_be_written_to(strategies: list[Strategy]) -> None:
    for kind in source_kinds():
        source_model(kind)  # its settings are a section from then on
    expected_fields = {
        (type(section), name)
        for strategy in strategies
        for section in _sections(strategy)
        for name, field in type(section).model_fields.items()
        if _mentions_a_mapping(field.annotation) and getattr(section, name)
    }
    all_of_them = {
        (model, name)
        for model in _models(Section)
        for name, field in model.model_fields.items()
        if _mentions_a_mapping(field.annotation)
    }
    assert all_of_them == expected_fields, "fill the new field in the strategy above"
    met = [value for strategy in strategies for value in _containers(strategy) if not isinstance(value, tuple)]
    assert len(met) >= len(expected_fields) + 6
    for value in met:
        before = deepcopy(value)
        assert type(before) is type(copy(value)) is type(value)
        for write in (
            lambda value: value.__setitem__(next(iter(value), 0) if isinstance(value, dict) else slice(0), []),
            lambda value: value.update(x=1) if isinstance(value, dict) else value.append(1),
            lambda value: value.clear(),
            lambda value: value.__init__(c=9) if isinstance(value, dict) else value.__init__([9]),
            lambda value: value.pop(),
            lambda value: value.__ior__({"x": 1}) if isinstance(value, dict) else value.__iadd__([1]),
            lambda value: value.setdefault("x", 1) if isinstance(value, dict) else value.sort(),
        ):
            with pytest.raises(TypeError, match="settings are frozen"):
                write(value)
        assert value == before


def test_a_section_of_a_member_and_an_empty_default_are_frozen_too() -> None:
    class Own(Section):
        sizes: Mapping[str, list[int]] = Field(default_factory=dict)

    for own in (Own(), Own(sizes={"a": [1]})):
        with pytest.raises(TypeError, match="settings are frozen"):
            own.sizes["b"] = []
    with pytest.raises(TypeError, match="settings are frozen"):
        own.sizes["a"].append(2)


def test_a_set_is_frozen_and_whatever_else_can_be_written_to_is_refused_by_name() -> None:
    class Own(Section):
        names: set[str] = Field(default_factory=set)
        value: Any = None

    own = Own(names={"a"}, value=({"x": {1}}, OrderedDict(a=[1]), MappingProxyType({"b": [1]})))
    assert own.model_dump() == {"names": {"a"}, "value": ({"x": {1}}, {"a": [1]}, {"b": [1]})}
    for names in (own.names, own.value[0]["x"], deepcopy(own).names):
        for write in (lambda names: names.add("b"), lambda names: names.__init__("b"), lambda names: names.clear()):
            with pytest.raises(TypeError, match="settings are frozen"):
                write(names)
    for mapping in own.value[1:]:
        for inner in mapping.values():
            with pytest.raises(TypeError, match="settings are frozen"):
                inner.append(2)
    for value in (bytearray(b"x"), deque([1]), np.ones(1)):
        with pytest.raises(ValidationError, match=f"a {type(value).__name__} can be written to"):
            Own(value={"inside": [value]})


def test_what_is_constructed_or_copied_with_a_change_is_frozen_too() -> None:
    class Own(Section):
        sizes: Mapping[str, list[int]] = Field(default_factory=dict)

    sizes = {"a": [1]}
    copied = Own().model_copy(update={"sizes": sizes})
    for own in (Own.model_construct(), Own.model_construct(sizes=sizes), copied):
        with pytest.raises(TypeError, match="settings are frozen"):
            own.sizes["b"] = []
    with pytest.raises(TypeError, match="settings are frozen"):
        copied.sizes["a"].append(2)
    assert (sizes, copied.model_fields_set) == ({"a": [1]}, {"sizes"})


def test_what_is_frozen_is_dumped_hashed_copied_and_sent_as_before(strategies: list[Strategy]) -> None:
    strategy = strategies[0]
    dumped = strategy.model_dump()
    assert json.loads(json.dumps(strategy.learning.model_dump())) == strategy.learning.model_dump(mode="json")
    assert {type(value) for value in _containers(dumped)} <= {dict, list, tuple}
    for other in (pickle.loads(pickle.dumps(strategy)), deepcopy(strategy), strategy.model_copy(deep=True)):
        assert other == strategy
        assert other.content_hash() == strategy.content_hash()
        with pytest.raises(TypeError, match="settings are frozen"):
            other.learning.network_settings["x"] = 1
    assert type(strategy.learning).model_validate(dumped["learning"]) == strategy.learning
