"""A halt is a fact: its session's bar is not missing, alarms nobody and is not traded; the page and status say it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from nn_assets.cli import status
from nn_assets.contracts import HALTS, validate
from nn_assets.errors import GateHalted
from nn_assets.market.calendar.sessions import assumed_known_at, sessions_between
from nn_assets.operations.asof.trading_halts import halts_in_words
from nn_assets.operations.decisions.rederivation import rederive_decisions
from nn_assets.operations.decisions.rounds import DecidedSession
from nn_assets.operations.exported_tables import read_exported
from nn_assets.operations.history import open_history
from nn_assets.operations.intake.bars import audit_bars
from nn_assets.operations.session_page import _halted_symbols, _missing_notices, _unquoted_notices
from nn_assets.reports.round_notices import held_on_notices
from nn_assets.sources.simulated import SimulatedSource
from tests.operations.homes import decide, take_in, train
from tests.operations.test_as_known import CUT, bars_until, funding_until, strategy
from tests.orchestration.conftest import living_in, strategy_of, write_strategy

SYMBOLS = ("SIM01", "SIM02", "SIM03")
LAST = "2016-02-29"
HALT = ("2016-02-25", "2016-02-26", "2016-02-29")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with living_in(tmp_path):
        yield tmp_path


def write(home: Path, halts: str | None, gone: tuple[str, ...] = HALT, **market: object) -> None:
    """Two months of three symbols, of which SIM02 lacks the bars of some last sessions."""
    source = SimulatedSource(
        calendar="XNYS", history_starts=pd.Timestamp("2016-01-04").date(), history_ends=pd.Timestamp(LAST).date()
    )
    bars = source.bars(SYMBOLS).drop(columns="source")
    bars = bars[~((bars["symbol"] == "SIM02") & bars["session"].isin(pd.DatetimeIndex(gone)))]
    spans = {"symbols": list(SYMBOLS), "history_starts": "2016-01-04", "history_ends": LAST, "live_starts": None}
    file = write_strategy(
        home,
        source={"kind": "files", "path": "bars.csv", "seed": None, "planted_rank_ic": None},
        market={**spans, **market},
        features={"names": ["log_return_1", "log_return_5"]},
    )
    bars.to_csv(file.parent / "bars.csv", index=False, date_format="%Y-%m-%d")
    if halts is not None:
        settings = yaml.safe_load(file.read_text())
        file.write_text(yaml.safe_dump({**settings, "halts": {"path": "halts.csv"}}))
        (file.parent / "halts.csv").write_text(f"symbol,halted_from,resumes,known_at\n{halts}")


def test_the_gate_lets_a_halt_pass_that_it_halts_on_where_nobody_stated_it(home: Path) -> None:
    write(home, None)
    with pytest.raises(GateHalted, match=r"missing_symbols: 1 of 3 symbols \(33.3%\) lack a current bar"):
        take_in(strategy_of())
    write(home, "SIM02,2016-02-25,,\n")
    take_in(strategy_of())
    with open_history(strategy_of()) as history:
        checks = {check.name: check.detail for check in audit_bars(history).report.checks}
        view, exported = history.view(), validate(read_exported(history, "halts", None, None, None), HALTS)
        assert checks["missing_symbols"].startswith("0 of 2 symbols")
        assert checks["missing_sessions"].startswith("0 of 114 bars due")
        assert view.halted.tolist() == [False, True, False]
        assert view.market.stale_share == 0.0
        assert replace(view.market, halted=None).stale_share == pytest.approx(1 / 3)  # over the breaker's limit
        assert halts_in_words(history.halt_versions, view.session, view.moment) == ["SIM02 since 2016-02-25"]
    assert exported[["symbol", "halted_from"]].values.tolist() == [["SIM02", pd.Timestamp("2016-02-25")]]
    assert status.report("tiny")["strategies"]["tiny"]["halted"] == ["SIM02 since 2016-02-25"]


@pytest.mark.full
def test_a_bar_that_came_for_a_halted_session_is_used_by_nothing_and_a_late_halt_changes_no_row(home: Path) -> None:
    write(home, "SIM02,2016-02-25,,\n", gone=())
    take_in(strategy_of())
    with open_history(strategy_of()) as history:
        panel = history.view().panel
        row = panel.row("2016-02-25")
        assert np.isnan(panel.close[row:, 1]).all()
        assert np.isfinite(panel.close[:row]).all()
        assert np.isfinite(panel.close[:, [0, 2]]).all()
        assert np.isnan(history.view().cube.values[row:, 1]).all()
        before = history.view("2016-02-24").cube.values.tobytes()
    write(home, "SIM02,2016-02-23,2016-02-24,2016-02-26T12:00:00Z\nSIM02,2016-02-25,,\n", gone=())
    take_in(strategy_of())
    with open_history(strategy_of()) as history:
        assert history.view("2016-02-24").cube.values.tobytes() == before  # told on the 26th: no earlier session knew
        assert np.isfinite(history.view().panel.close[panel.row("2016-02-23"), 1])
        now = history.halted_as_now(history.axis, SYMBOLS)
        assert now[panel.row("2016-02-23"), 1]


@pytest.mark.full
def test_a_position_is_kept_through_a_halt_without_an_order_an_alarm_or_a_breaker(own_home: Path) -> None:
    folder, calendar = own_home / "strategies", "XNYS"
    with open_history(strategy()) as history:
        holdings = history.stores.ledger.read("holdings", "known", pd.Timestamp(CUT), pd.Timestamp(CUT))
    held = holdings[holdings["quantity"] != 0.0].sort_values("symbol")
    name = str(held["symbol"].iloc[0])
    last = "2016-09-08"
    sessions = sessions_between(calendar, pd.Timestamp("2016-09-01"), pd.Timestamp(last))
    halt = sessions[1:4]
    bars = bars_until(last)
    bars = bars[bars["session"] > pd.Timestamp(CUT)]
    bars = bars[~((bars["symbol"] == name) & bars["session"].isin(halt))]
    closes = assumed_known_at(calendar, bars["session"], lag_minutes=15)
    stamped = bars.assign(known_at=[f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in closes])
    stamped.to_csv(folder / "bars" / "c_september.csv", index=False, date_format="%Y-%m-%d")
    funding_until(last).to_csv(folder / "funding.csv", index=False)
    with (folder / "fear.csv").open("a") as file:
        file.writelines(f"{day.date()},14,\n" for day in sessions)
    settings = yaml.safe_load((folder / "known.yaml").read_text())
    settings["market"]["history_ends"] = str(halt[-1].date())
    (folder / "known.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(GateHalted, match="missing_symbols: 1 of 6"):
        take_in(strategy())
    settings["market"]["history_ends"] = last
    (folder / "known.yaml").write_text(yaml.safe_dump({**settings, "halts": {"path": "halts.csv"}}))
    known = f"{halt[0].date()}T13:00:00Z"  # told before the open of its first session
    (folder / "halts.csv").write_text(
        f"symbol,halted_from,halted_to,known_at\n{name},{halt[0].date()},{halt[-1].date()},{known}\n"
    )
    take_in(strategy())
    train(strategy(), ["2016-09"])
    rounds = decide(strategy(), list(sessions))
    kept = []
    for day, decided in zip(sessions, rounds, strict=True):
        with open_history(strategy()) as history:
            ledger, done = history.stores.ledger, decided.round
            states = ledger.read("portfolio_states", "known", day, day)
            orders = ledger.read("orders", "known", day, day)
            fills = ledger.read("fills", "known", day, day)
            after = ledger.read("holdings", "known", day, day).set_index("symbol")["quantity"]
            notices = [*_missing_notices(history, done), *_unquoted_notices(history, done)]
        assert not isinstance(states["breaker"].iloc[0], str)
        if day in halt:
            assert name not in set(fills["symbol"])
            assert name not in set(orders.loc[orders["reason_code"] == "", "symbol"])
            assert [text for text in notices if name in text and not text.startswith("Halted")] == []
            assert any(text.startswith("Halted") and f"{name} since {halt[0].date()}" in text for text in notices)
            kept.append(float(after.get(name, 0.0)))
        else:
            assert not any(text.startswith("Halted") for text in notices)
    first = sessions[0]
    with open_history(strategy()) as history:
        before = history.stores.ledger.read("holdings", "known", first, first).set_index("symbol")["quantity"]
    assert kept == [float(before[name])] * 3
    assert kept[0] != 0.0
    _assert_it_is_held_on_after(rounds, sessions, name, kept[0])
    with open_history(strategy()) as history:
        assert rederive_decisions(history, "first").played == len(sessions)
    with open_history(strategy()) as history:
        assert rederive_decisions(history, "again").played == 0
    # Stated anew, on other sessions and as if known before: the decisions are in doubt, and repeat as recorded.
    (folder / "halts.csv").write_text(
        f"symbol,halted_from,halted_to,known_at\n{name},{first.date()},{halt[1].date()},{known}\n"
    )
    take_in(strategy())
    with open_history(strategy()) as history:
        now = history.halted_as_now(sessions, (name,))
        assert now[:, 0].tolist() == [True, True, True, False, False]
        again = rederive_decisions(history, "restated")
        assert (again.played, again.differing) == (len(sessions), ())


def _assert_it_is_held_on_after(
    rounds: list[DecidedSession], sessions: pd.DatetimeIndex, name: str, held: float
) -> None:
    """The session that trades again keeps to the book of the last decision before the halt, in its scale."""
    before, reopened = rounds[0].round.decision, rounds[-1].round.decision
    column = reopened.inputs.symbols.index(name)
    assert reopened.held_on is not None
    assert reopened.held_on[column]
    assert reopened.inputs.current_quantity[column] == held
    assert reopened.unscaled_quantity[column] == before.unscaled_quantity[column]
    assert reopened.scale == before.scale
    # What was decided on the eve of the halt, and could not trade in it.
    assert reopened.target_quantity[column] == before.target_quantity[column]
    assert 0.99 < reopened.target_quantity[column] / held <= 1.0
    sizes = (reopened.inputs.atr, reopened.inputs.daily_volatility, reopened.inputs.adv_usd)
    assert all(np.isfinite(size[column]) for size in sizes)
    assert np.isnan(reopened.inputs.calibrated_probability[column])
    steps = rounds[-1].frames["position_steps"]
    reason = steps[steps["symbol"] == name].sort_values("step")["reason"].iloc[0]
    assert reason.startswith("held on: a stated halt lies within what is read")
    assert [text.split(". ")[0] for text in held_on_notices(rounds[-1].round)] == [
        f"Held on after a halt that a forecast still reads: {name}"
    ]
    with open_history(strategy()) as history:
        halted = [_halted_symbols(history, done.round) for done in rounds]
    assert halted == [[], [name], [name], [name], []]
