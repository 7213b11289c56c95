"""Homes that are built once a run of the tests, however many workers share its tests out."""

from __future__ import annotations

import base64
import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from nn_assets.operations import days, study_page
from nn_assets.reports import plots

_DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="
)


@contextmanager
def nothing_drawn() -> Iterator[None]:
    """Give a dot for every plot, and explain no forecast.

    Drawing takes a fifth of a small run, and is the subject of the tests of reports. Shared homes are built outside of
    it, so that what a run of each kind draws is still drawn in every run of the tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "to_png", lambda _: _DOT)
        patch.setattr(days, "keep_moves", lambda *_: None)
        patch.setattr(study_page, "measured_importance", lambda *_: None)
        yield


@contextmanager
def each_kind_drawn_once() -> Iterator[None]:
    """Draw the first plot of each kind, and give a dot for every further one: what a range of sessions repeats."""
    draw, drawn = plots.to_png, set()

    def first_drawn(figure: Figure) -> bytes:
        kind = sys._getframe(1).f_code.co_name
        if kind in drawn:
            return _DOT
        drawn.add(kind)
        return draw(figure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "to_png", first_drawn)
        yield


def built_once(name: str, factory: pytest.TempPathFactory, build: Callable[[Path], object]) -> Path:
    """A home of this worker's own; the first worker that asks builds it, the others get a copy of what it built.

    What they copy is a copy itself, in which nothing ever ran: files that come and go beside an open database must
    not disturb a worker that copies it at that moment.
    """
    home = factory.mktemp(name) / "home"
    if "PYTEST_XDIST_WORKER" not in os.environ:
        build(home)
        return home
    common = factory.getbasetemp().parent / "homes"  # beside the workers' own folders
    common.mkdir(exist_ok=True)
    kept, complete = common / name, common / f"{name}.complete"
    with (common / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a worker that dies lets go of it
        if complete.exists():
            shutil.copytree(kept, home)
            return home
        build(home)
        shutil.rmtree(kept, ignore_errors=True)  # of a worker that died while it copied
        shutil.copytree(home, kept)
        complete.touch()
    return home
