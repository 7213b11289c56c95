"""A universe: on a session only its members are forecast and held, and what is unseen is stated.

Dagster plays what its assets state and what a faulty file stops; all else is played by the operations they call.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from nn_assets.errors import GateHalted, SourceError
from nn_assets.evaluation import study as evaluation_study
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations import cut, study
from nn_assets.operations.asof.forecasts import FORECASTS
from nn_assets.operations.asof.universe import UNIVERSE, unseen_members
from nn_assets.operations.decisions import lookahead, rounds
from nn_assets.operations.history import History, open_history
from nn_assets.operations.intake.bars import audit_bars, ingest_bars
from nn_assets.operations.intake.universe import ingest_universe
from nn_assets.operations.models import stored as models
from nn_assets.operations.study_page import keep_study, study_plots, write_study_page
from nn_assets.orchestration.build import all_definitions
from nn_assets.orchestration.naming import asset_key
from nn_assets.sources.simulated import SimulatedSource
from nn_assets.store.lake.lake import Lake
from tests.operations import homes
from tests.orchestration.conftest import (
    FIRST_LIVE,
    LAST,
    NAME,
    failures_of,
    living_in,
    recorded,
    run_assets,
    strategy_of,
    write_strategy,
)

pytestmark = pytest.mark.slow

JOINED, LEFT = "2017-03-01", "2017-06-26"
LEAVER = "SIM01"
MEMBERS = f"""ticker,start_date,end_date
SIM01,2010-01-04,{LEFT}
SIM02,2010-01-04,
SIM03,2010-01-04,
SIM04,2010-01-04,
SIM05,{JOINED},
SIM6,2010-01-04,
GONE,2010-01-04,2016-05-02
NEVER,2010-01-04,
"""


def prepare(home: Path, members: str = MEMBERS) -> None:
    file = write_strategy(home)
    section = "universe:\n  path: members.csv\n  renamed: {SIM06: SIM6}\n"
    file.write_text(file.read_text(encoding="utf-8") + section, encoding="utf-8")
    (home / "strategies" / "members.csv").write_text(members, encoding="utf-8")


DAYS = sessions_between("XNYS", "2016-01-04", LAST)
LIVE = sessions_between("XNYS", FIRST_LIVE, "2017-06-27")  # one after the leaver left
MONTHS = homes.months_between("2017-01", "2017-06")
DECISION = {
    "session": pd.Timestamp("2017-06-29"),
    "data_hash": "-",
    "model_id": "-",
    "code_version": "-",
    "settings_hash": "-",
    "content_hash": "-",
    "details": {},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("universe")
    prepare(home)
    with living_in(home):
        homes.take_in(strategy_of())
        homes.train(strategy_of(), MONTHS)
        homes.decide(strategy_of(), LIVE)
    return home


@pytest.fixture
def home(built: Path, tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(built, tmp_path / "home")
    with living_in(tmp_path / "home"):
        yield tmp_path / "home"


def test_no_forecast_is_made_of_a_symbol_before_it_joined_or_after_it_left(home) -> None:
    with open_history(strategy_of()) as history:
        lake = history.stores.lake
        forecasts = lake.read_months(NAME, FORECASTS, list(lake.months(NAME, FORECASTS)))
    by_symbol = forecasts.groupby("symbol")["session"]
    first, last = by_symbol.min(), by_symbol.max()
    assert first["SIM05"] == pd.Timestamp(JOINED)
    assert last[LEAVER] == pd.Timestamp("2017-06-23")
    assert set(by_symbol.groups) == {f"SIM0{number}" for number in range(1, 7)}
    assert first["SIM06"] == first["SIM02"] < pd.Timestamp(JOINED)  # found under its other ticker
    signals = recorded(home, "signals")
    assert signals.groupby("symbol")["session"].max()[LEAVER] == pd.Timestamp("2017-06-23")


def test_a_row_of_a_symbol_that_is_no_member_has_no_label(home) -> None:
    with open_history(strategy_of()) as history:
        panel = history.view().panel
        labels = history.view().labels
    column, row = panel.symbols.index("SIM05"), panel.row(JOINED)
    assert np.isnan(labels.targets[:row, column]).all()
    assert np.isfinite(labels.targets[row : row + 20, column]).all()


def test_market_and_drift_are_measured_over_members_live_in_replay_and_in_the_study(home, monkeypatch) -> None:
    seen: dict[str, list[tuple[object, ...]]] = {"market_view": [], "drift_watch": [], "model_references": []}

    def heard(module: object, name: str) -> None:
        plain = getattr(module, name)

        def recorded_call(*args: object, **named: object) -> object:
            seen[name].append((*args, *named.values()))
            return plain(*args, **named)

        monkeypatch.setattr(module, name, recorded_call)

    heard(cut, "market_view")
    for module in (rounds, evaluation_study):
        heard(module, "drift_watch")
    heard(models, "model_references")
    strategy = strategy_of()
    shutil.rmtree(Lake().folder(NAME, models.REFERENCES))  # kept from the run before: to be made again
    with open_history(strategy) as history:
        members = history.view().members
        assert members is not None
        assert not members.all()
        assert rounds.decide_session(history, LIVE[-1], "again").already_decided
    with open_history(strategy) as history:
        assert lookahead.decisions_repeat_in_replay(history)[1] == []
    with open_history(strategy) as history:
        material = study.material_until(history, JOINED[:7])
        evaluation_study.run_study(strategy, 252, material, evaluation_study.Terms(trials=1))
    assert [len(calls) >= least for calls, least in zip(seen.values(), (3, 3, 1), strict=True)] == [True] * 3
    for panel, _, candidates, *_ in seen["market_view"]:
        np.testing.assert_array_equal(candidates, members[: panel.session_count])
    for cube, *_ in seen["drift_watch"]:
        assert np.isnan(cube.values[~members[: cube.session_count]]).all()
    for _, cube, *_, candidates in seen["model_references"]:
        np.testing.assert_array_equal(candidates, members[: cube.session_count])


@pytest.mark.full
def test_a_held_symbol_that_leaves_is_closed(home) -> None:
    targets = recorded(home, "target_positions")
    leaver = targets[targets["symbol"] == LEAVER].set_index("session")
    assert leaver.loc["2017-06-23", "target_quantity"] != 0.0
    after = leaver.loc[LEFT:]
    assert (after["target_quantity"] == 0.0).all()
    held = recorded(home, "holdings")
    closed = held[(held["symbol"] == LEAVER) & (held["session"] > pd.Timestamp(LEFT))]
    assert (closed["quantity"] == 0.0).all()


@pytest.mark.full
def test_the_study_states_year_by_year_how_many_members_it_could_not_see(home) -> None:
    studied = homes.study_stored(strategy_of(), MONTHS)
    with open_history(strategy_of()) as history:
        keep_study(history, studied, study_plots(studied))
        page = write_study_page(history).read_text(encoding="utf-8")
    assert "2 of 7 in 2016; 1 of 7 in 2017" in page
    result = run_assets(strategy_of(), "tables", ("universe_membership", "raw_bars", "validated_bars"))
    for asset in ("raw_bars", "validated_bars"):
        metadata = result.asset_materializations_for_node(f"tiny__{asset}")[0].metadata
        assert "| 2016 | 7 | 2 |" in metadata["members_without_bars"].value
    metadata = result.asset_materializations_for_node("tiny__universe_membership")[0].metadata
    assert (metadata["added"].value, metadata["members"].value) == (0, 6)
    assert metadata["renamed"].value == "SIM06 is SIM6"


@pytest.mark.full
def test_an_end_told_after_the_decisions_leaves_them_as_they_were(home) -> None:
    ended = MEMBERS.replace("SIM02,2010-01-04,", "SIM02,2010-01-04,2017-06-22")
    (home / "strategies" / "members.csv").write_text(ended, encoding="utf-8")
    homes.take_in(strategy_of())
    with open_history(strategy_of()) as history:
        labels = history.view().labels
    again = homes.decide(strategy_of(), LIVE)  # a different decision would be refused
    assert all(done.already_decided for done in again)
    assert labels.candidates is not None
    assert labels.candidates[:, 1].all()


def test_a_spell_that_comes_after_a_decision_counts_from_its_arrival(empty_home) -> None:
    prepare(empty_home)
    with open_history(strategy_of()) as history:
        ingest_universe(history, empty_home / "strategies")
        history.stores.ledger.append("decisions", [DECISION], run_id="test", strategy=history.strategy.name)
        (empty_home / "strategies" / "members.csv").write_text(f"{MEMBERS}LATE,{JOINED},\n", encoding="utf-8")
        ingest_universe(History.of(history.stores, history.strategy), empty_home / "strategies")
        spells = history.stores.lake.read_segments(history.strategy.name, UNIVERSE)
    late = spells[spells["symbol"] == "LATE"].iloc[0]
    assert late["known_at"] == late["ingested_at"]


def take_universe(home: Path) -> None:
    with open_history(strategy_of()) as history:
        ingest_universe(history, home / "strategies")


def test_a_file_that_was_cut_off_is_refused_and_nothing_of_it_is_stored(empty_home) -> None:
    prepare(empty_home)
    take_universe(empty_home)
    prepared = (empty_home / "strategies" / "tiny.yaml").read_text(encoding="utf-8")
    cut = MEMBERS[: MEMBERS.index("SIM04")] + f"NEW,{JOINED},\n"
    (empty_home / "strategies" / "members.csv").write_text(cut, encoding="utf-8")
    with pytest.raises(SourceError) as refused:
        take_universe(empty_home)
    message = str(refused.value)
    for part in (
        "members.csv",
        "lacks 5 of 8 spells on record",
        "GONE, NEVER, SIM04, SIM05, SIM6",
        "at least 0.95 of the spells",
    ):
        assert part in message
    with open_history(strategy_of()) as history:
        spells = history.stores.lake.read_segments("tiny", UNIVERSE)
        before = history.strategy.content_hash()
    assert len(spells) == 8
    assert "NEW" not in set(spells["symbol"])
    raised = prepared.replace("  path: members.csv\n", "  path: members.csv\n  max_retired_fraction: 0.7\n")
    (empty_home / "strategies" / "tiny.yaml").write_text(raised, encoding="utf-8")
    take_universe(empty_home)
    with open_history(strategy_of()) as history:
        assert len(history.stores.lake.read_segments("tiny", UNIVERSE)) == 8 + 5 + 1
        assert history.strategy.content_hash() == before  # a limit of what is read changes no result


def test_a_faulty_file_fails_before_any_bar_is_taken_in(empty_home) -> None:
    prepare(empty_home, MEMBERS + "SIM02,2012-01-04,\n")
    result = run_assets(strategy_of(), "tables", ("universe_membership", "raw_bars"))
    assert list(failures_of(result)) == ["tiny__universe_membership"]
    assert "spells_do_not_overlap" in failures_of(result)["tiny__universe_membership"]
    assert not (empty_home / "lake" / "tiny" / "raw_bars").exists()


@pytest.mark.full
@pytest.mark.parametrize(("ends", "halts"), [("2017-04-03", False), ("", True)])
def test_bars_of_a_symbol_that_left_are_no_longer_due_and_those_of_a_member_are(empty_home, ends, halts) -> None:
    prepare(empty_home, f"symbol,from,to\nSIM01,2010-01-04,\nSIM02,2010-01-04,\nSIM03,2010-01-04,{ends}\n")
    file = empty_home / "strategies" / "tiny.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["source"] = {"kind": "files", "path": "bars.csv"}
    del settings["market"]["symbols"]
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    market = SimulatedSource(calendar="XNYS", history_starts=date(2016, 1, 4), seed=5)
    bars = market.bars(("SIM01", "SIM02", "SIM03"), pd.Timestamp("2016-01-04"), pd.Timestamp("2017-06-30"))
    gone = (bars["symbol"] == "SIM03") & (bars["session"] >= "2017-04-03")
    bars[~gone].drop(columns="source").to_csv(empty_home / "strategies" / "bars.csv", index=False)
    refused = pytest.raises(GateHalted, match="SIM03 2017-06-30: missing_symbols") if halts else nullcontext()
    with refused:
        homes.take_in(strategy_of())


def test_bars_wait_for_the_universe(empty_home) -> None:
    prepare(empty_home)
    graph = all_definitions().resolve_asset_graph()
    for asset in ("raw_bars", "features"):
        assert asset_key(strategy_of(), "universe_membership") in graph.get(asset_key(strategy_of(), asset)).parent_keys


@pytest.mark.full
def test_five_years_of_122_stocks_state_how_many_members_of_the_index_they_lack(empty_home, shared_data) -> None:
    file = write_strategy(empty_home, market={"history_starts": "2013-02-08", "history_ends": "2018-02-07"})
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    del settings["market"]["symbols"], settings["market"]["live_starts"]
    settings["source"] = {"kind": "files", "path": str(shared_data / "sp500_5yr")}
    settings["universe"] = {
        "path": str(shared_data / "sp500_membership" / "sp500_ticker_start_end.csv"),
        "name": "sp500",
        "renamed": {"HCN": "WELL", "LUK": "JEF", "PCLN": "BKNG"},
    }
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    with open_history(strategy_of()) as history:
        ingest_universe(history, file.parent)
        ingest_bars(history, file.parent)
    with open_history(strategy_of()) as history:
        audited = audit_bars(history)
        audited.report.raise_if_failed()
        bars = audited.cleaned.bars
        unseen = unseen_members(history.strategy, history.membership_versions, bars, history.axis)
    # By ticker alone 420 of 515 in 2013; three of them traded under another ticker then.
    assert unseen.set_index("year").loc[2013].tolist() == [515, 417]
    assert audited.report.figures["symbols"] == 122


@pytest.mark.full
def test_a_spell_that_begins_in_the_vault_is_stored_when_it_opens(empty_home) -> None:
    prepare(empty_home, MEMBERS + "LATER,2017-04-03,\n")
    file = empty_home / "strategies" / "tiny.yaml"
    open_file = file.read_text(encoding="utf-8")
    sealed = open_file.replace("history_starts:", "vault_starts: '2017-02-01'\n  history_starts:", 1)
    file.write_text(sealed.replace(f"  live_starts: '{FIRST_LIVE}'\n", ""), encoding="utf-8")
    members = []
    for text in (None, open_file):
        if text is not None:
            file.write_text(text, encoding="utf-8")
        with open_history(strategy_of()) as history:
            for _ in range(2):
                history = History.of(history.stores, history.strategy)
                counted = ingest_universe(history, file.parent)
            assert (counted.added, counted.revised) == (0, 0)
            members.append(History.of(history.stores, history.strategy).members(DAYS, ("SIM05", "LATER", "SIM02")))
            starts = history.stores.lake.read_segments("tiny", UNIVERSE)["member_from"]
            assert (starts.max() < pd.Timestamp("2017-02-01")) == (text is None)
    expected = np.stack([DAYS >= JOINED, DAYS >= "2017-04-03", DAYS >= "2010-01-04"], axis=1)
    assert np.array_equal(members[1], expected)
    assert np.array_equal(members[0], expected & [False, False, True])
    # Sealed later, it keeps what was told before: nothing is retired.
    file.write_text(sealed.replace(f"  live_starts: '{FIRST_LIVE}'\n", ""), encoding="utf-8")
    with open_history(strategy_of()) as history:
        counted = ingest_universe(history, file.parent)
    assert (counted.added, counted.revised) == (0, 0)
