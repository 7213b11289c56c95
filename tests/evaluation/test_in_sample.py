"""One choice over all folds: the sessions it has seen count for no figure, and every verdict says so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.figures import study_figures
from nn_assets.evaluation.study import MonthVerdict, Study, Terms, judge_months
from nn_assets.features.labels import Labels
from nn_assets.settings import CostSettings, Strategy
from tests.evaluation.tracks import made_record

RECORD = made_record(750, 20, strength=0.1, drift=0.0015)
STRATEGY = Strategy.model_validate(
    {"name": "made", "market": {"history_starts": "2001-01-02"}, "label": {"horizon_sessions": 5}}
)
TERMS = {"horizon_sessions": 5, "sessions_per_year": 252, "by_fold": False}


def judged(until: pd.Timestamp | None) -> MonthVerdict:
    record, last = RECORD, len(RECORD.sessions) - 1
    labels = {last: Labels(record.targets, record.returns, record.realised_row)}
    study = Study(
        record,
        {},
        range(last + 1),
        study_figures(record, **TERMS),
        labels,
        lambda _: cost_model_from(CostSettings()),
    )
    month = str(record.months[-1])
    return judge_months(STRATEGY, 252, study, [month], Terms(1, first_look=month, in_sample_until=until))[0]


def test_an_edge_that_a_choice_has_seen_is_no_edge() -> None:
    assert judged(None).verdict.kind == "edge found"
    verdict = judged(RECORD.sessions[-1]).verdict
    assert verdict.kind == "cannot tell"
    assert not verdict.allows_trading
    assert verdict.reason.endswith(f"in-sample up to {RECORD.sessions[-1].date()}, which counts for nothing")


@pytest.mark.parametrize("row", [0, 250, 600])
def test_what_comes_after_it_counts_alone(row: int) -> None:
    result = judged(RECORD.sessions[row])
    assert result.figures.total["network"].forecast_sessions == (RECORD.realised_row < 750).sum() - row - 1
    assert f"in-sample up to {RECORD.sessions[row].date()}" in result.verdict.reason
    kept = RECORD.tracks["network"].net[row + 1 :]
    expected = kept.mean() / kept.std(ddof=1) * np.sqrt(252)
    assert result.figures.total["network"].sharpe_net == pytest.approx(expected, rel=1e-6)


def test_figures_of_nothing_are_there_and_say_nothing() -> None:
    result = study_figures(RECORD.counted_after(RECORD.sessions[-1]), **(TERMS | {"by_fold": True}))
    assert result.alarms == ()
    assert {figures.forecasts for figures in result.total.values()} == {0}
    assert {figures.sharpe_net for figures in result.total.values()} == {None}


def test_books_and_yardsticks_are_left_out_alike_and_the_rest_is_kept_to_the_bit() -> None:
    cut = RECORD.counted_after(RECORD.sessions[99])
    for name, track in cut.tracks.items():
        for part in ("net", "gross", "turnover"):
            values, before = getattr(track, part), getattr(RECORD.tracks[name], part)
            assert np.isnan(values[:100]).all()
            assert values[100:].tobytes() == before[100:].tobytes()
    for name, values in cut.forecasts.items():
        assert np.isnan(values[:100]).all()
        assert values[100:].tobytes() == RECORD.forecasts[name][100:].tobytes()
    assert cut.targets is RECORD.targets
