"""A factor without a stated split as each session knew it: before it lasts, after, and once it is stated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.history import open_history
from nn_assets.operations.situation import headline_now
from nn_assets.sources.simulated import SimulatedSource
from nn_assets.store.ledger.ledger import Ledger
from tests.operations import homes
from tests.orchestration.conftest import NAME, TINY, living_in, strategy_of, write_strategy

SYMBOLS = ("SIM01", "SIM02", "SIM03")
STARTS, ENDS = pd.Timestamp("2016-01-04"), pd.Timestamp("2016-09-30")
SESSIONS = sessions_between("XNYS", STARTS, ENDS)
STEP = 120  # the first session at the new level
LASTING, SPLIT_KNOWN = SESSIONS[STEP + 9], SESSIONS[STEP + 30]
SOURCE = {**dict.fromkeys(TINY["source"]), "kind": "files", "path": "bars.csv", "actions_path": "actions.csv"}
HEADER = "symbol,ex_session,kind,value,known_at\n"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    market = {"symbols": list(SYMBOLS), "history_ends": str(ENDS.date()), "live_starts": None}
    gate = {"max_quarantined_fraction": 0.1}
    write_strategy(tmp_path, source=SOURCE, market=market, gate=gate)
    source = SimulatedSource("XNYS", STARTS.date(), seed=5, planted_rank_ic=0.3)
    bars = source.bars(SYMBOLS, None, ENDS).drop(columns=["source", "known_at"], errors="ignore")
    moved = (bars["symbol"] == "SIM02") & (bars["session"] >= SESSIONS[STEP])
    for name in ("open", "high", "low", "close"):
        bars[name] = bars[name].where(~moved, bars[name] * 100.0)
    bars.to_csv(tmp_path / "strategies" / "bars.csv", index=False)
    (tmp_path / "strategies" / "actions.csv").write_text(HEADER, encoding="utf-8")
    with living_in(tmp_path):
        homes.take_in(strategy_of())
        yield tmp_path


def closes(session: pd.Timestamp) -> tuple[np.ndarray, np.ndarray, list[tuple[str, float]]]:
    """SIM02's raw closes and total-return closes as a session knows them, and the actions it counts."""
    with open_history(strategy_of()) as history:
        view = history.view(session)
        actions = view.actions
        counted = [] if actions is None else [(str(row.ex_session.date()), row.value) for row in actions.itertuples()]
        return view.panel.close[:, 1], view.panel.total_return().close[:, 1], counted


def test_every_session_reads_what_it_knew_of_the_factor(home: Path) -> None:
    waiting, _, counted = closes(SESSIONS[STEP + 8])
    assert np.isnan(waiting[STEP:]).all()
    assert counted == []
    _, before, _ = closes(SESSIONS[STEP - 1])
    raw, chained, counted = closes(LASTING)
    assert np.isnan(raw[STEP:-1]).all()
    assert [day for day, _ in counted] == [str(LASTING.date())]
    assert chained[-1] == pytest.approx(before[-1], rel=1e-12)  # no return across it
    with open_history(strategy_of()) as history:
        cube = history.view(SPLIT_KNOWN).cube
        returns = np.abs(cube.values[:, 1, :][:, [cube.names.index("log_return_1")]])
        assert np.nanmax(returns) < 1.0
    # Stated later, the split changes nothing of what was known before, and all from its own moment on.
    known_at = f"{SPLIT_KNOWN.date()}T18:00:00Z"
    text = f"{HEADER}SIM02,{SESSIONS[STEP].date()},split,0.01,{known_at}\n"
    (home / "strategies" / "actions.csv").write_text(text, encoding="utf-8")
    homes.take_in(strategy_of())
    again, _, still = closes(SESSIONS[STEP + 8])
    np.testing.assert_array_equal(again, waiting)
    assert still == []
    same_raw, same_chained, same = closes(LASTING)
    np.testing.assert_array_equal(same_raw, raw)
    np.testing.assert_array_equal(same_chained, chained)
    assert same == counted
    now, whole, final = closes(SPLIT_KNOWN)
    assert np.isfinite(now).all()
    assert final == [(str(SESSIONS[STEP].date()), 0.01)]
    assert np.abs(np.diff(np.log(whole))).max() < 0.5


LIVE = [pd.Timestamp(f"2017-06-{day}") for day in (21, 22, 23, 26, 27)]


@pytest.mark.full
@pytest.mark.parametrize("mended", ["stated", "restated"])
def test_what_is_held_keeps_its_value_across_the_factor_and_once_it_is_explained(tmp_path: Path, mended: str) -> None:
    symbols = tuple(f"SIM{number:02d}" for number in range(1, 7))
    market = {"symbols": list(symbols), "history_ends": "2017-06-27"}
    settings = {"source": SOURCE, "gate": {"max_missing_symbols_fraction": 0.5}, "cleaning": {"unit_error_sessions": 2}}
    write_strategy(tmp_path, market={**market, "history_ends": "2017-06-22"}, **settings)
    source = SimulatedSource("XNYS", STARTS.date(), seed=5, planted_rank_ic=0.3)
    bars = source.bars(symbols, None, LIVE[-1]).drop(columns=["source", "known_at"], errors="ignore")
    file, actions = tmp_path / "strategies" / "bars.csv", tmp_path / "strategies" / "actions.csv"
    bars.to_csv(file, index=False)
    actions.write_text(HEADER, encoding="utf-8")
    with living_in(tmp_path):
        homes.take_in(strategy_of())
        homes.train(strategy_of(), homes.months_between("2017-01", "2017-06"))
        homes.decide(strategy_of(), LIVE[:2])
        held = recorded("holdings", LIVE[1]).set_index("symbol")["quantity"]
        symbol = str(held.abs().idxmax())
        moved = (bars["symbol"] == symbol) & (bars["session"] >= LIVE[2])
        prices = ["open", "high", "low", "close"]
        bars.assign(**{name: bars[name].where(~moved, bars[name] * 100.0) for name in prices}).to_csv(file, index=False)
        write_strategy(tmp_path, market=market, **settings)
        homes.take_in(strategy_of())
        homes.decide(strategy_of(), LIVE[2:4])
        equity = [float(recorded("portfolio_states", day)["equity_usd"].iloc[0]) for day in LIVE[:4]]
        assert np.abs(np.diff(np.log(equity))).max() < 0.1
        before, after = (recorded("holdings", day).set_index("symbol").loc[symbol] for day in LIVE[2:4])
        assert after["quantity"] * 100.0 == pytest.approx(before["quantity"], rel=0.1)
        asked = recorded("orders", LIVE[3])
        assert set(asked.loc[asked["symbol"] == symbol, "reason_code"]) == {"unexplained_factor"}
        with open_history(strategy_of()) as history:
            value = str(headline_now(history))
        assert f"no order of {symbol} is sent" in value
        if mended == "stated":
            actions.write_text(f"{HEADER}{symbol},{LIVE[2].date()},split,0.01,\n", encoding="utf-8")
        else:
            # It was the unit: after the last session decided, the bars come as they should have been.
            value = pd.Series(np.where(moved & (bars["session"] < LIVE[4]), f"{LIVE[3].date()}T23:30:00Z", None))
            bars.assign(known_at=value.to_numpy()).to_csv(file, index=False)
        homes.take_in(strategy_of())
        homes.decide(strategy_of(), LIVE[4:])
        last = float(recorded("portfolio_states", LIVE[4])["equity_usd"].iloc[0])
        assert abs(np.log(last / equity[-1])) < 0.1
        final = recorded("holdings", LIVE[4]).set_index("symbol").loc[symbol]
        shares = abs(before["quantity"]) / (100.0 if mended == "stated" else 1.0)
        assert abs(final["quantity"]) <= 1.1 * shares + 100.0
        owned = float(final["quantity"]) - float(
            recorded("fills", LIVE[4]).query("symbol == @symbol")["quantity"].sum()
        )
        assert abs(owned) == pytest.approx(shares, rel=0.05)


def recorded(table: str, session: pd.Timestamp) -> pd.DataFrame:
    with Ledger() as ledger:
        return ledger.read(table, NAME, session, session)
