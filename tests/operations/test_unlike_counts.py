"""How many rows and days of a study were unlike: counted where it is known which were, as each was decided."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from nn_assets.arrays import Cube
from nn_assets.operations.history import Stretch
from nn_assets.operations.models.novelty import novelty_by_session
from nn_assets.operations.models.unlike_days import day_novelty
from nn_assets.operations.study_page import _unlike_text
from tests.learning.test_novelty import model
from tests.learning.tiny import NAMES, SYMBOLS, tiny_market
from tests.operations.test_unlike_days import STRANGE, history, strange

FIRST, SESSIONS = model().fold.used_from, 20


def with_cuts(values: Any = None, members: Any = None) -> Any:
    """A history of one model, whose sessions are served by stretches of eight."""
    of, cube = history(values), tiny_market()[0]
    cut = SimpleNamespace(cube=cube if values is None else Cube(cube.sessions, SYMBOLS, NAMES, values), members=members)

    def stretches(rows: list[int]) -> Iterator[Stretch]:
        for start in range(rows[0], rows[-1] + 1, 8):
            yield Stretch(0, range(start, min(start + 8, rows[-1] + 1)), cut)  # type: ignore[arg-type]

    of.stretches = stretches
    return of


def of_study(values: Any = None, members: Any = None) -> Any:
    return novelty_by_session(with_cuts(values, members), range(FIRST, FIRST + SESSIONS), [model().model_id] * SESSIONS)


def test_each_session_of_a_study_is_judged_as_it_was_when_it_was_decided() -> None:
    of, sessions = with_cuts(strange()), tiny_market()[0].sessions
    alone = [day_novelty(of, sessions[FIRST + row], model().model_id) for row in range(SESSIONS)]
    assert of_study(strange()) == alone


def test_the_line_counts_the_rows_and_the_day_that_were_made_strange() -> None:
    before, after = of_study(), of_study(strange())
    assert after[STRANGE].unlike_day
    assert after[STRANGE].unlike == after[STRANGE].rows == 3
    assert after[STRANGE + 1].unlike >= 1
    others = [row for row in range(SESSIONS) if row not in {STRANGE, STRANGE + 1}]
    assert [after[row].unlike for row in others] == [before[row].unlike for row in others]
    result = SimpleNamespace(
        study=SimpleNamespace(rows=range(FIRST, FIRST + SESSIONS)),
        material=SimpleNamespace(model_by_row=[model().model_id] * (FIRST + SESSIONS)),
    )
    counts = [sum(day.unlike for day in after), sum(day.rows for day in after), sum(day.unlike_day for day in after)]
    text = _unlike_text(with_cuts(strange()), result)  # type: ignore[arg-type]
    assert text == f"{counts[0]} of {counts[1]} rows, and {counts[2]} of {SESSIONS} days as a whole"


def test_members_of_the_session_alone_count() -> None:
    values = strange()
    members = np.ones(values.shape[:2], dtype=bool)
    everyone = of_study(strange())[STRANGE]
    members[FIRST + STRANGE, SYMBOLS.index(everyone.symbols[0])] = False
    assert of_study(strange(), members)[STRANGE].unlike == everyone.unlike - 1
