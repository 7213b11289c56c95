"""The drift monitor: what it finds, how seldom it rings in vain, and that it never looks ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nn_assets.errors import SchemaError
from nn_assets.oversight.critical_values import critical_value
from nn_assets.oversight.drift import DriftMonitor, DriftReference, drift_reference
from nn_assets.oversight.monitored import cross_section
from nn_assets.settings import OversightSettings
from tests.oversight.worlds import autoregressive, examined

SETTINGS = OversightSettings()
MONITOR = DriftMonitor(SETTINGS)
DAY = pd.Timestamp("2018-01-02")
NAMES = ("slow", "fast", "mean", "held", "trend")
MEMORY = np.array([0.8, 0.0, 0.3, 0.5, 0.96])
TRAINING = 500


class World:
    """One symbol, five features, forecasts beside them: 500 sessions of training, then the future."""

    def __init__(self, seed: int, later: int = 400, symbols: int = 1) -> None:
        generator = np.random.default_rng(seed)
        sessions = TRAINING + later
        columns = [autoregressive(generator, MEMORY, sessions) for _ in range(symbols)]
        self.features = np.stack(columns, axis=1)  # (sessions, symbols, features)
        noise = autoregressive(generator, np.full(symbols, 0.6), sessions)
        self.probabilities = 0.5 + 0.05 * noise  # (sessions, symbols)

    def reference(self) -> DriftReference:
        trained = slice(0, TRAINING)
        return drift_reference(self.probabilities[trained], self.features[trained], NAMES, SETTINGS)


@pytest.fixture
def world() -> World:
    return World(17)


def examine(world: World, row: int, reference: DriftReference | None = None):
    known = reference or world.reference()
    return examined(MONITOR, row, known.forecast_ranks(world.probabilities), world.features, known)


def drifted_features(report) -> set[str]:
    return {statistic.feature for statistic in report.statistics if statistic.layer == "feature" and statistic.drifted}


def by_name(report) -> dict:
    return {statistic.name: statistic for statistic in report.statistics}


def test_statistics_equal_scipy_on_the_window_and_the_training_rows(world):
    statistics = by_name(examine(world, 700))
    window, trained = slice(641, 701), slice(0, TRAINING)
    for column in range(4):
        expected = stats.ks_2samp(world.features[window, 0, column], world.features[trained, 0, column])
        assert statistics[NAMES[column]].statistic == pytest.approx(expected.statistic, abs=1e-12)
    expected = stats.ks_2samp(world.probabilities[window, 0], world.probabilities[trained, 0])
    assert statistics["forecast"].statistic == pytest.approx(expected.statistic, abs=1e-12)


def test_critical_values_follow_the_memory_of_each_series(world):
    statistics, memories = by_name(examine(world, 700)), {s.name: s.memory for s in world.reference().features}
    for name, memory in zip(NAMES[:4], MEMORY, strict=False):
        assert statistics[name].autocorrelation == pytest.approx(memory, abs=0.12)
        assert memories[name] == pytest.approx(memory, abs=0.3)
        assert memories[name] >= statistics[name].autocorrelation
        assert statistics[name].critical == critical_value("ks", 60, 500, memories[name])
    assert statistics["slow"].critical > statistics["held"].critical > statistics["fast"].critical


def test_a_series_too_persistent_is_tested_on_innovations_and_by_cusum(world):
    report = examine(world, 700)
    statistics = by_name(report)
    assert "trend" not in statistics
    assert statistics["trend:innovations"].autocorrelation > 0.9
    series = next(s for s in world.reference().features if s.name == "trend")
    values = world.features[:, 0, 4]
    unforeseen = values[1:] - series.whitening * values[:-1]
    expected = stats.ks_2samp(unforeseen[640:700], unforeseen[: TRAINING - 1]).statistic
    assert statistics["trend:innovations"].statistic == pytest.approx(expected, abs=1e-12)
    assert statistics["trend:cusum"].statistic >= 0.0
    assert statistics["trend:cusum"].feature == "trend"


def test_innovations_that_keep_some_memory_need_a_higher_cusum(world):
    shocks = autoregressive(np.random.default_rng(31), np.array([0.8]), 900)
    for row in range(1, 900):
        world.features[row, 0, 4] = 0.95 * world.features[row - 1, 0, 4] + shocks[row, 0]
    remembering = by_name(examine(world, 700))["trend:cusum"].critical
    assert remembering > 2.0 * by_name(examine(World(17), 700))["trend:cusum"].critical


def test_a_shifted_forecast_is_prediction_drift_and_asks_for_retraining(world):
    world.probabilities[600:] += 0.1
    report = examine(world, 660)
    assert report.prediction_drifted
    assert report.asks_retraining
    assert not examine(world, 599).prediction_drifted


def test_a_single_shifted_feature_drifts_alone_and_three_drift_jointly(world):
    reference = world.reference()
    world.features[600:, :, 1] += 2.0
    alone = examine(world, 660, reference)
    assert "fast" in drifted_features(alone)
    assert not alone.features_drifted_jointly
    world.features[600:, :, :4] += 2.0
    together = examine(world, 660, reference)
    assert together.features_drifted_jointly
    assert {"fast", "mean", "held"} <= set(together.joint_features)


@pytest.mark.full
def test_a_shift_of_a_persistent_series_is_found_by_the_cusum_sooner_than_by_ks():
    first = {"trend:innovations": [], "trend:cusum": []}
    for seed in range(9):
        world = World(seed, later=200)
        reference = world.reference()
        world.features[600:, 0, 4] += 2.5
        ranks = reference.forecast_ranks(world.probabilities)
        if len([s for s in reference.features if s.prewhitened]) != 1:
            continue
        waits = dict.fromkeys(first, 100)
        for row in range(695, 599, -5):
            for name, statistic in by_name(examined(MONITOR, row, ranks, world.features, reference)).items():
                if name in waits and statistic.drifted:
                    waits[name] = row - 599
        for name, wait in waits.items():
            first[name].append(wait)
    assert len(first["trend:cusum"]) >= 6
    assert np.median(first["trend:cusum"]) < np.median(first["trend:innovations"])


def test_a_refresh_on_another_scale_does_not_ring(world):
    old = world.reference()
    squeezed = 0.45 + 0.2 * (world.probabilities - 0.5)
    new = replace(old, validation=np.sort(squeezed[:TRAINING], axis=None))
    ranks = old.forecast_ranks(world.probabilities)
    ranks[650:] = new.forecast_ranks(squeezed[650:])
    report = examined(MONITOR, 680, ranks, world.features, new)
    raw = np.where(np.arange(900)[:, None] >= 650, squeezed, world.probabilities)
    assert not report.prediction_drifted
    assert examined(MONITOR, 709, old.forecast_ranks(raw), world.features, old).prediction_drifted


def test_too_few_sessions_say_so_and_never_drift(world):
    world.features[:] += 100.0
    report = examine(world, 58, World(17).reference())
    assert report.message == "not enough sessions: 59 of 60"
    assert not report.statistics
    assert not report.prediction_drifted
    assert not report.features_drifted_jointly
    assert not report.asks_retraining
    assert list(report.to_frame().columns) == list(examine(world, 700).to_frame().columns)
    assert examine(world, 59, World(17).reference()).statistics


def test_missing_values_are_passed_over_and_a_series_without_enough_is_blind(world):
    reference = world.reference()
    gaps = np.arange(645, 701, 10)
    world.features[gaps, 0, 0] = np.nan
    world.features[640:690, 0, 1] = np.nan
    report = examine(world, 700, reference)
    kept = np.setdiff1d(np.arange(TRAINING, 701), gaps)[-60:]
    expected = stats.ks_2samp(world.features[kept, 0, 0], world.features[:TRAINING, 0, 0]).statistic
    assert by_name(report)["slow"].statistic == pytest.approx(expected, abs=1e-12)
    assert np.isnan(by_name(report)["fast"].statistic)
    assert not by_name(report)["fast"].drifted
    assert "fast" in report.message


@pytest.mark.full
@pytest.mark.parametrize("symbols", [1, 2, 6])
def test_a_report_has_the_same_bits_whether_history_ends_there_or_later(symbols):
    world = World(19, symbols=symbols)
    reference = world.reference()
    ranks = reference.forecast_ranks(world.probabilities)
    rows, forecasts = cross_section(world.features), cross_section(ranks[:, :, None])
    for row in (45, 59, 60, 88, 89, 90, 640, 899):
        stop = row + 1
        whole = examined(MONITOR, row, ranks, world.features, reference)
        cut = examined(MONITOR, row, ranks[:stop].copy(), world.features[:stop].copy(), reference)
        replayed = MONITOR.examine(row, DAY, forecasts, rows, reference)
        pd.testing.assert_frame_equal(whole.to_frame(), cut.to_frame(), check_exact=True)
        pd.testing.assert_frame_equal(whole.to_frame(), replayed.to_frame(), check_exact=True)
        assert repr(whole) == repr(cut) == repr(replayed)


def test_tests_of_the_features_made_for_one_estimator_are_those_of_the_next():
    world = World(19, symbols=6)
    first = world.reference()
    other = replace(first, forecasts=first.forecasts[:1], validation=np.sort(1.0 - first.validation))
    rows, made = cross_section(world.features), {}
    for reference in (first, other):
        forecasts = cross_section(reference.forecast_ranks(world.probabilities)[:, :, None])
        for row in (59, 640, 899):
            alone = MONITOR.examine(row, DAY, forecasts, rows, reference)
            beside = MONITOR.examine(row, DAY, forecasts, rows, reference, made)
            assert repr(alone) == repr(beside)
    assert set(made) == {(row, first.model_id) for row in (59, 640, 899)}
    later = replace(first, model_id="later", features=first.features[1:])
    assert repr(MONITOR.examine(640, DAY, forecasts, rows, later, made)) == repr(
        MONITOR.examine(640, DAY, forecasts, rows, later)
    )


def test_a_reference_reads_its_training_rows_only(world):
    before = world.reference()
    world.features[TRAINING:] = 1e6
    world.probabilities[TRAINING:] = 0.0
    after = world.reference()
    assert before.multiplier == after.multiplier
    for one, other in zip(before.features, after.features, strict=True):
        np.testing.assert_array_equal(one.ordered, other.ordered)


def test_a_panel_sees_change_around_an_unchanged_mean():
    world = World(23, symbols=8)
    reference = world.reference()
    middle = world.features[600:, :, 1].mean(axis=1, keepdims=True)
    world.features[600:, :, 1] = middle + 2.0 * (world.features[600:, :, 1] - middle)
    statistics = by_name(examine(world, 680, reference))
    assert statistics["fast:spread"].drifted
    assert not statistics["fast"].drifted
    assert statistics["fast:spread"].feature == "fast"


@pytest.mark.full
def test_a_monitor_of_an_unchanged_market_rings_about_once_a_year():
    generator = np.random.default_rng(29)
    memory = np.array([0.0, 0.3, 0.5, 0.7, 0.8, 0.85, 0.95, 0.97])
    names = [f"f{i}" for i in range(len(memory))]
    rang, jointly, years = np.zeros(len(memory)), 0, 12
    for _ in range(years):
        # Every third session: a ring of a 60-session window lasts longer than that.
        values = autoregressive(generator, memory, TRAINING + 59 + 252, common=0.3)[:, None, :]
        flat = np.full((len(values), 1), 0.5) + 0.01 * generator.standard_normal((len(values), 1))
        reference = drift_reference(flat[:TRAINING], values[:TRAINING], names, SETTINGS)
        ranks = reference.forecast_ranks(flat)
        rows = range(TRAINING + 59, len(values), 3)
        reports = [examined(MONITOR, row, ranks, values, reference) for row in rows]
        drifted = {name for report in reports for name in drifted_features(report)}
        rang += [name in drifted for name in names]
        jointly += any(report.features_drifted_jointly for report in reports)
    # One ring a year leaves 63% of years with one. Over 12 x 8 correlated series: give or take 0.15.
    assert rang.sum() / (years * len(memory)) == pytest.approx(0.63, abs=0.15)
    # Joint verdicts stand on individual values that are raised for the uncertainty of every memory:
    # rarer than once a year where memories are plain, never more often.
    assert 0.1 < jointly / years < 0.63 + 0.28  # two standard errors of 12 years


@pytest.mark.full
def test_the_series_of_the_forecasts_share_one_pace():
    world = World(31, symbols=6)
    middle, spread = world.reference().forecasts
    for series in (middle, spread):
        assert series.critical == critical_value("ks", 60, 500, series.memory, 252, 0.5)
        assert series.retraining_critical == critical_value("ks", 60, 500, series.memory, 252, 2.0)
    alone = World(31).reference().forecasts[0]
    assert alone.critical == critical_value("ks", 60, 500, alone.memory, 252, 1.0)


@pytest.mark.full
def test_memory_comes_from_the_history_and_the_distribution_from_what_was_held_out(world):
    trained, held = world.probabilities[:TRAINING], world.probabilities[TRAINING - 126 : TRAINING]
    validation = held[:63]
    features = world.features[:TRAINING]
    short = drift_reference(validation, features, NAMES, SETTINGS).forecasts[0]
    whole = drift_reference(validation, features, NAMES, SETTINGS, held_out=held, history=trained).forecasts[0]
    from_all = drift_reference(validation, features, NAMES, SETTINGS, held_out=trained).forecasts[0]
    assert (short.ordered.size, whole.ordered.size) == (63, 126)
    assert whole.memory == from_all.memory != short.memory
    assert whole.critical == critical_value("ks", 60, 126, whole.memory)


def test_a_short_validation_with_gaps_still_gives_a_reference(world):
    validation = world.probabilities[:63].copy()
    validation[5] = np.nan
    reference = drift_reference(validation, world.features[:TRAINING], NAMES, SETTINGS)
    forecast = reference.forecasts[0]
    assert forecast.ordered.size == 62
    assert forecast.critical > critical_value("ks", 60, 126, 0.0)
    world.probabilities[600:] += 0.4
    assert examine(world, 690, reference).prediction_drifted


def test_the_effect_floor_holds_where_chance_would_allow_less(world):
    settings = OversightSettings(ks_effect_floor=0.5)
    reference = drift_reference(world.probabilities[:TRAINING], world.features[:TRAINING], NAMES, settings)
    world.features[600:, :, 1] += 0.8
    ranks = reference.forecast_ranks(world.probabilities)
    statistic = by_name(examined(DriftMonitor(settings), 680, ranks, world.features, reference))["fast"]
    assert 0.2 < statistic.statistic < statistic.critical == 0.5
    assert not statistic.drifted


def test_a_constant_feature_never_drifts_while_it_stays_constant(world):
    world.features[:, :, 3] = 0.1
    assert by_name(examine(world, 700))["held"].statistic == 0.0


def test_a_feature_without_training_values_is_not_monitored(world):
    world.features[:TRAINING, :, 0] = np.nan
    assert "slow" not in by_name(examine(world, 700))


def test_the_report_becomes_rows_of_the_drift_table(world):
    frame = examine(world, 700).to_frame()
    expected = ["session", "layer", "name", "statistic", "critical", "autocorrelation", "drifted"]
    assert list(frame.columns) == expected
    assert str(frame["session"].dtype) == "datetime64[ns]"
    assert frame["drifted"].dtype == bool
    assert set(frame["layer"]) == {"prediction", "feature"}
    assert not frame.duplicated(["session", "layer", "name"]).any()


def test_shapes_and_names_that_do_not_fit_are_refused(world):
    with pytest.raises(SchemaError, match="5 names"):
        drift_reference(world.probabilities, world.features[:, :, :2], NAMES, SETTINGS)
    with pytest.raises(SchemaError, match="a:b"):
        drift_reference(world.probabilities, world.features[:, :, :1], ("a:b",), SETTINGS)
    longer = DriftMonitor(OversightSettings(drift_window_sessions=80))
    with pytest.raises(SchemaError, match="window of 80"):
        examined(longer, 700, world.probabilities, world.features, world.reference())
