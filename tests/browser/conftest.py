"""A small home with a study and two decided sessions, the UI served from it, and a browser."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from nn_assets.operations.catalog import find_strategy
from tests.forks import ended
from tests.runs import materialise

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

NAME = "tiny"
SESSIONS = ("2017-01-30", "2017-01-31")
START_SECONDS = 90.0

_TINY = {
    "name": NAME,
    "description": "Four simulated symbols and a small network",
    "source": {"kind": "simulator", "seed": 5, "planted_rank_ic": 0.3},
    "market": {
        "calendar": "XNYS",
        "symbols": ["SIM01", "SIM02", "SIM03", "SIM04"],
        "history_starts": "2016-01-04",
        "history_ends": SESSIONS[-1],
        "live_starts": SESSIONS[0],
    },
    "features": {"names": ["log_return_1", "close_location"]},
    "label": {"horizon_sessions": 2},
    "learning": {
        "network": "mlp",
        "lookback": 5,
        "hidden": 4,
        "layers": 1,
        "ensemble": 2,
        "maximum_epochs": 2,
        "processes": 1,
    },
    "walk_forward": {
        "training_months": 6,
        "validation_months": 1,
        "calibration_months": 1,
        "minimum_training_rows": 200,
    },
    "trade_without_verdict": True,
}
SCREEN: sync_api.ViewportSize = {"width": 1600, "height": 1200}
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


def environment_of(home: Path) -> dict[str, str]:
    """Environment of a process that lives in a home and keeps no other."""
    kept = {key: value for key, value in os.environ.items() if key not in ("NN_ASSETS_DATABASE_URL", "DAGSTER_HOME")}
    return {**kept, "NN_ASSETS_HOME": str(home), "OMP_NUM_THREADS": "1"}


def _live_in(home: Path) -> None:
    os.environ.clear()
    os.environ.update(environment_of(home))
    strategy = find_strategy(NAME).strategy
    materialise(strategy, "study", first="2017-01-01", last="2017-01-01")
    materialise(strategy, "daily", first=SESSIONS[0], last=SESSIONS[1])


@dataclass(frozen=True)
class ServedUI:
    """A UI that answers, and the process that was started for it."""

    address: str
    token: str
    process: subprocess.Popen[bytes]

    @property
    def entrance(self) -> str:
        """What it printed first: the address that lets a browser in."""
        return f"{self.address}/?token={self.token}"

    @property
    def cookie(self) -> str:
        """What a browser that was let in sends."""
        return f"nn_assets_ui_{self.address.rpartition(':')[2]}={self.token}"


@pytest.hookimpl(trylast=True)  # after the random order was drawn
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the test that ends the UI come last, so that one UI serves them all."""
    items.sort(key=lambda item: item.get_closest_marker("ends_ui") is not None)


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker of the test that comes last."""
    config.addinivalue_line("markers", "ends_ui: ends the UI that the other tests look at")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The system's browser."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    return executable


@pytest.fixture(scope="session")
def home(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the tiny strategy was studied and its live sessions were decided."""
    folder = tmp_path_factory.mktemp("browser") / "home"
    (folder / "strategies").mkdir(parents=True)
    (folder / "strategies" / f"{NAME}.yaml").write_text(yaml.safe_dump(_TINY), encoding="utf-8")
    # In a process of its own, as a command line would: nothing that it keeps reaches other tests.
    error_file = folder.parent / "told.txt"
    assert ended(lambda: _live_in(folder), error_file) == 0, error_file.read_text()
    return folder


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start_ui(home: Path, log: Path) -> ServedUI:
    """Start ``nn-assets ui`` as a user does, and wait until it answers."""
    port = free_port()
    program = Path(sys.executable).with_name("nn-assets")
    with log.open("wb") as errors, log.with_suffix(".out").open("wb") as output:
        process = subprocess.Popen(
            [str(program), "ui", "--port", str(port)],
            env=environment_of(home),
            cwd=home,  # the folder that it is started from must make no difference
            stdout=output,
            stderr=errors,
            start_new_session=True,  # so that whatever it leaves behind can be found by its session
        )
    try:
        address, _, token = _first_line(process, log).partition("/?token=")
    except BaseException:
        end(process)
        raise
    assert address == f"http://127.0.0.1:{port}"
    return ServedUI(address, token, process)


def _first_line(process: subprocess.Popen[bytes], log: Path) -> str:
    """What a UI prints first, which it does when it answers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        line, ended, _ = log.with_suffix(".out").read_text(encoding="utf-8").partition("\n")
        if ended:
            return line
        time.sleep(0.2)
    pytest.fail(f"the UI did not come up: {log.read_text(errors='replace')[-3000:]}")


def _processes() -> dict[int, tuple[int, int]]:
    """Parent and session of every process that is no zombie, by its id."""
    processes = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended while we looked
        if fields[0] != "Z":
            processes[int(folder.name)] = (int(fields[1]), int(fields[3]))
    return processes


def members_of_session(leader: int) -> list[int]:
    """Ids of the processes in the session that a process led."""
    return [process for process, (_, session) in _processes().items() if session == leader]


def descendants_of(ancestor: int) -> list[int]:
    """Ids of the children of a process, theirs, and so on."""
    known, descendants = _processes(), [ancestor]
    for descendant in descendants:
        descendants += [process for process, (parent, _) in known.items() if parent == descendant]
    return descendants[1:]


def still_running(processes: list[int]) -> list[int]:
    """Those of some processes that have not ended."""
    known = _processes()
    return [process for process in processes if process in known]


def end(process: subprocess.Popen[bytes], seconds: float = 20.0) -> None:
    """Stop a process in an orderly way, or with force what remains of its session."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    for left in members_of_session(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(left, signal.SIGKILL)
    process.wait(5)


@pytest.fixture(scope="session")
def ui(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedUI]:
    """The UI of the home."""
    served = start_ui(home, tmp_path_factory.mktemp("ui") / "ui.log")
    yield served
    end(served.process)


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[sync_api.Browser]:
    """The browser, without a window."""
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


def _patient(page: sync_api.Page) -> sync_api.Page:
    """A loaded machine is slow, not wrong."""
    page.set_default_timeout(90_000)
    sync_api.expect.set_options(timeout=90_000)
    return page


@pytest.fixture
def page(browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    """A fresh page on a desktop screen, in a browser that no UI knows."""
    opened = _patient(browser.new_page(viewport=SCREEN))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def let_in(ui: ServedUI, browser: sync_api.Browser) -> Iterator[sync_api.BrowserContext]:
    """The user's browser: it went through the entrance once, and keeps its cookie and the pages' scripts."""
    context = browser.new_context(viewport=SCREEN)
    entered = _patient(context.new_page())
    entered.goto(ui.entrance)
    entered.close()
    yield context
    context.close()


@pytest.fixture
def own_page(let_in: sync_api.BrowserContext) -> Iterator[sync_api.Page]:
    """A new page in the browser that the UI let in."""
    opened = _patient(let_in.new_page())
    yield opened
    opened.close()
