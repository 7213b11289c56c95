"""Searches on every day of the year, as commands and studies make them: killed, in several processes, and blind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nn_assets.operations.asof.choices import NESTED, Choice, choices_on_record, in_sample_until, search_text
from nn_assets.operations.asof.models import models_in_force
from nn_assets.operations.history import open_history
from nn_assets.operations.search.choosing import search_months
from nn_assets.settings import Strategy
from tests.operations import around_the_clock as small
from tests.operations import homes, within_the_session
from tests.orchestration.conftest import living_in, strategy_of, write_strategy
from tests.runs import materialise

pytestmark = [pytest.mark.full, pytest.mark.slow]

SEARCH: dict[str, object] = {
    "trials": 4,
    "every_days": 60,
    "folds": 2,
    "at_once": 2,
    "space": {"learning.lookback": {"low": 1, "high": 8}, "learning.hidden": {"low": 2, "high": 16}},
}
SEARCHES = ["2021-05-31", "2021-07-30"]


def of_home() -> Strategy:
    return strategy_of(small.NAME)


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home on every day of the year, whose strategy searches nothing so far."""
    return small.studied(tmp_path_factory)


def searching(studied: Path, home: Path, **learning: object) -> Path:
    shutil.copytree(studied, home)
    small.write(home, search=SEARCH, learning={"maximum_epochs": 3, **learning})
    return home


def command(home: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "nn_assets.cli", "search", "--strategy", small.NAME]
    words += ["--from", small.FIRST_MONTH, "--to", small.LAST_MONTH]
    return subprocess.Popen(
        words,
        env={**os.environ, "NN_ASSETS_HOME": str(home)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def finish(home: Path) -> str:
    with command(home) as process:
        said = process.communicate(timeout=300)[0]
        assert process.returncode == 0, said
    return said


def killed_after(home: Path, line: str) -> None:
    """Give the command and kill it, with all that it started, once it says a line."""
    with command(home) as process:
        assert process.stdout is not None
        for said in process.stdout:
            if line in said:
                os.killpg(process.pid, signal.SIGKILL)
                break
        assert process.wait(60) == -signal.SIGKILL


def on_record(home: Path) -> tuple[list[tuple[Any, ...]], dict[str, Choice]]:
    """Trials and choices, without what a processor's number of processes says of a strategy."""
    with living_in(home), open_history(of_home()) as history:
        rows = history.stores.ledger.read("trials", small.NAME)
        choices = choices_on_record(history.stores.ledger, of_home())
    trials = rows[rows["trial_id"].str.startswith(NESTED)]
    seen = [
        (row.configuration["month"], row.configuration["number"], str(dict(row.configuration)), str(dict(row.figures)))
        for row in trials.itertuples()
    ]
    return sorted(seen), choices


def test_killed_in_its_second_search_and_in_two_processes_it_ends_where_one_that_was_not_killed_ends(
    studied: Path, tmp_path: Path
) -> None:
    whole = searching(studied, tmp_path / "whole" / "home")
    killed = searching(studied, tmp_path / "killed" / "home", processes=2)
    said = finish(whole)
    assert "8 of 8 trials in 2 searches" in said
    killed_after(killed, f"search of {SEARCHES[1]}: 2 of 4 trials")
    kept, choices = on_record(killed)
    assert list(choices) == SEARCHES[:1]
    assert 6 <= len(kept) < 8
    finish(killed)
    again, choices = on_record(killed)
    assert kept == [row for row in again if row in kept]

    def without_settings(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return [(since, number, figures) for since, number, _, figures in rows]

    expected, expected_choices = on_record(whole)
    assert without_settings(again) == without_settings(expected)
    assert list(choices) == SEARCHES
    assert choices == expected_choices


def test_no_choice_and_no_model_changes_when_every_bar_from_its_day_on_is_another(tmp_path: Path) -> None:
    """The same bars until July 29, then a random walk: choices and models in force from July 30 are the same."""
    day = pd.Timestamp(SEARCHES[1])
    sessions = pd.date_range("2021-01-01", small.LAST, freq="D")
    random = np.random.default_rng(5)
    steps = random.normal(0.0, 0.02, (len(sessions), len(small.SYMBOLS)))
    steps[1:] += 0.3 * steps[:-1]
    others = np.where((sessions >= day)[:, None], random.normal(0.0, 0.05, steps.shape), steps)
    choices, models, differ = [], [], []
    for name, moves in (("healthy", steps), ("corrupted", others)):
        home = tmp_path / name / "home"
        write_strategy(
            home,
            small.NAME,
            source={"kind": "files", "path": "bars.csv", "seed": None, "planted_rank_ic": None},
            market={**small.MARKET, "asset_class": None, "live_starts": None},
            features={"names": ["log_return_1", "log_return_5", "close_location"], "panel_pass_share": 0.5},
            walk_forward=small.IN_DAYS,
            search=SEARCH,
        )
        _bars(sessions, moves).to_csv(home / "strategies" / "bars.csv", index=False)
        with living_in(home):
            homes.take_in(of_home())
            with open_history(of_home()) as history:
                choices.append(search_months(history, ["2021-07"], "run", lambda _: None))
                differ.append(history.view().cube.content_hash())
            homes.train(of_home(), ["2021-07"])
            with open_history(of_home()) as history:
                in_force = models_in_force(history.stores.ledger, of_home())
                models.append([in_force.on(session) for session in pd.date_range("2021-07-01", "2021-07-31")])
    assert differ[0] != differ[1]
    assert [choice.since for choice in choices[0]] == SEARCHES
    assert choices[0] == choices[1]
    assert choices[0][1].saw_until == "2021-07-29"
    assert models[0] == models[1]
    assert len(set(models[0])) == 2  # that of June 30, and from July 30 on the one fitted by the second choice


def _bars(sessions: pd.DatetimeIndex, moves: np.ndarray) -> pd.DataFrame:
    close = 50.0 * np.exp(np.cumsum(moves, axis=0))
    opened = np.vstack([np.full(close.shape[1], 50.0), close[:-1]])
    frame = {
        "symbol": np.repeat(small.SYMBOLS, len(sessions)),
        "session": np.tile(sessions.strftime("%Y-%m-%d"), len(small.SYMBOLS)),
        "open": opened.T.ravel(),
        "high": (np.maximum(opened, close) * 1.002).T.ravel(),
        "low": (np.minimum(opened, close) / 1.002).T.ravel(),
        "close": close.T.ravel(),
        "volume": 1e6,
    }
    return pd.DataFrame(frame)


def test_a_study_through_dagster_searches_first_and_its_page_shows_the_budget(studied: Path, tmp_path: Path) -> None:
    home = searching(studied, tmp_path / "home")
    with living_in(home):
        materialise(of_home(), "study", first=f"{small.FIRST_MONTH}-01", last=f"{small.LAST_MONTH}-01")
        page = (home / "reports" / f"{small.NAME}-study.html").read_text(encoding="utf-8")
    _, choices = on_record(home)
    assert list(choices) == SEARCHES
    assert "searched: 8 of 8 trials in 2 searches" in page


def test_a_strategy_that_decides_within_the_session_is_searched_and_studied(tmp_path: Path) -> None:
    bars = within_the_session.simulated_bars("2024-01-15", 23 * 24, edge=0.5, symbols=5, minutes=60)
    search = {"trials": 2, "every_days": 17, "folds": 2, "space": {"learning.hidden": {"low": 4, "high": 6}}}
    seen = {}
    for scope in ("nested", "all_folds"):
        home = tmp_path / scope
        within_the_session.write(
            home,
            bars,
            starts="2024-01-15",
            ends="2024-02-06",
            intraday={"bar_minutes": 60},
            learning={"maximum_epochs": 2, "ensemble": 1},
            label={"horizon_sessions": 3},
            walk_forward={"validation_days": 2, "calibration_days": 2},
            search={**search, "scope": scope},
        )
        with living_in(home):
            strategy = strategy_of(within_the_session.NAME)
            within_the_session.take_in_all(strategy)
            with open_history(strategy) as history:
                (choice,) = search_months(history, ["2024-02"], "run", lambda _: None)
                seen[scope] = choice.saw_until, in_sample_until(history.stores.ledger, strategy)
                assert str(search_text(history.stores.ledger, strategy)).startswith("2 of 2 trials in 1 search")
            if scope == "nested":
                assert homes.study(strategy, ["2024-02"]).study.replays["network"].rounds
    assert seen == {
        "nested": ("2024-01-31 23:00", None),
        "all_folds": ("2024-02-06 23:00", pd.Timestamp("2024-02-06 23:00")),
    }
