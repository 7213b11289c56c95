"""Pages: whole in one file, honest in the first lines, and safe whatever the data say."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nn_assets.execution.broker import EndedOrder
from nn_assets.oversight.headline import Headline, TradingWord
from nn_assets.reports.page import Plot, daily_page, demo_page, study_page
from nn_assets.reports.round_notices import ended_notices
from tests.reports.pages import made_daily_page, made_steps, made_study_page

_VOID = {"meta", "link", "img", "br"}


class _Outline(HTMLParser):
    """Collects text and outside references, and notices tags that do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.references: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data.strip())


def _outline(html: str) -> _Outline:
    outline = _Outline()
    outline.feed(html)
    outline.close()
    return outline


@pytest.mark.parametrize("html", [study_page(made_study_page()), daily_page(made_daily_page())])
def test_a_page_is_well_formed_and_needs_no_other_file(html: str) -> None:
    outline = _outline(html)
    assert outline.faults == []
    assert outline.open == []
    assert all(reference.startswith(("data:", "#")) for reference in outline.references)
    assert "http" not in html.replace("http-equiv", "")


@pytest.mark.full
def test_the_verdict_comes_before_any_figure() -> None:
    page = made_study_page()
    words = " ".join(_outline(study_page(page)).words)
    phrase = page.verdict.phrase[0].upper() + page.verdict.phrase[1:]
    assert 0 <= words.index(phrase) < words.index("Figures, out of sample")
    for expected in (
        "The vault is sealed.",
        "5f1c0a9b",
        "zero_volume",
        "SIM09: a notice",
        "REDUCE_SIZE",
        "3 trials",
    ):
        assert expected in words


def test_a_demo_shows_every_strategy_and_links_to_it() -> None:
    html = demo_page([made_study_page(), made_study_page(name="index_daily", label="Real bars")])
    outline = _outline(html)
    assert outline.references.count("#index-daily") == 1
    assert 'id="index-daily"' in html
    assert {"Real bars", "Simulated market"} <= set(outline.words)


@pytest.mark.full
def test_what_data_say_is_never_markup() -> None:
    evil = "<script>alert(1)</script>"
    quarantine = pd.DataFrame(
        {
            "symbol": [evil],
            "session": pd.to_datetime(["2016-01-04"]),
            "rule": [evil],
            "field": ["close"],
            "value": ['"><img src=x>'],
        }
    )
    html = study_page(
        made_study_page(
            description=evil, quarantine=quarantine, notices=(evil,), provenance={evil: evil}, caveats=(evil,)
        )
    )
    assert "<script" not in html
    assert "<img src=x" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.full
def test_a_leak_alarm_is_shown() -> None:
    page = made_study_page()
    object.__setattr__(page.figures, "alarms", ("network: rank ic 0.500 is above 0.1",))
    assert "Leak alarm" in " ".join(_outline(study_page(page)).words)


def test_a_fact_that_is_a_sentence_is_set_as_words() -> None:
    html = study_page(made_study_page(facts=(("Sessions", "300"), ("Financing", "shorts pay 0.30% a year to borrow"))))
    assert '<div class="value">300</div>' in html
    assert '<div class="value words">shorts pay 0.30% a year to borrow</div>' in html


def test_a_page_comes_out_when_parts_are_missing() -> None:
    bare = made_study_page(
        targets=None,
        steps=None,
        drift=None,
        quarantine=None,
        plots=(),
        facts=(),
        notices=(),
        headline=None,
        trading_state="",
    )
    words = " ".join(_outline(study_page(bare)).words)
    assert "Positions for the next session" not in words
    assert "Figures, out of sample" in words
    empty = made_daily_page()
    none = made_daily_page(
        targets=empty.targets.iloc[:0],
        orders=empty.orders.iloc[:0],
        fills=empty.fills.iloc[:0],
        drift=empty.drift.iloc[:0],
    )
    words = " ".join(_outline(daily_page(none)).words)
    assert "Nothing was filled" in words
    assert "No instrument could be decided" in words


def test_only_what_a_person_should_look_at_is_boxed_as_an_alarm_on_the_daily_page() -> None:
    page = daily_page(made_daily_page(notices=("The solver had no answer.",), plain_facts=("Regime: calm.",)))
    assert page.count('class="alarm"') == 1
    assert '<div class="alarm">The solver had no answer.</div>' in page
    assert '<p class="small plain">Regime: calm.</p>' in page


def test_the_daily_page_shows_state_orders_and_why_each_size() -> None:
    words = " ".join(_outline(daily_page(made_daily_page())).words)
    assert "Breaker none" in words
    assert " nan " not in words
    for expected in (
        "$1,012,346",
        "price collar",
        "SIM02 controls",
        "CONTINUE",
        "48.5120",
        "\N{MINUS SIGN}0.12%",
    ):
        assert expected in words


def test_the_session_page_names_what_bound_each_size() -> None:
    html = daily_page(made_daily_page(bound_by={"SIM02": ("net, gross", 6), "SIM03": ("edge", None)}))
    assert "Bound by <b>net, gross</b>. SIM02 limits" in html  # the sentence of its step, not of the last to change it
    assert "Bound by <b>edge</b>. SIM03 edge over volatility" in html
    assert "Bound by <b>worth its cost</b>. SIM01 worth its cost" in html  # by the trace alone


FLAT = Headline(TradingWord.DOES_NOT_TRADE, "mine DOES NOT TRADE: flat by the verdict. No action needed.")


def test_a_page_of_500_symbols_that_all_trade_stays_below_300_kb_and_says_where_the_rest_is() -> None:
    count, generator = 500, np.random.default_rng(1)
    symbols = [f"SIM{number:03d}" for number in range(count)]
    weight = generator.permutation(count) / 1e5 + 1e-3
    page = made_daily_page()
    targets = pd.DataFrame(
        {
            "symbol": symbols,
            "reference_price": generator.uniform(10.0, 500.0, count),
            "current_quantity": generator.integers(1, 500, count) * 1.0,
            "target_quantity": generator.integers(1, 500, count) * 1.0,
            "target_weight": weight,
            "stop_price": generator.uniform(10.0, 500.0, count),
        }
    )
    steps = made_steps(dict.fromkeys(symbols, (0.0, 0.0, 0.14, 0.11, 0.09, 0.08, 0.08, 0.079)))
    steps["reason"] = steps["reason"] + " and as many words as a sentence with its numbers has" * 3
    order, fill = page.orders.iloc[0].to_dict(), page.fills.iloc[0].to_dict()
    accepted = order | {"status": "accepted", "reason_code": None}
    many = made_daily_page(
        targets=targets,
        steps=steps,
        orders=pd.DataFrame([accepted | {"symbol": symbol} for symbol in symbols] + [order | {"symbol": "DENIED"}]),
        fills=pd.DataFrame(
            [fill | {"symbol": symbol, "quantity": 1.0 + index} for index, symbol in enumerate(symbols)]
        ),
        plots=[Plot("Drift", "a plot", generator.bytes(30_000))],
    )
    html = daily_page(many)
    assert len(html.encode()) < 300_000
    words = " ".join(_outline(html).words)
    assert all(symbol in words for symbol in symbols)
    assert html.count('class="steps"') == 30
    largest = targets.sort_values("target_weight", ascending=False)["symbol"].iloc[0]
    assert html.index(largest) < html.index('class="steps"')
    assert "The steps of the other 470: nn-assets query why_this_size --strategy planted_edge" in words
    assert "DENIED" in words
    assert "100 of 501, the largest and those denied; all of them: nn-assets export orders" in words
    assert "100 of 500, the largest; all of them: nn-assets export fills" in words


def test_the_headline_stands_first_and_a_flat_book_wears_no_green() -> None:
    trades = daily_page(made_daily_page())
    assert 'class="state CONTINUE"' in trades
    assert 'class="headline TRADES"' in trades
    for page in (
        daily_page(made_daily_page(headline=FLAT)),
        study_page(made_study_page(headline=FLAT, trading_state="CONTINUE", trading_reasons="")),
    ):
        assert FLAT.sentence in page
        assert 'class="headline DOES_NOT_TRADE"' in page
        assert "state CONTINUE" not in page
    words = [word for word in _outline(daily_page(made_daily_page(headline=FLAT))).words if word]
    after = next(index for index, word in enumerate(words) if "after its close" in word)
    assert FLAT.sentence in words[after + 1]


@pytest.mark.full
def test_the_same_contents_give_the_same_page() -> None:
    assert study_page(made_study_page()) == study_page(made_study_page())


@pytest.mark.full
@pytest.mark.browser
def test_a_browser_on_a_phone_renders_the_page(tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    page, picture = tmp_path / "page.html", tmp_path / "page.png"
    page.write_text(study_page(made_study_page()), encoding="utf-8")
    command = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--screenshot={picture}",
        "--window-size=390,1600",
        page.as_uri(),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert picture.stat().st_size > 20_000


@pytest.mark.full
def test_the_study_page_says_what_was_on_and_that_other_costs_are_charged_afterwards() -> None:
    html = study_page(made_study_page())
    assert "What was on" in html
    assert "Network: 5 members, median confidence 0.81; paused on 2 &amp; reduced on 3" in html
    assert "each book as it was traded, its trading costs changed afterwards" in html
    for row in ("Brier, base rate", "Calibration error", "Sharpe, costs x 2", "Sharpe, 10 bps", "Return, 10 bps"):
        assert row in html


def test_a_page_says_how_many_sessions_rules_cannot_name_and_how_many_they_need() -> None:
    figures = made_study_page().figures
    known = made_study_page(figures=replace(figures, regimes={"rising, quiet": figures.total}))
    unknown = replace(figures, regimes={**known.figures.regimes, "unknown": figures.total})
    assert "The rules need 504 sessions of closes" in (page := study_page(made_study_page(figures=unknown)))
    assert "Unknown: 300 sessions." in page or "Unknown: 299 sessions." in page
    assert "The rules need" not in study_page(known)


@pytest.mark.parametrize(
    ("reason", "compare"),
    [("volume_cap", False), ("no_bar", False), ("delisted", False), ("unfinished_run", True), ("of_a_venue", True)],
)
def test_only_an_order_that_the_market_did_not_end_asks_for_a_comparison_with_the_account(
    reason: str, compare: bool
) -> None:
    session_round: Any = SimpleNamespace(
        ended=(EndedOrder("1", 0, reason),),
        session_state=SimpleNamespace(book=SimpleNamespace(symbols=("SIM12",))),
    )
    (notice,) = ended_notices(session_round)
    assert notice.startswith(f"{reason}: 1 order under way ended without a whole fill: SIM12. ")
    assert ("compare the positions" in notice) is compare
