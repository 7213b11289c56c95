"""The package's own limits on what names share, and one of a plug-in, pass through one contract."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from nn_assets import plugins
from nn_assets.portfolio.greeks import Greeks
from nn_assets.portfolio.own_limits import CONSTRAINTS
from tests.contracts import constraints
from tests.contracts.constraints import SECTORS, ConstraintContract
from tests.plugins.texts import CONSTRAINT


class TestGross(ConstraintContract):
    name, called = "gross_limit", "gross"

    def coefficient(self, symbols: tuple[str, ...], distance: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return np.ones(len(symbols))


class TestCapacity(TestGross):
    called = "capacity"

    def portfolio(self, bound: float) -> dict[str, object]:
        return {"capacity_usd": max(1e6 * bound, 1e-6)}


class TestRisk(ConstraintContract):
    name, called, loosest = "risk_total_fraction", "risk", 1.0
    step, traced = 4, "risk in total"

    def coefficient(self, symbols: tuple[str, ...], distance: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return distance


class TestSector(ConstraintContract):
    name, called, loosest = "sector_limit", "sector x", 1.0

    def coefficient(self, symbols: tuple[str, ...], distance: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return np.array([float(SECTORS.get(symbol) == "x") for symbol in symbols])


class TestNet(ConstraintContract):
    name, called, net, least_room = "net_limit", "net", True, 0.005

    def coefficient(self, symbols: tuple[str, ...], distance: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return np.ones(len(symbols))


class TestBeta(ConstraintContract):
    name, called, net = "beta_limit", "beta", True

    def coefficient(self, symbols: tuple[str, ...], distance: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return beta


class TestDelta(ConstraintContract):
    """Every instrument carries it, at 50 dollars each."""

    name, called, net = "greeks", "delta", True
    per_dollar = np.linspace(0.5, 1.5, 12)

    @pytest.fixture(autouse=True)
    def _known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        greeks = Greeks(np.ones(12, dtype=np.bool_), {"delta": 50.0 * self.per_dollar})
        of_limits = partial(constraints.limits_of, greeks={"delta": self.per_dollar[:4]})
        monkeypatch.setattr(constraints, "limits_of", of_limits)
        monkeypatch.setattr(constraints, "inputs_of", partial(constraints.inputs_of, greeks=greeks))

    def portfolio(self, bound: float) -> dict[str, object]:
        symbols = [f"S{number:02d}" for number in range(12)]
        return {"greeks": {"symbols": symbols, "delta": "deltas", "delta_limit": bound}}

    def coefficient(self, symbols: tuple[str, ...], distance: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return self.per_dollar[: len(symbols)]


class TestOneOfAPlugin(ConstraintContract):
    name = called = "together"

    @pytest.fixture(autouse=True)
    def _registered(self, tmp_path: Path) -> Iterator[None]:
        file = tmp_path / "mine.py"
        file.write_text(CONSTRAINT)
        plugins.load([str(file)])
        yield
        plugins.forget()

    def portfolio(self, bound: float) -> dict[str, object]:
        return {"constraints": {"together": {"symbols": ["S00", "S01"], "limit": bound}}}

    def coefficient(self, symbols: tuple[str, ...], distance: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return np.array([float(symbol in ("S00", "S01")) for symbol in symbols])


def test_every_limit_of_the_package_goes_through_the_contract() -> None:
    held = {contract.name for contract in (*ConstraintContract.__subclasses__(), TestCapacity)}
    assert held >= set(CONSTRAINTS.own)
