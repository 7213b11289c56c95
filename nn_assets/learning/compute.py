"""Where work is computed: a port that maps a function over tasks, and its members by name.

``here`` is this process; ``processes`` are spawned, of one thread each, and gone when their parent is. A plug-in adds
another, a cluster for example, by :func:`register_compute`. None changes a bit of an answer.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from nn_assets.errors import NnAssetsError, PluginError, WorkerError
from nn_assets.learning.interrupts import interrupts_held
from nn_assets.plugins import Plugin, Registry, load_sources, loaded, place_of
from nn_assets.settings.own import WithSettings
from nn_assets.settings.section import Section

Task = TypeVar("Task")
Answer = TypeVar("Answer")

_PARENT_CHECKED_EVERY_SECONDS = 1.0


class Compute(Protocol):
    """Where a function is applied to tasks."""

    def map(self, work: Callable[[Task], Answer], tasks: Iterable[Task]) -> Iterator[Answer]:
        """Answers in the order of their tasks, each as soon as it and those before it are there.

        The plug-ins that run in this process run wherever ``work`` does, which uses one thread there. What a task
        raises reaches the caller with its type. An interrupt of the caller, or a caller who leaves early, ends what is
        under way at once.

        Parameters
        ----------
        work : callable
            Of a module, so that it can be found by name elsewhere; answers and tasks can be pickled.

        Raises
        ------
        WorkerError
            What computes died, or could not be started.
        """
        ...


_Opener = TypeVar("_Opener", bound=Callable[..., AbstractContextManager[Compute]])


class Here:
    """In this process, one task after another, each when its answer is asked for."""

    def map(self, work: Callable[[Task], Answer], tasks: Iterable[Task]) -> Iterator[Answer]:
        """As of :meth:`Compute.map`."""
        yield from map(work, tasks)


HERE = Here()


@contextmanager
def _open_here(_: int) -> Iterator[Compute]:
    yield HERE


@contextmanager
def _open_processes(at_once: int) -> Iterator[Compute]:
    """Open a pool of processes, or this one where one is enough, or inside a process that may not have children.

    Starting a process takes seconds (it imports torch), so a study opens one pool for all its
    folds. Processes are spawned, not forked: a forked child inherits locks of threads it does not
    have.
    """
    if at_once < 2 or multiprocessing.current_process().daemon:
        yield HERE
        return
    pool = ProcessPoolExecutor(
        max_workers=at_once,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(os.getpid(), loaded()),
    )
    try:
        yield OnExecutor(pool)
    finally:
        # what was asked for but not begun is of no use to a caller who left early
        pool.shutdown(wait=True, cancel_futures=True)


COMPUTES: Registry[WithSettings[AbstractContextManager[Compute]]] = Registry(
    "compute", {"here": WithSettings(_open_here), "processes": WithSettings(_open_processes)}
)
"""Every member, by the name that ``learning.compute`` gives it."""


def register_compute(name: str, *, settings: type[Section] | None = None) -> Callable[[_Opener], _Opener]:
    """Register what opens a member: a function from the number of tasks at once to a context of a :class:`Compute`.

    Parameters
    ----------
    name : str
        A plain text, so that it can be read without running the file.
    settings : type of Section, optional
        What ``learning.compute_settings`` must be for it; their values come as a second argument.

    Raises
    ------
    PluginError
        The name is taken, or is not a name, or the settings are no class of fields.
    """
    return COMPUTES.adding(name, lambda opener: WithSettings(opener, settings))


def compute_of(
    name: str, settings: Mapping[str, Any] = MappingProxyType({})
) -> Callable[[int], AbstractContextManager[Compute]]:
    """What opens the member of a name for some tasks at once, with what ``learning.compute_settings`` say.

    Raises
    ------
    SettingsError
        There is no such member, or a key or value is not as its settings say.
    """
    member, key = f"the compute {name}", "learning.compute_settings"
    return COMPUTES.require(name, "learning.compute").filled(settings, member=member, key=key)


def open_compute(
    name: str, at_once: int, settings: Mapping[str, Any] = MappingProxyType({})
) -> AbstractContextManager[Compute]:
    """Open the member of a name for some tasks at once; it closes with its block.

    Raises
    ------
    SettingsError
        As :func:`compute_of`.
    PluginError
        One of a plug-in cannot be opened, or has no ``map``.
    """
    opener = compute_of(name, settings)
    return opener(at_once) if COMPUTES.top_of(name) is None else _held(name, opener, at_once)


def require_sound_compute(name: str, settings: Mapping[str, Any]) -> None:
    """Refuse what gives no context to be opened; none is entered, which may reach for a cluster. Errors as of opening.

    What is entered is held to its port then: see :func:`open_compute`.
    """
    opener = compute_of(name, settings)
    with _faults_of(name):
        _require(opener(1), "a context manager, as @contextmanager makes one", "__enter__", "__exit__")


@contextmanager
def _held(name: str, opener: Callable[[int], AbstractContextManager[Compute]], at_once: int) -> Iterator[Compute]:
    with ExitStack() as stack:
        with _faults_of(name):
            context = opener(at_once)
            _require(context, "a context manager, as @contextmanager makes one", "__enter__", "__exit__")
            compute = stack.enter_context(context)
            _require(compute, "something with map", "map")
        yield compute


def _require(member: object, expected: str, *methods: str) -> None:
    if not all(callable(getattr(member, method, None)) for method in methods):
        raise TypeError(f"{member!r} was given, where {expected}, was due")


@contextmanager
def _faults_of(name: str) -> Iterator[None]:
    try:
        yield
    except NnAssetsError:
        raise
    except (Exception, SystemExit) as error:  # whatever a person's code raises
        raise PluginError(
            expected=f"a compute {name} that opens as a context of something with map, as Compute in "
            "nn_assets/learning/compute.py says it",
            found=f"{type(error).__name__}: {error}",
            remedy="mend what opens it",
            **place_of(COMPUTES[name].build, error),
            key="learning.compute",
            compute=name,
        ) from error


@dataclass(frozen=True)
class OnExecutor:
    """On an executor, as the standard library has them and clusters' clients give them.

    Processes that it starts do not hear the terminal's interrupt.

    Parameters
    ----------
    pool : Executor
        What runs in it began with :func:`begin_worker`.
    """

    pool: Executor

    def map(self, work: Callable[[Task], Answer], tasks: Iterable[Task]) -> Iterator[Answer]:
        """As of :meth:`Compute.map`."""
        try:
            with interrupts_held():
                answers = self.pool.map(work, tasks)
            yield from answers
        except BrokenExecutor as error:
            raise WorkerError(
                expected="training processes that live until their work is done",
                found=f"{type(error).__name__}: {error}",
                remedy='start scripts under `if __name__ == "__main__":`, give the machine more memory, '
                "or set learning.processes to 1",
            ) from error
        except Exception:
            raise
        except BaseException:  # an interrupt, or a caller who left early: what is under way is of no use
            _end_at_once(self.pool)
            raise


def _end_at_once(pool: Executor) -> None:
    processes = getattr(pool, "_processes", None) or {}  # public from Python 3.14 on, as terminate_workers
    for process in tuple(processes.values()):
        process.kill()  # SIGTERM may be ignored or held back where this process was started so: children inherit that


def begin_worker(plugins: tuple[Plugin, ...]) -> None:
    """Prepare a process for tasks: one thread, by which bits are alike, and the plug-ins of the one that sends them.

    Parameters
    ----------
    plugins : tuple of Plugin
        :func:`nn_assets.plugins.loaded` of the sender.
    """
    import torch  # seconds, which whoever only looks up a member does without

    torch.set_num_threads(1)
    load_sources(plugins)


def _begin(parent: int, plugins: tuple[Plugin, ...]) -> None:
    begin_worker(plugins)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: int) -> None:
    # A killed parent cleans nothing up, and a worker waiting for its next task would wait for ever.
    never = threading.Event()
    while os.getppid() == parent:
        never.wait(_PARENT_CHECKED_EVERY_SECONDS)
    os._exit(1)
