"""Bad data halt at the gate: nothing downstream runs then or later, and what was published stays in force.

Dagster plays one fault, a failed review and a warning; all else is played by the operations that its assets call.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import dagster as dg
import pandas as pd
import pytest

from nn_assets.cli.runs import run_rounds
from nn_assets.cli.status import report
from nn_assets.errors import GateHalted, PublicationError, RunFailed, SourceError
from nn_assets.market.quality.overview import Overview, overview
from nn_assets.operations.asof.models import models_in_force
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.decisions.rounds import DecidedSession, decide_session
from nn_assets.operations.facts import RAW_BARS
from nn_assets.operations.features import store_features
from nn_assets.operations.history import open_history
from nn_assets.operations.intake import bars as intake_bars
from nn_assets.operations.intake import data_docs
from nn_assets.operations.intake.bars import audit_bars
from nn_assets.orchestration.assets.daily import ROUND_ASSETS
from nn_assets.orchestration.instance import open_instance
from nn_assets.sources.simulated import SimulatedSource
from nn_assets.store.home import data_docs_file
from tests.forks import ended
from tests.operations.homes import decide, months_between, publish, take_in, train
from tests.orchestration.conftest import (
    NAME,
    TINY,
    assert_same_decisions,
    clock_at,
    failures_of,
    living_in,
    recorded,
    row_counts,
    run_assets,
    strategy_of,
    write_strategy,
)

pytestmark = pytest.mark.slow

GOOD, BAD = "2017-06-22", "2017-06-23"
MONTHS = months_between("2017-01", "2017-06")
AFTER_GOOD, AFTER_BAD = f"{GOOD} 23:00", f"{BAD} 23:00"


def bars_until(session: str) -> pd.DataFrame:
    symbols = TINY["market"]["symbols"]
    source = SimulatedSource("XNYS", pd.Timestamp("2016-01-04").date(), seed=5, planted_rank_ic=0.3)
    return source.bars(tuple(symbols), None, pd.Timestamp(session)).drop(columns="source")  # type: ignore[arg-type]


def deliver(home: Path, bars: pd.DataFrame) -> None:
    bars.to_csv(home / "strategies" / "bars.csv", index=False)


@pytest.fixture(scope="module")
def published_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home fed from a CSV file, with two sessions decided on good data."""
    home = tmp_path_factory.mktemp("files")
    write_strategy(
        home,
        source={"kind": "files", "path": "bars.csv", "seed": None, "planted_rank_ic": None},
        market={"history_ends": None},
    )
    deliver(home, bars_until(GOOD))
    with living_in(home), clock_at(AFTER_GOOD):
        take_in(strategy_of(), review=True)
        train(strategy_of(), MONTHS)
        decide(strategy_of(), [pd.Timestamp("2017-06-21"), pd.Timestamp(GOOD)])
    return home


def play(session: str) -> DecidedSession:
    """The round of a session without Dagster: its operations, from the delivered file to the decision."""
    take_in(strategy_of(), review=True)
    (decided,) = decide(strategy_of(), [pd.Timestamp(session)])
    return decided


@dataclass(frozen=True)
class Fed:
    """A copy of that home, the evening after the next session."""

    home: Path
    rows_before: dict[str, int]


@contextmanager
def feeding(published_home: Path, folder: Path) -> Iterator[Fed]:
    home = folder / "home"
    shutil.copytree(published_home, home)
    with living_in(home), clock_at(AFTER_BAD):
        yield Fed(home, row_counts(home))


@pytest.fixture
def fed(published_home: Path, tmp_path: Path) -> Iterator[Fed]:
    with feeding(published_home, tmp_path) as fed:
        yield fed


def negative_prices() -> pd.DataFrame:
    bars = bars_until(BAD)
    broken = bars["session"] >= "2017-03-01"
    bars.loc[broken & (bars["symbol"] == "SIM02"), "close"] *= -1.0
    return bars


def stale() -> pd.DataFrame:
    return bars_until(GOOD)


def one_symbol_gone() -> pd.DataFrame:
    bars = bars_until(BAD)
    return bars[(bars["symbol"] != "SIM03") | (bars["session"] < "2017-01-01")]


FAULTS = {
    "negative_prices": (
        negative_prices,
        {"quarantined_share", "missing_symbols"},
        "SIM02 2017-03-01: non_positive_price, close -",
    ),
    "stale": (stale, {"freshness", "missing_symbols"}, "newest 2017-06-22"),
    "one_symbol_gone": (one_symbol_gone, {"missing_symbols"}, "SIM03 2017-06-23: missing_symbols"),
}


@dataclass(frozen=True)
class Halted:
    """The round of the next session that Dagster halted at the gate for a symbol that is gone."""

    fed: Fed
    error: RunFailed
    page_before: str


@pytest.fixture(scope="module")
def halted(published_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halted]:
    with feeding(published_home, tmp_path_factory.mktemp("halted")) as fed:
        page = data_docs_file(NAME).read_text()
        deliver(fed.home, one_symbol_gone())
        with pytest.raises(RunFailed, match="tiny__validated_bars failed") as caught:
            run_rounds(NAME, BAD)
    return Halted(fed, caught.value, page)


def test_through_dagster_a_fault_halts_the_run_and_every_later_one(halted: Halted, tmp_path: Path) -> None:
    _, failing, named = FAULTS["one_symbol_gone"]
    assert named in str(halted.error)
    home = tmp_path / "home"
    shutil.copytree(halted.fed.home, home)
    with living_in(home), clock_at(AFTER_BAD):
        with open_instance() as instance:
            events = instance.all_logs(str(halted.error.where["run"]))
        seen = [record.dagster_event for record in events if record.dagster_event is not None]
        kind = dg.DagsterEventType.ASSET_MATERIALIZATION
        materialised = {event.asset_key.path[1] for event in seen if event.event_type is kind and event.asset_key}
        assert materialised == {"raw_bars"}
        checks = [
            event.asset_check_evaluation_data
            for event in seen
            if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
        ]
        assert failing <= {check.check_name for check in checks if not check.passed}
        assert not {event.step_key for event in seen if event.is_step_start} & {"tiny__features", "tiny__daily_round"}

        with open_history(strategy_of()) as history:
            assert len(history.gate_halts) == 1  # on record: what it refused will be read by no decision

        # A later run of the day's assets alone, of which the gate is no part, is refused all the same.
        later = run_assets(strategy_of(), "daily", tuple(ROUND_ASSETS), BAD, BAD)
        (message,) = failures_of(later).values()
        assert "PublicationError" in message
        assert "a publication of 2016-01-04 to 2017-06-22" in message
        features = run_assets(strategy_of(), "daily", ("features",))
        assert "PublicationError" in failures_of(features)["tiny__features"]
        assert row_counts(home) == halted.fed.rows_before


@pytest.mark.full
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_halts_what_comes_after_the_gate_then_and_later(fed: Fed, fault: str) -> None:
    faulty, failing, named = FAULTS[fault]
    deliver(fed.home, faulty())
    with pytest.raises(GateHalted) as halted:
        take_in(strategy_of())
    assert named in str(halted.value)
    with open_history(strategy_of()) as history:
        assert failing <= {check.name for check in audit_bars(history).report.checks if not check.passed}
        with pytest.raises(PublicationError, match="a publication of 2016-01-04 to 2017-06-22"):
            decide_session(history, pd.Timestamp(BAD), "later")
        with pytest.raises(PublicationError):
            store_features(history)
    assert row_counts(fed.home) == fed.rows_before


@pytest.mark.full
def test_what_was_published_stays_readable_and_its_sessions_servable(fed: Fed, published_home: Path) -> None:
    deliver(fed.home, negative_prices())
    with pytest.raises(GateHalted):
        play(BAD)
    with open_history(strategy_of()) as history:
        served = history.view(GOOD).bars
        assert served["session"].max() == pd.Timestamp(GOOD)
        assert (served["close"] > 0.0).all()
        assert history.view(GOOD).cube.sessions[-1] == pd.Timestamp(GOOD)
        again = decide_session(history, pd.Timestamp(GOOD), "again")
        with pytest.raises(PublicationError, match="2017-06-23"):
            history.view(BAD)
        with pytest.raises(PublicationError, match="2017-06-23"):
            decide_session(history, pd.Timestamp(BAD), "again")
    assert again.already_decided
    assert row_counts(fed.home) == fed.rows_before
    pd.testing.assert_frame_equal(recorded(fed.home, "decisions"), recorded(published_home, "decisions"))


@pytest.mark.full
def test_mended_data_pass_and_the_session_is_decided(fed: Fed) -> None:
    deliver(fed.home, stale())
    with pytest.raises(GateHalted):
        play(BAD)
    deliver(fed.home, bars_until(BAD))
    assert not play(BAD).already_decided
    assert list(recorded(fed.home, "decisions")["session"].dt.strftime("%Y-%m-%d")) == ["2017-06-21", GOOD, BAD]
    with open_history(strategy_of()) as history:
        assert len(history.stores.publications.history(NAME)) == 2


def served(home: Path) -> tuple[int, list[float]]:
    """How often was published, and the closes served for the last good session."""
    with living_in(home), clock_at(AFTER_BAD), open_history(strategy_of()) as history:
        return len(history.stores.publications.history(NAME)), history.view(GOOD).bars["close"].tolist()


@pytest.mark.full
def test_when_the_review_of_the_data_set_fails_nothing_is_published(
    fed: Fed, published_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = served(published_home)
    deliver(fed.home, bars_until(BAD))

    def torn(*args: object) -> Overview:
        result = overview(*args)  # type: ignore[arg-type]
        return replace(result, symbols=result.symbols.drop(columns="completeness"))

    monkeypatch.setattr(data_docs, "overview", torn)
    with pytest.raises(RunFailed, match=r"complete_symbols.*stay in force[^\n]*\nstep tiny__validated_bars failed"):
        run_rounds(NAME, BAD)
    assert served(fed.home) == before
    assert row_counts(fed.home) == fed.rows_before
    monkeypatch.undo()
    with living_in(fed.home), clock_at(AFTER_BAD):
        assert not play(BAD).already_decided


@pytest.mark.full
@pytest.mark.parametrize(("module", "name"), [(intake_bars, "inspect"), (data_docs, "validate_overview")])
def test_killed_in_the_audit_the_last_publication_serves_and_a_rerun_publishes(
    fed: Fed, published_home: Path, tmp_path: Path, module: ModuleType, name: str
) -> None:
    before = served(published_home)
    deliver(fed.home, bars_until(BAD))

    def die_in_the_audit() -> None:
        setattr(module, name, lambda *args, **kwargs: os._exit(9))
        strategy_file = find_strategy(NAME)
        with open_history(strategy_file.strategy) as history:
            intake_bars.ingest_bars(history, strategy_file.folder)
            data_docs.review_bars(history, audit_bars(history))

    error_file = tmp_path / "told.txt"
    assert ended(die_in_the_audit, error_file) == 9, error_file.read_text()
    assert served(fed.home) == before
    assert row_counts(fed.home) == fed.rows_before
    with living_in(fed.home), clock_at(AFTER_BAD):
        assert not play(BAD).already_decided
    assert served(fed.home) == (before[0] + 1, before[1])


@pytest.mark.full
def test_data_docs_are_written_though_the_gate_halts_and_the_status_names_them(halted: Halted) -> None:
    assert "passed" in halted.page_before
    with living_in(halted.fed.home), clock_at(AFTER_BAD):
        file = halted.fed.home / "reports" / "tiny-data-docs.html"
        page = file.read_text()
        assert "halted" in page
        assert "SIM03" in page
        assert "missing_symbols: 1 of 6 symbols" in page
        result = report(NAME)
    assert result["strategies"][NAME]["data_docs"] == str(file)
    assert str(file) in result["text"]


def test_data_docs_that_cannot_be_written_are_told_and_keep_nothing_from_being_decided(
    fed: Fed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(data_docs, "replace_file", full)
    deliver(fed.home, bars_until(BAD))
    assert not play(BAD).already_decided
    assert f"data docs of {NAME} not written (OSError(28, 'No space left on device'))" in caplog.text


@pytest.mark.full
def test_what_only_the_review_finds_is_a_warning_and_the_session_is_decided(fed: Fed) -> None:
    bars = bars_until(BAD)
    late = bars["session"] > "2017-05-26"
    bars.loc[late, "volume"] *= 50.0
    deliver(fed.home, bars)
    result = run_assets(strategy_of(), "tables", ("raw_bars", "validated_bars", "features"))
    assert result.success
    reviewed = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
    distribution = reviewed["usual_distribution"]
    assert (distribution.passed, distribution.severity, distribution.blocking) == (
        False,
        dg.AssetCheckSeverity.WARN,
        False,
    )
    assert "SIM01: usual_distribution, volume_ratio" in str(distribution.metadata["violations"].value)
    assert str(distribution.metadata["data_docs"].value).endswith("/reports/tiny-data-docs.html")
    assert all(reviewed[name].passed for name in ("usual_volume", "complete_symbols", "fresh_symbols"))
    (decided,) = decide(strategy_of(), [pd.Timestamp(BAD)])
    assert not decided.already_decided


@pytest.mark.full
def test_a_file_that_is_gone_leaves_everything_as_it_was(fed: Fed) -> None:
    (fed.home / "strategies" / "bars.csv").unlink()
    with pytest.raises(SourceError):
        play(BAD)
    assert row_counts(fed.home) == fed.rows_before
    with open_history(strategy_of()) as history:
        assert history.view(GOOD).cube.sessions[-1] == pd.Timestamp(GOOD)


@pytest.mark.full
def test_models_and_forecasts_made_again_on_restated_bars_leave_earlier_decisions_as_they_were(
    fed: Fed, published_home: Path
) -> None:
    deliver(fed.home, bars_until(BAD))
    strategy = strategy_of()
    take_in(strategy)
    with open_history(strategy) as history:
        raw = history.raw_versions
        training_row, out_of_sample_row = "2016-10-04", "2017-05-10"
        restated = (raw["symbol"] == "SIM01") & raw["session"].isin(pd.to_datetime([training_row, out_of_sample_row]))
        bar = raw[restated].reset_index(drop=True)
        arrived = pd.Timestamp(f"{BAD} 12:00", tz="UTC").as_unit("ns")  # after both decisions were due
        corrected = bar.assign(close=bar["close"] * 1.02, high=bar["high"] * 1.03, known_at=arrived)
        corrected["ingested_at"] = raw["ingested_at"].max() + pd.Timedelta(seconds=1)
        history.stores.lake.append_segment(NAME, RAW_BARS, corrected)
        forecast = history.stores.lake.month_address(NAME, "forecasts", "2017-05")
        model = models_in_force(history.stores.ledger, strategy).on(pd.Timestamp(BAD))
    publish(strategy)
    train(strategy, MONTHS)
    with open_history(strategy) as history:
        assert history.stores.lake.month_address(NAME, "forecasts", "2017-05") == forecast  # of May, as May knew it
        assert models_in_force(history.stores.ledger, strategy).on(pd.Timestamp(BAD)) == model
        before = row_counts(fed.home)
        again = [decide_session(history, pd.Timestamp(day), "again") for day in ("2017-06-21", GOOD)]
    assert [done.already_decided for done in again] == [True, True]
    assert row_counts(fed.home) == before
    assert assert_same_decisions(fed.home, published_home, GOOD) == 2
