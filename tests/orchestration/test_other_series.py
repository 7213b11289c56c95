"""Other series: taken in by version, quarantined by rule, read as each decision knew them.

Dagster plays what its asset states and a file that it refuses; all else is played by the operations that it calls.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from nn_assets.contracts import SERIES, validate
from nn_assets.errors import SettingsError
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.asof.series import series_known
from nn_assets.operations.decisions.lookahead import features_repeat_when_cut
from nn_assets.operations.history import open_history
from nn_assets.operations.intake.series import ingest_series
from nn_assets.orchestration.build import all_definitions
from nn_assets.orchestration.naming import asset_key
from tests.operations.homes import take_in
from tests.orchestration.conftest import failures_of, run_assets, strategy_of, write_strategy

DAYS = sessions_between("XNYS", "2016-01-04", "2017-06-30")
HOLIDAY = "2017-01-16"


def write_fear(home: Path, rows: dict[str, str] | None = None) -> None:
    values = {str(day.date()): f"{12 + index % 7}" for index, day in enumerate(DAYS)}
    observations = values | {HOLIDAY: "11.5"} | (rows or {})
    lines = [f"{day},{value}" for day, value in sorted(observations.items())]
    (home / "strategies" / "fear.csv").write_text("\n".join(["date,close", *lines]) + "\n", encoding="utf-8")


def prepared(home: Path) -> None:
    file = write_strategy(home)
    text = file.read_text(encoding="utf-8")
    file.write_text(f"{text}series:\n- {{name: fear, path: fear.csv, lag_minutes: 15}}\n", encoding="utf-8")
    write_fear(home)


DECISION = {
    "session": pd.Timestamp("2017-06-29"),
    "data_hash": "-",
    "model_id": "-",
    "code_version": "-",
    "settings_hash": "-",
    "content_hash": "-",
    "details": {},
}


def known(home: Path, until: str = "2017-06-30") -> np.ndarray:
    with open_history(strategy_of()) as history:
        inputs = (history.strategy, history.series_versions)
        return series_known(*inputs, "fear", history.sessions(until), ("SIM01",)).values[:, 0]


@pytest.mark.full
def test_a_series_becomes_a_table_of_versions_with_the_holiday_in_quarantine(empty_home) -> None:
    prepared(empty_home)
    take_in(strategy_of())
    with open_history(strategy_of()) as history:
        versions = validate(history.series_versions, SERIES)
        quarantine = history.stores.lake.read_table("tiny", "series_quarantine")
    assert len(versions) == len(DAYS)
    assert [(row.rule, str(row.session.date())) for row in quarantine.itertuples()] == [("off_calendar", HOLIDAY)]
    np.testing.assert_array_equal(known(empty_home), [12.0 + index % 7 for index in range(len(DAYS))])


@pytest.mark.full
def test_delivered_again_it_adds_nothing_and_a_restated_value_leaves_the_past_as_it_was_known(empty_home) -> None:
    prepared(empty_home)
    for _ in range(2):
        take_in(strategy_of())
    before = known(empty_home)
    write_fear(empty_home, {"2017-03-01": "80"})
    take_in(strategy_of())
    with open_history(strategy_of()) as history:
        versions = history.series_versions
    assert len(versions) == len(DAYS) + 1
    restated = versions[versions["value"] == 80.0].iloc[0]
    assert restated["known_at"] == restated["ingested_at"]
    assert known(empty_home).tobytes() == before.tobytes()  # it arrived years after the last of these decisions


@pytest.mark.full
def test_an_observation_that_comes_after_a_decision_is_known_from_its_arrival(empty_home) -> None:
    prepared(empty_home)
    file = empty_home / "strategies" / "fear.csv"
    whole = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(line for line in whole if not line.startswith("2017-03-01")) + "\n", encoding="utf-8")
    with open_history(strategy_of()) as history:
        ingest_series(history, file.parent)
        history.stores.ledger.append("decisions", [DECISION], run_id="test", strategy=history.strategy.name)
        file.write_text("\n".join(whole) + "\n", encoding="utf-8")
        ingest_series(history, file.parent)
        versions = history.series_versions
    late = versions[versions["session"] == "2017-03-01"].iloc[0]
    assert late["known_at"] == late["ingested_at"]


@pytest.mark.full
def test_nothing_of_the_vault_is_stored_and_opening_it_gives_what_a_store_that_never_had_one_has(empty_home) -> None:
    prepared(empty_home)
    file = empty_home / "strategies" / "tiny.yaml"
    open_file = file.read_text(encoding="utf-8")
    sealed = open_file.replace("history_starts:", "vault_starts: '2017-01-16'\n  history_starts:", 1)
    file.write_text(sealed.replace("  live_starts: '2017-06-21'\n", ""), encoding="utf-8")
    write_fear(empty_home, {"2017-01-12": "nan", "2017-02-01": "nan"})
    with open_history(strategy_of()) as history:
        (taken,) = ingest_series(history, file.parent)
    with open_history(strategy_of()) as history:
        assert str(history.last_session.date()) == "2017-01-13"
        versions = history.series_versions
        quarantine = history.stores.lake.read_table("tiny", "series_quarantine")
    assert versions["session"].max() == pd.Timestamp("2017-01-13")
    assert list(quarantine["session"]) == [pd.Timestamp("2017-01-12")]  # neither the holiday nor what is missing later
    assert len(taken.judged.quarantine) == 1
    file.write_text(open_file, encoding="utf-8")
    with open_history(strategy_of()) as history:
        ingest_series(history, file.parent)
    values = [12.0 + index % 7 for index in range(len(DAYS))]
    for day in ("2017-01-12", "2017-02-01"):
        values[DAYS.get_loc(day)] = values[DAYS.get_loc(day) - 1]
    np.testing.assert_array_equal(known(empty_home), values)


@pytest.mark.full
def test_history_cut_at_a_session_gives_the_same_values_up_to_it_to_the_bit(empty_home) -> None:
    prepared(empty_home)
    take_in(strategy_of())
    whole = known(empty_home)
    cut = known(empty_home, "2016-09-30")
    assert cut.tobytes() == whole[: len(cut)].tobytes()


@pytest.mark.full
def test_a_feature_of_the_series_joins_the_cube_and_repeats_on_history_cut(empty_home) -> None:
    prepared(empty_home)
    file = empty_home / "strategies" / "tiny.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["features"] |= {
        "names": ["log_return_1", "implied_over_realised"],
        "series": {"implied_volatility": "fear"},
    }
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    take_in(strategy_of())
    with open_history(strategy_of()) as history:
        cube, panel = history.view().cube, history.view().panel
        differing, cuts = features_repeat_when_cut(history)
    assert cube.names == ("log_return_1", "implied_over_realised")
    assert len(cuts) == 3
    assert not differing
    day = cube.row("2017-03-01")
    realised = np.diff(np.log(panel.close[day - 20 : day + 1, 0])).std(ddof=1)
    expected = (12.0 + day % 7) / 100.0 / np.sqrt(252.0) / realised
    assert cube.feature("implied_over_realised")[day, 0] == pytest.approx(expected, rel=1e-9)


def test_a_role_that_names_no_series_is_refused(empty_home) -> None:
    prepared(empty_home)
    file = empty_home / "strategies" / "tiny.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["features"]["series"] = {"implied_volatility": "hope"}
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    with pytest.raises(SettingsError, match="names hope, which series does not"):
        strategy_of()


@pytest.mark.full
def test_a_faulty_file_fails_the_asset_with_its_place_and_stores_nothing(empty_home) -> None:
    prepared(empty_home)
    write_fear(empty_home, {"2016-01-05": "calm"})
    result = run_assets(strategy_of(), "tables", ("other_series",))
    assert not result.success
    assert "fear.csv" in failures_of(result)["tiny__other_series"]
    assert "row 3" in failures_of(result)["tiny__other_series"]  # as an editor counts: the header is row 1
    with open_history(strategy_of()) as history:
        assert history.series_versions.empty


def test_features_wait_for_the_series_and_a_strategy_without_one_has_no_such_asset(empty_home) -> None:
    prepared(empty_home)
    write_strategy(empty_home, "plain")
    graph = all_definitions().resolve_asset_graph()
    parents = graph.get(asset_key(strategy_of(), "features")).parent_keys
    assert asset_key(strategy_of(), "other_series") in parents
    assert asset_key(strategy_of("plain"), "other_series") not in graph.get_all_asset_keys()


@pytest.mark.full
def test_the_asset_states_what_it_found(empty_home) -> None:
    prepared(empty_home)
    result = run_assets(strategy_of(), "tables", ("other_series",))
    metadata = result.asset_materializations_for_node("tiny__other_series")[0].metadata
    assert metadata["added"].value == len(DAYS)
    assert metadata["quarantined"].value == 1
    assert "| fear | 377 |" in metadata["series"].value
