"""The package's own wings, held to what every wing is held to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nn_assets.operations import capacity
from nn_assets.operations.wings import WINGS
from tests.contracts.wings import WingContract
from tests.orchestration import test_intraday, test_search, test_universe
from tests.orchestration.conftest import living_in, run_assets, strategy_of
from tests.runs import materialise


class InTheDecidedHome(WingContract):
    """Only read: its assets were made when the home was built."""

    @pytest.fixture
    def home(self, decided_home: Path) -> Iterator[Path]:
        with living_in(decided_home):
            yield decided_home


class TestMarket(InTheDecidedHome):
    name = "market"


class TestFeatures(InTheDecidedHome):
    name = "features"


class TestLearning(InTheDecidedHome):
    name = "learning"


class TestEvaluation(InTheDecidedHome):
    name = "evaluation"


class TestDaily(InTheDecidedHome):
    name = "daily"


class TestCosts(WingContract):
    name = "costs"

    @pytest.fixture
    def home(self, decided: Path) -> Path:
        materialise(strategy_of(), "costs")
        return decided


@pytest.mark.full
class TestCapacity(WingContract):
    name = "capacity"

    @pytest.fixture
    def home(self, decided: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(capacity, "LADDER", (1.0, 4.0))
        materialise(strategy_of(), "capacity")
        return decided


class TestIntraday(WingContract):
    name = "intraday"

    @pytest.fixture
    def home(self, empty_home: Path) -> Path:
        test_intraday.prepare(empty_home)
        for seed, symbol in enumerate(("AAA", "BBB")):
            test_intraday.deliver(empty_home, symbol, test_intraday.minutes_of(symbol, seed))
        assert run_assets(strategy_of(), "tables", ("raw_intraday_bars", "validated_intraday_bars")).success
        return empty_home


class TestOtherData(WingContract):
    name = "other_data"

    @pytest.fixture
    def home(self, empty_home: Path) -> Path:
        test_universe.prepare(empty_home)
        assert run_assets(strategy_of(), "tables", ("universe_membership",)).success
        return empty_home


def test_every_wing_of_the_package_is_held_to_it() -> None:
    assert test_search.TestSearchWing.name == "search"  # beside what its home is made for
    held = {
        contract.name
        for contract in WingContract.__subclasses__() + InTheDecidedHome.__subclasses__()
        if "name" in vars(contract)
    }
    assert held >= set(WINGS.own)
