"""Exports: every table, in every format, cut by session and by what was known."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.cli.export import TABLES
from nn_assets.operations.exported_names import NAMES_OF_CONTRACTS
from nn_assets.operations.stores import open_stores
from tests.cli.conftest import FIRST, LIVE, NEGATIVE, STRATEGY, SYMBOLS, call, write_bars
from tests.orchestration.conftest import living_in

CONTRACT = {
    "bars": ["symbol", "session", "open", "high", "low", "close", "volume", "source", "known_at", "ingested_at"],
    "quarantine": ["symbol", "session", "rule", "field", "value", "source", "known_at", "message"],
    "features": ["session", "symbol", "log_return_1", "log_return_5", "momentum_1", "close_location"],
    "forecasts": ["symbol", "session", "estimator", "probability", "dispersion", "model_id"],
    "signals": [
        "symbol",
        "session",
        "calibrated_probability",
        "base_rate",
        "direction",
        "data_hash",
        "code_version",
        "known_at",
    ],
    "positions": ["symbol", "session", "reference_price", "target_quantity", "target_weight", "stop_price"],
    "portfolio": [
        "session",
        "cash_usd",
        "equity_usd",
        "gross_fraction",
        "net_fraction",
        "drawdown_fraction",
        "financing_usd",
        "funding_usd",
    ],
    "orders": ["client_order_id", "symbol", "session", "side", "quantity", "status", "reason_code"],
    "fills": ["fill_id", "client_order_id", "symbol", "session", "quantity", "price", "commission_usd", "source"],
    "drift": ["session", "layer", "name", "statistic", "critical", "drifted"],
    "models": ["month", "model_id", "estimator", "artifact_sha256", "settings_hash"],
    "trials": ["trial_id", "study_id", "configuration", "figures"],
    "looks": ["trial_id", "data_hash", "month", "verdict", "look", "trials", "allowed_p_value", "allows_trading"],
    "audit": ["sequence", "table_name", "row_key", "row_hash", "previous_hash", "hash"],
}
NOTICES = ["symbol", "session", "last_session", "rule", "value", "message"]
BESIDE_BARS = {"intraday", "actions", "series", "membership", "compared"}  # in test_export_beside_bars.py
BY_SESSION = [table for table in CONTRACT if table not in {"models", "trials", "looks", "audit"}]
READERS = {
    ".csv": lambda file: pd.read_csv(file, keep_default_na=False, na_values=[""]),
    ".parquet": pd.read_parquet,
    ".json": lambda file: pd.DataFrame(json.loads(file.read_text(encoding="utf-8"))),
}


def exported(give, folder: Path, table: str, *options: str, suffix: str = ".parquet") -> pd.DataFrame:
    out = folder / f"{table}{suffix}"
    answer = give("export", table, "--out", out, "--strategy", "mine", *options, "--json")
    assert answer.status == 0, answer.out
    assert answer.document["file"] == str(out)
    frame = READERS[suffix](out)
    assert answer.document["rows"] == len(frame)
    return frame


def days(frame: pd.DataFrame) -> list[str]:
    return sorted(pd.to_datetime(frame["session"]).dt.strftime("%Y-%m-%d").unique())


def test_the_tables_are_those_promised() -> None:
    elsewhere = {
        "ranges",
        "halts",
        "bar_details",
        "intraday_details",
        "novelty",
        *("account_orders", "order_events", "account_fills", "reconciliations"),
    }  # in tests/operations, by what each is about
    assert {*CONTRACT, "notices"} | BESIDE_BARS | elsewhere == set(TABLES)


def test_a_table_is_exported_too_by_the_name_that_the_page_of_tables_heads_it_by(give, tmp_path) -> None:
    assert NAMES_OF_CONTRACTS["trading_halts"] == "halts"
    assert not set(NAMES_OF_CONTRACTS) & set(TABLES)
    headings = (Path(__file__).parents[2] / "docs" / "tables.md").read_text(encoding="utf-8")
    assert all(f"### {name}\n" in headings for name in NAMES_OF_CONTRACTS)
    by_either = [exported(give, tmp_path, name) for name in ("portfolio_states", "portfolio")]
    pd.testing.assert_frame_equal(*by_either)


def test_notices_are_a_table_also_where_there_are_none(give, tmp_path) -> None:
    notices = exported(give, tmp_path, "notices")
    assert list(notices.columns) == NOTICES


def test_cash_moves_by_fills_and_the_financing_told(give, tmp_path) -> None:
    portfolio, fills = (exported(give, tmp_path, table).set_index("session") for table in ("portfolio", "fills"))
    assert "book" not in portfolio.columns
    portfolio = portfolio.sort_index()
    spent = (fills["quantity"] * fills["price"] + fills["commission_usd"]).groupby("session").sum()
    moved = portfolio["cash_usd"].diff().iloc[1:]
    expected = portfolio["financing_usd"] - spent.reindex(portfolio.index, fill_value=0.0)
    assert moved.to_numpy() == pytest.approx(expected.iloc[1:].to_numpy(), abs=1e-6)


@pytest.mark.full
@pytest.mark.parametrize("table", CONTRACT)
def test_every_table_goes_to_every_format_with_the_same_rows(give, tmp_path, table) -> None:
    frames = {suffix: exported(give, tmp_path, table, suffix=suffix) for suffix in READERS}
    rows = {len(frame) for frame in frames.values()}
    assert len(rows) == 1
    assert rows.pop() > 0
    for frame in frames.values():
        assert set(CONTRACT[table]) <= set(frame.columns)
        if "session" in frame.columns:
            assert days(frame) == days(frames[".parquet"])


@pytest.mark.full
@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_text_formats_keep_every_digit(give, tmp_path, suffix) -> None:
    keys = ["symbol", "session", "estimator"]
    exact = exported(give, tmp_path, "forecasts").astype({"session": str}).sort_values(keys)
    text = exported(give, tmp_path, "forecasts", suffix=suffix).astype({"session": str}).sort_values(keys)
    assert text["symbol"].tolist() == exact["symbol"].tolist()
    for column in ("probability", "dispersion"):
        assert text[column].tolist() == exact[column].tolist()


@pytest.mark.full
@pytest.mark.parametrize("suffix", READERS)
def test_symbols_that_look_like_something_else_stay_text(give, tmp_path, suffix) -> None:
    assert set(exported(give, tmp_path, "bars", suffix=suffix)["symbol"]) == set(SYMBOLS.values())


@pytest.mark.full
@pytest.mark.parametrize("table", BY_SESSION)
def test_from_and_to_are_both_included(give, tmp_path, table) -> None:
    if table == "quarantine":
        first = last = NEGATIVE[1]
    else:
        first = last = LIVE[1]
    inside = exported(give, tmp_path, table, "--from", first, "--to", last)
    assert days(inside) == [first]
    everything = exported(give, tmp_path, table)
    assert len(inside) == (pd.to_datetime(everything["session"]) == pd.Timestamp(first)).sum()


def test_a_month_is_meant_from_its_first_day_to_its_last(give, tmp_path) -> None:
    march = days(exported(give, tmp_path, "bars", "--from", "2016-03", "--to", "2016-03"))
    assert (march[0], march[-1], len(march)) == ("2016-03-01", "2016-03-31", 22)


def test_models_are_cut_by_month(give, tmp_path) -> None:
    models = exported(give, tmp_path, "models", "--from", "2016-02-15", "--to", "2016-03-01")
    assert sorted(models["month"].unique()) == ["2016-02", "2016-03"]


def test_as_of_leaves_out_bars_that_were_not_known_yet(give, tmp_path) -> None:
    # XNYS closed at 20:00 UTC on that day, and the stated lag is 30 minutes.
    before = exported(give, tmp_path, "bars", "--as-of", f"{LIVE[0]}T20:29:59Z")
    after = exported(give, tmp_path, "bars", "--as-of", f"{LIVE[0]}T20:30:00Z")
    assert days(before)[-1] == "2016-04-26"
    assert days(after)[-1] == LIVE[0]


@pytest.mark.parametrize("table", ["features", "forecasts", "signals", "positions", "portfolio", "orders", "drift"])
def test_as_of_gives_what_was_decided_by_then_unchanged(give, tmp_path, table) -> None:
    then = exported(give, tmp_path, table, "--as-of", f"{LIVE[0]}T20:30:00Z")
    now = exported(give, tmp_path, table, "--to", LIVE[0])
    assert days(then)[-1] == LIVE[0]
    pd.testing.assert_frame_equal(then, now, check_exact=True)


def test_trials_known_before_they_were_run_are_none(give, tmp_path) -> None:
    assert exported(give, tmp_path, "trials", "--as-of", "2016-12-31").empty


@pytest.mark.parametrize(
    ("table", "option"),
    [("trials", "--from"), ("trials", "--to"), ("audit", "--from"), ("audit", "--as-of"), ("notices", "--as-of")],
)
def test_an_option_that_a_table_cannot_honour_is_refused(give, tmp_path, table, option) -> None:
    out = tmp_path / "file.csv"
    answer = give("export", table, "--out", out, "-s", "mine", option, "2016-04-01", "--json")
    assert answer.status == 1
    assert answer.document["error"] == "SettingsError"
    assert option in answer.document["message"]
    assert not out.exists()


def test_a_number_kept_as_text_is_that_number_in_csv_without_an_apostrophe(give, tmp_path) -> None:
    """What a spreadsheet would run is disarmed: tests/hostile/test_exports.py."""
    assert exported(give, tmp_path, "quarantine", suffix=".csv")["value"].tolist() == [-12.5]
    assert exported(give, tmp_path, "quarantine")["value"].tolist() == ["-12.5"]
    assert exported(give, tmp_path, "quarantine", suffix=".json")["value"].tolist() == ["-12.5"]


def test_negative_numbers_stay_numbers_in_csv(give, tmp_path) -> None:
    returns = exported(give, tmp_path, "features", suffix=".csv")["log_return_1"]
    assert returns.dtype == "float64"
    assert (returns < 0).any()


def test_what_is_missing_is_null_in_json(give, tmp_path) -> None:
    exported(give, tmp_path, "features", "--to", FIRST, suffix=".json")
    rows = json.loads((tmp_path / "features.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert rows[0]["log_return_1"] is None
    assert rows[0]["session"] == FIRST


def test_nested_values_are_json_in_text_formats_and_objects_in_json(give, tmp_path) -> None:
    for suffix in (".csv", ".parquet"):
        configuration = exported(give, tmp_path, "trials", suffix=suffix)["configuration"].iloc[0]
        assert isinstance(json.loads(configuration), dict)
    assert isinstance(exported(give, tmp_path, "trials", suffix=".json")["configuration"].iloc[0], dict)


def test_the_audit_export_is_a_chain(give, tmp_path) -> None:
    chain = exported(give, tmp_path, "audit", suffix=".csv")
    assert chain["sequence"].diff()[1:].tolist() == chain["rows"].fillna(1)[1:].tolist()
    assert chain["previous_hash"].tolist()[1:] == chain["hash"].tolist()[:-1]


def test_an_export_replaces_the_file_that_was_there_and_leaves_nothing_beside_it(give, tmp_path) -> None:
    out = tmp_path / "bars.csv"
    out.write_text("old", encoding="utf-8")
    exported(give, tmp_path, "bars", suffix=".csv")
    assert out.read_text(encoding="utf-8").startswith("symbol,")
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_that_is_not_there_is_named_and_not_made(give, tmp_path) -> None:
    answer = give("export", "bars", "--out", tmp_path / "new" / "bars.csv", "-s", "mine", "--json")
    assert answer.status == 1
    assert f"no folder {tmp_path / 'new'}" in answer.document["message"]
    assert list(tmp_path.iterdir()) == []


def test_a_suffix_in_capitals_is_the_same_format(give, tmp_path) -> None:
    answer = give("export", "bars", "--out", tmp_path / "BARS.CSV", "-s", "mine", "--json")
    assert answer.status == 0


REFUSED = {
    "unknown table": (["prices", "--out", "x.csv"], ["'prices'", "one of bars, compared, quarantine, notices"]),
    "unknown strategy": (["bars", "--out", "x.csv", "-s", "yours"], ["'yours'", "index_daily, planted_edge, mine"]),
    "odd suffix": (["bars", "--out", "x.xlsx"], ["x.xlsx", ".csv, .parquet or .json"]),
    "no suffix": (["bars", "--out", "bars"], ["--out", ".csv, .parquet or .json"]),
    "a date that is none": (["bars", "--out", "x.csv", "--from", "2016-02-30"], ["--from", "'2016-02-30'"]),
    "an impossible month": (["bars", "--out", "x.csv", "--from", "2015-13"], ["'2015-13'", "a month such as 2017-12"]),
    "a word for a date": (["bars", "--out", "x.csv", "--to", "tuesday week"], ["--to", "'tuesday week'"]),
    "a year too far": (["bars", "--out", "x.csv", "--to", "999999-01-01"], ["--to", "'999999-01-01'"]),
    "a day of two meanings": (["bars", "--out", "x.csv", "--from", "03/04/2016"], ["--from", "year first"]),
    "a time that is none": (["bars", "--out", "x.csv", "--as-of", "2016-04-28T25:00"], ["--as-of", "T25:00"]),
    "from after to": (["bars", "--out", "x.csv", "--from", "2016-04-02", "--to", "2016-04-01"], ["2016-04-02 to"]),
    "before anything was known": (["features", "--out", "x.csv", "--as-of", "2010-01-01"], ["--as-of", FIRST]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_exported_is_refused_by_name(give, tmp_path, monkeypatch, case) -> None:
    monkeypatch.chdir(tmp_path)
    words, expected = REFUSED[case]
    strategy = [] if "-s" in words else ["-s", "mine"]
    answer = give("export", *words, *strategy, "--json")
    assert answer.status == 1
    assert answer.document["ok"] is False
    message = answer.document["message"]
    assert all(part in message for part in (*expected, "expected", "found", "Remedy")), message
    assert "Traceback" not in answer.out + answer.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", ["a file for a folder", "a folder for a file"])
def test_a_place_that_cannot_be_written_is_named(give, tmp_path, case) -> None:
    if case == "a file for a folder":
        (tmp_path / "taken").write_text("", encoding="utf-8")
        out = tmp_path / "taken" / "bars.csv"
    else:
        out = tmp_path / "bars.csv"
        out.mkdir()
    answer = give("export", "bars", "--out", out, "-s", "mine", "--json")
    assert answer.status == 1
    assert str(out) in answer.document["message"]
    assert "a place that can be written" in answer.document["message"]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_home_that_nothing_was_taken_into_is_named_and_stays_empty(tmp_path) -> None:
    home = tmp_path / "home"
    (home / "strategies").mkdir(parents=True)
    (home / "strategies" / "mine.yaml").write_text(STRATEGY, encoding="utf-8")
    for table in ("bars", "notices", "trials"):
        answer = call(home, "export", table, "--out", tmp_path / "x.csv", "-s", "mine", "--json")
        assert (answer.status, answer.document["error"]) == (1, "LedgerError"), answer.out
        assert "take them in first: nn-assets check --strategy mine" in answer.document["message"]
    assert sorted(path.name for path in home.rglob("*")) == ["mine.yaml", "strategies"]
    assert not (tmp_path / "x.csv").exists()


def test_the_remedy_of_nothing_published_is_a_command_and_helps(tmp_path) -> None:
    home, out = tmp_path / "home", tmp_path / "x.csv"
    write_bars(home / "strategies" / "bars")
    (home / "strategies" / "mine.yaml").write_text(STRATEGY, encoding="utf-8")
    with living_in(home), open_stores():
        pass
    refused = call(home, "export", "bars", "--out", out, "-s", "mine", "--json").document["message"]
    remedy = refused.partition("Remedy: ")[2]
    assert remedy == "nn-assets check --strategy mine"
    for table, setting in (("actions", "source.actions_path"), ("series", "series"), ("intraday", "intraday")):
        never = call(home, "export", table, "--out", out, "-s", "mine", "--json").document["message"]
        assert never.endswith(f"name their file under {setting} in the strategy file, then {remedy}")
    assert call(home, *remedy.split()[1:]).status == 0
    assert call(home, "export", "bars", "--out", out, "-s", "mine").status == 0


@pytest.mark.full
def test_nothing_published_yet_is_a_named_error(tmp_path) -> None:
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "mine.yaml").write_text(STRATEGY, encoding="utf-8")
    for table in ("bars", "quarantine", "features", "forecasts"):
        answer = call(tmp_path, "export", table, "--out", tmp_path / "x.csv", "-s", "mine", "--json")
        assert answer.status == 1, answer.out
        assert answer.document["error"] in {"PublicationError", "LedgerError"}
        assert "Remedy" in answer.document["message"]
