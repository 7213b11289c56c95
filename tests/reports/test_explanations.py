"""What the pages show of explanations, of contents made up by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nn_assets.reports.explanations import feature_worths, move_lines, worst_missed
from nn_assets.reports.page import daily_page, study_page
from tests.reports.pages import made_daily_page, made_study_page

PARTS = {"a": 0.1, "b": -0.4, "c": 0.02, "d": 0.3, "e": None, "f": 0.01, "g": -0.03, "<h>": 0.2}
ROW = {"symbol": "SIM<1>", "why": "target +3.00%", "before": 0.0, "after": 0.2, "parts": PARTS, "missed": 0.004}
MOVES = {
    "absent": "",
    "before": "2017-12-27",
    "refitted": True,
    "complete": 0.01,
    "rows": [ROW, {**ROW, "symbol": "SIM02", "missed": 0.03, "parts": {"a": 0.2}}],
    "without_window": ["SIM09"],
    "left_out": 4,
}
MONTHS = {
    "2017-01": {"rises": {"a": 0.0002, "b": -0.0001, "c": None}},
    "2017-02": {"rises": {"a": 0.0004, "b": 0.0, "c": None}},
    "2017-03": {"rises": {"a": 0.0006, "c": None}},
}
IMPORTANCE = {"absent": "", "most_samples": 256, "months": MONTHS}


def test_the_largest_parts_are_shown_and_the_others_added_up() -> None:
    line, other = move_lines(MOVES)
    assert [name for name, _, _ in line.parts] == ["b", "d", "<h>", "a", "g"]
    assert [share for _, _, share in line.parts] == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.075])
    assert (line.others, line.others_count) == (pytest.approx(0.03), 2)
    assert (line.before, line.after) == (0.5, pytest.approx(1.0 / (1.0 + math.exp(-0.2))))
    assert other.parts == (("a", 0.2, 0.5),)
    assert worst_missed(MOVES) == 0.03


def test_a_sessions_page_shows_the_moves_escaped_with_what_the_parts_miss() -> None:
    page = daily_page(made_daily_page(moves=MOVES))
    shown = page[page.index("What moved the forecasts") : page.index("nn-assets explain")]
    assert "SIM&lt;1&gt;" in shown
    assert "&lt;h&gt;" in shown
    assert "3.00% of it at most, more than the 1.0% that an explanation may miss" in shown
    assert 'the parts miss <b class="down">3.0%</b>' in shown
    assert "A new model has come into force" in shown
    assert "both sessions: SIM09" in shown
    assert "4 more changed direction" in shown
    assert "What moved the forecasts" not in daily_page(made_daily_page())
    failed = daily_page(made_daily_page(moves={"absent": "ImportError: captum", "rows": []}))
    assert "Not explained: ImportError: captum" in failed


def test_worths_are_means_over_months_with_their_spread_and_error() -> None:
    first, second, third = feature_worths(IMPORTANCE)
    assert (first.feature, first.months) == ("a", 3)
    assert (first.rise, first.spread, first.error) == pytest.approx((4e-4, 2e-4, 2e-4 / 3**0.5))
    assert first.t is None  # of three months an error is hardly known
    assert (second.feature, second.rise, second.share) == ("b", pytest.approx(-5e-5), pytest.approx(0.125))
    assert (third.feature, third.months, third.rise, third.t) == ("c", 0, None, None)


def test_months_without_a_figure_count_for_nothing_and_a_t_needs_six_with_one() -> None:
    rises = [1e-4, None, 2e-4, 3e-4, None, 4e-4, 5e-4]
    months = {f"2017-{number:02d}": {"rises": {"sometimes_shared": rise}} for number, rise in enumerate(rises, 1)}
    (line,) = feature_worths({**IMPORTANCE, "months": months})
    assert (line.months, line.rise, line.t) == (5, pytest.approx(3e-4), None)
    months["2017-08"] = {"rises": {"sometimes_shared": 6e-4}}
    (line,) = feature_worths({**IMPORTANCE, "months": months})
    by_hand = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert line.months == 6
    assert line.t == pytest.approx(by_hand.mean() / (by_hand.std(ddof=1) / 6**0.5))


def test_a_studys_page_shows_what_features_were_worth_or_why_not() -> None:
    page = study_page(made_study_page(importance=IMPORTANCE))
    shown = page[page.index("What each feature was worth") : page.index("Positions for the next")]
    for text in (
        "<td>4.00</td><td>2.00</td><td>1.15</td>",
        "all symbols share it",
        "t from 6 of them",
        "at most 256 rows",
        "3 months",
    ):
        assert text in shown
    assert "network's log loss rises, in 1e-4 nats," in shown  # as earlier versions measured it, and did not say
    units = {"loss": "squared error", "unit": "squared standard deviations"}
    assert "squared error rises, in 1e-4 squared standard" in study_page(
        made_study_page(importance={**IMPORTANCE, **units})
    )
    one_month = study_page(made_study_page(importance={**IMPORTANCE, "months": {"2017-01": MONTHS["2017-01"]}}))
    assert "1 month," in one_month
    absent = study_page(made_study_page(importance={"absent": "no torch", "most_samples": 0, "months": {}}))
    assert "Not measured: no torch" in absent
    assert "What each feature was worth" not in study_page(made_study_page())
