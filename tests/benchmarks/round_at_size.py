"""What a daily round costs in processor time, each in a process of its own, as the operator's timer starts it.

``python -m tests.benchmarks.round_at_size FOLDER [SYMBOLS]`` makes a home in FOLDER where there is none (a
simulated market, 385 sessions of history before the first live one, a small network, one study), and then runs
``nn-assets run`` for the first live sessions, one process each: the processor seconds of each, on standard output.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import yaml

from nn_assets.market.calendar.sessions import sessions_between

NAME, FIRST, SESSIONS, LIVE = "size", "2016-01-04", 385, 4


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


def make_home(home: Path, symbols: int) -> None:
    """Write the strategy and run its study, where that did not happen yet."""
    file = home / "strategies" / f"{NAME}.yaml"
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(settings(symbols)), encoding="utf-8")
    print(f"study {command(home, 'study', '--strategy', NAME):.2f}", flush=True)


def main() -> None:
    """Make the home, run the rounds."""
    home = Path(sys.argv[1])
    make_home(home, int(sys.argv[2]) if len(sys.argv) > 2 else 30)
    for session in live_sessions():
        started = time.perf_counter()
        spent = command(home, "run", "--strategy", NAME, "--session", session)
        print(f"{session} {spent:.2f} s of processor time, {time.perf_counter() - started:.2f} s", flush=True)


if __name__ == "__main__":
    main()
