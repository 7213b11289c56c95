"""Recalibration on fills made from known coefficients by a formula of its own."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nn_assets.costs.estimation import estimate_costs
from nn_assets.costs.model import cost_model_from
from nn_assets.errors import SchemaError
from nn_assets.settings import CostSettings

SETTINGS = CostSettings()
PRIOR = cost_model_from(SETTINGS)


def fills(
    count: int = 2000,
    *,
    source: str = "imported",
    half_spread: float = 4.5e-4,
    a: float = 0.15,
    b: float = 0.03,
    quoted: bool = True,
    impact_stated: bool = True,
    drift: float = 0.0,
    per_session: int = 20,
    outliers: int = 0,
    seed: int = 1,
) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    side = generator.choice([-1.0, 1.0], count)
    reference = generator.uniform(20.0, 200.0, count)
    adv = generator.uniform(2e7, 3e8, count)
    sigma = generator.uniform(0.008, 0.03, count)
    size = adv * generator.uniform(1e-4, 1e-2, count) / reference
    x = size * reference / adv
    day = np.datetime64("2017-01-02") + np.arange(count) // per_session
    impact = a * sigma * np.sqrt(x) * (1 + 0.3 * generator.standard_normal(count)) + b * sigma * x
    impact[:outliers] += 0.2
    arrival = reference * (1 + drift * sigma * np.random.default_rng([seed, 1]).standard_normal(count))
    mid = arrival * (1 + side * impact)
    price = mid * (1 + side * half_spread * (1 + 0.2 * generator.standard_normal(count)))
    return pd.DataFrame({
        "session": day.astype("datetime64[ns]"), "quantity": side * size, "price": price,
        "mid_price": mid if quoted else np.nan, "commission_usd": size * price * 1.8e-4,
        "impact_usd": size * np.abs(mid - arrival) if quoted and impact_stated else np.nan, "source": source,
        "later_mid_price": np.nan, "reference_price": reference, "adv_usd": adv, "daily_volatility": sigma,
    })  # fmt: skip


def test_paper_fills_recover_the_known_coefficients_and_change_nothing() -> None:
    result = estimate_costs(fills(source="paper"), PRIOR, SETTINGS, dated="2017-06-30")
    assert result.status == "self_test"
    assert result.recovered is True
    assert result.model == PRIOR


def test_a_self_test_on_fills_from_another_model_says_so() -> None:
    result = estimate_costs(fills(source="paper", a=0.30), PRIOR, SETTINGS, dated="2017-06-30")
    assert result.recovered is False
    assert result.model == PRIOR


def test_real_fills_with_quotes_move_spread_and_temporary_impact_and_leave_permanent_unidentified() -> None:
    result = estimate_costs(fills(half_spread=5.2e-4, a=0.17), PRIOR, SETTINGS, dated="2017-06-30")
    assert result.status == "in_force"
    assert result.estimates["half_spread"].raw == pytest.approx(5.2e-4, rel=0.03)
    assert result.estimates["temporary_impact"].raw == pytest.approx(0.17, rel=0.05)
    assert result.estimates["permanent_impact"].note == "not identified"
    assert result.model.permanent_impact == PRIOR.permanent_impact
    fitted = result.model.half_spread
    assert (fitted.source, fitted.dated) == ("fitted", "2017-06-30")
    assert fitted.interval is not None
    assert fitted.interval[0] < 5.2e-4 < fitted.interval[1]


def test_the_estimate_is_shrunk_by_the_number_of_fills() -> None:
    result = estimate_costs(fills(200, half_spread=5.2e-4), PRIOR, SETTINGS, dated="2017-06-30")
    raw, proposed = result.estimates["half_spread"].raw, result.proposed.half_spread.value
    assert raw is not None
    assert proposed == pytest.approx((raw + 4.5e-4) / 2.0, rel=1e-9)  # 200 fills weigh as much as the prior


def test_a_change_above_thirty_percent_waits_for_approval() -> None:
    result = estimate_costs(fills(half_spread=9e-4), PRIOR, SETTINGS, dated="2017-06-30")
    assert result.status == "awaiting_approval"
    assert result.model == PRIOR
    assert result.proposed.half_spread.value > 1.3 * 4.5e-4


def test_a_fall_above_thirty_percent_waits_for_approval_like_a_rise() -> None:
    result = estimate_costs(fills(half_spread=1.5e-4), PRIOR, SETTINGS, dated="2017-06-30")
    assert result.status == "awaiting_approval"
    assert result.model == PRIOR
    assert result.proposed.half_spread.value < 0.7 * 4.5e-4
    assert "half_spread -" in result.reason


def test_no_estimate_leaves_its_bounds() -> None:
    result = estimate_costs(fills(half_spread=90e-4), PRIOR, SETTINGS, dated="2017-06-30")
    assert result.proposed.half_spread.value == pytest.approx(3.0 * 4.5e-4)
    low = estimate_costs(fills(half_spread=0.1e-4), PRIOR, SETTINGS, dated="2017-06-30")
    assert low.proposed.half_spread.value == pytest.approx(4.5e-4 / 3.0)


FIVE = CostSettings(half_spread_bps=5.0)
THIRTY_SAID = (
    r"half_spread estimated (29\.\d|30\.\d|30) bps \(29\.\d to 30\.\d\), beyond the bound of 3 times the setting 5 bps"
)


def test_a_half_spread_far_beyond_its_bound_waits_and_says_what_the_fills_say() -> None:
    """Thirty basis points where five are set: approved, it prices by what was proposed, and goes on being said."""
    prior, sample = cost_model_from(FIVE), fills(count=600, half_spread=30e-4)
    result = estimate_costs(sample, prior, FIVE, dated="2017-06-30")
    assert result.status == "awaiting_approval"
    assert result.proposed.half_spread.value == pytest.approx(15e-4)
    assert result.reason.startswith("half_spread +200%: above 30% of the model in force, waits for approval")
    assert re.search(THIRTY_SAID, result.reason)
    assert result.reason.endswith(": if the fills are right, correct costs in the strategy's file")
    approved = estimate_costs(sample, prior, FIVE, dated="2017-07-31", in_force=result.proposed)
    assert approved.status == "in_force"
    assert approved.model.half_spread.value == pytest.approx(15e-4)
    assert "half_spread +0.0%" in approved.reason
    assert re.search(THIRTY_SAID, approved.reason)
    within = estimate_costs(fills(count=600, half_spread=10e-4), prior, FIVE, dated="2017-06-30")
    assert within.status == "awaiting_approval"
    assert "beyond" not in within.reason


def test_a_half_spread_far_below_its_bound_is_said_likewise_and_a_pure_number_bears_no_unit() -> None:
    below = estimate_costs(fills(count=600, half_spread=0.5e-4), PRIOR, SETTINGS, dated="2017-06-30")
    assert "below the bound of 1/3 of the setting 4.5 bps" in below.reason
    steep = estimate_costs(fills(count=2000, a=0.9), PRIOR, SETTINGS, dated="2017-06-30")
    assert re.search(
        r"temporary_impact estimated 0\.\d+ \(0\.\d+ to 0\.\d+\), beyond the bound of 3 times the setting 0\.15:",
        steep.reason,
    )


def test_a_coefficient_that_is_not_identified_is_said_to_be_that_and_not_to_have_moved_by_nothing() -> None:
    reason = estimate_costs(fills(), PRIOR, SETTINGS, dated="2017-06-30").reason
    assert "permanent_impact not identified" in reason
    assert "half_spread +" in reason or "half_spread -" in reason


def test_without_quotes_spread_and_permanent_impact_stay_prior_and_are_marked() -> None:
    result = estimate_costs(fills(quoted=False, a=0.17), PRIOR, SETTINGS, dated="2017-06-30")
    for name in ("half_spread", "permanent_impact"):
        assert result.estimates[name].note == "not identified"
        assert getattr(result.proposed, name) == getattr(PRIOR, name)
    assert result.estimates["temporary_impact"].raw == pytest.approx(0.17, rel=0.06)


def test_a_few_absurd_fills_do_not_carry_the_regression_away() -> None:
    result = estimate_costs(fills(outliers=40), PRIOR, SETTINGS, dated="2017-06-30")
    assert result.estimates["temporary_impact"].raw == pytest.approx(0.15, rel=0.10)


def test_real_fills_alone_decide_where_both_kinds_are_there() -> None:
    mixed = pd.concat([fills(half_spread=5.2e-4), fills(source="paper", half_spread=40e-4)])
    assert estimate_costs(mixed, PRIOR, SETTINGS, dated="2017-06-30").estimates["half_spread"].fills == 2000


def test_too_few_fills_change_nothing_and_say_how_many_there_were() -> None:
    result = estimate_costs(fills(12), PRIOR, SETTINGS, dated="2017-06-30")
    assert (result.status, result.model) == ("too_few_fills", PRIOR)
    assert "12" in result.reason


def test_a_missing_column_is_named() -> None:
    with pytest.raises(SchemaError, match="adv_usd"):
        estimate_costs(fills().drop(columns="adv_usd"), PRIOR, SETTINGS, dated="2017-06-30")


def test_the_same_fills_give_the_same_bits() -> None:
    first, second = (estimate_costs(fills(), PRIOR, SETTINGS, dated="2017-06-30") for _ in range(2))
    assert first.proposed == second.proposed


def test_a_mid_without_an_impact_does_not_book_the_half_spread_twice() -> None:
    """Measured before: 9.0 bps and a = 0.585."""
    sample = fills(half_spread=9e-4, a=0.15, impact_stated=False)
    estimates = estimate_costs(sample, PRIOR, SETTINGS, dated="2017-06-30").estimates
    assert estimates["half_spread"].raw == pytest.approx(9e-4, rel=0.02)
    assert estimates["temporary_impact"].raw == pytest.approx(0.15, rel=0.05)


def test_a_spread_unlike_the_prior_does_not_become_impact_where_nothing_is_quoted() -> None:
    sample = fills(half_spread=9e-4, a=0.15, quoted=False)
    estimate = estimate_costs(sample, PRIOR, SETTINGS, dated="2017-06-30").estimates["temporary_impact"]
    assert estimate.raw == pytest.approx(0.15, rel=0.10)


GRID = list(product((1e-4, 4.5e-4, 20e-4), (0.05, 0.15, 0.40), (0.0, 0.03, 0.09), (60, 400, 3000)))
FORMS: dict[str, dict[str, Any]] = {"impact": {}, "mid": {"impact_stated": False}, "nothing": {"quoted": False}}


@pytest.mark.parametrize("form", FORMS)
def test_every_truth_of_a_grid_is_recovered_within_the_stated_intervals(form: str) -> None:
    """Spread x a x b x sample size, with an impact stated, a mid alone, or neither; 95% intervals."""
    inside, counted = {"half_spread": 0, "temporary_impact": 0}, {"half_spread": 0, "temporary_impact": 0}
    for seed, (half_spread, a, b, count) in enumerate(GRID):
        sample = fills(
            count, half_spread=half_spread, a=a, b=b, drift=0.1, per_session=1 + count // 100, seed=seed, **FORMS[form]
        )
        estimates = estimate_costs(sample, PRIOR, SETTINGS, dated="2017-06-30").estimates
        for name, truth in (("half_spread", half_spread), ("temporary_impact", a)):
            raw, interval = estimates[name].raw, estimates[name].interval
            if raw is None or interval is None:
                assert form != "impact"
                assert estimates[name].proposed == estimates[name].prior
                continue
            inside[name] += interval[0] <= truth <= interval[1]
            counted[name] += 1
        assert estimates["permanent_impact"].raw is None
    assert inside["temporary_impact"] >= 0.90 * counted["temporary_impact"]
    assert inside["half_spread"] >= 0.90 * counted["half_spread"]
    assert counted["temporary_impact"] >= 25
    assert counted["half_spread"] == (0 if form == "nothing" else len(GRID))


def test_an_interval_narrows_with_the_number_of_fills() -> None:
    widths = []
    for count in (100, 1600):
        estimate = estimate_costs(fills(count, per_session=2), PRIOR, SETTINGS, dated="2017-06-30").estimates[
            "half_spread"
        ]
        assert estimate.interval is not None
        widths.append(estimate.interval[1] - estimate.interval[0])
    assert widths[1] == pytest.approx(widths[0] / 4.0, rel=0.35)


def test_fills_of_fewer_than_ten_sessions_identify_nothing() -> None:
    result = estimate_costs(fills(180), PRIOR, SETTINGS, dated="2017-06-30")
    notes = {name: one.note for name, one in result.estimates.items()}
    assert notes.pop("permanent_impact") == "not identified"
    assert set(notes.values()) == {"not identified: 180 fills of 9 sessions, 30 of 10 are needed"}
    assert result.proposed == PRIOR


def test_fills_of_one_size_and_volatility_cannot_tell_impact_from_spread() -> None:
    sample = fills(quoted=False)
    value = sample["quantity"].abs() * sample["price"]
    same = sample.assign(daily_volatility=0.02, adv_usd=value * 400.0)
    assert estimate_costs(same, PRIOR, SETTINGS, dated="2017-06-30").estimates["temporary_impact"].raw is None


def sessions_alike(*values: float, fills_each: int = 3) -> pd.DataFrame:
    """Fills of which only the commission is known, the same fraction for all of a session."""
    count = fills_each * len(values)
    sample = fills(count, quoted=False, per_session=fills_each).assign(reference_price=np.nan)
    dollars = sample["quantity"].abs() * sample["price"]
    return sample.assign(commission_usd=dollars * np.repeat(values, fills_each))


def test_the_interval_of_sessions_alike_is_students() -> None:
    """Two values, five sessions each: no fill strays, so the mean is the estimate and t s / sqrt(n) half its interval.

    Thirty fills of ten sessions are the fewest of either that identify anything.
    """
    values = [2e-4, 3e-4] * 5
    sample = sessions_alike(*values)
    half = []
    for seed in range(40):
        estimate = estimate_costs(sample, PRIOR, SETTINGS, dated="2017-06-30", seed=seed).estimates["commission"]
        assert estimate.raw == pytest.approx(2.5e-4, rel=1e-9)
        assert estimate.interval is not None
        half.append((estimate.interval[1] - estimate.interval[0]) / 2.0)
    students = 2.262157 * np.std(values, ddof=1) / np.sqrt(10)  # t at 97.5% with 9 degrees of freedom
    assert np.mean(half) == pytest.approx(students, rel=0.012)
    fewer = estimate_costs(sample.iloc[:-1], PRIOR, SETTINGS, dated="2017-06-30")
    assert fewer.status == "too_few_fills"


def test_a_session_that_differs_widens_the_interval_as_much_wherever_it_stands() -> None:
    """It strays by 1.9 times the others' own distance: as far as no weight is taken off it."""
    width = {}
    for odd in (0, 11):
        values = np.where(np.arange(12) == odd, 1.8e-4 + 1.9e-5, np.where(np.arange(12) % 2 == 0, 1.7e-4, 1.9e-4))
        sample = sessions_alike(*values)
        results = [estimate_costs(sample, PRIOR, SETTINGS, dated="2017-06-30", seed=seed) for seed in range(12)]
        ends = [one.estimates["commission"].interval or (0.0, 0.0) for one in results]
        width[odd] = np.mean([high - low for low, high in ends])
    assert width[0] == pytest.approx(width[11], rel=0.04)


def test_a_broker_without_commissions_is_recovered_by_fills_without() -> None:
    free = cost_model_from(SETTINGS.model_copy(update={"commission_bps": 0.0}))
    sample = fills(source="paper").assign(commission_usd=0.0)
    result = estimate_costs(sample, free, SETTINGS, dated="2017-06-30")
    assert result.estimates["commission"].raw == 0.0
    assert result.recovered is True


def test_thirty_quoted_fills_are_enough_for_the_mid_to_speak() -> None:
    sample = fills(30, per_session=3, impact_stated=False)
    more = fills(30, per_session=3, quoted=False, seed=2)
    both = pd.concat([sample, more], ignore_index=True)
    note = estimate_costs(both, PRIOR, SETTINGS, dated="2017-06-30").estimates["temporary_impact"].note
    assert note == "side x (mid - reference) less permanent"


def test_fills_of_a_venue_are_real_and_wait_like_those_of_a_file() -> None:
    result = estimate_costs(fills(source="venue", half_spread=9e-4), PRIOR, SETTINGS, dated="2017-06-30")
    assert result.status == "awaiting_approval"


def test_paper_fills_that_rested_tell_nothing_of_impact() -> None:
    result = estimate_costs(fills(source="paper", quoted=False), PRIOR, SETTINGS, dated="2017-06-30")
    assert result.estimates["temporary_impact"].fills == 0


def test_the_interval_of_temporary_impact_has_room_for_any_permanent_impact_within_its_bounds() -> None:
    """Without any noise: what was taken off may be nothing, or three times as much."""
    sample = fills(b=0.03)
    value, sigma = sample["quantity"].abs() * sample["price"], sample["daily_volatility"]
    share = value / sample["adv_usd"]
    exact = sample.assign(impact_usd=value * sigma * (0.15 * share**0.5 + 0.03 * share))
    estimate = estimate_costs(exact, PRIOR, SETTINGS, dated="2017-06-30").estimates["temporary_impact"]
    slope = float((share**1.5).sum() / share.sum())  # of the share on its root
    assert estimate.raw == pytest.approx(0.15)
    assert estimate.interval == pytest.approx((0.15 - 0.06 * slope, 0.15 + 0.03 * slope), rel=1e-4)


def test_commissions_that_most_statements_agree_on_leave_the_others_no_errors() -> None:
    sample = fills(1000)
    tenth = np.arange(1000) % 10 == 0
    doubled = sample.assign(commission_usd=sample["commission_usd"] * np.where(tenth, 2.0, 1.0))
    estimate = estimate_costs(doubled, PRIOR, SETTINGS, dated="2017-06-30").estimates["commission"]
    assert estimate.raw == pytest.approx(1.1 * 1.8e-4, rel=1e-3)
    assert estimate.note == "statements"


@pytest.mark.parametrize("pieces", [1, 5, 20])
@pytest.mark.parametrize("quoted", [True, False])
def test_an_order_filled_in_pieces_moved_the_price_by_its_whole_size(pieces: int, quoted: bool) -> None:
    whole = fills(600, quoted=quoted, impact_stated=False, seed=4)
    whole["client_order_id"] = [f"o{number}" for number in range(len(whole))]
    parts = whole.loc[whole.index.repeat(pieces)].reset_index(drop=True)
    parts[["quantity", "commission_usd"]] /= pieces
    once, split = (estimate_costs(rows, PRIOR, CostSettings(), dated="2018-01-02") for rows in (whole, parts))
    assert split.fills == once.fills == len(whole)
    for name, estimate in once.estimates.items():
        same = split.estimates[name]
        assert (same.raw is None) == (estimate.raw is None)
        if estimate.raw is not None:
            assert same.raw == pytest.approx(estimate.raw, rel=1e-9)
    assert once.estimates["temporary_impact"].raw == pytest.approx(0.15, rel=0.25)


def test_a_part_that_one_piece_of_an_order_does_not_state_is_not_stated_and_pieces_of_no_order_stay_apart() -> None:
    whole = fills(200, seed=4)
    whole["client_order_id"] = [f"o{number // 2}" if number < 100 else "" for number in range(len(whole))]
    whole.loc[whole.index < 100, ["session", "adv_usd", "daily_volatility", "reference_price"]] = whole.iloc[0][
        ["session", "adv_usd", "daily_volatility", "reference_price"]
    ].tolist()
    whole.loc[0, "mid_price"] = np.nan
    assert estimate_costs(whole, PRIOR, CostSettings(), dated="2018-01-02").fills == 150
