"""The facts of the programme at a session: each from its own source, known at it, fees over the horizon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.execution.paper import PaperBroker
from nn_assets.session.daily_round import Controls, Round, SessionFacts, _leaning, first_session_state, play_session
from nn_assets.session.market_view import market_view
from nn_assets.session.programme_facts import ProgrammeWatch, programme_watch
from nn_assets.settings import Strategy
from nn_assets.settings.beside_signals import NoveltySettings
from nn_assets.signals.signals import outcome_statistics
from tests.session.worlds import SYMBOLS, World, world, world_strategy

ROW = 190


def strategy_of(kind: str, **portfolio: object) -> Strategy:
    net = 0.0 if kind.endswith("_relative") else 1.0
    made = world_strategy("next_close", construction="programme", net_limit=net, **portfolio)
    costs = made.costs.model_copy(
        update={"borrow_fee_annual_fraction": 0.0252, "margin_spread_annual_fraction": 0.0504}
    )
    return made.model_copy(update={"label": made.label.model_copy(update={"kind": kind}), "costs": costs})


def watch_of(of: World, candidates: np.ndarray | None = None) -> ProgrammeWatch | None:
    market = market_view(of.panel, of.strategy.portfolio, candidates)
    outcomes = outcome_statistics(
        of.forecasts.probability, of.labels.returns, of.labels.realised_row, market.volatility, 3
    )
    return programme_watch(of.strategy, 252, market, of.forecasts, of.labels, outcomes)


def test_each_name_by_itself_asks_for_nothing() -> None:
    assert watch_of(world(world_strategy())) is None


@pytest.mark.parametrize("kind", ["direction", "direction_relative"])
def test_every_fact_is_of_its_own_source_and_fees_are_over_the_horizon(kind: str) -> None:
    of = world(strategy_of(kind, covariance_sessions=90))
    watch = watch_of(of)
    assert watch is not None
    facts, relative = watch.at(ROW), kind == "direction_relative"
    assert facts.relative is relative
    assert facts.short_fee == pytest.approx(0.0003)  # 2.52% a year, 3 of 252 sessions
    assert facts.margin_fee == pytest.approx(0.0006)
    assert facts.returns.shape == (90, 5)
    np.testing.assert_allclose(facts.returns[-1], of.panel.close[ROW] / of.panel.close[ROW - 1] - 1.0)
    assert facts.members is None
    expected = of.market.relative_volatility if relative else of.market.volatility
    assert facts.label_volatility.tobytes() == expected[ROW].tobytes()
    assert 1.5 < facts.outcome_slope < 3.5
    assert abs(facts.autocorrelation) < 0.15
    assert facts.change_share == 1.0  # forecasts drawn anew each session


@pytest.mark.parametrize(("net_limit", "beside_the_others"), [(0.0, True), (0.5, False)])
def test_with_novelty_a_neutral_book_expects_returns_beside_the_other_names(
    net_limit: float, beside_the_others: bool
) -> None:
    made = strategy_of("direction")
    portfolio = made.portfolio.model_copy(update={"net_limit": net_limit})
    of = world(made.model_copy(update={"novelty": NoveltySettings(), "portfolio": portfolio}))
    watch = watch_of(of)
    assert watch is not None
    assert watch.at(ROW).relative is beside_the_others
    assert watch.at(ROW).label_volatility.tobytes() == of.market.volatility[ROW].tobytes()


@pytest.mark.parametrize("kind", ["direction", "direction_relative"])
def test_a_history_that_ends_here_knows_the_same_bits(kind: str) -> None:
    of = world(strategy_of(kind))
    whole = watch_of(of)
    for rows in (40, 85, 127, 190):
        short = watch_of(of.cut(rows))
        assert whole is not None
        assert short is not None
        actual, theirs = short.at(rows - 1), whole.at(rows - 1)
        for name in ("label_volatility", "returns"):
            assert getattr(actual, name).tobytes() == getattr(theirs, name).tobytes(), name
        assert actual.outcome_slope.hex() == theirs.outcome_slope.hex()
        assert repr(actual.autocorrelation) == repr(theirs.autocorrelation)
        assert actual.change_share.hex() == theirs.change_share.hex()


def test_members_are_those_of_the_session() -> None:
    of = world(strategy_of("direction"))
    belongs = np.ones(of.panel.close.shape, dtype=np.bool_)
    belongs[: ROW + 1, 3] = False
    watch = watch_of(of, belongs)
    assert watch is not None
    facts = watch.at(ROW)
    assert facts.members is not None
    assert facts.members.tolist() == [True, True, True, False, True]
    assert np.isfinite(facts.returns).all()  # nothing is copied; who is no member is left out where it is read


@pytest.mark.parametrize("premium", [False, True])
def test_the_side_that_lifts_a_block_is_that_of_the_return_expected(premium: bool) -> None:
    """A base rate of 0.52: p 0.51 is on the long side of one half, and on the short side of what is expected."""
    of = world(strategy_of("direction", hold_premium=premium))
    of = replace(of, forecasts=replace(of.forecasts, base_rate=np.full(of.panel.close.shape, 0.52)))
    watch = watch_of(of)
    assert watch is not None
    p = np.array([0.51, 0.53, 0.49, 0.52, np.nan])
    signals = replace(of.signals(ROW), calibrated_probability=p)
    leaning = _leaning(of.strategy, SessionFacts(of.market.at(ROW), signals, programme=watch.at(ROW)))
    expected = [1, 1, -1, 1, np.nan] if premium else [-1, 1, -1, 0, np.nan]
    np.testing.assert_array_equal(np.sign(leaning - 0.5), expected)
    by_name = _leaning(of.strategy, SessionFacts(of.market.at(ROW), signals))
    np.testing.assert_array_equal(np.sign(by_name - 0.5), expected)


def test_the_side_of_a_relative_label_is_beside_the_other_names() -> None:
    of = world(strategy_of("direction_relative"))
    watch = watch_of(of)
    assert watch is not None
    signals = replace(of.signals(ROW), calibrated_probability=np.array([0.51, 0.56, 0.56, 0.56, 0.56]))
    leaning = _leaning(of.strategy, SessionFacts(of.market.at(ROW), signals, programme=watch.at(ROW)))
    assert leaning[0] < 0.5
    assert (leaning[1:] > 0.5).sum() >= 2


def decided(of: World, probability: Sequence[float] = (0.47, 0.485, 0.49, np.nan, 0.44)) -> Round:
    """The session of one row, by names that are all on the short side of one half; one has no forecast."""
    calibrated = of.forecasts.calibrated.copy()
    calibrated[ROW] = probability
    of = replace(of, forecasts=replace(of.forecasts, calibrated=calibrated))
    watch, before = watch_of(of), first_session_state(of.strategy, SYMBOLS, of.panel.sessions[ROW])
    session_facts = SessionFacts(
        of.market.at(ROW),
        of.signals(ROW),
        controls=Controls(verdict_allows=True),
        programme=None if watch is None else watch.at(ROW),
    )
    return play_session(of.strategy, cost_model_from(of.strategy.costs), 252, before, session_facts, PaperBroker)


def test_a_signal_on_record_has_the_side_and_the_return_that_its_position_was_decided_by() -> None:
    done = decided(world(strategy_of("direction_relative")))
    assert done.signals.direction.tolist() == [-1, -1, -1, 0, -1]
    known = done.decision.inputs.programme
    assert known is not None
    alone = known.outcome_slope * (done.signals.calibrated_probability - 0.5) * known.label_volatility * 3**0.5
    expected = alone - np.nanmean(alone)
    on_record = done.signals_on_record
    np.testing.assert_allclose(on_record.expected_return, expected, rtol=1e-12)
    assert on_record.direction.tolist() == np.nan_to_num(np.sign(expected)).tolist()
    assert 1 in on_record.direction
    assert done.decision.target_quantity.any()
    assert on_record.calibrated_probability is done.signals.calibrated_probability


@pytest.mark.parametrize("kind", ["direction_relative", "return_zscored_relative", "direction"])
def test_a_round_expects_less_of_an_unlike_row_and_never_the_opposite(kind: str) -> None:
    """All names lean one way; by signals, inputs, programme and record."""
    made = strategy_of(kind)
    neutral = made.portfolio.model_copy(update={"net_limit": 0.0})
    of = world(made.model_copy(update={"novelty": NoveltySettings(), "portfolio": neutral}))
    if of.labels.scale is not None:  # of a history longer than this one
        labels = world(strategy_of("direction_relative")).labels
        of = replace(of, labels=replace(labels, scale=np.full(of.panel.close.shape, 0.02)))
    share, probability, most = np.ones(of.panel.close.shape), (0.6, 0.53, 0.56, 0.51, 0.55), []
    for factor in (1.0, 0.4, 0.05, 0.0):
        share[ROW, 0] = factor
        done = decided(replace(of, forecasts=of.forecasts.less_sure(share)), probability)
        assert done.signals_on_record.confidence[0] == pytest.approx(factor)
        assert done.decision.inputs.novelty[0] == factor  # type: ignore[index]
        assert np.nansum(done.signals_on_record.expected_return) == pytest.approx(0.0, abs=1e-15)
        most.append((done.signals_on_record.expected_return[0], done.decision.target_weight[0]))
    for values in np.array(most).T:
        assert values[0] > 0.0
        assert (np.diff(values) <= 0.0).all()
        assert values[-1] == 0.0


def test_a_signal_sized_by_itself_is_on_record_as_it_was_made() -> None:
    done = decided(world(world_strategy()))
    assert done.signals_on_record is done.signals


def test_a_change_of_the_models_level_is_no_persistence_of_the_forecast() -> None:
    of = world(strategy_of("direction"))
    level = np.where(np.arange(len(of.panel.sessions)) < 100, -0.2, 0.2)[:, None]
    shifted = replace(of, forecasts=replace(of.forecasts, probability=of.forecasts.probability + level))
    one, other = watch_of(of), watch_of(shifted)
    assert one is not None
    assert other is not None
    assert one.at(ROW).autocorrelation == other.at(ROW).autocorrelation
