"""Processes that end with the one that started them, whatever ends it."""

from __future__ import annotations

import os
import signal
import threading

__all__ = ["end_with_starter"]


def end_with_starter() -> None:
    """End this process as soon as the one that started it is gone, however that ended.

    Where either of the two leads their process group, whatever is left of the group is killed too. Standard input must
    be a pipe whose other end the starter alone holds: the system closes it, whatever kills the starter.
    """
    leads = os.getpgrp() in (os.getpid(), os.getppid())
    threading.Thread(target=_wait_and_end, args=(os.getpgrp() if leads else None,), daemon=True).start()


def _wait_and_end(group: int | None) -> None:
    while os.read(0, 1):
        pass
    if group is not None:
        os.killpg(group, signal.SIGKILL)
    os._exit(1)
