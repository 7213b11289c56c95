"""What the demo says: what each estimator would have earned, and where the time went."""

from __future__ import annotations

import re
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nn_assets.cli import demo
from nn_assets.errors import WorkerError
from nn_assets.learning.compute import OnExecutor

EARNED: dict[str, Any] = {
    "first": "2013-05-01",
    "last": "2017-12-29",
    "construction": "programme",
    "cash": 0.002,
    "books": {
        "network": {"return_per_year": -0.004, "sharpe_net": -0.12},
        "linear": {"return_per_year": 0.023, "sharpe_net": 0.49},
        "boosting": {"return_per_year": 0.002, "sharpe_net": None},
        "buy_and_hold": {"return_per_year": 0.012, "sharpe_net": 0.06},
    },
}


def test_every_estimator_has_a_line_that_sets_it_against_the_others() -> None:
    output = demo._earnings_lines(EARNED)
    assert max(map(len, output)) <= 120
    head, lines = " ".join(output[:-4]), output[-4:]
    assert "2013-05-01 to 2017-12-29" in head
    assert "cash alone +0.2%" in head
    assert "one rule for the three" in head.lower()
    assert "programme" in head
    assert [line.split()[0] for line in lines] == ["network", "linear", "boosting", "buy"]
    assert (
        "-0.4%, Sharpe -0.12: the least of the three, 2.7 points less than linear, 0.6 less than boosting" in lines[0]
    )
    assert (
        "+2.3%, Sharpe +0.49: the most of the three, 2.7 points more than network, 2.1 more than boosting" in lines[1]
    )
    assert "+0.2%, no position: the second most of the three" in lines[2]
    assert "+1.2%, Sharpe +0.06: bought in equal parts on the first session and kept" in lines[3]


def test_the_points_between_books_are_those_between_the_figures_shown() -> None:
    """+0.7% and -1.0% stood 1.6 points apart: of 0.66 and -0.96."""
    books = {
        **EARNED["books"],
        "network": {"return_per_year": 0.0066, "sharpe_net": 0.1},
        "linear": {"return_per_year": 0.0070, "sharpe_net": 0.1},
        "boosting": {"return_per_year": -0.0096, "sharpe_net": -0.3},
    }
    network, linear, boosting = demo._earnings_lines({**EARNED, "books": books})[-4:-1]
    assert "+0.7%" in network
    assert "-1.0%" in boosting
    assert "as much as linear, 1.7 points more than boosting" in network
    assert "as much as network, 1.7 points more than boosting" in linear
    assert "1.7 points less than network, 1.7 less than linear" in boosting


SUMMARY: dict[str, Any] = {
    "sessions": 4780,
    "rows_quarantined": 1,
    "models": "23",
    "figures": {
        "network": {"auc": 0.514, "accuracy": 0.563, "base_accuracy": 0.566, "rank_ic": 0.038, "sharpe_net": -0.04},
        "buy_and_hold": {"auc": None, "accuracy": None, "base_accuracy": None, "rank_ic": None, "sharpe_net": 0.42},
    },
    "verdict": "cannot tell",
    "verdict_of": "2017-12",
    "why": "so it is",
    "session": "2017-12-29",
    "fills": 0,
    "trading_state": "CONTINUE",
    "headline": "index_daily TRADES",
    "drift": "none",
    "targets": {
        f"SIM{number:02d}": {"quantity": 1.0 * (number < 14), "weight": 0.1, "why": ""} for number in range(60)
    },
    "earned": EARNED,
}


def test_the_summary_sets_accuracy_beside_its_base_rate_and_says_how_many_it_leaves_out() -> None:
    lines = demo._summary_text("index_daily", SUMMARY).splitlines()
    (head,) = [line for line in lines if "AUC" in line]
    (network,) = [line for line in lines if line.startswith("  network")]
    at = head.index("base rate") + len("base rate")
    assert network[:at].endswith("0.563         0.566")
    assert "23 models in use" in lines[2]
    shown = [index for index, line in enumerate(lines) if line.startswith("    SIM")]
    assert len(shown) == 5
    assert lines[shown[-1] + 1] == "    and 9 more"


def printed(page: str) -> list[str]:
    """The lines of the demo's output that a page shows."""
    text = (Path(__file__).resolve().parents[2] / page).read_text(encoding="utf-8")
    return text[text.index("index_daily\n  data") :].partition("\n```")[0].splitlines()


def test_the_readme_shows_the_first_lines_of_the_demo_s_page() -> None:
    assert printed("README.md") == printed("docs/demo.md")[:12]


def test_the_demo_s_page_shows_a_summary_as_it_is_written_now() -> None:
    """Its figures are of a run; head, points and what is left out are as the demo writes them."""
    lines = printed("docs/demo.md")
    block = "\n".join(lines[: next(index for index, line in enumerate(lines) if line.startswith("report  .nn_assets"))])
    (head,) = {line for line in demo._summary_text("index_daily", SUMMARY).splitlines() if "AUC" in line}
    assert block.count(head + "\n") == 2
    assert "    and 9 more\n  earned" in block
    books = re.findall(r"^    (network|linear|boosting) +([+-]\d\.\d)%.*$", block, re.MULTILINE)
    for first in (0, 3):
        earned = {name: float(value) for name, value in books[first : first + 3]}
        for name, line in zip(
            earned, re.findall(r"^    (?:network|linear|boosting) +[+-].*$", block, re.MULTILINE)[first:], strict=False
        ):
            for points, more, other in re.findall(r"(\d\.\d)(?: points)? (more|less) than (\w+)", line):
                assert float(points) == pytest.approx((earned[name] - earned[other]) * (1 if more == "more" else -1))
            for other in re.findall(r"as much as (\w+)", line):
                assert earned[name] == earned[other]


def test_equal_books_share_their_place() -> None:
    flat = {"return_per_year": 0.002, "sharpe_net": None}
    books = {**EARNED["books"], "network": flat, "linear": flat, "boosting": flat}
    lines = demo._earnings_lines({**EARNED, "books": books})[-4:-1]
    assert all("as much as the others" in line for line in lines)


def test_the_time_is_told_by_strategy_and_part() -> None:
    parts = {"one": {"models": 40.4, "study": 9.6}, "other": {"models": 1.0, "study": 2.0}}
    lines = demo._timed(61.2, 3.3, parts).splitlines()
    assert lines[0] == "time    61 s, 3 s of them for summary and report"
    assert lines[1:3] == ["        one: models 40 s, study 10 s", "        other: models 1 s, study 2 s"]
    assert "at the same time" in lines[3]
    assert len(demo._timed(2.0, 2.0, {}).splitlines()) == 1


def test_a_process_of_the_demo_that_dies_is_a_named_error(tmp_path, monkeypatch) -> None:
    class Dying:
        def map(self, *_: Any) -> Any:
            died: Future[Any] = Future()
            died.set_exception(BrokenProcessPool("a process was terminated abruptly"))
            return (future.result() for future in [died])

    @contextmanager
    def opened(*_: Any) -> Any:
        yield OnExecutor(Dying())

    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    monkeypatch.setattr(demo, "open_compute", opened)
    with pytest.raises(WorkerError, match="terminated abruptly"):
        demo.run_demo(Console(quiet=True), short=True)
