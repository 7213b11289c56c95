"""``status`` before a run: what a strategy names that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from nn_assets.cli import missing
from tests.cli.conftest import STRATEGY, call

MARKET = "market: {calendar: XNYS, symbols: [A], history_starts: 2015-01-02, history_ends: 2016-05-27}\n"
SECRET = "s3cr3tFINDME"


def home_with(folder: Path, **texts: str) -> Path:
    (folder / "home" / "strategies").mkdir(parents=True)
    for name, text in texts.items():
        (folder / "home" / "strategies" / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / "home"


def missing_in(home: Path, name: str = "mine") -> list[str]:
    answer = call(home, "status", "--json")
    assert answer.status == 0, answer.out
    return answer.document["strategies"][name]["missing"]


@pytest.mark.full
def test_every_file_and_folder_that_is_not_there_is_listed_by_its_key(tmp_path) -> None:
    text = STRATEGY.replace("path: bars ", "path: bars\n  actions_path: actions.csv ")
    text += "series:\n- {name: a, path: a.csv, lag_minutes: 1}\n- {name: b, path: b.csv, lag_minutes: 1}\n"
    text += "universe: {path: members.csv}\n"
    home = home_with(tmp_path, mine=text)
    folder = home / "strategies"
    names = {
        "source.path": "bars",
        "source.actions_path": "actions.csv",
        "series.0.path": "a.csv",
        "series.1.path": "b.csv",
        "universe.path": "members.csv",
    }
    assert missing_in(home) == [f"{key}: nothing at {folder / name}" for key, name in names.items()]
    shown = call(home, "status", "-s", "mine").out
    assert all(f"nothing at {folder / name}" in shown for name in names.values())
    (folder / "bars").mkdir()
    for name in ("actions.csv", "a.csv", "members.csv"):
        (folder / name).write_text("x\n", encoding="utf-8")
    assert missing_in(home) == [f"series.1.path: nothing at {folder / 'b.csv'}"]


@pytest.mark.full
def test_a_strategy_that_lacks_nothing_has_an_empty_list(finished_home) -> None:
    assert missing_in(finished_home) == []
    assert missing_in(finished_home, "index_daily") == []


@pytest.mark.full
def test_intraday_files_may_be_named_by_a_pattern(tmp_path) -> None:
    home = home_with(tmp_path, mine=f"name: mine\nintraday: {{path: 'bars/*.csv'}}\n{MARKET}")
    assert missing_in(home) == [f"intraday.path: nothing at {home / 'strategies' / 'bars' / '*.csv'}"]
    (home / "strategies" / "bars").mkdir()
    (home / "strategies" / "bars" / "A.csv").write_text("x\n", encoding="utf-8")
    assert missing_in(home) == []


def test_a_variable_is_said_to_be_unset_and_never_what_it_holds(tmp_path, monkeypatch) -> None:
    home = home_with(
        tmp_path,
        broker=f"name: broker\nsource: {{kind: alpaca, key_env: MINE_KEY, secret_env: MINE_SECRET}}\n{MARKET}",
        base=f"name: base\nsource: {{kind: sql, url_env: MINE_URL, query: SELECT 1}}\n{MARKET}",
    )
    monkeypatch.delenv("MINE_SECRET", raising=False)
    monkeypatch.delenv("MINE_URL", raising=False)
    monkeypatch.setenv("MINE_KEY", SECRET)
    assert missing_in(home, "broker") == ["source.secret_env: the environment variable MINE_SECRET is not set"]
    assert missing_in(home, "base") == ["source.url_env: the environment variable MINE_URL is not set"]
    monkeypatch.setenv("MINE_URL", f"sqlite:///{SECRET}")
    answer = call(home, "status", "--json")
    assert answer.document["strategies"]["base"]["missing"] == []
    assert SECRET not in answer.out + answer.err


@pytest.mark.parametrize(
    ("source", "extra", "module"),
    [
        ("{kind: yfinance}", "yfinance", "yfinance"),
        ("{kind: ccxt, exchange: kraken}", "ccxt", "ccxt"),
        ("{kind: massive, key_env: MINE_KEY}", "massive", "httpx"),
        ("{kind: sql, url_env: MINE_KEY, query: SELECT 1}", "postgres", "psycopg"),
    ],
)
def test_an_extra_that_is_not_installed_is_named_with_the_command(tmp_path, monkeypatch, source, extra, module) -> None:
    home = home_with(tmp_path, mine=f"name: mine\nsource: {source}\n{MARKET}")
    monkeypatch.setenv("MINE_KEY", f"postgresql://me:{SECRET}@nowhere/x")
    monkeypatch.setattr(missing, "find_spec", lambda name: None if name == module else object())
    (message,) = missing_in(home)
    assert f"needs the package {module}" in message
    assert f"pip install -c constraints.txt -e '.[{extra}]'" in message
    monkeypatch.setattr(missing, "find_spec", lambda name: object())
    assert missing_in(home) == []


@pytest.mark.full
def test_the_extra_that_funding_rates_need_is_named_for_its_series(tmp_path, monkeypatch) -> None:
    series = "series: [{name: funding, kind: ccxt_funding, exchange: kraken, symbols: {A: BTC/USD}}]\n"
    home = home_with(tmp_path, mine=f"name: mine\n{series}{MARKET}")
    monkeypatch.setattr(missing, "find_spec", lambda name: None if name == "ccxt" else object())
    (message,) = missing_in(home)
    assert message.startswith("series.0.kind: ccxt_funding needs the package ccxt")


def test_overrides_of_the_calendar_that_are_not_there_are_listed_and_the_others_told(tmp_path) -> None:
    home = home_with(
        tmp_path, mine=STRATEGY.replace("  calendar: XNYS\n", "  calendar_overrides: calendars/days.yaml\n")
    )
    days = home / "strategies" / "calendars" / "days.yaml"
    there = call(home, "status", "--json")
    assert there.status == 1, there.out
    report = there.document["strategies"]
    assert report["mine"]["headline"].startswith("mine HALTED: FileNotFoundError: ")
    for part in (home / "strategies" / "mine.yaml", days, "key market.calendar_overrides", "A person is needed: mend"):
        assert str(part) in report["mine"]["headline"]
    assert "HALTED" not in report["index_daily"]["headline"]
    assert report["index_daily"]["missing"] == []
    assert call(home, "status", "-s", "index_daily").status == 0
    assert "days.yaml" in call(home, "status", "-s", "mine").err
    assert call(home, "status", "-s", "yours").status == 1
    days.parent.mkdir()
    days.write_text("extra_holidays: [soon]\n", encoding="utf-8")
    report = call(home, "status", "--json")
    assert report.status == 1
    assert "'soon'" in report.document["strategies"]["mine"]["headline"]
    assert report.document["strategies"]["index_daily"]["missing"] == []
    days.write_text("extra_holidays: []\n", encoding="utf-8")
    assert call(home, "status", "-s", "index_daily").status == 0
