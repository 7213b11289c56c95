"""Processes that train: spawned, of one thread each, and gone when their parent is."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

import torch

from nn_assets.errors import WorkerError
from nn_assets.learning.interrupts import interrupts_held
from nn_assets.plugins import Plugin, load_found, loaded

__all__ = ["map_in_order", "open_pool"]

Task = TypeVar("Task")
Answer = TypeVar("Answer")

_PARENT_CHECKED_EVERY_SECONDS = 1.0


@contextmanager
def open_pool(processes: int) -> Iterator[Executor | None]:
    """Open a pool of training processes, or ``None`` where work belongs in this process.

    Starting a process takes seconds (it imports torch), so a study opens one pool for all its
    folds. Processes are spawned, not forked: a forked child inherits locks of threads it does not
    have. ``None`` for one process, and inside a process that may not have children.

    Parameters
    ----------
    processes : int
        How many; each uses one thread.
    """
    if processes < 2 or multiprocessing.current_process().daemon:
        yield None
        return
    pool = ProcessPoolExecutor(
        max_workers=processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(os.getpid(), loaded()),
    )
    try:
        yield pool
    finally:
        # what was asked for but not begun is of no use to a caller who left early
        pool.shutdown(wait=True, cancel_futures=True)


def map_in_order(pool: Executor | None, work: Callable[[Task], Answer], tasks: Iterable[Task]) -> Iterator[Answer]:
    """Answers in the order of their tasks, computed in the pool or, without one, here and one by one.

    Processes of the pool do not hear the terminal's interrupt. Where it reaches the caller, they are ended at once.

    Raises
    ------
    WorkerError
        A process of the pool died, or none could be started.
    """
    if pool is None:
        yield from map(work, tasks)
        return
    try:
        with interrupts_held():
            answers = pool.map(work, tasks)
        yield from answers
    except BrokenProcessPool as error:
        raise WorkerError(
            expected="training processes that live until their work is done",
            found=f"{type(error).__name__}: {error}",
            remedy='start scripts under `if __name__ == "__main__":`, give the machine more memory, '
            "or set learning.processes to 1",
        ) from error
    except Exception:
        raise
    except BaseException:  # an interrupt, or a caller who left early: what is under way is of no use
        _end_at_once(pool)
        raise


def _end_at_once(pool: Executor) -> None:
    processes = getattr(pool, "_processes", None) or {}  # public from Python 3.14 on, as terminate_workers
    for process in tuple(processes.values()):
        process.terminate()


def _begin(parent: int, plugins: tuple[Plugin, ...]) -> None:
    torch.set_num_threads(1)
    load_found(plugins)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: int) -> None:
    # A killed parent cleans nothing up, and a worker waiting for its next task would wait for ever.
    never = threading.Event()
    while os.getppid() == parent:
        never.wait(_PARENT_CHECKED_EVERY_SECONDS)
    os._exit(1)
