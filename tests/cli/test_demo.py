"""What the demo says: what each estimator would have earned, and where the time went."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

import pytest
from rich.console import Console

from nn_assets.cli import demo
from nn_assets.errors import WorkerError

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
    told = demo._told_of_earnings(EARNED)
    assert max(map(len, told)) <= 120
    head, lines = " ".join(told[:-4]), told[-4:]
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


def test_equal_books_share_their_place() -> None:
    flat = {"return_per_year": 0.002, "sharpe_net": None}
    books = {**EARNED["books"], "network": flat, "linear": flat, "boosting": flat}
    lines = demo._told_of_earnings({**EARNED, "books": books})[-4:-1]
    assert all("as much as the others" in line for line in lines)


def test_the_time_is_told_by_strategy_and_part() -> None:
    parts = {"one": {"models": 40.4, "study": 9.6}, "other": {"models": 1.0, "study": 2.0}}
    told = demo._timed(61.2, 3.3, parts).splitlines()
    assert told[0] == "time    61 s, 3 s of them for summary and report"
    assert told[1:3] == ["        one: models 40 s, study 10 s", "        other: models 1 s, study 2 s"]
    assert "at the same time" in told[3]
    assert len(demo._timed(2.0, 2.0, {}).splitlines()) == 1


def test_a_process_of_the_demo_that_dies_is_a_named_error(tmp_path, monkeypatch) -> None:
    class Dying:
        def map(self, *_: Any) -> Any:
            died: Future[Any] = Future()
            died.set_exception(BrokenProcessPool("a process was terminated abruptly"))
            return (each.result() for each in [died])

    @contextmanager
    def pool(_: int) -> Any:
        yield Dying()

    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    monkeypatch.setattr(demo, "open_pool", pool)
    with pytest.raises(WorkerError, match="terminated abruptly"):
        demo.run_demo(Console(quiet=True), short=True)
