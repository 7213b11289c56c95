from __future__ import annotations

import copy

import numpy as np
import pytest

from nn_assets.errors import FoldError
from nn_assets.learning.windows import Windows, find_samples
from tests.learning.reference_windows import plain_samples, plain_windows
from tests.learning.tiny import tiny_market


def _numbered(bars: int = 30, symbols: int = 3, features: int = 2) -> np.ndarray:
    """Every value tells its own place: row.symbol, with the feature's sign."""
    rows, columns, signs = np.meshgrid(np.arange(bars), np.arange(symbols) / 10, [1.0, -1.0][:features], indexing="ij")
    return (rows + columns) * signs


def test_the_last_row_of_a_window_is_the_decision_session() -> None:
    values = _numbered()
    window = Windows(values, lookback=5).gather(np.array([12]), np.array([2]))[0]
    np.testing.assert_array_equal(window[-1], values[12, 2].astype(np.float32))
    np.testing.assert_array_equal(window[0], values[8, 2].astype(np.float32))


def test_a_window_is_paired_with_the_label_of_its_own_last_row() -> None:
    values = _numbered()
    targets = np.zeros((30, 3))
    targets[17, 1] = 1.0  # the only row that is up
    windows = Windows(values, lookback=5)
    samples = find_samples(windows, slice(0, 30), targets)
    up = samples.targets == 1.0
    window = windows.gather(samples.rows[up], samples.columns[up])
    assert window.shape == (1, 5, 2)
    np.testing.assert_array_equal(window[0, -1], values[17, 1].astype(np.float32))


def test_rows_without_a_label_are_never_samples_and_never_count_as_down() -> None:
    cube, labels = tiny_market()
    unknown = np.isnan(labels.targets).any(axis=1)
    assert unknown.sum() == 4  # the last rows, whose future is missing
    samples = find_samples(Windows(cube.values, 4), slice(0, cube.session_count), labels.targets)
    assert samples.rows.max() == cube.session_count - 5
    np.testing.assert_array_equal(samples.targets, labels.targets[samples.rows, samples.columns].astype(np.float32))


def test_windows_reach_back_over_the_start_of_a_part() -> None:
    values = _numbered()
    samples = find_samples(Windows(values, lookback=5), slice(10, 12), np.ones((2, 3)))
    assert samples.rows.tolist() == [10, 10, 10, 11, 11, 11]


def test_samples_and_windows_equal_the_plain_loop_where_values_are_missing() -> None:
    random = np.random.default_rng(5)
    values = random.normal(size=(60, 4, 3))
    values[random.random(values.shape) < 0.02] = np.nan
    values[20, 0, 0] = np.inf
    targets = (random.random((60, 4)) > 0.5).astype(float)
    targets[random.random(targets.shape) < 0.1] = np.nan
    windows = Windows(values, lookback=6)
    samples = find_samples(windows, slice(10, 55), targets[10:55])
    pairs = list(zip(samples.rows.tolist(), samples.columns.tolist(), strict=True))
    assert pairs == plain_samples(values, targets, slice(10, 55), 6)
    assert 50 < len(pairs) < 150
    np.testing.assert_array_equal(
        windows.gather(samples.rows, samples.columns),
        plain_windows(values, samples.rows, samples.columns, 6),
    )


def test_a_slice_of_history_answers_like_the_whole() -> None:
    values = np.random.default_rng(6).normal(size=(50, 3, 2))
    rows, columns = np.array([30, 31, 44]), np.array([0, 2, 1])
    whole, cut = Windows(values, 4), Windows(values[27:], 4, first_row=27)
    np.testing.assert_array_equal(whole.gather(rows, columns), cut.gather(rows, columns))
    np.testing.assert_array_equal(whole.last_rows(rows, columns), cut.last_rows(rows, columns))
    np.testing.assert_array_equal(whole.whole()[30:], cut.whole()[3:])


def test_windows_of_a_whole_panel_take_no_more_memory_than_its_values() -> None:
    values = np.zeros((2000, 50, 20), dtype=np.float32)
    windows = Windows(values, lookback=20)
    assert windows._runs.nbytes == (2000 * 50 - 19) * 20 * 20 * 4
    assert windows._runs.untyped_storage().nbytes() == values.nbytes
    assert np.shares_memory(windows._runs.numpy(), windows._values)


@pytest.mark.parametrize("row", [26, 29, 47])
def test_a_window_that_reaches_out_of_the_values_is_refused(row: int) -> None:
    windows = Windows(_numbered(bars=20), 4, first_row=27)  # rows 30 to 46 end a window
    windows.gather(np.array([30, 46]), np.array([0, 2]))
    with pytest.raises(IndexError):
        windows.gather(np.array([row]), np.array([1]))


@pytest.mark.parametrize("row", [26, 47])
def test_a_row_outside_of_the_values_is_not_taken_for_one_of_the_last(row: int) -> None:
    windows = Windows(_numbered(bars=20), 4, first_row=27)
    windows.last_rows(np.array([27, 46]), np.array([0, 2]))
    with pytest.raises(IndexError):
        windows.last_rows(np.array([row]), np.array([1]))


def test_a_history_shorter_than_one_window_is_refused() -> None:
    with pytest.raises(FoldError, match="at least 5 sessions for one window"):
        Windows(_numbered(bars=4), lookback=5)


def test_a_copy_for_another_process_begins_at_the_same_row() -> None:
    cube = np.arange(60.0).reshape(20, 3, 1)
    windows = Windows(cube, 4, first_row=7)
    sent = copy.deepcopy(windows)
    assert (sent.first_row, sent.stop_row, sent.lookback) == (7, 27, 4)
    rows, columns = np.array([10, 26]), np.array([0, 2])
    np.testing.assert_array_equal(sent.gather(rows, columns), windows.gather(rows, columns))
