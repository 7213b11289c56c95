"""A strategy that changes while it is live: symbols come and go from a session on, its stages stay where they were."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml

from nn_assets.cli import check, status
from nn_assets.cli.controls import set_kill_switch
from nn_assets.cli.export import export_table
from nn_assets.cli.runs import run_rounds, run_study
from nn_assets.cli.status import report
from nn_assets.errors import ClockError, ControlError, DecisionError, ModelError, PublicationError, SettingsError
from nn_assets.learning.first_month import first_model_month
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.facts.bars import known_after
from nn_assets.operations import edited as edits
from nn_assets.operations import run_faults
from nn_assets.operations.asof.controls import kill_switch_now
from nn_assets.operations.asof.models import models_in_force
from nn_assets.operations.asof.refreshes import left_before_live
from nn_assets.operations.asof.traces import STEPS, read_steps
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.clock import last_open_session
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay, signals_repeat_forecasts
from nn_assets.operations.decisions.rederivation import Rederived, rederive_decisions
from nn_assets.operations.edited import stage_fault
from nn_assets.operations.facts import StoredFacts
from nn_assets.operations.failures import LOST, end_message
from nn_assets.operations.history import open_history
from nn_assets.operations.models import preparation
from nn_assets.operations.models.forecasts import read_forecast_list
from nn_assets.operations.models.outdated import months_in_doubt
from nn_assets.operations.next_command import next_command
from nn_assets.operations.outcomes import FAILED, Run, record_end, record_start
from nn_assets.operations.report_index import session_summaries
from nn_assets.operations.session_page import write_daily_page
from nn_assets.operations.study import StudyResult
from nn_assets.orchestration.partitions import month_partitions
from nn_assets.settings import PortfolioSettings
from nn_assets.settings.data_sections import IntradaySettings
from nn_assets.sources.simulated import SimulatedSource
from nn_assets.store.lake.lake import Lake
from nn_assets.store.ledger.ledger import Ledger
from tests.first_lines import in_one_sentence
from tests.matrices import often
from tests.operations import homes
from tests.operations.test_wrong_clock import at
from tests.orchestration.conftest import NAME, TINY, living_in, strategy_of, write_strategy
from tests.shared_homes import nothing_drawn

EVERYONE = tuple(f"SIM{number:02d}" for number in range(1, 9))
SYMBOLS = EVERYONE[:6]
FIRST, SECOND, THIRD, FOURTH, FIFTH = (pd.Timestamp(f"2017-06-{day}") for day in (21, 22, 23, 26, 27))
STARTS = "2016-03-01"
SPAN = {"history_starts": STARTS, "history_ends": "2017-06-26"}
MONTHS = homes.months_between("2017-03", "2017-06")  # from the first that can have a model
SOURCE = {**dict.fromkeys(TINY["source"]), "kind": "files", "path": "bars.csv"}


def state_strategy(home: Path, symbols: tuple[str, ...] = SYMBOLS, **market: object) -> None:
    write_strategy(home, source=SOURCE, market={"symbols": list(symbols), **SPAN, **market})


@pytest.fixture(scope="module")
def decided_until_the_second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of six symbols with two sessions decided; its file of bars has two more symbols."""
    home = tmp_path_factory.mktemp("edited")
    state_strategy(home)
    source = SimulatedSource("XNYS", pd.Timestamp(STARTS).date(), seed=5, planted_rank_ic=0.4)
    bars = source.bars(EVERYONE, None, FIFTH).drop(columns=["source", "known_at"], errors="ignore")
    bars.to_csv(home / "strategies" / "bars.csv", index=False)
    with living_in(home), nothing_drawn():
        homes.take_in(strategy_of())
        homes.train(strategy_of(), MONTHS)
        homes.decide(strategy_of(), [FIRST, SECOND])
    return home


@pytest.fixture(scope="module")
def studied_after_the_second(
    decided_until_the_second: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, StudyResult]:
    """That home after a study up to May, and what the study found."""
    home = Path(shutil.copytree(decided_until_the_second, tmp_path_factory.mktemp("studied") / "home"))
    with living_in(home), nothing_drawn():
        return home, homes.study_stored(strategy_of(), ["2017-05"])


@pytest.fixture
def home(decided_until_the_second: Path, tmp_path: Path) -> Iterator[Path]:
    copy = tmp_path / "home"
    shutil.copytree(decided_until_the_second, copy)
    with living_in(copy):
        yield copy


@pytest.fixture
def studied_home(studied_after_the_second: tuple[Path, StudyResult], tmp_path: Path) -> Iterator[Path]:
    copy = tmp_path / "home"
    shutil.copytree(studied_after_the_second[0], copy)
    with living_in(copy):
        yield copy


def recorded(table: str, session: pd.Timestamp) -> pd.DataFrame:
    with Ledger() as ledger:
        if table == STEPS:
            return read_steps(Lake(), ledger, NAME, session, session)
        return ledger.read(table, NAME, session, session)


def bound(session: pd.Timestamp) -> set[str]:
    """Symbols that a session left held or on order."""
    holdings, orders = recorded("holdings", session), recorded("orders", session)
    return {*holdings.loc[holdings["quantity"] != 0.0, "symbol"], *orders.loc[orders["status"] != "denied", "symbol"]}


@pytest.mark.full
def test_symbols_join_leave_and_change_places_from_a_session_on(home: Path) -> None:
    flat = sorted(set(SYMBOLS) - bound(SECOND))
    assert flat, "one that may leave"
    assert bound(SECOND), "and some that may not"
    after = (EVERYONE[6], *(symbol for symbol in reversed(SYMBOLS) if symbol != flat[0]))
    before = recorded("holdings", SECOND).set_index("symbol")["quantity"]
    state_strategy(home, after)
    headline = in_one_sentence(report(NAME)["strategies"][NAME]["headline"])
    assert "no bar" not in headline  # whoever joined was not decided without
    assert f"nn-assets run --strategy {NAME}" in headline  # and who left had nothing to be closed
    homes.take_in(strategy_of())
    (third,) = homes.decide(strategy_of(), [THIRD])
    assert third.round.session_state.book.symbols == after
    assert recorded("decisions", THIRD)["details"].iloc[0]["symbols"] == {"joined": [EVERYONE[6]], "left": [flat[0]]}
    # Whoever stayed was carried over: what is held now is what was held, and what was filled since.
    fills = recorded("fills", THIRD).groupby("symbol")["quantity"].sum()
    held = recorded("holdings", THIRD).set_index("symbol")["quantity"]
    for symbol in set(after) - {EVERYONE[6]}:
        assert held[symbol] == pytest.approx(before[symbol] + fills.get(symbol, 0.0))
    assert held[EVERYONE[6]] == 0.0
    # No model knows who joined: it has no forecast yet, and the others have theirs.
    signals = recorded("signals", THIRD).set_index("symbol")["probability"]
    assert set(signals[signals.notna()].index) == set(after) - {EVERYONE[6]}
    assert f"{EVERYONE[6]} has no signal: " in in_one_sentence(report(NAME)["strategies"][NAME]["headline"])
    # The month's models may be fitted again: what was decided stands.
    homes.train(strategy_of(), ["2017-06"])
    homes.decide(strategy_of(), [FOURTH])
    assert recorded("signals", FOURTH).set_index("symbol")["probability"].notna().all()
    assert "symbols" not in recorded("decisions", FOURTH)["details"].iloc[0]
    with open_history(strategy_of()) as history:
        assert decisions_repeat_in_replay(history) == (2, [])
        compared, differing = signals_repeat_forecasts(history)
    assert compared
    assert differing == []
    with pytest.raises(DecisionError, match="decided with: SIM01") as refused:
        homes.decide(strategy_of(), [SECOND])
    assert "key market.symbols" in str(refused.value)


def deliver(home: Path, symbol: str, known_at: Callable[[pd.DatetimeIndex], pd.DatetimeIndex]) -> None:
    """Deliver the file again, with moments of one symbol's bars in a column of their own."""
    file = home / "strategies" / "bars.csv"
    bars = pd.read_csv(file)
    moments = known_at(pd.DatetimeIndex(bars["session"])).astype(str)
    bars.assign(known_at=moments.where(bars["symbol"] == symbol, "")).to_csv(file, index=False)


def in_their_own_time(sessions: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Half an hour after each close, as of bars whose files state nothing."""
    return known_after("XNYS", sessions, 30)


@pytest.mark.full
def test_a_symbol_that_its_late_bars_silence_is_in_the_first_line_until_they_are_known(home: Path) -> None:
    joined = EVERYONE[6]
    state_strategy(home, (*SYMBOLS, joined))
    homes.take_in(strategy_of())
    assert "has no signal" not in report(NAME)["text"]  # nothing was decided with it
    homes.train(strategy_of(), ["2017-06"])  # by a model that knows it
    (third,) = homes.decide(strategy_of(), [THIRD])
    line = in_one_sentence(report(NAME)["strategies"][NAME]["headline"])
    # Twenty returns make its volatility: the bar of the day came in time, and 20 came later.
    assert f"; {joined} has no signal: 20 of the bars that it would read became known only after the decisions" in line
    assert "; without them none before 2017-07-24; " in line  # the 4th of July is none
    remedy = "if those bars were known in time, deliver them again with a column known_at that says when each was"
    assert f"A person is needed: {remedy}; nn-assets run" in line
    with open_history(strategy_of()) as history:
        page = write_daily_page(history, third.round, third.frames, third.provenance, None).read_text(encoding="utf-8")
    assert f"{joined} has no signal: 20 of the bars" in page
    deliver(home, joined, in_their_own_time)
    homes.take_in(strategy_of())
    homes.decide(strategy_of(), [FOURTH])
    assert joined in set(recorded("signals", FOURTH)["symbol"])
    assert "has no signal" not in in_one_sentence(report(NAME)["text"])
    with open_history(strategy_of()) as history:
        assert decisions_repeat_in_replay(history) == (2, [])


@pytest.mark.full
@pytest.mark.parametrize(("first", "in_time"), [("2017-05-26", 20), ("2017-05-25", 21)])
def test_until_when_late_bars_silence_a_symbol_is_when_enough_are_known_in_time(
    home: Path, first: str, in_time: int
) -> None:
    joined = EVERYONE[6]
    state_strategy(home, (*SYMBOLS, joined))
    assert len(sessions_between("XNYS", first, THIRD)) == in_time
    later = pd.Timestamp("2018-01-02", tz="UTC")
    deliver(home, joined, lambda sessions: in_their_own_time(sessions).where(sessions >= first, later))
    homes.take_in(strategy_of())
    homes.train(strategy_of(), ["2017-06"])  # by a model that knows it
    homes.decide(strategy_of(), [THIRD])
    why = recorded("position_steps", THIRD).set_index("symbol").loc[joined, "reason"].iloc[0]
    assert ("is nan" in why) == (in_time == 20)


@pytest.mark.full
def test_bars_that_the_next_session_reads_need_nobody(home: Path) -> None:
    joined = EVERYONE[6]
    state_strategy(home, (*SYMBOLS, joined))
    after = pd.Timestamp("2017-06-23 22:00", tz="UTC")  # of Friday's decision, and before Monday's
    deliver(home, joined, lambda sessions: in_their_own_time(sessions).where(sessions > THIRD, after))
    homes.take_in(strategy_of())
    homes.train(strategy_of(), ["2017-06"])  # by a model that knows it
    homes.decide(strategy_of(), [THIRD])
    headline = in_one_sentence(report(NAME)["strategies"][NAME]["headline"])
    assert f"{joined} has no bar" in headline or f"{joined} has no signal" in headline
    assert "known_at" not in headline
    homes.decide(strategy_of(), [FOURTH])
    assert joined in set(recorded("signals", FOURTH)["symbol"])
    assert "has no signal" not in in_one_sentence(report(NAME)["text"])


@pytest.mark.full
def test_a_symbol_that_is_bound_stays_until_it_is_closed(home: Path) -> None:
    one = min(bound(SECOND))
    state_strategy(home, tuple(symbol for symbol in SYMBOLS if symbol != one))
    homes.take_in(strategy_of())
    with pytest.raises(DecisionError, match=f"expected {one} among the symbols") as refused:
        homes.decide(strategy_of(), [THIRD])
    assert f"put {one} back" in refused.value.remedy
    headline = in_one_sentence(report(NAME)["strategies"][NAME]["headline"])
    assert headline.startswith(f"{NAME} HALTED: market.symbols without {one}; expected {one} among the symbols")
    assert f"put {one} back" in headline
    assert "nn-assets run" not in headline
    with open_history(strategy_of()) as history:
        assert next_command(history).startswith(f"put {one} back")
    assert not report(NAME)["ok"]  # HALTED
    with pytest.raises(DecisionError) as before_the_work:
        run_rounds(NAME, None)
    assert str(before_the_work.value) == str(refused.value)
    # A round of a schedule failed of it all the same: that is no second sentence.
    failed = Run("failed", NAME, "daily", str(THIRD.date()), str(THIRD.date()), pd.Timestamp("2026-01-05", tz="UTC"))
    with Ledger() as ledger:
        message = f"DecisionError: {refused.value}"
        assert record_start(ledger, failed)
        assert record_end(ledger, failed, FAILED, pd.Timestamp("2026-01-06", tz="UTC"), message=message)
    assert in_one_sentence(report(NAME)["strategies"][NAME]["headline"]) == headline
    # The remedy: put back, until a round that leaves it neither held nor on order; then it may be taken off.
    state_strategy(home)
    put_back = in_one_sentence(report(NAME)["strategies"][NAME]["headline"])
    assert "nn-assets run" in put_back
    homes.take_in(strategy_of())
    homes.decide(strategy_of(), [THIRD])
    assert one not in bound(THIRD)
    state_strategy(home, tuple(symbol for symbol in SYMBOLS if symbol != one))
    homes.take_in(strategy_of())
    homes.decide(strategy_of(), [FOURTH])


CONTRADICTIONS = [
    ("history_starts", "2016-02-01", STARTS),
    ("history_starts", "2016-05-02", STARTS),
    ("live_starts", "2017-06-14", "2017-06-21"),
    ("live_starts", "2017-06-22", "2017-06-21"),
    ("history_ends", "2017-06-23", "2017-06-26 or later"),
    ("vault_starts", "2017-06-26", "a day after 2017-06-26"),
    ("vault_starts", "2017-06-22", "a day after 2017-06-26"),  # the last session decided may not be seen
]


@pytest.mark.full
def test_a_stage_that_contradicts_what_was_done_is_refused_by_its_name(home: Path) -> None:
    """One after the other in one home: what is refused leaves nothing behind."""
    acts: tuple[Callable[[], object], ...] = (
        lambda: homes.take_in(strategy_of()),
        lambda: homes.decide(strategy_of(), [THIRD]),
    )
    for key, value, remedy in CONTRADICTIONS:
        state_strategy(home, **({key: value} | ({"history_ends": None} if key == "vault_starts" else {})))
        for act in acts:
            with pytest.raises(SettingsError) as refused:
                act()
            assert refused.value.where["key"] == f"market.{key}"
            assert value in refused.value.found
            assert remedy in refused.value.remedy
        text = report(NAME)["text"]
        assert f"market.{key} {value}" in text
        first_line = in_one_sentence(text)
        assert first_line.startswith(f"{NAME} HALTED: market.{key} {value}")
        assert remedy in first_line
        assert "nn-assets run" not in first_line
    state_strategy(home)
    homes.decide(strategy_of(), [THIRD])


def edited(home: Path, section: str, **keys: object) -> None:
    """Change keys of a section of the strategy's file; one given as None is taken out."""
    file = home / "strategies" / f"{NAME}.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings[section] = {key: value for key, value in {**settings[section], **keys}.items() if value is not None}
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")


@pytest.mark.parametrize(
    "calendar", ["XLON", pytest.param("24/7", marks=pytest.mark.full)]
)  # one lacks days that the other trades on, or has them all
def test_another_calendar_is_refused_by_its_own_name_before_any_work(home: Path, calendar: str) -> None:
    edited(home, "market", calendar="NYSE")  # another name of XNYS
    homes.decide(strategy_of(), [THIRD])
    edited(home, "market", calendar=calendar)
    headline = in_one_sentence(report(NAME)["strategies"][NAME]["headline"])
    assert headline.startswith(f"{NAME} HALTED: market.calendar {calendar}; expected market.calendar NYSE, under")
    assert "set it back to NYSE; for another market or other bars, give the strategy another name" in headline
    assert "nn-assets" not in headline
    acts: tuple[Callable[[], object], ...] = (
        lambda: run_rounds(NAME, None),
        lambda: run_study(NAME, None, None, None),
        lambda: homes.take_in(strategy_of()),
        lambda: homes.decide(strategy_of(), [FOURTH]),
    )
    for act in acts:
        with pytest.raises(SettingsError, match=f"expected market.calendar NYSE, .*; found market.calendar {calendar}"):
            act()
    edited(home, "market", calendar="XNYS")  # the remedy
    homes.decide(strategy_of(), [FOURTH])


def test_a_calendar_that_nobody_knows_any_more_locks_no_strategy_out(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name can be put back no more."""
    monkeypatch.setattr(edits, "settings_of_decision", lambda *_: {"market": {"calendar": "GONE"}})
    assert "HALTED" not in in_one_sentence(report(NAME)["strategies"][NAME]["headline"])
    homes.decide(strategy_of(), [THIRD])


def test_bars_of_another_kind_are_refused_by_the_key_that_says_so(home: Path) -> None:
    """They would restate every bar that was decided on; the strategy of another name takes them."""

    def refused() -> str:
        with open_history(strategy_of()) as history:
            return str(stage_fault(history) or "")

    closes = {"closes_only": True}
    edited(home, "source", **closes)
    file = home / "strategies" / f"{NAME}.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings |= {"label": {"execution": "next_close"}, "cleaning": {"traded_with_volume": False}}
    settings["portfolio"] = {"proxy_adv_usd": 1e7}
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert "expected source.closes_only false, under which 2 sessions" in refused()
    assert "set it back to false" in refused()
    state_strategy(home)
    assert refused() == ""


@pytest.mark.parametrize(
    ("then", "now", "key", "remedy"),
    [
        ({}, {"bar_minutes": 15}, "intraday.bar_minutes 30", "set it back to 30"),
        ({}, {"rolls_at": "15:00"}, "intraday.rolls_at left out", "take it out"),
        ({"rolls_at": "15:00"}, {"rolls_at": "14:00"}, "intraday.rolls_at 15:00 UTC", "set it back to 15:00 UTC"),
        ({}, {"timezone": "America/New_York"}, "", ""),  # without a roll it says nothing
        ({}, {"max_missing_bars_fraction": 0.1}, "", ""),
        ({}, None, "", ""),  # daily bars of another source
    ],
)
def test_intraday_bars_of_another_size_or_day_are_refused_by_their_key(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    then: dict[str, object],
    now: dict[str, object] | None,
    key: str,
    remedy: str,
) -> None:
    bars = {"path": "bars", "bar_minutes": 30}
    before = strategy_of()
    of_then, of_now = (
        before.model_copy(update={"intraday": None if changes is None else IntradaySettings(**{**bars, **changes})})
        for changes in (then, now)
    )
    monkeypatch.setattr(edits, "settings_of_decision", lambda *_: of_then.behaviour())
    with open_history(of_now) as history:
        fault = stage_fault(history)
    if not key:
        assert fault is None
        return
    assert isinstance(fault, SettingsError)
    assert fault.expected.startswith(f"{key}, under which 2 sessions to 2017-06-22 were decided")
    assert fault.remedy.startswith(remedy)


def test_an_end_before_the_last_decision_is_named_and_hides_no_other_strategy(home: Path) -> None:
    homes.decide(strategy_of(), [THIRD])
    write_strategy(home, "other")
    state_strategy(home, history_ends="2017-06-22")
    result = report(None)
    assert in_one_sentence(result["strategies"][NAME]["headline"]).startswith(
        f"{NAME} HALTED: market.history_ends 2017-06-22, which lets"
    )
    assert in_one_sentence(result["strategies"]["other"]["headline"]).startswith(
        "other DOES NOT TRADE: no data were taken in yet"
    )


@pytest.mark.full
def test_a_clock_that_is_behind_is_told_as_that_and_blames_no_setting(home: Path) -> None:
    """By half a day, by a month, and to before all history; whether or not a setting ends history."""
    behinds = ("2017-06-22 12:00", "2017-05-22 12:00", "2015-06-01 12:00")
    for ends, some in (("2017-06-26", behinds), (None, behinds[:1])):
        state_strategy(home, history_ends=ends)
        for behind in some:
            with at(behind):
                state = report(NAME)["strategies"][NAME]
                assert in_one_sentence(state["headline"]).startswith(
                    f"{NAME} HALTED: expected no recorded moment later than now"
                )
                for named in ("market.", "nn-assets run"):
                    assert named not in in_one_sentence(state["headline"])
                acts: tuple[Callable[[], object], ...] = (
                    lambda: homes.take_in(strategy_of()),
                    lambda: homes.decide(strategy_of(), [THIRD]),
                    lambda: run_rounds(NAME, None),
                    lambda: check.check_data(NAME),
                    lambda: run_study(NAME, None, None, None),
                )
                for act in acts:
                    with pytest.raises(ClockError, match="if the clock is behind, set it right"):
                        act()
    state_strategy(home)
    homes.decide(strategy_of(), [THIRD])  # the clock set right


def test_a_lag_that_hides_what_was_seen_is_told_as_that(home: Path) -> None:
    behind = pd.Timestamp("2017-06-22 12:00", tz="UTC")
    with open_history(strategy_of()) as history:
        seen = StoredFacts(history.stores, strategy_of(), last_open_session(strategy_of().market, behind))
        fault = stage_fault(seen)  # where no moment lies ahead of the clock
    assert isinstance(fault, SettingsError)
    assert fault.where["key"] == "market.known_at_lag_minutes"


@pytest.mark.parametrize("day", often([FIRST, SECOND], SECOND))
def test_a_decided_session_that_the_calendar_loses_is_told_as_that(home: Path, day: pd.Timestamp) -> None:
    """A round would ask for the sessions in between to be run first, of which there are none."""
    overrides = home / "strategies" / "calendars" / "days.yaml"
    overrides.parent.mkdir()
    overrides.write_text(f"extra_holidays: [{day.date()}]\n", encoding="utf-8")
    state_strategy(home, calendar_overrides="calendars/days.yaml")
    headline = in_one_sentence(report(NAME)["strategies"][NAME]["headline"])
    lost = f"{day.date()} is no session of market.calendar XNYS with its overrides"
    assert headline.startswith(f"{NAME} HALTED: {lost}; expected {day.date()} to be a session")
    with pytest.raises(SettingsError, match=f"expected {day.date()} to be a session") as refused:
        homes.decide(strategy_of(), [THIRD])
    assert refused.value.where["key"] == "market.calendar"
    state_strategy(home)
    homes.decide(strategy_of(), [THIRD])


def test_a_changed_record_of_a_publication_halts_its_strategy_alone_until_it_is_put_back(home: Path) -> None:
    write_strategy(home, "other")
    (record,) = (home / "lake" / NAME / "publication" / "history").glob("*.json")
    text = record.read_text(encoding="utf-8")
    record.write_text(text.replace('"rows"', '"rowz"'), encoding="utf-8")
    for asked in (NAME, None):
        result = report(asked)
        assert not result["ok"]
        state = result["strategies"][NAME]
        assert in_one_sentence(state["headline"]).startswith(
            f"{NAME} HALTED: other content than its hash says (file {record})"
        )
        assert "A person is needed: restore publication/ from a backup" in in_one_sentence(state["headline"])
        assert state["error"] == "PublicationError"
        assert state["headline"] in result["text"]
    assert "decided_to" in result["strategies"]["other"]
    record.write_text(text, encoding="utf-8")
    assert report(NAME)["ok"]


def test_a_fault_of_the_program_in_one_strategys_line_is_a_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_strategy(home, "other")
    whole = status.headline_now

    def faulty(facts: StoredFacts) -> object:
        return {}["gone"] if facts.strategy.name == NAME else whole(facts)

    monkeypatch.setattr(status, "headline_now", faulty)
    result = report(None)
    assert not result["ok"]
    assert in_one_sentence(result["strategies"][NAME]["headline"]).startswith(
        f"{NAME} HALTED: how it stands cannot be told: KeyError: 'gone'. A person is needed: report it"
    )
    assert "decided_to" in result["strategies"]["other"]
    assert "faulty" in caplog.text  # the traceback
    assert report("other")["ok"]


def test_a_file_that_cannot_be_read_is_a_line_and_hides_no_other_strategy(home: Path) -> None:
    file = home / "strategies" / "other.yaml"
    file.write_text("name: other\nmarkt: {}\n", encoding="utf-8")
    result = report(None)
    assert not result["ok"]
    assert in_one_sentence(result["strategies"]["other"]["headline"]).startswith("other HALTED: ")
    assert str(file) in in_one_sentence(result["strategies"]["other"]["headline"])
    assert "decided_to" in result["strategies"][NAME]
    assert "no command goes on" not in result["text"]
    assert report(NAME)["ok"]  # its commands and rounds go on
    assert find_strategy(NAME).strategy.name == NAME
    with pytest.raises(SettingsError, match="markt"):
        report("other")
    file.unlink()
    (home / "strategies" / f"{NAME}.yaml").rename(home / "strategies" / "sound.yaml")
    broken = home / "strategies" / f"{NAME}.yaml"
    broken.write_text("name: other\nmarkt: {}\n", encoding="utf-8")
    result = report(None)["strategies"]
    assert "error" not in result[NAME]
    assert str(broken) in in_one_sentence(
        result["other"]["headline"]
    )  # the broken file of its name goes by the one that it states
    broken.unlink()
    assert report(None)["ok"]


def restate(home: Path, **sections: dict[str, object]) -> None:
    """Change settings that are no stage of the strategy."""
    write_strategy(home, source=SOURCE, market={"symbols": list(SYMBOLS), **SPAN}, **sections)


def state_perpetuals(home: Path, **series: object) -> None:
    """State that the symbols are perpetuals, with a file of the rates that they pay."""
    restate(home, costs={"funding": "funding", "borrow_fee_annual_fraction": 0.0})
    file = home / "strategies" / f"{NAME}.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["market"]["asset_class"] = "perpetual"
    settings["series"] = [{"name": "funding", "path": "funding.csv", "stamps": "moments", **series}]
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    moments = pd.date_range("2017-06-01T08:00", "2017-06-27", freq="8h", tz="UTC")
    rates = pd.DataFrame({"observed_at": moments, "rate": 2e-4, "known_at": moments + pd.Timedelta(minutes=1)})
    everyone = [rates.assign(symbol=symbol) for symbol in SYMBOLS]
    pd.concat(everyone).to_csv(home / "strategies" / "funding.csv", index=False)


@pytest.mark.full
def test_a_decided_session_computed_again_under_other_settings_names_each(home: Path) -> None:
    restate(home, costs={"half_spread_bps": 0.9}, portfolio={"gross_limit": 0.75, "shrink_half_life_months": 6.0})
    with pytest.raises(DecisionError, match="the settings that the session was decided under") as refused:
        homes.decide(strategy_of(), [SECOND])
    assert refused.value.found.split("; ") == [
        "costs.half_spread_bps 0.5 then, 0.9 now",
        f"portfolio.gross_limit {PortfolioSettings().gross_limit} then, 0.75 now",
        "portfolio.shrink_half_life_months left out then, 6.0 now",
    ]
    assert refused.value.where["session"] == SECOND.date()
    (third,) = homes.decide(strategy_of(), [THIRD])  # the remedy: the first that is not decided yet
    assert not third.already_decided
    with pytest.raises(DecisionError, match=r"costs\.half_spread_bps 0\.5 then, 0\.9 now"):
        homes.decide(strategy_of(), [FIRST])
    restate(home)  # the other remedy
    assert homes.decide(strategy_of(), [SECOND])[0].already_decided


@pytest.mark.full
def test_a_month_whose_models_are_of_other_settings_names_each(home: Path) -> None:
    restate(home, learning={"hidden": 5})
    with pytest.raises(ModelError, match=r"a model used from 2017-06, of the settings in force") as refused:
        homes.decide(strategy_of(), [THIRD])
    assert refused.value.found == "one of other settings: learning.hidden 4 then, 5 now"
    headline = in_one_sentence(report(NAME)["strategies"][NAME]["headline"])
    others = "the models of 2017-06 are of other settings (learning.hidden 4 then, 5 now)"
    assert headline.startswith(f"{NAME} HALTED: no session is decided: {others}; ")
    assert headline.endswith(f"A person is needed: nn-assets study --strategy {NAME}.")
    # A decision stands on every month before it, so all of them are to be fitted.
    first, last = re.findall(rf"nn-assets study --strategy {NAME} --from (\S+) --to (\S+)$", refused.value.remedy)[0]
    assert (first, last) == (MONTHS[0], MONTHS[-1])
    with open_history(strategy_of()) as history:
        kept = preparation.stationarity(history, ["2017-06"], None)
    restate(home)
    with open_history(strategy_of()) as history:
        (due,) = preparation.due_folds(history, ["2017-06"])
        other = next(iter(kept.values())).assign(model_id="0" * 16)
        with pytest.raises(PublicationError, match=r"other data, code or settings\. Remedy"):
            preparation.stationarity_of(other, due.address(strategy_of()), due)  # a model that was never fitted
    homes.decide(strategy_of(), [THIRD])  # set back
    restate(home, learning={"hidden": 5})
    homes.train(strategy_of(), homes.months_between(first, last))
    assert "no session is decided" not in in_one_sentence(report(NAME)["strategies"][NAME]["headline"])
    homes.decide(strategy_of(), [FOURTH])  # fitted anew, as it said


def study_asked(remedy: str) -> list[str]:
    """Months of the study that a remedy asks for; refused where the command would refuse them."""
    ((first, last),) = re.findall(rf"nn-assets study --strategy {NAME} --from (\S+) --to (\S+)$", remedy)
    months = homes.months_between(first, last)
    assert months
    assert {f"{month}-01" for month in months} <= set(month_partitions(strategy_of()).get_partition_keys())
    return months


@pytest.mark.full
def test_a_round_after_longer_steps_stands_on_the_months_that_these_can_have(home: Path) -> None:
    restate(home, walk_forward={"training_months": 7})
    assert first_model_month(strategy_of()) == "2017-04", "a month later than the oldest on record"
    with pytest.raises(ModelError, match=r"of other settings: walk_forward\.") as refused:
        homes.decide(strategy_of(), [THIRD])
    homes.train(strategy_of(), study_asked(refused.value.remedy))
    homes.decide(strategy_of(), [THIRD])
    with open_history(strategy_of()) as history:
        assert decisions_repeat_in_replay(history) == (1, [])
        assert rederive_decisions(history, "test", whole=True).played == 1
        assert signals_repeat_forecasts(history)[1] == []
        (address,) = recorded("decisions", THIRD)["details"].map(lambda details: details["forecast_list"])
        assert list(read_forecast_list(history, address)) == MONTHS[1:-1]
    restate(home)  # set back, the months of before are read again
    homes.train(strategy_of(), MONTHS)
    homes.decide(strategy_of(), [FOURTH])


def test_steps_too_long_for_the_live_start_ask_for_nothing_that_is_refused(home: Path) -> None:
    restate(home, walk_forward={"training_months": 12})
    headline = in_one_sentence(report(NAME)["strategies"][NAME]["headline"])
    assert headline.startswith(
        f"{NAME} HALTED: market.live_starts 2017-06-21; expected market.live_starts in 2017-09 or"
    )
    # What else it names is for a strategy that has decided nothing: of this one both are refused.
    assert "A person is needed: shorten walk_forward.training_months (or, before any session is decided, " in headline
    restate(home)
    homes.decide(strategy_of(), [THIRD])


@pytest.mark.full
def test_a_series_that_no_feature_reads_comes_and_goes_without_another_model(home: Path) -> None:
    def model_ids() -> set[str]:
        with Ledger() as ledger:
            return set(ledger.read("models", NAME, every_version=True)["model_id"])

    before = model_ids()
    state_perpetuals(home)
    homes.take_in(strategy_of())
    (third,) = homes.decide(strategy_of(), [THIRD])
    assert not third.already_decided
    with open_history(strategy_of()) as history:
        assert rederive_decisions(history, "test", whole=True).played == 1
        assert months_in_doubt(history, MONTHS[:-1]) == []
    assert model_ids() == before
    state_perpetuals(home, stale_after_sessions=3)
    homes.decide(strategy_of(), [FOURTH])
    restate(home)
    homes.take_in(strategy_of())
    (back,) = homes.decide(strategy_of(), [FIRST])
    assert back.already_decided


@pytest.mark.full
def test_models_on_record_by_series_that_no_feature_reads_stay_in_force(home: Path) -> None:
    """As they were recorded until such a series was no setting of models: by a hash of every series."""
    with Ledger() as ledger:
        rows = ledger.read("models", NAME)
        before = models_in_force(ledger, strategy_of()).by_month
    state_perpetuals(home)
    behaviour = strategy_of().behaviour()
    part = {name: behaviour[name] for name in ("features", "label", "learning", "walk_forward", "universe", "series")}
    text = json.dumps(part, sort_keys=True, separators=(",", ":"))
    settings_hash = hashlib.sha256(text.encode()).hexdigest()[:16]
    recorded, before_live = rows.assign(settings_hash=settings_hash), pd.Timestamp("2017-06-20")
    event = hashlib.sha256(f"{NAME}|2017-06-20|before live|{settings_hash}".encode()).hexdigest()[:16]
    left = {"event_id": event, "session": before_live, "cause": "left by a study", "details": {"score": 3}}
    with Ledger() as ledger:
        ledger.append("models", recorded, run_id="test", strategy=NAME, reason="as it was")
        ledger.append("refresh_requests", [left], run_id="test", strategy=NAME)
        assert list(left_before_live(ledger, strategy_of(), before_live)["event_id"]) == [event]
        assert models_in_force(ledger, strategy_of()).by_month == before
    homes.take_in(strategy_of())
    homes.decide(strategy_of(), [THIRD])  # puts on record what the hash stands for
    state_perpetuals(home, stale_after_sessions=3)
    with Ledger() as ledger:
        assert models_in_force(ledger, strategy_of()).by_month == before
    restate(home, learning={"hidden": 5})
    with Ledger() as ledger, pytest.raises(ModelError) as refused:
        models_in_force(ledger, strategy_of()).on(FOURTH)
    assert refused.value.found == "one of other settings: learning.hidden 4 then, 5 now"


def test_what_a_month_was_judged_under_is_named_where_its_model_is_on_record(home: Path) -> None:
    with open_history(strategy_of()) as history:
        kept = preparation.stationarity(history, ["2017-06"], None)["2017-06"]
    restate(home, learning={"hidden": 5})
    with open_history(strategy_of()) as history:
        (due,) = preparation.due_folds(history, ["2017-06"])
        with pytest.raises(PublicationError, match=r"settings \(learning\.hidden 4 then, 5 now\)"):
            preparation.stationarity_of(kept, due.address(strategy_of()), due)
        again = preparation.stationarity(history, ["2017-06"], None)["2017-06"]
        preparation.stationarity_of(again, due.address(strategy_of()), due)


def test_a_verdict_of_other_settings_is_told_where_there_is_none_of_these(studied_home: Path) -> None:
    file = studied_home / "strategies" / f"{NAME}.yaml"
    text = file.read_text(encoding="utf-8").replace("trade_without_verdict: true\n", "")
    file.write_text(text, encoding="utf-8")  # that alone changes nothing that a study finds
    assert "of other settings" not in in_one_sentence(report(NAME)["strategies"][NAME]["headline"])
    assert report(NAME)["strategies"][NAME]["study_to"] == "2017-05"
    file.write_text(text.replace("half_spread_bps: 0.5", "half_spread_bps: 0.9"), encoding="utf-8")
    assert "(the newest is of other settings: costs.half_spread_bps 0.5 then, 0.9 now" in in_one_sentence(
        report(NAME)["text"]
    )


def test_settings_changed_after_study_and_decision_need_a_person_until_they_are_studied_or_set_back(
    studied_home: Path,
) -> None:
    homes.decide(strategy_of(), [THIRD])
    assert isinstance(recorded("decisions", THIRD).iloc[0]["verdict"], str)
    expected = "no verdict counts from the next session on, since the newest study is of other settings: costs."

    def first_line() -> str:
        return str(in_one_sentence(report(NAME)["text"]))

    assert "of other settings" not in first_line()
    restate(studied_home, costs={"half_spread_bps": 0.9})
    assert expected in first_line()
    assert f"nn-assets study --strategy {NAME}, or set them back" in first_line()
    homes.study_stored(strategy_of(), ["2017-05"])  # one remedy
    assert "of other settings" not in first_line()
    restate(studied_home)  # the other one: the study of before is theirs, though another one is newer
    assert "of other settings" not in first_line()
    for moved in ({"live_starts": "2017-06-14"}, {"history_starts": "2015-12-01"}):  # the study would be refused too
        state_strategy(studied_home, **moved)
        assert "of other settings" in first_line()
        assert "nn-assets" not in first_line()


@pytest.mark.full
def test_what_is_to_be_flat_says_what_it_holds_until_that_is_closed(home: Path) -> None:
    held = int((recorded("holdings", SECOND)["quantity"] != 0.0).sum())
    assert (recorded("target_positions", SECOND)["target_quantity"] == 0.0).all()
    assert held > 1
    clause = f"; {held} positions are still held: the closing orders fill at the open of 2017-06-23; "
    assert f"nothing is to be held after 2017-06-22 (0 of 6 symbols){clause}" in in_one_sentence(report(NAME)["text"])
    file = home / "strategies" / f"{NAME}.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("trade_without_verdict: true\n", ""), encoding="utf-8")
    first_line = in_one_sentence(report(NAME)["text"])
    assert first_line.startswith(f"{NAME} DOES NOT TRADE: flat, since no study gave a verdict in time{clause}")
    (third,) = homes.decide(strategy_of(), [THIRD])
    assert (recorded("holdings", THIRD)["quantity"] == 0.0).all()
    assert "still held" not in in_one_sentence(report(NAME)["text"])
    with open_history(strategy_of()) as history:
        page = write_daily_page(history, third.round, third.frames, third.provenance, None).read_text(encoding="utf-8")
    assert "DOES NOT TRADE: flat, since" in page
    assert "still held" not in page


@pytest.mark.full
def test_limits_of_the_gate_keep_the_study_and_not_what_was_decided_under_them(studied_home: Path) -> None:
    restate(studied_home, gate={"max_missing_symbols_fraction": 0.3, "max_stale_sessions": 2})
    state = report(NAME)["strategies"][NAME]
    assert (state["study_to"], state["study_of_other_settings"]) == ("2017-05", None)
    with pytest.raises(DecisionError, match=r"gate\.max_missing_symbols_fraction 0\.1 then, 0\.3 now"):
        homes.decide(strategy_of(), [SECOND])


@pytest.mark.full
def test_a_live_start_that_moves_says_that_the_study_counts_no_more_and_both_remedies_work(
    decided_until_the_second: Path, tmp_path: Path
) -> None:
    undecided = tmp_path / "home"
    shutil.copytree(decided_until_the_second, undecided, ignore=shutil.ignore_patterns("ledger.sqlite*"))
    expected = "the newest study is of other settings: market.live_starts 2017-06-21 then, 2017-06-22 now"

    def first_line() -> str:
        return str(in_one_sentence(report(NAME)["text"]))

    with living_in(undecided):
        homes.train(strategy_of(), MONTHS)
        homes.study_stored(strategy_of(), ["2017-05"])
        state_strategy(undecided, live_starts="2017-06-22")
        assert expected in first_line()
        assert f"nn-assets study --strategy {NAME}, or set them back" in first_line()
        state_strategy(undecided)
        assert "of other settings" not in first_line()
        state_strategy(undecided, live_starts="2017-06-22")
        homes.study_stored(strategy_of(), ["2017-05"])
        assert "of other settings" not in first_line()
        assert report(NAME)["strategies"][NAME]["study_to"] == "2017-05"


@pytest.mark.full
def test_a_study_comes_before_the_first_sessions_which_would_be_flat_for_good_without(
    decided_until_the_second: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models are there, as of a study that was killed: a round could be given, and no study would mend what it left."""
    undecided = tmp_path / "home"
    shutil.copytree(decided_until_the_second, undecided, ignore=shutil.ignore_patterns("ledger.sqlite*"))
    study, run = (f"A person is needed: nn-assets {command} --strategy {NAME}" for command in ("study", "run"))

    goes_on = f"{study} --from 2017-03 --to 2017-06 goes on from there"

    def needed() -> str:
        with open_history(strategy_of()) as history:
            following = next_command(history)
        line = str(in_one_sentence(report(NAME)["text"]))
        assert following in line
        return line

    with living_in(undecided):
        homes.train(strategy_of(), MONTHS)
        assert run in needed()
        restate(undecided, cleaning={"stale_run_sessions": 9})  # what months knew is judged anew
        changed = "what was known in 2017-03, 2017-04, 2017-05, 2017-06 has changed since the study of them"
        assert changed in needed()
        assert needed().endswith(f"{study}.")
        state_strategy(undecided)
        begun = Run("killed", NAME, "study", "2017-03-01", "2017-06-01", pd.Timestamp("2026-01-05 12:00", tz="UTC"))
        with Ledger() as ledger:
            assert record_start(ledger, begun)
        monkeypatch.setattr(run_faults, "was_killed", lambda run_id: run_id == "killed")
        assert needed().endswith(f"{goes_on}; {run.partition(': ')[2]} --from 2017-06-21.")
        stored = undecided / "lake" / NAME / "forecasts"
        stored.rename(stored.with_name("elsewhere"))  # killed before the forecasts
        assert needed().endswith(f"{goes_on}.")
        with Ledger() as ledger:
            at = begun.began_at + pd.Timedelta(minutes=1)
            assert record_end(ledger, begun, FAILED, at, message=end_message(begun, LOST))
        assert needed().endswith(f"{goes_on}.")
        stored.with_name("elsewhere").rename(stored)
        file = undecided / "strategies" / f"{NAME}.yaml"
        text = file.read_text(encoding="utf-8").replace("trade_without_verdict: true\n", "")
        file.write_text(text, encoding="utf-8")  # killed after the forecasts, and before the verdict
        assert needed().endswith(f"{goes_on}.")
        homes.study_stored(strategy_of(), ["2017-05"])  # the remedy
        assert needed().endswith(f"; {run.partition(': ')[2]} --from 2017-06-21.")


@pytest.mark.full
def test_an_end_of_history_that_moves_on_keeps_the_study_and_the_decisions(
    studied_home: Path, studied_after_the_second: tuple[Path, StudyResult]
) -> None:
    _, studied = studied_after_the_second
    homes.decide(strategy_of(), [THIRD])
    state = report(NAME)["strategies"][NAME]
    assert state["study_to"] == "2017-05"
    for ends in ({"history_ends": "2017-06-27"}, {"history_ends": "2017-06-30", "vault_starts": "2017-06-28"}):
        state_strategy(studied_home, **ends)
        moved = report(NAME)["strategies"][NAME]
        assert [moved[key] for key in ("study_to", "verdict")] == [state[key] for key in ("study_to", "verdict")]
        assert moved["study_of_other_settings"] is None
        assert homes.decide(strategy_of(), [SECOND])[0].already_decided
    homes.take_in(strategy_of())
    homes.decide(strategy_of(), [FOURTH])
    heads = [recorded("decisions", session).iloc[0] for session in (THIRD, FOURTH)]
    assert heads[0]["settings_hash"] != heads[1]["settings_hash"]
    assert heads[0]["study_id"] == heads[1]["study_id"]
    assert isinstance(heads[1]["verdict"], str)
    with open_history(strategy_of()) as history:
        assert rederive_decisions(history, "test") == Rederived(4, 0, ())
    again = homes.study_stored(strategy_of(), ["2017-05"])
    assert again.trials == studied.trials == 3
    assert len(again.terms.looks) == 1  # the one taken before: not forgotten, and not taken twice
    with Ledger() as ledger:
        assert set(ledger.read("looks", NAME)["look"]) == {1}
    state_strategy(studied_home, history_ends="2017-06-27")
    with open_history(strategy_of()) as history:
        assert rederive_decisions(history, "test") == Rederived(0, 4, ())


def test_decisions_under_other_settings_are_counted_and_the_setting_named(home: Path) -> None:
    restate(home, costs={"half_spread_bps": 0.9})
    text = "2 sessions up to 2017-06-22 not derived again, decided under other settings: costs.half_spread_bps 0.5 then"
    with open_history(strategy_of()) as history:
        assert text in rederive_decisions(history, "test").sentence
    homes.decide(strategy_of(), [THIRD])
    with open_history(strategy_of()) as history:
        sentence = rederive_decisions(history, "test").sentence
    assert sentence.startswith("1 sessions derived again, all targets equal")
    assert text in sentence


def test_a_study_of_other_settings_is_told_by_status_and_page(studied_home: Path) -> None:
    restate(studied_home, costs={"half_spread_bps": 0.9})
    expected = "to 2017-05, of other settings: costs.half_spread_bps 0.5 then, 0.9 now"
    assert report(NAME)["strategies"][NAME]["study_of_other_settings"] == expected
    (third,) = homes.decide(strategy_of(), [THIRD])
    with open_history(strategy_of()) as history:
        text = write_daily_page(history, third.round, third.frames, third.provenance, None).read_text(encoding="utf-8")
    assert "no study yet" not in text
    assert "costs.half_spread_bps 0.5 then, 0.9 now" in text


def test_a_book_whose_strategy_is_gone_is_shown_until_it_is_closed(home: Path) -> None:
    file = home / "strategies" / f"{NAME}.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace(f"name: {NAME}", "name: renamed"), encoding="utf-8")
    shown = report(None)["strategies"]
    assert shown["renamed"]["decided_to"] is None
    left = shown[NAME]
    assert left["decided_to"] == str(SECOND.date())
    assert {line.split()[0] for line in left["positions"]} | set(left["on_order"]) == bound(SECOND)
    assert "no file names it" in left["missing"][0]
    again = f"A person is needed: write `name: {NAME}` in {file} again, which says `name: renamed`."
    assert again in in_one_sentence(left["headline"])
    file.unlink()
    shown = "no file names it, and nothing decides its book. A person is needed: put its file back, "
    assert f"{shown}{file}." in in_one_sentence(report(NAME)["text"])
    with pytest.raises(SettingsError, match=r"found 'somebody'\. Remedy"):
        report("somebody")
    with pytest.raises(SettingsError) as unknown:  # what every command that takes a strategy says
        find_strategy(NAME)
    assert unknown.value.found == (
        f"'{NAME}'; the ledger has 2 sessions of {NAME} to {SECOND.date()}; no file names it"
    )
    assert f"put its file back, {file}" in unknown.value.remedy


@pytest.mark.parametrize("gone", [True, False])
def test_what_stops_trading_and_what_is_on_record_need_no_readable_file(home: Path, tmp_path: Path, gone: bool) -> None:
    file = home / "strategies" / f"{NAME}.yaml"
    if gone:
        file.unlink()
    else:
        file.write_text("name: [", encoding="utf-8")
    set_kill_switch(NAME, "HALTED", "me", "its file is no file")
    assert recorded_switches() == {NAME: "HALTED"}
    for table, stored in (("positions", "target_positions"), ("audit", None)):
        out = tmp_path / f"{table}.json"
        assert export_table(table, out, NAME, None, None, None)["rows"] > 0
        if stored is not None:
            counts = pd.read_json(out)["symbol"].value_counts()
            assert (
                counts.to_dict()
                == pd.concat(recorded(stored, session)["symbol"] for session in (FIRST, SECOND))
                .value_counts()
                .to_dict()
            )
    for refused in (
        lambda: set_kill_switch("somebody", "HALTED", "me", "why"),
        lambda: export_table("positions", tmp_path / "none.json", "somebody", None, None, None),
    ):
        with pytest.raises(SettingsError, match=f"a strategy with a file or a record, one of .*{NAME}.*'somebody'"):
            refused()


def recorded_switches() -> dict[str, str]:
    """What the kill switch of each strategy was last set to."""
    with Ledger() as ledger:
        return {name: kill_switch_now(ledger, name) for name in ledger.strategies("controls")}


def test_without_a_name_all_are_stopped_and_none_is_started(home: Path) -> None:
    file = home / "strategies" / f"{NAME}.yaml"
    (home / "strategies" / "broken.yaml").write_text("name: broken\nmarket: 3\n", encoding="utf-8")
    file.write_text(file.read_text(encoding="utf-8").replace(f"name: {NAME}", "name: renamed"), encoding="utf-8")
    with pytest.raises(ControlError, match=r"found none named. Remedy: name each: --strategy NAME"):
        set_kill_switch(None, "ACTIVE", "me", "go")
    assert recorded_switches() == {}
    with Ledger() as ledger:  # rows of the whole ledger, and of bars within the session, are no strategy's
        for whose in ("*", f"{NAME}.intraday"):
            row = {"verification_id": "1", "kind": "x", "details": {}}
            ledger.append("verifications", [row], run_id="t", strategy=whose)
        for name in ("*", f"{NAME}.intraday"):
            with pytest.raises(SettingsError, match="a strategy with a file or a record"):
                set_kill_switch(name, "HALTED", "me", "why")
    everybody = {"index_daily", "planted_edge", "renamed", "broken", NAME}
    for state in ("REDUCING", "HALTED"):
        assert set(set_kill_switch(None, state, "me", "something is wrong")["strategies"]) == everybody
        assert recorded_switches() == dict.fromkeys(everybody, state)


def test_a_strategy_named_by_its_broken_file_is_stopped_under_its_own_name(home: Path) -> None:
    (home / "strategies" / "my_file.yaml").write_text("name: broken\nmarket: 3\n", encoding="utf-8")
    result = set_kill_switch("my_file", "HALTED", "me", "something is wrong")
    assert recorded_switches() == {"broken": "HALTED"}
    assert "broken: kill switch is HALTED" in result["text"]


def test_how_each_session_ended_is_told_in_a_line(home: Path) -> None:
    with Ledger() as ledger:
        sentences = session_summaries(ledger, NAME)
    assert list(sentences) == ["2017-06-21", "2017-06-22"]
    for session in (FIRST, SECOND):
        equity = recorded("portfolio_states", session)["equity_usd"].iloc[0]
        fills = len(recorded("fills", session))
        drift = recorded("trading_states", session)["state"].iloc[0]
        sentence = sentences[str(session.date())]
        assert sentence == f"equity {equity:,.0f} USD, {fills} fill{'s' * (fills != 1)}, drift says {drift}"
    with Ledger() as ledger:
        assert session_summaries(ledger, "nobody") == {}


def test_a_book_whose_records_are_gone_is_halted_and_not_forgotten(home: Path) -> None:
    head = dict.fromkeys(("data_hash", "model_id", "code_version", "settings_hash", "content_hash"), "0" * 64)
    with open_history(strategy_of()) as history:
        ledger = history.stores.ledger
        with ledger.transaction("test", strategy="ghost", known_at=pd.Timestamp(SECOND, tz="UTC")) as transaction:
            transaction.append("decisions", [{"session": SECOND, **head}])
    assert in_one_sentence(report(None)["strategies"]["ghost"]["headline"]).startswith(
        "ghost HALTED: its records are gone"
    )
