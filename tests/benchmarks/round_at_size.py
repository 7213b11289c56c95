"""What a daily round costs in processor time, each in a process of its own, as the operator's timer starts it.

``python -m tests.benchmarks.round_at_size FOLDER [SYMBOLS [grown]]`` makes a home in FOLDER where there is none (a
simulated market, 385 sessions of history before the first live one, a small network, one study), and then runs
``nn-assets run`` for the first live sessions, one process each: the processor seconds of each, on standard output.
With ``grown`` as a third word a home lives through 1,000 sessions, 6 symbols unless told otherwise: the 20th
to the 22nd and the last three as ``nn-assets run``, those between within one process.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.decisions.rederivation import rederive_decisions
from nn_assets.operations.decisions.rounds import decide_session
from nn_assets.operations.history import open_history

NAME, FIRST, SESSIONS, LIVE, MANY = "size", "2016-01-04", 385, 4, 1000


def settings(symbols: int, sessions: int = SESSIONS, live: int = LIVE) -> dict[str, object]:
    """A strategy of that many symbols with a network small enough to be trained in seconds."""
    axis = sessions_between("XNYS", FIRST, "2035-12-31")
    return {
        "name": NAME,
        "trade_without_verdict": True,
        "source": {"kind": "simulator", "seed": 5, "planted_rank_ic": 0.3},
        "market": {
            "calendar": "XNYS",
            "symbols": [f"SIM{number:02d}" for number in range(1, symbols + 1)],
            "history_starts": FIRST,
            "history_ends": str(axis[sessions + live - 1].date()),
            "live_starts": str(axis[sessions].date()),
        },
        "label": {"horizon_sessions": 3, "execution": "next_open"},
        "learning": {"network": "mlp", "hidden": 8, "layers": 1, "ensemble": 2, "maximum_epochs": 3, "processes": 1},
        "walk_forward": {
            "training_months": 6,
            "validation_months": 1,
            "calibration_months": 1,
            "refit_every_months": 3,
            "minimum_training_rows": 200,
        },
        "costs": {"half_spread_bps": 0.5, "commission_bps": 0.2},
    }


def live_sessions(sessions: int = SESSIONS, live: int = LIVE) -> list[str]:
    """The sessions to be decided, in order."""
    return [str(day.date()) for day in sessions_between("XNYS", FIRST, "2035-12-31")[sessions : sessions + live]]


def command(home: Path, *words: str) -> float:
    """Give a command in a process of its own; the processor seconds it and its children took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "NN_ASSETS_HOME": str(home), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "nn_assets.cli", *words], env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def make_home(home: Path, symbols: int, live: int = LIVE) -> None:
    """Write the strategy and run its study, where that did not happen yet."""
    file = home / "strategies" / f"{NAME}.yaml"
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(settings(symbols, live=live)), encoding="utf-8")
    print(f"study {command(home, 'study', '--strategy', NAME):.2f}", flush=True)


def decide(home: Path, sessions: list[str]) -> None:
    """Decide sessions in this process, without Dagster, and derive them again as its check does."""
    os.environ["NN_ASSETS_HOME"] = str(home)
    with open_history(find_strategy(NAME).strategy) as history:
        for session in sessions:
            decide_session(history, pd.Timestamp(session), "benchmark")
    with open_history(find_strategy(NAME).strategy) as history:
        assert not rederive_decisions(history, "benchmark").differing


def rounds(home: Path, sessions: list[str]) -> list[float]:
    """Run a round for each session in a process of its own; the processor seconds of each."""
    spent = []
    for session in sessions:
        spent.append(command(home, "run", "--strategy", NAME, "--session", session))
        print(f"{session} {spent[-1]:.2f} s of processor time", flush=True)
    return spent


def main() -> None:
    """Make the home, run the rounds."""
    home, words = Path(sys.argv[1]), sys.argv[2:]
    if words[1:] != ["grown"]:
        make_home(home, int(words[0]) if words else 30)
        rounds(home, live_sessions())
        return
    make_home(home, int(words[0]), MANY + 3)
    sessions = live_sessions(live=MANY + 3)
    decide(home, sessions[:19])
    few = rounds(home, sessions[19:22])
    decide(home, sessions[22:MANY])
    many = rounds(home, sessions[MANY:])
    print(f"{MANY} sessions to 20: {min(many) / min(few):.2f}")


if __name__ == "__main__":
    main()
