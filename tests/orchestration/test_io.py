"""The IO managers: exactly the months of the run, whole or not at all, and nothing pickled."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from nn_assets.arrays import Cube
from nn_assets.errors import PublicationError
from nn_assets.operations.catalog import folder_of
from nn_assets.operations.facts import RAW_BARS
from nn_assets.operations.history import open_history
from nn_assets.operations.intake.bars import audit_bars, ingest_bars, publish_bars
from nn_assets.orchestration.io import CubeIOManager, MonthsIOManager
from nn_assets.orchestration.partitions import session_partitions
from nn_assets.orchestration.resources import StoresResource
from nn_assets.store.lake.lake import Lake
from tests.forks import ended
from tests.operations import homes
from tests.operations.homes import take_in
from tests.orchestration.conftest import FIRST_LIVE, LAST, NAME, living_in, strategy_of, write_strategy

KEY = dg.AssetKey(["tiny", "figures"])
MONTHS = dg.MonthlyPartitionsDefinition(start_date="2017-01-01", end_date="2017-07-01", fmt="%Y-%m-%d")


def frame(month: str, value: float) -> pd.DataFrame:
    sessions = pd.DatetimeIndex([f"{month}-03", f"{month}-04"]).as_unit("ns")
    return pd.DataFrame({"session": sessions, "value": [value, value + 1.0]})


def months_io() -> MonthsIOManager:
    return MonthsIOManager(stores=StoresResource())


def run(months: dict[str, pd.DataFrame], first: str, last: str) -> dg.ExecuteInProcessResult:
    """Materialise months and load them again downstream, in a real run over a range of partitions."""

    @dg.asset(key=KEY, partitions_def=MONTHS, io_manager_key="months_io")
    def figures() -> dict[str, pd.DataFrame]:
        return months

    @dg.asset(partitions_def=MONTHS, ins={"tables": dg.AssetIn(key=KEY)})
    def sums(context, tables: dict[str, pd.DataFrame]) -> None:  # type: ignore[no-untyped-def]
        for month, table in tables.items():
            context.add_asset_metadata({"total": float(table["value"].sum())}, partition_key=f"{month}-01")

    definitions = dg.Definitions(assets=[figures, sums], resources={"months_io": months_io()})
    job = definitions.resolve_implicit_global_asset_job_def()
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    with dg.DagsterInstance.ephemeral() as instance:
        return job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)


def message_of(result: dg.ExecuteInProcessResult) -> str:
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    error = failure.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return str(error.message if error else "")


def write_two_months(value: float) -> None:
    assert run({m: frame(m, value) for m in ("2017-01", "2017-02")}, "2017-01-01", "2017-02-01").success


def load(first: str, last: str) -> dict[str, pd.DataFrame]:
    context = dg.build_input_context(
        asset_key=KEY, asset_partitions_def=MONTHS, asset_partition_key_range=dg.PartitionKeyRange(first, last)
    )
    return months_io().load_input(context)


@pytest.mark.full
def test_a_range_of_months_comes_back_as_it_went(empty_home: Path) -> None:
    months = {month: frame(month, number) for number, month in enumerate(("2017-01", "2017-02", "2017-03"))}
    result = run(months, "2017-01-01", "2017-03-01")
    assert result.success
    loaded = load("2017-01-01", "2017-03-01")
    assert list(loaded) == list(months)
    for month, expected in months.items():
        pd.testing.assert_frame_equal(loaded[month], expected)


@pytest.mark.full
def test_a_month_missing_from_the_output_is_refused_by_name(empty_home: Path) -> None:
    result = run({"2017-01": frame("2017-01", 0.0)}, "2017-01-01", "2017-02-01")
    assert "missing 2017-02; not asked for none" in message_of(result)
    assert Lake().months("tiny", "figures") == ()


def test_a_month_not_asked_for_is_refused_and_none_is_written(empty_home: Path) -> None:
    months = {month: frame(month, 0.0) for month in ("2017-01", "2017-02", "2017-03")}
    result = run(months, "2017-01-01", "2017-02-01")
    assert "missing none; not asked for 2017-03" in message_of(result)
    assert Lake().months("tiny", "figures") == ()


def test_loading_a_month_that_was_never_written_names_it(empty_home: Path) -> None:
    write_two_months(0.0)
    with pytest.raises(PublicationError, match=r"none for 2017-03, 2017-04"):
        load("2017-01-01", "2017-04-01")


@pytest.mark.full
def test_a_damaged_month_is_refused(empty_home: Path) -> None:
    write_two_months(0.0)
    address = Lake().month_address("tiny", "figures", "2017-02")
    file = Lake().folder("tiny", "figures") / f"{address}.parquet"
    file.write_bytes(file.read_bytes()[:-8] + b"damaged!")
    assert set(load("2017-01-01", "2017-01-01")) == {"2017-01"}
    with pytest.raises(PublicationError, match=str(address)):
        load("2017-01-01", "2017-02-01")


def write_and_die(last: str) -> None:
    """Write two months, and die by SIGKILL where a file of that name would have been put into place."""
    real = os.replace

    def replace(staged: object, path: object) -> None:
        if str(path).endswith(last):
            os.kill(os.getpid(), signal.SIGKILL)
        real(staged, path)  # type: ignore[arg-type]

    os.replace = replace  # type: ignore[assignment]
    months = ("2017-01", "2017-02")
    context = SimpleNamespace(asset_key=KEY, asset_partition_keys=[f"{month}-01" for month in months])
    months_io().handle_output(context, {month: frame(month, 5.0) for month in months})  # type: ignore[arg-type]


@pytest.mark.full
@pytest.mark.parametrize("step", ["2017-02.json", ".parquet"])
def test_a_writer_killed_half_way_leaves_each_month_whole(empty_home: Path, tmp_path: Path, step: str) -> None:
    write_two_months(0.0)
    error_file = tmp_path / "told.txt"
    assert ended(lambda: write_and_die(step), error_file) == -signal.SIGKILL, error_file.read_text()
    loaded = load("2017-01-01", "2017-02-01")
    first = 5.0 if step == "2017-02.json" else 0.0  # January was complete when February's pointer was due
    pd.testing.assert_frame_equal(loaded["2017-01"], frame("2017-01", first))
    pd.testing.assert_frame_equal(loaded["2017-02"], frame("2017-02", 0.0))
    write_two_months(5.0)
    pd.testing.assert_frame_equal(load("2017-02-01", "2017-02-01")["2017-02"], frame("2017-02", 5.0))


def features(name: str = NAME) -> Cube:
    context = dg.build_input_context(asset_key=dg.AssetKey([name, "features"]))
    return CubeIOManager(stores=StoresResource()).load_input(context)


def handed(partitions: dg.PartitionsDefinition | None, first: str | None = None, last: str | None = None) -> Cube:
    """The features that an asset of a user's own is given in a run of it."""
    cubes: list[Cube] = []
    key = dg.AssetKey([NAME, "features"])

    @dg.asset(partitions_def=partitions, ins={"cube": dg.AssetIn(key=key, input_manager_key="cube_io")})
    def mine(cube: Cube) -> None:
        cubes.append(cube)

    definitions = dg.Definitions(
        assets=[dg.AssetSpec(key), mine], resources={"cube_io": CubeIOManager(stores=StoresResource())}
    )
    tags = {} if first == last else dict(zip(RANGE, (str(first), str(last)), strict=True))
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, partition_key=None if tags else first, tags=tags, raise_on_error=False
        )
    if not result.success:
        raise RuntimeError(message_of(result))
    return cubes[0]


RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def test_an_asset_is_given_the_features_that_its_partitions_session_knew(tables: Path) -> None:
    sessions = session_partitions(strategy_of())
    for day in (FIRST_LIVE, "2017-06-23", LAST):  # Wednesday, a Friday, the last there is
        with open_history(strategy_of()) as history:
            known = history.view(pd.Timestamp(day)).cube
        cube = handed(sessions, day, day)
        assert cube.sessions[-1] == pd.Timestamp(day)
        assert np.array_equal(cube.values, known.values, equal_nan=True)
    assert handed(None).sessions[-1] == handed(dg.StaticPartitionsDefinition(["a"]), "a", "a").sessions[-1]
    assert handed(None).sessions[-1] == pd.Timestamp(LAST)


@pytest.mark.parametrize(
    ("partitions", "first", "last", "expected"),
    [
        (None, FIRST_LIVE, LAST, "8 sessions from 2017-06-21 to 2017-06-30"),
        (MONTHS, "2017-06-01", "2017-06-01", "22 sessions from 2017-06-01 to 2017-06-30"),
    ],
)
def test_features_of_many_sessions_at_once_are_refused_with_the_way_to_each(
    tables: Path, partitions: dg.PartitionsDefinition | None, first: str, last: str, expected: str
) -> None:
    with pytest.raises(RuntimeError, match=expected):
        handed(partitions or session_partitions(strategy_of()), first, last)
    with StoresResource().history(strategy_of()) as history:  # as the remedy says
        assert history.view(pd.Timestamp(first)).cube.sessions[-1] == pd.Timestamp(first)


def test_forecasts_by_a_model_that_is_not_in_force_are_refused_until_they_are_made_again(studied: Path) -> None:
    context = dg.build_input_context(
        asset_key=dg.AssetKey([NAME, "forecasts"]),
        asset_partitions_def=MONTHS,
        asset_partition_key_range=dg.PartitionKeyRange("2017-05-01", "2017-06-01"),
    )
    as_made = months_io().load_input(context)
    assert list(as_made) == ["2017-05", "2017-06"]
    forged = as_made["2017-06"].assign(
        model_id=as_made["2017-06"]["model_id"].where(lambda rows: rows.index > 0, "f" * 64)
    )
    Lake().write_month(NAME, "forecasts", "2017-06", forged)
    with pytest.raises(PublicationError, match=r"(?s)some by ffffffffffff.*study --strategy tiny --from 2017-06"):
        months_io().load_input(context)
    homes._store_forecasts(strategy_of(), ["2017-06"])  # as the study does
    pd.testing.assert_frame_equal(months_io().load_input(context)["2017-06"], as_made["2017-06"])


@pytest.fixture(scope="module")
def tables_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with bars published and features stored."""
    home = tmp_path_factory.mktemp("tables")
    write_strategy(home)
    with living_in(home):
        take_in(strategy_of())
    return home


@pytest.fixture
def tables(tables_home: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of that home, lived in."""
    home = tmp_path / "home"
    shutil.copytree(tables_home, home)
    with living_in(home):
        yield home


def publish() -> None:
    """Publish the bars that were taken in, and leave the features as they are."""
    with open_history(strategy_of()) as history:
        publish_bars(history, audit_bars(history), "test")


def test_features_come_back_to_the_bit_and_cannot_be_written_through(tables: Path) -> None:
    with open_history(strategy_of()) as history:
        made = history.cut_for(history.last_session).compute_cube()
        publication = history.covering(history.last_session)
    loaded = features()
    assert np.asarray(loaded.values).tobytes() == np.asarray(made.values).tobytes()
    assert np.isnan(made.values).any()
    assert (loaded.symbols, loaded.names) == (made.symbols, made.names)
    with pytest.raises(ValueError, match="read-only"):
        loaded.values[0, 0, 0] = 1.0
    record = Lake().read_table(NAME, "features_record").iloc[-1]
    assert record["data_hash"] == publication.content_hash
    assert record["address"] == Lake().address_of(NAME, "features")


@pytest.mark.full
def test_features_of_another_publication_are_refused(tables: Path) -> None:
    with open_history(strategy_of()) as history:
        raw = history.raw_versions
        now = pd.Timestamp.now(tz="UTC").as_unit("ns")
        bar = raw[(raw["symbol"] == "SIM02") & (raw["session"] == "2017-03-01")]
        restated = bar.assign(close=bar["close"] * 1.01, high=bar["high"] * 1.02, known_at=now, ingested_at=now)
        history.stores.lake.append_segment(NAME, RAW_BARS, restated)
    publish()
    with open_history(strategy_of()) as history:
        other = history.covering(None).content_hash
    assert other != Lake().read_table(NAME, "features_record").iloc[-1]["data_hash"]
    with pytest.raises(PublicationError, match=f"(?s){other[:12]}"):
        features()
    take_in(strategy_of())
    assert features().session_count


def test_features_of_other_code_are_refused(tables: Path) -> None:
    record = Lake().read_table(NAME, "features_record")
    made = json.loads(record["features"].iloc[0])
    name = next(iter(made))
    others = record.assign(features=json.dumps({**made, name: {**made[name], "code": "0" * 16}}))
    of_before = record.drop(columns=["features", "names_code"]).assign(code_version="0" * 16)
    for stored, named in ((others, name), (of_before, "all of them")):
        Lake().write_table(NAME, "features_record", stored)
        with pytest.raises(PublicationError, match=f"computed by the code in force; found other code behind {named}"):
            features()
    take_in(strategy_of())
    assert features().session_count
    pd.testing.assert_frame_equal(Lake().read_table(NAME, "features_record"), record)


def test_features_are_handed_over_by_no_asset(empty_home: Path) -> None:
    cube = Cube(pd.DatetimeIndex(["2017-01-03"]), ("A",), ("x",), np.zeros((1, 1, 1)))
    context = dg.build_output_context(asset_key=dg.AssetKey([NAME, "features"]))
    with pytest.raises(PublicationError, match="stored by the asset that computes them"):
        CubeIOManager(stores=StoresResource()).handle_output(context, cube)
    assert not (empty_home / "lake").exists()


@pytest.mark.full
def test_features_that_were_never_stored_are_refused(empty_home: Path) -> None:
    write_strategy(empty_home)
    with pytest.raises(PublicationError, match=NAME):
        features()
    with open_history(strategy_of()) as history:
        ingest_bars(history, folder_of(NAME))
    publish()
    with pytest.raises(PublicationError, match="features"):
        features()


def test_nothing_is_pickled(empty_home: Path) -> None:
    write_two_months(0.0)
    kinds = {"".join(path.suffixes[-1:]) for path in (empty_home / "lake").rglob("*") if path.is_file()}
    assert kinds <= {".parquet", ".json", ""}
