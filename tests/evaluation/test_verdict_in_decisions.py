"""A verdict within the session counts decisions, and says how many days they are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nn_assets.evaluation.verdict import Verdict
from nn_assets.reports.page import study_page
from tests.reports.pages import made_study_page


@pytest.mark.parametrize(
    ("needed", "per_day", "phrase"),
    [
        (12_544, 288, "cannot tell: 12,544 more decisions (about 44 days) needed"),
        (100, 288, "cannot tell: 100 more decisions (about 1 day) needed"),
        (12_544, None, "cannot tell: 12,544 more sessions needed"),
    ],
)
def test_what_is_needed_is_told_in_decisions_and_days(needed, per_day, phrase) -> None:
    assert Verdict("cannot tell", "", "AUC", sessions_needed=needed, decisions_per_day=per_day).phrase == phrase


def test_the_page_of_decisions_within_the_session_speaks_of_decisions_and_days() -> None:
    page = made_study_page()
    figures = replace(page.figures, regimes={**page.figures.regimes, "unknown": page.figures.total})
    verdict = replace(page.verdict, decisions_per_day=288)
    within = replace(page, figures=figures, verdict=verdict, counted="decisions")
    text = study_page(within)
    assert "The rules need 504 days of closes" in text
    assert "decisions. The rules need" in text
    assert "2% by those after it." in text
    assert "of live trading" not in text
    assert "labels realised before it came into force;" in text
