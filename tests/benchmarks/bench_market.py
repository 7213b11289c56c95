"""Market data at size: taken in, cleaned, judged, published; a session appended; the last sessions read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.benchmarks.market_at_size import READ_SESSIONS
from tests.benchmarks.telling import tell

CHECKOUT = Path(__file__).resolve().parents[2]

Ask = Callable[[str], int]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Callable[[int, int], Ask]]:
    """Make a home of so many symbols and sessions, or go on with one, in a process of its own, the one before ended.

    What it is asked gives its peak MiB.
    """
    running: list[subprocess.Popen[str]] = []

    def ended() -> None:
        while running:
            with running.pop() as process:
                process.communicate()

    def made(symbols: int, sessions: int, folder: Path | None = None) -> Ask:
        ended()
        folder = folder or Path(mkdtemp(dir=tmp_path)) / "home"
        command = [sys.executable, "-m", "tests.benchmarks.market_at_size", str(folder), str(symbols), str(sessions)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command, cwd=CHECKOUT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        assert process.stdin is not None
        assert process.stdout is not None
        requests, answers = process.stdin, process.stdout
        assert answers.readline() == "ready\n"

        def ask(what: str) -> int:
            requests.write(f"{what}\n")
            requests.flush()
            return int(answers.readline().split()[1])

        return ask

    yield made
    ended()


@pytest.mark.benchmark(group="bars, 500 symbols x 5000 sessions taken in, cleaned, judged, published")
def test_a_whole_history(benchmark: BenchmarkFixture, home: Callable[[int, int], Ask]) -> None:
    peaks: list[int] = []
    benchmark.pedantic(
        lambda ask: peaks.append(ask("whole")), setup=lambda: ((home(500, 5000),), {}), rounds=2, iterations=1
    )
    tell(benchmark, f"package, peak memory {max(peaks):,} MiB", 500 * 5000, "bars")


@pytest.mark.parametrize("sessions", [250, 1000])
@pytest.mark.benchmark(group="bars, one session of 3000 symbols")
def test_a_session_appended(benchmark: BenchmarkFixture, home: Callable[[int, int], Ask], sessions: int) -> None:
    ask = home(3000, sessions)
    ask("ingest")
    tell(benchmark, f"taken in, after {sessions} sessions", 3000, "bars")
    benchmark.pedantic(ask, args=("append",), setup=lambda: ask("new") and None, rounds=5)


@pytest.mark.parametrize("sessions", [250, 5000])
@pytest.mark.benchmark(group="bars, one session of 3000 symbols")
def test_a_session_published(
    benchmark: BenchmarkFixture, home: Callable[..., Ask], tmp_path: Path, sessions: int
) -> None:
    home(3000, sessions, tmp_path / "lived")("whole")
    ask = home(3000, sessions, tmp_path / "lived")  # as each day does: no process that held all of its bars
    tell(benchmark, f"cleaned, judged, published, after {sessions} sessions", 3000, "bars")

    def appended() -> None:
        ask("new")
        ask("append")

    benchmark.pedantic(ask, args=("publish",), setup=appended, rounds=9)


@pytest.mark.benchmark(group="bars, the last 60 sessions of 500 symbols read")
def test_the_last_sessions_read(benchmark: BenchmarkFixture, home: Callable[[int, int], Ask]) -> None:
    ask = home(500, 5000)
    ask("whole")
    tell(benchmark, "package", READ_SESSIONS * 500, "bars")
    benchmark.pedantic(ask, args=("read",), rounds=20, warmup_rounds=2)
