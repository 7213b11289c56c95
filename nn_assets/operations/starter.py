"""Makes a child process end with its parent, however the parent ends."""

from __future__ import annotations

import os
import signal
import stat
import threading

_GROUP = "NN_ASSETS_PROCESS_GROUP"  # the process that leads one names it to those that it starts


def end_with_starter() -> None:
    """End this process as soon as the one that started it is gone, however that ended.

    Standard input must be a pipe whose other end the starter alone holds: the system closes it, whatever kills the
    starter. Where it is not, nothing is done: someone started this process by hand.

    Whatever is left of the process group is killed too, where this process leads it, or was started by one that does
    and did this itself; no group that someone else made is touched.
    """
    if not _reads_a_pipe():
        return
    group = os.getpgrp()
    if group == os.getpid():
        os.environ[_GROUP] = str(group)
    own = os.environ.get(_GROUP) == str(group)
    threading.Thread(target=_wait_and_end, args=(group if own else None,), daemon=True).start()


def _reads_a_pipe() -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(0).st_mode)
    except OSError:  # it is closed
        return False


def _wait_and_end(group: int | None) -> None:
    while os.read(0, 1):
        pass
    if group is not None:
        os.killpg(group, signal.SIGKILL)
    os._exit(1)
