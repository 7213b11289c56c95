"""A function in a process of its own that is forked from this one: no library is imported anew.

For tests of a process that is killed or ends by itself. Where what a process imports is the subject, start one.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


def forked(act: Callable[[], object], error_file: Path) -> int:
    """Begin a process that calls ``act`` and ends; its id. What it raised is written into ``error_file``.

    The child holds what this process had open; it ends without closing any of it, so that nothing here is disturbed.
    """
    child = os.fork()
    if child == 0:
        _act_and_end(act, error_file)
    return child


def _act_and_end(act: Callable[[], object], error_file: Path) -> NoReturn:
    try:
        act()
        os._exit(0)
    except BaseException:
        error_file.write_text(traceback.format_exc(), encoding="utf-8")
    finally:
        os._exit(1)


def exit_code(child: int) -> int:
    """Wait for its end: its exit status, or the negative number of the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def ended(act: Callable[[], object], error_file: Path) -> int:
    """Call ``act`` in such a process, and wait for it: see :func:`exit_code`."""
    return exit_code(forked(act, error_file))
