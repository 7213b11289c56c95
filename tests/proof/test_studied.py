"""A panel studied in memory is the panel studied in a home; the truth beside it is what the simulator planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.stats import norm, t

from nn_assets.evaluation.study import Study
from nn_assets.operations.catalog import find_strategy
from nn_assets.oversight.drift import DriftReport
from nn_assets.simulator.markets import simulate_market
from tests.operations.homes import study, take_in
from tests.orchestration.conftest import living_in
from tests.proof import truth
from tests.proof.studied import JUDGED, Studied, sessions_of, settings_of

SMALL = {"names": 8, "sessions": 1131, "seed": 3, "rank_ic": 0.05, "persistence": 0.95, "horizon": 10}  # to June 2016


@pytest.mark.full  # of a test's own tool: that kept panels come out again is asked in every run
def test_it_has_the_bits_and_the_words_of_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A panel leaves out the refreshes that drift asks for, which a home carries out.
    monkeypatch.setattr(DriftReport, "asks_retraining", property(lambda _: False))
    studied = Studied(SMALL)
    assert len({model.model_id for model in studied.models.values()}) == 2
    panel_study = studied.study(JUDGED)
    bare = studied.study(())
    assert list(bare.track.tracks) == ["buy_and_hold"]  # books nobody asks for are not played, and change nothing else
    assert bare.figures.total["linear"].tests == panel_study.figures.total["linear"].tests
    _foreseen_is_the_truth(studied, bare)
    home = tmp_path / "home"
    (home / "strategies").mkdir(parents=True)
    (home / "strategies" / "panel.yaml").write_text(yaml.safe_dump(settings_of(SMALL)), encoding="utf-8")
    with living_in(home):
        strategy = find_strategy("panel").strategy
        take_in(strategy)
        theirs = study(strategy, studied.months)
    record = theirs.study.track
    assert record.sessions.equals(panel_study.track.sessions)
    for name in JUDGED:
        np.testing.assert_array_equal(panel_study.track.scores[name], record.scores[name], err_msg=name)
        np.testing.assert_array_equal(panel_study.track.forecasts[name], record.forecasts[name], err_msg=name)
        np.testing.assert_array_equal(panel_study.track.tracks[name].net, record.tracks[name].net, err_msg=name)
    figures = studied.figures(panel_study, studied.months)
    (month_verdict,) = studied.judged(figures, studied.months[-1], "network")
    assert month_verdict.verdict == theirs.last.verdict
    for name in JUDGED:
        assert figures[studied.months[-1]].total[name] == theirs.last.figures.total[name]


def _foreseen_is_the_truth(studied: Studied, study: Study) -> None:
    """The planted signal in the network's place is ranked as scipy ranks it, and has nothing of the network's."""
    month = studied.months[-1]
    foreseen = studied.foreseen(study)
    test = studied.figures(foreseen, [month])[month].total["network"].tests["rank_ic"]
    assert list(foreseen.track.forecasts) == ["network"]
    assert list(study.track.forecasts) == ["network", "linear"]
    rows = np.flatnonzero(np.array(study.track.months) != "")
    own = truth.label_returns(studied.made, SMALL["horizon"])[rows]
    ics = truth.rank_ic(studied.made.truth.signal[rows], own)
    realised = study.track.realised_row[rows] <= rows[-1]
    assert test.sessions == np.isfinite(ics[realised]).sum() > 200
    assert test.estimate == pytest.approx(np.nanmean(ics[realised]), rel=1e-9)


@pytest.mark.full
def test_the_density_of_a_sum_of_student_draws() -> None:
    # one draw in units of its own deviation, and near a normal for many
    assert truth.density_at_zero(1) == pytest.approx(t(6).pdf(0.0) * np.sqrt(6 / 4), rel=1e-4)
    assert truth.density_at_zero(200) == pytest.approx(norm.pdf(0.0), rel=0.003)
    drawn = t(6).rvs((400_000, 10), random_state=0).sum(axis=1)
    near = np.mean(np.abs(drawn / drawn.std()) < 0.1) / 0.2
    assert truth.density_at_zero(10) == pytest.approx(near, rel=0.02)


@pytest.mark.full
@pytest.mark.parametrize(("persistence", "horizon"), [(0.95, 10), (0.5, 2), (0.0, 1)])
def test_the_true_chance_of_a_label_is_its_frequency(persistence: float, horizon: int) -> None:
    """A strong edge, so that its frequency can be counted: outcomes regressed on the chance have slope 1."""
    panel = {"names": 300, "sessions": 700}
    made = simulate_market(300, sessions_of(panel), 5, 0.08, persistence)
    chance = truth.probability(made, 0.08, persistence, horizon)
    returns = truth.label_returns(made, horizon)
    known = np.isfinite(returns)
    outcome, probability = (returns > 0.0)[known].astype(float), chance[known]
    away = probability - probability.mean()
    assert (away @ outcome) / (away @ away) == pytest.approx(1.0, abs=0.08)


def test_the_true_slope_of_a_score_that_is_the_log_odds_is_1() -> None:
    g = np.random.default_rng(0)
    chance = 0.5 + 0.1 * g.uniform(-1.0, 1.0, (50, 20))
    score = np.log(chance / (1.0 - chance))
    known = g.random(score.shape) < 0.8
    assert truth.slope(score, chance, known, 252.0) == pytest.approx(1.0, rel=1e-12)
    assert truth.slope(2.0 * score + 3.0, chance, known, 252.0) == pytest.approx(0.5, rel=1e-12)


@pytest.mark.full
def test_the_planted_rank_ic_is_that_of_the_label() -> None:
    """0.03 a session adds up over a label's sessions as the signal lasts, over the root of its length."""
    made = simulate_market(300, sessions_of({"sessions": 800}), 7, 0.03, 0.95)
    measured = np.nanmean(truth.rank_ic(made.truth.signal, truth.label_returns(made, 10)))
    lasts = 0.8 + sum(0.95**j for j in range(1, 10)) + 0.2 * 0.95**10
    assert measured == pytest.approx(0.03 * lasts / np.sqrt(10), abs=0.008)
