"""Labels: what the position earns from fill to horizon, and that an unknown future is no fall."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from nn_assets.errors import SettingsError
from nn_assets.features.labels import LABELS, forward_returns, make_labels
from nn_assets.settings import LabelSettings
from nn_assets.settings.sections import LABELS_OF_ITS_OWN, LABELS_OF_VALUES
from tests.contracts.labels import LabelContract
from tests.features.panels import changed, constant_panel, panel_of, random_panel, rows_of, same_bits

EXECUTIONS = ("next_open", "next_close")


def _label(horizon: int = 5, execution: str = "next_close", kind: str = "direction") -> LabelSettings:
    return LabelSettings(horizon_sessions=horizon, execution=execution, kind=kind)


class TestDirection(LabelContract):
    @pytest.fixture
    def label(self, execution: str) -> LabelSettings:
        return _label(3, execution)

    def own_return(self, forward, row, column, cash, label):
        return forward[row][column] - label.horizon_sessions * cash


class TestDirectionRelative(LabelContract):
    @pytest.fixture
    def label(self, execution: str) -> LabelSettings:
        return _label(3, execution, "direction_relative")

    def own_return(self, forward, row, column, cash, label):
        known = [each for each in forward[row] if each is not None]
        return forward[row][column] - statistics.median(known) if len(known) >= 5 else None


def test_settings_know_the_labels_of_the_package_and_what_each_says_of_the_market() -> None:
    assert {name: kind.relative for name, kind in LABELS.own.items()} == LABELS_OF_ITS_OWN
    assert {name for name, kind in LABELS.own.items() if kind.learns == "value"} == LABELS_OF_VALUES


def _small_panel():
    opens = np.array([[10.0], [11.0], [12.0], [9.0], [15.0]])
    closes = np.array([[10.5], [11.5], [11.0], [10.0], [14.0]])
    return panel_of(("A",), open=opens, close=closes, high=closes + 9, low=opens - 8, volume=closes * 100)


def test_the_return_runs_from_the_fill_not_from_the_decision():
    by_close = forward_returns(_small_panel(), _label(2))
    np.testing.assert_allclose(by_close[:, 0], [10.0 / 11.5 - 1, 14.0 / 11.0 - 1, np.nan, np.nan, np.nan])
    by_open = forward_returns(_small_panel(), _label(2, "next_open"))
    np.testing.assert_allclose(by_open[:, 0], [9.0 / 11.0 - 1, 15.0 / 12.0 - 1, np.nan, np.nan, np.nan])


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_a_future_that_is_not_known_is_no_label_and_never_a_fall(horizon, execution):
    panel = random_panel(bars=80)
    labels = make_labels(panel, _label(horizon, execution))
    assert np.isnan(labels.targets[-(1 + horizon) :]).all()
    assert np.isfinite(labels.targets[20 : -(1 + horizon)]).all()
    np.testing.assert_array_equal(labels.realised_row, np.arange(80) + 1 + horizon)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_a_label_equals_the_sign_of_the_loop_written_out(execution):
    panel = random_panel(bars=80)
    labels = make_labels(panel, _label(3, execution), cash_rate_per_session=0.0004)
    price = panel.open if execution == "next_open" else panel.close
    for row in range(20, 76):
        for column in range(3):
            own = price[row + 4, column] / price[row + 1, column] - 1 - 3 * 0.0004
            assert labels.returns[row, column] == pytest.approx(own, abs=1e-14)
            assert labels.targets[row, column] == float(own > 0)


def test_the_cash_rate_is_charged_over_the_whole_span():
    closes = np.array([1.0, 1.1] * 12)[:, None] * 1.001 ** np.arange(24)[:, None]
    panel = panel_of(("A",), **dict.fromkeys(("open", "high", "low", "close", "volume"), closes))
    # Over two sessions the zigzag cancels and 0.2001% is left.
    assert make_labels(panel, _label(2), 0.00100).targets[20, 0] == 1.0
    assert make_labels(panel, _label(2), 0.00101).targets[20, 0] == 0.0


def test_a_label_known_at_a_session_does_not_change_when_later_bars_arrive():
    panel = random_panel(bars=120, symbols=6)
    for kind in ("direction", "direction_relative"):
        full = make_labels(panel, _label(5, kind=kind))
        for cut in (40, 77, 119):
            early = make_labels(rows_of(panel, slice(0, cut)), _label(5, kind=kind))
            known = int((full.realised_row < cut).sum())
            assert same_bits(early.targets[:known], full.targets[:known])
            assert same_bits(early.returns[:known], full.returns[:known])
            assert np.isnan(early.targets[known:]).all()


@pytest.mark.parametrize(("gap", "blind"), [(50, {44, 49}), (46, {40, 45})])
def test_a_missing_bar_takes_the_labels_it_enters_or_leaves_by(gap, blind):
    panel = changed(random_panel(bars=80), lambda values: values.__setitem__((gap, 0), np.nan))
    missing = np.flatnonzero(np.isnan(forward_returns(panel, _label(5))[:74, 0]))
    assert set(missing) == blind
    # sigma_20 of the decision session is missing for as long as the gap is in its window.
    targets = make_labels(panel, _label(5)).targets
    assert set(np.flatnonzero(np.isnan(targets[20:74, 0])) + 20) == blind | set(range(gap, min(gap + 21, 74)))


def test_targets_and_returns_are_missing_together():
    panel = changed(random_panel(bars=80), lambda values: values.__setitem__((33, 1), np.nan))
    labels = make_labels(panel, _label())
    np.testing.assert_array_equal(np.isnan(labels.targets), np.isnan(labels.returns))
    assert np.isnan(labels.targets[:20]).all()


def test_an_instrument_without_volatility_has_no_label():
    assert np.isnan(make_labels(constant_panel(bars=60), _label()).targets).all()


@pytest.mark.parametrize("bad", [0.0, -1.0, np.inf])
def test_a_price_nobody_can_trade_at_makes_no_label(bad):
    panel = changed(random_panel(bars=60), lambda values: values.__setitem__((40, 0), bad))
    returns = forward_returns(panel, _label(5))
    assert np.isnan(returns[[34, 39], 0]).all()
    assert np.isfinite(returns[35:39, 0]).all()


def test_a_relative_label_is_less_the_median_of_its_session():
    panel = random_panel(bars=60, symbols=7)
    labels = make_labels(panel, _label(2, kind="direction_relative"))
    forward = panel.close[33] / panel.close[31] - 1
    np.testing.assert_allclose(labels.returns[30], forward - sorted(forward)[3], atol=1e-14)
    np.testing.assert_array_equal(labels.targets[20:57].sum(axis=1), 3.0)


def test_a_session_with_too_few_symbols_has_no_relative_label():
    def thin(values: np.ndarray) -> None:
        values[33, :3] = np.nan

    panel = changed(random_panel(bars=60, symbols=7), thin)
    labels = make_labels(panel, _label(2, kind="direction_relative"))
    assert np.isnan(labels.targets[30]).all()
    assert np.isfinite(labels.targets[29]).all()


def test_relative_labels_need_five_symbols():
    with pytest.raises(SettingsError, match=r"label.kind.*at least 5 symbols.*found 4"):
        make_labels(random_panel(bars=40, symbols=4), _label(kind="direction_relative"))


def test_a_history_shorter_than_the_span_has_no_labels():
    assert np.isnan(make_labels(random_panel(bars=5), _label(5)).targets).all()


def test_labels_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        make_labels(random_panel(bars=40), _label()).targets[0, 0] = 1.0
