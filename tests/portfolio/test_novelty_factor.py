"""What a row unlike its model's own leaves of its name's expected return and size, in books of both constructions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.learning.forecasts import ForecastArrays
from nn_assets.portfolio.decide import decide
from nn_assets.portfolio.expected import expected_own_return
from nn_assets.portfolio.inputs import Decision, DecisionInputs
from nn_assets.portfolio.trace import steps_frame
from nn_assets.settings import PortfolioSettings
from nn_assets.signals.signals import Outcomes, make_signals, signals_frame
from tests.portfolio.facts import COSTS, facts
from tests.portfolio.test_by_programme import CHOSEN, NAMES, inputs_of
from tests.signals.test_signals import forecasts_of

LOWERED = (1.0, 0.7, 0.3, 0.05, 1e-6, 0.0)


def returns_of(seed: int, factors: np.ndarray, *, relative: bool, members: np.ndarray | float = 1.0) -> np.ndarray:
    """Mu of a random book, some names without a forecast, given the factors that novelty leaves."""
    random = np.random.default_rng([seed, 3])
    count = len(factors)
    probability = np.clip(random.normal(0.51, random.choice([0.005, 0.05]), count), 0.0, 1.0)
    probability[random.random(count) < 0.2] = np.nan
    volatility = random.uniform(0.005, 0.05, count)
    return expected_own_return(
        probability, random.choice([0.5, 0.515]), volatility, 5, 2.4,
        confidence=members * factors, novelty=factors, relative=relative,
    )  # fmt: skip


@pytest.mark.parametrize("relative", [True, False])
def test_lowering_a_names_factor_never_enlarges_its_return_nor_turns_it_round(relative: bool) -> None:
    for seed in range(150):
        random = np.random.default_rng(seed)
        count = int(random.integers(1, 25))
        factors, members = random.uniform(0.0, 1.0, count) ** random.choice([0.0, 1.0, 4.0]), random.uniform(0.3, 1.0)
        name = int(random.integers(count))
        of_name = []
        for factor in LOWERED:
            factors[name] = factor
            mean = returns_of(seed, factors, relative=relative, members=members)
            of_name.append(mean[name])
            if relative:
                assert abs(np.nansum(mean)) < 1e-15
        if np.isnan(of_name[0]):
            continue
        size = np.abs(of_name)
        assert (np.diff(size) <= 1e-16).all(), (seed, of_name)
        assert (np.sign(of_name) * np.sign(of_name[0]) >= 0.0)[size > 1e-16].all(), (seed, of_name)
        assert of_name[-1] == 0.0


def test_what_members_disagree_on_is_taken_off_before_the_names_mean_to_the_bit_as_without_novelty() -> None:
    random = np.random.default_rng(1)
    for count in (1, 7, 40):
        p, sigma, sure = random.uniform(0.4, 0.6, count), random.uniform(0.01, 0.03, count), random.uniform(0, 1, count)
        alone = sure * 2.4 * (p - 0.5) * sigma * np.sqrt(5)
        for novelty in (1.0, np.ones(count)):
            mean = expected_own_return(p, 0.5, sigma, 5, 2.4, confidence=sure, novelty=novelty, relative=True)
            assert mean.tobytes() == (alone - alone.mean()).tobytes()


def of_book(seed: int, factor: float, **known: object) -> DecisionInputs:
    """A book whose names all lean one way, the first of them less like what its model was fitted on."""
    random = np.random.default_rng([seed, 5])
    p = 0.51 + 0.025 + 0.008 * random.normal(size=NAMES)
    novelty = np.ones(NAMES)
    novelty[0] = factor
    of = inputs_of(seed, known=known, calibrated_probability=p)
    return replace(of, confidence=0.9 * novelty, novelty=novelty)


def weight(of: DecisionInputs, settings: PortfolioSettings = CHOSEN) -> tuple[float, Decision]:
    decision = decide(of, settings, COSTS)
    return float(decision.target_weight[0]), decision


@pytest.mark.parametrize("known", [{}, {"outcome_slope": 2.507}, {"short_fee": 0.0}])
def test_in_a_neutral_book_of_the_programme_an_unlike_name_is_held_less_and_not_turned_round(
    known: dict[str, object],
) -> None:
    largest = 0.0
    for seed in range(8):
        like, before = weight(of_book(seed, 1.0, relative=True, **known))
        unlike, decision = weight(of_book(seed, 0.05, relative=True, **known))
        assert before.expected_return is not None
        assert decision.expected_return is not None
        assert abs(decision.expected_return[0]) <= 0.06 * abs(before.expected_return[0])
        assert decision.expected_return[0] * before.expected_return[0] >= 0.0
        assert abs(unlike) <= abs(like), seed
        assert unlike * like >= 0.0, seed
        largest = max(largest, abs(like))
    assert largest > 0.05


@pytest.mark.parametrize("relative", [True, False])
def test_an_unlike_name_hedges_no_other_and_opens_its_factors_share_of_the_cap(relative: bool) -> None:
    """Changes cost nothing, and the others are at their caps: without the bound it balances them, on either side."""
    free = PortfolioSettings(construction="programme", net_limit=0.0 if relative else 0.2, beta_limit=0.1)
    for seed in range(6):
        like, _ = weight(of_book(seed, 1.0, relative=relative, change_share=0.0), free)
        for factor in (0.3, 0.05, 0.0):
            of = of_book(seed, factor, relative=relative, change_share=0.0)
            unlike, decision = weight(of, free)
            assert decision.expected_return is not None
            assert abs(unlike) <= max(factor * free.single_name_limit, 0.0) + 1e-9, (seed, factor, like)
            assert unlike * decision.expected_return[0] >= 0.0
            held = np.zeros(NAMES)
            held[0] = np.trunc(0.06 * of.equity_usd / of.reference_price[0])
            for side in (1.0, -1.0):
                kept, _ = weight(replace(of, current_quantity=side * held, unscaled_quantity=side * held), free)
                assert -factor * free.single_name_limit - 1e-9 <= side * kept <= 0.06 + 1e-9


def test_named_by_name_an_unlike_name_is_held_less_and_not_turned_round() -> None:
    for seed in range(8):
        of = facts(NAMES, seed, calibrated_probability=0.5 + 0.1 * np.random.default_rng(seed).normal(size=NAMES))
        sizes = []
        for factor in LOWERED:
            novelty = np.ones(NAMES)
            novelty[0] = factor
            unlike = replace(of, confidence=of.confidence * novelty, novelty=novelty)
            sizes.append(weight(unlike, PortfolioSettings(construction="per_name"))[0])
        assert (np.diff(np.abs(sizes)) <= 1e-9).all(), sizes
        assert (np.array(sizes) * sizes[0] >= 0.0).all()
        assert sizes[-1] == 0.0


@pytest.mark.parametrize("construction", ["programme", "per_name"])
def test_the_trace_says_the_factor_of_an_unlike_row_and_of_no_other(construction: str) -> None:
    of = of_book(2, 0.05, relative=True)
    frame = steps_frame(decide(of, CHOSEN.model_copy(update={"construction": construction}), COSTS))
    told = frame["reason"].str.contains("at a novelty factor of 0.050", regex=False)
    assert set(frame.loc[told, "symbol"]) == {of.symbols[0]}
    assert not frame["reason"].str.contains("nan").any()


def test_a_stored_confidence_is_the_product_and_the_factor_goes_beside_it() -> None:
    forecasts: ForecastArrays = forecasts_of(np.array([0.6, 0.45, np.nan]), confidence=0.8)
    share = np.array([0.25, 1.0, 1.0])
    symbols, volatility = ("A", "B", "C"), np.full(3, 0.01)
    signals = make_signals(symbols, forecasts.less_sure(share), Outcomes(1.0, 1.0, 99.0, 99), volatility, 5)
    np.testing.assert_allclose(signals.confidence, [0.2, 0.8, np.nan])
    np.testing.assert_array_equal(signals.novelty, [0.25, 1.0, np.nan])
    moment = pd.Timestamp("2017-06-01 21:00", tz="UTC")
    frame = signals_frame(
        signals, session=pd.Timestamp("2017-06-01"), model_id="m", data_hash="d", code_version="c", known_at=moment
    )
    assert frame["confidence"].tolist() == pytest.approx([0.2, 0.8])
    assert "novelty" not in frame
