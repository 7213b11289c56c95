"""The file ``HALT`` in the home: whatever lies there by that name halts everything, read anew each time.

It is never opened: an empty file, a folder and a link to nowhere halt alike. ``operations/kill_switch.py`` puts on
record that it was found, so that to take it away resumes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import lstat

import pandas as pd

from nn_assets.errors import InstallationError
from nn_assets.store.home import halt_file


@dataclass(frozen=True)
class HaltFile:
    """A halt by the file."""

    reason: str
    since: pd.Timestamp | None = None  # UTC: it lay there then at the latest; None where nobody knows


def halt_file_found() -> HaltFile | None:
    """The halt by what lies in the home now; None where nothing of that name does.

    It halts too where nobody can look. Since when is the earlier of its two times, change and content, unless that
    lies ahead of the clock.
    """
    try:
        file = halt_file()
        status = lstat(file)
    except FileNotFoundError:
        return None
    except (OSError, InstallationError) as error:
        return HaltFile(f"nobody can tell whether a file HALT lies in the home: {error}")
    since = pd.Timestamp(min(status.st_mtime_ns, status.st_ctime_ns), tz="UTC")
    return HaltFile(f"{file} lies in the home", since if since <= pd.Timestamp.now(tz="UTC") else None)
