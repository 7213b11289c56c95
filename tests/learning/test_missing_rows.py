"""A row that is missing in a window: stepped over, the same in training and in every forecast."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from nn_assets.arrays import Cube
from nn_assets.learning.address import first_needed_row, model_address
from nn_assets.learning.artifact import from_files, to_files
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.windows import Windows, find_samples
from tests.learning.tiny import (
    SYMBOLS,
    fit_model,
    fitted,
    forecast,
    months_of_use,
    restated,
    same_bits,
    tiny_fold,
    tiny_market,
    tiny_strategy,
)

LOOKBACK = 20


def _with_lost_rows(cube: Cube, lost: dict[int, list[int]]) -> Cube:
    values = np.array(cube.values)
    for column, rows in lost.items():
        values[rows, column] = np.nan
    return Cube(cube.sessions, cube.symbols, cube.names, values)


def _plain_window(values: np.ndarray, row: int, column: int, lookback: int, share: float) -> np.ndarray | None:
    """Collected backwards from its own row, bar by bar; None where it lacks more than the share."""
    rows = [index for index in range(row + 1) if np.isfinite(values[index, column]).all()]
    if not rows or rows[-1] != row or len(rows) < lookback:
        return None
    own, judged = rows[-lookback:], max(lookback, 20)
    few = len(rows) >= judged and row - rows[-judged] + 1 - judged <= int(judged * share + 1e-9)
    return values[own, column].astype(np.float32) if few or row - own[0] + 1 == lookback else None


@pytest.mark.parametrize(("lookback", "share"), [(6, 0.05), (20, 0.05), (25, 0.1), (6, 0.0)])
def test_windows_equal_those_collected_bar_by_bar(lookback, share):
    draw = np.random.default_rng(8)
    values = draw.normal(size=(160, 4, 3))
    values[:12, 0] = np.nan
    for column, rows in {0: [60, 100, 101], 1: [40, 55, 70, 130], 2: [*range(80, 95), 110]}.items():
        values[rows, column, draw.integers(3)] = np.nan
    windows = Windows(values, lookback, max_missing_fraction=share)
    usable, count = windows.whole(), 0
    for row in range(160):
        for column in range(4):
            expected = _plain_window(values, row, column, lookback, share)
            assert usable[row, column] == (expected is not None)
            if expected is not None:
                window = windows.gather(np.array([row]), np.array([column]))[0]
                np.testing.assert_array_equal(window, expected)
                count += 1
    assert count > 300
    sent = copy.deepcopy(windows)  # as to another process
    rows, columns = np.nonzero(usable)
    np.testing.assert_array_equal(sent.gather(rows, columns), windows.gather(rows, columns))
    late = Windows(values[50:], lookback, 50, share)
    reach = first_needed_row(160, lookback, share)
    np.testing.assert_array_equal(late.whole()[max(lookback, 20) + 2 :], usable[50 + max(lookback, 20) + 2 :])
    assert reach <= 160 - lookback


def test_one_lost_row_costs_each_symbol_one_forecast():
    """Before, each cost its window: 20 sessions, and the features' own before them."""
    cube, labels = tiny_market()
    strategy = tiny_strategy(lookback=LOOKBACK)
    model = fit_model(cube, labels, tiny_fold(cube, strategy), strategy)
    used = months_of_use(model, cube)
    lost = {column: [used.start + 2 + column] for column in range(len(SYMBOLS))}
    complete, gapped = forecast(model, cube, used), forecast(model, _with_lost_rows(cube, lost), used)
    per_session = len(complete) // (len(SYMBOLS) * cube.session_count - len(SYMBOLS) * used.start)
    assert len(complete) - len(gapped) == len(SYMBOLS) * per_session
    silent = set(zip(complete["session"], complete["symbol"], strict=True)) - set(
        zip(gapped["session"], gapped["symbol"], strict=True)
    )
    assert silent == {(cube.sessions[rows[0]], SYMBOLS[column]) for column, rows in lost.items()}


def _gapped_market() -> tuple[Cube, dict[int, list[int]]]:
    cube, _ = tiny_market()
    lost = {0: [150, 200, 240, 300, 395], 1: [120, 121, 122, 260, 390], 2: [*range(170, 200), 205, 388, 389]}
    return _with_lost_rows(cube, lost), lost


def _forced(model: FoldModel, verdict: str) -> FoldModel:
    """The model with its transforms taken for another, so that each reach is walked."""
    changed = copy.copy(model)
    verdicts = tuple(copy.copy(entry) for entry in model.stationarity.verdicts)
    for entry in verdicts:
        object.__setattr__(entry, "verdict", verdict)
    report = copy.copy(model.stationarity)
    object.__setattr__(report, "verdicts", verdicts)
    object.__setattr__(changed, "stationarity", report)
    return changed


@pytest.mark.parametrize("verdict", ["level", "differenced", "volatility_normalised"])
def test_a_session_asked_for_alone_has_the_bits_it_has_among_others(verdict):
    cube, _ = _gapped_market()
    model = _forced(fitted(), verdict)
    used = months_of_use(model, cube)
    together = forecast(model, cube, used)
    for row in range(used.start, used.stop):
        alone = forecast(model, cube, slice(row, row + 1))
        same_bits(alone, together[together["session"] == cube.sessions[row]].reset_index(drop=True))


def test_no_fit_and_no_forecast_reads_a_row_that_comes_later():
    cube, _ = _gapped_market()
    _, labels = tiny_market()
    strategy = tiny_strategy()
    fold = tiny_fold(cube, strategy)
    model = fit_model(cube, labels, fold, strategy)
    cut = fold.used_from
    changed, unknown = restated(cube, labels, cut)
    again = fit_model(changed, unknown, fold, strategy)
    assert again.model_id == model.model_id
    assert to_files(again) == to_files(model)
    shorter = Cube(cube.sessions[: cut + 8], cube.symbols, cube.names, cube.values[: cut + 8])
    early = forecast(model, shorter, slice(cut, cut + 8))
    whole = forecast(model, cube, slice(cut, cube.session_count))
    same_bits(early, whole[whole["session"] < cube.sessions[cut + 8]].reset_index(drop=True))


def test_training_keeps_the_samples_after_a_lost_row():
    cube, _ = _gapped_market()
    _, labels = tiny_market()
    counted = []
    for share in (0.0, 0.05):
        windows = Windows(cube.values, LOOKBACK, max_missing_fraction=share)
        counted.append(find_samples(windows, slice(0, cube.session_count), labels.targets).count)
    assert counted[1] - counted[0] > 100


def test_the_share_travels_with_the_model_and_models_of_before_step_over_nothing():
    model = fitted()
    assert from_files(to_files(model)).stationarity.max_missing_fraction == 0.05
    stored = {name: value for name, value in model.stationarity.to_dict().items() if name != "max_missing_fraction"}
    assert type(model.stationarity).from_dict(stored).max_missing_fraction == 0.0
    cube, labels = tiny_market()
    other = tiny_strategy({"max_missing_bars_fraction": 0.0})
    fold = tiny_fold(cube, other)
    assert model_address(cube, labels, fold, other) != model_address(cube, labels, fold, tiny_strategy())


@pytest.mark.parametrize("network", ["lstm", "mlp"])
def test_on_complete_rows_a_share_changes_no_bit(network):
    cube, labels = tiny_market()
    strict = tiny_strategy({"max_missing_bars_fraction": 0.0, "select": False}, network=network)
    without = fit_model(cube, labels, tiny_fold(cube, strict), strict)
    used = months_of_use(without, cube)
    same_bits(
        forecast(without, cube, used).drop(columns="model_id"),
        forecast(fitted(network), cube, used).drop(columns="model_id"),
    )
