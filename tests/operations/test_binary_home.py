"""A home that lives through an event market: files, models, live rounds, settlements, pages; nothing of the future."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.special import ndtr

from nn_assets.contracts import DELIVERED_ACTIONS, conform
from nn_assets.errors import SourceError
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay
from nn_assets.operations.decisions.round_checks import check_sessions
from nn_assets.operations.decisions.rounds import DecidedSession
from nn_assets.operations.history import open_history
from nn_assets.operations.intake.actions import _refuse_several_winners, _refuse_those_of_another_market
from nn_assets.operations.session_page import write_daily_page
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger
from tests.operations import homes
from tests.orchestration.conftest import living_in

SESSIONS = sessions_between("24/7", "2019-09-01", "2020-12-31")
LIFE, EVERY = 70, 4  # sessions that a contract is quoted, and between the first ones of two
LIVE, FLIPPED, LAST = "2020-12-12", "2020-12-20", "2020-12-24"
HEADER = "symbol,ex_session,kind,value"
CAUSES = ("target_positions", "orders", "fills", "holdings")
SETTINGS = {
    "name": "events",
    "source": {"kind": "files", "path": "bars.csv", "actions_path": "actions.csv"},
    "market": {
        "calendar": "24/7",
        "asset_class": "binary",
        "history_starts": "2019-09-01",
        "history_ends": "2020-12-31",
        "live_starts": LIVE,
    },
    "features": {"names": ["log_odds", "log_return_1"], "panel_pass_share": 0.0},
    "label": {"kind": "settlement", "horizon_sessions": 10, "execution": "next_open"},
    "learning": {
        "network": "mlp", "lookback": 2, "hidden": 4, "layers": 1, "ensemble": 2, "maximum_epochs": 20,
        "learning_rate": 0.02, "processes": 1,
    },
    "walk_forward": {
        "training_months": 5, "validation_months": 1, "calibration_months": 1, "refit_every_months": 6,
        "minimum_training_rows": 200,
    },
    "portfolio": {"minimum_outcomes": 5, "correlation_sessions": 20, "adv_limit_fraction": 1.0},
    "costs": {"contract_fee_fraction": 0.02},
    "trade_without_verdict": True,
}  # fmt: skip


def event_files(folder: Path, *, other_from: str | None = None) -> tuple[str, ...]:
    """Bars and settlements of contracts whose favourites are priced too low; the symbols.

    From a session on, where one is named, every price and every settlement is another.
    """
    draw, frames, actions = np.random.default_rng(3), [], [HEADER]
    for number, first in enumerate(range(0, len(SESSIONS), EVERY)):
        days, name = SESSIONS[first : first + LIFE], f"E{number:03d}"
        path = np.cumsum(draw.normal(size=LIFE + 1))
        true = ndtr(path[:LIFE] / np.sqrt(LIFE + 1.0 - np.arange(1, LIFE + 1)))
        close = np.clip(0.5 + 0.6 * (true - 0.5), 0.02, 0.98)[: len(days)]
        if other_from is not None:
            close = np.where(days >= pd.Timestamp(other_from), 1.0 - close**2, close)
        start = np.concatenate([close[:1], close[:-1]])
        high, low, volume = np.maximum(start, close), np.minimum(start, close), 1e7 * draw.uniform(0.8, 1.2, len(days))
        frames.append(
            pd.DataFrame({"symbol": name, "session": days, "open": start, "high": high, "low": low, "close": close})
            .assign(volume=volume)
        )  # fmt: skip
        if first + LIFE < len(SESSIONS):
            settles, outcome = SESSIONS[first + LIFE], path[LIFE] > 0.0
            outcome ^= other_from is not None and settles >= pd.Timestamp(other_from)
            actions.append(f"{name},{settles.date()},settlement,{int(outcome)}")
    bars = pd.concat(frames)
    bars.to_csv(folder / "bars.csv", index=False)
    (folder / "actions.csv").write_text("\n".join(actions) + "\n", encoding="utf-8")
    return tuple(sorted(bars["symbol"].unique()))


def strategy_in(home: Path, *, other_from: str | None = None, **market: object) -> Strategy:
    folder = home / "strategies"
    folder.mkdir(parents=True, exist_ok=True)
    symbols = event_files(folder, other_from=other_from)
    settings = {**SETTINGS, "market": {**SETTINGS["market"], "symbols": list(symbols), **market}}
    (folder / "events.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return find_strategy("events").strategy


def lived(strategy: Strategy, last: str = LAST) -> list[DecidedSession]:
    homes.take_in(strategy)
    homes.train(strategy, homes.months_between("2020-08", "2020-12"))  # the record that a size needs
    with open_history(strategy) as history:
        sessions = homes.live_until(history, last)
    return homes.decide(strategy, sessions)


@pytest.mark.full
def test_live_rounds_bet_hold_settle_and_say_so(tmp_path: Path) -> None:
    with living_in(tmp_path):
        strategy = strategy_in(tmp_path)
        decided = lived(strategy)
        assert all(judged.held is not False for judged in check_sessions(decided, strategy.portfolio))
        settled = [(done.round.session, one) for done in decided for one in done.round.settled]
        assert len(settled) >= 2
        with open_history(strategy) as history:
            for done in decided:
                if done.round.settled:
                    page = write_daily_page(history, done.round, done.frames, done.provenance, None).read_text("utf-8")
                    (one, *_) = done.round.settled
                    assert f"Settled before this session&#39;s first fill: {one.symbol} at {one.value:g}" in page
        for done in decided:
            book = done.round.session_state.book
            assert np.isnan(book.stop_price).all()
            assert book.cash_usd + np.minimum(book.quantity, 0.0).sum() > 0.0
            stakes = done.frames["target_positions"]["target_weight"].abs()
            assert stakes.max() <= 0.02 + 1e-9
            assert stakes.sum() <= 0.10 + 1e-9
        with open_history(strategy) as history:
            assert decisions_repeat_in_replay(history) == (len(decided), [])
        # A settlement restated after its session was decided pays the other way round at the next one.
        (session, one), file = settled[-1], tmp_path / "strategies" / "actions.csv"
        line = f"{one.symbol},{session.date()},settlement,"
        text = file.read_text(encoding="utf-8").replace(f"{line}{one.value:g}", f"{line}{1.0 - one.value:g}")
        rows = [f"{row}," for row in text.splitlines()[1:]]
        rows = [f"{row}2020-12-25T12:00:00Z" if row.startswith(line) else row for row in rows]
        file.write_text("\n".join([f"{HEADER},known_at", *rows]) + "\n", encoding="utf-8")
        homes.take_in(strategy)
        before = decided[-1].round.session_state.book
        (mended,) = homes.decide(strategy, [pd.Timestamp("2020-12-25")])
        book = mended.round.session_state.book
        paid = book.session_delistings_usd - sum(value.quantity * value.value for value in mended.round.settled)
        assert paid == pytest.approx(one.quantity * (1.0 - 2.0 * one.value))
        assert book.quantity[before.symbols.index(one.symbol)] == 0.0


@pytest.mark.full
def test_no_price_and_no_settlement_of_later_changes_what_was_decided(tmp_path: Path) -> None:
    kept: list[dict[str, pd.DataFrame]] = []
    for number, other_from in enumerate((None, FLIPPED)):
        home = tmp_path / str(number)
        with living_in(home):
            lived(strategy_in(home, other_from=other_from), "2020-12-19")
            with Ledger() as ledger:
                kept.append({table: ledger.read(table, "events") for table in CAUSES})
        shutil.rmtree(home)
    for table in CAUSES:
        assert len(kept[0][table])
        columns = [name for name in kept[0][table] if "hash" not in name and "version" not in name and name != "run_id"]
        pd.testing.assert_frame_equal(kept[0][table][columns], kept[1][table][columns])


@pytest.mark.parametrize(("kind", "asset_class"), [("split", "binary"), ("settlement", None), ("delisting", "binary")])
def test_an_action_of_another_market_is_refused_by_name(kind: str, asset_class: str | None) -> None:
    market = {"history_starts": "2020-01-01", "asset_class": asset_class}
    label = {"kind": "direction" if asset_class is None else "settlement"}
    strategy = Strategy.model_validate({"name": "events", "market": market, "label": label})
    action = {"symbol": ["E000"], "ex_session": [pd.Timestamp("2020-03-11")], "kind": [kind], "value": [1.0]}
    with pytest.raises(SourceError, match=f"E000 2020-03-11 {kind}") as refused:
        _refuse_those_of_another_market(strategy, conform(pd.DataFrame(action).assign(source="s"), DELIVERED_ACTIONS))
    assert "market.asset_class" in str(refused.value)


def test_two_outcomes_of_one_event_that_both_came_out_are_refused_by_name() -> None:
    contracts = {"CUT": {"event": "FED"}, "HOLD": {"event": "FED"}, "RAIN": {}}
    market = {"history_starts": "2020-01-01", "asset_class": "binary", "contracts": contracts}
    strategy = Strategy.model_validate({"name": "events", "market": market, "label": {"kind": "settlement"}})
    table = {"symbol": ["CUT", "HOLD", "RAIN"], "ex_session": [pd.Timestamp("2020-03-11")] * 3, "kind": "settlement"}
    both = conform(pd.DataFrame(table).assign(value=1.0, source="s"), DELIVERED_ACTIONS)
    with pytest.raises(SourceError, match="settlements at 1 of CUT, HOLD"):
        _refuse_several_winners(strategy, both)
    _refuse_several_winners(strategy, both.assign(value=[1.0, 0.0, 1.0]))
