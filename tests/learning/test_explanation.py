"""Explanations: parts that add up to the move, equal to a gradient path written out; importance of planted features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nn_assets.arrays import Cube
from nn_assets.features.labels import Labels
from nn_assets.learning import inference
from nn_assets.learning.explanation import COMPLETE, importance, what_moved
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.heads import VALUE, VOLATILITY, Head
from nn_assets.learning.member import Member
from nn_assets.learning.networks.candlestick import CANDLE_FEATURES
from tests.learning.reference_networks import plain_logits
from tests.learning.reference_windows import plain_windows
from tests.learning.tiny import (
    NAMES,
    SYMBOLS,
    fit_model,
    fitted,
    forecast,
    restated,
    tiny_fold,
    tiny_market,
    tiny_strategy,
)


def logit(probability: np.ndarray) -> np.ndarray:
    return np.log(probability / (1.0 - probability))


def scaled(model: FoldModel, cube: Cube) -> np.ndarray:
    """The features as the model reads them; those of this market are stationary as they are."""
    assert all(entry.verdict == "level" for entry in model.stationarity.verdicts)
    return np.clip((cube.values - model.scaler.center) / model.scaler.scale, -10.0, 10.0)


def plain_ensemble_logit(model: FoldModel, windows: np.ndarray) -> np.ndarray:
    settings = model.estimators.settings
    logits = [plain_logits(dict(member.state), windows, settings) for member in model.estimators.members["network"]]
    return logit(np.mean([1.0 / (1.0 + np.exp(-value)) for value in logits], axis=0))


@pytest.mark.parametrize("network", ["mlp", pytest.param("lstm", marks=pytest.mark.full)])
def test_the_parts_of_a_move_add_up_to_it_and_are_those_of_a_path_walked_by_differences(network: str) -> None:
    cube, _ = tiny_market()
    model = fitted(network)
    row = model.fold.used_from + 5
    move = what_moved(model, cube, row)
    assert (move.symbols, move.features) == (SYMBOLS, NAMES)
    shown = forecast(model, cube, slice(row - 1, row + 1)).query("estimator == 'network'")
    by_session = shown.pivot(index="session", columns="symbol", values="probability")[list(SYMBOLS)]
    np.testing.assert_allclose(move.before, logit(by_session.iloc[0].to_numpy()), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(move.after, logit(by_session.iloc[1].to_numpy()), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(move.parts.sum(axis=1), move.after - move.before, rtol=0.01, atol=1e-4)
    assert (move.missed <= COMPLETE).all()
    windows = plain_windows(scaled(model, cube), np.full(3, row), np.arange(3), 4).astype(np.float64)
    earlier = plain_windows(scaled(model, cube), np.full(3, row - 1), np.arange(3), 4).astype(np.float64)
    expected = np.zeros((3, len(NAMES)))
    for step in range(200):  # by midpoints, and a difference for each gradient
        share, small = (step + 0.5) / 200, 1e-3
        for feature in range(len(NAMES)):
            across = np.zeros_like(windows)
            across[:, :, feature] = (windows - earlier)[:, :, feature]
            middle = earlier + share * (windows - earlier)
            ahead, behind = (plain_ensemble_logit(model, middle + sign * small * across) for sign in (1, -1))
            expected[:, feature] += (ahead - behind) / (2 * small) / 200
    np.testing.assert_allclose(move.parts, expected, atol=0.02 * np.abs(expected).max())


def test_nothing_later_moves_an_explanation_and_a_symbol_without_a_window_has_none() -> None:
    cube, labels = tiny_market()
    model = fitted("mlp")
    row = model.fold.used_from + 5
    move = what_moved(model, cube, row)
    later, _ = restated(cube, labels, row + 1)
    assert what_moved(model, later, row).parts.tobytes() == move.parts.tobytes()
    values = np.array(cube.values)
    values[row, 1] = np.nan
    assert what_moved(model, Cube(cube.sessions, cube.symbols, cube.names, values), row).symbols == ("AAA", "CCC")
    values[row, 1], values[row - 1, 0] = cube.values[row, 1], np.nan  # of the session before alone
    assert what_moved(model, Cube(cube.sessions, cube.symbols, cube.names, values), row).symbols == ("BBB", "CCC")
    values[row] = np.nan
    assert what_moved(model, Cube(cube.sessions, cube.symbols, cube.names, values), row).parts.shape == (0, 4)


def _reads(model: FoldModel, feature: int, weight: float) -> FoldModel:
    """The model with networks that read one feature of the newest session alone, a hidden unit for each sign."""
    state = {name: np.zeros_like(value) for name, value in model.estimators.members["network"][0].state.items()}
    newest = 3 * len(NAMES) + feature
    state["body.0.weight"][0, newest], state["body.0.weight"][1, newest] = 1.0, -1.0
    state["body.3.weight"][0, 0] = state["body.3.weight"][1, 1] = 1.0
    state["head.weight"][0, :2] = weight, -weight
    members = {**model.estimators.members, "network": (Member(1, state),)}
    return replace(model, estimators=replace(model.estimators, members=members))


@pytest.mark.parametrize("feature", [0, 2])
def test_the_feature_that_a_network_reads_is_all_that_is_worth_something(feature: int) -> None:
    cube, labels = tiny_market()
    model = _reads(fitted("mlp"), feature, 0.7)
    read = scaled(model, cube)[..., feature]
    outcome = np.where(np.random.default_rng(1).random(read.shape) < 1.0 / (1.0 + np.exp(-0.7 * read)), 1.0, 0.0)
    labels = Labels(outcome, np.zeros_like(outcome), labels.realised_row)
    rows = slice(model.fold.used_from, model.fold.used_from + 60)
    worth = importance(model, cube, labels, rows, repeats=5)
    others = [column for column in range(len(NAMES)) if column != feature]
    assert (worth.rise[:, others] == 0.0).all()
    error = worth.rise[:, feature].std(ddof=1) / len(worth.rise) ** 0.5
    assert worth.mean[feature] > 3.0 * error > 0.0
    inside, seen = outcome[rows], read[rows]
    chance = 1.0 / (1.0 + np.exp(-0.7 * seen))
    assert worth.loss == pytest.approx(
        -np.mean(np.where(inside == 1.0, np.log(chance), np.log(1.0 - chance))), rel=1e-5
    )
    # in expectation: each symbol of a session gets each one's value, a third of the time its own
    every = [
        np.log1p(np.exp(-np.where(inside == 1.0, 1.0, -1.0) * 0.7 * np.roll(seen, step, axis=1))) for step in range(3)
    ]
    expected = np.mean(np.mean(every, axis=0) - every[0])
    assert worth.mean[feature] == pytest.approx(expected, abs=4.0 * error / 5**0.5)


def test_a_symbols_parts_are_the_same_whichever_others_are_explained() -> None:
    cube, _ = tiny_market()
    model = fitted("mlp")
    row = model.fold.used_from + 5
    every, one = what_moved(model, cube, row), what_moved(model, cube, row, {"BBB", "ZZZ"})
    assert one.symbols == ("BBB",)
    np.testing.assert_allclose(one.parts[0], every.parts[1], atol=1e-7)
    np.testing.assert_allclose(one.after[0], every.after[1], atol=1e-7)


def test_parts_are_complete_where_gradients_jump_along_the_way_of_a_small_move() -> None:
    cube, _ = tiny_market()
    assert what_moved(fitted("tcn"), cube, 426, {"CCC"}).missed[0] <= COMPLETE  # 0.0143 by quadrature of any order


@pytest.mark.parametrize(("most", "sessions"), [(60, 20), (7, 2), (2, 1)])
def test_of_many_rows_whole_sessions_spread_evenly_are_measured_and_the_planted_feature_comes_first(
    most: int, sessions: int
) -> None:
    cube, _ = tiny_market()
    model = _reads(fitted("mlp"), 2, 0.7)
    rows = slice(model.fold.used_from, model.fold.used_from + 40)
    labels = _planted(model, cube, 2)
    every = importance(model, cube, labels, rows, repeats=5)
    fewer = importance(model, cube, labels, rows, repeats=5, most_samples=most)
    assert len(every.rise) == 40
    assert len(fewer.rise) == sessions
    assert (fewer.rise[:, [0, 1, 3]] == 0.0).all()
    if most == 60:
        assert int(np.argmax(fewer.mean)) == 2
        assert fewer.mean[2] == pytest.approx(every.mean[2], abs=0.05)
    assert (
        importance(model, cube, labels, rows, most_samples=1_000).rise.tobytes()
        == importance(model, cube, labels, rows).rise.tobytes()
    )


def _planted(model: FoldModel, cube: Cube, feature: int) -> Labels:
    chance = 1.0 / (1.0 + np.exp(-0.7 * scaled(model, cube)[..., feature]))
    outcome = (np.random.default_rng(1).random(chance.shape) < chance).astype(float)
    return Labels(outcome, np.zeros_like(outcome), tiny_market()[1].realised_row)


def _with(cube: Cube, values: np.ndarray) -> Cube:
    return Cube(cube.sessions, cube.symbols, cube.names, values)


def test_windows_are_dealt_within_sessions_alone_and_what_a_session_shares_says_nothing() -> None:
    cube, _ = tiny_market()
    model = _reads(fitted("mlp"), 0, 0.7)
    rows = slice(model.fold.used_from, model.fold.used_from + 60)
    values = np.array(cube.values)
    values[..., 0] = values[:, :1, 0] + 1e-9 * values[..., 0]  # all but the same in a session, another in the next
    labels = _planted(model, _with(cube, values), 0)
    assert abs(importance(model, _with(cube, values), labels, rows).mean[0]) < 1e-6
    values[..., 0] = values[:, :1, 0]
    worth = importance(model, _with(cube, values), labels, rows)
    assert np.isnan(worth.rise[:, 0]).all()
    assert np.isfinite(worth.rise[:, 1:]).all()


def test_symbols_that_joined_since_change_nothing_and_those_alone_in_a_session_are_left_out() -> None:
    cube, _ = tiny_market()
    model = _reads(fitted("mlp"), 0, 0.7)
    rows = slice(model.fold.used_from, model.fold.used_from + 40)
    labels = _planted(model, cube, 0)
    plain = importance(model, cube, labels, rows)
    joined = Cube(
        cube.sessions, ("ZZZ", *cube.symbols), cube.names, np.concatenate([cube.values[:, 2:], cube.values], axis=1)
    )
    wider = Labels(
        *(np.concatenate([part[:, 2:], part], axis=1) for part in (labels.targets, labels.returns)), labels.realised_row
    )
    assert importance(model, joined, wider, rows).rise.tobytes() == plain.rise.tobytes()
    targets = np.array(labels.targets)
    targets[rows.start : rows.start + 10, 1:] = np.nan
    fewer = importance(model, cube, Labels(targets, labels.returns, labels.realised_row), rows)
    assert len(fewer.rise) == 30
    members = np.ones(targets.shape, dtype=bool)
    members[rows.start : rows.start + 10, 1:] = False
    inside = importance(model, cube, Labels(labels.targets, labels.returns, labels.realised_row, members), rows)
    assert len(inside.rise) == 30


def test_a_model_of_one_symbol_deals_among_sessions() -> None:
    cube, _ = tiny_market()
    model = replace(_reads(fitted("mlp"), 0, 0.7), symbols=("AAA",))
    rows = slice(model.fold.used_from, model.fold.used_from + 60)
    worth = importance(model, cube, _planted(model, cube, 0), rows, repeats=10)
    assert worth.rise.shape == (60, 4)
    assert worth.mean[0] > 0.01
    assert (worth.rise[:, 1:] == 0.0).all()


def test_unknown_outcomes_count_nowhere_and_none_at_all_gives_no_figure() -> None:
    cube, labels = tiny_market()
    model = fitted("mlp")
    rows = slice(model.fold.used_from, model.fold.used_from + 20)
    targets = np.array(labels.targets)
    targets[rows.start + 10 :] = np.nan
    worth = importance(model, cube, Labels(targets, labels.returns, labels.realised_row), rows)
    assert worth.rise.shape == (10, 4)
    targets[:] = np.nan
    nothing = importance(model, cube, Labels(targets, labels.returns, labels.realised_row), rows)
    assert nothing.rise.shape == (0, 4)
    assert np.isnan(nothing.mean).all()


def test_parts_are_complete_for_a_network_that_draws_candles() -> None:
    cube, labels = tiny_market()
    start, close, up, down = np.moveaxis(0.01 * cube.values, -1, 0)
    high, low = np.maximum(start, close) + np.abs(up), np.minimum(start, close) - np.abs(down)
    cube = Cube(cube.sessions, cube.symbols, CANDLE_FEATURES, np.stack([start, high, low, close], axis=-1))
    own = {"network": "candlestick", "network_settings": {"levels": 8}, "hidden": 4, "maximum_epochs": 2}
    strategy = tiny_strategy(**own)
    model = fit_model(cube, labels, tiny_fold(cube, strategy), strategy)
    first = model.fold.used_from
    missed = np.concatenate([what_moved(model, cube, row).missed for row in range(first, first + 8)])
    assert np.mean(missed <= COMPLETE) >= 0.9, np.sort(missed)[-5:]
    assert missed.max() < 2.0 * COMPLETE


def test_a_network_that_holds_constants_of_its_own_is_explained_as_it_forecasts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cube, labels = tiny_market()
    model = _reads(fitted("mlp"), 0, 0.7)
    real = Member.network

    def with_constant(member: Member, *arguments: object) -> torch.nn.Module:
        network = real(member, *arguments)  # type: ignore[arg-type]
        network.register_forward_pre_hook(lambda _, inputs: (inputs[0] @ torch.eye(len(NAMES)),))
        return network

    plain = what_moved(model, cube, model.fold.used_from + 5)
    monkeypatch.setattr(Member, "network", with_constant)
    row, rows = model.fold.used_from + 5, slice(model.fold.used_from, model.fold.used_from + 20)
    np.testing.assert_allclose(what_moved(model, cube, row).parts, plain.parts, rtol=1e-4, atol=1e-6)
    assert importance(model, cube, labels, rows).rise.shape[1] == len(NAMES)


def test_of_a_network_that_reads_signs_alone_no_part_is_told_and_the_whole_move_is_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cube, _ = tiny_market()
    model = fitted("mlp")
    real = Member.network

    def of_signs(member: Member, *arguments: object) -> torch.nn.Module:
        network = real(member, *arguments)  # type: ignore[arg-type]
        network.register_forward_pre_hook(lambda _, inputs: ((inputs[0] > 0.0).float(),))
        return network

    monkeypatch.setattr(Member, "network", of_signs)
    move = what_moved(model, cube, model.fold.used_from + 5)
    large = np.abs(move.after - move.before) > 0.01
    assert large.any()
    assert (move.missed[large] == 1.0).all()
    assert (move.parts == 0.0).all()


def test_what_moved_a_forecast_of_a_value_is_told_in_the_logits_of_its_probability() -> None:
    model, (cube, _) = fitted("mlp"), tiny_market()
    model = replace(model, estimators=replace(model.estimators, head=VALUE))
    row = model.fold.used_from + 5
    move = what_moved(model, cube, row)
    probability = inference.forecast(model, cube, slice(row - 1, row + 1))["network"].probability
    np.testing.assert_allclose(move.before, logit(probability[0]), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(move.parts.sum(axis=1), move.after - move.before, atol=0.01)


@pytest.mark.parametrize("head", [VALUE, VOLATILITY], ids=lambda head: head.name)
def test_a_feature_is_worth_what_the_loss_that_was_learned_rises_without_it(head: Head) -> None:
    """By plain NumPy: the squared error of E[z], halved, and QLIKE, of the very outputs of the network."""
    cube, known = tiny_market()
    model = _reads(fitted("mlp"), 0, 0.7)
    model = replace(model, estimators=replace(model.estimators, head=head))
    rows = slice(model.fold.used_from, model.fold.used_from + 60)
    output = 0.7 * scaled(model, cube)[..., 0]
    learned = output + np.random.default_rng(2).standard_normal(output.shape)
    nothing = np.full(output.shape, np.nan)
    labels = Labels((learned > 0.0).astype(float), nothing, known.realised_row, values=learned)
    worth = importance(model, cube, labels, rows, repeats=5)

    def loss(step: int) -> np.ndarray:
        error = learned[rows] - np.roll(output[rows], step, axis=1)
        return 0.5 * error**2 if head is VALUE else np.exp(error) - error - 1.0

    assert worth.loss == pytest.approx(loss(0).mean(), rel=1e-5)
    each = worth.rise[:, 0]
    # in expectation each symbol of a session gets each one's value, a third of the time its own
    expected = np.mean([loss(step).mean() for step in range(3)]) - loss(0).mean()
    assert worth.mean[0] == pytest.approx(expected, abs=4.0 * each.std(ddof=1) / (5 * len(each)) ** 0.5)
    assert worth.mean[0] > 3.0 * each.std(ddof=1) / len(each) ** 0.5
    assert (worth.rise[:, 1:] == 0.0).all()
