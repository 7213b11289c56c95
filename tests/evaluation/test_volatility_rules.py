"""What decides the verdict on forecasts of a volatility: which cells, which test, which degrees, how many trials."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student

from nn_assets.arrays import Cube, FloatArray
from nn_assets.evaluation.figure_set import LossFigures, StudyFigures
from nn_assets.evaluation.significance import MeanTest
from nn_assets.evaluation.study import Study, StudyMaterial, StudyStretch, Terms, judge_months
from nn_assets.evaluation.volatility_figures import VolatilityTrack, loss_figures, volatility_study_figures
from nn_assets.evaluation.volatility_study import run_volatility_study
from nn_assets.evaluation.volatility_verdict import volatility_look, volatility_verdict
from nn_assets.market.panel import FIELDS, Panel
from nn_assets.reports.tables import loss_table
from nn_assets.session.market_view import market_view
from nn_assets.settings import Strategy
from tests.evaluation.test_volatility_study import (
    BARS,
    FIRST,
    HAR_FROM,
    HORIZON,
    NAMES,
    cut,
    labels_of,
    market,
    material,
    qlike_by_hand,
    strategy_of,
)

KNOWN = BARS - 1 - HORIZON  # rows whose outcome the last one knows
LOG, MOVE = "log_realised_volatility", "volatility_move"
PANEL, EXPECTED = market()


def log_returns_of(close: FloatArray) -> FloatArray:
    return np.diff(np.log(close), axis=0, prepend=np.nan)


def realised_by_hand() -> FloatArray:
    squares, variance = log_returns_of(PANEL.close) ** 2, np.full(PANEL.close.shape, np.nan)
    variance[:KNOWN] = np.mean([squares[2 + step : 2 + step + KNOWN] for step in range(HORIZON)], axis=0)
    return variance


def recent_by_hand(close: FloatArray) -> FloatArray:
    returns, recent = log_returns_of(close), np.full(close.shape, np.nan)
    for row in range(20, len(close)):
        recent[row] = returns[row - 19 : row + 1].std(axis=0, ddof=1)
    return recent


def studied(strategy: Strategy, changed: StudyMaterial | None = None, terms: Terms | None = None) -> Study:
    of = material(strategy, PANEL, EXPECTED) if changed is None else changed
    return run_volatility_study(strategy, 252, of, terms or Terms(trials=3))


def losses_of(study: Study) -> LossFigures:
    assert study.figures.volatility is not None
    return study.figures.volatility


def track_of(study: Study) -> VolatilityTrack:
    assert study.volatility is not None
    return study.volatility


def with_forecasts(strategy: Strategy, estimator: str, change: Callable[[FloatArray], FloatArray]) -> StudyMaterial:
    """The usual material, with one estimator's forecasts changed."""
    usual = material(strategy, PANEL, EXPECTED)
    share = change(usual.forecasts[estimator].probability)
    changed = replace(usual.forecasts[estimator], probability=share, calibrated=share)
    return replace(
        usual, forecasts=replace(usual.forecasts, estimators={**usual.forecasts.estimators, estimator: changed})
    )


def from_row(row: int) -> Callable[[FloatArray], FloatArray]:
    return lambda share: np.where(np.arange(len(share))[:, None] < row, np.nan, share)


@pytest.mark.parametrize("kind", [LOG, MOVE])
@pytest.mark.parametrize("begins", [600, BARS])  # BARS: it forecasts nothing
def test_an_estimator_with_few_forecasts_takes_no_session_from_the_networks_verdict(kind: str, begins: int) -> None:
    strategy = strategy_of(kind)
    whole = studied(strategy)
    late = studied(strategy, with_forecasts(strategy, "linear", from_row(begins)))
    losses, usual = losses_of(late), losses_of(whole)
    for estimator in ("network", "boosting"):
        assert losses.gains[estimator] == usual.gains[estimator]
        assert late.figures.total[estimator] == whole.figures.total[estimator]
    terms = Terms(trials=3, first_look="2016-06")
    (judged,), (usually,) = (judge_months(strategy, 252, study, ["2016-06"], terms) for study in (late, whole))
    assert (judged.verdict, judged.look) == (usually.verdict, usually.look)
    assert judged.verdict.kind == "forecasts volatility better"
    silent = begins == BARS
    few = KNOWN - begins
    assert losses.sessions == (usual.sessions if silent else few)
    assert late.figures.total["linear"].forecast_sessions == max(few, 0)
    own = volatility_verdict(late.figures, month="2016-06", estimator="linear")
    assert (own.kind, own.adjusted_p_value) == ("cannot tell", None)
    why = "no session has both forecasts" if silent else f"{few} sessions are realised, and 250 are needed"
    assert why in own.reason
    cells = next(row for row in loss_table(losses)[1] if row[0] == "network")[2:]
    assert all(cell.endswith(f", over {usual.sessions} sessions") != silent for cell in cells)


def test_a_table_is_of_the_sessions_that_all_forecast_and_a_sentence_of_those_of_its_test() -> None:
    strategy = strategy_of(LOG)
    late = studied(strategy, with_forecasts(strategy, "linear", from_row(600)))
    losses, realised = losses_of(late), realised_by_hand()
    of_all = qlike_by_hand(EXPECTED[600:KNOWN], realised[600:KNOWN]).mean()
    own = qlike_by_hand(EXPECTED[HAR_FROM:KNOWN], realised[HAR_FROM:KNOWN]).mean()
    assert losses.losses["network"] == pytest.approx(of_all, rel=1e-9)
    assert f"QLIKE {own:.4f} against" in volatility_verdict(late.figures, month="2016-06", estimator="network").phrase
    assert StudyFigures.from_dict(late.figures.to_dict()) == late.figures
    stored = late.figures.to_dict()
    del stored["volatility"]["compared"]  # as records were kept before
    before = StudyFigures.from_dict(stored)
    assert f"QLIKE {of_all:.4f} against" in volatility_verdict(before, month="2016-06", estimator="network").phrase


def test_sessions_that_the_record_had_seen_count_for_nothing() -> None:
    strategy, seen = strategy_of(LOG), 330
    terms = Terms(trials=3, in_sample_until=PANEL.sessions[seen])
    study = studied(strategy, terms=terms)
    losses, part = losses_of(study), slice(seen + 1, KNOWN)
    assert losses.sessions == KNOWN - seen - 1
    assert losses.losses["network"] == pytest.approx(
        qlike_by_hand(EXPECTED[part], realised_by_hand()[part]).mean(), rel=1e-9
    )
    assert losses.gains["network"]["har"].sessions == losses.sessions

    def other(share: FloatArray) -> FloatArray:
        return np.where(np.arange(BARS)[:, None] <= seen, 0.9, share)

    spoilt = studied(strategy, with_forecasts(strategy, "network", other), terms)
    assert spoilt.figures == study.figures
    assert losses_of(studied(strategy)).gains["network"] != losses.gains["network"]


def test_a_cell_without_a_label_is_no_outcome_though_its_variance_is_known() -> None:
    strategy = strategy_of(LOG)
    study = studied(strategy)
    labels, track = study.labels_known_at(BARS - 1), track_of(study)
    assert labels.variance is not None
    still = np.array([name == "DDD" for name in NAMES])
    unlabelled = replace(
        labels, targets=np.where(still, np.nan, labels.targets), variance=np.where(still, 7.0, labels.variance)
    )
    losses = loss_figures(track, unlabelled, labels.realised_row, HORIZON, np.ones(BARS, dtype=bool))
    part = slice(HAR_FROM, KNOWN)
    wanted = qlike_by_hand(EXPECTED[part, ~still], realised_by_hand()[part, ~still]).mean()
    assert losses.losses["network"] == pytest.approx(wanted, rel=1e-9)


def test_what_is_restated_later_changes_no_forecast_and_no_unit_of_the_sessions_before() -> None:
    strategy, restated_row, known_from = strategy_of(LOG), 390, 400
    close = PANEL.close.copy()
    close[restated_row] *= 1.2
    fields = {name: getattr(PANEL, name) for name in FIELDS}
    fields |= {"open": close, "close": close, "high": close * 1.001, "low": close * 0.999}
    later = Panel(sessions=PANEL.sessions, symbols=NAMES, **fields)

    def known() -> Iterator[StudyStretch]:
        for rows, seen in ((range(FIRST, known_from), cut(PANEL, known_from)), (range(known_from, BARS), later)):
            cube = Cube(seen.sessions, NAMES, ("close",), seen.close[:, :, None])
            yield StudyStretch(rows, market_view(seen, strategy.portfolio), cube, labels_of(strategy, seen), {})

    first = track_of(studied(strategy))
    again = track_of(studied(strategy, replace(material(strategy, PANEL, EXPECTED), known=known)))
    for name in ("ewma", "har", "network", "linear"):
        old, new = ({**one.simple, **one.forecasts}[name] for one in (first, again))
        assert new[FIRST:known_from].tobytes() == old[FIRST:known_from].tobytes(), name
        assert not np.array_equal(new[known_from:], old[known_from:], equal_nan=True), name  # it knows it by then
    unit = again.forecasts["linear"]  # its share of 0.5 is the unit's square
    np.testing.assert_allclose(unit[HAR_FROM:known_from], recent_by_hand(PANEL.close)[HAR_FROM:known_from] ** 2)
    np.testing.assert_allclose(unit[known_from:], recent_by_hand(close)[known_from:] ** 2)


def test_what_har_implies_of_a_move_is_of_the_multiple_that_is_to_be_exceeded() -> None:
    label = {"kind": MOVE, "horizon_sessions": HORIZON, "execution": "next_close", "settings": {"multiple": 2.0}}
    study = studied(strategy_of(MOVE, label=label))
    har = np.sqrt(track_of(studied(strategy_of(LOG))).simple["har"])
    made, recent, realised = track_of(study).simple["har_implied"], recent_by_hand(PANEL.close), realised_by_hand()
    for today in (420, 500, 610):
        then = slice(today - HORIZON)  # filled a session later, and realised by today
        errors = np.sqrt(realised[then]) / har[then]
        errors = errors[np.isfinite(errors)]
        wanted = [(errors > 2.0 * recent[today, name] / har[today, name]).mean() for name in range(len(NAMES))]
        np.testing.assert_allclose(made[today], wanted, atol=1e-12)
    targets = study.labels_known_at(BARS - 1).targets
    part = np.isfinite(targets) & np.isfinite(made)
    np.testing.assert_array_equal(targets[part], (np.sqrt(realised) > 2.0 * recent)[part])


def record(network: float, ewma: float, har: float, *, bars: int = 500, horizon: int = HORIZON) -> StudyFigures:
    """Figures of forecasts whose log variances err by so much, independently; outcomes are known."""
    draw = np.random.default_rng(11)
    labels = labels_of(strategy_of(LOG), cut(PANEL, bars))
    realised = np.exp(draw.normal(0.0, 0.5, (bars, 4)) - 0.125)
    made = {
        name: np.exp(draw.normal(0.0, error, (bars, 4)))
        for name, error in (("network", network), ("ewma", ewma), ("har", har))
    }
    track = VolatilityTrack("QLIKE", {"network": made["network"]}, {name: made[name] for name in ("ewma", "har")})
    known = replace(labels, variance=realised, targets=np.ones_like(realised), realised_row=np.arange(bars))
    losses = loss_figures(track, known, known.realised_row, horizon, np.ones(bars, dtype=bool))
    return volatility_study_figures(losses, {"network": 1}, horizon=horizon, sessions_per_year=252, symbols=4, trials=3)


@pytest.mark.parametrize(("ewma", "har"), [(0.5, 0.2), (0.2, 0.5)])
def test_who_beats_one_simple_forecast_and_not_the_other_is_not_better(ewma: float, har: float) -> None:
    figures = record(0.2, ewma, har)
    beaten, other = ("ewma", "har") if ewma > har else ("har", "ewma")
    losses = figures.volatility
    assert losses is not None
    tests = losses.gains["network"]
    assert (tests[beaten].p_value or 1.0) < 1e-4
    assert (tests[other].p_value or 0.0) > 0.1
    verdict = volatility_verdict(figures, month="2016-01", estimator="network")
    assert verdict.kind == "not shown to forecast volatility better"
    assert verdict.adjusted_p_value == pytest.approx(1.0 - (1.0 - (tests[other].p_value or 0.0)) ** 3)
    assert volatility_look(losses, "2016-01", "network").estimate == tests[other].estimate
    both = volatility_verdict(record(0.2, 0.5, 0.5), month="2016-01", estimator="network")
    assert both.kind == "forecasts volatility better"


def test_what_a_single_trial_would_find_is_not_found_after_a_hundred() -> None:
    degrees, t_statistic = 7.4, 2.6
    p_value = float(student.sf(t_statistic, degrees))  # 1.7%: below 3% of one, far above the share of a hundred
    gain = MeanTest(0.01, 0.01 / t_statistic, t_statistic, p_value, degrees, 500)
    losses = LossFigures("QLIKE", ("ewma",), {"network": 0.3, "ewma": 0.31}, {"network": {"ewma": gain}}, 500)
    one, hundred = (
        volatility_study_figures(
            losses, {"network": 1}, horizon=HORIZON, sessions_per_year=252, symbols=4, trials=trials
        )
        for trials in (1, 100)
    )
    alone = volatility_verdict(one, month="2016-01", estimator="network")
    assert (alone.kind, alone.adjusted_p_value) == ("forecasts volatility better", pytest.approx(p_value))
    among = [
        volatility_verdict(hundred, month="2016-01", estimator="network"),
        volatility_verdict(one, month="2016-01", trials=100, estimator="network"),
    ]
    assert among[0] == among[1]
    assert among[0].kind == "not shown to forecast volatility better"
    assert among[0].adjusted_p_value == pytest.approx(1.0 - (1.0 - p_value) ** 100)
    assert among[0].allowed_p_value == pytest.approx(alone.allowed_p_value)  # of all trials together
    assert f"p = {1.0 - (1.0 - p_value) ** 100:.3f} against" in among[0].reason


def test_a_look_refers_its_statistic_to_the_degrees_of_its_long_run_variance() -> None:
    losses = record(0.2, 0.22, 0.5).volatility
    assert losses is not None
    weakest, look = losses.weakest("network"), volatility_look(losses, "2016-01", "network")
    assert weakest is not None
    assert weakest.t_statistic is not None
    p_value = float(student.sf(weakest.t_statistic, 1.5 * 500 / (100 + 1)))
    assert look.crosses(1.001 * p_value)
    assert not look.crosses(0.999 * p_value)


def test_nothing_is_judged_before_three_horizons_and_a_session_are_realised() -> None:
    too_short = volatility_verdict(record(0.2, 0.9, 0.9, bars=280, horizon=100), month="2016-01", estimator="network")
    assert (too_short.kind, too_short.sessions_needed) == ("cannot tell", 3 * 100 + 1 - 280)
    assert "280 sessions are realised, and 301 are needed" in too_short.reason
    enough = volatility_verdict(record(0.2, 0.9, 0.9, bars=301, horizon=100), month="2016-01", estimator="network")
    assert enough.kind != "cannot tell"
