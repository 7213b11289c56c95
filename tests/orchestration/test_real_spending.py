"""Real fills in the severity score: imported ones that cost more than the model says ring, paper ones do not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay
from nn_assets.operations.decisions.rounds import decide_session
from nn_assets.operations.history import open_history
from nn_assets.operations.intake.fills import import_fills
from tests.orchestration.conftest import LAST, NAME, TINY, living_in, recorded, strategy_of, write_strategy
from tests.orchestration.test_imported_fills import closes_of

pytestmark = pytest.mark.slow

START = "2017-05-31"
LIVE = list(sessions_between("XNYS", START, LAST))
IMPORTED, LAST_BEFORE, NEXT = LIVE[:20], LIVE[20], LIVE[21]  # the test asks for twenty sessions


def decide(*sessions: pd.Timestamp) -> list[bool]:
    with open_history(strategy_of()) as history:
        return [decide_session(history, session, "test").already_decided for session in sessions]


def broker_file(folder: Path, times_the_model: float, sessions: list[pd.Timestamp]) -> Path:
    """A fill a session that paid a multiple of the settings' half-spread and commission, one of each side."""
    half_spread, commission = (float(str(TINY["costs"][f"{name}_bps"])) / 1e4 for name in ("half_spread", "commission"))
    side = np.tile([1.0, -1.0], len(sessions))
    frame = pd.DataFrame(
        {
            "fill_id": [f"real-{number}" for number in range(len(side))],
            "client_order_id": [f"order-{number}" for number in range(len(side))],
            "symbol": np.where(side > 0.0, "SIM01", "SIM02"),
            "session": np.repeat([session.strftime("%Y-%m-%d") for session in sessions], 2),
            "quantity": side * 100.0,
        }
    )
    mid = closes_of(frame)
    frame = frame.assign(
        price=mid * (1.0 + side * times_the_model * half_spread),
        mid_price=mid,
        commission_usd=100.0 * mid * times_the_model * commission,
    )
    file = folder / f"fills-{times_the_model}.csv"
    frame.to_csv(file, index=False)
    return file


def reasons_of(session: pd.Timestamp) -> tuple[float, str]:
    state = recorded_state(session)
    return float(state["score"]), "; ".join(state["reasons"])


def recorded_state(session: pd.Timestamp) -> pd.Series:
    with open_history(strategy_of()) as history:
        return history.stores.ledger.read("trading_states", NAME, session, session).iloc[0]


@pytest.fixture(scope="module")
def traded_home(studied_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home live for longer: enough sessions decided on paper for a test of slippage."""
    home = tmp_path_factory.mktemp("traded") / "home"
    shutil.copytree(studied_home, home)
    write_strategy(home, market={"live_starts": START})
    with living_in(home):
        decide(*IMPORTED, LAST_BEFORE)
    return home


@pytest.fixture
def traded(traded_home: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it, lived in."""
    home = tmp_path / "home"
    shutil.copytree(traded_home, home)
    with living_in(home):
        yield home


@pytest.mark.full
def test_real_fills_at_twice_the_models_cost_count_in_the_next_score(traded: Path, tmp_path: Path) -> None:
    paper, reasons = reasons_of(LAST_BEFORE)
    assert "slippage" not in reasons
    before = {table: recorded(traded, table) for table in ("decisions", "trading_states", "orders")}
    assert import_fills(NAME, broker_file(tmp_path, 2.0, IMPORTED))["imported"] == 40
    assert decide(NEXT) == [False]
    score, reasons = reasons_of(NEXT)
    assert "slippage breach (+2)" in reasons
    drift = sum(int(part.split("(+")[1][0]) for part in reasons.split("; ") if "(+" in part and "slippage" not in part)
    assert score == drift + 2
    assert paper < score
    # What was decided before the import is decided so again, and so is what came after it; all are replayed below.
    assert decide(NEXT, LAST_BEFORE, LIVE[0]) == [True] * 3
    for table, frame in before.items():
        pd.testing.assert_frame_equal(recorded(traded, table, str(LAST_BEFORE.date())), frame, check_exact=True)
    assert decide(*LIVE[22:]) == [False]
    assert "slippage breach" in reasons_of(LIVE[-1])[1]
    with open_history(strategy_of()) as history:
        assert decisions_repeat_in_replay(history) == (len(LIVE), [])


@pytest.mark.full
def test_real_fills_at_the_models_cost_count_for_nothing(traded: Path, tmp_path: Path) -> None:
    assert import_fills(NAME, broker_file(tmp_path, 1.0, IMPORTED))["imported"] == 40
    decide(NEXT)
    assert "slippage" not in reasons_of(NEXT)[1]
