"""A search that is killed goes on with the trial that was under way, to the same choice within the same budget."""

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

from nn_assets.operations.asof.choices import NESTED, choices_on_record
from nn_assets.operations.history import open_history
from nn_assets.operations.search.choosing import search_months
from nn_assets.operations.search.sampling import TrialFile
from nn_assets.store.home import searches_root
from tests.operations import homes
from tests.orchestration.conftest import NAME, living_in, strategy_of, write_strategy
from tests.runs import materialise

pytestmark = [pytest.mark.full, pytest.mark.slow]

SEARCH: dict[str, object] = {
    "trials": 6,
    "every_months": 3,
    "folds": 2,
    "at_once": 2,
    "space": {"learning.lookback": {"low": 1, "high": 8}, "learning.hidden": {"low": 2, "high": 16}},
}


def _killed_after(home: Path, line: str) -> None:
    """Give the command and kill it, with all that it started, once it says a line."""
    with _command(home) as process:
        assert process.stdout is not None
        for said in process.stdout:
            if line in said:
                os.killpg(process.pid, signal.SIGKILL)
                break
        assert process.wait(60) == -signal.SIGKILL


def _finish(home: Path) -> None:
    with _command(home) as process:
        assert process.communicate(timeout=300)[0].count("nn-assets study") == 1
        assert process.returncode == 0


def _command(home: Path) -> subprocess.Popen[str]:
    words = [
        sys.executable,
        "-m",
        "nn_assets.cli",
        "search",
        "--strategy",
        NAME,
        "--from",
        "2017-04",
        "--to",
        "2017-04",
    ]
    environment = {**os.environ, "NN_ASSETS_HOME": str(home)}
    return subprocess.Popen(
        words, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )


def _on_record() -> list[tuple[Any, ...]]:
    with open_history(strategy_of()) as history:
        rows = history.stores.ledger.read("trials", NAME)
    rows = rows[rows["trial_id"].str.startswith(NESTED)]
    return sorted(
        (row.configuration["number"], str(dict(row.configuration["parameters"])), str(dict(row.figures)))
        for row in rows.itertuples()
    )


@pytest.mark.parametrize("after", ["0 of 6", "3 of 6"])
def test_killed_in_mid_trial_and_given_again_it_ends_where_one_that_was_not_killed_ends(
    studied_home: Path, tmp_path: Path, after: str
) -> None:
    homes_of = [Path(shutil.copytree(studied_home, tmp_path / name / "home")) for name in ("whole", "killed")]
    for home in homes_of:
        write_strategy(home, search=SEARCH)
    whole, killed = homes_of
    _finish(whole)
    _killed_after(killed, f"{after} trials")
    with living_in(killed):
        kept = _on_record()
        assert int(after[0]) <= len(kept) < 6
        with open_history(strategy_of()) as history:
            assert choices_on_record(history.stores.ledger, strategy_of()) == {}
    _finish(killed)
    with living_in(killed):
        again = _on_record()
        with open_history(strategy_of()) as history:
            choice = choices_on_record(history.stores.ledger, strategy_of())
            search = strategy_of().search
            assert search is not None
        journal = searches_root() / f"{NAME}.journal"
        assert journal.stat().st_size > 0
        assert TrialFile(journal, "another", search.space, []).states == []
    assert len(again) == 6
    assert kept == [row for row in again if row in kept]
    with living_in(whole):
        assert again == _on_record()
        with open_history(strategy_of()) as history:
            assert choice == choices_on_record(history.stores.ledger, strategy_of())


def test_a_choice_does_not_change_when_every_bar_from_its_month_on_is_another(
    studied_home: Path, tmp_path: Path
) -> None:
    """The same bars until the end of March, then prices of a random walk: the choice in force in April is the same."""
    with living_in(studied_home), open_history(strategy_of()) as history:
        bars = history.view().bars
    columns = ["symbol", "session", "open", "high", "low", "close", "volume"]
    bars = bars[columns].sort_values(["symbol", "session"]).reset_index(drop=True)
    later = (bars["session"] >= pd.Timestamp("2017-04-01")).to_numpy()
    random = np.random.default_rng(5)
    steps = pd.Series(np.where(later, random.normal(0.0, 0.02, len(bars)), 0.0)).groupby(bars["symbol"]).cumsum()
    corrupted = bars.copy()
    for name in ("open", "high", "low", "close"):
        corrupted[name] = bars[name] * np.exp(steps)
    choices, models, differ = [], [], []
    for name, frame in (("healthy", bars), ("corrupted", corrupted)):
        home = tmp_path / name / "home"
        source = {"kind": "files", "path": "bars.csv", "seed": None, "planted_rank_ic": None}
        write_strategy(home, source=source, search=SEARCH, market={"live_starts": None})
        frame.to_csv(home / "strategies" / "bars.csv", index=False)
        with living_in(home):
            homes.take_in(strategy_of())
            with open_history(strategy_of()) as history:
                choices.append(search_months(history, ["2017-02", "2017-04"], "run", lambda _: None))
                differ.append(history.view().cube.content_hash())
            homes.train(strategy_of(), ["2017-04"])
            with open_history(strategy_of()) as history:
                models.append(set(history.stores.ledger.read("models", NAME)["model_id"]))
    assert differ[0] != differ[1]
    assert [choice.since for choice in choices[0]] == ["2017-01", "2017-04"]
    assert choices[0] == choices[1]
    assert choices[0][1].saw_until == "2017-03-31"
    assert models[0] == models[1]


def test_a_study_through_dagster_searches_first_and_its_page_shows_the_budget(
    studied_home: Path, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(studied_home, tmp_path / "home"))
    write_strategy(home, search={**SEARCH, "trials": 3, "folds": 1})
    with living_in(home):
        materialise(strategy_of(), "study", first="2017-01-01", last="2017-06-01")
        page = (home / "reports" / f"{NAME}-study.html").read_text(encoding="utf-8")
        with open_history(strategy_of()) as history:
            rows = history.stores.ledger.read("studies", NAME, bookkeeping=True).sort_values("sequence")
            choices = choices_on_record(history.stores.ledger, strategy_of())
    assert "searched: 6 of 6 trials in 2 searches" in page
    assert sorted(choices) == ["2017-01", "2017-04"]
    assert rows["trial_count"].iloc[-1] == 6  # three estimators of this strategy, and of the one without a search
