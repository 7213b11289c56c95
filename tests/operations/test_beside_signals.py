"""Novelty, groups and ranges through a whole home: a market whose sectors and strange days are known."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations import exported_tables
from nn_assets.operations.days import play_days
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay, facts_apart
from nn_assets.operations.decisions.rounds import DecidedSession
from nn_assets.operations.history import open_history
from nn_assets.operations.models.groups import groups_of
from nn_assets.operations.models.novelty import confidence_shares
from nn_assets.operations.ranges import ranges_text
from nn_assets.operations.situation import headline_now
from nn_assets.operations.study_page import keep_study
from nn_assets.portfolio.decide import decide
from nn_assets.portfolio.trace import steps_frame
from nn_assets.signals.ranges import suggest_ranges
from nn_assets.simulator.markets import MarketShape, SimulatedMarket, simulate_market
from nn_assets.store.home import reports_root
from tests.operations import homes
from tests.operations.homes import RUN
from tests.orchestration.conftest import FIRST_LIVE, LAST, living_in, strategy_of, write_strategy
from tests.shared_homes import built_once

pytestmark = [pytest.mark.slow, pytest.mark.full]

SESSIONS = list(sessions_between("XNYS", FIRST_LIVE, LAST))
STRANGE_DAY, STRANGE_ROW = SESSIONS[3], (SESSIONS[1], "SIM04")
MONTHS = homes.months_between("2017-01", "2017-06")
NAMES = 10
ASKED: dict[str, dict[str, object]] = {"novelty": {"unlike_days_a_year": 1.0}, "ranges": {"window_sessions": 100}}
LIMIT = 0.12


def market() -> SimulatedMarket:
    """Ten names whose five sectors show."""
    sessions = sessions_between("XNYS", "2016-01-04", LAST)
    return simulate_market(NAMES, sessions, 5, 0.3, 0.95, MarketShape(sector_volatility=0.012))


def planted(bars: pd.DataFrame) -> pd.DataFrame:
    """Volume 24 times the usual on one name's session, and on the strange day on every name's."""
    strange = (bars["session"] == STRANGE_DAY) | (
        (bars["session"] == STRANGE_ROW[0]) & (bars["symbol"] == STRANGE_ROW[1])
    )
    return bars.assign(volume=np.where(strange, bars["volume"] * 24.0, bars["volume"]))


def settle(home: Path, **asked: object) -> None:
    portfolio = {"construction": "programme", "net_limit": 0.0, "sector_limit": LIMIT, "groups": "behaviour"}
    write_strategy(
        home,
        source={"kind": "files", "path": str(home / "bars.csv"), "seed": None, "planted_rank_ic": None},
        market={"symbols": [f"SIM{number:02d}" for number in range(1, NAMES + 1)]},
        features={"names": ["log_return_1", "log_return_5", "close_location", "volume_z_20", "range_over_close"]},
        label={"kind": "direction_relative"},
        portfolio=portfolio,
        **asked,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that asks for all three, studied until it goes live."""

    def build(home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        planted(market().bars).to_csv(home / "bars.csv", index=False)
        settle(home, **ASKED)
        with living_in(home):
            homes.take_in(strategy_of())
            homes.train(strategy_of(), MONTHS)

    return built_once("beside-signals", tmp_path_factory, build)


@pytest.fixture
def home(studied: Path, tmp_path: Path) -> Iterator[Path]:
    copied = Path(shutil.copytree(studied, tmp_path / "home"))
    settle(copied, **ASKED)
    with living_in(copied):
        yield copied


def lived() -> list[DecidedSession]:
    """The live sessions played as the daily run plays them, pages and alerts with them."""
    with open_history(strategy_of()) as history:
        return [decided for decided, _ in play_days(history, SESSIONS, RUN, logging.getLogger("test"))]


def test_strange_rows_and_days_are_seen_shrunk_and_told(home: Path) -> None:
    decisions = {decided.round.session: decided for decided in lived()}
    alerts = [json.loads(line) for line in (home / "alerts.jsonl").read_text("utf-8").splitlines()]
    unlike = [alert for alert in alerts if alert["alert_id"].startswith("unlike:")]
    assert [alert["session"] for alert in unlike] == [str(STRANGE_DAY.date())]
    assert "an unlike day" in unlike[0]["cause"]
    with open_history(strategy_of()) as history:
        details = history.stores.ledger.read("decisions", "tiny", SESSIONS[0], SESSIONS[-1])
        by_session = dict(zip(details["session"], details["details"], strict=True))
        assert by_session[STRANGE_DAY]["novelty"]["unlike_day"]
        assert by_session[STRANGE_DAY]["novelty"]["unlike"] >= NAMES // 2
        assert STRANGE_ROW[1] in by_session[STRANGE_ROW[0]]["novelty"]["symbols"]
        assert decisions_repeat_in_replay(history) == (len(SESSIONS), [])
    page = (reports_root() / f"tiny-{STRANGE_DAY.date()}.html").read_text("utf-8")
    assert page.index("an unlike day") < page.index("Equity")
    assert "an unlike day" not in (reports_root() / f"tiny-{SESSIONS[0].date()}.html").read_text("utf-8")
    on_the_day = decisions[STRANGE_DAY].round.signals
    assert np.nanmedian(on_the_day.confidence) < 0.6
    ordinary = [np.nanmedian(decisions[session].round.signals.confidence) for session in SESSIONS[:3]]
    assert min(ordinary) > 0.6


def test_the_target_of_a_strange_row_is_smaller_for_it(home: Path) -> None:
    session, symbol = STRANGE_ROW
    done = {decided.round.session: decided.round for decided in homes.decide(strategy_of(), SESSIONS[:2])}[session]
    decision, index = done.decision, done.signals.symbols.index(symbol)
    with open_history(strategy_of()) as history:
        row, model_id = history.row(session), history.view(session).model_id
        (shares,) = confidence_shares(history, range(row, row + 1), [model_id], history.symbols)
    assert shares[index] < 0.5
    assert np.median(shares) == 1.0
    np.testing.assert_array_equal(decision.inputs.novelty, shares)
    sure = replace(decision.inputs, confidence=decision.inputs.confidence / shares, novelty=1.0)
    without = decide(sure, decision.settings, decision.answer.costs)
    assert decision.expected_return is not None
    assert without.expected_return is not None
    left = decision.expected_return[index] / without.expected_return[index]
    assert 0.0 < left <= 1.5 * shares[index]  # on its own side, though the label is relative to the other names
    assert np.nansum(decision.expected_return) == pytest.approx(0.0, abs=1e-12)
    none = np.zeros(NAMES)  # from a flat book, for what is held may stay where it is
    sizes = []
    for factor in (1.0, 0.5, shares[index], 0.0):
        novelty = np.where(np.arange(NAMES) == index, factor, shares)
        flat = replace(
            decision.inputs,
            confidence=decision.inputs.confidence / shares * novelty,
            novelty=novelty,
            current_quantity=none,
            unscaled_quantity=none,
        )
        sizes.append(float(decide(flat, decision.settings, decision.answer.costs).target_weight[index]))
    assert abs(sizes[0]) > 0.05
    assert (np.array(sizes) * sizes[0] >= 0.0).all()
    assert (np.diff(np.abs(sizes)) <= 0.0).all()
    assert abs(sizes[2]) <= 1.001 * shares[index] * decision.settings.single_name_limit
    assert sizes[-1] == 0.0
    carried = decision.inputs.current_quantity[index]
    assert 0.0 <= decision.target_quantity[index] / carried <= 1.0
    reasons = steps_frame(decision).query("symbol == @symbol")["reason"]
    assert reasons.str.contains(f"at a novelty factor of {shares[index]:.3f}", regex=False).any()


def test_the_study_and_the_live_round_know_the_same(home: Path) -> None:
    study = homes.study_stored(strategy_of(), MONTHS).study
    replayed = {done.session: done for done in study.replays["network"].rounds}
    for live in homes.decide(strategy_of(), SESSIONS):
        done, there = live.round, replayed[live.round.session]
        assert facts_apart(done, there) == []
        np.testing.assert_array_equal(done.signals.confidence, there.signals.confidence)
        assert done.decision.inputs.groups == there.decision.inputs.groups


def test_groups_are_the_sectors_and_none_holds_more_than_the_limit(home: Path) -> None:
    made = market()
    result = homes.study_stored(strategy_of(), MONTHS)
    gross = []
    for done in result.study.replays["network"].rounds:
        groups = done.decision.inputs.groups
        assert groups is not None
        weights = np.abs(done.decision.target_weight)
        for name in set(groups) - {""}:
            of_group = np.array([group == name for group in groups])
            gross.append(float(weights[of_group].sum()))
    assert max(gross) <= LIMIT + 1e-6
    assert np.mean(np.array(gross) > 0.9 * LIMIT) > 0.05  # it binds
    with open_history(strategy_of()) as history:
        groups_found = groups_of(history, history.view().market_history, history.view().model_id)
        by_sector = {made.sectors[name]: set[str]() for name in made.symbols}
        for name, group in zip(groups_found.symbols, groups_found.names, strict=True):
            by_sector[made.sectors[name]].add(group)
        assert sum(len(names) == 1 for names in by_sector.values()) >= 4
        keep_study(history, result, {})
    assert any("Groups by behaviour" in file.read_text("utf-8") for file in home.rglob("*.json"))


def test_ranges_are_exported_as_of_any_session_and_stand_on_the_page(home: Path) -> None:
    lived()
    last = SESSIONS[-1]
    with open_history(strategy_of()) as history:
        frame = exported_tables.read_exported(history, "ranges", None, None, None)
        assert frame["symbol"].tolist() == [f"SIM{number:02d}" for number in range(1, NAMES + 1)]
        assert set(frame["session"]) == {last}
        earlier = exported_tables.read_exported(
            history, "ranges", None, None, pd.Timestamp("2017-06-26 23:00", tz="UTC")
        )
        assert set(earlier["session"]) == {pd.Timestamp("2017-06-26")}
        assert str(headline_now(history))
    assert "Suggested for grids" in (reports_root() / f"tiny-{last.date()}.html").read_text("utf-8")
    assert ranges_text(
        suggest_ranges(("A",), np.zeros((1, 1)), np.ones(1), np.ones(1), np.ones(1), strategy_of().ranges)  # type: ignore[arg-type]
    ) == "ranges: none of 1 prices reverts to a level"  # fmt: skip
