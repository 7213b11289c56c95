"""Processes that end with the one that started them, whatever ends it."""

from __future__ import annotations

import os
import signal
import threading

__all__ = ["end_with_starter"]


def end_with_starter() -> None:
    """End as soon as the process that started this one is gone, however it went, with all that is left of the two.

    That is the process group, where one of them leads it. Standard input must be a pipe whose other end the starter
    alone holds: the system closes it, whatever kills it.
    """
    leads = os.getpgrp() in (os.getpid(), os.getppid())
    threading.Thread(target=_wait_and_end, args=(os.getpgrp() if leads else None,), daemon=True).start()


def _wait_and_end(group: int | None) -> None:
    while os.read(0, 1):
        pass
    if group is not None:
        os.killpg(group, signal.SIGKILL)
    os._exit(1)
