"""The momentum rule: its score by hand, what it finds where something is planted, and what it never reads."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from nn_assets.arrays import Cube, FloatArray
from nn_assets.errors import TrainingError
from nn_assets.estimators import estimators_of
from nn_assets.evaluation.figures import study_figures
from nn_assets.evaluation.significance import rank_ic_contributions, robust_mean_test
from nn_assets.evaluation.verdict import verdict
from nn_assets.features.labels import Labels
from nn_assets.learning.artifact import from_files, to_files
from nn_assets.learning.compute import HERE
from nn_assets.learning.fitted import FitInputs
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.forecasts import forecasts_from_rows, no_forecasts
from nn_assets.learning.inference import forecast, forecast_members
from nn_assets.learning.momentum import SPANS, MomentumRule, fit_momentum_rules, momentum_scores
from nn_assets.learning.windows import Samples, Windows, find_samples
from nn_assets.settings import LearningSettings
from tests.evaluation.tracks import made_record
from tests.learning.tiny import fit_model, restated, tiny_fold, tiny_market, tiny_settings, tiny_strategy

SYMBOLS, HORIZON = 40, 3


def _market(span: int, strength: float, bars: int = 700, seed: int = 1, symbols: int = SYMBOLS) -> FloatArray:
    """Log returns, (bars, symbols): each goes on with a share of its past ``span`` sessions' mean; 0 is noise."""
    random = np.random.default_rng(seed)
    returns = np.zeros((bars, symbols))
    for row in range(bars):
        past = returns[max(row - span, 0) : row].sum(axis=0) / math.sqrt(span)
        returns[row] = strength * past + 0.01 * random.normal(size=symbols)
    return returns


def _parts(returns: FloatArray) -> tuple[Windows, Samples, Samples, Samples, FloatArray]:
    """Windows over one feature that says nothing, samples of three parts, and the label's own return."""
    bars, symbols = returns.shape
    noise = np.random.default_rng(5).normal(size=(bars, symbols, 1))
    ahead = np.full(returns.shape, np.nan)
    for row in range(bars - HORIZON):
        own = returns[row + 1 : row + 1 + HORIZON].sum(axis=0)
        ahead[row] = own - np.median(own) if symbols > 1 else own
    targets = np.where(np.isfinite(ahead), (ahead > 0.0).astype(np.float64), np.nan)
    windows = Windows(noise, 4, past_returns=returns)
    cuts = (70, 400, 410, 480, 490, bars - HORIZON)
    parts = [slice(cuts[at], cuts[at + 1]) for at in (0, 2, 4)]
    training, validation, later = (find_samples(windows, rows, targets[rows]) for rows in parts)
    return windows, training, validation, later, ahead


def _rules(windows: Windows, training: Samples, validation: Samples, ensemble: int = 3) -> tuple[MomentumRule, ...]:
    learning = tiny_settings(ensemble=ensemble, baselines=("momentum",))
    made = fit_momentum_rules(FitInputs(windows, training, validation, learning, HERE))
    assert made.figures["momentum"] == [{"span": rule.span, "sign": rule.sign} for rule in made.members]
    return made.members  # type: ignore[return-value]


def _ic(rules: tuple[MomentumRule, ...], windows: Windows, later: Samples, ahead: FloatArray) -> FloatArray:
    made = MomentumRule.probabilities(rules, tiny_settings(), windows, later.rows, later.columns).mean(axis=0)
    table = np.full(ahead.shape, np.nan)
    table[later.rows, later.columns] = made
    return rank_ic_contributions(table, ahead)


def test_a_line_against_the_rules_own_sign_says_nothing() -> None:
    """Within every session what rose goes on, and sessions on which all rose are followed by falls of most."""
    random, bars = np.random.default_rng(3), 300
    returns = 0.05 * random.choice([-1.0, 1.0], bars)[:, None] + 0.005 * random.normal(size=(bars, SYMBOLS))
    rank = returns.argsort(axis=1).argsort(axis=1) / SYMBOLS
    targets = (rank >= np.where(returns.mean(axis=1, keepdims=True) > 0.0, 0.8, 0.2)).astype(np.float64)
    windows = Windows(np.zeros((bars, SYMBOLS, 1)), 4, past_returns=returns)
    training, validation = (find_samples(windows, rows, targets[rows]) for rows in (slice(70, 200), slice(200, 250)))
    later = find_samples(windows, slice(250, 300), targets[250:])
    for rule in _rules(windows, training, validation, ensemble=1):
        assert (rule.span, rule.sign) == (1, 1)
        assert rule.slope == 0.0
        made = MomentumRule.outputs((rule,), tiny_settings(), windows, later.rows, later.columns)
        assert (made == rule.intercept).all()


def test_the_score_is_the_past_return_over_its_volatility_by_hand() -> None:
    returns = _market(5, 0.0, bars=120, symbols=2)
    returns[100, 0] = np.nan  # a missing bar: the next return holds its part
    returns[60:, 1] = 0.0  # stands still: nothing to divide by
    windows = Windows(np.zeros((120, 2, 1)), 1, first_row=1000, past_returns=returns)
    rows, columns = np.array([1110, 1030, 1110]), np.array([0, 0, 1])
    made = momentum_scores(windows, rows, columns)
    for index, (row, column) in enumerate([(110, 0), (30, 0)]):
        own = returns[: row + 1, column]
        sigma = math.sqrt(sum(x * x for x in own[-20:] if x == x) / sum(x == x for x in own[-20:]))
        for line, span in enumerate(SPANS):
            expected = sum(x for x in own[-span:] if x == x) / (sigma * math.sqrt(span)) if len(own) >= span else 0.0
            assert made[line, index] == pytest.approx(expected, rel=1e-12), span
    assert not made[:, 2].any()  # says nothing, and is no NaN


@pytest.mark.parametrize(("span", "strength"), [(20, 0.09), (5, -0.15), (60, 0.09), (1, -0.25)])
def test_it_finds_what_was_planted_span_and_sign_and_forecasts_later_sessions_by_it(span: int, strength: float) -> None:
    windows, training, validation, later, ahead = _parts(_market(span, strength))
    rules = _rules(windows, training, validation)
    assert {(rule.span, rule.sign) for rule in rules} == {(span, 1 if strength > 0.0 else -1)}
    test = robust_mean_test(_ic(rules, windows, later, ahead), HORIZON)
    assert test.estimate is not None
    assert test.t_statistic is not None
    assert test.estimate > 0.02
    assert test.t_statistic > 3.0


def test_of_one_instrument_it_is_chosen_by_the_correlation_over_time() -> None:
    windows, training, validation, _, _ = _parts(_market(5, 0.4, symbols=1, bars=900))
    assert {(rule.span, rule.sign) for rule in _rules(windows, training, validation)} == {(5, 1)}


def test_in_noise_it_finds_nothing() -> None:
    figures = []
    for seed in range(4):
        windows, training, validation, later, ahead = _parts(_market(20, 0.0, seed=seed))
        test = robust_mean_test(_ic(_rules(windows, training, validation, 2), windows, later, ahead), HORIZON)
        figures.append(test.t_statistic or 0.0)
    assert abs(float(np.mean(figures))) < 3.0 / math.sqrt(4)
    assert max(figures) < 3.5


def test_a_return_feature_is_needed_and_past_returns_that_vary() -> None:
    windows, training, validation, _, _ = _parts(_market(5, 0.0))
    with pytest.raises(TrainingError, match=r"log_return_1 or candle_close.*leave momentum out"):
        _rules(replace_returns(windows, None), training, validation)
    with pytest.raises(TrainingError, match="past returns that vary"):
        _rules(replace_returns(windows, np.zeros((700, SYMBOLS))), training, validation)


def replace_returns(windows: Windows, returns: FloatArray | None) -> Windows:
    _, fields = windows.__reduce__()
    return Windows(*fields[:-1], past_returns=returns)  # type: ignore[misc, index]


def _with_returns() -> tuple[Cube, Labels]:
    cube, labels = tiny_market()
    return Cube(cube.sessions, cube.symbols, ("log_return_1", *cube.names[1:]), cube.values), labels


def _model(baselines: tuple[str, ...] = ("linear", "boosting", "momentum")) -> FoldModel:
    cube, labels = _with_returns()
    strategy = tiny_strategy(network="mlp", ensemble=1, maximum_epochs=1, baselines=baselines)
    return fit_model(cube, labels, tiny_fold(cube, strategy), strategy)


def test_a_model_holds_those_that_its_strategy_names_and_no_forecast_reads_the_future() -> None:
    cube, labels = _with_returns()
    model = from_files(to_files(_model()))
    assert model.estimators.names == ("network", "linear", "boosting", "momentum")
    start = model.fold.used_from
    whole = forecast(model, cube, slice(start, start + 30))
    cut = start + 12
    alone = forecast(model, restated(cube, labels, cut)[0], slice(cut - 3, cut))
    for name, arrays in alone.estimators.items():
        assert arrays.probability.tobytes() == whole[name].probability[9:12].tobytes(), name
        assert np.isfinite(arrays.probability).all()
    members = forecast_members(model, cube, slice(start, start + 30))
    for name, values in members.items():  # what a comparison looks at are these very forecasts, member by member
        np.testing.assert_allclose(values.mean(axis=0), whole[name].probability, rtol=1e-14)
        assert len(values) == len(model.estimators.members[name])
    rows = whole.to_rows()
    assert list(rows["estimator"][:4]) == list(model.estimators.names)
    again = forecasts_from_rows(rows, whole.sessions, whole.symbols, model.estimators.names)
    assert again["momentum"].probability.tobytes() == whole["momentum"].probability.tobytes()


def test_a_network_and_the_other_baselines_are_to_the_bit_as_without_it() -> None:
    one, other = (to_files(_model(names)) for names in (("linear", "boosting"), ("linear", "boosting", "momentum")))
    assert one["weights.safetensors"] == other["weights.safetensors"]
    assert b"momentum" not in b"".join(one.values())
    model, beside = from_files(one), from_files(other)
    for name in model.estimators.names:
        for left, right in zip(model.estimators.members[name], beside.estimators.members[name], strict=True):
            for key, value in left.to_arrays().items():
                assert np.asarray(value).tobytes() == np.asarray(right.to_arrays()[key]).tobytes()


def test_forecasts_of_a_model_of_before_lack_it_and_leave_nothing_of_what_stood_there() -> None:
    cube, _ = _with_returns()
    model, beside = _model(("linear", "boosting")), _model()
    rows = slice(model.fold.used_from, model.fold.used_from + 5)
    table = no_forecasts(cube.sessions, cube.symbols, beside.estimators.names)
    table.put(forecast(beside, cube, rows))
    assert np.isfinite(table["momentum"].probability[rows]).all()
    table.put(forecast(model, cube, rows))
    assert np.isnan(table["momentum"].probability).all()
    assert np.isfinite(table["linear"].probability[rows]).all()
    assert set(table.to_rows()["estimator"]) == {"network", "linear", "boosting"}


def test_a_study_says_of_how_many_sessions_an_estimator_has_no_forecast() -> None:
    record = made_record(rows=200)
    partly = np.where(np.arange(200)[:, None] < 80, np.nan, record.forecasts["linear"])
    track = replace(record, forecasts={**record.forecasts, "momentum": partly})
    remarks = study_figures(track, horizon_sessions=5, sessions_per_year=252).remarks
    assert any(remark.startswith("the momentum rule has no forecast of 80 of 200 sessions") for remark in remarks)
    assert not any("no forecast" in remark for remark in remarks if "momentum" not in remark)


def test_the_settings_refuse_a_baseline_twice_and_a_residual_network_without_its_linear_model() -> None:
    assert estimators_of(LearningSettings().baselines) == ("network", "linear", "boosting")
    assert estimators_of(("momentum", "linear")) == ("network", "linear", "momentum")
    with pytest.raises(ValueError, match="once"):
        LearningSettings(baselines=("linear", "linear"))
    with pytest.raises(ValueError, match="residual needs linear"):
        LearningSettings(residual=True, baselines=("boosting",))


@pytest.mark.full
@pytest.mark.parametrize(("strength", "kinds"), [(0.03, {"signal found"}), (0.0, {"no edge found", "cannot tell"})])
def test_the_verdict_on_the_rule_is_a_signal_where_one_was_planted_and_none_in_noise(
    strength: float, kinds: set[str]
) -> None:
    windows, training, validation, later, ahead = _parts(_market(20, strength, bars=2600))
    rules = _rules(windows, training, validation, 5)
    made = MomentumRule.probabilities(rules, tiny_settings(), windows, later.rows, later.columns).mean(axis=0)
    record = made_record(rows=2600, columns=SYMBOLS, horizon=HORIZON)
    table = np.full(ahead.shape, np.nan)
    table[later.rows, later.columns] = made
    returns = np.where(np.isfinite(table), ahead, np.nan)
    targets = np.where(np.isfinite(returns), (returns > 0.0).astype(np.float64), np.nan)
    forecasts = {"momentum": table, "network": table}
    track = replace(record, forecasts=forecasts, tracks={}, returns=returns, targets=targets)
    figures = study_figures(track, horizon_sessions=HORIZON, sessions_per_year=252, trials=4)
    assert verdict(figures, [], str(record.months[-1]), estimator="momentum").kind in kinds
