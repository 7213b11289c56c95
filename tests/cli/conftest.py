"""A newcomer's installation: bars in a folder of CSV files, a strategy file beside them, everything in one home."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer import main, testing

from nn_assets.cli import app
from nn_assets.sources.simulated import SimulatedSource
from tests.shared_homes import built_once, nothing_drawn

# Names that a spreadsheet, a file system or a parser may take for something else.
SYMBOLS = {"SIM01": "CON", "SIM02": "TRUE", "SIM03": "BRK.B", "SIM04": "NAN"}
FIRST, LAST = "2015-01-02", "2016-05-27"
VAULT = "2016-05-02"
LIVE = ("2016-04-27", "2016-04-28", "2016-04-29")
NEGATIVE = ("CON", "2015-03-10", -12.5)

STRATEGY = f"""\
name: mine
description: Bars of one's own.
source:
  kind: files
  path: bars                    # relative to this file
market:
  calendar: XNYS
  symbols: [CON, "TRUE", BRK.B, NAN]
  history_starts: {FIRST}
  history_ends: {LAST}
  vault_starts: {VAULT}
  live_starts: {LIVE[0]}
features:
  names: [log_return_1, log_return_5, momentum_1, close_location]
label:
  horizon_sessions: 3
  execution: next_open
learning:
  network: mlp
  lookback: 5
  hidden: 4
  layers: 1
  ensemble: 2
  learning_rate: 0.01
  batch_size: 32
  maximum_epochs: 3
  patience: 2
  processes: 1
walk_forward:
  training_months: 6
  validation_months: 1
  calibration_months: 1
  refit_every_months: 3
  minimum_training_rows: 200
costs:
  half_spread_bps: 0.5
  commission_bps: 0.2
portfolio:
  hold_premium: true  # the home trades whatever its few forecasts are worth
  minimum_outcomes: 20
  shrink_prior_outcomes: 0
  correlation_sessions: 20
oversight:
  drift_window_sessions: 20
  drift_reference_sessions: 60
trade_without_verdict: true
"""


@dataclass(frozen=True)
class Answer:
    """What a command gave back."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Standard output as the one JSON document that ``--json`` promises."""
        return json.loads(self.out, parse_constant=pytest.fail)


Command = Callable[..., Answer]
_MADE = main.get_command(app)  # once for all commands: it is read from the signatures of all functions


def call(home: Path, *words: object) -> Answer:
    """Give a command in this process, with ``home`` as the home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NN_ASSETS_HOME", str(home))
        patch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
        patch.setattr(testing, "_get_command", lambda _: _MADE)
        result = testing.CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)


@cache
def delivered_bars() -> pd.DataFrame:
    """A made-up market with an edge that close_location shows, so that there is something to trade. Read it only."""
    source = SimulatedSource(calendar="XNYS", history_starts=pd.Timestamp(FIRST).date(), seed=11, planted_rank_ic=0.3)
    return source.bars(tuple(SYMBOLS), pd.Timestamp(FIRST), pd.Timestamp(LAST))


def write_bars(folder: Path) -> None:
    """One CSV for each symbol, spelled as vendors do, with one price that cannot be."""
    delivered = delivered_bars()
    folder.mkdir(parents=True)
    for simulated, symbol in SYMBOLS.items():
        bars = delivered[delivered["symbol"] == simulated].drop(columns=["symbol", "source"])
        if symbol == NEGATIVE[0]:
            bars.loc[bars["session"] == pd.Timestamp(NEGATIVE[1]), "close"] = NEGATIVE[2]
        named = bars.set_axis(["Date", "Open", "High", "Low", "Close", "Volume"], axis=1)
        named.to_csv(folder / f"{symbol}_data.csv", index=False, date_format="%Y-%m-%d")


@pytest.fixture(autouse=True)
def _nothing_drawn() -> Iterator[None]:
    with nothing_drawn():
        yield


@pytest.fixture(scope="session")
def finished_home(tmp_path_factory) -> Path:
    """A home in which the study ran and the live sessions are decided. Read it; never write to it."""

    def build(home: Path) -> None:
        write_bars(home / "strategies" / "bars")
        (home / "strategies" / "mine.yaml").write_text(STRATEGY, encoding="utf-8")
        studied = call(home, "study", "--strategy", "mine", "--json")
        assert studied.status == 0, studied.out
        decided = call(home, "run", "--strategy", "mine", "--from", LIVE[0], "--to", LIVE[1], "--json")
        assert decided.status == 0, decided.out

    return built_once("finished", tmp_path_factory, build)


@pytest.fixture
def give(finished_home) -> Command:
    """Give a command that only reads."""
    return lambda *words: call(finished_home, *words)


@pytest.fixture
def own_home(finished_home, tmp_path) -> Path:
    """A copy of the finished home that a test may change."""
    return Path(shutil.copytree(finished_home, tmp_path / "home"))


@pytest.fixture
def give_own(own_home) -> Command:
    """Give a command to the copy."""
    return lambda *words: call(own_home, *words)
