"""Selection: it finds what predicts, leaves out what repeats it, and reads training rows only."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from nn_assets.arrays import Cube
from nn_assets.errors import FoldError, ModelError
from nn_assets.features import selection
from nn_assets.features.labels import Labels
from nn_assets.features.selection import SelectionReport, rank_ic_by_session, select_features
from nn_assets.settings import FeatureSettings

BARS = 500
ROWS = slice(40, 460)
SETTINGS = FeatureSettings(select=True, maximum_selected=3)
PURGE = 2


def _study(symbols: int, seed: int = 0, planted: float = 0.3) -> tuple[Cube, Labels]:
    """Two independent signals, a copy of the first, a repeat of it with noise, and pure noise."""
    draw = np.random.default_rng(seed)
    shape = (BARS, symbols)
    first, second, noise, jitter, shock = (draw.normal(size=shape) for _ in range(5))
    returns = planted * first - 0.7 * planted * second + shock
    features = {"noise": noise, "first": first, "copy": 3.0 * first + 1.0, "repeat": first + 0.5 * jitter,
                "second": second, "constant": np.ones(shape)}  # fmt: skip
    sessions = pd.bdate_range("2011-01-03", periods=BARS).as_unit("ns")
    names = tuple(f"S{number}" for number in range(symbols))
    cube = Cube(sessions, names, tuple(features), np.stack(list(features.values()), axis=2))
    return cube, Labels((returns > 0).astype(float), returns, np.arange(BARS) + PURGE)


@pytest.mark.parametrize("symbols", [1, 2, 8])
def test_what_predicts_is_chosen_once_and_noise_is_not(symbols):
    cube, labels = _study(symbols)
    report = select_features(cube, labels, ROWS, SETTINGS, PURGE)
    assert set(report.selected) & {"first", "copy"}
    assert "second" in report.selected
    assert not {"first", "copy"} <= set(report.selected)
    assert not {"repeat", "noise", "constant"} & set(report.selected)


def test_a_signal_of_negative_sign_counts_by_its_strength():
    cube, labels = _study(8)
    figures = {entry.name: entry for entry in select_features(cube, labels, ROWS, SETTINGS, PURGE).figures}
    assert figures["second"].rank_ic > 0.1
    assert figures["first"].t_statistic > figures["second"].t_statistic > 2
    assert figures["constant"].t_statistic is None
    assert figures["noise"].reason == "no univariate predictive power"
    assert figures["repeat"].reason == "adds nothing to those chosen before"


def test_no_more_are_chosen_than_the_settings_allow():
    cube, labels = _study(8)
    report = select_features(cube, labels, ROWS, FeatureSettings(maximum_selected=1), PURGE)
    assert len(report.selected) == 1
    assert "enough features were chosen" in {entry.reason for entry in report.figures}


@pytest.mark.parametrize("symbols", [2, 8])
def test_rows_outside_the_training_rows_change_nothing(symbols):
    cube, labels = _study(symbols)
    values, returns = np.array(cube.values), np.array(labels.returns)
    values[: ROWS.start], values[ROWS.stop :] = 9.0, np.nan
    returns[: ROWS.start], returns[ROWS.stop :] = np.nan, values[ROWS.stop :, :, 1]
    touched = Cube(cube.sessions, cube.symbols, cube.names, values)
    selected = select_features(touched, Labels(labels.targets, returns, labels.realised_row), ROWS, SETTINGS, PURGE)
    assert selected == select_features(cube, labels, ROWS, SETTINGS, PURGE)


def test_on_noise_the_share_of_features_let_through_is_small():
    passed = 0
    for seed in range(40):
        draw = np.random.default_rng(seed)
        cube, labels = _study(2, seed)
        noise = Cube(cube.sessions, cube.symbols, cube.names, draw.normal(size=cube.values.shape))
        report = select_features(noise, labels, ROWS, FeatureSettings(), PURGE)
        passed += sum(entry.reason == "adds to those chosen before" for entry in report.figures)
    # P(t > sqrt 2) is 0.079 of 240 draws, 18.9 expected; 31 is three deviations above.
    assert 5 <= passed <= 31


def test_when_nothing_predicts_the_best_is_kept_and_the_report_says_so():
    cube, labels = _study(2, planted=0.0, seed=3)
    report = select_features(cube.select(("noise", "constant")), labels, ROWS, SETTINGS, PURGE)
    weak = [entry for entry in report.figures if entry.selected]
    assert len(weak) == 1
    assert weak[0].reason == "nothing passed; kept as the best"


@pytest.mark.parametrize("symbols", [5, 9])
def test_the_rank_ic_of_a_panel_is_spearmans_across_symbols(symbols):
    draw = np.random.default_rng(1)
    feature, outcome = draw.normal(size=(30, symbols)), draw.normal(size=(30, symbols))
    actual = rank_ic_by_session(feature, outcome)
    expected = [spearmanr(left, right).statistic for left, right in zip(feature, outcome, strict=True)]
    np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_the_rank_ic_of_a_few_symbols_averages_to_spearmans_in_time():
    draw = np.random.default_rng(1)
    feature, outcome = draw.normal(size=(90, 2)).round(1), draw.normal(size=(90, 2))
    feature[5, 0] = np.nan
    rank_ic = rank_ic_by_session(feature[:, :1], outcome[:, :1])
    known = np.isfinite(feature[:, 0])
    expected = spearmanr(feature[known, 0], outcome[known, 0]).statistic
    assert np.nanmean(rank_ic) == pytest.approx(expected)
    assert np.isnan(rank_ic[5])
    both = rank_ic_by_session(feature, outcome)
    assert both[6] == pytest.approx((rank_ic[6] + rank_ic_by_session(feature[:, 1:], outcome[:, 1:])[6]) / 2)


def test_missing_values_do_not_stop_the_selection():
    cube, labels = _study(8)
    values = np.array(cube.values)
    values[::7, 2, 1] = np.nan
    values[:, 3, :] = np.nan
    holed = Cube(cube.sessions, cube.symbols, cube.names, values)
    assert "second" in select_features(holed, labels, ROWS, SETTINGS, PURGE).selected


def test_too_few_rows_are_refused_by_name():
    cube, labels = _study(2)
    with pytest.raises(FoldError, match=r"at least 80 training sessions.*found 79"):
        select_features(cube, labels, slice(0, 79), SETTINGS, PURGE)


def test_a_report_survives_json_and_a_damaged_one_is_refused():
    cube, labels = _study(2)
    report = select_features(cube, labels, ROWS, SETTINGS, PURGE)
    stored = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert SelectionReport.from_dict(stored) == report
    stored["figures"][0]["colour"] = "red"
    with pytest.raises(ModelError, match="colour"):
        SelectionReport.from_dict(stored)


@pytest.mark.parametrize(("purge", "embargo"), [(2, 20), (6, 20), (21, 0)])
def test_no_label_span_of_a_learning_row_touches_the_block_it_is_judged_on(purge, embargo, monkeypatch):
    monkeypatch.setattr(selection, "_EMBARGO", embargo)
    rows = 400
    for block in selection._blocks(rows, purge):
        inside = set(range(block.start, block.stop))
        for learning in (
            selection._before(block, purge, rows),
            selection._around(block, purge, rows),
        ):
            for row in np.flatnonzero(learning):
                assert not inside & set(range(row, row + purge + 1))
                if row >= block.stop:
                    # and the block's own spans end, with the embargo, before learning resumes
                    assert row - (block.stop - 1) > purge + embargo
