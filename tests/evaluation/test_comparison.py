"""Networks against the simple ones: who is found to beat whom, where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nn_assets.arrays import FloatArray
from nn_assets.evaluation.comparison import LEVEL, Comparison, compare
from nn_assets.operations.compared_books import Money
from nn_assets.reports.comparison_page import book_lines, comparison_lines, comparison_page

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
    assert ": 3 of 6 paired comparisons on daily rank IC over 400 sessions find a difference; " in made.verdict
    assert "not distinguishable" not in made.verdict
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


def test_a_member_that_a_fold_lacks_counts_in_the_folds_that_have_it_alone() -> None:
    random = np.random.default_rng(11)
    returns = random.standard_normal((60, 7))
    members = random.uniform(0.1, 0.9, (3, 60, 7))
    members[2, 40:] = np.nan
    forecasts = {"mlp": members, "linear": random.uniform(0.1, 0.9, (3, 60, 7))}
    folds = np.repeat(["a", "b", "c"], 20)
    made = compare(forecasts, ("linear",), returns, (returns > 0).astype(float), folds, horizon=1)

    def by_hand(values: FloatArray) -> float:
        return float(np.mean([stats.spearmanr(*pair).statistic for pair in zip(values, returns, strict=False)]))

    one = made.contestants[0]
    assert one.estimate == pytest.approx(by_hand(np.nanmean(members, axis=0)), abs=1e-12)
    alone = [by_hand(members[0]), by_hand(members[1]), by_hand(members[2, :40])]
    assert one.of_members == pytest.approx(alone, abs=1e-12)
    assert one.spread == pytest.approx(np.std(alone, ddof=1), abs=1e-12)
    assert made.of("mlp")[0].test.sessions == 60


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
    assert "What their books earn" not in page
    books = {"lstm": Money(1.24, 1.5, (1.0, 1.5)), "linear": Money(0.5, 0.75), "momentum": Money(why="no forecast")}
    lines = book_lines(books, "How.")
    assert [line.split() for line in lines[1:]] == [
        ["lstm", "+1.24", "+1.50", "0.35", "+1.00", "to", "+1.50"],
        ["linear", "+0.50", "+0.75", "-", "-"],
        ["momentum", "no", "forecast"],
        ["How."],
    ]
    sheet = {"name": "one", "label": "", "comparison": made, "facts": [], "caveats": [], "books": books}
    page = comparison_page([{**sheet, "books_said": "How"}])
    assert "<td>1.24</td><td>1.50</td><td>0.35</td>" in page
    assert "<td>0.75</td><td>not replayed</td>" in page
    assert '<td colspan="3">no forecast</td>' in page
    empty = np.full((30, 6), np.nan)
    nothing = compare(
        dict.fromkeys(("mlp", "linear"), np.full((2, 30, 6), np.nan)), ("linear",), empty, empty, np.repeat("a", 30), 1
    )
    assert not nothing.winners
    assert comparison_lines(nothing)[1].split()[0] == "mlp"
    assert nothing.verdict == (
        "no network (mlp) can be compared with the simple ones (linear); mlp: no forecast, not compared; "
        "linear: no forecast, not compared"
    )
    text = comparison_page([{"name": "one", "label": "", "comparison": nothing, "facts": [], "caveats": []}])
    assert "not distinguishable" not in text
    assert "nan" not in " ".join(comparison_lines(nothing))


def _with_a_simple_one_that(says: FloatArray, strength: float = 0.0, sessions: int = 120) -> Comparison:
    """Two networks against linear, and boosting that says as given, (sessions, symbols)."""
    random = np.random.default_rng(6)
    returns = random.standard_normal((sessions, 8))
    forecasts = {
        name: stats.norm.cdf(own * returns + random.standard_normal((2, sessions, 8)))
        for name, own in (("mlp", strength), ("tcn", strength), ("linear", 0.0))
    }
    forecasts["boosting"] = np.broadcast_to(says, (2, sessions, 8))
    targets = (returns > 0.0).astype(np.float64)
    return compare(forecasts, ("linear", "boosting"), returns, targets, np.repeat("a", sessions), horizon=1)


@pytest.mark.parametrize(
    ("says", "why"),
    [(np.full((120, 8), 0.5), "one value for all names"), (np.full((120, 8), np.nan), "no forecast")],
)
def test_a_contestant_that_ranks_nothing_is_said_to_and_takes_nothing_from_the_others(
    says: FloatArray, why: str
) -> None:
    made = _with_a_simple_one_that(says)
    assert made.verdict == (
        "none of 2 networks beats the simple ones (linear): not distinguishable in 2 paired comparisons on daily "
        f"rank IC over 120 sessions; boosting: {why}, not compared"
    )
    assert made.level == pytest.approx(1.0 - (1.0 - LEVEL) ** 0.5)  # of the two that were made
    lines = comparison_lines(made)
    assert "nan" not in " ".join(lines)
    page = comparison_page([{"name": "one", "label": "", "comparison": made, "facts": [], "caveats": []}])
    assert f"{why}, not compared" in page
    assert "the error of all 2 together" in page
    assert "\N{EN DASH} to \N{EN DASH}" not in page
    assert _with_a_simple_one_that(says, strength=0.6).winners == ("mlp", "tcn")  # of what there is to be beaten


def test_a_pair_counts_the_sessions_that_both_have_and_one_of_too_few_is_named() -> None:
    says = np.full((120, 8), 0.5)
    says[:15] = np.random.default_rng(8).uniform(size=(15, 8))  # a ranking in 15 sessions alone
    made = _with_a_simple_one_that(says)
    assert {pair.rival: pair.test.sessions for pair in made.of("mlp")} == {"linear": 120, "boosting": 15}
    assert made.sessions == 120
    assert "over 120 sessions" in made.verdict
    assert made.verdict.endswith("tcn against boosting: 15 sessions; a test needs 20, not compared")
    says[15:60] = np.random.default_rng(9).uniform(size=(45, 8))
    assert "over 60 to 120 sessions" in _with_a_simple_one_that(says).verdict
