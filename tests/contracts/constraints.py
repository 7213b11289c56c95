"""What every limit on what names share is held to: a new one brings settings that state it, and its coefficients."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from pydantic import ValidationError

from nn_assets.errors import PluginError
from nn_assets.portfolio.binding import binding_constraints
from nn_assets.portfolio.constraints import Limits, SharedLimit
from nn_assets.portfolio.decide import decide
from nn_assets.portfolio.inputs import Decision
from nn_assets.portfolio.limits import book_limits, shared_out
from nn_assets.portfolio.own_limits import CONSTRAINTS, require_sound_constraint
from nn_assets.portfolio.trace import steps_frame
from nn_assets.settings import PortfolioSettings
from tests.portfolio.facts import COSTS
from tests.portfolio.test_by_programme import given

SYMBOLS = ("S00", "S01", "S02", "S03")
SECTORS = {"S00": "x", "S01": "x", "S03": "y"}
DISTANCE, BETA = np.array([0.1, 0.05, 0.2, 0.1]), np.array([1.2, 0.8, 1.0, -0.4])
NOTHING = 1e-6
WIDE: dict[str, object] = {
    "gross_limit": 90.0,
    "net_limit": 90.0,
    "beta_limit": 90.0,
    "risk_total_fraction": 1.0,
    "sector_limit": 1.0,
    "sectors": SECTORS,
}


def limits_of(settings: PortfolioSettings, reach: float = np.inf, **facts: np.ndarray) -> Limits:
    """The limits of a book of four names, of which the first can be traded up to ``reach``."""
    free = np.full(4, np.inf)
    known = {"distance": DISTANCE, "market_beta": BETA, **facts}
    first = np.array([reach, np.inf, np.inf, np.inf])
    return book_limits(SYMBOLS, settings, lower=-free, upper=free, reach=first, equity_usd=1e6, **known)


def wishes() -> list[np.ndarray]:
    """Books that use more than the least bound of any of them."""
    draw = np.random.default_rng(8)
    return [draw.uniform(0.1, 0.4, 4) * side for side in (1.0, -1.0, np.array([1, -1, 1, 1]), np.array([1, 1, -1, -1]))]


class ConstraintContract:
    """A member gives its ``name``, what it is ``called`` where it is exceeded, and the methods below.

    The trace names it in ``step``, by ``traced`` where that is another name. ``loosest`` is a bound at which it never
    binds; ``least_room`` what it allows whatever its bound.
    """

    name: ClassVar[str]
    called: ClassVar[str]
    net: ClassVar[bool] = False
    step: ClassVar[int] = 6
    traced: ClassVar[str] = ""
    tight: ClassVar[float] = 0.02
    loosest: ClassVar[float] = 90.0
    least_room: ClassVar[float] = 0.0

    def stated(self, bound: float) -> dict[str, object]:
        """What ``portfolio`` says for it to have a bound."""
        return {self.name: bound}

    def coefficient(self, symbols: tuple[str, ...], distance: np.ndarray, beta: np.ndarray) -> np.ndarray:
        """By hand, (symbols,)."""
        raise NotImplementedError

    def settings(self, bound: float, **more: object) -> PortfolioSettings:
        return PortfolioSettings.model_validate({**WIDE, **self.stated(bound), **more})

    def used(self, weights: np.ndarray) -> float:
        """What a book of the four names uses of the limit."""
        counted = self.coefficient(SYMBOLS, DISTANCE, BETA)
        return abs(float(counted @ weights)) if self.net else float(counted @ np.abs(weights))

    def own(self, limits: Limits) -> SharedLimit:
        (limit,) = [each for each in (*limits.sizes, *limits.nets) if each.name == self.called]
        return limit

    def test_it_keeps_the_contract_that_plugins_are_held_to(self) -> None:
        assert CONSTRAINTS[self.name].net is self.net
        require_sound_constraint(self.name, self.settings(self.tight))

    def test_its_coefficients_are_those_by_hand_and_a_missing_fact_leaves_them_finite(self) -> None:
        limit = self.own(limits_of(self.settings(self.tight)))
        np.testing.assert_allclose(limit.coefficient, self.coefficient(SYMBOLS, DISTANCE, BETA), rtol=1e-15)
        assert limit.limit == pytest.approx(max(self.tight, self.least_room))
        unknown = np.full(4, np.nan)
        bare = self.own(limits_of(self.settings(self.tight), distance=unknown, market_beta=unknown))
        by_hand = self.coefficient(SYMBOLS, np.zeros(4), np.ones(4))
        np.testing.assert_array_equal(bare.coefficient, by_hand)

    def test_a_book_keeps_to_it_and_no_size_is_enlarged_or_changes_side(self) -> None:
        bound = set()
        for wanted in wishes():
            made = shared_out(wanted, np.abs(wanted), np.zeros(4), limits_of(self.settings(self.tight)))
            assert not made.fallback
            assert self.used(made.weights) <= max(self.tight, self.least_room) + NOTHING
            assert (np.abs(made.weights) <= np.abs(wanted)).all()
            assert (made.weights * wanted >= 0.0).all()
            bound.add(self.used(wanted) > self.tight + NOTHING)
        assert True in bound, "it was never in the way"

    def test_where_it_does_not_bind_the_answer_is_the_one_without_it_to_the_bit(self) -> None:
        for wanted in wishes():
            made = shared_out(wanted, np.abs(wanted), np.zeros(4), limits_of(self.settings(self.loosest)))
            assert np.array_equal(made.weights, wanted)
            assert made.exceeded == ()

    def test_a_bound_of_nothing_leaves_nothing_and_one_that_is_no_number_is_refused(self) -> None:
        for wanted in wishes():
            made = shared_out(wanted, np.abs(wanted), np.zeros(4), limits_of(self.settings(0.0)))
            assert np.isfinite(made.weights).all()
            assert self.used(made.weights) <= self.least_room + NOTHING
        with pytest.raises((ValidationError, PluginError)):
            require_sound_constraint(self.name, self.settings(np.nan))

    @pytest.mark.parametrize("gross", [90.0, 0.0], ids=["alone", "beside a gross of nothing"])
    def test_what_cannot_be_sold_may_break_it_and_nothing_is_opened_on_top(self, gross: float) -> None:
        start, wanted = np.array([0.5, 0.0, 0.0, 0.0]), np.full(4, 0.3)
        settings = self.settings(self.tight, **({} if self.name == "gross_limit" else {"gross_limit": gross}))
        made = shared_out(wanted, np.abs(wanted), start, limits_of(settings, reach=0.0))
        assert made.weights[0] == 0.5
        assert self.called in made.exceeded
        assert self.used(made.weights) <= self.used(start) + NOTHING
        assert ((made.weights >= 0.0) & (made.weights <= np.maximum(wanted, start) + NOTHING)).all()

    @pytest.mark.parametrize("construction", ["per_name", "programme"])
    def test_the_trace_names_it_at_its_step_where_it_binds(self, construction: str) -> None:
        inputs = given(
            1,
            known={"relative": False},
            calibrated_probability=np.full(12, 0.56),
            edge_scale=1e9,
            outcomes=np.full(12, 9999),
            beta=np.linspace(0.8, 1.2, 12),
        )
        traced = self.traced or self.called
        free = decide(inputs, self.settings(self.loosest, construction=construction), COSTS)
        assert not any(traced in name for name, _ in self.bindings(free))
        counted = self.coefficient(inputs.symbols, np.nan_to_num(free.risk_distance), inputs.beta)
        half = 0.5 * float(counted @ free.weights[7])  # of what the book of longs uses of it
        cut = decide(inputs, self.settings(half, construction=construction), COSTS)
        named = [step for name, step in self.bindings(cut) if traced in name]
        assert len(named) >= 2
        assert set(named) == {self.step}

    def bindings(self, decision: Decision) -> tuple[tuple[str, int | None], ...]:
        steps = steps_frame(decision).pivot(index="step", columns="symbol", values="weight_after")
        return binding_constraints(decision, steps[list(decision.inputs.symbols)].to_numpy())
