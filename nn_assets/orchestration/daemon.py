"""``python -m nn_assets.orchestration.daemon run ...``: Dagster's daemon, which ends with who started it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

__all__ = ["at_starters_end"]


def at_starters_end(act: Callable[[], object]) -> None:
    """Act as soon as the process that started this one is gone, however it went.

    Standard input must be a pipe whose other end that process alone holds: the system closes it, whatever kills it.
    """
    threading.Thread(target=_wait_and, args=(act,), daemon=True).start()


def _wait_and(act: Callable[[], object]) -> None:
    while os.read(0, 1):
        pass
    act()


if __name__ == "__main__":
    at_starters_end(lambda: os._exit(1))
    from dagster._daemon.cli import main

    main()
