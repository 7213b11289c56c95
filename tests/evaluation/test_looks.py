"""Months judged one after another: each look knows those before it, of its own estimator and of no other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nn_assets.evaluation.figures import study_figures
from nn_assets.evaluation.study import Terms, judge_figures
from nn_assets.evaluation.verdict import look_of, verdict
from tests.evaluation.tracks import made_record

MONTHS = ("2005-06", "2006-06", "2007-06", "2008-06")


@pytest.fixture(scope="module")
def figures() -> dict[str, object]:
    """The linear model foretells, the network does not."""
    strong, weak = made_record(1000, 20, strength=0.1), made_record(1000, 20, seed=1)
    record = replace(strong, forecasts={**strong.forecasts, "network": weak.forecasts["network"]})
    return {
        month: study_figures(record.until(rows), horizon_sessions=5, sessions_per_year=252, trials=3, by_fold=False)
        for month, rows in zip(MONTHS, (120, 370, 620, 870), strict=True)
    }


@pytest.mark.parametrize("estimator", ["network", "linear"])
def test_the_looks_of_an_estimator_are_its_own(figures: dict[str, object], estimator: str) -> None:
    judged = judge_figures(figures, Terms(trials=3, first_look=MONTHS[1]), estimator)
    assert judged[0].look is None
    before = []
    for month, judgement in zip(MONTHS[1:], judged[1:], strict=True):
        assert judgement.verdict == verdict(figures[month], before, month, estimator=estimator)
        assert judgement.look == look_of(
            figures[month], month, estimator, allows_trading=judgement.verdict.allows_trading
        )
        before.append(judgement.look)
    assert (judged[-1].verdict.kind in ("signal found", "edge found")) == (estimator == "linear")


def test_the_network_is_judged_when_nobody_is_named(figures: dict[str, object]) -> None:
    terms = Terms(trials=3, first_look=MONTHS[0])
    assert judge_figures(figures, terms) == judge_figures(figures, terms, "network")
