"""The package's own sections and one of a plug-in, held to what every section is held to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from nn_assets import plugins
from nn_assets.costs.shortfall import Shortfall, ShortfallRow
from nn_assets.errors import PluginError
from nn_assets.evaluation.figure_set import LossFigures
from nn_assets.evaluation.significance import MeanTest
from nn_assets.oversight.headline import Headline, TradingWord
from nn_assets.reports.page import DailyPage, Plot, StudyPage, daily_page
from nn_assets.reports.sections import SECTIONS, section_names
from tests.contracts.sections import EVIL, SectionContract
from tests.reports.pages import made_daily_page, made_drift, made_steps, made_study_page, made_targets

PLOT = Plot(EVIL, EVIL, b"\x89PNG")
TARGETS = made_targets().assign(symbol=["SIM01", "SIM02", EVIL])
STEPS = made_steps({EVIL: (0.0, 0.0, 0.05, 0.04, 0.0, 0.0, 0.0, 0.0)})
MOVE = {"symbol": EVIL, "why": EVIL, "before": 0.0, "after": 0.1, "parts": {EVIL: 0.1}, "missed": 0.0}
MOVES = {"absent": "", "before": EVIL, "complete": 0.01, "rows": [MOVE], "without_window": [EVIL]}
IMPORTANCE = {"absent": "", "most_samples": 256, "months": {"2017-01": {"rises": {EVIL: 0.1}}}}
DRIFT = made_drift().assign(name=EVIL)
QUARANTINE = pd.DataFrame(
    {"symbol": [EVIL], "session": pd.to_datetime(["2016-01-04"]), "rule": [EVIL], "field": ["close"], "value": [EVIL]}
)
ORDERS = made_daily_page().orders.assign(symbol=EVIL)
FILLS = made_daily_page().fills.assign(symbol=EVIL)
RANGES = pd.DataFrame(
    {
        "symbol": ["SIM01", "SIM02"],
        "level": [50.0, None],
        "lower_bound": [47.0, None],
        "upper_bound": [53.0, None],
        "spacing": [0.012, None],
        "steps": [10.0, None],
        "half_life": [4.0, None],
        "p_value": [0.001, 0.4],
        "said": ["range", "no range: trending"],
    }
)
HEADLINE = Headline(TradingWord.TRADES, EVIL)
FIGURES = made_study_page().figures
NO_TEST = MeanTest(0.1, None, None, None, None, 9, "9 sessions are realised, and 250 are needed")
LOSSES = replace(
    FIGURES,
    remarks=(EVIL,),
    volatility=LossFigures("QLIKE", ("ewma",), {"network": 0.3, "ewma": 0.4}, {"network": {"ewma": NO_TEST}}, 300),
)
REGIMES = replace(FIGURES, regimes={EVIL: FIGURES.total})

SHORTFALL = ShortfallRow("all", "all orders", 3, 10_000.0, Shortfall(1.0, 2.0, 3.0, 4.0, 5.0, -6.0))

# Name: title, what makes its data markup, what leaves it silent (None: it says that there is nothing).
OWN: dict[str, tuple[str, dict[str, object], dict[str, object] | None]] = {
    "study_figures": ("Figures, out of sample", {"was_on": (EVIL,)}, None),
    "study_losses": ("Losses, out of sample", {"figures": LOSSES}, {"figures": FIGURES}),
    "study_pictures": ("Pictures", {"plots": (PLOT,)}, {"plots": ()}),
    "study_folds": ("Month by month", {"notices": (EVIL,)}, None),
    "study_regimes": ("By regime", {"figures": REGIMES}, {"figures": replace(FIGURES, regimes={})}),
    "study_shift": ("Shift test", {"left_out": (EVIL,)}, {"figures": replace(FIGURES, shift=None)}),
    "study_importance": ("What each feature was worth", {"importance": IMPORTANCE}, {"importance": None}),
    "study_positions": ("Positions for", {"targets": TARGETS, "steps": STEPS}, {"targets": None}),
    "study_oversight": ("Oversight", {"drift": DRIFT, "headline": HEADLINE}, {"drift": None, "headline": None}),
    "study_data": ("Data", {"quarantine": QUARANTINE}, {"quarantine": None, "notices": ()}),
    "study_caveats": ("What these figures do not say", {"caveats": (EVIL,)}, {"caveats": ()}),
    "study_provenance": ("Where they come from", {"provenance": {EVIL: EVIL}}, {"provenance": {}}),
    "session_positions": ("Positions for", {"targets": TARGETS, "steps": STEPS}, None),
    "session_moves": ("What moved the forecasts", {"moves": MOVES}, {"moves": None}),
    "session_orders": ("Orders", {"orders": ORDERS}, None),
    "session_fills": ("Fills of this session", {"fills": FILLS}, None),
    "session_shortfall": ("What trading cost", {"shortfall": (replace(SHORTFALL, label=EVIL),)}, {"shortfall": ()}),
    "session_ranges": ("Ranges", {"ranges": RANGES.assign(symbol=EVIL, said=EVIL)}, {"ranges": None}),
    "session_pictures": ("Pictures", {"plots": (PLOT,)}, {"plots": ()}),
    "session_drift": ("Drift", {"drift": DRIFT}, None),
    "session_caveats": ("What to bear in mind", {"caveats": (EVIL,)}, {"caveats": ()}),
    "session_provenance": ("Where it comes from", {"provenance": {EVIL: EVIL}}, {"provenance": {}}),
}
FULL = {"plots": (PLOT,), "caveats": ("A caveat.",), "provenance": {"data hash": "5f1c"}}


@cache
def full_page(page: str) -> StudyPage | DailyPage:
    if page == "study":
        return made_study_page(**FULL, importance=IMPORTANCE | {"months": {"2017-01": {"rises": {"rsi_14": 0.1}}}})
    return made_daily_page(
        **FULL, shortfall=(SHORTFALL,), ranges=RANGES, moves={"absent": "none was needed", "rows": []}
    )


def page_of(name: str, **changes: object) -> StudyPage | DailyPage:
    return replace(full_page(SECTIONS[name].page), **changes)


class TestOwnSections(SectionContract):
    @pytest.fixture(params=OWN)
    def name(self, request: pytest.FixtureRequest) -> str:
        self.title = OWN[request.param][0]
        return request.param

    @pytest.fixture
    def page(self, name: str) -> StudyPage | DailyPage:
        return page_of(name, **OWN[name][1]) if name == "study_losses" else page_of(name)

    @pytest.fixture
    def evil(self, name: str) -> StudyPage | DailyPage:
        return page_of(name, **OWN[name][1])

    @pytest.fixture
    def silent(self, name: str) -> StudyPage | DailyPage | None:
        changes = OWN[name][2]
        return None if changes is None else page_of(name, **changes)


def test_every_section_of_the_package_is_held_to_it() -> None:
    assert set(OWN) == set(SECTIONS.own)


LARGEST = """
from nn_assets.reports.sections import register_section

@register_section(
    "largest",
    page="session",
    after="session_positions",
    template="<h3>Largest</h3><p>{{ symbol }}, {{ weight | percent }}</p>{{ parts.listed(page.caveats) }}",
)
def largest(page):
    if page.targets.empty:
        return None
    row = page.targets.loc[page.targets["target_weight"].abs().idxmax()]
    return {"symbol": row["symbol"], "weight": row["target_weight"]}
"""


@pytest.fixture
def brought(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "mine.py").write_text(LARGEST)
    plugins.load([str(tmp_path / "mine.py")])
    yield
    plugins.forget()


@pytest.mark.usefixtures("brought")
class TestSectionOfAFile(SectionContract):
    title = "Largest"

    @pytest.fixture
    def name(self) -> str:
        return "largest"

    @pytest.fixture
    def page(self) -> DailyPage:
        return made_daily_page(own_sections=("largest",))

    @pytest.fixture
    def evil(self) -> DailyPage:
        return made_daily_page(own_sections=("largest",), targets=TARGETS.assign(symbol=EVIL), steps=STEPS)

    @pytest.fixture
    def silent(self) -> DailyPage:
        base_page = made_daily_page()
        return made_daily_page(own_sections=("largest",), targets=base_page.targets.iloc[:0])


def test_a_section_of_a_plug_in_stands_where_it_says_and_only_on_pages_of_strategies_that_name_it(brought) -> None:
    html = daily_page(made_daily_page(own_sections=("largest",)))
    assert html.index("Positions for") < html.index("<h3>Largest</h3><p>SIM01, 7.9%</p>") < html.index("<h3>Orders")
    assert "Largest" not in daily_page(made_daily_page())
    assert section_names("study", ("largest",)) == section_names("study")


@pytest.mark.parametrize("fault", [("if page.targets.empty:", "if page.nothing:"), ("{{ symbol }}", "{{ nothing }}")])
def test_a_section_that_fails_says_so_in_its_place_and_takes_no_other_away(
    tmp_path: Path, fault: tuple[str, str]
) -> None:
    (tmp_path / "mine.py").write_text(LARGEST.replace(*fault))
    plugins.load([str(tmp_path / "mine.py")])
    html = daily_page(made_daily_page(own_sections=("largest",)))
    plugins.forget()
    assert "This section of a plug-in failed: " in html
    assert html.index("failed: ") < html.index("<h3>Orders")


@pytest.mark.parametrize(
    "fault",
    [
        ('page="session"', 'page="year"'),
        ('after="session_positions"', 'after="study_figures"'),
        ('"largest",', '"session_orders",'),
    ],
)
def test_a_section_of_no_page_after_no_section_or_of_a_name_that_is_taken_is_refused(
    tmp_path: Path, fault: tuple[str, str]
) -> None:
    (tmp_path / "mine.py").write_text(LARGEST.replace(*fault))
    with pytest.raises(PluginError, match=r"section"):
        plugins.load([str(tmp_path / "mine.py")])
