"""The bundled sample; its values are those that finance portals show for the indexes."""

from __future__ import annotations

import pytest

from nn_assets.sources.bundled import BundledSource
from tests.sources.contract import SourceContract
from tests.sources.members import MemberContract


class TestBundledSource(SourceContract, MemberContract):
    kind = "bundled"
    delivers = ("bars",)
    symbols = ("NASDAQ", "SP500")
    rows = 10_062
    # The high of the technology bubble: NASDAQ Composite closed at 5048.62 on 2000-03-10.
    known_bar = ("NASDAQ", "2000-03-10", 5060.339844, 5132.52002, 5039.350098, 5048.620117)

    @pytest.fixture
    def source(self) -> BundledSource:
        return BundledSource()

    @pytest.fixture
    def own_keys(self) -> dict[str, str]:
        return {}
