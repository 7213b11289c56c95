"""A strategy's file that cannot be read stops its own strategy, by name; every other one goes on."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nn_assets.cli.ledger import run_query
from nn_assets.cli.status import report
from nn_assets.errors import SettingsError
from nn_assets.operations import catalog
from nn_assets.operations.catalog import find_strategy, load_strategies
from nn_assets.operations.history import open_history
from nn_assets.operations.names import DAILY_ROUND
from nn_assets.operations.run_alerts import alert_of_failed_tick
from nn_assets.orchestration import build
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger
from tests.first_lines import in_one_sentence
from tests.matrices import often
from tests.orchestration.conftest import living_in

MARKET = "market: {calendar: XNYS, symbols: [A], history_starts: 2015-01-02, history_ends: 2016-05-27}\n"
TYPO = "markt: {}\n"
SHIPPED = {"index_daily", "planted_edge"}
DAY = pd.Timestamp("2016-05-26")

Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Iterator[Put]:
    """Write a file of a strategy, whole unless told else, into a home that is lived in."""
    folder = tmp_path / "strategies"
    folder.mkdir()

    def write(stem: str, name: str | None = None, rest: str = MARKET) -> Path:
        file = folder / f"{stem}.yaml"
        file.write_text(f"name: {name or stem}\n{rest}", encoding="utf-8")
        return file

    with living_in(tmp_path):
        yield write


def decide(name: str) -> None:
    head = dict.fromkeys(("data_hash", "model_id", "code_version", "settings_hash", "content_hash"), "0" * 64)
    with Ledger() as ledger, ledger.transaction("test", strategy=name, known_at=DAY.tz_localize("UTC")) as transaction:
        transaction.append("decisions", [{"session": DAY, **head}])


def refusal(name: str) -> SettingsError:
    with pytest.raises(SettingsError) as refused:
        find_strategy(name)
    with pytest.raises(SettingsError) as untold:
        report(name)
    assert str(untold.value) == str(refused.value)
    return refused.value


def runs(name: str) -> bool:
    """Whether it is found, told without an error, and built."""
    assert report(name)["ok"]
    jobs = {job.name for job in build.all_definitions(only=name).jobs or ()}
    return find_strategy(name).strategy.name == name and f"{name}__daily" in jobs


BROKEN = {
    "an unknown key": (f"name: b\n{TYPO}", 2),
    "no YAML": ("name: b\nmarket: [\n", 3),
    "a key twice": (f"name: b\nname: b\n{MARKET}", 2),
    "no calendar": ("name: b\nmarket: {calendar: NOWHERE, history_starts: 2015-01-02}\n", 2),
    "no overrides": ("name: b\nmarket: {calendar_overrides: x.yaml, history_starts: 2015-01-02}\n", None),
    "not text": ("name: b\n\udcff\n", 2),
}


@pytest.mark.parametrize("case", often(BROKEN, "an unknown key"))
def test_a_broken_file_stops_its_own_strategy_by_name_and_no_other(
    put: Put, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    text, line = BROKEN[case]
    file = put("file_of_b")
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    put("a")
    assert runs("a")
    for asked in ("b", "file_of_b"):
        assert refusal(asked).where.get("line") == line
    with caplog.at_level(logging.ERROR):
        assert {entry.strategy.name for entry in load_strategies()} == {"a"} | SHIPPED
        load_strategies()
    assert caplog.text.count("left out: b: ") == 1  # once in a process
    result = report(None)
    assert not result["ok"]
    headline = in_one_sentence(result["strategies"]["b"]["headline"])
    assert headline.startswith("b HALTED: ")
    assert "A person is needed: " in headline
    assert str(file) in headline
    assert line is None or f"line {line}" in headline
    assert result["strategies"]["b"]["headline"] in result["text"]
    for name in {"a"} | SHIPPED:
        assert "HALTED" not in in_one_sentence(result["strategies"][name]["headline"])
        assert "error" not in result["strategies"][name]
    assert run_query("trial_count", "b", [])["ok"]  # known, though not readable
    put("file_of_b", "b")  # mended
    assert report(None)["ok"]
    assert runs("b")


def test_the_others_have_their_definitions_and_the_broken_one_has_none(
    put: Put, caplog: pytest.LogCaptureFixture
) -> None:
    put("a")
    put("gone", rest=TYPO)
    with caplog.at_level(logging.ERROR):
        jobs = {job.name for job in build.all_definitions().jobs or ()}
    assert {"a__daily", "index_daily__daily"} <= jobs
    assert "gone__daily" not in jobs
    assert "left out: gone: " in caplog.text


def test_two_files_of_one_name_are_both_refused_and_named_and_a_third_goes_on(put: Put) -> None:
    first, second = put("one", "pair"), put("two", "pair")
    put("a")
    assert runs("a")
    for asked in ("pair", "one", "two"):
        fault = refusal(asked)
        assert str(first) in fault.found
        assert str(second) in fault.found
    strategies = report(None)["strategies"]
    assert in_one_sentence(strategies["pair"]["headline"]).startswith(
        f"pair HALTED: 'pair' in {first} and in {second} "
    )
    assert not {"one", "two"} & strategies.keys()
    put("two", "other")  # the remedy
    assert runs("pair")
    assert runs("other")


def test_a_broken_file_that_states_the_name_of_another_stops_both_and_tells_of_its_fault(put: Put) -> None:
    sound, broken = put("sound", "pair"), put("copied", "pair", TYPO)
    fault = refusal("pair")
    assert "markt" in fault.found
    assert f"[file {broken}, line 2, key " in fault.found
    assert str(sound) in fault.found
    put("copied", "another", TYPO)  # the remedy: it is broken still, and goes by its own name
    assert runs("pair")
    assert refusal("another").where["file"] == str(broken)


def test_a_broken_file_is_told_by_the_name_it_states_not_by_its_own_where_that_is_anothers(put: Put) -> None:
    put("sound", "a")
    broken = put("a", "other", TYPO)
    strategies = report(None)["strategies"]
    assert "error" not in strategies["a"]
    assert in_one_sentence(strategies["other"]["headline"]).startswith("other HALTED: ")
    assert str(broken) in in_one_sentence(strategies["other"]["headline"])
    assert runs("a")


def test_where_no_name_can_be_told_the_file_has_its_own_and_whoever_asks_for_an_unknown_one_hears_of_it(
    put: Put,
) -> None:
    broken = put("b")
    broken.write_text(f"nam: strategy\n{MARKET}", encoding="utf-8")
    assert refusal("b").where["file"] == str(broken)
    fault = refusal("strategy")
    assert str(broken) in fault.found
    assert "mend those files" in fault.remedy
    broken.write_text(f"name: strategy\n{MARKET}", encoding="utf-8")
    assert runs("strategy")


def test_a_strategy_with_decisions_whose_file_breaks_is_halted_by_either_name(put: Put) -> None:
    """Also where the name is gone with the rest: its book is not told as one that no file names."""
    put("a")
    decide("b")
    file = put("b", rest=TYPO)
    assert in_one_sentence(report(None)["strategies"]["b"]["headline"]).startswith("b HALTED: markt")
    file.write_text("name: bb\nmarkt: {}\n", encoding="utf-8")
    result = report(None)
    for name in ("b", "bb"):
        assert in_one_sentence(result["strategies"][name]["headline"]).startswith(f"{name} HALTED: markt")
    assert "no file names it" not in result["text"]
    assert runs("a")


def test_what_is_no_plain_file_is_left_out_by_its_name(put: Put, tmp_path: Path) -> None:
    (tmp_path / "strategies" / "folder.yaml").mkdir()
    put("a")
    assert runs("a")
    assert "no plain file" in refusal("folder").found


def test_an_alert_of_another_strategy_is_not_halted_by_a_broken_file(put: Put, tmp_path: Path) -> None:
    put("a")
    put("b", rest=TYPO)
    for name in ("a", "b"):
        alert_of_failed_tick(open_history, name, DAILY_ROUND, ValueError("x"))
    alerts = [json.loads(line) for line in (tmp_path / "alerts.jsonl").read_text(encoding="utf-8").splitlines()]
    headlines = {alert["strategy"]: in_one_sentence(alert["headline"]) for alert in alerts}
    assert headlines["a"].startswith("a DOES NOT TRADE: ")
    assert headlines["b"].startswith("b HALTED: ")
    assert "markt" in headlines["b"]


IN_DAYS = """market: {calendar: 24/7, symbols: [A], history_starts: 2018-01-11, known_at_lag_minutes: 0}
intraday: {path: bars, bar_minutes: 60, decisions: {every_bars: 1, latency_budget_seconds: 60}}
walk_forward: {refit_every_days: 5, training_days: 5, validation_days: 2, calibration_days: 2, partial_months: true}
"""


SEARCHED = MARKET + "search: {trials: 4, space: {learning.lookback: {choices: [1, 4]}}, every_months: 12}\n"
SEARCHED_IN_DAYS = IN_DAYS + "search: {trials: 4, space: {learning.lookback: {choices: [1, 4]}}, every_days: 10}\n"
SERIES = MARKET + "series: [{name: x, path: x.csv, lag_minutes: 5}]\n"
PARTS = "walk_forward: {training_months: 30, validation_months: 3, calibration_months: 3, refit_every_months: 1}\n"
LAGGED = MARKET.replace("}", ", known_at_lag_minutes: 30}")
LAGGED_BARS = IN_DAYS.replace("bar_minutes: 60,", "bar_minutes: 60, known_at_lag_seconds: 5,")
LAGGED_BARS = LAGGED_BARS.replace("latency_budget_seconds: 60", "latency_budget_seconds: 60, computing_seconds: 5")
BOUNDS = {
    "training_days: 5": (IN_DAYS, 36_600),
    "validation_days: 2": (IN_DAYS, 36_600),
    "calibration_days: 2": (IN_DAYS, 36_600),
    "refit_every_days: 5": (IN_DAYS, 36_600),
    "training_months: 30": (MARKET + PARTS, 1_200),
    "validation_months: 3": (MARKET + PARTS, 1_200),
    "calibration_months: 3": (MARKET + PARTS, 1_200),
    "refit_every_months: 1": (MARKET + PARTS, 1_200),
    "every_months: 12": (SEARCHED, 1_200),
    "every_days: 10": (SEARCHED_IN_DAYS, 36_600),
    "known_at_lag_minutes: 30": (LAGGED, 5_270_400),
    " lag_minutes: 5": (SERIES, 5_270_400),
    "known_at_lag_seconds: 5": (LAGGED_BARS, 31_622_400),
    "computing_seconds: 5": (LAGGED_BARS, 31_622_400),
}
"""Numbers that dates and moments are reckoned with: what the file states, the file, and the most that is taken."""


def stating(key_and_value: str, number: int) -> str:
    """A whole file with another number for one that it states."""
    rest, _ = BOUNDS[key_and_value]
    assert rest.count(key_and_value) == 1
    return rest.replace(key_and_value, f"{key_and_value.partition(':')[0]}: {number}")


@pytest.mark.parametrize("key_and_value", BOUNDS)
def test_a_number_that_no_date_can_be_reckoned_with_is_refused_by_its_key(put: Put, key_and_value: str) -> None:
    key, most = key_and_value.partition(":")[0].strip(), BOUNDS[key_and_value][1]
    put("sound", rest=BOUNDS[key_and_value][0])
    assert find_strategy("sound").strategy.name == "sound"
    for number in (most + 1, 10**12):
        put("b", rest=stating(key_and_value, number))
        with pytest.raises(SettingsError, match=rf"{key}.*{most} or less was expected"):
            find_strategy("b")


def test_whatever_number_a_file_states_every_other_strategy_has_its_definitions(put: Put) -> None:
    """At the most that is taken, of which definitions can be made or a rule says why not, and far beyond it."""
    put("sound")
    for number, key_and_value in enumerate(BOUNDS):
        put(f"most_{number}", rest=stating(key_and_value, BOUNDS[key_and_value][1]))
        put(f"beyond_{number}", rest=stating(key_and_value, 10**12))
    _, left = catalog.read_strategies()
    assert {f"beyond_{number}" for number in range(len(BOUNDS))} <= set(left)
    assert not [str(one.fault) for one in left.values() if "can be reckoned with" in str(one.fault)]
    jobs = {job.name.partition("__")[0] for job in build.all_definitions().jobs or ()}
    assert {"sound"} | SHIPPED <= jobs
    assert not {name for name in jobs if name.startswith("beyond_")}
    assert {f"most_{number}" for number in range(len(BOUNDS))} <= jobs | set(left)


def test_every_whole_number_of_days_months_minutes_or_seconds_has_a_most() -> None:
    """So that none makes a moment impossible; but for those only counted, or bounded by the bar."""
    counted = {"intervals_minutes", "max_minutes_missing_at_open", "max_minutes_missing_at_close"}
    ruled_by_the_bar = {"latency_budget_seconds"}
    schema = Strategy.model_json_schema()
    without = {
        name
        for model in [*schema["$defs"].values(), schema]
        for name, field in model.get("properties", {}).items()
        if {"days", "months", "minutes", "seconds"} & set(name.split("_"))
        for kind in [field, *field.get("anyOf", ()), field.get("items", {})]
        if kind.get("type") == "integer" and not {"maximum", "exclusiveMaximum"} & kind.keys()
    }
    assert without == ruled_by_the_bar | counted


def test_one_strategy_of_which_definitions_fail_leaves_the_others_theirs_and_is_told(
    put: Put, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = put("b")
    put("a")
    sensors_of = build.strategy_sensors

    def failing(strategy: Strategy, stores: StoresResource) -> Any:
        if strategy.name == "b":
            raise pd.errors.OutOfBoundsTimedelta("too long")
        return sensors_of(strategy, stores)

    monkeypatch.setattr(build, "strategy_sensors", failing)
    with caplog.at_level(logging.ERROR):
        jobs = {job.name for job in build.all_definitions().jobs or ()}
    assert "a__daily" in jobs
    assert "b__daily" not in jobs
    assert "left out: b: " in caplog.text
    assert "OutOfBoundsTimedelta: too long" in caplog.text
    assert str(file) in caplog.text


def test_a_fault_that_no_rule_foresees_leaves_its_own_file_out_and_no_other(
    put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = put("b")
    asked = catalog.prior_fault

    def overflowing(strategy: Strategy) -> SettingsError | None:
        if strategy.name == "b":
            raise OverflowError("too large")
        return asked(strategy)

    monkeypatch.setattr(catalog, "prior_fault", overflowing)
    assert {entry.strategy.name for entry in load_strategies()} == SHIPPED
    fault = refusal("b")
    assert "OverflowError: too large" in str(fault)
    assert fault.where["file"] == str(file)
