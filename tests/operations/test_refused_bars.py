"""Bars that the gate refused, and that were mended since, are read by no decision: a file lived day by day."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.cli.status import report
from nn_assets.errors import GateHalted, LedgerError
from nn_assets.market.calendar.sessions import assumed_known_at
from nn_assets.market.facts.refused import never_passed, refused
from nn_assets.operations import facts
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay
from nn_assets.operations.history import open_history
from nn_assets.operations.intake import bars as intake
from nn_assets.operations.intake import gate_record
from nn_assets.operations.intake.bars import ingest_bars
from nn_assets.sources.simulated import SimulatedSource
from nn_assets.store.ledger.ledger import Ledger
from tests.operations import homes
from tests.orchestration.conftest import FIRST_LIVE, NAME, TINY, living_in, strategy_of, write_strategy

SYMBOL, EARLIER = "SIM02", "2017-06-15"
FIRST, SECOND, THIRD = "2017-06-21", "2017-06-22", "2017-06-23"


def delivered(last: str) -> pd.DataFrame:
    symbols = tuple(str(symbol) for symbol in TINY["market"]["symbols"])  # type: ignore[attr-defined]
    source = SimulatedSource("XNYS", pd.Timestamp("2016-01-04").date(), seed=5, planted_rank_ic=0.3)
    return source.bars(symbols, None, pd.Timestamp(last)).drop(columns=["source", "known_at"], errors="ignore")


def deliver(home: Path, bars: pd.DataFrame) -> None:
    bars.to_csv(home / "strategies" / "bars.csv", index=False)


@contextmanager
def at(moment: str) -> Iterator[None]:
    stamp = pd.Timestamp(moment, tz="UTC").as_unit("ns")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facts, "now_utc", lambda: stamp)
        patch.setattr(intake, "now_utc", lambda: stamp)
        patch.setattr(gate_record, "now_utc", lambda: stamp)
        patch.setitem(Ledger.__init__.__kwdefaults__, "clock", lambda: stamp.to_pydatetime())
        yield


def wrong(bars: pd.DataFrame, session: str) -> pd.DataFrame:
    """All bars of a session but one at ten times their price: more than the gate lets pass, no row impossible."""
    prices = ["open", "high", "low", "close"]
    chosen = (bars["session"] == session) & (bars["symbol"] != SYMBOL)
    return bars.assign(**{name: bars[name].where(~chosen, 10.0 * bars[name]) for name in prices})


def without_most(bars: pd.DataFrame, session: str) -> pd.DataFrame:
    return bars[(bars["session"] != session) | (bars["symbol"] == SYMBOL)]


def closes(session: str, of: str) -> np.ndarray:
    """The closes of a session as another one's panel has them."""
    with open_history(strategy_of()) as history:
        panel = history.view(session).panel
        return np.array(panel.close[panel.row(of)])


@pytest.fixture(scope="module")
def lived_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that decided its first live session on good bars."""
    home = tmp_path_factory.mktemp("refused")
    source = {**dict.fromkeys(TINY["source"]), "kind": "files", "path": "bars.csv"}
    write_strategy(home, source=source, market={"history_ends": None})
    deliver(home, delivered(FIRST))
    with living_in(home), at(f"{FIRST} 23:00"):
        homes.take_in(strategy_of())
        homes.train(strategy_of(), ["2017-06"])
        homes.decide(strategy_of(), [pd.Timestamp(FIRST_LIVE)])
    return home


@pytest.fixture
def lived(lived_home: Path, tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    shutil.copytree(lived_home, home)
    with living_in(home):
        yield home


def refuse(home: Path, moment: str, bars: pd.DataFrame) -> None:
    deliver(home, bars)
    with at(moment), pytest.raises(GateHalted):
        homes.take_in(strategy_of())


def halting(bars: pd.DataFrame, session: str) -> pd.DataFrame:
    """Wrong bars of one symbol for years, which halt the gate, beside those of the session."""
    negative = (bars["symbol"] == SYMBOL) & (bars["session"] >= "2017-03-01")
    return wrong(bars, session).assign(close=bars["close"].where(~negative, -1.0))


@pytest.mark.full
def test_a_session_whose_bars_were_refused_is_decided_on_the_mended_ones(lived: Path) -> None:
    good = delivered(SECOND)
    assert report(NAME)["strategies"][NAME]["gate"] == f"passed {FIRST} 23:00 UTC"
    refuse(lived, f"{SECOND} 22:00", halting(good, SECOND))
    gate = report(NAME)["strategies"][NAME]["gate"]
    assert gate.startswith(f"HALTED {SECOND} 22:00 UTC: ")
    assert "missing_symbols" in gate
    deliver(lived, good)
    with at(f"{SECOND} 23:00"):
        homes.take_in(strategy_of())
        assert report(NAME)["strategies"][NAME]["gate"] == f"passed {SECOND} 23:00 UTC"
        homes.decide(strategy_of(), [pd.Timestamp(SECOND)])
        right = good[good["session"] == SECOND].sort_values("symbol")["close"].to_numpy()
        np.testing.assert_array_equal(closes(SECOND, SECOND), right)
        with open_history(strategy_of()) as history:
            assert history.cut_for(pd.Timestamp(SECOND)).bars_are_published
            assert decisions_repeat_in_replay(history) == (2, [])


@pytest.mark.full
def test_a_refused_restatement_of_an_old_bar_is_never_seen(lived: Path) -> None:
    good = delivered(SECOND)
    refuse(lived, f"{SECOND} 19:00", halting(good[good["session"] <= FIRST], EARLIER))
    deliver(lived, good)
    with at(f"{SECOND} 23:00"):
        homes.take_in(strategy_of())
        right = good[good["session"] == EARLIER].sort_values("symbol")["close"].to_numpy()
        for session in (FIRST, SECOND):
            np.testing.assert_array_equal(closes(session, EARLIER), right)
        homes.decide(strategy_of(), [pd.Timestamp(SECOND)])


@pytest.mark.full
def test_bars_refused_twice_and_mended_the_day_after_leave_no_trace(lived: Path) -> None:
    good = delivered(SECOND)
    refuse(lived, f"{SECOND} 22:00", halting(good, SECOND))
    again = halting(good, SECOND)
    refuse(lived, f"{SECOND} 22:30", again.assign(volume=again["volume"] + 1.0))
    deliver(lived, delivered(THIRD))
    with at(f"{THIRD} 23:00"):
        homes.take_in(strategy_of())
        homes.decide(strategy_of(), [pd.Timestamp(SECOND), pd.Timestamp(THIRD)])
        right = good[good["session"] == SECOND].sort_values("symbol")["close"].to_numpy()
        np.testing.assert_array_equal(closes(SECOND, SECOND), right)
        np.testing.assert_array_equal(closes(THIRD, SECOND), right)
        homes.take_in(strategy_of())  # delivered again, it adds nothing
        with open_history(strategy_of()) as history:
            assert len(history.stores.publications.history(NAME)) == 2
            assert decisions_repeat_in_replay(history) == (3, [])


def test_what_passed_in_the_end_counts_from_when_it_came(lived: Path) -> None:
    """The same bars, refused and then let through by a wider limit, are the published ones."""
    thin = without_most(delivered(SECOND), SECOND)
    refuse(lived, f"{SECOND} 22:00", thin)
    write_strategy(
        lived,
        source={**dict.fromkeys(TINY["source"]), "kind": "files", "path": "bars.csv"},
        market={"history_ends": None},
        gate={"max_missing_symbols_fraction": 1.0},
    )
    with at(f"{SECOND} 23:00"):
        homes.take_in(strategy_of())
        assert np.isfinite(closes(SECOND, SECOND)).sum() == 1


def negative(bars: pd.DataFrame, *symbols: str) -> pd.DataFrame:
    """Impossible closes of some symbols for months, but for the session after the first."""
    broken = bars["symbol"].isin(symbols) & (bars["session"] >= "2017-03-01") & (bars["session"] != SECOND)
    return bars.assign(close=bars["close"].where(~broken, -1.0))


@pytest.mark.full
def test_a_session_decided_while_the_gate_halts_reads_what_is_published_and_is_reproduced(lived: Path) -> None:
    """A bar that is late for an undecided session comes, wrong, in a delivery that the gate refuses."""
    write_strategy(
        lived,
        source={**dict.fromkeys(TINY["source"]), "kind": "files", "path": "bars.csv"},
        market={"history_ends": None},
        gate={"max_missing_symbols_fraction": 0.5},
    )
    good, third = delivered(SECOND), delivered(THIRD)
    late, wrong = ((bars["symbol"] == "SIM03") & (bars["session"] == SECOND) for bars in (good, third))
    deliver(lived, good[~late])
    with at(f"{SECOND} 22:00"):
        homes.take_in(strategy_of())
    late_and_wrong = third.assign(close=third["close"].where(~wrong, third["low"]))
    refuse(lived, f"{THIRD} 22:00", negative(late_and_wrong, "SIM01", "SIM02", "SIM04", "SIM05"))
    with at(f"{THIRD} 22:10"):
        assert np.isnan(closes(SECOND, SECOND)[2])
        homes.decide(strategy_of(), [pd.Timestamp(SECOND)])
    deliver(lived, third)
    with at(f"{THIRD} 23:00"):
        homes.take_in(strategy_of())
        (again,) = homes.decide(strategy_of(), [pd.Timestamp(SECOND)])
        assert again.already_decided
        assert np.isnan(closes(SECOND, SECOND)[2])
        with open_history(strategy_of()) as history:
            assert decisions_repeat_in_replay(history) == (1, [])  # the one before was under another gate


@pytest.mark.full
def test_what_the_gate_let_through_after_a_halt_counts_from_its_publication(lived: Path) -> None:
    """Restated while the session was undecided, published before: known at its arrival, as without any halt."""
    good = delivered(SECOND)
    refuse(lived, f"{SECOND} 21:00", negative(good, SYMBOL))
    deliver(lived, good)
    with at(f"{SECOND} 22:00"):
        homes.take_in(strategy_of())
    chosen = (good["symbol"] == "SIM01") & (good["session"] == SECOND)
    deliver(lived, good.assign(close=good["close"].where(~chosen, good["low"])))
    with at(f"{SECOND} 23:00"):
        homes.take_in(strategy_of())
        assert closes(SECOND, SECOND)[0] == good.loc[chosen, "close"].iloc[0]


def with_moments(bars: pd.DataFrame) -> pd.DataFrame:
    known_at = assumed_known_at("XNYS", pd.DatetimeIndex(bars["session"]), 15)
    return bars.assign(known_at=known_at)


@pytest.mark.full
def test_a_moment_that_the_source_states_stays_whatever_the_gate_said(lived: Path) -> None:
    shutil.rmtree(lived / "lake")
    for file in lived.glob("ledger.sqlite*"):  # bars on which something was decided are not taken in anew
        file.unlink()
    deliver(lived, with_moments(delivered(FIRST)))
    with at(f"{FIRST} 23:00"):
        homes.take_in(strategy_of())
    good = with_moments(delivered(SECOND))
    refuse(lived, f"{SECOND} 22:00", negative(good, SYMBOL))
    chosen = good[(good["symbol"] == "SIM01") & (good["session"] == SECOND)]
    later = chosen.assign(close=chosen["low"], known_at=chosen["known_at"] + pd.Timedelta(days=4))
    third = with_moments(delivered(THIRD))
    fresh = third[(third["symbol"] == "SIM01") & (third["session"] == THIRD)]
    both = fresh.assign(close=fresh["low"], known_at=fresh["known_at"] + pd.Timedelta(days=4))
    deliver(lived, pd.concat([third, later, both]))
    with at("2017-06-28 12:00"):
        with open_history(strategy_of()) as history:
            ingest_bars(history, lived / "strategies")
        with open_history(strategy_of()) as history:
            kept = history.stored_versions.query("symbol == 'SIM01'")
    for session, restated, closing in (
        (SECOND, "2017-06-26", chosen["close"].iloc[0]),
        (THIRD, "2017-06-27", fresh["close"].iloc[0]),
    ):
        rows = kept[kept["session"] == session].sort_values("known_at")
        assert list(rows["known_at"].dt.strftime("%Y-%m-%d")) == [session, restated]
        assert rows["close"].iloc[0] == closing


def test_a_ledger_that_refuses_the_halt_leaves_the_gates_own_words(
    lived: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise LedgerError(expected="the lock", found="another writer", remedy="wait", table="outcomes")

    monkeypatch.setattr(gate_record, "record_halt", refuses)
    refuse(lived, f"{SECOND} 22:00", negative(delivered(SECOND), SYMBOL))
    assert "that the gate halted is not on record" in caplog.text


def test_data_put_back_as_they_were_end_the_halt(lived: Path) -> None:
    """They make no publication: what is in force is the same."""
    refuse(lived, f"{FIRST} 23:30", negative(delivered(FIRST), SYMBOL))
    assert report(NAME)["strategies"][NAME]["gate"].startswith("HALTED")
    deliver(lived, delivered(FIRST))
    with at(f"{FIRST} 23:40"):
        homes.take_in(strategy_of())
        with open_history(strategy_of()) as history:
            assert len(history.stores.publications.history(NAME)) == 1
            assert list(history.published_at) == [
                pd.Timestamp(f"{FIRST} {hour}", tz="UTC") for hour in ("23:00", "23:40")
            ]
    assert report(NAME)["strategies"][NAME]["gate"] == f"passed {FIRST} 23:00 UTC"


# --- the rule, against one written out ----------------------------------------------------------------------


def written_out(stored: list[tuple[str, int]], halts: list[int], published: list[int]) -> list[bool]:
    """Whether each version was refused, one by one."""
    answer = []
    for key, since in stored:
        later = [other for name, other in stored if name == key and other > since]
        if not later:
            answer.append(False)
            continue
        there = range(since, min(later))
        answer.append(
            any(halt in there for halt in halts) and not any(publication in there for publication in published)
        )
    return answer


@pytest.mark.full
@pytest.mark.parametrize("seed", range(40))
def test_the_refused_are_those_of_the_rule_written_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stored = [(str(rng.choice(["a", "b", "c"])), int(rng.integers(0, 12))) for _ in range(12)]
    halts, published = (list(map(int, rng.integers(0, 14, int(rng.integers(0, 4))))) for _ in range(2))

    def moments(minutes: list[int]) -> pd.DatetimeIndex:
        start = pd.Timestamp("2026-01-05", tz="UTC")
        return pd.DatetimeIndex([start + pd.Timedelta(minutes=minute) for minute in minutes], tz="UTC")

    versions = pd.DataFrame({"symbol": [key for key, _ in stored], "ingested_at": moments([at for _, at in stored])})
    result = refused(versions, ["symbol"], moments(halts), moments(published))
    assert list(result) == written_out(stored, halts, published)
    limbo = never_passed(versions, moments(halts), moments(published))
    assert list(limbo) == [
        any(halt >= since for halt in halts) and not any(publication >= since for publication in published)
        for _, since in stored
    ]
