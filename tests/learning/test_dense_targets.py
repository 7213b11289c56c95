"""A label at every step: of the part's own sessions alone, read by networks whose steps see none that follow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from nn_assets.errors import SettingsError
from nn_assets.learning.artifact import to_files
from nn_assets.learning.networks import NETWORKS, build_network
from nn_assets.learning.training import train
from nn_assets.learning.windows import Windows, find_samples
from tests.learning.tiny import fit_model, restated, tiny_fold, tiny_market, tiny_samples, tiny_settings, tiny_strategy

DENSE = ("rnn", "lstm", "gru", "tcn")


def test_the_labels_of_a_window_are_those_of_its_last_half_within_the_part_by_hand() -> None:
    cube, labels = tiny_market()
    windows, rows = Windows(cube.values, 5), slice(40, 60)
    targets = np.array(labels.targets[rows])
    targets[7, 1] = np.nan  # one that is not known is none
    made = find_samples(windows, rows, targets, dense=True)
    plain = find_samples(windows, rows, targets)
    assert made.steps is not None
    assert plain.steps is None
    assert made.rows.tolist() == plain.rows.tolist()
    for sample in range(made.count):
        row, column = int(made.rows[sample]) - rows.start, int(made.columns[sample])
        for step in range(5):
            there = row - (4 - step)
            expected = targets[there, column] if step >= 2 and there >= 0 else np.nan
            np.testing.assert_equal(made.steps[sample, step], np.float32(expected))


def test_a_window_that_steps_over_a_missing_row_has_the_label_of_its_end_alone() -> None:
    """Its rows are other sessions than those before its end, so that their labels would stand beside other rows."""
    cube, labels = tiny_market()
    values, rows, lost = np.array(cube.values), slice(40, 60), 50
    values[lost, 0] = np.nan
    windows = Windows(values, 5, max_missing_fraction=0.05)
    made = find_samples(windows, rows, labels.targets[rows], dense=True)
    assert made.steps is not None
    seen = dict[bool, int]()
    for sample in range(made.count):
        row, column = int(made.rows[sample]), int(made.columns[sample])
        steps = column == 0 and lost < row < lost + 5
        seen[steps] = seen.get(steps, 0) + 1
        for step in range(5):
            there = row - (4 - step)
            learned = step == 4 if steps else step >= 2 and there >= rows.start
            expected = labels.targets[there, column] if learned else np.nan
            np.testing.assert_equal(made.steps[sample, step], np.float32(expected))
    assert seen[True] == 4
    assert seen[False] > 20


@pytest.mark.parametrize("network", DENSE)
@pytest.mark.parametrize("residual", [False, True])
def test_the_last_step_is_the_networks_output_and_no_step_sees_what_follows(network: str, residual: bool) -> None:
    torch.manual_seed(1)
    made = build_network(tiny_settings(network=network, lookback=6, residual=residual, dense_targets=True), 3).eval()
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.5)  # a residual network begins at nothing
    windows = torch.randn(5, 6, 3)
    steps = made.steps(windows)
    assert steps.shape == (5, 6)
    torch.testing.assert_close(steps[:, -1], made(windows))
    changed = windows.clone()
    changed[:, 4:] = 9.0
    torch.testing.assert_close(made.steps(changed)[:, :4], steps[:, :4])
    assert not torch.allclose(made.steps(changed)[:, 4:], steps[:, 4:])


def test_a_network_without_an_output_at_each_step_is_refused_by_name() -> None:
    unread = tiny_settings(network="mlp").model_copy(update={"dense_targets": True})
    with pytest.raises(SettingsError, match=r"rnn, lstm, gru, tcn.*found mlp"):
        build_network(unread, 3)


@pytest.mark.parametrize("network", NETWORKS.own)
def test_settings_take_dense_targets_of_the_networks_that_have_steps_and_of_no_other(network: str) -> None:
    own = {"image": "table"} if network == "candlestick" else {}
    made = build_network(tiny_settings(network=network, network_settings=own), 3)
    assert hasattr(made, "steps") == (network in DENSE)
    if network in DENSE:
        assert tiny_settings(network=network, dense_targets=True).dense_targets
    else:
        with pytest.raises(ValidationError, match=rf"learning.dense_targets needs .* which {network} has not"):
            tiny_settings(network=network, dense_targets=True)


@pytest.mark.parametrize("network", ["gru", pytest.param("tcn", marks=pytest.mark.full)])
def test_a_model_of_dense_targets_is_another_and_nothing_after_its_rows_changes_it(network: str) -> None:
    cube, labels = tiny_market()
    dense, plain = (tiny_strategy(network=network, dense_targets=dense, maximum_epochs=2) for dense in (True, False))
    fold = tiny_fold(cube, dense)
    model = fit_model(cube, labels, fold, dense)
    files = to_files(model)
    again = to_files(fit_model(*restated(cube, labels, fold.used_from), fold, dense))
    assert files == again
    assert files["weights.safetensors"] != to_files(fit_model(cube, labels, fold, plain))["weights.safetensors"]
    assert "dense_targets" not in plain.learning.model_dump()  # addresses of before stay


def test_the_loss_of_an_epoch_is_the_mean_over_the_labels_learned() -> None:
    """At no learning rate the first epoch's training loss is that of the first weights, by hand."""
    cube, labels = tiny_market()
    windows, rows = Windows(cube.values, 4), slice(20, 60)
    training = find_samples(windows, rows, labels.targets[rows], dense=True)
    settings = tiny_settings(network="gru", dense_targets=True, maximum_epochs=1, dropout=0.0, learning_rate=1e-12)
    made = train(windows, training, tiny_samples()[2], settings, seed=5)
    network = build_network(settings, len(cube.names))
    network.load_state_dict({name: torch.from_numpy(value) for name, value in made.state.items()})
    assert training.steps is not None
    outputs = network.eval().steps(torch.from_numpy(windows.gather(training.rows, training.columns)))
    known = np.isfinite(training.steps)
    logits, outcome = outputs.detach().numpy()[known].astype(np.float64), training.steps[known].astype(np.float64)
    expected = np.mean(np.logaddexp(0.0, logits) - outcome * logits)
    assert made.history[0].training_loss == pytest.approx(expected, abs=1e-6)
