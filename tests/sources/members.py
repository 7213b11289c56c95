"""What every kind of source must keep as a member of the registry. A member inherits ``MemberContract``.

Beside ``SourceContract`` of the same class; it brings its kind, what it delivers, and ``stated`` as a fixture.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from nn_assets.errors import SettingsError
from nn_assets.operations.strategy_files import make_strategy, parse_strategy, with_checked_source
from nn_assets.settings import SourceSection, Strategy
from nn_assets.settings import parse_strategy as parse_stated
from nn_assets.settings.sources import source_kinds
from nn_assets.sources.protocol import ActionSource, Source
from nn_assets.sources.registry import SourceContext, source_member


class MemberContract:
    """Give the class attributes below, and ``stated`` as a fixture."""

    kind: str
    delivers: tuple[str, ...] = ("bars", "actions")
    market: dict[str, Any] = {"history_starts": "2017-10-16"}  # noqa: RUF012  a subclass states another
    symbols: tuple[str, ...]

    @pytest.fixture
    def own_keys(self) -> dict[str, Any]:
        """Its own keys, as a strategy's file states them for what ``source`` of the contract asks."""
        raise NotImplementedError

    def text(self, settings: dict[str, Any], **more: Any) -> str:
        source = {"kind": self.kind, **settings, **more}
        return yaml.safe_dump(
            {"name": "mine", "market": {"symbols": list(self.symbols), **self.market}, "source": source}
        )

    @pytest.fixture
    def strategy(self, own_keys: dict[str, Any]) -> Strategy:
        return parse_strategy(self.text(own_keys))

    def built(self, strategy: Strategy, folder: Path) -> Source:
        context = SourceContext(strategy.market, folder, requires_volume=True)
        return source_member(self.kind).build(strategy.source, context)

    def test_it_is_found_by_its_kind_and_says_what_it_is(self) -> None:
        member = source_member(self.kind)
        assert self.kind in source_kinds()
        assert member.kind == self.kind
        assert issubclass(member.settings, SourceSection)
        assert member.label
        assert member.delivers == self.delivers

    def test_its_settings_are_its_own_models_and_count_alike_read_again(self, strategy) -> None:
        assert type(strategy.source) is source_member(self.kind).settings
        assert strategy.source.kind == strategy.source.counted()["kind"] == self.kind
        again = make_strategy(strategy.model_dump(mode="json"))
        assert again.source == strategy.source
        assert again.content_hash() == strategy.content_hash()

    def test_settings_alone_keep_what_is_stated_and_its_model_checks_it_later(self, strategy, own_keys) -> None:
        alone = parse_stated(self.text(own_keys))
        assert {name: getattr(alone.source, name) for name in own_keys} == own_keys
        assert with_checked_source(alone) == strategy

    def test_a_key_it_lacks_is_refused_by_name_and_line_with_the_nearest(self, own_keys) -> None:
        text = self.text(own_keys, max_withdrawn_fractio=0.5)
        (line,) = [number for number, row in enumerate(text.splitlines(), 1) if "fractio:" in row]
        with pytest.raises(SettingsError) as caught:
            parse_strategy(text, file="mine.yaml")
        assert caught.value.where == {"file": "mine.yaml", "line": line, "key": "source.max_withdrawn_fractio"}
        named = f"no such key of kind '{self.kind}' (line {line}), did you mean max_withdrawn_fraction?"
        assert named in caught.value.found

    def test_it_is_built_without_a_key_or_a_question(self, strategy, monkeypatch, tmp_path) -> None:
        for variable in strategy.source.variables_named().values():
            monkeypatch.delenv(variable, raising=False)
        source = self.built(strategy, tmp_path)
        assert isinstance(source, Source)
        assert source.name == self.kind

    def test_built_of_its_settings_it_delivers_what_it_should(self, strategy, everything, tmp_path) -> None:
        pd.testing.assert_frame_equal(self.built(strategy, tmp_path).bars(), everything)

    def test_it_delivers_what_it_says(self, strategy, everything, tmp_path) -> None:
        source = self.built(strategy, tmp_path)
        assert isinstance(source, ActionSource) is ("actions" in self.delivers)
        assert ("known_at" in everything.columns) <= ("known_at" in self.delivers)
        assert hasattr(source, "funding_rates") is ("funding_rates" in self.delivers)
        assert (source_member(self.kind).funding is not None) is ("funding_rates" in self.delivers)
