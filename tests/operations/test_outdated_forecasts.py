"""Stored forecasts follow from what their sessions know: a bar that states a moment in the past outdates its month."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.cli import runs
from nn_assets.errors import AccessError, PublicationError
from nn_assets.operations.asof.forecasts import FORECASTS
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay, signals_repeat_forecasts
from nn_assets.operations.history import open_history
from nn_assets.operations.models import forecasts, outdated
from nn_assets.operations.models.forecasts import keep_forecast_list, read_forecast_list, renew_forecasts
from nn_assets.operations.models.outdated import FORECAST_FACTS, months_in_doubt, months_to_refit
from nn_assets.store.lake.files import write_record
from nn_assets.store.lake.lake import Lake
from tests.matrices import often
from tests.operations.homes import live_until, months_between, study, study_stored, take_in, train
from tests.operations.test_as_known import (
    CUT,
    FIRST_MONTH,
    LAST_MONTH,
    Lived,
    bars_until,
    restated,
    strategy,
    write_home,
)
from tests.orchestration.conftest import living_in
from tests.shared_homes import built_once, nothing_drawn

MONTHS = months_between(FIRST_MONTH, LAST_MONTH)
TWO = MONTHS[:2]


@pytest.fixture(scope="module")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two months forecast, and no session decided."""

    def build(folder: Path) -> None:
        write_home(folder, CUT, late=False)
        with living_in(folder), nothing_drawn():
            take_in(strategy())
            train(strategy(), TWO)

    return built_once("known-trained", tmp_path_factory, build)


@pytest.fixture
def home(trained_home: Path, tmp_path: Path) -> Iterator[Path]:
    copied = Path(shutil.copytree(trained_home, tmp_path / "home"))
    with living_in(copied):
        yield copied


@pytest.fixture
def decided(ends_before: Lived, tmp_path: Path) -> Iterator[Path]:
    copied = Path(shutil.copytree(ends_before.home, tmp_path / "home"))
    with living_in(copied):
        yield copied


def deliver(home: Path, known_at: str = "2016-05-10T20:20:00Z", day: str = "2016-05-10") -> None:
    """Another price of one bar, said to be known at a moment."""
    frame = restated(bars_until(CUT), "SIM01", day, 1.04, known_at)
    frame.to_csv(home / "strategies" / "bars" / "z.csv", index=False, date_format="%Y-%m-%d")
    take_in(strategy())


def stored(months: list[str] = MONTHS) -> dict[str, pd.DataFrame]:
    with open_history(strategy()) as history:
        return {month: history.stores.lake.read_months("known", FORECASTS, [month]) for month in months}


def differ(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    assert len(one) == len(other)
    return bool((one["probability"].to_numpy() != other["probability"].to_numpy()).any())


def test_a_month_whose_bars_came_later_is_named_and_studied_again_as_all_months_are(home: Path) -> None:
    before = stored(TWO)
    deliver(home)
    with open_history(strategy()) as history:
        assert months_to_refit(history, "2016-06") == ["2016-05"]
    train(strategy(), ["2016-06"])
    with pytest.raises(PublicationError, match=r"facts of 2016-05 that arrived since.*--from 2016-05 --to 2016-06"):
        study_stored(strategy(), ["2016-06"])
    assert study(strategy(), TWO).last.month == "2016-06"  # the remedy
    with open_history(strategy()) as history:
        assert months_to_refit(history, "2016-07") == []
    assert differ(before["2016-05"], stored(TWO)["2016-05"])


def test_the_study_command_runs_outdated_months_too_and_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(home)
    ran: list[str] = []

    def executed(_: object, job: str, *, first: str, last: str, tags: dict[str, str]) -> None:
        ran.extend([job, first, last])
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "execute", executed)
    messages: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        runs.run_study("known", "2016-06", None, None, messages.append)
    assert ran == ["study", "2016-05-01", "2016-08-01"]
    assert "facts of 1 month (2016-05) arrived since, so 1 month from 2016-05 on run before 2016-06" in messages[0]


@pytest.mark.full
def test_what_no_session_of_a_month_knew_outdates_nothing(home: Path) -> None:
    deliver(home, known_at="2016-08-30T12:00:00Z")
    with open_history(strategy()) as history:
        assert months_to_refit(history, "2016-09") == []
        assert months_in_doubt(history, TWO) == []


def test_other_code_puts_months_in_doubt_and_refits_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outdated, "_code", lambda _: "other")
    with open_history(strategy()) as history:
        assert months_to_refit(history, "2016-09") == []
        assert months_in_doubt(history, TWO) == TWO
    for file in (home / "lake" / "known" / FORECAST_FACTS).glob("*.json"):
        record = json.loads(file.read_text())
        assert record.pop("code") != "other"
        write_record(file, record)  # as before months named their code
    with open_history(strategy()) as history:
        assert months_in_doubt(history, TWO) == []


@pytest.mark.full
def test_a_damaged_month_hides_no_outdated_one_and_whoever_reads_it_is_told(home: Path) -> None:
    lake = home / "lake" / "known"
    facts = json.loads((kept := lake / FORECAST_FACTS / "2016-06.json").read_text(encoding="utf-8"))
    kept.write_text(json.dumps({**facts, "facts": "others"}), encoding="utf-8")
    (lake / FORECASTS / "months" / "2016-05.json").write_text("{", encoding="utf-8")
    with open_history(strategy()) as history:
        assert months_to_refit(history, "2016-07") == ["2016-06"]
    with pytest.raises(PublicationError, match="--from 2016-05 --to 2016-05 makes the damaged months"):
        stored(["2016-05"])


@pytest.mark.full
@pytest.mark.parametrize(
    "error",
    [
        AccessError(expected="a file that this user may read", found="no permission", remedy="give it back"),
        OSError(5, "Input/output error"),
        KeyError("address"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_other_error_of_a_month_is_no_damage_and_is_told_at_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refused(*_: object) -> str:
        raise error

    monkeypatch.setattr(Lake, "month_address", refused)
    with open_history(strategy()) as history, pytest.raises(type(error)):
        months_to_refit(history, "2016-07")


@pytest.mark.full
def test_a_round_reads_what_a_home_that_had_the_bar_at_once_has(decided: Path, tmp_path: Path) -> None:
    before = stored()
    deliver(decided)
    with open_history(strategy()) as history:
        listed = read_forecast_list(history, keep_forecast_list(history, pd.Timestamp(CUT)))
        read = history.stores.lake.read_table("known", FORECASTS, listed["2016-05"])
    assert differ(before["2016-05"], read)
    assert stored()["2016-07"].equals(before["2016-07"])
    with open_history(strategy()) as history:  # what was decided on the months before stands
        assert decisions_repeat_in_replay(history) == (len(live_until(history, CUT)), [])
    write_home(tmp_path / "at_once", CUT, late=False)
    with living_in(tmp_path / "at_once"):
        deliver(tmp_path / "at_once")
        train(strategy(), ["2016-05"])
        pd.testing.assert_frame_equal(stored(["2016-05"])["2016-05"], read, check_exact=True)


def test_months_of_before_are_made_again_once_and_kept_where_they_are_equal(
    decided: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(decided / "lake" / "known" / FORECAST_FACTS)
    with open_history(strategy()) as history:
        assert months_to_refit(history, "2016-09") == []
        assert months_in_doubt(history, MONTHS) == MONTHS
        addresses = [history.stores.lake.month_address("known", FORECASTS, month) for month in MONTHS]
        assert renew_forecasts(history, MONTHS) == []
        assert [history.stores.lake.month_address("known", FORECASTS, month) for month in MONTHS] == addresses
        compared, named = signals_repeat_forecasts(history)
        assert compared
        assert not named
    monkeypatch.setattr(forecasts, "_made", lambda *_: pytest.fail("made again"))
    with open_history(strategy()) as history:
        assert renew_forecasts(history, MONTHS) == []


def test_months_of_before_that_no_longer_follow_from_the_facts_are_made_again(decided: Path) -> None:
    shutil.rmtree(decided / "lake" / "known" / FORECAST_FACTS)
    before = stored()
    deliver(decided)
    with open_history(strategy()) as history:
        assert renew_forecasts(history, MONTHS) == ["2016-05"]
    assert differ(before["2016-05"], stored()["2016-05"])


@pytest.mark.parametrize("damage", often(["", "{}", '{"forecasts": 1}', "[]"], "", '{"forecasts": 1}'))
def test_a_damaged_hash_is_no_hash(decided: Path, damage: str) -> None:
    (decided / "lake" / "known" / FORECAST_FACTS / "2016-05.json").write_text(damage)
    with open_history(strategy()) as history:
        assert months_in_doubt(history, MONTHS) == ["2016-05"]
        assert renew_forecasts(history, MONTHS) == []
    with open_history(strategy()) as history:
        assert months_in_doubt(history, MONTHS) == []


def test_forecasts_of_another_processor_stay(decided: Path) -> None:
    with open_history(strategy()) as history:
        lake = history.stores.lake
        frame = lake.read_months("known", FORECASTS, ["2016-06"])
        near, far = (frame.assign(probability=frame["probability"] + by) for by in (2e-9, 2e-6))
        address = lake.write_month("known", FORECASTS, "2016-06", near)
        assert renew_forecasts(history, MONTHS) == []
        assert lake.month_address("known", FORECASTS, "2016-06") == address
        lake.write_month("known", FORECASTS, "2016-06", far)
        assert renew_forecasts(history, MONTHS) == ["2016-06"]
        again = lake.read_months("known", FORECASTS, ["2016-06"])
    assert np.array_equal(again["probability"], frame["probability"])
