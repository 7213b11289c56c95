"""What the ledger is told of runs, ticks and the daemon, and what an operator then reads in status."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from nn_assets.cli.status import report
from nn_assets.errors import LedgerError, RunFailed
from nn_assets.operations import outcomes as recorded
from nn_assets.operations import situation
from nn_assets.operations.failures import LOST
from nn_assets.operations.intake import bars
from nn_assets.operations.wings import market
from nn_assets.orchestration.build import all_definitions
from nn_assets.orchestration.instance import open_instance
from nn_assets.orchestration.naming import STRATEGY_TAG
from nn_assets.orchestration.outcomes import recording_run
from nn_assets.orchestration.resources import StoresResource
from nn_assets.orchestration.running import execute
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.run_locks import let_go
from tests.first_lines import in_one_sentence
from tests.forks import exit_code, forked
from tests.matrices import often
from tests.orchestration.conftest import NAME, strategy_of, write_strategy
from tests.runs import materialise


def state() -> dict[str, object]:
    return report(NAME)["strategies"][NAME]


def rows() -> pd.DataFrame:
    with Ledger() as ledger:
        records = ledger.read("outcomes", every_version=True, bookkeeping=True)
    return records.sort_values("sequence", ignore_index=True)


def evaluate(name: str, instance: dg.DagsterInstance, cursor: str | None = None, **context: object) -> object:
    """Let Dagster evaluate one of the repository's sensors."""
    repository = all_definitions(only=NAME).get_repository_def()
    sensor_context = dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=repository)
    return repository.get_sensor_def(name).evaluate_tick(sensor_context)


@pytest.mark.full
def test_a_run_is_on_record_from_its_start_and_then_with_its_end(empty_home: Path) -> None:
    write_strategy(empty_home)
    run_id = execute(strategy_of(), "tables", assets=("raw_bars",)).run_id
    records = rows()
    assert list(records["outcome_id"]) == [run_id, run_id]
    assert list(records["outcome"]) == ["STARTED", "SUCCEEDED"]
    assert list(records["name"]) == ["tables", "tables"]
    assert records["ended_at"][1] > records["began_at"][1] == records["began_at"][0]
    assert any(line.startswith("tables: SUCCEEDED 20") for line in state()["runs"])


@pytest.mark.full
def test_a_failed_run_names_step_and_cause(empty_home: Path) -> None:
    write_strategy(empty_home, source={"kind": "files", "path": "nowhere", "seed": None, "planted_rank_ic": None})
    with pytest.raises(RunFailed):
        materialise(strategy_of(), "tables")
    last = rows().iloc[-1]
    assert (last["outcome"], last["failed_step"]) == ("FAILED", f"{NAME}__raw_bars")
    assert "nowhere" in last["message"]
    (line,) = state()["runs"]
    assert line.startswith("tables: FAILED")
    assert "raw_bars" in line
    assert "nowhere" in line


def test_an_interrupted_run_is_told_and_a_killed_one_is_closed_at_the_next_tick(
    empty_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_strategy(empty_home)
    asked, ask = os.pipe()
    listen, tell = os.pipe()

    def waits(*_: object, **__: object) -> None:
        os.write(tell, b"there\n")
        time.sleep(60)

    def runs_twice() -> None:
        os.close(listen)
        os.close(ask)
        monkeypatch.setattr(bars, "ingest_bars", waits)
        monkeypatch.setattr(market, "ingest_bars", waits)
        with suppress(BaseException):
            materialise(strategy_of(), "tables")
        os.write(tell, b"interrupted\n")
        os.read(asked, 1)
        materialise(strategy_of(), "tables")

    failure = tmp_path / "told.txt"
    process = forked(runs_twice, failure)
    os.close(asked)
    os.close(tell)
    with os.fdopen(listen, "rb", buffering=0) as stream, os.fdopen(ask, "wb", buffering=0) as answers:

        def wait_for(line: bytes) -> None:
            assert stream.readline() == line, failure.read_text() if failure.exists() else "it ended"

        wait_for(b"there\n")
        os.kill(process, signal.SIGINT)
        wait_for(b"interrupted\n")
        (interrupted,) = state()["runs"]
        with open_instance() as instance:
            (run,) = instance.get_runs()
            assert run.status is dg.DagsterRunStatus.CANCELED  # a failure would be an alert
        answers.write(b"!")
        wait_for(b"there\n")
        (alive,) = state()["runs"]
        os.kill(process, signal.SIGKILL)
        assert exit_code(process) == -signal.SIGKILL
    (killed,) = state()["runs"]
    with open_instance() as instance:
        evaluate("run_outcomes", instance)
    (closed,) = state()["runs"]
    assert interrupted.startswith("tables: CANCELED")
    assert interrupted.endswith("raw_bars: it was interrupted")
    assert alive.endswith(", it runs")
    assert "its process is gone; the next run, check, study or tick of the daemon closes it" in killed
    assert closed.startswith("tables: FAILED")
    assert closed.endswith(
        f"{LOST}; what it had taken in is kept. Remedy: nn-assets check --strategy {NAME} goes on from there"
    )


LEFT = {
    "study": ("the models that it had finished are kept", "study --strategy tiny --from 2017-06 --to 2017-06 goes on"),
    "daily": ("each session that it had decided is on record", "run --strategy tiny --from 2017-06-21 --to 2017-06-21"),
    "tables": ("what it had taken in is kept", "nn-assets check --strategy tiny goes on from there"),
    "costs": ("what it had finished is kept", "run it again in the UI"),
    "assets": ("what it had finished is kept", "run it again in the UI"),
}


@pytest.mark.parametrize(
    ("by", "name"),
    [
        *(("by a command", name) for name in LEFT),
        *often([("by the daemon", name) for name in LEFT], ("by the daemon", "study"), ("by the daemon", "daily")),
    ],
)
def test_a_killed_run_is_told_in_plain_words_with_what_is_kept_and_what_goes_on(
    empty_home: Path, name: str, by: str
) -> None:
    write_strategy(empty_home)
    kept, again = LEFT[name]
    key = {"study": {"dagster/partition": "2017-06-01"}, "daily": {"dagster/partition": "2017-06-21"}}.get(name, {})

    @dg.job(name=f"{NAME}__{name}")
    def killed() -> None:
        pass

    with open_instance() as instance:
        run = instance.create_run_for_job(killed, tags={STRATEGY_TAG: NAME, **key})
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", killed.name), run.run_id)
        let_go(run.run_id)  # as the end of its process does
        if by == "by the daemon":
            health = instance.run_launcher.check_run_worker_health(run)
            instance.report_run_failed(run, f"Detected run worker status {health}. Marking run {run.run_id} as failed.")
        evaluate("run_outcomes", instance)
    (alert,) = [json.loads(line) for line in (empty_home / "alerts.jsonl").read_text().splitlines()]
    assert alert["cause"].startswith(f"its process is gone: it was killed, or the machine stopped; {kept}")
    assert again in alert["remedy"]
    status = state()
    first, (line,) = str(in_one_sentence(status["headline"])), status["runs"]
    said_first = (kept, "check --strategy tiny again") if name == "tables" else (str(alert["cause"]), again)
    for text, parts in ((first, said_first), (line, (alert["cause"], again))):
        assert all(part in text for part in parts)
        assert "worker" not in text
    assert first.startswith(f"{NAME} HALTED: ") == (name == "daily")  # nothing else that is killed halts anything


@pytest.mark.parametrize("by", ["daily", "tables"])
def test_the_alert_of_a_killed_round_says_how_it_left_the_strategy_whichever_run_closes_it(
    empty_home: Path, by: str
) -> None:
    write_strategy(empty_home)

    @dg.job(name=f"{NAME}__daily")
    def killed() -> None:
        pass

    with open_instance() as instance:
        run = instance.create_run_for_job(killed, tags={STRATEGY_TAG: NAME, "dagster/partition": "2017-06-21"})
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", killed.name), run.run_id)
        let_go(run.run_id)  # as the end of its process does
    partition = "2017-06-21" if by == "daily" else None
    execute(strategy_of(), by, first=partition, last=partition, assets=("raw_bars",))
    (alert,) = [json.loads(line) for line in (empty_home / "alerts.jsonl").read_text().splitlines()]
    assert in_one_sentence(alert["headline"]).startswith(
        f"{NAME} HALTED: the last run of daily failed: its process is gone"
    )
    runs = rows()[lambda frame: frame["kind"] == "run"].sort_values("sequence")
    assert list(runs["outcome"]) == ["FAILED", "STARTED", "SUCCEEDED"]


def test_runs_of_the_daemon_are_recorded_once_by_the_sensor(empty_home: Path) -> None:
    write_strategy(empty_home)
    own = execute(strategy_of(), "tables", assets=("raw_bars",)).run_id

    @dg.op
    def breaks() -> None:
        raise ValueError("the feed was empty. Remedy: ask again.")

    @dg.job(name=f"{NAME}__daily", tags={STRATEGY_TAG: NAME, "dagster/partition": "2017-06-21"})
    def foreign() -> None:
        breaks()

    @dg.job
    def unrelated() -> None:
        breaks()

    with open_instance() as instance:
        failed = foreign.execute_in_process(instance=instance, raise_on_error=False)
        unrelated.execute_in_process(instance=instance, raise_on_error=False)
        cursor = evaluate("run_outcomes", instance).cursor
        records = rows()
        assert evaluate("run_outcomes", instance, cursor).cursor == cursor
    pd.testing.assert_frame_equal(rows(), records)
    runs = records[records["kind"] == "run"]
    assert list(runs["outcome_id"]) == [own, own, failed.run_id]
    last = runs.iloc[-1]
    assert (last["strategy"], last["name"], last["outcome"], last["failed_step"]) == (NAME, "daily", "FAILED", "breaks")
    assert (last["first_partition"], last["last_partition"]) == ("2017-06-21", "2017-06-21")
    assert last["message"] == "ValueError: the feed was empty. Remedy: ask again"
    assert any("daily 2017-06-21: FAILED" in line for line in state()["runs"])


def test_a_tick_is_recorded_when_it_says_something_new_and_every_hour(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [pd.Timestamp("2026-01-05 12:00", tz="UTC")]
    monkeypatch.setattr(recorded, "now_utc", lambda: clock[0])
    with Ledger() as ledger:
        for minutes, outcome, message in (
            (0, "SKIPPED", "no event"),
            (1, "SKIPPED", "no event"),
            (1, "ASKED", "a run of 2026-01-01"),
            (1, "SKIPPED", "no event"),
            (59, "SKIPPED", "no event"),
            (1, "SKIPPED", "no event"),
        ):
            clock[0] += pd.Timedelta(minutes=minutes)
            recorded.record_tick(ledger, NAME, "drift_refresh", outcome, message)
    assert list(rows()["ended_at"].dt.strftime("%H:%M")) == ["12:00", "12:02", "12:03", "13:03"]


@pytest.mark.full
def test_sensors_and_schedules_tell_what_they_came_to(empty_home: Path) -> None:
    write_strategy(empty_home)
    assert state()["ticks"] == []
    with dg.DagsterInstance.ephemeral() as instance:
        evaluate(f"{NAME}__drift_refresh", instance)
        repository = all_definitions(only=NAME).get_repository_def()
        context = dg.build_schedule_context(
            instance=instance, scheduled_execution_time=pd.Timestamp("2017-07-03 20:45", tz="UTC").to_pydatetime()
        )
        repository.get_schedule_def(f"{NAME}__daily_round").evaluate_tick(context)
    schedule, sensor = state()["ticks"]
    assert schedule.startswith("daily_round: SKIPPED")
    assert "history_ends" in schedule
    assert sensor.startswith("drift_refresh: SKIPPED")
    assert sensor.endswith("no drift event since the last look at the ledger")


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("the table cannot be read", "mend what it names: the next tick tries again"),
        ("the table cannot be read. Remedy: restore it.", "restore it"),
    ],
)
def test_a_tick_that_fails_is_told_too(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, message: str, remedy: str
) -> None:
    write_strategy(empty_home)
    name = f"{NAME}__drift_refresh"

    def broken(*_: object, **__: object) -> pd.DataFrame:
        raise RuntimeError(message)

    with dg.DagsterInstance.ephemeral() as instance:
        with monkeypatch.context() as patch:
            patch.setattr("nn_assets.orchestration.sensors.refresh_due", broken)
            for _ in range(2):
                with pytest.raises(Exception, match="cannot be read"):
                    evaluate(name, instance)
        status = state()
        (line,) = status["ticks"]
        assert "FAILED" in line
        assert "RuntimeError: the table cannot be read" in line
        why = "the last tick of drift_refresh failed: RuntimeError: the table cannot be read"
        assert f"; {why}. A person is needed: " in str(in_one_sentence(status["headline"]))
        assert remedy in str(in_one_sentence(status["headline"]))
        (alert,) = [json.loads(text) for text in (empty_home / "alerts.jsonl").read_text().splitlines()]
        assert (alert["strategy"], alert["job"]) == (NAME, "drift_refresh")
        assert (alert["cause"], alert["remedy"]) == (why, remedy)
        assert in_one_sentence(alert["headline"]) == in_one_sentence(status["headline"])
        evaluate(name, instance)
        assert "drift_refresh" not in str(in_one_sentence(state()["headline"]))


def test_failed_ticks_are_told_of_each_schedule_and_sensor_until_they_are_too_old_to_count(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_strategy(empty_home, market={"history_ends": None})
    names = ("daily_round", "monthly_retraining", "cost_recalibration", "drift_refresh")
    with Ledger() as ledger:
        recorded.record_heartbeat(ledger)
        for name in names:
            recorded.record_tick(ledger, NAME, name, "FAILED", "KeyError: 'x'")
        line = str(in_one_sentence(state()["headline"]))
        for name in names:
            assert f"the last tick of {name} failed: KeyError: 'x'" in line
        later = pd.Timestamp.now(tz="UTC") + pd.Timedelta(hours=2)
        monkeypatch.setattr("nn_assets.operations.outcomes.now_utc", lambda: later)
        monkeypatch.setattr("nn_assets.operations.run_faults.now_utc", lambda: later)
        recorded.record_heartbeat(ledger)
    line = str(in_one_sentence(state()["headline"]))
    assert "the last tick of drift_refresh" not in line
    assert "drift_refresh is off, last heard from at " in line  # one thing at a time: nothing tells that it is on still
    assert "the last tick of daily_round failed" in line


def test_the_daemon_is_heard_and_its_silence_has_an_age(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_strategy(empty_home)
    assert str(state()["daemon"]).startswith("the daemon was never heard from: ")
    with dg.DagsterInstance.ephemeral() as instance:
        evaluate("run_outcomes", instance)
    assert str(state()["daemon"]).startswith("last heard from 20")
    later = pd.Timestamp.now(tz="UTC") + pd.Timedelta(hours=2)
    monkeypatch.setattr("nn_assets.operations.run_faults.now_utc", lambda: later)
    assert str(state()["daemon"]).startswith("the daemon was last heard from at 20")


def test_the_first_line_says_what_does_not_run_by_itself_where_history_goes_on(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_strategy(empty_home)
    assert "daemon" not in str(in_one_sentence(state()["headline"]))  # history ends: nothing has to run
    write_strategy(empty_home, market={"history_ends": None})
    status = state()
    assert str(status["daemon"]) == "the daemon was never heard from: no schedule or sensor runs by itself"
    assert str(status["daemon"]) in str(in_one_sentence(status["headline"]))  # one sentence in both places
    with monkeypatch.context() as by_cron:  # every session is decided, by whatever runs the rounds
        by_cron.setattr(situation, "undecided_sessions", lambda *_: [])
        assert "daemon" not in str(in_one_sentence(state()["headline"]))
    with Ledger() as ledger:
        recorded.record_heartbeat(ledger)
        status = str(in_one_sentence(state()["headline"]))
        assert "daily_round is off, never heard from; monthly_retraining is off" in status
        assert "switch tiny__daily_round on in the UI, under Automation" in status
        recorded.record_tick(ledger, NAME, "daily_round", "SKIPPED", "no session")
        assert "daily_round is off" not in str(in_one_sentence(state()["headline"]))


def test_a_failed_run_needs_a_person_until_a_later_round_ends_well(empty_home: Path) -> None:
    write_strategy(empty_home)
    noon = pd.Timestamp("2026-01-05 12:00", tz="UTC")
    with Ledger() as ledger:
        for hours, name, outcome, word in ((0, "tables", "FAILED", "HALTED"), (1, "daily", "SUCCEEDED", "DOES NOT")):
            began = noon + pd.Timedelta(hours=hours)
            run = recorded.Run(name, NAME, name, None, None, began)
            recorded.record_end(ledger, run, outcome, began, message="no feed. Remedy: ask again", failed_step="raw")
            headline = str(in_one_sentence(state()["headline"]))
            assert headline.startswith(f"{NAME} {word}")
            assert ("failed at raw: no feed" in headline) == (outcome == "FAILED")
        failed = recorded.Run("s", NAME, "study", None, None, noon)
        recorded.record_end(ledger, failed, "FAILED", noon, message="no study", failed_step="fit")
    assert "the last run of study failed at fit: no study" in str(in_one_sentence(state()["headline"]))


def test_a_ledger_that_refuses_the_outcome_does_not_stop_the_run(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise LedgerError(expected="the lock", found="another writer", remedy="wait", table="outcomes")

    run = recorded.Run("r", NAME, "tables", None, None, None)
    with Ledger() as ledger:
        monkeypatch.setattr(Ledger, "transaction", refuses)
        recorded.record_start(ledger, run)
        recorded.record_tick(ledger, NAME, "drift_refresh", "SKIPPED", None)
    assert "not on record" in caplog.text


def unreachable(*_: object, **__: object) -> None:
    raise LedgerError(expected="a ledger", found="no server", remedy="start it", where="nowhere")


def test_a_ledger_that_cannot_be_opened_costs_neither_a_tick_nor_a_run(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_strategy(empty_home, market={"history_ends": None})
    with dg.DagsterInstance.ephemeral() as instance, monkeypatch.context() as patch:
        repository = all_definitions(only=NAME).get_repository_def()
        patch.setattr("nn_assets.orchestration.resources.open_stores", unreachable)
        moment = pd.Timestamp("2017-06-22 20:45", tz="UTC").to_pydatetime()
        context = dg.build_schedule_context(
            instance=instance, scheduled_execution_time=moment, repository_def=repository
        )
        result = repository.get_schedule_def(f"{NAME}__daily_round").evaluate_tick(context)
        assert [request.partition_key for request in result.run_requests or ()] == ["2017-06-22"]
        run = recorded.Run("r", NAME, "tables", None, None, None)
        with recording_run(StoresResource(), run):
            pass
    assert caplog.text.count("not on record") == 3


def test_a_run_of_the_daemon_that_was_not_recorded_is_recorded_at_the_next_tick(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_strategy(empty_home)

    @dg.job(name=f"{NAME}__tables", tags={STRATEGY_TAG: NAME})
    def foreign() -> None:
        pass

    with open_instance() as instance:
        ids = [foreign.execute_in_process(instance=instance).run_id for _ in range(3)]
        with monkeypatch.context() as patch:
            refused = ids[1]
            append = recorded._append
            patch.setattr(
                recorded, "_append", lambda *args, **named: args[1].run_id != refused and append(*args, **named)
            )
            cursor = evaluate("run_outcomes", instance).cursor
        assert set(rows().query("kind == 'run'")["outcome_id"]) == {ids[0]}
        evaluate("run_outcomes", instance, cursor)
    assert set(rows().query("kind == 'run'")["outcome_id"]) == set(ids)


def test_a_run_of_the_daemon_under_way_is_told(empty_home: Path) -> None:
    write_strategy(empty_home)

    @dg.op
    def looks() -> None:
        with open_instance() as other:
            evaluate("run_outcomes", other)
        (line,) = state()["runs"]
        assert line.startswith("daily 2017-06-21: started")

    @dg.job(name=f"{NAME}__daily", tags={STRATEGY_TAG: NAME, "dagster/partition": "2017-06-21"})
    def foreign() -> None:
        looks()

    with open_instance() as instance:
        assert foreign.execute_in_process(instance=instance).success
        evaluate("run_outcomes", instance)
    (line,) = state()["runs"]
    assert line.startswith("daily 2017-06-21: SUCCEEDED")


def test_a_password_in_a_message_is_not_kept(empty_home: Path) -> None:
    run = recorded.Run("r", NAME, "tables", None, None, None)
    message = "cannot reach postgresql+psycopg://user:S3cr/et@host:5432/db, http://a:b@c?api_key=K&x=1, password=P"
    with Ledger() as ledger:
        recorded.record_end(ledger, run, "FAILED", pd.Timestamp("2026-01-05", tz="UTC"), message=message)
    (kept,) = rows()["message"]
    assert kept == "cannot reach postgresql+psycopg://***@host:5432/db, http://***@c?api_key=***&x=1, password=***"


def test_the_daemon_of_another_home_on_the_same_ledger_is_not_this_ones(
    empty_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger() as ledger:
        recorded.record_heartbeat(ledger)
        assert recorded.last_heartbeat(ledger) is not None
        monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path / "other"))
        assert recorded.last_heartbeat(ledger) is None


def test_a_message_that_no_database_takes_is_kept_escaped(empty_home: Path) -> None:
    run = recorded.Run("r", NAME, "tables", None, None, None)
    with Ledger() as ledger:
        assert recorded.record_end(
            ledger, run, "FAILED", pd.Timestamp("2026-01-05", tz="UTC"), message="a\0b caf\udce9"
        )
    assert list(rows()["message"]) == ["a\\0b caf\\udce9"]


def test_what_breaks_before_a_result_is_no_interruption(empty_home: Path) -> None:
    run = recorded.Run("r", NAME, "tables", None, None, None)
    with pytest.raises(ValueError, match="no such partition"), recording_run(StoresResource(), run):
        raise ValueError("no such partition")
    last = rows().iloc[-1]
    assert (last["outcome"], last["message"]) == ("FAILED", "ValueError: no such partition")


@pytest.mark.full
def test_a_failure_is_told_in_one_line_with_its_remedy(empty_home: Path) -> None:
    write_strategy(empty_home)

    @dg.op
    def breaks() -> None:
        raise ValueError(
            "two bars are wrong.\n  - A 2017-06-21: close -1\n  - B 2017-06-21: close -1\nRemedy: mend them."
        )

    @dg.job(name=f"{NAME}__daily", tags={STRATEGY_TAG: NAME})
    def foreign() -> None:
        breaks()

    with open_instance() as instance:
        foreign.execute_in_process(instance=instance, raise_on_error=False)
        evaluate("run_outcomes", instance)
    (line,) = state()["runs"]
    assert line.endswith("at breaks: ValueError: two bars are wrong. Remedy: mend them")
    (kept,) = rows().query("kind == 'run'")["message"]
    assert kept.splitlines()[1:] == ["  - A 2017-06-21: close -1", "  - B 2017-06-21: close -1"]


def test_a_run_that_is_told_of_late_is_not_the_last_one(empty_home: Path) -> None:
    noon = pd.Timestamp("2026-01-05 12:00", tz="UTC")
    with Ledger() as ledger:
        for run_id, hours in (("later", 2), ("earlier", 0)):
            began, ended = noon + pd.Timedelta(hours=hours), noon + pd.Timedelta(hours=hours + 1)
            recorded.record_end(ledger, recorded.Run(run_id, NAME, "daily", None, None, began), "SUCCEEDED", ended)
        last = recorded.last_run(ledger, NAME, "daily")
    assert last is not None
    assert last["outcome_id"] == "later"
