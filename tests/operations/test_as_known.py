"""Everything is read at its own moment: what arrives later changes nothing that was due before.

Two homes of one strategy. The files of one end in August 2016. Those of the other go on into September, and hold what
was restated and told late in that month: a bar of February and one of July restated, a split and a dividend of June
that nobody had told, a series revised back to March, funding of August, a member of that month, and two bars that had
been missing; another symbol is listed in September (no symbols are named); a switch and a cost model were put on record
in it after everything. Up to August both must say the same, byte for byte.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from nn_assets.arrays import Cube
from nn_assets.cli.controls import release_leak_alarm
from nn_assets.costs.model import cost_model_from
from nn_assets.errors import DecisionError, PublicationError, SchemaError
from nn_assets.estimators import USUAL
from nn_assets.evaluation.study import StudyStretch, Terms, run_study
from nn_assets.market.calendar.sessions import assumed_known_at
from nn_assets.operations import study as studies
from nn_assets.operations.asof.costs import costs_in_force
from nn_assets.operations.asof.forecasts import FORECASTS
from nn_assets.operations.asof.models import models_in_force
from nn_assets.operations.asof.studies import latest_study
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.cut import Cut
from nn_assets.operations.decisions import rounds
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay, features_repeat_when_cut
from nn_assets.operations.decisions.records import recorded_context
from nn_assets.operations.facts import RAW_BARS
from nn_assets.operations.features import store_features
from nn_assets.operations.history import History, Stretch, open_history
from nn_assets.operations.intake.bars import audit_bars, publish_bars
from nn_assets.operations.intake.series import ingest_series
from nn_assets.operations.session_view import SessionView
from nn_assets.operations.study import study_until
from nn_assets.session.market_view import MarketView
from nn_assets.settings import Strategy
from nn_assets.sources.simulated import SimulatedSource
from tests.operations.homes import decide, live_until, months_between, study, take_in
from tests.orchestration.conftest import living_in
from tests.shared_homes import nothing_drawn

SYMBOLS = ("SIM01", "SIM02", "SIM03", "SIM04", "SIM05", "SIM06")
FIRST_MONTH, LAST_MONTH = "2016-05", "2016-08"
CUT, END = "2016-08-31", "2016-09-13"
ARRIVAL = "2016-09-06T12:00:00Z"
LATER = "2016-09-09T12:00:00Z"

SETTINGS = {
    "name": "known",
    "source": {"kind": "files", "path": "bars", "actions_path": "actions.csv"},
    "series": [
        {"name": "fear", "path": "fear.csv", "lag_minutes": 15},
        {"name": "funding", "path": "funding.csv", "stamps": "moments"},
    ],
    "universe": {"path": "members.csv"},
    "market": {
        "calendar": "XNYS",
        "asset_class": "perpetual",
        "symbols": list(SYMBOLS),
        "history_starts": "2015-06-01",
        "live_starts": "2016-08-22",
        "known_at_lag_minutes": 30,
    },
    "features": {
        "names": ["log_return_1", "log_return_5", "close_location", "implied_over_realised", "market_correlation_60"],
        "series": {"implied_volatility": "fear"},
        "market_symbol": "SIM01",
        "select": True,
        "panel_pass_share": 0.5,
    },
    "label": {"horizon_sessions": 3, "execution": "next_open"},
    "learning": {
        "network": "mlp",
        "lookback": 5,
        "hidden": 8,
        "layers": 1,
        "ensemble": 2,
        "learning_rate": 0.01,
        "maximum_epochs": 25,
        "processes": 1,
    },
    "walk_forward": {
        "training_months": 5,
        "validation_months": 1,
        "calibration_months": 1,
        "refit_every_months": 1,
        "minimum_training_rows": 200,
    },
    "costs": {"half_spread_bps": 0.5, "commission_bps": 0.2, "funding": "funding"},
    "portfolio": {"minimum_outcomes": 20, "shrink_prior_outcomes": 0, "correlation_sessions": 20},
    "oversight": {"drift_window_sessions": 20, "drift_reference_sessions": 60},
    "trade_without_verdict": True,
}


def bars_until(last: str) -> pd.DataFrame:
    source = SimulatedSource(
        calendar="XNYS",
        history_starts=pd.Timestamp("2015-06-01").date(),
        history_ends=pd.Timestamp(END).date(),
        seed=5,
        planted_rank_ic=0.5,  # enough to trade on
    )
    bars = source.bars(SYMBOLS).drop(columns=["source"])
    prices = ["open", "high", "low", "close"]
    # Quoted over a split in June that is told in September only.
    split = (bars["symbol"] == "SIM03") & (bars["session"] >= pd.Timestamp("2016-06-15"))
    bars.loc[split, prices] /= 2.0
    bars.loc[split, "volume"] *= 2.0
    return bars[bars["session"] <= pd.Timestamp(last)]


def restated(bars: pd.DataFrame, symbol: str, day: str, factor: float, known_at: str) -> pd.DataFrame:
    chosen = bars[(bars["symbol"] == symbol) & (bars["session"] == pd.Timestamp(day))].copy()
    assert len(chosen) == 1
    chosen[["open", "high", "low", "close"]] *= factor
    return chosen.assign(known_at=known_at)


# Bars that nobody had while July and August were decided, and the moment at which each came after all.
LOST = {("SIM05", "2016-07-20"): ARRIVAL, ("SIM02", "2016-08-26"): LATER}


def without_the_lost(bars: pd.DataFrame) -> pd.DataFrame:
    keys = zip(bars["symbol"], bars["session"].dt.strftime("%Y-%m-%d"), strict=True)
    return bars[[key not in LOST for key in keys]]


LISTED = pd.Timestamp("2016-09-01")  # the first bar of a symbol that only the home that goes on has


def newly_listed(bars: pd.DataFrame) -> pd.DataFrame:
    """Bars of another symbol, which sorts between those there were."""
    bars = bars[(bars["symbol"] == "SIM01") & (bars["session"] >= LISTED)].assign(symbol="SIM01X")
    return bars.assign(**{name: bars[name] * 1.7 for name in ("open", "high", "low", "close")})


def funding_until(last: str) -> pd.DataFrame:
    """Rates of every eight hours, known a minute after each."""
    close = pd.Timestamp(last, tz="UTC") + pd.Timedelta(hours=20)
    moments = pd.date_range("2016-05-02", END, freq="8h", tz="UTC")
    rates = np.random.default_rng(2).normal(2e-4, 3e-4, (len(moments), len(SYMBOLS))).round(8)
    funding = pd.DataFrame(rates, columns=list(SYMBOLS)).assign(observed_at=moments)
    funding = funding.melt("observed_at", var_name="symbol", value_name="rate")
    return funding[funding["observed_at"] <= close].assign(known_at=funding["observed_at"] + pd.Timedelta(minutes=1))


# One of them is out for some days of August, as far as anyone knew.
MEMBERS = [
    *(f"{symbol},2010-01-04,," for symbol in SYMBOLS[:-1]),
    "SIM06,2010-01-04,2016-08-08,",
    "SIM06,2016-08-12,,",
]


def write_home(home: Path, last: str, *, late: bool) -> None:
    folder = home / "strategies"
    (folder / "bars").mkdir(parents=True)
    everything = bars_until(last)
    bars = without_the_lost(everything)
    if late:
        bars = pd.concat([bars, newly_listed(bars)], ignore_index=True)
    closes = assumed_known_at("XNYS", bars["session"], lag_minutes=15)
    # Each states when it was first known: by the decision of its own session.
    stamped = bars.assign(known_at=[f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in closes])
    stamped.to_csv(folder / "bars" / "a_bars.csv", index=False, date_format="%Y-%m-%d")
    actions = "symbol,ex_session,kind,value,known_at\nSIM05,2016-03-10,dividend,0.5,\n"
    days = pd.Series(bars["session"].unique())
    fear = [f"{day.date()},{12 + index % 7},\n" for index, day in enumerate(days)]
    funding, members = funding_until(last), MEMBERS
    if late:
        rows = [
            restated(bars, "SIM01", "2016-02-29", 1.06, ARRIVAL),
            restated(bars, "SIM02", "2016-07-12", 0.95, ARRIVAL),
            restated(bars, "SIM02", "2016-07-12", 0.97, LATER),
            restated(bars, "SIM04", "2016-08-24", 1.05, LATER),
            *(restated(everything, *key, 1.0, arrival) for key, arrival in LOST.items()),
        ]
        for number, frame in enumerate(rows):
            frame.to_csv(folder / "bars" / f"b_{number}.csv", index=False, date_format="%Y-%m-%d")
        actions += f"SIM03,2016-06-15,split,2,{ARRIVAL}\nSIM06,2016-08-25,dividend,1.5,{LATER}\n"
        fear += [f"2016-03-{day:02d},30,{ARRIVAL}\n" for day in (7, 8, 9)]
        of_august = (funding["symbol"] == "SIM02") & (funding["observed_at"].dt.strftime("%Y-%m") == "2016-08")
        dearer = funding[of_august].assign(rate=funding["rate"] + 0.02, known_at=pd.Timestamp(ARRIVAL))
        funding = pd.concat([funding, dearer])
        members = [*MEMBERS, f"SIM06,2016-08-08,2016-08-12,{ARRIVAL}", f"SIM01X,{LISTED.date()},,"]
    funding.to_csv(folder / "funding.csv", index=False)
    (folder / "members.csv").write_text("\n".join(["ticker,start_date,end_date,known_at", *members]), encoding="utf-8")
    (folder / "actions.csv").write_text(actions, encoding="utf-8")
    (folder / "fear.csv").write_text("date,close,known_at\n" + "".join(fear), encoding="utf-8")
    settings = {**SETTINGS, "market": {**SETTINGS["market"], "history_ends": last}}
    if late:
        del settings["market"]["symbols"]
    (folder / "known.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


@dataclass(frozen=True)
class Lived:
    home: Path
    ledger: dict[str, pd.DataFrame]
    months: dict[str, pd.DataFrame]


OF_SETTINGS = ["settings_hash", "study_id"]  # hashes of settings, which differ by history_ends alone
TABLES = (
    "models",
    "studies",
    "signals",
    "target_positions",
    "traces",
    "orders",
    "fills",
    "portfolio_states",
    "holdings",
    "drift",
    "trading_states",
    "decisions",
)


def strategy() -> Strategy:
    return find_strategy("known").strategy


def live(home: Path, last: str, *, late: bool) -> None:
    write_home(home, last, late=late)
    months = months_between(FIRST_MONTH, last[:7])
    with living_in(home), nothing_drawn():
        take_in(strategy())
        study(strategy(), months)
        # An edge that large rings an alarm, under which nothing would be held.
        release_leak_alarm("known", "ann", "the edge is planted")
        study(strategy(), months)
        with open_history(strategy()) as history:
            sessions = live_until(history, END if late else CUT)
        decide(strategy(), sessions)
        if late:
            put_on_record_afterwards()


def put_on_record_afterwards() -> None:
    """A switch, and a cost model of a session in August, once every session is decided."""
    switch = {"control_id": "later", "kind": "kill_switch", "state": "HALTED", "who": "me", "reason": "why"}
    dear = strategy().costs.model_copy(update={"half_spread_bps": 25.0})
    costs = {
        "cost_model_id": "dear",
        "session": pd.Timestamp("2016-08-15"),
        "source": "imported",
        "in_force": True,
        "coefficients": cost_model_from(dear).to_dict(),
        "figures": {},
    }
    with open_history(strategy()) as history:
        for table, row in (("controls", {**switch, "details": {}}), ("cost_models", costs)):
            history.stores.ledger.append(table, [row], run_id="test", strategy="known")


def read_back(home: Path) -> Lived:
    with living_in(home), open_history(strategy()) as history:
        ledger = {table: history.stores.ledger.read(table, "known") for table in TABLES}
        lake = history.stores.lake
        months = {month: lake.read_months("known", FORECASTS, [month]) for month in lake.months("known", FORECASTS)}
    return Lived(home, ledger, months)


@pytest.fixture
def in_later(goes_on: Lived) -> Iterator[Path]:
    with living_in(goes_on.home):
        yield goes_on.home


def test_the_later_facts_are_there_and_change_what_comes_after_them(in_later: Path) -> None:
    with open_history(strategy()) as history:
        before, after = history.view(pd.Timestamp(CUT)), history.view()
        day = history.row(pd.Timestamp("2016-02-29"))
        assert after.panel.close[day, 0] == pytest.approx(before.panel.close[day, 0] * 1.06)
        assert len(after.actions) == len(before.actions) + 2
        cube = after.cube.until(CUT).of_symbols(before.symbols)
        assert not np.array_equal(cube.values, before.cube.values, equal_nan=True)
        assert set(after.symbols) - set(before.symbols) == {"SIM01X"}
        assert len(list(history.stretches(range(len(history.axis))))) == 3
        assert before.members[history.row(pd.Timestamp("2016-08-05")), 5]
        assert not before.members[history.row(pd.Timestamp("2016-08-10")), 5]
        for versions, day in ((history.series_versions, "session"), (history.membership_versions, "member_from")):
            told_late = versions[(versions["known_at"] > before.moment) & (versions[day] <= pd.Timestamp(CUT))]
            assert set(told_late.get("name", ["members"])) in ({"fear", "funding"}, {"members"})


def test_a_lost_bar_costs_its_own_session_of_signals_until_it_comes(ends_before: Lived, in_later: Path) -> None:
    """Before, it cost 25 of this strategy's sessions: 20 of the longest feature and 5 of lookback."""
    signals = ends_before.ledger["signals"]
    signalled = set(zip(signals["symbol"], signals["session"].dt.strftime("%Y-%m-%d"), strict=True))
    every = {(symbol, day) for symbol in SYMBOLS for _, day in signalled}
    assert len({day for _, day in signalled}) == 8
    assert every - signalled == {("SIM02", "2016-08-26")}
    with open_history(strategy()) as history:
        before, after = history.view(pd.Timestamp(CUT)), history.view()
        for symbol, day in LOST:
            row, column = history.row(pd.Timestamp(day)), SYMBOLS.index(symbol)
            assert np.isnan(before.cube.values[row, column]).all()
            assert np.isfinite(before.cube.values[row + 1 : row + 3, column]).all()
            assert np.isfinite(after.cube.values[row, after.symbols.index(symbol)]).all()


def test_features_are_those_of_the_home_that_ends_before(ends_before: Lived, goes_on: Lived) -> None:
    with living_in(ends_before.home), open_history(strategy()) as history:
        view = history.view()
        cube, labels, data_hash = view.cube, view.labels, view.data_hash
        values, targets = np.array(cube.values), np.array(labels.targets)
    with living_in(goes_on.home), open_history(strategy()) as history:
        view = history.view(pd.Timestamp(CUT))
        assert view.data_hash == data_hash
        assert np.array_equal(np.array(view.cube.values), values, equal_nan=True)
        assert np.array_equal(np.array(view.labels.targets), targets, equal_nan=True)


@pytest.mark.parametrize("table", ["models", "studies"])
def test_models_and_verdicts_up_to_august_are_equal(ends_before: Lived, goes_on: Lived, table: str) -> None:
    # What a study was made of names the newest publication, and a model's row the moment it was put on record.
    # The settings differ by history_ends alone.
    told_now = ["data_hash", "study_id", "settings_hash"] if table == "studies" else []
    one, other = (
        lived.ledger[table]
        .query("month <= @LAST_MONTH")
        .drop(columns=told_now)
        .sort_values("month", kind="stable", ignore_index=True)
        for lived in (ends_before, goes_on)
    )
    assert sorted(one["month"].unique()) == months_between(FIRST_MONTH, LAST_MONTH)  # and refreshes within them
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_forecasts_up_to_august_are_equal(ends_before: Lived, goes_on: Lived) -> None:
    assert sorted(ends_before.months) == months_between(FIRST_MONTH, LAST_MONTH)
    for month, frame in ends_before.months.items():
        assert len(frame)
        pd.testing.assert_frame_equal(frame, goes_on.months[month], check_exact=True)


@pytest.mark.parametrize("table", TABLES[2:])
def test_everything_decided_up_to_august_is_equal(ends_before: Lived, goes_on: Lived, table: str) -> None:
    one, other = (lived.ledger[table].drop(columns=OF_SETTINGS, errors="ignore") for lived in (ends_before, goes_on))
    assert len(one), table
    traded = {"target_positions": "target_quantity", "holdings": "quantity"}
    assert table not in traded or (one[traded[table]] != 0).any(), "nothing is traded: all books are equal"
    other = other[other["session"] <= pd.Timestamp(CUT)].reset_index(drop=True)
    pd.testing.assert_frame_equal(one.reset_index(drop=True), other, check_exact=True)


@pytest.mark.full
def test_decisions_after_the_late_facts_are_derived_again_from_what_each_knew(in_later: Path) -> None:
    with open_history(strategy()) as history:
        played, differing = decisions_repeat_in_replay(history)
        assert played == len(live_until(history, END))
        assert differing == []


@pytest.mark.full
def test_a_study_mends_its_book_by_actions_that_were_told_late(goes_on: Lived, tmp_path: Path) -> None:
    home = Path(shutil.copytree(goes_on.home, tmp_path / "home"))
    with living_in(home), open_history(strategy()) as history:
        result = study_until(history, months_between(FIRST_MONTH, END[:7]), "again", lambda _: None)
    third, sixth = (result.study.track.symbols.index(symbol) for symbol in ("SIM03", "SIM06"))
    for estimator in ("network", "linear", "boosting"):
        late = [done for done in result.study.replays[estimator].rounds if done.late is not None]
        assert [str(done.session.date()) for done in late] == ["2016-09-06", "2016-09-09"]
        split, dividend = (done.late for done in late)
        june = np.flatnonzero(split.sessions == np.datetime64("2016-06-15"))[0]
        assert (split.taken.split[june, third], split.known.split[june, third]) == (1.0, 2.0)
        august = np.flatnonzero(dividend.sessions == np.datetime64("2016-08-25"))[0]
        assert (dividend.taken.dividend[august, sixth], dividend.known.dividend[august, sixth]) == (0.0, 1.5)
        assert dividend.taken.split[june, third] == 2.0  # mended before, and not again


def by_row(history: History) -> list[object]:
    """What the stretches of the last sessions say of each."""
    row = history.row(pd.Timestamp(CUT))
    stretches = history.stretches(range(row - 30, row + 1))
    cuts = [(part.cut.of(pd.Timestamp(CUT)), part.rows) for part in stretches]
    return [[index, cut.market.at(index), cut.cube.values[index]] for cut, rows in cuts for index in rows]


def of_cut(history: History) -> list[object]:
    """What the cut that serves the session says of it."""
    cut, row = history.cut_for(pd.Timestamp(CUT)), history.row(pd.Timestamp(CUT))
    return [cut.panel.until(CUT), cut.cube.until(CUT), cut.labels.until(row), cut.market.at(row)]


STORED = "all that is stored, to be cut"
CLOCK = "the wall clock at which each home was made"
NOT_COMPARED: dict[type, dict[str, str]] = {
    SessionView: {"decided_at": CLOCK},
    Cut: {
        "action_versions": STORED,
        "bars_are_published": "whether what is published is what was known",
        "of": "walked itself",
        "decided_at": CLOCK,
        "stored_cube": STORED,
    },
    History: {
        "view": "walked itself",
        "of": "no reader",
        "require_live": "no reader",
        "require_bars": "no reader",
        "clock_fault": "what is wrong now",
        "covering": "what is published now",
        "halted_as_now": "what is known now of halts, which the gate goes by",
        "bars_expected": "as halted_as_now",
        "publication": "what is published now",
        "decision_moments": CLOCK,
        "published_at": CLOCK,
        **dict.fromkeys(
            [
                *("action_versions", "axis", "gate_halts", "live_sessions", "membership_versions", "published_bars"),
                *(
                    "detail_versions",
                    "halt_versions",
                    "raw_versions",
                    "series_versions",
                    "stored_versions",
                    "symbols",
                    "versions_of_some",
                ),
            ],
            STORED,
        ),
    },
}
WITH_ARGUMENTS: dict[type, dict[str, Callable[[Any], object]]] = {
    SessionView: {
        "series": lambda view: [view.series(name) for name in ("fear", "funding")],
        "market_on": lambda view: [view.market_on(day) for day in view.sessions[-3:]],
    },
    Cut: {"compute_cube": lambda cut: [cut.compute_cube(), cut.compute_cube(cut.sessions[-9])]},
    History: {
        "any_before_a_halt": lambda history: history.any_before_a_halt(history.raw_versions.iloc[:1]),
        "compared_until": lambda history: history.compared_until(pd.Timestamp(CUT, tz="UTC")),
        "cut_for": of_cut,
        "decided_at": lambda history: history.decided_at(pd.Timestamp(CUT)) is not None,
        "members": lambda history: history.members(history.sessions(CUT), SYMBOLS),
        "halted": lambda history: history.halted(history.sessions(CUT), SYMBOLS),
        "row": lambda history: history.row(pd.Timestamp(CUT)),
        "sessions": lambda history: history.sessions(CUT),
        "symbols_on": lambda history: history.symbols_on(pd.Timestamp(CUT)),
        "stretches": by_row,
        "with_decided_since": lambda history: history.with_decided_since().decided_at(pd.Timestamp(CUT)) is not None,
    },
}
SERVED: dict[type, Callable[[History], object]] = {
    SessionView: lambda history: history.view(pd.Timestamp(CUT)),
    Cut: lambda history: Cut(history, pd.Timestamp(CUT)).of(pd.Timestamp(CUT)),
    History: lambda history: history,
}
BOOKKEEPING = ["settings_hash", "study_id", "data_hash", "sequence", "recorded_at", "run_id", "ingested_at", "version"]


def readers() -> list[tuple[type, str]]:
    """Every public name of a view, of the cut it is made of and of the history that serves both."""
    named = [(of, name) for of in SERVED for name in (*NOT_COMPARED[of], *WITH_ARGUMENTS[of])]
    assert all(hasattr(of, name) for of, name in named)
    public = [(of, name) for of in SERVED for name in sorted(dir(of)) if not name.startswith("_")]
    return [(of, name) for of, name in public if name not in NOT_COMPARED[of]]


def content(value: object) -> object:
    """A value taken apart into plain parts that can be compared."""
    if isinstance(value, pd.DataFrame):
        return {name: content(value[name].to_numpy()) for name in value if name not in BOOKKEEPING}
    if isinstance(value, pd.Series):
        return {name: content(part) for name, part in value.items() if name not in (*BOOKKEEPING, "known_at")}
    if isinstance(value, pd.DatetimeIndex):
        return content(value.to_numpy())
    if isinstance(value, np.ndarray):
        return value.shape, str(value.dtype), value.tobytes() if value.dtype != object else [str(x) for x in value]
    if is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        return {name: content(part) for name, part in parts.items() if not callable(part)}
    if isinstance(value, dict):
        return {str(key): content(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [content(part) for part in value]
    return str(value)


@pytest.fixture(scope="module")
def histories(ends_before: Lived, goes_on: Lived) -> Iterator[list[tuple[Path, History]]]:
    """Both histories, opened once: what a reader keeps, the next one reads."""
    with ExitStack() as stack:
        opened = []
        for lived in (ends_before, goes_on):
            with living_in(lived.home):
                opened.append((lived.home, stack.enter_context(open_history(strategy()))))
        yield opened


@pytest.mark.parametrize(("of", "name"), readers())
def test_nothing_later_than_its_moment_can_be_had(histories: list[tuple[Path, History]], of: type, name: str) -> None:
    parts = []
    for home, history in histories:
        with living_in(home):
            served = SERVED[of](history)
            parts.append(content(WITH_ARGUMENTS[of].get(name, lambda owner: getattr(owner, name))(served)))
    assert parts[0] == parts[1]


def test_a_round_is_handed_no_row_after_its_session(
    ends_before: Lived, in_later: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one that says nothing: whatever a round calls gets the market cut at its session."""
    seen: list[tuple[str, pd.Timestamp]] = []

    def heard(name: str) -> None:
        plain = getattr(rounds, name)

        def recorded_call(*args: object, **named: object) -> object:
            for argument in args:
                if isinstance(argument, MarketView | Cube):
                    sessions = argument.sessions if isinstance(argument, Cube) else argument.panel.sessions
                    seen.append((name, sessions[-1]))
            return plain(*args, **named)

        monkeypatch.setattr(rounds, name, recorded_call)

    readers = ("session_state_before", "drift_references", "drift_watch", "late_actions", "programme_watch")
    for name in readers:
        heard(name)
    day = pd.Timestamp("2016-08-26")
    with open_history(strategy()) as history:
        assert history.cut_for(day).last > day  # the facts of the stretch go on
        context = recorded_context(history.stores.ledger.read("decisions", "known", day, day).iloc[0])
        rounds.play_live(history, history.view(day), context)
    assert sorted(seen) == sorted((name, day) for name in readers)


def arrays_of(value: object, at: str) -> Iterator[tuple[str, np.ndarray]]:
    """Every array that can be reached from a value, with the way to it: what properties make of it too."""
    if isinstance(value, np.ndarray):
        yield at, value
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from arrays_of(part, f"{at}[{index}]")
    elif is_dataclass(value) and not isinstance(value, type):
        made = [name for name in dir(type(value)) if isinstance(getattr(type(value), name), property | cached_property)]
        for name in [*value.__dataclass_fields__, *made]:
            if not name.startswith("_"):
                yield from arrays_of(getattr(value, name), f"{at}.{name}")


def test_no_array_of_a_view_or_of_the_cut_that_it_shares_can_be_written_to(in_later: Path) -> None:
    with open_history(strategy()) as history:
        view = history.view(pd.Timestamp(CUT))
        names = [name for of, name in readers() if of is SessionView]
        values = {name: WITH_ARGUMENTS[SessionView].get(name, attrgetter(name))(view) for name in names}
        cut = history.cut_for(pd.Timestamp(CUT))
        values |= {f"cut.{name}": getattr(cut, name) for name in ("panel", "labels", "market", "members", "cube")}
        arrays = dict(pair for name, value in values.items() for pair in arrays_of(value, name))
    assert len(arrays) > 60
    assert {"market.volatility", "labels.returns", "panel.adjustment.growth", "cut.market.regimes.rising"} <= set(
        arrays
    )
    assert [at for at, array in arrays.items() if array.flags.writeable] == []


def test_a_cut_made_later_has_the_rows_of_one_made_before(ends_before: Lived) -> None:
    with living_in(ends_before.home), open_history(strategy()) as history:
        row = history.row(pd.Timestamp("2016-07-29"))
        before, after = (Cut(history, pd.Timestamp(day)) for day in ("2016-07-29", CUT))
        walked = 0
        for name in ("panel", "cube", "market", "members"):
            ours, theirs = (dict(arrays_of(getattr(cut, name), name)) for cut in (before, after))
            assert set(ours) == set(theirs)
            for at in ours:
                if "backward" not in at:  # what display alone reads: every action rewrites its past
                    assert theirs[at][: row + 1].tobytes() == ours[at].tobytes(), at
                    walked += 1
        assert walked > 30
        targets, later = before.labels.targets, after.labels.targets[: row + 1]
        assert after.labels.until(row).targets.tobytes() == targets.tobytes()
        assert np.isfinite(later).sum() > np.isfinite(targets).sum()  # those realised in August


@pytest.mark.parametrize("name", ["bars", "actions", "published_actions"])
def test_what_is_written_into_a_frame_of_a_view_no_other_view_sees(in_later: Path, name: str) -> None:
    with open_history(strategy()) as history:
        changed, before = (getattr(history.view(pd.Timestamp(CUT)), name) for _ in range(2))
        column = changed.select_dtypes("number").columns[0]
        changed.loc[:, column] = 9.0
        assert not before.equals(changed)
        assert getattr(history.view(pd.Timestamp(CUT)), name).equals(before)


def test_a_view_shows_no_market_of_a_later_session(in_later: Path) -> None:
    with open_history(strategy()) as history:
        view = history.view(pd.Timestamp(CUT))
        with pytest.raises(SchemaError, match="to 2016-08-31"):
            view.market_on(pd.Timestamp("2016-09-01"))


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        ("2016-09-26", "the last that may be seen"),
        ("2016-09-03", "a session of XNYS"),
        ("2015-05-29", "from 2015-06-01"),
    ],
)
def test_a_view_of_a_session_that_is_not_closed_or_none_is_refused_by_name(
    in_later: Path, session: str, expected: str
) -> None:
    with open_history(strategy()) as history, pytest.raises(DecisionError, match=expected):
        history.view(pd.Timestamp(session))


@pytest.mark.full
def test_a_view_of_a_session_that_nothing_published_covers_is_refused_by_name(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_home(home, CUT, late=False)
    with living_in(home):
        with open_history(strategy()) as history, pytest.raises(PublicationError, match="2016-08-31"):
            history.view()
        take_in(strategy())
        settings = yaml.safe_load((home / "strategies" / "known.yaml").read_text(encoding="utf-8"))
        settings["market"]["history_ends"] = "2016-09-01"
        (home / "strategies" / "known.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        with open_history(strategy()) as history:
            assert str(history.view(pd.Timestamp(CUT)).session.date()) == CUT
            with pytest.raises(PublicationError, match="2016-09-01"):
                history.view()


def tight(strategy: Strategy) -> Strategy:
    """The same strategy with breakers that latch within weeks, and are reset by the replay after eight sessions."""
    limits = {
        "drawdown_limit_fraction": 0.004,
        "weekly_loss_limit_fraction": 0.003,
        "session_loss_limit_fraction": 0.002,
        "replay_reset_sessions": 8,
    }
    return strategy.model_copy(update={"portfolio": strategy.portfolio.model_copy(update=limits)})


@pytest.mark.full
def test_a_study_in_many_stretches_of_equal_facts_is_the_study_in_one(
    ends_before: Lived, monkeypatch: pytest.MonkeyPatch
) -> None:
    def split(self: History, rows: Iterable[int]) -> Iterator[Stretch]:
        for stretch in plain(self, rows):
            for start in range(stretch.rows[0], stretch.rows[-1] + 1, 5):
                yield Stretch(stretch.number, range(start, min(start + 5, stretch.rows[-1] + 1)), stretch.cut)

    plain = History.stretches
    with living_in(ends_before.home), open_history(strategy()) as history:
        material = studies.material_until(history, LAST_MONTH)
        whole = run_study(tight(strategy()), 252, material, Terms(trials=3))
        monkeypatch.setattr(History, "stretches", split)
        parts = run_study(tight(strategy()), 252, studies.material_until(history, LAST_MONTH), Terms(trials=3))
    released = [done.session for done in whole.replays["network"].rounds if done.released]
    assert released, "no breaker latched for long enough to be reset"
    for name, track in whole.track.tracks.items():
        for part in ("net", "gross", "turnover"):
            expected, got = getattr(track, part), getattr(parts.track.tracks[name], part)
            # The yardstick's wealth is carried over, which costs a last digit; a book is the same to the bit.
            tolerance = 1e-14 if name == "buy_and_hold" else 0.0
            np.testing.assert_allclose(got, expected, rtol=0.0, atol=tolerance)
    assert np.array_equal(whole.track.targets, parts.track.targets, equal_nan=True)


@pytest.mark.full
def test_estimators_that_forecast_alike_earn_alike(ends_before: Lived) -> None:
    """One rule for every estimator: nothing but its forecasts, and what they are watched against, makes it another."""
    with living_in(ends_before.home), open_history(strategy()) as history:
        material = studies.material_until(history, LAST_MONTH)
        for leader in USUAL:
            forecasts = replace(material.forecasts, estimators=dict.fromkeys(USUAL, material.forecasts[leader]))

            def known(leader: str = leader) -> Iterator[StudyStretch]:
                for known_month in material.known():
                    yield replace(known_month, references=dict.fromkeys(USUAL, known_month.references[leader]))

            done = run_study(
                strategy(), 252, replace(material, forecasts=forecasts, known=known), Terms(trials=3)
            ).replays
            network = done["network"]
            assert any(played.drift is not None and played.drift.statistics for played in network.rounds)
            assert np.nansum(network.track.turnover) > 0.0
            for other in done.values():
                assert other.track.net.tobytes() == network.track.net.tobytes()
                for one, two in zip(other.rounds, network.rounds, strict=True):
                    assert one.decision.target_quantity.tobytes() == two.decision.target_quantity.tobytes()
                    assert one.drift == two.drift


@pytest.mark.full
def test_features_are_of_the_facts_of_each_session_though_the_last_one_knew_less(own_home: Path) -> None:
    """A bar stated as known in May is stored after August was decided: only sessions never decided see it."""
    with open_history(strategy()) as history:
        raw = history.raw_versions
        bar = raw[(raw["symbol"] == "SIM01") & (raw["session"] == pd.Timestamp("2016-05-10"))].copy()
        prices = ["open", "high", "low", "close"]
        bar[prices] *= 1.04
        bar["known_at"] += pd.Timedelta(minutes=5)
        bar["ingested_at"] = pd.Timestamp.now(tz="UTC")
        history.stores.lake.append_segment("known", RAW_BARS, bar.reset_index(drop=True))
    with open_history(strategy()) as history:
        publish_bars(history, audit_bars(history), "test")
    with open_history(strategy()) as history:
        store_features(history)
    changed = []
    with open_history(strategy()) as history:
        for day in ("2016-05-31", "2016-08-19", "2016-08-22", CUT):
            cut = history.cut_for(pd.Timestamp(day))
            assert np.array_equal(cut.cube.values, cut.compute_cube().values, equal_nan=True), day
            close = history.view(pd.Timestamp(day)).panel.close[history.row(pd.Timestamp("2016-05-10")), 0]
            changed.append(bool(close > bar["close"].iloc[0] * 0.999))
        assert changed == [True, True, False, False]
        assert features_repeat_when_cut(history)[0] == []


def test_the_check_of_features_opens_those_that_are_stored(own_home: Path) -> None:
    with open_history(strategy()) as history:
        record = history.stores.lake.read_table("known", "features_record")
        stored = history.stores.lake.read_cube("known", "features", str(record["address"].iloc[0]))
        values = np.array(stored.values)
        values[200, 1, 0] += 1e-12
        forged = history.stores.lake.write_cube(
            "known", "features", Cube(stored.sessions, SYMBOLS, stored.names, values)
        )
        history.stores.lake.write_table("known", "features_record", record.assign(address=forged))
    with open_history(strategy()) as history:
        differing, cuts = features_repeat_when_cut(history)
        assert [line.split(":")[0] for line in differing] == [
            str(cut.date()) for cut in cuts if cut >= history.axis[200]
        ]
        assert differing


@pytest.mark.full
def test_features_made_with_another_series_are_not_read(own_home: Path) -> None:
    with open_history(strategy()) as history:
        before = np.array(history.view().cube.values)
    fear = own_home / "strategies" / "fear.csv"
    fear.write_text(fear.read_text(encoding="utf-8").replace("2016-08-29,", "2016-08-29,9"), encoding="utf-8")
    with open_history(strategy()) as history:
        ingest_series(history, own_home / "strategies")
    with open_history(strategy()) as history:
        cut = history.cut_for(history.last_session)
        assert np.array_equal(cut.cube.values, cut.compute_cube().values, equal_nan=True)
        assert cut.cube.values.shape == before.shape


def deliver_dividend(folder: Path) -> None:
    with (folder / "actions.csv").open("a", encoding="utf-8") as file:
        file.write("SIM04,2016-08-26,dividend,2.5,2016-08-25T12:00:00Z\n")


def deliver_bar(folder: Path) -> None:
    bar = restated(bars_until(CUT), "SIM01", "2016-05-10", 1.04, "2016-05-10T20:20:00Z")
    bar.to_csv(folder / "bars" / "b_bar.csv", index=False, date_format="%Y-%m-%d")


@pytest.mark.parametrize("deliver", [deliver_dividend, deliver_bar])
def test_what_is_stored_after_a_decision_changes_nothing_that_it_read(
    own_home: Path, deliver: Callable[[Path], None]
) -> None:
    """Known by then, says its file; but no decision had it, and features are stored with it since."""

    def read(history: History) -> object:
        view = history.view(pd.Timestamp(CUT))
        return content([view.data_hash, view.actions, view.bars.drop(columns=["source"]), view.panel, view.cube])

    with open_history(strategy()) as history:
        before = read(history)
        undecided = content(history.view(pd.Timestamp("2016-08-19")).panel)
    deliver(own_home / "strategies")
    take_in(strategy())
    with open_history(strategy()) as history:
        assert read(history) == before
        cut = history.cut_for(pd.Timestamp(CUT))
        assert content(cut.stored_cube) != content(cut.cube)
        seen = content(history.view(pd.Timestamp("2016-08-19")).panel) != undecided
        assert seen == (deliver is deliver_bar)  # a session that nobody decided sees what is of its days


def test_records_of_after_a_decision_are_not_in_force_on_it(own_home: Path) -> None:
    """A study of July, a model of August and a cost model, all put on record once the last session was decided."""
    day, july = pd.Timestamp(CUT), {"month": "2016-07"}
    put_on_record_afterwards()
    with open_history(strategy()) as history:
        ledger = history.stores.ledger
        study = ledger.read("studies", "known", where=july).iloc[-1].to_dict() | {"study_id": "later"}
        models, in_force = ledger.read("models", "known"), models_in_force(ledger, strategy()).on(day)
        model = models[models["model_id"] != in_force].iloc[-1].to_dict()
        model |= {"month": "2016-08", "effective_session": day}
        for table, row in (("studies", study), ("models", model)):
            ledger.append(table, [row], run_id="test", strategy="known")
        assert latest_study(ledger, strategy(), "2016-08")["study_id"] == "later"
        assert models_in_force(ledger, strategy()).on(day) == model["model_id"]
        assert costs_in_force(ledger, "known").on(day) == "dear"
    with open_history(strategy()) as history:
        view, decided = history.view(day), history.stores.ledger.read("decisions", "known", day, day).iloc[0]
        assert (view.model_id, view.study["study_id"]) == (decided["model_id"], decided["study_id"])
        assert view.study["month"] == "2016-07"  # of the months studied, the last that was over
        assert view.cost_model_id is None
        assert view.costs.half_spread.value == pytest.approx(0.5e-4)


@pytest.mark.parametrize("changed", [{"symbols": SYMBOLS[:-1]}, {"adjustment_convention": "ex_close"}])
def test_features_made_for_other_market_settings_are_not_read(own_home: Path, changed: dict[str, object]) -> None:
    original = strategy()
    market = original.market.model_copy(update=changed)
    with open_history(original.model_copy(update={"market": market})) as history:
        cut = history.cut_for(history.last_session)
        assert cut.cube.symbols == history.symbols
        assert np.array_equal(cut.cube.values, cut.compute_cube().values, equal_nan=True)


@pytest.mark.full
def test_one_choice_over_all_folds_leaves_the_models_and_counts_only_what_comes_after_it(own_home: Path) -> None:
    file = own_home / "strategies" / "known.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["learning"] |= {"prior": "chosen_over_all_folds", "knows_until": "2016-07-29"}
    with open_history(strategy()) as history:
        before = history.stores.ledger.read("models", "known")
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    done = study(strategy(), months_between(FIRST_MONTH, LAST_MONTH))
    with open_history(strategy()) as history:
        after = history.stores.ledger.read("models", "known")
        reasons = [str(figures["reason"]) for figures in history.stores.ledger.read("studies", "known")["figures"]]
        frames = studies.track_frames(done.study, [FIRST_MONTH, LAST_MONTH])
    assert list(after["model_id"]) == list(before["model_id"])
    assert done.last.verdict.reason.endswith("in-sample up to 2016-07-29, which counts for nothing")
    assert done.last.verdict.reason in reasons
    counted = done.study.figures.total["network"]
    assert (counted.first_session, counted.last_session) == ("2016-08-01", CUT)
    # What was earned before it is still there to be looked at.
    assert frames[FIRST_MONTH]["net_return"].notna().all()
