"""The published page, read as text, against the stored panels and what README and limits say of it.

It shares no code with what writes the page.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.proof import tables

FOLDER = Path(__file__).resolve().parent
CHECKOUT = FOLDER.parents[1]
LIMITS = " ".join((CHECKOUT / "docs" / "limits.md").read_text("utf-8").split())
PAGE = (CHECKOUT / "docs" / "proof.md").read_text("utf-8")


def row(starts: str, *, after: str, page: str = "docs/proof.md") -> str:
    """The first line of the page that starts so, after a line with certain words."""
    text = (CHECKOUT / page).read_text("utf-8")
    lines = text[text.index(after) :].splitlines()
    return next(line for line in lines if line.startswith(starts))


def stored(table: str) -> Iterable[dict[str, Any]]:
    """The newest line of each panel."""
    lines = map(json.loads, (FOLDER / "results" / f"{table}.jsonl").read_text("utf-8").splitlines())
    return {json.dumps(line["panel"], sort_keys=True): line for line in lines}.values()


@pytest.fixture(scope="module")
def false_edge() -> list[dict[str, Any]]:
    return list(stored("false_edge"))


@pytest.mark.parametrize(("ic", "market"), [(0.0, "noise"), (0.03, "planted")])
def test_false_leak_alarms_are_those_of_the_stored_panels(
    false_edge: list[dict[str, Any]], ic: float, market: str
) -> None:
    published = row(f"| {market} |", after="nothing leaks here").split(" | ")[1:]
    here = [line["figures"] for line in false_edge if line["panel"]["rank_ic"] == ic]
    for cell, plan in zip(published, ("sealed year", "every month", "once"), strict=True):
        words = [figures["network"]["verdicts"][plan] + figures["linear"]["verdicts"][plan] for figures in here]
        assert cell.startswith(f"{sum('L' in word for word in words)} of {len(here)},"), plan


def test_an_alarm_stands_in_every_later_look_of_the_stored_panels(false_edge: list[dict[str, Any]]) -> None:
    for line in false_edge:
        for name in ("network", "linear"):
            for plan in ("sealed year", "every month"):
                word = line["figures"][name]["verdicts"][plan]
                assert set(word.partition("L")[2]) <= {"L"}
    for line in stored("power"):
        for name in ("network", "linear"):
            assert not any("L" in word for word in line["figures"][name]["verdicts"].values())


@pytest.mark.parametrize(("name", "called"), [("network", "small MLP"), ("linear", "linear")])
def test_a_brier_score_without_a_t_is_one_whose_forecast_is_the_base_rate(
    false_edge: list[dict[str, Any]], name: str, called: str
) -> None:
    for ic in (0.0, 0.03):
        here = [line["figures"][name] for line in false_edge if line["panel"]["rank_ic"] == ic]
        untested = [figures for figures in here if figures["its t"] is None]
        assert all(set(figures["slope"]) == {0.0} for figures in untested)
        assert all(abs(figures["brier less the base rate's"]) < 1e-15 for figures in untested)
        mean = 1e5 * sum(figures["brier less the base rate's"] for figures in here) / len(here)
        cells = row(f"| 40 | {ic:g} | 0.95 | 10 | {called} |", after="Brier score less that").split(" | ")
        assert cells[5:7] == ["200", cells[6]]
        assert cells[6].startswith(f"{mean:+.1f} (")
        assert f" of {len(here) - len(untested)}," in cells[7]
        target = f"| 40 names, planted {ic:g}, AR(1) 0.95, label 10, {called}: Brier score on average not above"
        assert f"{target} the base rate's by more than noise | {cells[6]} in 1e-5 |" in PAGE


def test_no_edge_found_is_that_of_the_stored_panels() -> None:
    lines = [line for line in stored("power") if line["panel"]["persistence"] == 0.5]
    for name, called in (("linear", "linear"), ("planted signal", "the planted signal itself")):
        words = [line["figures"][name]["verdicts"]["once"] for line in lines if name in line["figures"]]
        published = next(
            line for line in PAGE.splitlines() if line.startswith("| 0.02 | 0.5 | 2 |") and f"| {called} |" in line
        )
        assert published.split(" | ")[-1].startswith(f"{words.count('N')} of {len(words)},")


# What docs/limits.md says; the section of the page, the row's start, and what that row says.
STATEMENTS = (
    ("not in force already, 64 sessions after the change", "**the edge dies**", "| drawdown halving |", ("| 64 |",)),
    (
        "in 13 of 20 markets, the drawdown breaker after 138",
        "**the edge dies**",
        "| drawdown |",
        ("| 13 of 20 | 138 |",),
    ),
    ("week's loss in none of them", "**the edge dies**", "| session loss |", ("| 0 of 20 |",)),
    ("week's loss in none of them", "**the edge dies**", "| weekly loss |", ("| 0 of 20 |",)),
    ("keeps 0.78 (0.70 to 0.87)", "## Capture", "| net Sharpe |", ("| 0.78 (0.70 to 0.87) |",)),
    ("without them it keeps 1.00", "## Capture", "| net Sharpe |", ("| 1.00 (",)),
    ("cost 5.76% of equity over two", "**nothing is wrong**", "| all of them |", ("| -5.76% (", "costs equity")),
    ("0.19 of net Sharpe where nothing", "**nothing is wrong**", "| all of them |", ("| -0.19 (", "costs Sharpe")),
    ("4.98% of equity in a year in which", "**volatility doubles**", "| all of them |", ("| -4.98% (", "costs equity")),
    ("2.44 and 3.15 points less", "**nothing is wrong**", "| all of them |", ("| +2.44% (", "saves drawdown")),
    ("2.44 and 3.15 points less", "**volatility doubles**", "| all of them |", ("| +3.15% (", "saves drawdown")),
    ("costs 0.79% (0.01% to 1.66%)", "**the edge dies**", "| drawdown |", ("| -0.79% (-1.66% to -0.01%) |",)),
    (
        "saves 1.27% (0.27% to 2.39%)",
        "**the edge dies**",
        "| drawdown, never released |",
        ("| +1.27% (+0.27% to +2.39%) |",),
    ),
    (
        "monthly looks over the last year in 36, with monthly looks from the first month on in 12",
        "## Power",
        "| 0.02 | 0.95 | 10 |",
        ("small MLP", "| 36 of 60,", "| 12 of 60,", "| 57 of 60,"),
    ),
    (
        "in 57 of 60, which is the target with no",
        "## Targets",
        "| met | Power |",
        ("small MLP", "57 of 60,", "no margin"),
    ),
    (
        "miss it there as often (in 20 of 200 found)",
        "At some look",
        "| planted | the planted signal",
        ("| 20 of 200,",),
    ),
    ("in 6 of 200 such markets by a small MLP", "At some look", "| planted | small MLP |", ("| 6 of 200,",)),
    ("and in 15 by the linear model", "At some look", "| planted | linear |", ("| 15 of 200,",)),
    ("One rings in 7 of 200", "nothing leaks here", "| noise |", ("| noise | 0 of 200,", "| 7 of 200,")),
    (
        "(Brier score 0.24703 against 0.24651)",
        "bundled indexes, real",
        "| boosting |",
        ("| 0.24703 | 0.24651 |", "**no**"),
    ),
    ("of the linear model is not", "bundled indexes, real", "| small MLP |", ("| yes |",)),
    ("of the linear model is not", "bundled indexes, real", "| linear |", ("| yes |",)),
    ("in none if the last year is sealed", "nothing leaks here", "| noise |", ("| noise | 0 of 200,",)),
    ("planted, in 23 and 9 of 200", "nothing leaks here", "| planted |", ("| planted | 9 of 200,", "| 23 of 200,")),
    ("0.61 (0.54 to 0.69) of the", "Capture by per_name", "| net return a year |", ("| 0.61 (0.54 to 0.69) |",)),
    ("at 0.55 of its volatility", "Capture by per_name", "| volatility a year |", ("| 0.55 (",)),
    ("net Sharpe of 1.34 against 1.18", "Capture by per_name", "| net Sharpe |", ("| 1.337 | 1.177 |",)),
    (
        "cost 9.2% of equity (1.7% to 17.4%)",
        "rank IC 0.05**",
        "| nothing is wrong, all",
        ("-9.21% (-17.44% to -1.70%)",),
    ),
    ("2.49% of equity in half a year", "## Markov scale", "| volatility doubles |", ("| 80% (", "| -2.49% (")),
    ("costs 1.51% of equity where nothing", "## Markov scale", "| nothing is wrong |", ("| -1.51% (", "costs equity")),
    (
        "0.37 points less (0.07 to 0.69; twenty",
        "## Novelty",
        "| nothing strange |",
        ("| 20 |", "+0.37% (+0.07% to +0.69%)"),
    ),
    ("Of volumes of ten deviations 75% are", "## Novelty", "| volumes of ten deviations |", ("| 74.9% |",)),
    ("from 49% of equity to 32%", "## Groups", "| clear sectors, errors shared", ("| 48.9% | 31.6% |",)),
    ("equity -0.22%, -2.85% to +2.45%", "**the feed repeats**", "| stale data |", ("| -0.22% (-2.85% to +2.45%) |",)),
)


@pytest.mark.parametrize(("said", "after", "starts", "figures"), STATEMENTS)
def test_the_limits_say_what_the_page_does(said: str, after: str, starts: str, figures: tuple[str, ...]) -> None:
    assert said in LIMITS
    published = row(starts, after=after)
    assert all(figure in published for figure in figures), published


# A row of the README's table of what was measured; the section of the page, the row's start, and what that row says.
MEASURED = (
    (
        "small MLP, 200 markets of noise: edge found in 0, signal found in 1",
        "At some look:",
        "| noise | small MLP | **sealed year** |",
        ("| 200 | 1 of 200,", "| 0 of 200,"),
    ),
    (
        "20 months of 40 names, planted 0.03: signal found in 6 of 200 (a missed target)",
        "## Targets",
        "| **missed** | False edge | planted 0.03, small MLP",
        ("| 6 of 200,",),
    ),
    (
        "500 names, planted 0.02, judged once at the end: found in 57 of 60",
        "## Power",
        "| 0.02 | 0.95 | 10 |",
        ("small MLP", "| 57 of 60,"),
    ),
    ("signal found for 18 of 20 seeds", "## Planted edge", "| signal found, edge found among them", ("| 18 of 20,",)),
    ("edge found for 0", "## Planted edge", "| edge found |", ("| 0 of 20,",)),
    (
        "1.00 of a plain optimiser's net Sharpe, 0.78 with stops on",
        "## Capture",
        "| net Sharpe |",
        ("| 1.00 (", "| 0.78 ("),
    ),
    ("5.76% of equity over two years", "**nothing is wrong**", "| all of them |", ("| -5.76% (", "costs equity")),
    ("drawdown is 2.44 points less", "**nothing is wrong**", "| all of them |", ("| +2.44% (", "saves drawdown")),
    ("24 of 24 faults switched on", "## Targets", "| met | Faults |", ("| 24 of 24 |",)),
    ("44 of 54 targets are met and 10 missed", "## Targets", "44 of 54", ("44 of 54 targets are met, 10 missed.",)),
)


@pytest.mark.parametrize(("said", "after", "starts", "figures"), MEASURED)
def test_the_readme_s_table_says_what_the_page_does(
    said: str, after: str, starts: str, figures: tuple[str, ...]
) -> None:
    section = (CHECKOUT / "README.md").read_text("utf-8").partition("## What was measured\n")[2].partition("\n## ")[0]
    assert said in " ".join(section.split())
    published = row(starts, after=after)
    assert all(figure in published for figure in figures), published


def test_the_readme_s_figures_of_the_real_indexes_are_those_of_the_demo() -> None:
    auc, accuracy, base = row("  network", after="index_daily\n  data", page="docs/demo.md").split()[1:4]
    readme = (CHECKOUT / "README.md").read_text("utf-8")
    assert f"| AUC {auc}, accuracy {accuracy} against a base rate of {base}: cannot tell |" in readme
    assert "cannot tell" in row("  verdict", after="index_daily\n  data", page="docs/demo.md")


def test_controls_that_save_nothing_do_so_in_every_market() -> None:
    assert "save nothing that can be told from chance in any of the four markets measured" in LIMITS
    for market in ("nothing is wrong", "the edge dies", "volatility doubles", "costs triple"):
        for control in ("PAUSE", "session loss", "weekly loss"):
            said = row(f"| {control} |", after=f"**{market}**").split(" | ")[-1]
            assert said.endswith(("saves nothing that can be told from chance |", "saves and costs nothing |")), market


@pytest.mark.full
def test_the_page_is_what_the_results_and_the_code_at_hand_give() -> None:
    assert tables.text() == PAGE, "write it anew: make proof PROOF_FLAGS='--minutes 0'"
