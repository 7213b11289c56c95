"""A dividend told late, where no bar was restated: the stored features count it, and no session of before may."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.history import open_history
from nn_assets.sources.simulated import SimulatedSource
from tests.operations import homes
from tests.orchestration.conftest import TINY, living_in, strategy_of, write_strategy

SYMBOLS = ("SIM01", "SIM02", "SIM03")
SESSIONS = sessions_between("XNYS", "2016-01-04", "2016-06-30")
EX, KNOWN = SESSIONS[80], SESSIONS[100]
HEADER = "symbol,ex_session,kind,value,known_at\n"


def returns_of_the_day(session: pd.Timestamp) -> np.ndarray:
    """Each symbol's return on the dividend's day, as a session knows it."""
    with open_history(strategy_of()) as history:
        cube = history.view(session).cube
        return cube.values[cube.sessions.get_loc(EX), :, cube.names.index("log_return_1")]


def test_features_of_a_session_count_no_action_that_was_told_later(tmp_path: Path) -> None:
    source = {**dict.fromkeys(TINY["source"]), "kind": "files", "path": "bars.csv", "actions_path": "actions.csv"}
    market = {"symbols": list(SYMBOLS), "history_ends": str(SESSIONS[-1].date()), "live_starts": None}
    write_strategy(tmp_path, source=source, market=market)
    bars = SimulatedSource("XNYS", SESSIONS[0].date(), seed=5).bars(SYMBOLS, None, SESSIONS[-1])
    bars[["symbol", "session", "open", "high", "low", "close", "volume"]].to_csv(
        tmp_path / "strategies" / "bars.csv", index=False
    )
    actions = tmp_path / "strategies" / "actions.csv"
    actions.write_text(HEADER, encoding="utf-8")
    with living_in(tmp_path):
        homes.take_in(strategy_of())
        before = returns_of_the_day(SESSIONS[99])
        closes = bars[bars["symbol"] == "SIM02"].set_index("session")["close"]
        dividend = 0.1 * closes[EX]
        actions.write_text(
            f"{HEADER}SIM02,{EX.date()},dividend,{dividend},{KNOWN.date()}T12:00:00Z\n", encoding="utf-8"
        )
        homes.take_in(strategy_of())
        np.testing.assert_array_equal(returns_of_the_day(SESSIONS[99]), before)
        since = returns_of_the_day(KNOWN)
    paid = np.log(closes[EX] / (closes[SESSIONS[79]] - dividend))
    np.testing.assert_allclose(since, [before[0], paid, before[2]], rtol=1e-12)
