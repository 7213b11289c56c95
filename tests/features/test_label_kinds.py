"""Values, thresholds and volatilities as labels: each against a loop of its own over single prices, and causal."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import PluginError, SettingsError
from nn_assets.features.labels import LABELS, LabelKind, Labels, label_kind, make_labels
from nn_assets.features.labels.contract import require_sound_label
from nn_assets.features.labels.direction import DIRECTION
from nn_assets.learning.calibration import fit_calibration
from nn_assets.learning.objective import book_returns
from nn_assets.market.panel import Panel
from nn_assets.settings import LabelSettings
from tests.features.panels import changed, constant_panel, random_panel, rows_of, same_bits

BARS, SYMBOLS, HORIZON, WINDOW = 120, 6, 3, 30
LAG, SPAN = 1, 1 + HORIZON
CASH = 0.0002
OWN: dict[str, dict[str, object]] = {
    "return_zscored": {"window_sessions": WINDOW},
    "return_zscored_relative": {"window_sessions": WINDOW},
    "threshold_move": {"threshold": 0.4},
    "volatility_move": {"multiple": 0.9},
    "log_realised_volatility": {},
}


def label_of(kind: str, execution: str = "next_close", **settings: object) -> LabelSettings:
    return LabelSettings(
        kind=kind, horizon_sessions=HORIZON, execution=execution, settings={**OWN.get(kind, {}), **settings}
    )


def labels_of(panel: Panel, label: LabelSettings) -> Labels:
    return make_labels(panel, label, CASH, None, 0.05)


def prices_of(panel: Panel, label: LabelSettings) -> pd.DataFrame:
    return pd.DataFrame(panel.open if label.execution == "next_open" else panel.close)


def recent(panel: Panel) -> pd.DataFrame:
    return np.log(pd.DataFrame(panel.close)).diff().rolling(20).std(ddof=1)


def gained(panel: Panel, label: LabelSettings) -> pd.DataFrame:
    prices = prices_of(panel, label)
    return prices.shift(-SPAN) / prices.shift(-LAG) - 1.0 - HORIZON * CASH


def test_every_kind_of_the_package_says_what_is_learned_and_whether_it_is_traded() -> None:
    learned = {name: (kind.learns, kind.traded) for name, kind in LABELS.own.items()}
    assert learned == {
        "direction": ("sign", True),
        "direction_relative": ("sign", True),
        "return_zscored": ("value", True),
        "return_zscored_relative": ("value", True),
        "settlement": ("sign", True),
        "threshold_move": ("sign", True),
        "volatility_move": ("sign", False),
        "log_realised_volatility": ("volatility", False),
    }


@pytest.mark.parametrize(("kind", "execution"), list(zip(OWN, ["next_open", "next_close"] * 3, strict=False)))
def test_it_keeps_the_contract_of_labels(kind: str, execution: str) -> None:
    require_sound_label(label_of(kind, execution))


@pytest.mark.parametrize("execution", ["next_open", "next_close"])
@pytest.mark.parametrize("relative", [False, True])
def test_a_value_is_the_return_in_deviations_of_those_realised_before(execution: str, relative: bool) -> None:
    panel = random_panel(bars=BARS, symbols=SYMBOLS)
    label = label_of(f"return_zscored{'_relative' * relative}", execution)
    labels = labels_of(panel, label)
    assert labels.values is not None
    assert labels.scale is not None
    prices = prices_of(panel, label).to_numpy()

    def own(row: int, column: int) -> float:
        growth = [prices[row + SPAN, each] / prices[row + LAG, each] for each in range(SYMBOLS)]
        if not relative:
            return float(growth[column]) - 1.0 - HORIZON * CASH
        logs = sorted(math.log(one) for one in growth)
        return math.log(growth[column]) - 0.5 * (logs[2] + logs[3])

    first = WINDOW - 1 + SPAN
    assert np.isnan(labels.values[:first]).all()
    assert np.isnan(labels.scale[:first]).all()
    assert np.isfinite(labels.scale[first:]).all()  # before its own return is realised
    assert np.isnan(labels.values[-SPAN:]).all()
    for row in (first, first + 7, BARS - SPAN - 1):
        for column in range(SYMBOLS):
            known = np.array([own(before, column) for before in range(row - SPAN - WINDOW + 1, row - SPAN + 1)])
            excess, deviation = own(row, column) - known.mean(), known.std(ddof=1)
            assert labels.scale[row, column] == pytest.approx(deviation, rel=1e-9)
            assert labels.values[row, column] == pytest.approx(excess / deviation, rel=1e-8)
            assert labels.returns[row, column] == pytest.approx(own(row, column), rel=1e-8)
            assert labels.targets[row, column] == float(own(row, column) > 0.0)
            assert labels.outcomes[row, column] == pytest.approx(own(row, column) / deviation, rel=1e-8)
    assert labels.learned is labels.values
    assert labels.standardised is not None
    np.testing.assert_allclose(labels.standardised, labels.outcomes, rtol=1e-12)


@pytest.mark.parametrize("side", ["up", "down"])
@pytest.mark.parametrize("unit", ["sigma", "fraction"])
def test_a_threshold_is_passed_by_more_than_so_much_or_kept_by_no_such_fall(side: str, unit: str) -> None:
    panel = random_panel(bars=BARS, symbols=SYMBOLS)
    label = label_of("threshold_move", side=side, unit=unit, threshold=0.4 if unit == "sigma" else 0.01)
    labels = labels_of(panel, label)
    returns = gained(panel, label)
    threshold = 0.4 * recent(panel) * math.sqrt(HORIZON) if unit == "sigma" else 0.01
    expected = returns - threshold if side == "up" else returns + threshold
    known = slice(20, BARS - SPAN)
    np.testing.assert_allclose(labels.returns[known], expected[known], atol=1e-12)
    np.testing.assert_array_equal(labels.targets[known], expected[known] > 0.0)
    np.testing.assert_allclose(labels.outcomes[known], returns[known], atol=1e-12)
    assert labels.learned is labels.targets
    assert bool(np.nanmean(labels.targets) > 0.5) is (side == "down")


@pytest.mark.parametrize("kind", [kind for kind in LABELS.own if kind != "settlement"])  # of no price alone
def test_what_is_earned_is_a_positions_return_and_holds_no_threshold(kind: str) -> None:
    """By single prices; and whatever is stated of a threshold, the same scores are judged the same."""
    panel, settings = random_panel(bars=BARS, symbols=SYMBOLS), label_of(kind)
    labels, expected = labels_of(panel, settings), gained(panel, settings)
    if kind == "direction_relative":
        expected = expected.sub(expected.median(axis=1), axis=0)
    elif kind == "return_zscored_relative":
        growth = np.log1p(expected + HORIZON * CASH)
        expected = growth.sub(growth.median(axis=1), axis=0)
    elif "volatility" in kind:  # not traded: what is forecast
        expected = np.log(realised(panel, settings) / recent(panel))
        expected *= 2.0 if kind == "log_realised_volatility" else 1.0
    there = np.isfinite(labels.targets)
    assert there.any()
    np.testing.assert_allclose(labels.earned[there], expected.to_numpy()[there], atol=1e-12)
    np.testing.assert_array_equal(np.isfinite(labels.earned), there)
    others: dict[str, list[dict[str, object]]] = {
        "threshold_move": [{"threshold": 1.5}, {"side": "down"}, {"unit": "fraction", "threshold": 0.03}],
        "volatility_move": [{"multiple": 3.0}],
    }
    score = np.random.default_rng(3).normal(0.5, 1.0, (BARS, SYMBOLS))
    judged = book_returns(score, labels.earned, HORIZON, 3e-4, neutral=label_kind(settings).relative)
    for other in others.get(kind, []):
        of_other = labels_of(panel, label_of(kind, **other))
        assert not np.array_equal(of_other.returns[there], labels.returns[there])
        again = book_returns(score, of_other.earned, HORIZON, 3e-4, neutral=False)
        np.testing.assert_array_equal(again, judged)


def pinned(panel: Panel, *, first: int, stop: int, symbol: int = 1) -> Panel:
    """A name whose price is held to a hundred-millionth from one session to another, and then let go."""
    tremble = 1.0 + 1e-8 * np.random.default_rng(4).normal(size=stop - first)

    def held(values: np.ndarray) -> None:
        values[first:stop, symbol] = values[first, symbol] * tremble

    return changed(panel, held)


@pytest.mark.parametrize("relative", [False, True])
def test_a_name_that_was_held_has_no_label_and_no_value_is_beyond_ten(relative: bool) -> None:
    """Against a loop in pandas: windows of realised returns, the largest deviation so far, the session's, ten units."""
    first, stop = 70, 70 + WINDOW + 2 * SPAN
    panel = pinned(random_panel(bars=150, symbols=SYMBOLS), first=first, stop=stop)
    if not relative:  # and one jump
        panel = changed(panel, lambda values: values.__setitem__((slice(130, None), 2), values[130:, 2] * 2.0))
    label = label_of(f"return_zscored{'_relative' * relative}")
    labels, own = labels_of(panel, label), gained(panel, label)
    if relative:
        own = np.log1p(own + HORIZON * CASH)
        own = own.sub(own.median(axis=1), axis=0)
    windows = own.shift(SPAN).rolling(WINDOW)
    deviation = pd.DataFrame({name: windows.apply(np.std, kwargs={"ddof": 1}, raw=True)[name] for name in own})
    unit = deviation.where(deviation >= deviation.cummax() / 50.0)
    unit = unit.where(unit.ge(deviation.median(axis=1) / 200.0, axis=0))
    expected = ((own - windows.mean()) / unit).clip(-10.0, 10.0)
    assert labels.values is not None
    assert labels.standardised is not None
    np.testing.assert_allclose(labels.values, expected, atol=1e-8)
    np.testing.assert_allclose(labels.standardised, (own / unit).clip(-10.0, 10.0), atol=1e-8)
    if not relative:
        released = slice(first + WINDOW + SPAN, stop)  # all of the window held: a unit of 1e-8
        assert (deviation[1][released] < 1e-7).any()
        assert np.isnan(labels.values[released, 1]).all()
        assert np.nanmax(labels.values[:, 2]) == 10.0


def test_one_name_that_was_held_leaves_the_calibration_of_all_as_it_is() -> None:
    """Scores that are worth a slope of 0.1 of a deviation, of 40 names: one is held for a year, and is let go."""
    label = LabelSettings(kind="return_zscored", horizon_sessions=1, settings={"window_sessions": 60})
    plain = random_panel(bars=500, symbols=40)
    slopes = []
    for panel in (plain, pinned(plain, first=200, stop=400), pinned(plain, first=1, stop=400)):
        labels = labels_of(panel, label)
        assert labels.standardised is not None
        noise = np.random.default_rng(2).normal(size=labels.targets.shape)
        score = np.nan_to_num(0.1 * labels_of(plain, label).standardised) + noise
        made = fit_calibration(
            score,
            np.ones(score.shape),
            labels.targets,
            horizon_sessions=1,
            half_life_sessions=1e6,
            prior_outcomes=1.0,
            values=labels.standardised,
        )
        slopes.append(made.slope)
    assert slopes[0] == pytest.approx(0.1, abs=0.02)
    np.testing.assert_allclose(slopes[1:], slopes[0], atol=0.005)


def realised(panel: Panel, label: LabelSettings) -> pd.DataFrame:
    moves = np.log(prices_of(panel, label)).diff()
    return (moves.pow(2).rolling(HORIZON).mean() ** 0.5).shift(-SPAN)


@pytest.mark.parametrize("execution", ["next_open", "next_close"])
def test_volatilities_are_those_of_each_session_from_the_fill_on(execution: str) -> None:
    panel = random_panel(bars=BARS, symbols=SYMBOLS)
    label = label_of("log_realised_volatility", execution)
    labels = labels_of(panel, label)
    assert labels.values is not None
    known = slice(20, BARS - SPAN)
    forecastable = np.exp(0.5 * labels.values[known]) * labels.scale[known]  # what an output of just this forecasts
    np.testing.assert_allclose(forecastable, realised(panel, label)[known], rtol=1e-10)
    np.testing.assert_allclose(labels.scale[20:], recent(panel)[20:], rtol=1e-9)
    assert np.isnan(labels.values[-SPAN:]).all()
    move = labels_of(panel, label_of("volatility_move", execution))
    np.testing.assert_array_equal(
        move.targets[known], realised(panel, label)[known] > 0.9 * recent(panel)[known].to_numpy()
    )


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("future", ["cut", "corrupted", "missing"])
def test_what_is_known_at_a_session_is_the_same_to_the_bit_whatever_comes_after(kind: str, future: str) -> None:
    panel, cut, label = random_panel(bars=BARS, symbols=SYMBOLS), 90, label_of(kind)

    def after(by: float) -> Callable[[np.ndarray], None]:
        return lambda values: values.__setitem__(slice(cut, None), values[cut:] * by)

    whole = labels_of(panel, label).until(cut - 1)
    other = rows_of(panel, slice(0, cut))
    if future != "cut":
        other = changed(panel, after(7.0 if future == "corrupted" else np.nan))
    early = labels_of(other, label).until(cut - 1)
    for name in ("targets", "returns", "values", "ranked_against", "scale", "earned"):
        ours, theirs = getattr(early, name), getattr(whole, name)
        assert (ours is None) is (theirs is None)
        if ours is not None:
            assert np.isfinite(ours).any(), name
            assert same_bits(ours, theirs), name


@pytest.mark.parametrize("kind", OWN)
def test_a_series_that_never_moves_or_is_too_short_has_no_label_and_no_infinity(kind: str) -> None:
    label = label_of(kind)
    short = random_panel(bars=SPAN + 2, symbols=SYMBOLS)
    for panel in (constant_panel(bars=80, symbols=SYMBOLS), short):
        labels = labels_of(panel, label)
        assert np.isnan(labels.learned).all()
        assert np.isnan(labels.targets).all()


@pytest.mark.parametrize("kind", OWN)
def test_a_missing_bar_costs_the_labels_that_need_it_and_no_others_a_value(kind: str) -> None:
    gap = 85
    panel = changed(random_panel(bars=BARS, symbols=SYMBOLS), lambda values: values.__setitem__((gap, 0), np.nan))
    missing = set(np.flatnonzero(np.isnan(labels_of(panel, label_of(kind)).learned[60:-SPAN, 0])) + 60)
    entered, left = gap - LAG, gap - SPAN
    needed = {entered, left, gap}
    if kind in {"volatility_move", "log_realised_volatility"}:
        needed |= set(range(left, entered + 1))
    elif kind.startswith("return_zscored"):
        needed |= {entered + SPAN, left + SPAN}  # no newest return of its own
    assert needed - {gap} <= missing <= needed


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("return_zscored", {"window_sessions": 19}, "window_sessions = 19"),
        ("threshold_move", {"side": "sideways"}, "side = .sideways"),
        ("threshold_move", {"unit": "fraction", "threshold": 2.0}, "it is no percentage"),
        ("volatility_move", {"multiple": 0.0}, r"multiple = 0\.0"),
        ("log_realised_volatility", {"window": 5}, "it has none"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(kind: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        labels_of(random_panel(bars=60, symbols=SYMBOLS), label_of(kind, **settings))


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"learns": "gain"}, "one of sign, value, volatility"),
        ({"learns": "value"}, "learns value, no scale"),
        ({"scale": DIRECTION.own_return}, "learns sign, and a scale"),
        ({"learns": "volatility", "scale": DIRECTION.own_return}, "it has no direction"),
    ],
)
def test_a_kind_that_contradicts_itself_is_refused(declared: dict[str, object], message: str) -> None:
    with pytest.raises(PluginError, match=message):
        LabelKind(DIRECTION.own_return, False, **declared)  # type: ignore[arg-type]


def test_a_scale_that_looks_ahead_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = LabelKind(
        LABELS["return_zscored"].own_return,
        relative=False,
        settings=LABELS["return_zscored"].settings,
        learns="value",
        scale=lambda panel, label, facts, settings: np.abs(DIRECTION.own_return(panel, label, facts)),
    )
    monkeypatch.setattr(LABELS, "own", {**LABELS.own, "return_zscored": ahead})
    with pytest.raises(PluginError, match="what comes after its session changes it"):
        require_sound_label(label_of("return_zscored"))
    assert label_kind(label_of("return_zscored")) is ahead
