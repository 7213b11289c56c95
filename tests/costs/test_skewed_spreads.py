"""What a book pays is the mean: spreads and commissions that are skewed, with long tails, or with errors among them.

The fills are those of a formula of its own; the mean of each noise is one, which the truth is stated by.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd
import pytest

from nn_assets.arrays import FloatArray
from nn_assets.costs.estimation import CostEstimate
from nn_assets.settings import CostSettings
from tests.costs.test_recalibration import PRIOR, SETTINGS, WIDENS, fitted, traded

COMMISSION = 1.8e-4
Noise = Callable[[np.random.Generator, int], FloatArray]


def lognormal(log_sd: float) -> Noise:
    return lambda draw, count: np.exp(log_sd * draw.standard_normal(count) - log_sd**2 / 2.0)


def student(draw: np.random.Generator, count: int) -> FloatArray:
    return 1.0 + 0.2 * draw.standard_t(3, count)


def misread(noise: Noise) -> Noise:
    """One fill in a hundred with another's mid, or cents for dollars: 100 times the spread, or less than nothing."""

    def with_errors(draw: np.random.Generator, count: int) -> FloatArray:
        wrong = draw.random(count) < 0.01
        return noise(draw, count) + np.where(
            wrong, draw.uniform(40.0, 200.0, count) * draw.choice([-1, 1, 1], count), 0
        )

    return with_errors


def paid(
    noise: Noise, count: int, half_spread: float = 4.5e-4, widening: float = 0.0, *, quoted: bool = True, seed: int = 0
) -> pd.DataFrame:
    """Fills whose half-spread and commission are their truths times a noise."""
    sample = traded(count, per_session=5, seed=seed)
    draw = np.random.default_rng([seed, 5])
    side, mid = np.sign(sample["quantity"].to_numpy()), sample["mid_price"].to_numpy()
    spread = (half_spread + widening * sample["daily_volatility"].to_numpy()) * noise(draw, count)
    price = mid * (1.0 + side * spread)
    quantity = sample["quantity"] * sample["price"] / price
    commission = COMMISSION * noise(draw, count) * np.abs(quantity) * price
    without = {} if quoted else {"mid_price": np.nan, "later_mid_price": np.nan}
    return sample.assign(price=price, quantity=quantity, commission_usd=commission, **without)


def raw_of(result: CostEstimate, name: str) -> float:
    raw = result.estimates[name].raw
    assert raw is not None
    return raw


def test_the_mean_of_skewed_spreads_and_commissions_is_what_is_fitted() -> None:
    """Measured before: 15% below it."""
    results = [fitted(paid(lognormal(0.8), 1000, seed=seed)) for seed in range(6)]
    for name, truth in (("half_spread", 4.5e-4), ("commission", COMMISSION)):
        assert np.mean([raw_of(result, name) for result in results]) == pytest.approx(truth, rel=0.04)


def test_one_fill_in_a_hundred_that_was_misread_is_left_out_and_counted() -> None:
    result = fitted(paid(misread(lognormal(0.5)), 1000))
    assert raw_of(result, "half_spread") == pytest.approx(4.5e-4, rel=0.05)
    assert " left out as errors" in result.estimates["half_spread"].note
    assert " left out as errors" in result.estimates["commission"].note


def test_fills_that_may_be_errors_are_in_the_mean_and_the_interval_covers_that_without_them() -> None:
    sample = paid(lognormal(0.2), 1000)
    mid, side = sample["mid_price"], np.sign(sample["quantity"])
    tenth = np.arange(1000) % 100 == 0
    dear = sample.assign(price=np.where(tenth, mid * (1.0 + side * 6.0 * 4.5e-4), sample["price"]))
    estimate = fitted(dear).estimates["half_spread"]
    assert estimate.raw == pytest.approx(1.05 * 4.5e-4, rel=0.01)
    assert estimate.interval is not None
    assert estimate.interval[0] < 4.5e-4 < 1.05 * 4.5e-4 < estimate.interval[1]


def test_what_is_far_off_too_often_is_no_error_and_identifies_nothing() -> None:
    sample = paid(lognormal(0.2), 1000)
    often = np.arange(1000) % 20 == 0
    estimate = fitted(sample.assign(commission_usd=sample["commission_usd"] * np.where(often, 100.0, 1.0))).estimates
    assert estimate["commission"].note.startswith("not identified: 50 of them are 30 times as far off")
    assert estimate["commission"].proposed == PRIOR.commission.value


def test_what_nobody_knows_to_widen_a_spread_is_in_the_interval_of_the_half_spread() -> None:
    """Of one volatility, any part of what is paid may be what volatility adds."""
    alike = traded(1000, half_spread=2e-4, widening=0.02, volatility=(0.02, 0.02 + 1e-9))
    estimates = fitted(alike, WIDENS).estimates
    assert estimates["spread_volatility"].raw is None
    interval = estimates["half_spread"].interval
    assert interval is not None
    assert interval[0] <= 2e-4 <= 6e-4 <= interval[1]


NOISES: dict[str, Noise] = {
    "lognormal 0.2": lognormal(0.2),
    "lognormal 0.5": lognormal(0.5),
    "lognormal 0.8": lognormal(0.8),
    "student 3": student,
    "lognormal 0.2, 1% errors": misread(lognormal(0.2)),
    "lognormal 0.5, 1% errors": misread(lognormal(0.5)),
    "lognormal 0.8, 1% errors": misread(lognormal(0.8)),
    "student 3, 1% errors": misread(student),
}
TERMS: dict[str, tuple[CostSettings, float]] = {"still": (SETTINGS, 0.0), "widens": (WIDENS, 0.02)}
REPEATS = 250


@pytest.mark.full
@pytest.mark.parametrize("noise", NOISES)
def test_intervals_of_what_is_paid_hold_whatever_its_noise(noise: str) -> None:
    """In every cell at 0.90 or better of the samples that identify the coefficient, at least half of them.

    Measured: 0.916 at least (what widens the spread, 1,000 fills of the smallest noise), 0.98 at most.
    """
    for (terms, (settings, widening)), count in product(TERMS.items(), (100, 1000)):
        truth = {"half_spread": 4.5e-4, "commission": COMMISSION, "spread_volatility": widening}
        held: dict[str, list[bool]] = {name: [] for name in truth}
        for seed in range(REPEATS):
            sample = paid(NOISES[noise], count, widening=widening, seed=seed + 1000 * count)
            for name, estimate in fitted(sample, settings).estimates.items():
                if name in truth and estimate.interval is not None:
                    held[name].append(estimate.interval[0] <= truth[name] <= estimate.interval[1])
        shown = ", ".join(f"{name} {np.mean(of):.3f} of {len(of)}" for name, of in held.items() if of)
        print(f"{noise}, {terms}, {count} fills: {shown}")
        for name, of in held.items():
            assert len(of) < REPEATS / 2 or np.mean(of) >= 0.90, f"{name}: {shown}"


@pytest.mark.full
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("market", [0.02, 0.3])
def test_intervals_of_the_total_shortfall_hold_whatever_the_spreads_noise(noise: str, market: float) -> None:
    held = []
    for seed in range(100):
        sample = paid(NOISES[noise], 1000, seed=seed, quoted=False)
        moved = market * sample["daily_volatility"] * np.random.default_rng([seed, 6]).standard_normal(1000)
        estimate = fitted(sample.assign(price=sample["price"] * (1.0 + moved))).estimates["temporary_impact"]
        if estimate.interval is not None:
            held.append(estimate.interval[0] <= 0.15 <= estimate.interval[1])
    print(f"{noise}, market {market}: {np.mean(held):.3f} of {len(held)}")
    assert len(held) < 50 or np.mean(held) >= 0.90
