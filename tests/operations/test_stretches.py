"""Which facts a session sees, against plain loops over every version.

History may be cut into more stretches than need be, never into fewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import PublicationError
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.clock import as_of_sessions
from nn_assets.operations.history import History, open_history
from nn_assets.settings import Strategy

SESSIONS = sessions_between("XNYS", "2018-01-02", "2018-01-31")  # 21
STRATEGY = Strategy.model_validate(
    {
        "name": "stretched",
        "market": {
            "calendar": "XNYS",
            "symbols": ["AAA", "BBB"],
            "history_starts": "2018-01-02",
            "history_ends": "2018-01-31",
        },
    }
)
MOMENTS = as_of_sessions(STRATEGY.market, SESSIONS)
LOADED = pd.Timestamp("2018-01-01", tz="UTC")


@dataclass(frozen=True)
class Case:
    versions: pd.DataFrame
    decided: pd.Series  # recorded_at by session

    @cached_property
    def as_rows(self) -> list[tuple[str, int, float, pd.Timestamp, pd.Timestamp]]:
        """Symbol, place of the session, close, when known and when stored: for loops, as pandas is slow in them."""
        moments = (self.versions[name].to_list() for name in ("known_at", "ingested_at"))
        session_rows = SESSIONS.get_indexer(self.versions["session"]).tolist()
        return list(zip(self.versions["symbol"], session_rows, self.versions["close"], *moments, strict=True))


def version(
    symbol: str, row: int, close: float, known_at: pd.Timestamp, ingested_at: pd.Timestamp
) -> dict[str, object]:
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    moments = {"known_at": known_at, "ingested_at": ingested_at}
    return {"symbol": symbol, "session": SESSIONS[row], **prices, "volume": 1.0, "source": "made", **moments}


def made(seed: int) -> Case:
    """Bars of two symbols, some restated: late, early, stored long after, or with a value said before."""
    draw = np.random.default_rng(seed)
    rows = [
        version(symbol, row, 1.0, MOMENTS[row], LOADED) for symbol in ("AAA", "BBB") for row in range(len(SESSIONS))
    ]
    first = int(draw.integers(0, 12))
    decided = sorted(set(range(first, int(draw.integers(first, 21)))) - set(draw.integers(0, 21, 2 * (seed % 2))))
    recorded = {SESSIONS[row]: MOMENTS[row] + pd.Timedelta(minutes=30) for row in decided}
    for _ in range(int(draw.integers(1, 6))):
        row, known, stored = (int(draw.integers(0, 21)) for _ in range(3))
        minutes = pd.Timedelta(minutes=int(draw.choice([-5, 0, 5])))
        value, name = float(draw.choice([1.0, 2.0, 3.0])), str(draw.choice(["AAA", "BBB"]))
        rows.append(
            version(name, row, value, MOMENTS[known] + minutes, MOMENTS[max(stored, known)] + pd.Timedelta(hours=1))
        )
    frame = pd.DataFrame(rows).drop_duplicates(["symbol", "session", "known_at"], ignore_index=True)
    return Case(frame, pd.Series(recorded, dtype="datetime64[ns, UTC]"))


def history_of(case: Case) -> History:
    history = History(None, STRATEGY, SESSIONS[-1])  # type: ignore[arg-type]  no store is asked
    # What it would read once from the stores.
    vars(history).update(raw_versions=case.versions, action_versions=None, decision_moments=case.decided)
    return history


def seen(case: Case, row: int, until: int) -> dict[tuple[str, int], float]:
    """Closes of the sessions up to ``until`` as the decision of ``row`` knows them: loops, and nothing else."""
    moment, stored_by = MOMENTS[row], case.decided.get(SESSIONS[row])
    newest: dict[tuple[str, int], tuple[pd.Timestamp, float]] = {}
    for symbol, session_row, close, known_at, ingested_at in case.as_rows:
        if session_row > until or known_at > moment:
            continue
        if stored_by is not None and ingested_at > stored_by:
            continue
        key = symbol, session_row
        if key not in newest or known_at > newest[key][0]:
            newest[key] = known_at, close
    return {key: close for key, (_, close) in newest.items()}


@pytest.mark.full
@pytest.mark.parametrize("seeds", [range(100), pytest.param(range(100, 400), marks=pytest.mark.full)])
def test_sessions_of_one_stretch_see_the_same_of_what_both_could(seeds: range) -> None:
    several = 0
    for seed in seeds:
        case = made(seed)
        numbers = history_of(case)._numbers
        assert numbers[0] == 0
        assert set(np.diff(numbers)) <= {0, 1}
        several += int(numbers[-1] > 0)
        for row in range(len(SESSIONS)):
            last = int(np.flatnonzero(numbers == numbers[row])[-1])
            assert seen(case, row, row) == seen(case, last, row), (seed, row, last)
    assert several > len(seeds) // 2


def test_history_without_late_facts_is_one_stretch() -> None:
    rows = [version("AAA", row, 1.0, MOMENTS[row], LOADED) for row in range(len(SESSIONS))]
    recorded = pd.Series({day: MOMENTS[row] for row, day in enumerate(SESSIONS)}, dtype="datetime64[ns, UTC]")
    for decided in (recorded.iloc[:0], recorded.iloc[5:9], recorded):
        assert history_of(Case(pd.DataFrame(rows), decided))._numbers.max() == 0


def test_a_version_that_repeats_one_stored_after_it_still_begins_a_stretch() -> None:
    hour = pd.Timedelta(hours=1)
    rows = [version("AAA", row, 1.0, MOMENTS[row], LOADED) for row in range(len(SESSIONS))]
    rows.append(version("AAA", 0, 2.0, MOMENTS[6] - hour, MOMENTS[6] - hour))
    rows.append(version("AAA", 0, 2.0, MOMENTS[3] - hour, MOMENTS[10] - hour))  # back-dated, and stored late
    decided = pd.Series({SESSIONS[row]: MOMENTS[row] for row in range(9)}, dtype="datetime64[ns, UTC]")
    numbers = history_of(Case(pd.DataFrame(rows), decided))._numbers
    assert numbers[5] < numbers[6]


def test_sessions_left_undecided_between_decided_ones_do_not_share_what_was_stored_meanwhile() -> None:
    rows = [version("AAA", row, 1.0, MOMENTS[row], LOADED) for row in range(len(SESSIONS))]
    rows.append(version("AAA", 1, 2.0, MOMENTS[1], MOMENTS[5]))
    decided = pd.Series({SESSIONS[row]: MOMENTS[row] for row in (0, 1, 2, 3, 8, 9)}, dtype="datetime64[ns, UTC]")
    numbers = history_of(Case(pd.DataFrame(rows), decided))._numbers
    assert numbers[3] < numbers[4]


def test_a_history_of_which_nothing_is_published_says_so_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    with open_history(STRATEGY) as history, pytest.raises(PublicationError) as refused:
        history.covering(None)
    assert "stretched" in str(refused.value)
    assert refused.value.remedy
