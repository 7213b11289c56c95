"""A study of a small market in two stretches, against replays of the same sessions and figures of the same record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from nn_assets.arrays import Cube
from nn_assets.costs.model import Coefficient, CostModel, cost_model_from
from nn_assets.estimators import USUAL
from nn_assets.evaluation import figures as figures_module
from nn_assets.evaluation import study as study_module
from nn_assets.evaluation.figures import study_figures
from nn_assets.evaluation.replay import replay
from nn_assets.evaluation.study import MonthVerdict, Study, StudyMaterial, StudyStretch, Terms, judge_months, run_study
from nn_assets.evaluation.verdict import NOT_A_LOOK, Look
from nn_assets.learning.forecasts import Forecasts
from nn_assets.oversight.drift import DriftReport, DriftStatistic
from tests.session.worlds import SYMBOLS, World, world, world_strategy, yardstick_of

FIRST, MIDDLE, LAST = 80, 110, 150
ROUNDS_PLAYED: list[tuple[int, int]] = []  # as ``studied`` heard of them
TERMS = Terms(trials=4, trial_sharpes=(0.01, 0.02))


def costs_on(row: int, of: World) -> CostModel:
    """The model in force: a cheaper one in the second stretch."""
    first = cost_model_from(of.strategy.costs)
    return first if row < MIDDLE else replace(first, half_spread=replace(first.half_spread, value=2e-4))


def material(of: World) -> StudyMaterial:
    """Two stretches, each with the history known at its end; the simple estimators say the opposite of the network."""
    opposite = replace(of.forecasts, calibrated=1.0 - of.forecasts.calibrated, score=-of.forecasts.score)
    estimators = dict.fromkeys(USUAL, opposite) | {"network": of.forecasts}
    sessions = of.panel.sessions
    months = [f"{day.year}-{day.month:02d}" if FIRST <= row < LAST else "" for row, day in enumerate(sessions)]

    def known() -> Iterator[StudyStretch]:
        for rows, seen in ((range(FIRST, MIDDLE), of.cut(MIDDLE)), (range(MIDDLE, LAST), of)):
            cube = Cube(seen.panel.sessions, SYMBOLS, ("close",), seen.panel.close[:, :, None])
            yield StudyStretch(rows, seen.market, cube, seen.labels, {key: {} for key in USUAL})

    none = [None] * len(sessions)
    forecasts = Forecasts(sessions, SYMBOLS, estimators, none)
    return StudyMaterial(sessions, SYMBOLS, forecasts, months, none, known, lambda row: costs_on(row, of))


@pytest.fixture(scope="module")
def studied() -> tuple[World, Study, list[str]]:
    of, heard = world(world_strategy(), 160), list[str]()
    ROUNDS_PLAYED.clear()
    study = run_study(
        of.strategy, 252, material(of), TERMS, heard.append, progress=lambda *counts: ROUNDS_PLAYED.append(counts)
    )
    return of, study, heard


@pytest.mark.usefixtures("studied")
def test_every_round_is_counted_among_those_of_all_estimators() -> None:
    expected = [(played, 3 * 70) for played in range(1, 3 * 70 + 1)]
    assert expected == ROUNDS_PLAYED


def test_each_estimator_is_replayed_over_every_session_of_both_stretches(
    studied: tuple[World, Study, list[str]],
) -> None:
    of, study, heard = studied
    assert study.rows == range(FIRST, LAST)
    for name, sign in (("network", 1.0), ("linear", -1.0)):
        forecasts = of.forecasts if sign > 0.0 else replace(of.forecasts, calibrated=1.0 - of.forecasts.calibrated)
        scene = replace(of.scene(range(FIRST, LAST)), forecasts=forecasts, costs=lambda row: costs_on(row, of))
        alone = replay(of.strategy, costs_on(FIRST, of), 252, [scene])
        assert len(study.replays[name].rounds) == LAST - FIRST
        for part in ("net", "gross", "turnover"):
            series = getattr(study.track.tracks[name], part)
            assert series.shape == (LAST,)
            assert np.array_equal(series, getattr(alone.track, part)[:LAST], equal_nan=True)
    bought = yardstick_of([of.scene(range(FIRST, LAST))])
    np.testing.assert_allclose(study.track.tracks["buy_and_hold"].net, bought.net, atol=1e-14)
    assert heard == [
        f"replaying {name} over {count} of 70 sessions"
        for count in (30, 40)
        for name in ("network", "linear", "boosting")
    ]


def test_the_record_ends_with_the_last_session_and_knows_no_later_label(
    studied: tuple[World, Study, list[str]],
) -> None:
    of, study, _ = studied
    record = study.track
    assert list(record.sessions) == list(of.panel.sessions[:LAST])
    known = of.labels.realised_row[:LAST] < LAST
    assert np.array_equal(record.targets, np.where(known[:, None], of.labels.targets[:LAST], np.nan), equal_nan=True)
    assert np.array_equal(record.forecasts["network"], of.forecasts.calibrated[:LAST], equal_nan=True)
    assert [bool(month) for month in record.months] == [row >= FIRST for row in range(LAST)]
    assert record.regimes is not None
    assert (record.regimes[:FIRST] == "").all()
    assert set(record.regimes[FIRST:]) <= {of.market.regimes.label(row) for row in range(FIRST, LAST)}


def test_the_figures_are_those_of_the_record_in_excess_of_cash(studied: tuple[World, Study, list[str]]) -> None:
    _, study, _ = studied
    net = study.track.tracks["network"].net[FIRST:] - 0.01 / 252
    network = study.figures.total["network"]
    assert network.sharpe_net == pytest.approx(net.mean() / net.std(ddof=1) * np.sqrt(252))
    assert network.base_brier is not None
    assert study.figures.trials == 4
    assert set(study.figures.folds) == {month for month in study.track.months.tolist() if month}
    # Half-spread and commission are what the smallest effect pays for.
    assert "3.8 bps" in study.figures.smallest_effect.derivation


def test_the_smallest_effect_pays_for_a_spread_that_volatility_widens(studied: tuple[World, Study, list[str]]) -> None:
    """At the median name's volatility over the label's three sessions, by the root of time."""
    of, study, _ = studied
    widens = Coefficient(0.05, "multiple of daily volatility")
    dear = replace(study, costs=lambda row: replace(costs_on(row, of), spread_volatility=widens))
    month = study.track.months.tolist()[-1]
    (plain,), (wide,) = (
        [one.figures.smallest_effect.derivation for one in judged(of, each) if one.month == month]
        for each in (study, dear)
    )
    returns = of.labels.until(LAST - 1).returns
    daily = np.median(np.nanstd(returns, axis=0, ddof=1)) / np.sqrt(3.0)
    before, after = (float(text.split("for costs of ")[1].split(" bps")[0]) for text in (plain, wide))
    assert after - before == pytest.approx(0.05 * daily * 1e4, abs=0.11)
    assert after > before + 1.0


def judged(of: World, study: Study, **changed: object) -> tuple[MonthVerdict, ...]:
    months = sorted({month for month in study.track.months.tolist() if month})
    return judge_months(of.strategy, 252, study, months, replace(TERMS, **changed))  # type: ignore[arg-type]


def test_a_months_verdict_reads_nothing_that_came_after_its_end(studied: tuple[World, Study, list[str]]) -> None:
    of, study, _ = studied
    judgements = judged(of, study)
    assert [judgement.month for judgement in judgements] == sorted(
        {month for month in study.track.months.tolist() if month}
    )
    for judgement in judgements:
        ends = int(np.flatnonzero(study.track.months == judgement.month)[-1])
        costs = costs_on(ends, of)
        labels = of.labels.until(ends)
        cut = replace(study.track.until(ends).labelled(labels.targets, labels.returns), regimes=None)
        expected = study_figures(
            cut,
            horizon_sessions=3,
            sessions_per_year=252,
            trials=4,
            trial_sharpes=TERMS.trial_sharpes,
            cash_rate_per_session=np.full(ends + 1, 0.01 / 252),
            linear_cost=costs.half_spread.value + costs.commission.value,
            by_fold=False,
        )
        assert judgement.figures == expected
    assert [judgement.verdict.look for judgement in judgements] == list(range(1, len(judgements) + 1))


@pytest.mark.full
def test_looks_begin_with_the_first_one_planned_and_those_on_record_count(
    studied: tuple[World, Study, list[str]],
) -> None:
    of, study, _ = studied
    months = sorted({month for month in study.track.months.tolist() if month})
    judgements = judged(of, study, first_look=months[1])
    assert (judgements[0].verdict, judgements[0].look) == (NOT_A_LOOK, None)
    assert [judgement.verdict.look for judgement in judgements[1:]] == list(range(1, len(judgements)))
    early = Look("2013-11", 500, 0.001, 0.02, 100.0)
    assert [judgement.verdict.look for judgement in judged(of, study, looks=[early])] == list(
        range(2, len(judgements) + 2)
    )


def test_a_look_on_record_is_not_taken_again_and_another_record_of_its_month_is_one_more(
    studied: tuple[World, Study, list[str]],
) -> None:
    of, study, _ = studied
    judgements = judged(of, study)
    taken = [judgement.look for judgement in judgements if judgement.look is not None]
    assert [judgement.verdict for judgement in judged(of, study, looks=taken)] == [
        judgement.verdict for judgement in judgements
    ]
    peeked = replace(taken[0], sessions=taken[0].sessions - 3)
    after = judged(of, study, looks=[peeked, *taken])
    assert [judgement.verdict.look for judgement in after] == list(range(2, len(judgements) + 2))
    assert after[0].verdict.allowed_p_value == pytest.approx(0.0, abs=1e-9)  # the first look at the month had the 3%


def test_every_estimator_is_watched_by_its_own_forecasts_and_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch that halves the network's book halves the others' too: REDUCE_SIZE from the session after it asks."""
    of = world(world_strategy(), 160)
    asked: list[tuple[float, object]] = []

    def watch(
        _cube: Cube, probability: np.ndarray, _models: object, references: object, _settings: object, _beside: object
    ) -> Callable[[int], DriftReport]:
        asked.append((float(np.nansum(probability[FIRST:MIDDLE])), references))

        def report(row: int) -> DriftReport:
            asking = DriftStatistic("prediction", "forecast", 0.2, 0.3, 0.0, drifted=False, asks_retraining=row == 90)
            return DriftReport(of.panel.sessions[row], (asking,), np.nan, 1.0, (), "", "model")

        return report

    monkeypatch.setattr(study_module, "drift_watch", watch)
    made = material(of)
    estimators = {
        name: replace(arrays, probability=arrays.probability + 0.01 * index)
        for index, (name, arrays) in enumerate(made.forecasts.estimators.items())
    }
    reference_models = {name: {"model": object()} for name in USUAL}
    known = [replace(item, references=reference_models) for item in made.known()]  # type: ignore[arg-type]
    forecasts = Forecasts(made.sessions, SYMBOLS, estimators, made.model_by_row)
    study = run_study(of.strategy, 252, replace(made, forecasts=forecasts, known=lambda: iter(known)), TERMS)
    sums = [float(np.nansum(estimators[name].probability[FIRST:MIDDLE])) for name in USUAL]
    assert asked[:3] == [
        (pytest.approx(total), reference_models[name]) for total, name in zip(sums, USUAL, strict=True)
    ]
    for name in USUAL:
        rounds = study.replays[name].rounds
        assert all(done.drift is not None for done in rounds)
        states = [done.decision.inputs.trading_state for done in rounds]
        assert (states[90 - FIRST], states[91 - FIRST]) == ("CONTINUE", "REDUCE_SIZE")


def test_a_released_alarm_is_read_and_a_standing_one_stops(
    studied: tuple[World, Study, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    of, study, _ = studied
    monkeypatch.setattr(
        figures_module, "LEAK_ALARMS", figures_module.LEAK_ALARMS | {"accuracy": -1.0}
    )  # any figure is too good to be true
    monkeypatch.setattr(figures_module, "_SURE", 1.1)
    stopped = judged(of, study)[-1].verdict
    assert stopped.kind == "leak alarm"
    released = dict.fromkeys(stopped.unreleased_alarms, "released by ann")
    after_release = judged(of, study, released=released)[-1].verdict
    assert after_release.kind != "leak alarm"
    assert after_release.unreleased_alarms == {}
    assert len(after_release.released) == len(released) > 0
