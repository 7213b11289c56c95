"""What the tables say of results made by hand, and their intervals against published and scipy's values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.proof import calibration, capture, false_edge, power, tables
from tests.proof.intervals import clopper_pearson, mean_of, median_interval, share
from tests.proof.results import Result
from tests.proof.studied import SIGNAL
from tests.proof.targets import Target, of_count, table


def _figures(**changed: Any) -> dict[str, Any]:
    """One estimator's figures."""
    figures = {
        "verdicts": {"sealed year": "C" * 13, "every month": "C" * 20, "once": "C"},
        "rank IC": [None, 0.01],
        "error": [None, 0.02],
        "t": 0.5,
        "alarms": [],
        "slope": [0.01, 0.03],
        "outcomes": [100.0, 1000.0],
        "true slope": [0.02, 0.04],
        "brier less the base rate's": 1e-5,
        "its t": 0.5,
        "net Sharpe": None,
        "gross Sharpe": None,
        "turnover a year": None,
    }
    return figures | changed


def _result(panel: dict[str, Any], network: dict[str, Any], linear: dict[str, Any] | None = None) -> Result:
    figures = {"planted label rank IC": 0.08, "network": network, "linear": linear or _figures()}
    return Result(panel, figures, "code", 1.0)


def _row(text: str, *starts: str) -> str:
    (row,) = [line for line in text.splitlines() if all(start in line for start in starts)]
    return row


@pytest.mark.parametrize(("count", "of"), [(0, 200), (5, 200), (16, 200), (57, 60), (60, 60)])
def test_the_interval_of_a_share_is_scipys(count: int, of: int) -> None:
    theirs = stats.binomtest(count, of).proportion_ci(0.95, "exact")
    assert clopper_pearson(count, of) == pytest.approx((theirs.low, theirs.high), rel=1e-9, abs=1e-12)


def test_the_interval_of_a_share_is_the_published_one() -> None:
    """Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263 by Clopper and Pearson's method."""
    assert clopper_pearson(81, 263) == pytest.approx((0.2527, 0.3676), abs=5e-5)
    assert clopper_pearson(0, 20) == pytest.approx((0.0, 0.1684), abs=5e-5)
    assert share(5, 200) == "5 of 200, 2.5% (0.8% to 5.7%)"
    assert share(0, 0) == "nothing measured"


def test_the_interval_of_a_mean_is_scipys_and_that_of_a_median_holds_it() -> None:
    values = np.random.default_rng(1).normal(2.0, 3.0, 40)
    theirs = stats.t.interval(0.95, 39, values.mean(), stats.sem(values))
    assert mean_of(values)[1:] == pytest.approx(theirs)
    middle, low, high = median_interval(values)
    order = np.sort(values)  # exact: order statistics 14 and 27 of 40 hold the median with 96%
    assert low < middle < high
    assert (low, high) == pytest.approx((order[13], order[26]), abs=1.0)


def test_false_edges_are_counted_once_a_panel_and_at_any_look() -> None:
    noise = {"names": 40, "rank_ic": 0.0}
    verdicts = [
        {"sealed year": "CCSS", "every month": "CSCC", "once": "C"},
        {"sealed year": "CNNE", "every month": "LLLL", "once": "S"},
        {"sealed year": "NNNN", "every month": "NNNN", "once": "N"},
    ]
    results = [_result(noise | {"seed": k}, _figures(verdicts=by_look)) for k, by_look in enumerate(verdicts)]
    text = false_edge.summary(results)
    assert share(2, 3) in _row(text, "| noise | small MLP | **sealed year**")
    assert _row(text, "| noise | small MLP | **sealed year**").endswith(f"| {share(1, 3)} |")
    assert _row(text, "| noise | small MLP | every month").endswith(f"| {share(1, 3)} | {share(0, 3)} |")
    assert _row(text, "| noise | small MLP | once").endswith(f"| {share(1, 3)} | {share(0, 3)} |")
    # signal 2, edge 1, cannot tell 3, no edge 6 of 12 looks
    assert _row(text, "| noise | small MLP | 12 |").endswith("| 16.7% | 8.3% | 25.0% | 50.0% | 0.0% |")
    assert "| planted | linear | **sealed year** | 0 | nothing measured | nothing measured |" in text


def test_the_planted_signal_has_rows_of_the_panels_that_judged_it_and_of_no_others() -> None:
    """Results kept before it was judged lack it, and so does noise."""
    planted = {"names": 40, "rank_ic": false_edge.PLANTED}
    before = [_result(planted | {"seed": k}, _figures()) for k in range(3)]
    assert "| the planted signal itself |" not in false_edge.summary(before)
    seen = _figures(verdicts=_figures()["verdicts"] | {"sealed year": "CCS"}, **{"rank IC": [None, 0.0716], "t": 3.25})
    after = [replace(result, figures={**result.figures, SIGNAL: seen}) for result in before[:2]]
    text = false_edge.summary([*after, before[2], _result({"names": 40, "rank_ic": 0.0, "seed": 1}, _figures())])
    row = _row(text, "| planted | the planted signal itself | **sealed year** |")
    assert row.endswith(f"| 2 | {share(2, 2)} | none: no book |")
    assert _row(text, "| planted | the planted signal itself | once |").endswith(
        f"| 2 | {share(0, 2)} | none: no book |"
    )
    assert "| planted | the planted signal itself | +0.0716 | 0.0200 | 0.0000 | +3.25 | +0.0800 |" in text
    assert "| noise | the planted signal itself" not in text

    at = {"names": 500, "sessions": 1260, "persistence": 0.95, "horizon": 10, "rank_ic": 0.02}
    kept = _result(at | {"seed": 1}, _figures())
    assert "| the planted signal itself |" not in power.summary([kept])
    text = power.summary([kept, replace(kept, figures={**kept.figures, SIGNAL: seen})])
    assert _row(text, "| 0.02 |", "the planted signal itself | 0.0716 | +3.25 |").count(share(1, 1)) == 1
    assert _row(text, "| 0.02 |", "small MLP").count(share(0, 2)) == 4


def test_a_leak_alarm_is_counted_for_whoever_raised_it() -> None:
    planted = {"names": 40, "rank_ic": false_edge.PLANTED}
    loud = _figures(verdicts=_figures()["verdicts"] | {"sealed year": "CLC"}, alarms=["linear rank IC"])
    early = _figures(verdicts=_figures()["verdicts"] | {"every month": "L" * 20})
    noise = {"names": 40, "rank_ic": 0.0}
    text = false_edge.summary(
        [_result(planted | {"seed": k}, _figures(), loud if k == 1 else None) for k in range(4)]
        + [_result(noise | {"seed": k}, early if k < 2 else _figures(), early) for k in range(3)]
    )
    assert f"| planted | {share(1, 4)} | {share(0, 4)} | {share(0, 4)} |" in text
    assert f"| noise | {share(0, 3)} | {share(3, 3)} | {share(0, 3)} |" in text


def test_power_counts_each_kind_by_itself() -> None:
    at = {"names": 500, "sessions": 1260, "persistence": 0.95, "horizon": 10}
    edge = _figures(verdicts=_figures()["verdicts"] | {"once": "E"})
    results = [_result(at | {"seed": k, "rank_ic": 0.02}, edge if k else _figures()) for k in range(4)]
    results += [_result(at | {"seed": 1, "rank_ic": 0.0083}, _figures())]
    day = {"names": 500, "sessions": 1260, "persistence": 0.0, "horizon": 1, "rank_ic": 0.02, "book": True}
    books = [
        _figures(**{"net Sharpe": net, "gross Sharpe": net + 2.0, "turnover a year": 30.0}) for net in (-1.0, -0.5, 0.2)
    ]
    text = power.summary(results + [_result(day | {"seed": k}, book) for k, book in enumerate(books)])
    assert share(3, 4) in _row(text, "| 0.02 | 0.95 | 10 |", "small MLP")
    assert share(0, 1) in _row(text, "| 0.0083 |", "small MLP")
    assert _row(text, "| small MLP | +1.57").endswith(f"| {share(1, 3)} |")
    low, high = stats.t.interval(0.95, 2, np.mean([-1.0, -0.5, 0.2]), stats.sem([-1.0, -0.5, 0.2]))
    assert f"-0.43 ({low:+.2f} to {high:+.2f})" in text


def test_an_edge_found_too_small_is_told_from_one_that_was_not_seen() -> None:
    at = {"names": 500, "sessions": 1260, "persistence": 0.5, "horizon": 2, "rank_ic": 0.02}
    small = _figures(verdicts=_figures()["verdicts"] | {"sealed year": "NNNN", "once": "N"}, t=8.72)
    text = power.summary([_result(at | {"seed": k}, small if k else _figures()) for k in range(3)])
    assert "| **once** | no edge found, **once** |" in text
    assert _row(text, "| 0.02 | 0.5 | 2 |", "small MLP").endswith(f"| {share(0, 3)} | {share(2, 3)} |")
    assert _row(text, "| 0.02 | 0.5 | 2 |", "| linear |").endswith(f"| {share(0, 3)} | {share(0, 3)} |")


def test_targets_of_verdicts_name_the_plan_of_looks_that_they_hold_for() -> None:
    panel = {"names": 500, "sessions": 1260, "persistence": 0.95, "horizon": 10, "rank_ic": 0.02, "seed": 1}
    measured = [target.asked for target in power.targets([_result(panel, _figures())]) if "planted" in target.asked]
    assert all("one look at the end" in asked for asked in measured)
    assert len(measured) == 2
    by_year = [target.asked for target in false_edge.targets([_result(panel | {"rank_ic": 0.0}, _figures())])]
    assert all("first look a year before the end" in asked for asked in by_year)
    assert len(by_year) == 6


def test_panels_are_as_many_as_the_contract_asks() -> None:
    of_power = power.panels()
    counted = [
        sum((panel["rank_ic"], panel["persistence"], panel["horizon"]) == kind for panel in of_power)
        for kind in ((0.02, 0.95, 10), (0.01, 0.95, 10), (0.03, 0.95, 10), (0.02, 0.5, 2), (0.02, 0.0, 1))
    ]
    assert counted == [60, 20, 20, 20, 20]
    assert len(false_edge.panels()) == 400
    assert len(capture.panels()) == 40


def test_a_slope_is_compared_where_the_record_outweighs_the_prior() -> None:
    """The prior's 60 outcomes are 10% of the information beside 540."""
    figures = _figures(
        slope=[0.01, 0.02, 0.03, 0.05],
        outcomes=[100.0, 539.0, 540.0, 900.0],
        **{"true slope": [0.02, 0.08, 0.03, 0.04]},
    )
    newest, drawn = calibration.ratios(_result({}, figures), "network")
    assert newest == pytest.approx(1.25)
    assert drawn == pytest.approx((0.5 + 0.25) / 2)
    unlearned = _figures(**{"true slope": [None, -0.01]})
    assert calibration.ratios(_result({}, unlearned), "network") == (None, None)


def test_brier_scores_are_called_worse_at_five_percent() -> None:
    noise = {"names": 40, "rank_ic": 0.0, "persistence": 0.95, "horizon": 10}
    results = [_result(noise | {"seed": k}, _figures(**{"its t": t})) for k, t in enumerate((-2.0, 1.6, 1.7))]
    assert _row(calibration.summary(results), "| 40 | 0 |", "small MLP").endswith(f"| {share(1, 3)} |")


def test_a_brier_score_has_one_mean_wherever_the_page_says_it() -> None:
    """A forecast that is the base rate throughout has a difference of 0 and no t: it counts all the same."""
    noise = {"names": 40, "rank_ic": 0.0, "persistence": 0.95, "horizon": 10}
    learned = [_figures(**{"brier less the base rate's": 1e-5 * k}) for k in range(1, 20)]
    silent = _figures(slope=[0.0, 0.0], **{"brier less the base rate's": 0.0, "its t": None})
    results = [_result(noise | {"seed": k}, figures) for k, figures in enumerate([*learned, silent])]
    values = [*range(1, 20), 0]
    low, high = stats.t.interval(0.95, 19, np.mean(values), stats.sem(values))
    mean_and_reach = f"{np.mean(values):+.1f} ({low:+.1f} to {high:+.1f})"
    text = calibration.summary(results)
    assert _row(text, "| 40 | 0 |", "small MLP").endswith(f"| 20 | {mean_and_reach} | {share(0, 19)} |")
    assert "1 of 40" in text
    assert calibration.targets(results)[0].measured == f"{mean_and_reach} in 1e-5"


def test_the_indexes_scores_are_published_and_judged_whoever_misses() -> None:
    text, rows = calibration.summary([]), calibration.targets([])
    published = {name: calibration.INDEX_SCORES[name] for name in ("network", "linear", "boosting")}
    assert [target.met for target in rows] == [True, True, False]
    for name, called in (("network", "small MLP"), ("linear", "linear"), ("boosting", "boosting")):
        score = published[name]
        cells = " | ".join(f"{score[key]:.5f}" for key in ("calibrated", "base", "noise", "hindsight"))
        assert f"| {called} | {cells} |" in text
    assert rows[2].asked.startswith("the two bundled indexes, boosting")
    assert rows[2].measured == "0.24703 beside 0.24651, noise 0.00038"


def test_capture_says_ratios_of_means_and_the_four_that_were_expected() -> None:
    def figures(sharpe: float, drawdown: float) -> dict[str, float]:
        return {"sharpe": sharpe, "annual_return": sharpe / 10, "drawdown": drawdown}

    results = [
        Result(
            {"names": 40, "seed": seed, "noise": "lasting"},
            {
                "fallbacks": seed,
                "package": figures(own, 1.0),
                "with stops": figures(0.5, 0.8),
                "reference": figures(1, 1),
            },
            "code",
            1.0,
        )
        for seed, own in ((3, 0.8), (2, 1.0))
    ]
    text = capture.summary(results)
    assert "| net Sharpe | 2 | 0.900 | 1.000 | 0.90 (0.80 to 1.00) | 0.500 | 0.50 (0.50 to 0.50) |" in text
    assert "| 40, 3 | 0.43 | 1.00 | 0.80 |" in text
    assert "Sessions without an answer from the solver: 5." in text


def test_the_page_names_every_table_and_what_it_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "kept", lambda name: {})
    text = tables.text()
    assert text.count("Nothing measured yet.") == len(tables.NAMES)
    for title in ("False edge", "Power", "Capture", "Calibration"):
        assert f"## {title}" in text


@pytest.mark.parametrize(
    ("count", "of", "bounds", "met"),
    [
        (16, 200, {"at_most": 16}, True),
        (17, 180, {"at_most": 16}, False),
        (3, 180, {"at_most": 16}, None),  # 20 more could be 23
        (3, 190, {"at_most": 16}, True),
        (0, 0, {"at_most": 0}, None),
        (57, 58, {"at_least": 57}, True),
        (54, 58, {"at_least": 57}, False),  # of 60
        (40, 42, {"at_least": 57}, None),
    ],
)
def test_a_count_is_judged_once_no_panel_that_is_missing_can_change_it(
    count: int, of: int, bounds: dict[str, int], met: bool | None
) -> None:
    asked_of = 60 if "at_least" in bounds else 200
    assert of_count("asked", "said", count, of, asked_of, **bounds).met == met


def test_a_target_met_with_no_panel_to_spare_says_so() -> None:
    assert of_count("asked", "said", 18, 20, 20, at_least=18).measured == "said, no margin"
    assert of_count("asked", "said", 16, 200, 200, at_most=16).measured == "said, no margin"
    # Nothing to spare is no news where all, or none, was asked; nor where panels are missing, or more is measured.
    for count, bounds in ((20, {"at_least": 20}), (0, {"at_most": 0}), (19, {"at_least": 18}), (17, {"at_least": 18})):
        assert of_count("asked", "said", count, 20, 20, **bounds).measured == "said"
    assert of_count("asked", "said", 18, 19, 20, at_least=18).measured == "said"


def test_the_page_begins_with_the_targets_and_those_that_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = table([("One", [Target("a", "1", True), Target("b", "2", None)]), ("Two", [Target("c", "3", False)])])
    assert text.startswith("1 of 3 targets are met, 1 missed, 1 under way. ")
    assert [line.split(" | ")[0] for line in text.splitlines()[4:]] == ["| **missed**", "| under way", "| met"]
    panel = {"names": 40, "sessions": 1260, "persistence": 0.95, "horizon": 10}
    signal = _figures(verdicts=_figures()["verdicts"] | {"sealed year": "CCS"}, sessions=[9, 400])
    quiet = _figures(sessions=[9, 400])
    results = [
        _result(panel | {"seed": seed, "rank_ic": ic}, signal if ic and seed < 4 else quiet, quiet)
        for seed in range(1, 201)
        for ic in (0.0, false_edge.PLANTED)
    ]
    by_asked = {target.asked: target for target in false_edge.targets(results)}
    missed = "planted 0.03, small MLP, first look a year before the end: found in at least 80%"
    assert [target.met for target in by_asked.values()] == [True, True, False, True, True, False]
    assert by_asked[missed].measured == share(3, 200)
    text = false_edge.summary(results)
    assert "**The target for the planted edge is missed.**" in text
    # t 0.5 at 400 sessions where 2.9697 is needed: 400 x (2.9697 / 0.5)^2
    assert "would have to hold 14,110 (small MLP) and 14,110 (linear) sessions in place of 400" in text
    asked = {tables.address("false_edge", result.panel): result for result in results}
    monkeypatch.setattr(tables, "kept", lambda name: asked if name == "false_edge" else {})
    page = tables.text()
    assert page.index("## Targets") < page.index("| **missed** | False edge") < page.index("## False edge")
