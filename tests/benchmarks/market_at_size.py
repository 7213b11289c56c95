"""Run as a process of its own, so that its peak memory is that of the market data alone.

``python -m tests.benchmarks.market_at_size FOLDER SYMBOLS SESSIONS`` makes a home with one Parquet file of
bars, says ``ready``, and answers each line: ``ingest``, ``publish``, ``append``, ``again``, ``read`` with
``done`` and the peak of its memory in MiB. ``new`` makes the file of one more session. Each opens the stores anew:
nothing is kept in memory between two.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.history import History, open_history
from nn_assets.operations.intake.bars import audit_bars, ingest_bars, publish_bars
from nn_assets.operations.strategy_files import make_strategy

NAME, FIRST = "size", "1999-01-04"
READ_SESSIONS = 60


def bars(symbols: int, sessions: pd.DatetimeIndex, seed: int) -> pd.DataFrame:
    """Random walks in cents, session by session; some closes repeat, as real ones do."""
    random = np.random.default_rng(seed)
    shape = (len(sessions), symbols)
    close = 50.0 * np.exp(np.clip(np.cumsum(random.normal(0.0, 0.01, shape), axis=0), -2.0, 4.0))
    open_ = close * np.exp(random.normal(0.0, 0.004, shape))
    close, open_ = close.round(2), open_.round(2)
    return pd.DataFrame(
        {
            "symbol": np.tile([f"S{number:04d}" for number in range(symbols)], len(sessions)),
            "date": np.repeat(sessions, symbols),
            "open": open_.ravel(),
            "high": (np.maximum(open_, close) * 1.005).round(3).ravel(),
            "low": (np.minimum(open_, close) * 0.995).round(3).ravel(),
            "close": close.ravel(),
            "volume": random.integers(100_000, 1_000_000, close.size).astype(float),
        }
    )


class Driver:
    """One home, and what is asked of it."""

    def __init__(self, folder: Path, symbols: int, sessions: int) -> None:
        self.folder, self.symbols = folder, symbols
        self.axis = sessions_between("XNYS", FIRST, "2035-12-31")[: sessions + 300]
        self.until = sessions
        (folder / "data").mkdir(parents=True)
        self._write("all.parquet", self.axis[:sessions])

    def _write(self, name: str, sessions: pd.DatetimeIndex) -> None:
        # In a child, so that making the data does not count as memory used.
        if (child := os.fork()) == 0:
            bars(self.symbols, sessions, seed=crc32(name.encode())).to_parquet(self.folder / "data" / name)
            os._exit(0)
        os.waitpid(child, 0)

    def _at(self, work: Callable[[History], object]) -> None:
        market = {"calendar": "XNYS", "history_starts": FIRST, "history_ends": str(self.axis[self.until - 1].date())}
        strategy = make_strategy(
            {"name": NAME, "source": {"kind": "files", "path": str(self.folder / "data")}, "market": market}
        )
        with open_history(strategy) as history:
            work(history)

    def new(self) -> None:
        """One more session is there, in a file of its own."""
        self._write(f"{self.axis[self.until].date()}.parquet", self.axis[self.until : self.until + 1])
        self.until += 1

    def ingest(self) -> None:
        """Take in what the folder holds."""
        self._at(lambda history: ingest_bars(history, self.folder))

    append = ingest

    def publish(self) -> None:
        """Clean, pass the gate, publish."""

        def work(history: History) -> None:
            audited = audit_bars(history)
            audited.report.raise_if_failed()
            publish_bars(history, audited, "run")

        self._at(work)

    def whole(self) -> None:
        """Take in and publish."""
        self.ingest()
        self.publish()

    def read(self) -> None:
        """Read the last sessions as published."""

        def work(history: History) -> None:
            publication = history.stores.publications.require(NAME, self.axis[self.until - 1])
            first = self.axis[self.until - READ_SESSIONS]
            found = history.stores.publications.bars(publication, first=first)
            assert len(found) == READ_SESSIONS * self.symbols

        self._at(work)


def main() -> None:
    """Answer line by line."""
    folder = Path(sys.argv[1])
    os.environ["NN_ASSETS_HOME"] = str(folder)
    driver = Driver(folder, int(sys.argv[2]), int(sys.argv[3]))
    print("ready", flush=True)
    for line in sys.stdin:
        getattr(driver, line.strip())()
        print("done", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, flush=True)


if __name__ == "__main__":
    main()
