"""Networks against the simple ones: who is found to beat whom, where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nn_assets.arrays import FloatArray
from nn_assets.evaluation.comparison import LEVEL, Comparison, compare
from nn_assets.reports.comparison import comparison_lines, comparison_page

SIMPLE = ("linear", "boosting", "momentum")
NETWORKS = ("mlp", "lstm")


def _compared(strengths: dict[str, float], seed: int, sessions: int = 400, symbols: int = 12) -> Comparison:
    """Ensembles of two whose mean forecast foretells the return as strongly as said; labels of one session."""
    random = np.random.default_rng(seed)
    returns = random.standard_normal((sessions, symbols))
    forecasts: dict[str, FloatArray] = {}
    for name in (*NETWORKS, *SIMPLE):
        own = strengths.get(name, 0.0) * returns + random.standard_normal((sessions, symbols))
        forecasts[name] = stats.norm.cdf(own + 0.3 * random.standard_normal((2, sessions, symbols)))
    targets = (returns > 0.0).astype(np.float64)
    return compare(forecasts, SIMPLE, returns, targets, np.repeat(["a", "b"], sessions // 2), horizon=1)


def test_a_network_that_knows_more_than_all_beats_the_simple_ones_and_the_first_words_say_so() -> None:
    made = _compared({"lstm": 0.4, "linear": 0.05}, seed=1)
    assert made.winners == ("lstm",)
    assert made.verdict.startswith("lstm beats the simple ones (linear, boosting and momentum)")
    assert {pair.finding for pair in made.of("lstm")} == {"beats"}
    assert made.level == pytest.approx(1.0 - (1.0 - LEVEL) ** (1.0 / 6.0))


def test_one_that_beats_two_and_not_the_third_beats_none_of_them_together() -> None:
    made = _compared({"lstm": 0.4, "linear": 0.4}, seed=2)
    findings = {pair.rival: pair.finding for pair in made.of("lstm")}
    assert findings == {"linear": "not distinguishable from", "boosting": "beats", "momentum": "beats"}
    assert not made.winners
    assert made.verdict.startswith("none of 2 networks beats the simple ones")
    assert "not distinguishable in 3 of 6 paired" in made.verdict
    assert "boosting is beaten by 1 of 2; momentum is beaten by 1 of 2" in made.verdict
    assert made.verdict.endswith("mlp is beaten by linear")


def test_where_nobody_knows_anything_somebody_is_found_better_in_one_of_twenty_at_most() -> None:
    somebody_better = [
        any(pair.finding == "beats" for pair in _compared({}, seed, sessions=120, symbols=6).pairs)
        for seed in range(30)
    ]
    assert sum(somebody_better) <= stats.binom.ppf(0.999, 30, LEVEL)


def test_the_figures_are_spearmans_correlation_of_ensemble_and_of_each_member_by_itself() -> None:
    random = np.random.default_rng(4)
    returns = random.standard_normal((60, 7))
    members = random.uniform(0.1, 0.9, (3, 60, 7))
    members[1, 5, 2] = np.nan  # one that lacks a cell takes it from all
    forecasts = {"mlp": members, "linear": random.uniform(0.1, 0.9, (3, 60, 7))}
    made = compare(forecasts, ("linear",), returns, (returns > 0).astype(float), np.repeat("a", 60), horizon=1)
    there = np.ones((60, 7), dtype=bool)
    there[5, 2] = False

    def by_hand(values: FloatArray) -> float:
        rows = zip(values, returns, there, strict=True)
        return float(np.mean([stats.spearmanr(own[kept], row[kept]).statistic for own, row, kept in rows]))

    one = made.contestants[0]
    assert one.estimate == pytest.approx(by_hand(members.mean(axis=0)), abs=1e-12)
    assert one.of_members == pytest.approx([by_hand(member) for member in members], abs=1e-12)
    assert one.spread == pytest.approx(np.std([by_hand(member) for member in members], ddof=1), abs=1e-12)
    assert one.low < one.estimate < one.high


def test_few_instruments_are_compared_by_auc_and_sessions_after_the_cut_change_nothing() -> None:
    random = np.random.default_rng(3)
    returns = random.standard_normal((300, 2))
    forecasts = {name: random.uniform(0.2, 0.8, (2, 300, 2)) for name in ("mlp", "linear")}
    targets, folds = (returns > 0.0).astype(float), np.repeat(["a", "b"], 150)
    made = compare(forecasts, ("linear",), returns, targets, folds, horizon=1)
    assert (made.statistic, made.chance) == ("AUC", 0.5)
    assert made.verdict.startswith("mlp does not beat the simple ones (linear): not distinguishable")


def test_table_and_page_show_every_contestant_and_pair_and_say_when_nothing_can_be_measured() -> None:
    made = _compared({"lstm": 0.4}, seed=1)
    lines = comparison_lines(made)
    assert [line.split()[0] for line in lines[1:]] == [*NETWORKS, *SIMPLE]
    assert lines[2].count("beats") == 3
    page = comparison_page([{"name": "one", "label": "", "comparison": made, "facts": [("Folds", "2")], "caveats": []}])
    assert "Lstm beats the simple ones" in page
    assert page.count("beats it") == 3
    empty = np.full((30, 6), np.nan)
    nothing = compare(
        dict.fromkeys(("mlp", "linear"), np.full((2, 30, 6), np.nan)), ("linear",), empty, empty, np.repeat("a", 30), 1
    )
    assert not nothing.winners
    assert comparison_lines(nothing)[1].split()[0] == "mlp"
    assert "not distinguishable" in comparison_page(
        [{"name": "one", "label": "", "comparison": nothing, "facts": [], "caveats": []}]
    )
