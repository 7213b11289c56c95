"""A study of a label that is a volatility: losses and tests by hand, its verdict on records whose truth is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import chi2
from scipy.stats import t as student

from nn_assets.arrays import Cube, FloatArray
from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.figure_set import LossFigures, StudyFigures
from nn_assets.evaluation.study import MonthVerdict, StudyMaterial, StudyStretch, Terms, judge_months
from nn_assets.evaluation.volatility_figures import VolatilityTrack, loss_figures, volatility_study_figures
from nn_assets.evaluation.volatility_study import run_volatility_study
from nn_assets.evaluation.volatility_verdict import volatility_verdict
from nn_assets.features.labels import Labels, make_labels
from nn_assets.learning.forecasts import ForecastArrays, Forecasts
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.panel import FIELDS, Panel
from nn_assets.reports.page import _plain, study_page
from nn_assets.session.market_view import market_view
from nn_assets.settings import Strategy
from nn_assets.signals.volatility import exceedance_probability
from tests.reports.pages import made_study_page

NAMES = ("AAA", "BBB", "CCC", "DDD")
BARS, FIRST, HORIZON = 620, 160, 3
HAR_FROM = 243  # 120 returns make a usual variance, and 120 variances a regression


def strategy_of(kind: str, **settings: object) -> Strategy:
    return Strategy.model_validate(
        {
            "name": "mine",
            "market": {"history_starts": "2014-01-02"},
            "label": {"kind": kind, "horizon_sessions": HORIZON, "execution": "next_close"},
            **settings,
        }
    )


def market(spoilt_from: int = BARS) -> tuple[Panel, FloatArray]:
    """Names whose volatility follows a level that no return tells beforehand, and the variance expected of each row."""
    draw, shape = np.random.default_rng(5), (BARS, len(NAMES))
    level = np.where(np.arange(BARS)[:, None] % 40 < 20, 0.006, 0.02) * np.ones(shape)
    close = 50.0 * np.exp(np.cumsum(level * draw.normal(size=shape), axis=0))
    close[spoilt_from:] *= np.exp(np.random.default_rng(6).normal(0.0, 0.1, close[spoilt_from:].shape))
    fields = dict(zip(FIELDS, (close, close * 1.001, close * 0.999, close, np.full(shape, 5e6)), strict=True))
    sessions = sessions_between("XNYS", "2014-01-02", "2016-12-30")[:BARS]
    expected = np.full(shape, np.nan)
    known = BARS - 1 - HORIZON
    expected[:known] = np.mean([level[2 + step : 2 + step + known] ** 2 for step in range(HORIZON)], axis=0)
    return Panel(sessions=sessions, symbols=NAMES, **fields), expected


def cut(panel: Panel, bars: int) -> Panel:
    fields = {name: getattr(panel, name)[:bars] for name in FIELDS}
    return Panel(sessions=panel.sessions[:bars], symbols=NAMES, **fields)


def labels_of(strategy: Strategy, panel: Panel) -> Labels:
    return make_labels(panel, strategy.label, variance=True)


def material(strategy: Strategy, panel: Panel, expected: FloatArray) -> StudyMaterial:
    """A network that knows the level, a linear model that says what was, and boosting that says nothing sensible."""
    bars, middle = panel.session_count, 400
    recent = labels_of(strategy, panel).recent_volatility
    assert recent is not None
    knows = np.where(np.isfinite(expected[:bars]), expected[:bars], 1e-4) / recent**2
    shares = {"network": knows / (1.0 + knows), "linear": np.where(np.isfinite(recent), 0.5, np.nan)}
    shares["boosting"] = np.where(np.isfinite(recent), 0.97, np.nan)
    if strategy.label.kind == "volatility_move":
        shares["network"] = np.where(np.isfinite(recent), chi2.sf(HORIZON / knows, HORIZON), np.nan)
    half = np.where(np.isfinite(recent), 0.5, np.nan)
    made = {
        name: ForecastArrays(share, half, calibrated=share, base_rate=half, confidence=half, score=half, novelty=half)
        for name, share in shares.items()
    }
    months = [f"{day.year}-{day.month:02d}" if row >= FIRST else "" for row, day in enumerate(panel.sessions)]

    def known() -> Iterator[StudyStretch]:
        for rows, seen in ((range(FIRST, middle), cut(panel, middle)), (range(middle, bars), panel)):
            cube = Cube(seen.sessions, NAMES, ("close",), seen.close[:, :, None])
            yield StudyStretch(rows, market_view(seen, strategy.portfolio), cube, labels_of(strategy, seen), {})

    none = [None] * bars
    forecasts = Forecasts(panel.sessions, NAMES, made, none)
    costs = cost_model_from(strategy.costs)
    return StudyMaterial(panel.sessions, NAMES, forecasts, months, none, known, lambda _: costs)


def judged(strategy: Strategy, panel: Panel, expected: FloatArray, months: list[str]) -> tuple[MonthVerdict, ...]:
    terms = Terms(trials=3, first_look=months[0])
    study = run_volatility_study(strategy, 252, material(strategy, panel, expected), terms)
    return judge_months(strategy, 252, study, months, terms)


def qlike_by_hand(variance: FloatArray, realised: FloatArray) -> FloatArray:
    return realised / variance - np.log(realised) + np.log(variance) - 1.0


def t_by_hand(differences: FloatArray, horizon: int) -> tuple[float, float]:
    """Mean and t of a mean, Bartlett's weights written out, and what the mean takes of the variance put back."""
    count = len(differences)
    lags = max(3 * horizon, count // 5)
    less = differences - differences.mean()
    variance = less @ less / count
    for lag in range(1, lags + 1):
        variance += 2.0 * (1.0 - lag / (lags + 1.0)) * (less[lag:] @ less[:-lag]) / count
    share = lags / count
    return differences.mean(), differences.mean() / np.sqrt(variance / (1 - share + share**2 / 3) / count)


@pytest.fixture(scope="module")
def studied() -> tuple[Strategy, Panel, FloatArray, LossFigures, StudyFigures]:
    strategy, (panel, expected) = strategy_of("log_realised_volatility"), market()
    study = run_volatility_study(strategy, 252, material(strategy, panel, expected), Terms(trials=3))
    assert study.figures.volatility is not None
    assert study.replays == {}
    assert study.track.tracks == {}
    return strategy, panel, expected, study.figures.volatility, study.figures


def test_losses_and_their_tests_are_those_worked_out_by_hand(studied) -> None:
    _, panel, expected, losses, figures = studied
    log_returns = np.diff(np.log(panel.close), axis=0, prepend=np.nan)
    realised = np.full(expected.shape, np.nan)
    known = BARS - 1 - HORIZON
    realised[:known] = np.mean([log_returns[2 + step : 2 + step + known] ** 2 for step in range(HORIZON)], axis=0)
    recent = np.full(expected.shape, np.nan)
    for row in range(20, BARS):
        recent[row] = log_returns[row - 19 : row + 1].std(axis=0, ddof=1)
    part = slice(HAR_FROM, known)
    assert losses.sessions == known - HAR_FROM
    network, linear = (qlike_by_hand(of[part], realised[part]) for of in (expected, recent**2))
    assert losses.losses["network"] == pytest.approx(network.mean(), rel=1e-9)
    assert losses.losses["linear"] == pytest.approx(linear.mean(), rel=1e-9)
    ewma = qlike_by_hand(market_view(panel, strategy_of("log_realised_volatility").portfolio).volatility[part] ** 2,
                         realised[part])  # fmt: skip
    mean, statistic = t_by_hand((ewma - network).mean(axis=1), HORIZON)
    test = losses.gains["network"]["ewma"]
    assert (test.estimate, test.t_statistic) == (pytest.approx(mean, rel=1e-9), pytest.approx(statistic, rel=1e-6))
    degrees = 1.5 * losses.sessions / (losses.sessions // 5 + 1)
    assert test.p_value == pytest.approx(student.sf(statistic, degrees), rel=1e-6)
    assert StudyFigures.from_dict(figures.to_dict()) == figures
    flat = figures.flat()
    assert flat["network_less_than_har_t"] == losses.gains["network"]["har"].t_statistic
    assert flat["network_sharpe_net_absent"] == "the label is a volatility, which has no direction"
    assert not any(value != value for value in flat.values())  # NaN


def test_who_knows_the_level_is_found_and_who_says_what_was_is_not(studied) -> None:
    *_, figures = studied
    verdicts = {name: volatility_verdict(figures, month="2016-06", estimator=name) for name in figures.total}
    assert verdicts["network"].kind == "forecasts volatility better"
    assert verdicts["network"].phrase.startswith("forecasts volatility better than the EWMA and HAR: QLIKE 0.")
    assert verdicts["linear"].kind == verdicts["boosting"].kind == "not shown to forecast volatility better"
    assert "worse than the EWMA, worse than HAR" in verdicts["boosting"].phrase
    for one in verdicts.values():
        better = one.kind == "forecasts volatility better"
        assert one.reason.startswith("it does not trade: a volatility has no direction; ")
        assert ("may size by such forecasts (portfolio.volatility: network)" in one.reason) == better
        assert not one.allows_trading


@pytest.mark.parametrize("kind", ["log_realised_volatility", "volatility_move"])
def test_a_months_verdict_reads_nothing_of_what_comes_after_it(kind: str) -> None:
    strategy, (panel, expected) = strategy_of(kind), market()
    month, last = "2016-01", 525  # the month's last row lies before it
    ended = [day for day in panel.sessions if f"{day:%Y-%m}" == month]
    assert int(panel.sessions.get_loc(ended[-1])) < last
    (whole,) = judged(strategy, panel, expected, [month])
    assert whole.look is not None
    assert whole.look.estimate is not None
    (shorter,) = judged(strategy, cut(panel, last), expected, [month])
    (spoilt,) = judged(strategy, market(spoilt_from=last)[0], expected, [month])
    assert whole == shorter == spoilt
    (later,) = judged(strategy, panel, expected, ["2016-05"])
    (changed,) = judged(strategy, market(spoilt_from=last)[0], expected, ["2016-05"])
    assert later.figures != changed.figures  # what was spoilt would have shown


def test_a_move_is_judged_beside_its_base_rate_and_what_har_implies() -> None:
    strategy, (panel, expected) = strategy_of("volatility_move"), market()
    study = run_volatility_study(strategy, 252, material(strategy, panel, expected), Terms(trials=3))
    losses = study.figures.volatility
    assert losses is not None
    assert (losses.statistic, losses.simple) == ("Brier score", ("base_rate", "har_implied"))
    targets = study.labels_known_at(BARS - 1).targets
    part = np.isfinite(targets) & (np.arange(BARS) >= FIRST)[:, None]
    part &= np.isfinite(study.volatility.simple["har_implied"])  # type: ignore[union-attr]
    said = material(strategy, panel, expected).forecasts["network"].calibrated
    assert losses.losses["network"] == pytest.approx(((said - targets)[part] ** 2).mean())
    assert losses.losses["base_rate"] == pytest.approx(0.25)
    assert volatility_verdict(study.figures, month="2016-06", estimator="network").phrase.startswith(
        "forecasts whether volatility exceeds the threshold better than the base rate and what HAR implies: Brier"
    )


def test_what_a_forecast_implies_of_a_threshold_is_how_often_it_erred_so_far_until_then() -> None:
    draw, bars = np.random.default_rng(2), 260
    forecast, threshold = (np.exp(draw.normal(-4.0, 0.3, (bars, 3))) for _ in range(2))
    variance = (forecast * np.exp(draw.normal(0.0, 0.4, forecast.shape))) ** 2
    variance[50:60, 1], variance[200:, 2] = np.nan, np.nan
    row = np.arange(bars) + 6
    made = exceedance_probability(forecast, threshold, variance, row)
    errors = np.sqrt(variance) / forecast
    for today in (130, 215, 259):
        earlier = errors[: today - 5][np.isfinite(errors[: today - 5])]
        wanted = [(earlier > threshold[today, name] / forecast[today, name]).mean() for name in range(3)]
        np.testing.assert_allclose(made[today], wanted)
    assert np.isnan(made[:125]).all()
    spoilt = np.where((np.arange(bars) > 200)[:, None], 7.0, variance)
    again = exceedance_probability(forecast, threshold, spoilt, row)
    assert again[:207].tobytes() == made[:207].tobytes()
    assert not np.array_equal(again[207:], made[207:], equal_nan=True)


def test_a_forecast_as_good_as_the_simple_ones_is_hardly_ever_called_better() -> None:
    """Three forecasts with errors of one kind that last: none is better. 200 records, three trials, 3% at the look."""
    bars, draw = 500, np.random.default_rng(9)
    strategy = strategy_of("log_realised_volatility")
    panel, _ = market()
    labels = labels_of(strategy, cut(panel, bars))
    called_better, records = 0, 200
    for _ in range(records):
        errors = lfilter([1.0], [1.0, -0.95], 0.06 * draw.normal(size=(3, bars, 4)), axis=1)
        realised = np.exp(draw.normal(0.0, 0.5, (bars, 4)) - 0.125)
        of_record = replace(labels, variance=realised, targets=np.ones_like(realised))
        track = VolatilityTrack("QLIKE", {"network": np.exp(errors[0])}, {"ewma": np.exp(errors[1]),
                                                                        "har": np.exp(errors[2])})  # fmt: skip
        losses = loss_figures(track, of_record, labels.realised_row, HORIZON, np.ones(bars, dtype=bool))
        figures = volatility_study_figures(
            losses, {"network": 1}, horizon=HORIZON, sessions_per_year=252, symbols=4, trials=3
        )
        kind = volatility_verdict(figures, month="2016-01", estimator="network").kind
        called_better += kind == "forecasts volatility better"
    assert called_better <= 6  # of a trial at 1% for each of 200, to be better than both


def test_a_record_too_short_cannot_tell_and_spends_nothing() -> None:
    strategy, (panel, expected) = strategy_of("log_realised_volatility"), market()
    (early,) = judged(strategy, panel, expected, ["2015-01"])
    assert early.verdict.phrase.startswith("cannot tell: ")
    assert early.verdict.phrase.endswith(" more sessions needed")
    assert "sessions are realised, and 250 are needed" in early.verdict.reason
    assert early.look is not None
    assert not early.look.decides


def test_the_page_says_it_first_and_has_no_figure_of_direction(studied) -> None:
    *_, figures = studied
    said = volatility_verdict(figures, month="2016-06", estimator="network")
    page = study_page(made_study_page(verdict=said, figures=figures, plots=(), left_out=()))
    assert "Forecasts volatility better than the EWMA and HAR: QLIKE" in page
    sizes = "a strategy whose label has one may size by such forecasts (portfolio.volatility: network)"
    assert f"It does not trade: a volatility has no direction; {sizes}." in page
    threshold = replace(figures, volatility=replace(figures.volatility, statistic="Brier score"))
    of_threshold = volatility_verdict(threshold, month="2016-06", estimator="network")
    assert of_threshold.kind == "forecasts volatility better"
    assert "may size" not in of_threshold.reason  # what sizes is an ensemble of the variance
    plain = _plain(made_study_page(verdict=of_threshold, figures=threshold, plots=(), left_out=()))
    assert plain.endswith("It does not trade: a volatility has no direction.")
    of_none = volatility_verdict(figures, month="2016-06", estimator="boosting")
    assert sizes not in study_page(made_study_page(verdict=of_none, figures=figures, plots=(), left_out=()))
    assert "Losses, out of sample" in page
    for absent in ("Figures, out of sample", "Sharpe, net", ">nan<", "Leak alarm.</b>"):
        assert absent not in page


REFUSED = {
    "live_starts": ({"market": {"history_starts": "2014-01-02", "live_starts": "2017-01-03"}}, "no market.live_starts"),
    "sizes": (
        {"portfolio": {"volatility": "har"}},
        "portfolio.volatility left out: it sizes positions, and there are none",
    ),
    "without_verdict": ({"trade_without_verdict": True}, "trade_without_verdict: false"),
    "momentum": (
        {"learning": {"baselines": ["linear", "boosting", "momentum"]}},
        "learning.baselines without momentum",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("kind", ["log_realised_volatility", "volatility_move"])
def test_what_asks_for_a_position_beside_a_volatility_is_refused_by_name(kind: str, case: str) -> None:
    settings, message = REFUSED[case]
    with pytest.raises(
        ValueError, match=f"label.kind {kind} forecasts a volatility, which has no direction, and needs {message}"
    ):
        strategy_of(kind, **settings)
