"""Verdicts: said of noise rarely, of an edge surely, of a short record not at all, and in one order."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from nn_assets.evaluation.figure_set import Figures, LeakAlarm, StudyFigures
from nn_assets.evaluation.figures import study_figures
from nn_assets.evaluation.leak_alarms import StandingAlarm
from nn_assets.evaluation.significance import MeanTest, robust_mean_test
from nn_assets.evaluation.smallest_effect import SmallestEffect
from nn_assets.evaluation.study import Terms, judge_figures
from nn_assets.evaluation.track import BookTrack, StudyTrack
from nn_assets.evaluation.verdict import (
    NOT_A_LOOK,
    Look,
    Verdict,
    look_of,
    size_of,
    trial_adjusted_p_value,
    verdict,
)
from tests.evaluation.tracks import made_record

TERMS = {"horizon_sessions": 5, "sessions_per_year": 252, "by_fold": False}
EFFECT_OF_AUC = 0.0635  # of a binormal score that is right 54.5% of the time: twice the middle of 0.52 to 0.57


def _judged(record: StudyTrack, trials: int = 1, configured_effect: float | None = None) -> Verdict:
    return verdict(study_figures(record, trials=trials, configured_effect=configured_effect, **TERMS))


def _test(estimate: float, t: float, sessions: int = 1000, null: float = 0.0, degrees: float = 1e6) -> MeanTest:
    """A test as it would come out, its p-value from a normal."""
    error = (estimate - null) / t
    return MeanTest(estimate, error, t, 1.0 - NormalDist().cdf(t), degrees, sessions)


def _figures(
    test: MeanTest,
    *,
    effect: float = 0.02,
    trials: int = 1,
    deflated: float | None = 0.5,
    panel: bool = True,
    alarms: tuple[LeakAlarm, ...] = (),
) -> StudyFigures:
    tests = {"rank_ic" if panel else "auc": test}
    network = Figures("network", forecasts=test.sessions, tests=tests, deflated_sharpe=deflated)
    return StudyFigures(
        total={"network": network},
        folds={},
        regimes={},
        horizon_sessions=5,
        sessions_per_year=252,
        symbols=40 if panel else 1,
        trials=trials,
        smallest_effect=SmallestEffect(effect, "stated", 39.0 if panel else 1.0),
        alarms=alarms,
    )


def test_a_strong_signal_that_pays_is_an_edge() -> None:
    result = _judged(made_record(750, 20, strength=0.1, drift=0.0015))
    assert result.kind == result.phrase == "edge found"
    assert result.allows_trading
    assert result.statistic == "rank IC"
    assert result.look == 1


def test_a_signal_that_does_not_pay_is_only_a_signal() -> None:
    result = _judged(made_record(750, 20, strength=0.1, drift=-0.0005))
    assert result.kind == "signal found"
    assert "deflated Sharpe" in result.reason
    assert not result.allows_trading


@pytest.mark.parametrize(
    ("deflated", "kind"),
    [(0.5, "signal found"), (0.949, "signal found"), (0.95, "signal found"), (0.951, "edge found")],
)
def test_an_edge_needs_a_deflated_sharpe_above_095(deflated: float, kind: str) -> None:
    assert verdict(_figures(_test(0.05, 5.0), deflated=deflated)).kind == kind


def test_a_signal_without_a_book_is_only_a_signal() -> None:
    assert _judged(replace(made_record(750, 20, strength=0.1), tracks={})).kind == "signal found"


def test_a_book_that_pays_without_a_signal_is_no_edge() -> None:
    assert _judged(made_record(2500, 20, drift=0.002)).kind == "no edge found"


def test_a_signal_of_the_wrong_sign_is_none() -> None:
    assert _judged(made_record(750, 20, strength=-0.2, drift=0.002)).kind == "no edge found"


def test_a_long_record_of_noise_shows_no_edge() -> None:
    result = _judged(made_record(3000, 2))
    assert result.kind == "no edge found"
    assert result.statistic == "AUC"
    assert "trial" in result.reason
    assert result.interval_high is not None
    assert result.smallest_effect is not None
    assert result.interval_high < result.smallest_effect


@pytest.mark.parametrize(
    "figures",
    [
        _figures(_test(0.024, 2.31), trials=3),
        _figures(_test(0.53, 2.40, null=0.5), trials=3, panel=False, effect=0.04),
    ],
)
def test_no_edge_is_not_said_while_a_plausible_one_lies_in_the_interval(figures: StudyFigures) -> None:
    """Rank IC 0.024, t 2.31 and AUC 0.53, t 2.40, after three trials: both were 'no edge found'."""
    result = verdict(figures)
    assert result.kind in ("cannot tell", "signal found")
    assert result.interval_high is not None
    assert result.smallest_effect is not None
    assert result.interval_high > result.smallest_effect


def test_the_sessions_needed_are_those_of_the_textbook() -> None:
    """n = (z of the level + z of the power)^2 spread^2 / effect^2, less those had; the level is that of live looks."""
    test = _test(0.01, 1.0, sessions=400)  # spread 0.01 x sqrt(400) = 0.2
    result = verdict(_figures(test, effect=0.02))
    normal = NormalDist()
    points = normal.inv_cdf(1.0 - 0.015) + normal.inv_cdf(0.80)
    assert result.sessions_needed is not None
    # Student-t points of a finite record lie a little further out than the normal's.
    assert 0 <= result.sessions_needed - ((points * 0.2 / 0.02) ** 2 - 400) < 90
    assert result.phrase == f"cannot tell: {result.sessions_needed:,} more sessions needed"


def test_an_interval_above_the_smallest_effect_is_not_said_to_hold_it_and_lacks_the_level_of_its_look() -> None:
    """p 0.040 against 0.03 stood beside "the interval 0.0279 to 0.1559 holds ... 0.0247"."""
    error, trials, sessions, effect = 0.0919 / 2.6, 9, 539, 0.0247
    result = verdict(_figures(MeanTest(0.0919, error, 2.6, 0.0045, 1e6, sessions), effect=effect, trials=trials))
    assert result.kind == "cannot tell"
    assert result.interval_low is not None
    assert result.interval_low > effect
    assert "holds" not in result.reason
    assert "lies above the smallest effect of interest, 0.0247: only the level of this look" in result.reason
    lower = MeanTest(0.05, error, 0.05 / error, 0.08, 1e6, sessions)
    holding = verdict(_figures(lower, effect=effect, trials=trials))
    assert "holds the smallest effect of interest, 0.0247" in holding.reason
    # Those that the smallest effect needs: what was measured by luck or not asks for no fewer.
    assert result.sessions_needed == holding.sessions_needed
    assert result.sessions_needed is not None


def test_an_interval_that_holds_the_smallest_effect_says_so() -> None:
    result = verdict(_figures(_test(0.01, 1.0, sessions=400), effect=0.02))
    assert "holds the smallest effect of interest, 0.0200" in result.reason


def test_a_larger_effect_or_a_steadier_record_needs_fewer() -> None:
    def needed(effect: float, spread: float) -> int:
        test = MeanTest(0.005, spread / math.sqrt(200), 0.5, 0.3, 1e6, 200)
        sessions = verdict(_figures(test, effect=effect)).sessions_needed
        assert sessions is not None
        return sessions

    assert needed(0.02, 0.4) > needed(0.03, 0.4) > needed(0.03, 0.35)


@pytest.mark.full
def test_the_sessions_asked_for_are_enough_to_decide() -> None:
    """A record of the length asked for finds the effect in about 80% of studies, or a little more at a first look."""
    short = [
        _judged(made_record(150, 2, seed=seed), configured_effect=EFFECT_OF_AUC).sessions_needed for seed in range(30)
    ]
    rows = 150 + int(np.median([needed for needed in short if needed is not None]))
    strength = 0.145
    long = study_figures(made_record(4000, 2, strength=strength), configured_effect=EFFECT_OF_AUC, **TERMS)
    assert long.total["network"].auc == pytest.approx(0.5 + EFFECT_OF_AUC, abs=0.006)
    kinds = [_judged(made_record(rows, 2, seed=seed, strength=strength)).kind for seed in range(60)]
    assert 0.7 < np.mean([kind in ("signal found", "edge found") for kind in kinds]) <= 0.97


def test_a_record_as_long_as_the_effect_needs_has_spent_its_plan_and_says_what_is_left() -> None:
    test = _test(0.014, 1.8, sessions=6000)
    result = verdict(_figures(test, effect=0.0275))
    assert result.kind == "cannot tell"
    assert result.sessions_needed is None
    error = 0.014 / 1.8
    high = 0.014 + NormalDist().inv_cdf(0.97) * error
    low = 0.014 - NormalDist().inv_cdf(0.97) * error
    assert result.interval_high == pytest.approx(high, abs=1e-5)
    assert result.phrase == f"cannot tell: planned sample spent, rank IC within {low:.3f} to {high:.3f}"


def test_a_record_too_short_for_a_test_asks_for_what_the_effect_needs() -> None:
    """Never 60 less those had: 34 sessions of two instruments are thousands away from telling anything."""
    result = _judged(made_record(40, 2))
    assert result.kind == "cannot tell"
    assert result.sessions_needed is not None
    assert result.sessions_needed > 1000


def test_without_any_record_the_verdict_asks_for_one() -> None:
    for record in (made_record(100).until(20), replace(made_record(100), forecasts={})):
        result = _judged(record)
        assert result.kind == "cannot tell"
        assert result.sessions_needed is not None
        assert result.sessions_needed > 60


def test_forecasts_that_never_differ_find_nothing() -> None:
    base = made_record(300, 6)
    result = _judged(replace(base, forecasts={"network": np.full((300, 6), 0.5)}))
    assert result.kind in ("no edge found", "cannot tell")
    assert result.adjusted_p_value is None


def test_trials_make_the_same_record_less_convincing() -> None:
    record = made_record(750, 20, strength=0.045, drift=0.001)
    one, many = _judged(record), _judged(record, trials=50_000)
    assert one.adjusted_p_value is not None
    assert many.adjusted_p_value is not None
    assert many.adjusted_p_value > one.adjusted_p_value
    assert one.kind in ("signal found", "edge found")
    assert many.kind not in ("signal found", "edge found")


def test_trials_widen_no_bound() -> None:
    """No edge found is adjusted for looks, not for trials."""
    one, many = (verdict(_figures(_test(0.001, 0.3), trials=trials)) for trials in (1, 1000))
    assert one.kind == many.kind == "no edge found"
    assert one.interval_high == many.interval_high


def test_the_adjusted_p_value_is_that_of_the_best_of_many() -> None:
    best = np.random.default_rng(0).random((200_000, 10)).min(axis=1)
    assert trial_adjusted_p_value(0.01, 10) == pytest.approx((best <= 0.01).mean(), abs=2e-3)
    assert trial_adjusted_p_value(0.03, 1) == pytest.approx(0.03)
    assert trial_adjusted_p_value(1.0, 5) == pytest.approx(1.0)


@pytest.mark.full
@pytest.mark.parametrize("columns", [2, 20])
def test_noise_is_seldom_called_a_signal(columns: int) -> None:
    rounds, signals = 150, 0
    for seed in range(rounds):
        record = made_record(600, columns, seed=1000 + seed)
        lucky = BookTrack(net=np.full(600, 1e-3), gross=np.full(600, 1e-3), turnover=np.zeros(600))
        kept = replace(record, forecasts={"network": record.forecasts["network"]}, tracks={"network": lucky})
        signals += _judged(kept).kind in ("signal found", "edge found")
    assert signals / rounds <= 0.03 + 2.0 * math.sqrt(0.03 * 0.97 / rounds), signals / rounds


# --- looks -----------------------------------------------------------------------------------------


def _months(count: int, first: str = "2010-01") -> list[str]:
    return [str(month) for month in pd.period_range(first, periods=count, freq="M")]


def _sequence(tests: list[MeanTest], deflated: list[float | None], **options: object) -> list[Verdict]:
    """Verdicts taken month after month, each knowing those before."""
    looks: list[Look] = []
    verdicts = []
    for test, sharpe, month in zip(tests, deflated, _months(len(tests)), strict=True):
        figures = _figures(test, deflated=sharpe, **options)  # type: ignore[arg-type]
        result = verdict(figures, looks, month)
        looks.append(look_of(figures, month, "network", allows_trading=result.allows_trading))
        verdicts.append(result)
    return verdicts


@pytest.mark.full
@pytest.mark.parametrize("rounds", [80, pytest.param(200, marks=pytest.mark.full)])
def test_noise_watched_for_five_years_is_called_a_signal_in_at_most_5_percent(rounds: int) -> None:
    """Overlapping labels, tested as they are in a study, at 62 looks: tested anew each month, 'signal' in far more."""
    months, first, horizon = _months(62), 500, 5
    generator = np.random.default_rng(7)
    crossed = naive = 0
    for _ in range(rounds):
        daily = generator.standard_normal(first + 62 * 21 + horizon)
        series = np.convolve(daily, np.ones(horizon), "valid") * 0.05
        looks: list[Look] = []
        signalled = anew = False
        for index, month in enumerate(months):
            test = robust_mean_test(series[: first + 21 * index], horizon)
            figures = _figures(test, effect=0.001)
            result = verdict(figures, looks, month)
            looks.append(look_of(figures, month, "network"))
            signalled |= result.kind == "signal found"
            anew |= test.p_value is not None and test.p_value < 0.05
        crossed, naive = crossed + signalled, naive + anew
    assert crossed / rounds <= 0.05 + 2.0 * math.sqrt(0.05 * 0.95 / 200), crossed / rounds
    assert naive / rounds > 0.12, naive / rounds


def test_what_one_look_found_the_next_ones_keep() -> None:
    verdicts = _sequence([_test(0.05, 3.0, 700), _test(0.045, 2.8, 721), _test(0.045, 2.8, 742)], [0.97, 0.96, 0.9])
    assert [result.kind for result in verdicts] == ["edge found", "edge found", "signal found"]
    assert "found at the look of 2010-01" in verdicts[1].reason
    assert [result.look for result in verdicts] == [1, 2, 3]


def test_what_a_look_may_spend_is_told() -> None:
    first, second = _sequence([_test(0.05, 1.0)] * 2, [0.5] * 2)
    assert "adjusted for 1 trial; the first look requires p below 0.03;" in first.reason
    assert first.allowed_p_value == pytest.approx(0.03)
    assert "; look 2 (the first was that of 2010-01) has next to no error left to spend" in second.reason


def test_a_second_look_may_hardly_spend_anything() -> None:
    verdicts = _sequence([_test(0.02, 1.0, 700), _test(0.05, 3.0, 721)], [0.99, 0.99], effect=0.03)
    assert verdicts[1].kind == "cannot tell"
    assert verdicts[1].allowed_p_value is not None
    assert verdicts[1].allowed_p_value < 1e-9
    assert verdict(_figures(_test(0.05, 3.0, 721), deflated=0.99, effect=0.03)).kind == "edge found"


def test_trials_that_come_later_count_at_the_earlier_look_too() -> None:
    figures = _figures(_test(0.045, 2.4, 721), trials=40)
    before = look_of(_figures(_test(0.045, 2.4, 700)), "2010-01", "network")
    assert verdict(figures, [before], "2010-02", trials=1).kind == "signal found"
    assert verdict(figures, [before], "2010-02").kind == "cannot tell"


def test_no_edge_stands_until_the_record_contradicts_it() -> None:
    verdicts = _sequence([_test(0.001, 0.2, 700), _test(0.002, 0.4, 721), _test(0.04, 4.0, 742)], [0.5] * 3)
    assert [result.kind for result in verdicts] == ["no edge found", "no edge found", "cannot tell"]


def test_a_look_at_too_short_a_record_spends_nothing() -> None:
    verdicts = _sequence([_test(0.05, 2.0, 30), _test(0.05, 2.3, 900)], [0.99, 0.99])
    assert verdicts[0].kind == "cannot tell"
    assert verdicts[1].allowed_p_value == pytest.approx(0.03, abs=1e-6)
    assert verdicts[1].kind == "edge found"


# --- what trading reads ----------------------------------------------------------------------------


def test_trading_begins_with_an_edge_and_goes_on_while_it_pays() -> None:
    tests = [_test(0.05, 4.0, 700 + 21 * index) for index in range(5)]
    verdicts = _sequence(tests, [0.97, 0.85, 0.80, 0.79, 0.90])
    assert [result.allows_trading for result in verdicts] == [True, True, True, False, False]
    assert verdicts[1].kind == "signal found"
    assert "trading goes on" in verdicts[1].reason


def test_a_signal_alone_begins_no_trading() -> None:
    verdicts = _sequence([_test(0.05, 4.0, 700), _test(0.05, 4.0, 721)], [0.90, 0.94])
    assert [result.allows_trading for result in verdicts] == [False, False]


def test_no_edge_a_missing_sharpe_and_an_alarm_stop_trading() -> None:
    looks = [Look("2010-01", 700, 0.05, 0.0125, 1e6, allows_trading=True)]
    assert _sequence([_test(0.05, 4.0, 700), _test(0.05, 4.0, 721)], [0.97, None])[1].allows_trading is False
    alarm = LeakAlarm("linear", "rank IC", "linear: rank IC 0.3 is above 0.1; look for a leak before belief")
    stopped = verdict(_figures(_test(0.05, 4.0, 721), deflated=0.97, alarms=(alarm,)), looks, "2010-02")
    assert (stopped.kind, stopped.allows_trading) == ("leak alarm", False)
    gone = verdict(_figures(_test(0.001, 0.25, 1960), deflated=0.97), looks, "2015-01")
    assert (gone.kind, gone.allows_trading) == ("no edge found", False)


# --- alarms ----------------------------------------------------------------------------------------


def test_a_standing_alarm_comes_before_everything_and_a_release_is_repeated() -> None:
    figures = study_figures(made_record(750, 20, strength=0.5, drift=0.0015), **TERMS)
    assert {alarm.name for alarm in figures.alarms} >= {"network rank IC"}
    result = verdict(figures)
    assert result.kind == "leak alarm"
    assert not result.allows_trading
    released = {alarm.name: "released 2018-01-02 by ann: planted" for alarm in figures.alarms}
    after = verdict(figures, released=released)
    assert after.kind == "edge found"
    assert len(after.released) == len(figures.alarms)
    assert all("by ann: planted" in release for release in after.released)
    quiet = verdict(_figures(_test(0.05, 5.0)), released={"network rank IC": "released 2018-01-02 by ann: planted"})
    assert quiet.released == ("network rank IC (released 2018-01-02 by ann: planted)",)
    one_left = dict(list(released.items())[1:])
    assert verdict(figures, released=one_left).kind == "leak alarm"


def test_an_alarm_stands_at_later_looks_until_a_person_releases_it() -> None:
    alarm = LeakAlarm("linear", "rank IC", "linear: rank IC 0.3 is above 0.1; look for a leak before belief")
    rings, quiet = (_figures(_test(0.05, 4.0, 721), deflated=0.97, alarms=rung) for rung in ((alarm,), ()))
    terms = Terms(trials=1, first_look="2015-11")
    months = {"2015-11": rings, "2015-12": quiet, "2016-01": quiet}
    judged = judge_figures(months, terms)
    assert [month.verdict.kind for month in judged] == ["leak alarm"] * 3
    assert not any(month.verdict.allows_trading for month in judged)
    for month in judged[1:]:
        assert month.verdict.unreleased_alarms == {alarm.name: str(alarm)}
        assert f"{alarm} (since the look of 2015-11)" in month.verdict.reason
    looks, left = [month.look for month in judged if month.look is not None], judged[-1].standing_alarms
    released = {alarm.name: "released 2016-02-02 by ann: planted"}
    after = judge_figures({"2016-02": quiet}, replace(terms, looks=looks, released=released))[0].verdict
    assert (after.kind, after.unreleased_alarms) == ("edge found", {})
    still = judge_figures({"2016-02": quiet}, replace(terms, looks=looks, standing_alarms=left))[0].verdict
    assert "(since the look of 2015-11)" in still.reason
    assert judge_figures({"2016-02": quiet}, replace(terms, looks=looks))[0].verdict.kind == "edge found"
    earlier = judge_figures({"2015-10": quiet}, replace(terms, first_look="2015-10", standing_alarms=left))[0]
    assert earlier.verdict.kind == "edge found"  # a look of a month before it rang knows nothing of it


def test_an_alarm_on_record_stands_where_the_look_that_rang_is_the_one_judged() -> None:
    """The same record judged without the estimator that rang: its look is not taken again, and its alarm stands."""
    quiet = _figures(_test(0.05, 4.0, 721), deflated=0.97)
    finding = "boosting: rank IC 0.163 is above 0.1"
    terms = Terms(
        trials=1,
        first_look="2015-11",
        looks=[look_of(quiet, "2015-11", "network")],
        standing_alarms=[StandingAlarm("boosting rank IC", finding, "2015-11", "t", 0.163)],
    )
    (judged,) = judge_figures({"2015-11": quiet}, terms)
    assert (judged.verdict.kind, judged.verdict.unreleased_alarms) == ("leak alarm", {"boosting rank IC": finding})
    assert judged.standing_alarms == tuple(terms.standing_alarms)


@pytest.mark.parametrize(("figure", "kind"), [(0.21, "leak alarm"), (0.19, "edge found"), (0.16, "edge found")])
def test_a_released_figure_that_is_larger_by_more_than_its_noise_rings_again(figure: float, kind: str) -> None:
    """Of a standard error of 0.02 the one-sided 1% lies 0.0465 above the 0.15 that was released."""
    alarm = LeakAlarm("network", "rank IC", f"network: rank IC {figure} is above 0.1; look for a leak before belief")
    test = MeanTest(figure, 0.02, figure / 0.02, 1e-9, 1e6, 721)
    figures = _figures(test, deflated=0.97, alarms=(alarm,))
    released = {alarm.name: "released 2018-01-02 at 0.150 by ann: planted"}
    terms = Terms(trials=1, first_look="2015-11", released=released, released_figures={alarm.name: 0.15})
    (judged,) = judge_figures({"2015-11": figures}, terms)
    assert judged.verdict.kind == kind
    assert len(judged.verdict.released) == 1
    expected = (StandingAlarm(alarm.name, str(alarm), "2015-11", figure=figure),) if kind == "leak alarm" else ()
    assert judged.standing_alarms == expected
    of_any_size = replace(terms, released_figures={})  # as releases of before are read
    assert judge_figures({"2015-11": figures}, of_any_size)[0].verdict.kind == "edge found"


def test_the_noise_of_a_net_sharpe_ratio_is_that_of_independent_normal_returns() -> None:
    """Simulated: the annual Sharpe ratios of 4,000 records of 250 sessions, of a daily one of 0.3."""
    draws = np.random.default_rng(3).normal(0.003, 0.01, (4000, 250))
    ratios = draws.mean(axis=1) / draws.std(axis=1, ddof=1) * math.sqrt(252)
    of_book = Figures("linear", sharpe_net=0.3 * math.sqrt(252), return_sessions=250)
    figures = replace(_figures(_test(0.05, 4.0)), total={"linear": of_book})
    value, error, _ = size_of(figures, LeakAlarm("linear", "net Sharpe", ""))
    assert value == pytest.approx(ratios.mean(), rel=0.01)
    assert error == pytest.approx(ratios.std(), rel=0.04)


@pytest.mark.parametrize("seed", [89, 136])
def test_no_edge_is_found_on_a_rank_ic_above_the_alarm(seed: int) -> None:
    """Twelve names, 110 sessions, labels of 20: rank IC 0.22, p 0.015, net Sharpe 4.6 was an edge, without an alarm."""
    record = made_record(110, 12, seed=seed, strength=0.15, horizon=20, drift=0.003)
    figures = study_figures(record, horizon_sessions=20, sessions_per_year=252, by_fold=False)
    network = figures.total["network"]
    assert network.rank_ic > 0.10
    assert 0.01 < network.tests["rank_ic"].p_value < 0.03
    result = verdict(figures)
    assert (result.kind, result.allows_trading) == ("leak alarm", False)
    assert "network rank IC" in result.unreleased_alarms


@pytest.mark.parametrize("figure", ["accuracy", "net Sharpe", "rank IC"])
def test_what_is_above_an_alarms_level_is_never_found_however_unsure_it_is(figure: str) -> None:
    """A signal that an earlier look found, or another statistic shows, while the figure itself is not sure now."""
    looks = [Look("2010-01", 700, 0.05, 0.0125, 1e6, allows_trading=True)]
    doubt = LeakAlarm("network", figure, f"network: {figure} is above its level; look for a leak before belief")
    figures = replace(_figures(_test(0.11, 1.0, 721), deflated=0.97), doubts=(doubt,))
    result = verdict(figures, looks, "2010-02")
    assert (result.kind, result.allows_trading, list(result.unreleased_alarms)) == ("leak alarm", False, [doubt.name])
    assert verdict(figures).kind == "cannot tell"  # where nothing is found nothing rings
    tried = verdict(figures, looks, "2010-02", trials=100_000)  # no look's signal any more, but trading went on
    assert (tried.kind, tried.allows_trading) == ("leak alarm", False)
    released = {doubt.name: "released 2018-01-02 by ann: planted"}
    after = verdict(figures, looks, "2010-02", released=released)
    assert (after.kind, after.unreleased_alarms) == ("edge found", {})
    assert after.released == (f"{doubt} ({released[doubt.name]})",)
    others = replace(figures, doubts=(replace(doubt, estimator="linear"),))
    assert verdict(others, looks, "2010-02").kind == "edge found"


def test_a_month_before_the_first_look_has_no_verdict() -> None:
    assert NOT_A_LOOK.phrase == "cannot tell"
    assert not NOT_A_LOOK.allows_trading
    assert NOT_A_LOOK.look is None


def test_a_verdict_kept_as_json_says_the_same() -> None:
    for figures in (_figures(_test(0.001, 0.3)), _figures(_test(0.014, 1.8, 6000), effect=0.022)):
        result = verdict(figures)
        again = Verdict(**json.loads(json.dumps(asdict(result))))
        assert (again.phrase, again.reason, again.allows_trading) == (
            result.phrase,
            result.reason,
            result.allows_trading,
        )


def test_a_look_that_the_newest_rules_out_bounds_nothing() -> None:
    """0.10 at the first look, 0.03 at the next one: an interval from 0.08 upwards would not hold what is measured."""
    first, second = _sequence([_test(0.10, 10.0, 700), _test(0.03, 3.0, 721)], [0.5] * 2)
    assert first.interval_low is not None
    assert first.interval_low > 0.03
    assert second.interval_low is None or second.interval_low <= 0.03


def test_two_looks_that_measured_a_hair_apart_are_two() -> None:
    one = look_of(_figures(_test(0.0300, 2.0)), "2010-01", "network")
    assert one.sees_as(look_of(_figures(_test(0.0300 * (1.0 + 1e-12), 2.0)), "2010-01", "network"))
    assert not one.sees_as(look_of(_figures(_test(0.0301, 2.0)), "2010-01", "network"))


def test_a_long_record_that_does_not_vary_asks_for_more_sessions_never_for_fewer() -> None:
    still = MeanTest(0.05, None, None, None, None, 100_000, "it is the same in every session: nothing varies")
    assert verdict(_figures(still)).sessions_needed == 1


def test_within_the_session_the_reason_counts_decisions() -> None:
    figures = _figures(_test(0.01, 1.0, sessions=400))
    per_session, per_decision = verdict(figures), verdict(figures, decisions_per_day=288)
    assert per_decision.reason == per_session.reason.replace("sessions", "decisions")
    assert per_decision.phrase.startswith(f"cannot tell: {per_session.sessions_needed:,} more decisions (about ")
    assert replace(per_decision, decisions_per_day=None, reason=per_session.reason) == per_session
    judged = judge_figures({"2024-02": figures}, Terms(trials=1, first_look="2024-02", decisions_per_day=288))
    assert judged[0].verdict.decisions_per_day == 288


def test_looks_after_the_plan_go_by_the_decisions_that_count() -> None:
    """A flat book's labels end within the session, so that fewer decisions count than annualise a figure."""
    figures = _figures(_test(0.01, 1.0, sessions=2000))
    looks = [Look("2024-01", 300, 0.01, 0.01, 1e6), Look("2029-01", 1900, 0.01, 0.01, 1e6)]
    few, of_all = (verdict(figures, looks, "2029-02", counted_per_year=count) for count in (115, None))
    assert few.allowed_p_value == verdict(replace(figures, sessions_per_year=115), looks, "2029-02").allowed_p_value
    assert few.allowed_p_value != of_all.allowed_p_value
