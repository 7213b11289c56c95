"""Verdicts: said of noise rarely, of an edge surely, and of a short record not at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nn_assets.evaluation.figures import study_figures
from nn_assets.evaluation.record import BookTrack, StudyRecord
from nn_assets.evaluation.verdict import PLAUSIBLE_AUC, Verdict, trial_adjusted_p_value, verdict
from tests.evaluation.records import made_record


def _judged(record: StudyRecord, trials: int = 1) -> Verdict:
    figures = study_figures(record, horizon_sessions=5, sessions_per_year=252, trials=trials, by_fold=False)
    return verdict(figures)


def test_a_strong_signal_that_pays_is_an_edge() -> None:
    found = _judged(made_record(750, 20, strength=0.1, drift=0.0015))
    assert found.kind == found.phrase == "edge found"
    assert found.allows_trading
    assert found.statistic == "rank IC"


def test_a_signal_that_does_not_pay_is_only_a_signal() -> None:
    found = _judged(made_record(750, 20, strength=0.1, drift=-0.0005))
    assert found.kind == "signal found"
    assert "deflated Sharpe" in found.reason
    assert not found.allows_trading


def test_a_signal_without_a_book_is_only_a_signal() -> None:
    assert _judged(replace(made_record(750, 20, strength=0.1), tracks={})).kind == "signal found"


def test_a_book_that_pays_without_a_signal_is_no_edge() -> None:
    assert _judged(made_record(2500, 20, drift=0.002)).kind == "no edge found"


def test_a_signal_of_the_wrong_sign_is_none() -> None:
    assert _judged(made_record(750, 20, strength=-0.2, drift=0.002)).kind == "no edge found"


def test_a_long_record_of_noise_shows_no_edge() -> None:
    found = _judged(made_record(3000, 2))
    assert found.kind == "no edge found"
    assert found.statistic == "AUC"
    assert "trial" in found.reason


def test_a_short_record_cannot_tell_and_says_how_much_longer() -> None:
    found = _judged(made_record(150, 2, seed=1))
    assert found.kind == "cannot tell"
    assert found.sessions_needed is not None
    assert found.sessions_needed > 100
    assert found.phrase == f"cannot tell: {found.sessions_needed:,} more sessions needed"


def test_the_sessions_asked_for_are_enough_to_decide() -> None:
    """A record of the length asked for finds a plausible effect in about 80% of studies."""
    short = _judged(made_record(250, 2, seed=1))
    assert short.sessions_needed is not None
    rows = 250 + short.sessions_needed
    strength = 0.145
    long = made_record(4000, 2, strength=strength)
    figures = study_figures(long, horizon_sessions=5, sessions_per_year=252, by_fold=False)
    assert figures.total["network"].auc == pytest.approx(PLAUSIBLE_AUC, abs=0.006)
    found = [_judged(made_record(rows, 2, seed=seed, strength=strength)).kind for seed in range(60)]
    assert 0.6 < np.mean([kind in ("signal found", "edge found") for kind in found]) < 0.97


def test_without_any_record_the_verdict_asks_for_one() -> None:
    for record in (made_record(100).until(20), replace(made_record(100), forecasts={})):
        found = _judged(record)
        assert found.kind == "cannot tell"
        assert found.sessions_needed is not None
        assert 0 < found.sessions_needed <= 60


def test_forecasts_that_never_differ_find_nothing() -> None:
    base = made_record(300, 6)
    found = _judged(replace(base, forecasts={"network": np.full((300, 6), 0.5)}))
    assert found.kind in ("no edge found", "cannot tell")
    assert found.adjusted_p_value is None


def test_trials_make_the_same_record_less_convincing() -> None:
    record = made_record(750, 20, strength=0.045, drift=0.001)
    one, many = _judged(record), _judged(record, trials=5000)
    assert one.adjusted_p_value is not None
    assert many.adjusted_p_value is not None
    assert many.adjusted_p_value > one.adjusted_p_value
    assert one.kind in ("signal found", "edge found")
    assert many.kind not in ("signal found", "edge found")


def test_the_adjusted_p_value_is_that_of_the_best_of_many() -> None:
    best = np.random.default_rng(0).random((200_000, 10)).min(axis=1)
    assert trial_adjusted_p_value(0.01, 10) == pytest.approx((best <= 0.01).mean(), abs=2e-3)
    assert trial_adjusted_p_value(0.03, 1) == pytest.approx(0.03)
    assert trial_adjusted_p_value(1.0, 5) == pytest.approx(1.0)


@pytest.mark.parametrize("columns", [2, 20])
def test_noise_is_seldom_called_a_signal(columns: int) -> None:
    rounds, said = 150, 0
    for seed in range(rounds):
        record = made_record(600, columns, seed=1000 + seed)
        lucky = BookTrack(net=np.full(600, 1e-3), gross=np.full(600, 1e-3), turnover=np.zeros(600))
        kept = replace(record, forecasts={"network": record.forecasts["network"]}, tracks={"network": lucky})
        said += _judged(kept).kind in ("signal found", "edge found")
    assert said / rounds <= 0.05, said / rounds
