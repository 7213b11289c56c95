"""One process that has imported the libraries once, and forks a child for each run of tests.

A child whose parent has not imported the package imports it afresh, the mutated module from its changed tree. Once
the parent has loaded the package and the tests (`load_tests`), a child gives the functions of the mutated module
their changed code instead: three times as quick, and the same for every fault that lies inside a function. Nothing
is written to the checkout.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import pytest

from tests.mutation.draw import CHECKOUT, ROOMS
from tests.mutation.named import NAMED_FILES

__all__ = ["Outcome", "Reached", "load_libraries", "load_tests", "reach_of", "run_tests"]

LONGEST = 4.0
"""Processor seconds, while its lines are noted, of the slowest test that is run against a mutant."""
BUDGET = 12.0
"""Processor seconds of the tests together that are run against one mutant, the quickest files first."""
PATIENCE = 10.0
"""A test may take so many times its usual processor time, and 2 seconds at least."""

_CALLS = 200  # of one function in one test, in which lines are noted: a hot loop's later rounds reach the same
_LIBRARIES = (
    "numpy",
    "numpy.testing",
    "pandas",
    "scipy.stats",
    "scipy.sparse",
    "scipy.optimize",
    "scipy.special",
    "scipy.linalg",
    "scipy.signal",
    "torch",
    "statsmodels.api",
    "sklearn.linear_model",
    "sklearn.ensemble",
    "sklearn.metrics",
    "arch",
    "pydantic",
    "hypothesis",
    "hypothesis.strategies",
    "pytest",
    "clarabel",
    "sqlalchemy",
    "pandera.pandas",
    "exchange_calendars",
    "pyarrow.parquet",
    "yaml",
    "safetensors.torch",
    "dagster",
)
_OPTIONS = ("-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-o", "addopts=", "--rootdir", str(CHECKOUT))


@dataclass(frozen=True)
class Outcome:
    """What the tests made of a mutant: 'killed' by ``test``, 'timed out' in it, or 'survived'."""

    kind: str
    test: str = ""
    why: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Reached:
    """A test's usual processor seconds, and the lines it reaches of each file of the rooms."""

    seconds: float
    lines: Mapping[str, frozenset[int]] = field(default_factory=dict)


def load_libraries(names: Sequence[str] = _LIBRARIES) -> None:
    """Import what the package and its tests are built on, once for all children."""
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    from hypothesis import Phase, settings

    # The same examples each time, and a failing one is enough: the smallest is not looked for.
    settings.register_profile(
        "mutation", derandomize=True, database=None, deadline=None, phases=[Phase.explicit, Phase.generate]
    )
    settings.load_profile("mutation")
    gc.collect()
    gc.freeze()


def load_tests(files: Sequence[str]) -> None:
    """Load test files, and with them the package, in this process: for faults inside functions alone."""
    nowhere = io.StringIO()
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        pytest.main([*_OPTIONS, "--collect-only", *(str(CHECKOUT / file) for file in files)])
    gc.collect()
    gc.freeze()


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module from a changed tree; every other is found as always."""

    def __init__(self, file: str, tree: ast.Module) -> None:
        self.path = str(CHECKOUT / file)
        self.name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        self.code: CodeType = compile(tree, self.path, "exec")

    def find_spec(self, fullname: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)

    def patch(self, module: ModuleType) -> None:
        """Give every function of a module that is loaded its changed code."""
        codes = {(code.co_qualname, code.co_firstlineno): code for code in _codes(self.code)}
        for function in _functions(module, self.path):
            old = function.__code__
            function.__code__ = codes[old.co_qualname, old.co_firstlineno]


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _functions(holder: ModuleType | type, path: str) -> Iterator[FunctionType]:
    """Functions and methods that a module's own text defines, whatever they are wrapped in."""
    for value in list(vars(holder).values()):
        if isinstance(value, type) and value.__module__ == getattr(holder, "__name__", "") and value is not holder:
            yield from _methods(value, path)
        else:
            yield from _unwrapped(value, path)


def _methods(kind: type, path: str) -> Iterator[FunctionType]:
    for value in list(vars(kind).values()):
        yield from _unwrapped(value, path)


def _unwrapped(value: object, path: str) -> Iterator[FunctionType]:
    if isinstance(value, property):
        yield from _unwrapped(value.fget, path)
        return
    for name in ("__func__", "__wrapped__", "func"):
        value = getattr(value, name, value)
    if isinstance(value, FunctionType) and value.__code__.co_filename == path:
        yield value


def run_tests(
    tests: Mapping[str, float], changed: tuple[str, ast.Module] | None = None, *, patience: float = PATIENCE
) -> Outcome:
    """Run tests until one fails, in a child, with one module changed.

    Parameters
    ----------
    tests : mapping
        Usual processor seconds by node id, in the order of running. Those of one file must follow each other.
    changed : tuple, optional
        File, relative to the checkout, and its tree.
    """

    def work(tell: Callable[[object], None]) -> None:
        if changed is not None:
            module = _Changed(*changed)
            if module.name in sys.modules:
                module.patch(sys.modules[module.name])
            else:
                sys.meta_path.insert(0, module)
        for file in dict.fromkeys(name.partition("::")[0] for name in tests):
            watch = _Watch({name: s for name, s in tests.items() if name.partition("::")[0] == file}, tell, patience)
            code = _pytest(file, watch, "-x")
            if watch.failed or code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
                tell(["killed", watch.failed or file, watch.why or f"pytest ended with {code}"])
                return
        tell(["survived", "", ""])

    longest = patience * sum(tests.values()) * 3.0 + 120.0  # of the clock: the machine may be shared
    messages, seconds = _in_child(work, longest)
    last = messages[-1] if messages else None
    if isinstance(last, list):
        return Outcome(*last, seconds=seconds)
    return Outcome("timed out" if last is None else "killed", str(last or ""), "the process ended", seconds)


def reach_of(file: str) -> dict[str, Reached]:
    """Each test of a file that passes and is not of full size: its time, and the lines it reaches."""

    def work(tell: Callable[[object], None]) -> None:
        measure = _Measure()
        _pytest(file, measure, "-m", "not full and not browser")
        tell({name: reach for name, reach in measure.reached.items() if name not in measure.failed})

    messages, _ = _in_child(work, 3600.0)
    if not messages or not isinstance(messages[-1], dict):
        message = f"{file} cannot be run: {messages}"
        raise RuntimeError(message)
    return {
        name: Reached(round(seconds, 3), {source: frozenset(at) for source, at in files.items()})
        for name, (seconds, files) in messages[-1].items()
        if files and seconds <= LONGEST
    }


def _pytest(file: str, plugin: object, *options: str) -> int:
    return int(pytest.main([*_OPTIONS, *options, str(CHECKOUT / file)], plugins=[plugin]))


class _Watch:
    """Runs only the tests asked for, in their order; says which failed; ends the process when one takes too long."""

    def __init__(self, tests: Mapping[str, float] | None, tell: Callable[[object], None], patience: float) -> None:
        self.tests, self.tell, self.patience = tests, tell, patience
        self.failed, self.why = "", ""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        if self.tests is not None:
            order = {name: index for index, name in enumerate(self.tests)}
            there = [item for item in items if _asked(item.nodeid, order)]
            items[:] = sorted(there, key=lambda item: order[_asked(item.nodeid, order)])

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed and not self.failed:
            self.failed, self.why = report.nodeid, _short(report.longreprtext)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if self.tests is None:
            return
        allowed = max(2.0, self.patience * self.tests[_asked(nodeid, self.tests)])

        def too_long(*_: object) -> None:
            self.tell(["timed out", nodeid, f"over {allowed:.0f} s"])
            os._exit(0)

        signal.signal(signal.SIGPROF, too_long)
        signal.setitimer(signal.ITIMER_PROF, allowed)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.failed:
            self.failed, self.why = report.nodeid, _short(report.longreprtext)

    def pytest_runtest_logfinish(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0.0)


def _asked(test: str, tests: Container[str]) -> str:
    """Under which name a test was asked for: its own or, for every case of it, its function's; '' where it was not."""
    return next((name for name in (test, test.partition("[")[0]) if name in tests), "")


def _short(text: str) -> str:
    errors = [line[2:].strip() for line in text.splitlines() if line.startswith("E ")]
    return (errors[0] if errors else text.strip().splitlines()[-1] if text.strip() else "")[:160]


class _TooLongError(BaseException):
    """Ends a test that no mutant is to be run against."""


def _too_long(*_: object) -> None:
    raise _TooLongError


class _Measure:
    """Takes each test's processor time, or the lines of the rooms that it reaches; its fixtures' are among them.

    Whatever a test finds in a cache, or in a fixture that an earlier one made, is counted as its own: run alone it
    would have to make it.
    """

    def __init__(self) -> None:
        self.rooms = tuple(f"{CHECKOUT}/nn_assets/{room}/" for room in ROOMS)
        self.files = {str(CHECKOUT / file) for file in NAMED_FILES}
        self.reached: dict[str, tuple[float, dict[str, list[int]]]] = {}
        self.failed: set[str] = set()
        self.fixtures: dict[str, tuple[float, set[tuple[str, int]]]] = {}
        self.seen: set[tuple[str, int]] = set()
        self.calls: dict[CodeType, int] = {}
        self.watched: dict[str, bool] = {}

    def _call(self, frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        name = code.co_filename
        if name not in self.watched:
            self.watched[name] = name.startswith(self.rooms) or name in self.files
        if not self.watched[name]:
            return None
        calls = self.calls[code] = self.calls.get(code, 0) + 1
        return self._line if calls <= _CALLS else None

    def _line(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            self.seen.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Any:
        for name, module in list(sys.modules.items()):
            if name.startswith(("tests.", "nn_assets.")):
                for kept in list(vars(module).values()):
                    if callable(clear := getattr(kept, "cache_clear", None)):
                        clear()
        before = dict(self.fixtures)
        self.seen, self.calls, began = set(), {}, time.process_time()
        signal.signal(signal.SIGPROF, _too_long)
        signal.setitimer(signal.ITIMER_PROF, LONGEST)
        sys.settrace(self._call)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            fixtures = [before[name] for name in item.fixturenames if name in before]
            seconds = time.process_time() - began + sum(seconds for seconds, _ in fixtures)
            files: dict[str, list[int]] = {}
            for file, line in sorted(self.seen.union(*(lines for _, lines in fixtures))):
                files.setdefault(os.path.relpath(file, CHECKOUT), []).append(line)
            self.reached[item.nodeid] = seconds, files

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Any:
        outside, self.seen, began = self.seen, set(), time.process_time()
        try:
            return (yield)
        finally:
            if fixturedef.scope != "function":
                self.fixtures[fixturedef.argname] = time.process_time() - began, self.seen
            self.seen = outside | self.seen

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed or report.skipped:
            self.failed.add(report.nodeid)


def _in_child(work: Callable[[Callable[[object], None]], None], longest: float) -> tuple[list[Any], float]:
    """What a forked child tells, and its processor seconds; it is ended after ``longest`` seconds of the clock."""
    reading, writing = os.pipe()
    folder = tempfile.mkdtemp(prefix="mutant-")
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.setpgid(0, 0)
        _alone(folder)

        def tell(message: object) -> None:
            left = memoryview(json.dumps(message).encode() + b"\n")
            while left:
                left = left[os.write(writing, left) :]

        try:
            work(tell)
        except BaseException as problem:
            tell(["killed", "", f"{type(problem).__name__}: {problem}"[:200]])
        finally:
            os._exit(0)
    os.close(writing)
    ends, text = time.monotonic() + longest, b""
    while (left := ends - time.monotonic()) > 0:
        if select.select([reading], [], [], left)[0]:
            part = os.read(reading, 1 << 20)
            if not part:
                break
            text += part
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)  # and whatever it started
    os.close(reading)
    _, _, usage = os.wait4(child, 0)
    shutil.rmtree(folder, ignore_errors=True)
    return [json.loads(line) for line in text.splitlines()], usage.ru_utime + usage.ru_stime


def _alone(folder: str) -> None:
    """Nothing is printed, temporary files lie in a folder of its own, and memory has an end."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    tempfile.tempdir = None
    os.environ["TMPDIR"] = folder
    os.chdir(CHECKOUT)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 30), resource.getrlimit(resource.RLIMIT_AS)[1]))
