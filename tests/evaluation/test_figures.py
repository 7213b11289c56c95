"""Figures against scikit-learn, scipy and plain arithmetic; no figure missing without its reason."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, brier_score_loss, roc_auc_score

from nn_assets.evaluation.book_figures import spread_of_trials
from nn_assets.evaluation.figures import FIGURE_NAMES, StudyFigures, study_figures
from nn_assets.evaluation.track import BookTrack, StudyTrack
from nn_assets.evaluation.verdict import verdict
from tests.evaluation.tracks import made_record

TERMS = {"horizon_sessions": 5, "sessions_per_year": 252}


def test_totals_are_those_of_other_libraries() -> None:
    record = made_record(150, strength=0.3)
    total = study_figures(record, **TERMS).total["network"]
    known = np.isfinite(record.targets)
    p, y = record.forecasts["network"][known], record.targets[known]
    mixed = [row for row in range(150) if known[row].all() and 0.0 < record.targets[row].mean() < 1.0]
    within = [roc_auc_score(record.targets[row], record.forecasts["network"][row]) for row in mixed]
    assert total.auc == pytest.approx(np.mean(within))
    assert total.accuracy == pytest.approx(accuracy_score(y, p > 0.5))
    assert total.base_accuracy == pytest.approx(max(y.mean(), 1.0 - y.mean()))
    assert total.brier == pytest.approx(brier_score_loss(y, p))
    assert total.base_rate == pytest.approx(y.mean())
    rows = [row for row in range(150) if known[row].all()]
    ics = [spearmanr(record.forecasts["network"][row], record.returns[row]).statistic for row in rows]
    assert total.rank_ic == pytest.approx(np.mean(ics))
    assert total.forecasts == known.sum()
    assert total.forecast_sessions == 144


def test_calibrated_forecasts_stand_beside_the_base_rate_known_then() -> None:
    """Brier of each session's own base rate on the same pairs, and the calibration error by pandas' bins."""
    made = made_record(150, strength=0.3)
    p0 = np.repeat(np.where(np.arange(150) < 70, 0.4, 0.6)[:, None], 6, axis=1)
    holes = np.random.default_rng(1).random((150, 6)) < 0.2
    forecasts = {name: np.clip(np.where(holes, np.nan, values), 0.0, 1.0) for name, values in made.forecasts.items()}
    record = replace(made, forecasts=forecasts, base_rates=dict.fromkeys(forecasts, np.where(holes, np.nan, p0)))
    total = study_figures(record, **TERMS).total["network"]
    pairs = pd.DataFrame(
        {"p": forecasts["network"].ravel(), "y": made.targets.ravel(), "known_then": p0.ravel()}
    ).dropna()
    assert total.base_brier == pytest.approx(brier_score_loss(pairs["y"], pairs["known_then"]))
    bins = pairs.groupby(pd.cut(pairs["p"], np.linspace(0.0, 1.0, 11), include_lowest=True), observed=True)
    apart = (bins["p"].mean() - bins["y"].mean()).abs()
    assert total.calibration_error == pytest.approx(np.average(apart, weights=bins.size()))
    assert (record.until(80).base_rates or {})["network"].shape == (81, 6)
    unknown = study_figures(made, **TERMS).total["network"]
    assert unknown.base_brier is None
    assert "not on record" in unknown.absent["base_brier"]


def test_book_figures_are_plain_arithmetic() -> None:
    record = made_record(400, drift=0.001)
    total = study_figures(record, cash_rate_per_session=0.0001, **TERMS).total["network"]
    net = pd.Series(record.tracks["network"].net)
    excess = net - 0.0001
    assert total.sharpe_net == pytest.approx(excess.mean() / excess.std() * math.sqrt(252))
    wealth = (1.0 + net).cumprod()
    peaks = wealth.cummax().clip(lower=1.0)
    assert total.max_drawdown == pytest.approx((1.0 - wealth / peaks).max())
    assert total.return_per_year == pytest.approx(net.mean() * 252)
    assert total.turnover_per_year == pytest.approx(25.2)
    assert total.hit_ratio == pytest.approx((excess > 0).mean())
    assert total.win_loss_ratio == pytest.approx(excess[excess > 0].mean() / -excess[excess < 0].mean())
    single = excess.mean() / excess.std()
    wide = math.sqrt(1 - excess.skew() * single + (excess.kurt() + 2) / 4 * single**2)
    from statistics import NormalDist

    expected = NormalDist().cdf(single * math.sqrt(399) / wide)
    assert total.probabilistic_sharpe == pytest.approx(expected, abs=2e-3)


def test_a_sharpe_ratio_is_in_excess_of_each_sessions_own_cash_rate() -> None:
    record = made_record(400, drift=0.001)
    rates = np.where(np.arange(400) < 200, 0.0004, 0.0)
    figures = study_figures(record, cash_rate_per_session=rates, **TERMS)
    for name in ("network", "linear"):
        net = record.tracks[name].net - rates
        total = figures.total[name]
        assert total.sharpe_net == pytest.approx(np.nanmean(net) / np.nanstd(net, ddof=1) * math.sqrt(252))
    late = max(str(month) for month in record.months if month)
    rows = record.months == late
    fold = figures.folds[late]["network"]
    net = record.tracks["network"].net[rows] - rates[rows]
    assert fold.sharpe_net == pytest.approx(net.mean() / net.std(ddof=1) * math.sqrt(252))


def test_no_figure_is_nan_and_none_is_missing_without_a_reason() -> None:
    flat = BookTrack(net=np.zeros(80), gross=np.zeros(80), turnover=np.zeros(80))
    base = made_record(80)
    records = [
        base,
        base.until(0),
        base.until(4),
        replace(base, tracks={**base.tracks, "network": flat}),
        replace(base, forecasts={"network": np.full((80, 6), np.nan)}, tracks={}),
        replace(base, forecasts={"network": np.full((80, 6), 0.5)}),
        replace(base, targets=np.full((80, 6), np.nan), returns=np.full((80, 6), np.nan)),
        replace(base, targets=np.where(np.isfinite(base.targets), 1.0, np.nan)),
    ]
    for record in records:
        figures = study_figures(record, **TERMS)
        groups = [figures.total, *figures.folds.values()]
        for one in (one for group in groups for one in group.values()):
            for name, value in one.values().items():
                assert value is None or math.isfinite(value), (one.estimator, name, value)
                assert value is not None or one.absent.get(name), (one.estimator, name)


def test_a_flat_book_has_no_sharpe_and_says_so() -> None:
    base = made_record(120)
    flat = BookTrack(net=np.full(120, 1e-4), gross=np.full(120, 1e-4), turnover=np.zeros(120))
    total = study_figures(replace(base, tracks={"network": flat}), **TERMS).total["network"]
    assert total.sharpe_net is None
    assert "held no position" in total.absent["sharpe_net"]
    assert total.max_drawdown == 0.0


def test_folds_are_the_figures_of_their_own_sessions() -> None:
    record = made_record(400, 2)
    figures = study_figures(record, **TERMS)
    assert list(figures.folds) == ["2005-01", "2005-07", "2006-01", "2006-07"]
    rows = record.months == "2005-07"
    own, weights = [], []
    for column in range(2):
        targets, forecasts = record.targets[rows, column], record.forecasts["linear"][rows, column]
        known = np.isfinite(targets)
        own.append(roc_auc_score(targets[known], forecasts[known]))
        weights.append(targets[known].sum() * (1.0 - targets[known]).sum() / (known.sum() + 1))
    assert figures.folds["2005-07"]["linear"].auc == pytest.approx(np.average(own, weights=weights))
    assert study_figures(record, by_fold=False, **TERMS).folds == {}
    assert study_figures(record, by_fold=False, **TERMS).total == figures.total


def test_regimes_are_reported_apart() -> None:
    record = made_record(300)
    regimes = np.where(np.arange(300) < 100, "calm", np.where(np.arange(300) < 280, "stormy", ""))
    figures = study_figures(replace(record, regimes=regimes), **TERMS)
    assert set(figures.regimes) == {"calm", "stormy"}
    assert figures.regimes["calm"]["network"].return_sessions == 100


def test_figures_too_good_to_be_true_raise_the_alarm() -> None:
    assert study_figures(made_record(300), **TERMS).alarms == ()
    leaking = study_figures(made_record(300, strength=2.0, drift=0.01), **TERMS).alarms
    assert {"network accuracy", "network rank IC", "network net Sharpe"} <= {alarm.name for alarm in leaking}
    wide = study_figures(made_record(300, 12, drift=0.01), **TERMS).alarms
    assert not any("Sharpe" in alarm.name for alarm in wide)


def test_a_perfect_leak_varies_in_no_session_and_rings() -> None:
    record = made_record(200, 8)
    seen = np.isfinite(record.returns)
    outcome = np.where(seen, record.returns - np.median(record.returns, axis=1, keepdims=True), np.nan)
    targets = np.where(seen, (outcome > 0.0).astype(float), np.nan)
    leaking = replace(record, targets=targets, forecasts={**record.forecasts, "network": 0.5 + outcome})
    figures = study_figures(leaking, **TERMS)
    assert figures.total["network"].tests["rank_ic"].p_value is None
    assert {"network rank IC", "network accuracy"} <= {alarm.name for alarm in figures.alarms}
    assert verdict(figures).kind == "leak alarm"
    few = replace(leaking, targets=_first(targets, 8), returns=_first(record.returns, 8))
    short = study_figures(few, **TERMS)
    assert not any(alarm.estimator == "network" for alarm in short.alarms), "a few sessions are no record"


def _first(values: np.ndarray, rows: int) -> np.ndarray:
    return np.where(np.arange(len(values))[:, None] < rows, values, np.nan)


def test_a_figure_above_its_level_that_is_not_sure_is_a_doubt() -> None:
    """Each of the three figures, in records of forty sessions."""
    sharpe = study_figures(made_record(40, drift=0.0025, seed=2), **TERMS)
    assert sharpe.total["network"].sharpe_net > 4.0
    assert sharpe.total["network"].probabilistic_sharpe < 0.97
    skilled = study_figures(made_record(40, 5, strength=0.35, seed=8), **TERMS)
    named = {alarm.name for alarm in (*sharpe.doubts, *skilled.doubts)}
    assert {"network net Sharpe", "network rank IC", "network accuracy"} <= named, named
    assert not any(alarm.name in named for alarm in (*sharpe.alarms, *skilled.alarms) if alarm.estimator == "network")
    assert StudyFigures.from_dict(json.loads(json.dumps(skilled.to_dict()))).doubts == skilled.doubts


def _accuracy_record(base: float, gain: float) -> StudyTrack:
    """One instrument that rises in a share ``base`` of sessions, foretold rightly in ``base`` + ``gain`` of them."""
    record = made_record(2000, 1)
    generator = np.random.default_rng(3)
    targets = np.where(np.isfinite(record.targets), (generator.random((2000, 1)) < base).astype(float), np.nan)
    right = generator.random((2000, 1)) < base + gain
    forecasts = np.where(right == (targets > 0.5), 0.7, 0.3)
    return replace(record, targets=targets, forecasts={"network": forecasts}, tracks={})


@pytest.mark.parametrize(
    ("base", "gain", "rings"), [(0.62, 0.0, False), (0.62, 0.08, False), (0.5, 0.15, True), (0.66, 0.14, True)]
)
def test_the_accuracy_alarm_counts_from_the_base_rate(base: float, gain: float, rings: bool) -> None:
    """Always saying 'up' where 62% of labels are up is right in 62%, and no leak."""
    figures = study_figures(_accuracy_record(base, gain), **TERMS)
    assert ("network accuracy" in {alarm.name for alarm in figures.alarms}) == rings
    network = figures.total["network"]
    assert network.accuracy - network.base_accuracy == pytest.approx(gain, abs=0.03)
    if rings:
        assert "above its base rate" in str(figures.alarms[0])


@pytest.mark.full
def test_a_short_record_of_noise_rings_no_alarm() -> None:
    """Forty sessions of five names, forecast by what does not change, reach a rank IC of 0.1 in one of three."""
    rings = reached = 0
    for seed in range(60):
        record = made_record(46, 5, seed=seed)
        lasting = np.random.default_rng(seed).random(5) + 1e-3 * record.forecasts["network"]
        figures = study_figures(replace(record, forecasts={"network": lasting}), **TERMS)
        reached += figures.total["network"].rank_ic > 0.10
        rings += any(alarm.name == "network rank IC" for alarm in figures.alarms)
    assert reached >= 15
    assert rings <= 3


def test_a_correlation_over_time_is_no_rank_ic_across_symbols() -> None:
    """A single instrument foretold rightly in 57% of sessions, which the field reports, is no leak."""
    figures = study_figures(made_record(3000, 1, strength=0.2), **TERMS)
    network = figures.total["network"]
    assert 0.55 < network.accuracy < 0.59
    assert network.rank_ic > 0.15
    assert figures.alarms == ()


def test_what_beats_what_is_said_by_a_paired_test() -> None:
    base = made_record(300, strength=0.5)
    weak = {**base.forecasts, "network": 1.0 - base.forecasts["network"]}
    remarks = study_figures(replace(base, forecasts=weak), **TERMS).remarks
    assert any(line.startswith("the linear model beats the network: rank IC -") for line in remarks)
    strong = {**base.forecasts, "linear": 1.0 - base.forecasts["linear"]}
    remarks = study_figures(replace(base, forecasts=strong), **TERMS).remarks
    assert any(line.startswith("the network beats the linear model: rank IC +") for line in remarks)
    assert any(line.startswith("the network is not distinguishable from boosting") for line in remarks)


@pytest.mark.full
def test_estimators_alike_are_called_so_but_for_one_in_twenty() -> None:
    claims = 0
    for seed in range(100):
        remarks = study_figures(made_record(300, 8, seed=seed), by_fold=False, **TERMS).remarks
        claims += any("beats" in line for line in remarks if "buy-and-hold" not in line)
    # Either side may be called the better one, each at 5% over both rivals.
    assert claims <= 17, claims


def test_stored_figures_come_back_equal() -> None:
    figures = study_figures(made_record(300), trials=7, **TERMS)
    assert StudyFigures.from_dict(json.loads(json.dumps(figures.to_dict()))) == figures


def test_flat_figures_hold_every_total_or_its_reason() -> None:
    record = made_record(30)
    figures = study_figures(replace(record, tracks={}), **TERMS)
    flat = figures.flat()
    json.dumps(flat, allow_nan=False)
    for name in FIGURE_NAMES:
        assert (f"network_{name}" in flat) != (f"network_{name}_absent" in flat)
    assert flat["network_sharpe_net_absent"] == "no book of network was replayed"
    assert flat["network_brier"] == figures.total["network"].brier


def test_what_has_no_forecasts_or_no_book_counts_none_of_their_sessions() -> None:
    figures = study_figures(made_record(60), **TERMS).total
    bought = figures["buy_and_hold"]
    assert (bought.forecasts, bought.forecast_sessions, bought.return_sessions) == (0, 0, 60)
    unplayed = study_figures(replace(made_record(60), tracks={}), **TERMS).total["network"]
    assert (unplayed.forecasts, unplayed.forecast_sessions, unplayed.return_sessions) == (54 * 6, 54, 0)


def test_the_first_and_last_session_are_those_of_forecasts_and_returns_together() -> None:
    record = made_record(200)
    late = {name: np.where(np.arange(200)[:, None] < 20, np.nan, values) for name, values in record.forecasts.items()}
    net = np.where((np.arange(200) < 40) | (np.arange(200) >= 180), np.nan, record.tracks["linear"].net)
    changed = replace(record, forecasts=late, tracks={"linear": replace(record.tracks["linear"], net=net)})
    figures = study_figures(changed, **TERMS)
    day = [str(session.date()) for session in record.sessions]
    for name in ("network", "linear"):  # the one without a book, the other with a shorter one
        assert (figures.total[name].first_session, figures.total[name].last_session) == (day[20], day[199])
    rows = np.flatnonzero(record.months == "2005-07")
    fold = figures.folds["2005-07"]["network"]
    assert (fold.first_session, fold.last_session) == (day[rows[0]], day[rows[-1]])
    bought = study_figures(replace(record, tracks={"buy_and_hold": changed.tracks["linear"]}), **TERMS)
    assert (bought.total["buy_and_hold"].first_session, bought.total["buy_and_hold"].last_session) == (
        day[40],
        day[179],
    )


def test_a_market_that_mostly_falls_has_falling_as_its_base() -> None:
    network = study_figures(_accuracy_record(0.35, 0.0), **TERMS).total["network"]
    assert network.base_rate == pytest.approx(0.35, abs=0.03)
    assert network.base_accuracy == pytest.approx(1.0 - network.base_rate)


def test_a_record_without_the_network_has_nothing_to_remark() -> None:
    record = made_record(60)
    others = {name: values for name, values in record.forecasts.items() if name != "network"}
    assert study_figures(replace(record, forecasts=others, tracks={}), **TERMS).remarks == ()


@pytest.mark.parametrize(("symbols", "wide"), [(4, False), (5, True)])
def test_five_symbols_make_a_cross_section(symbols: int, wide: bool) -> None:
    figures = study_figures(made_record(60, symbols), **TERMS)
    assert figures.cross_section is wide
    assert figures.smallest_effect.derivation.startswith("rank IC" if wide else "AUC")


def test_more_trials_deflate_the_network_but_not_a_yardstick() -> None:
    record = made_record(500, drift=0.0006)
    one, many = (study_figures(record, trials=trials, **TERMS).total for trials in (1, 50))
    assert many["network"].deflated_sharpe < one["network"].deflated_sharpe
    assert many["buy_and_hold"].deflated_sharpe == one["buy_and_hold"].deflated_sharpe


def test_a_handful_of_trials_does_not_define_their_spread() -> None:
    assert spread_of_trials((0.01, 0.0101), 501) == pytest.approx(1.0 / 500.0)
    known = tuple(np.random.default_rng(0).normal(0.0, 0.05, 40))
    assert spread_of_trials(known, 501) == pytest.approx(np.var(known, ddof=1))


def test_a_label_never_realised_is_never_counted_as_down() -> None:
    record = made_record(100)
    total = study_figures(record, **TERMS).total["network"]
    assert total.forecasts == 94 * 6
    assert isinstance(record, StudyTrack)


def test_a_level_that_follows_past_outcomes_takes_nothing_from_who_knows_nothing() -> None:
    """Ranked by calibrated forecasts, whose level is the rate of past outcomes, noise seemed far worse than chance."""
    record = made_record(1500, 2, seed=4, horizon=1)
    ones = np.nan_to_num(record.targets)
    level = np.full(len(ones), 0.5)
    for row in range(60, len(ones)):
        level[row] = level[row - 1] if row % 21 else 0.5 + 0.8 * (ones[row - 60 : row - 2].mean() - 0.5)
    raw = record.forecasts["network"]
    leveled = level[:, None] + 1e-3 * (raw - 0.5)
    by_score = replace(record, forecasts={"network": leveled}, scores={"network": raw}, months=np.full(1500, "2005-01"))
    by_level = replace(by_score, scores=None)
    measured, fooled = (
        study_figures(variant, horizon_sessions=1, sessions_per_year=252, by_fold=False).total["network"]
        for variant in (by_score, by_level)
    )
    assert measured.tests["auc"].t_statistic is not None
    assert fooled.tests["auc"].t_statistic is not None
    assert abs(measured.tests["auc"].t_statistic) < 2.5
    assert fooled.tests["auc"].t_statistic < measured.tests["auc"].t_statistic - 1.0
    assert measured.brier == fooled.brier  # what is judged as a probability is the calibrated forecast


def test_forecasts_of_two_models_are_never_ranked_against_each_other() -> None:
    """The second model says less of everything, in a year that rises more: pooled that looks like ignorance."""
    record = made_record(400, 1, strength=0.4)
    second = np.arange(400)[:, None] >= 200
    drawn = np.random.default_rng(4).random((400, 1))
    targets = np.where(np.isnan(record.targets) | ~second, record.targets, np.where(drawn < 0.5, 1.0, record.targets))
    forecasts = np.where(second, record.forecasts["network"] - 0.3, record.forecasts["network"])
    models = np.where(second[:, 0], "second", "first")
    mixed = replace(record, forecasts={"network": forecasts}, targets=targets, models=models, tracks={})
    known = np.isfinite(targets[:, 0])
    own, weights = [], []
    for name in ("first", "second"):
        y, p = (array[known & (models == name), 0] for array in (targets, forecasts))
        own.append(roc_auc_score(y, p))
        weights.append(y.sum() * (1.0 - y).sum() / (len(y) + 1))
    total = study_figures(mixed, **TERMS).total["network"]
    assert total.auc == pytest.approx(np.average(own, weights=weights))
    assert total.auc > roc_auc_score(targets[known, 0], forecasts[known, 0]) + 0.05
    in_time = [
        spearmanr(record.returns[rows, 0], forecasts[rows, 0]).statistic
        for rows in (known & (models == name) for name in ("first", "second"))
    ]
    assert total.rank_ic == pytest.approx(np.average(in_time, weights=[200, known.sum() - 200]))
