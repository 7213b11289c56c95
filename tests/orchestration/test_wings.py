"""The package's own wings, held to what every wing is held to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nn_assets.operations import capacity
from nn_assets.operations.wings import WINGS
from nn_assets.store.ledger.ledger import Ledger
from tests.contracts.wings import WingContract
from tests.orchestration import test_intraday, test_search, test_universe
from tests.orchestration.conftest import NAME, living_in, run_assets, strategy_of, write_strategy
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


@pytest.mark.full
class TestAccounts(WingContract):
    name = "accounts"

    @pytest.fixture
    def home(self, empty_home: Path) -> Path:
        """A strategy that trades by a file drop, whose desk holds nothing but the book's cash."""
        desk_files = empty_home / "drop" / NAME / "in"
        desk_files.mkdir(parents=True)
        (desk_files / "positions.csv").write_text("symbol,quantity,as_of\nend,0\n", encoding="utf-8")
        cash = "cash_usd,as_of\n1000000.00,2026-01-02T00:00:00+00:00\nend,1\n"
        (desk_files / "cash.csv").write_text(cash, encoding="utf-8")
        settings = {"folder": str(empty_home / "drop")}
        write_strategy(empty_home, execution={"broker": "file_drop", "broker_settings": settings})
        assert run_assets(strategy_of(), "account", ("venue_account",)).success
        with Ledger() as ledger:
            assert list(ledger.read("reconciliations", f"account.{NAME}")["state"]) == ["agreed"]
        return empty_home


def test_every_wing_of_the_package_is_held_to_it() -> None:
    assert test_search.TestSearchWing.name == "search"  # beside what its home is made for
    held = {
        contract.name
        for contract in WingContract.__subclasses__() + InTheDecidedHome.__subclasses__()
        if "name" in vars(contract)
    }
    assert held >= set(WINGS.own)
