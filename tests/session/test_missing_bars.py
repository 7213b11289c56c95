"""What a decision says of the bars that it lacks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from nn_assets.features.catalogue import CATALOGUE
from nn_assets.operations.session_page import _missing_notices
from nn_assets.session.missing_bars import MissingBars, missing_bars, sessions_read
from nn_assets.settings import Strategy

SYMBOLS = ("WHOLE", "OLD_GAP", "GAP", "NONE_TODAY", "DELISTED", "HALTED", "LISTED_LATE", "NO_MODEL")


def _there() -> np.ndarray:
    there = np.ones((120, len(SYMBOLS)), dtype=bool)
    there[20, 1] = there[100, 2] = there[119, 3] = False
    there[60:, 4] = False
    there[100:110, 5] = False
    there[:118, 6] = False
    return there


SIGNALLED = np.array([True, True, True, False, False, False, False, False])
READ = 41  # 21 of a 20-session feature's closes, one stepped over, at the oldest of 20 rows, one stepped over


def test_the_sessions_read_are_those_of_the_longest_feature_at_the_oldest_row_of_the_window() -> None:
    assert sessions_read(("log_return_1", "momentum_1"), 20, 0.05) == 22 + 21 - 1
    assert sessions_read(("log_return_1", "momentum_1"), 20, 0.0) == 21 + 20 - 1
    assert sessions_read(("implied_over_realised", "log_return_1"), 20, 0.0) == 40


def test_each_symbol_that_lacks_a_bar_is_told_once_and_by_its_case() -> None:
    assert missing_bars(_there(), SIGNALLED, None, READ) == MissingBars((2,), (3,), (5,))
    nobody = np.zeros(len(SYMBOLS), dtype=bool)
    assert missing_bars(_there(), nobody, None, READ) == MissingBars((), (3,), ())  # no model says anything
    members = np.ones((120, len(SYMBOLS)), dtype=bool)
    members[-1, [3, 5]] = False
    assert missing_bars(_there(), SIGNALLED, members, READ) == MissingBars((2,), (), ())


def _said(there: np.ndarray, signalled: np.ndarray) -> list[str]:
    strategy = Strategy.model_validate({"name": "tiny", "market": {"history_starts": "2011-01-03"}})
    view = SimpleNamespace(
        halted=None,
        cube=SimpleNamespace(names=tuple(CATALOGUE)[:4]),
        panel=SimpleNamespace(close=np.where(there, 1.0, np.nan)),
        members=None,
        symbols=SYMBOLS,
    )
    history: Any = SimpleNamespace(view=lambda _: view, strategy=strategy, stores=SimpleNamespace(ledger=None))
    signals = SimpleNamespace(calibrated_probability=np.where(signalled, 0.5, np.nan))
    done: Any = SimpleNamespace(session=None, signals=signals)
    return _missing_notices(history, done)


def test_the_page_says_how_many_signals_rest_on_fewer_bars_and_which() -> None:
    fewer, today, silenced = _said(_there(), SIGNALLED)
    assert fewer.startswith("1 of 3 signals rest on fewer bars (features.missing_bars step_over)")
    assert fewer.endswith("within the 42 sessions that features and lookback read: GAP.")
    assert today == "No bar of this session, so no signal: NONE_TODAY."
    assert "HALTED. Windows step over 5% at most (features.max_missing_bars_fraction)." in silenced
    assert _said(np.ones((120, len(SYMBOLS)), dtype=bool), SIGNALLED) == []
