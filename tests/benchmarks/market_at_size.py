"""Run as a process of its own, so that its peak memory is that of the market data alone.

``python -m tests.benchmarks.market_at_size FOLDER SYMBOLS SESSIONS`` makes a home with one Parquet file of bars, or
goes on with the one that is there, says ``ready``, and answers each line: ``ingest``, ``publish``, ``append``,
``whole``, ``read`` with ``done``, the peak of its memory in MiB and the processor seconds that the answer took. ``new``
makes the file of one more session, which goes on from the closes before it. Each opens the stores anew: nothing is kept
in memory.

``python -m tests.benchmarks.market_at_size publish SYMBOLS SESSIONS [DAYS]`` measures by itself what publishing a new
session costs after so many: wall and processor seconds of each of some days, in a folder that it removes.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
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


def bars(symbols: int, sessions: pd.DatetimeIndex, seed: int, before: np.ndarray | float = 50.0) -> pd.DataFrame:
    """Random walks in cents, session by session, from the closes before; some closes repeat, as real ones do."""
    random = np.random.default_rng(seed)
    shape = (len(sessions), symbols)
    close = before * np.exp(np.clip(np.cumsum(random.normal(0.0, 0.01, shape), axis=0), -2.0, 4.0))
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
        made = len(list((folder / "data").glob("*.parquet")))  # a home that is there goes on
        self.until = sessions + max(made - 1, 0)
        if not made:
            (folder / "data").mkdir(parents=True)
            self._write("all.parquet", self.axis[:sessions])

    def _write(self, name: str, sessions: pd.DatetimeIndex) -> None:
        # In a child, so that making the data does not count as memory used.
        if (child := os.fork()) == 0:
            closes = self.folder / "closes.npy"
            made = bars(self.symbols, sessions, crc32(name.encode()), np.load(closes) if closes.exists() else 50.0)
            made.to_parquet(self.folder / "data" / name)
            np.save(closes, made["close"].to_numpy()[-self.symbols :])
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
            bars = history.stores.publications.bars(publication, first=first)
            assert len(bars) == READ_SESSIONS * self.symbols

        self._at(work)


def publishing(symbols: int, sessions: int, days: int) -> list[tuple[float, float]]:
    """Wall and processor seconds of publishing each of some new sessions, after so many; told as they come."""
    spent = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NN_ASSETS_HOME"] = folder
        driver = Driver(Path(folder), symbols, sessions)
        driver.whole()
        for _ in range(days):
            driver.new()
            driver.append()
            wall, processor = time.perf_counter(), time.process_time()
            driver.publish()
            spent.append((time.perf_counter() - wall, time.process_time() - processor))
            print(f"published: wall {spent[-1][0]:.3f} s, processor {spent[-1][1]:.3f} s", flush=True)
    return spent


def main() -> None:
    """Answer line by line."""
    if sys.argv[1] == "publish":
        publishing(*(int(word) for word in (*sys.argv[2:], "5")[:3]))
        return
    folder = Path(sys.argv[1])
    os.environ["NN_ASSETS_HOME"] = str(folder)
    driver = Driver(folder, int(sys.argv[2]), int(sys.argv[3]))
    print("ready", flush=True)
    for line in sys.stdin:
        before = time.process_time()
        getattr(driver, line.strip())()
        spent = time.process_time() - before
        print("done", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, f"{spent:.3f}", flush=True)


if __name__ == "__main__":
    main()
