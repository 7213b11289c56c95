"""Exports of what lies beside the daily bars: series, membership, actions, bars within the session; adjusted bars."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.operations.catalog import find_strategy, folder_of
from nn_assets.operations.history import open_history
from nn_assets.operations.intake.bars import audit_bars, ingest_bars, publish_bars
from nn_assets.operations.intake.intraday import audit_intraday, ingest_intraday, publish_intraday
from nn_assets.operations.intake.series import ingest_series
from nn_assets.operations.intake.universe import ingest_universe
from nn_assets.store.lake.lake import Lake
from tests.cli.conftest import call

DAYS = ("2003-02-13", "2003-02-14", "2003-02-18", "2003-02-19")
VAULT = "2003-02-20"  # in the files, and never to be seen
CLOSES = (46.99, 48.30, 24.96, 24.53)
BACKWARD = (23.42, 24.07, 24.88, 24.53)  # as the vendor shows them

STRATEGY = f"""\
name: mine
source: {{kind: files, path: bars.csv, actions_path: actions.csv}}
market:
  symbols: [MSFT]
  history_starts: {DAYS[0]}
  history_ends: 2003-02-28
  vault_starts: {VAULT}
  compare_with: {{kind: files, path: venue}}
series:
- {{name: fear, path: fear.csv, lag_minutes: 15}}
universe: {{path: members.csv, max_retired_fraction: 1.0}}
"""
MINUTES = f"""\
name: minutes
intraday: {{path: minutes, bar_minutes: 195}}
market:
  symbols: [MSFT]
  history_starts: {DAYS[0]}
  history_ends: 2003-02-28
  vault_starts: {VAULT}
"""
FILES = {
    "mine.yaml": STRATEGY,
    "minutes.yaml": MINUTES,
    "bars.csv": "date,open,high,low,close,volume,symbol\n"
    + "".join(f"{day},{close},{close},{close},{close},1000,MSFT\n" for day, close in zip(DAYS, CLOSES, strict=True)),
    "actions.csv": "symbol,ex_session,kind,value\nMSFT,2003-02-18,split,2\nMSFT,2003-02-19,dividend,0.08\n",
    **{f"venue/{day}.csv": f"date,open,high,low,close,volume,symbol\n{day},9,9,9,9,1,MSFT\n" for day in (*DAYS, VAULT)},
    "fear.csv": "date,close\n" + "".join(f"{day},{20 + index}\n" for index, day in enumerate((*DAYS, VAULT))),
    "members.csv": f"ticker,start_date,end_date\nMSFT,2003-01-02,\nGONE,2003-01-02,{DAYS[1]}\nNEW,{DAYS[2]},\n",
    # New York's open, 14:30 UTC, and the second half of the session.
    "minutes/MSFT.csv": "date,open,high,low,close,volume\n"
    + "".join(f"{day}T{at}:00Z,50,51,49,50,10\n" for day in DAYS for at in ("14:30", "17:45")),
}
LAG_PASSED = "T21:30Z"  # half an hour after New York's close


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything taken in twice: the second time a value is restated, a spell ended and another retired."""
    home = tmp_path_factory.mktemp("beside") / "home"
    folder = home / "strategies"
    for name in ("minutes", "venue"):
        (folder / name).mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NN_ASSETS_HOME", str(home))
        patch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
        take_in()
        restate(folder / "fear.csv", f"{DAYS[0]},20", f"{DAYS[0]},99")
        restate(folder / f"venue/{DAYS[0]}.csv", "9,9,9,9", "8,8,8,8")
        restate(folder / "members.csv", f"GONE,2003-01-02,{DAYS[1]}\n", "")
        restate(folder / "members.csv", "MSFT,2003-01-02,", f"MSFT,2003-01-02,{DAYS[2]}")
        take_in()
    return home


def restate(file: Path, old: str, says: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, says), encoding="utf-8")


def take_in() -> None:
    with open_history(find_strategy("mine").strategy) as history:
        ingest_series(history, folder_of("mine"))
        ingest_universe(history, folder_of("mine"))
        ingest_bars(history, folder_of("mine"))
        publish_bars(history, audit_bars(history), "run")
    with open_history(find_strategy("minutes").strategy) as history:
        ingest_intraday(history, folder_of("minutes"))
        publish_intraday(history, audit_intraday(history), "run")


@pytest.fixture
def exported(home, tmp_path):
    def export(table: str, *options: str, strategy: str = "mine", suffix: str = ".parquet") -> pd.DataFrame:
        out = tmp_path / f"{table}{suffix}"
        answer = call(home, "export", table, "--out", out, "-s", strategy, *options, "--json")
        assert answer.status == 0, answer.out
        return pd.read_parquet(out) if suffix == ".parquet" else pd.read_csv(out)

    return export


def days(frame: pd.DataFrame, column: str = "session") -> list[str]:
    return frame[column].dt.strftime("%Y-%m-%d").tolist()


# --- series ------------------------------------------------------------------------------------------------


def test_a_series_is_every_version_of_it_and_none_of_the_vault(exported) -> None:
    series = exported("series").sort_values(["session", "ingested_at"])
    assert list(zip(days(series), series["value"], strict=True)) == [
        (DAYS[0], 20.0),
        (DAYS[0], 99.0),
        *((day, 21.0 + index) for index, day in enumerate(DAYS[1:])),
    ]


def test_a_series_as_of_a_moment_is_what_was_known_then(exported) -> None:
    then = exported("series", "--as-of", f"{DAYS[1]}{LAG_PASSED}")
    assert list(zip(days(then), then["value"], strict=True)) == [(DAYS[0], 20.0), (DAYS[1], 21.0)]
    now = exported("series", "--as-of", "2100-01-01")
    assert now["value"].tolist() == [99.0, 21.0, 22.0, 23.0]


def test_a_series_is_cut_by_session(exported) -> None:
    assert days(exported("series", "--from", DAYS[1], "--to", DAYS[2])) == [DAYS[1], DAYS[2]]


# --- the second source -------------------------------------------------------------------------------------


def test_bars_to_compare_with_are_every_version_or_those_known_and_none_of_the_vault(exported) -> None:
    compared = exported("compared").sort_values(["session", "ingested_at"])
    assert list(zip(days(compared), compared["close"], strict=True)) == [(DAYS[0], 9.0), (DAYS[0], 8.0)] + [
        (day, 9.0) for day in DAYS[1:]
    ]
    assert set(compared["source"]) == {f"files:{day}.csv" for day in DAYS}
    then = exported("compared", "--as-of", f"{DAYS[1]}{LAG_PASSED}")
    assert list(zip(days(then), then["close"], strict=True)) == [(DAYS[0], 9.0), (DAYS[1], 9.0)]
    assert exported("compared", "--as-of", "2100-01-01")["close"].tolist() == [8.0, 9.0, 9.0, 9.0]


def test_a_strategy_without_a_second_source_is_told_where_to_name_one(home, tmp_path) -> None:
    answer = call(home, "export", "compared", "--out", tmp_path / "compared.csv", "-s", "minutes")
    assert answer.status == 1
    assert "name their file under market.compare_with" in answer.err


# --- membership --------------------------------------------------------------------------------------------


def spells(frame: pd.DataFrame) -> list[tuple[str, str]]:
    ends = frame["member_to"].dt.strftime("%Y-%m-%d").fillna("")
    return sorted(zip(frame["symbol"], ends, strict=True))


def test_membership_is_every_version_of_every_spell(exported) -> None:
    assert spells(exported("membership")) == [
        ("GONE", "2003-01-02"),
        ("GONE", DAYS[1]),
        ("MSFT", ""),
        ("MSFT", DAYS[2]),
        ("NEW", ""),
    ]


def test_membership_as_of_a_moment_is_what_was_known_then(exported) -> None:
    assert spells(exported("membership", "--as-of", f"{DAYS[0]}T12:00Z")) == [("GONE", ""), ("MSFT", "")]
    assert spells(exported("membership", "--as-of", "2100-01-01")) == [("MSFT", DAYS[2]), ("NEW", "")]


def test_membership_is_cut_to_spells_that_hold_a_day_with_all_their_versions(exported) -> None:
    assert spells(exported("membership", "--from", DAYS[1], "--to", DAYS[1])) == [("MSFT", ""), ("MSFT", DAYS[2])]
    assert spells(exported("membership", "--from", DAYS[2])) == [("MSFT", ""), ("MSFT", DAYS[2]), ("NEW", "")]
    assert spells(exported("membership", "--to", "2003-01-02")) == [
        ("GONE", "2003-01-02"),
        ("GONE", DAYS[1]),
        ("MSFT", ""),
        ("MSFT", DAYS[2]),
    ]
    assert spells(exported("membership", "--as-of", "2100-01-01", "--from", DAYS[2])) == [("NEW", "")]


# --- text that a spreadsheet would run -----------------------------------------------------------------------


@pytest.mark.full
@pytest.mark.parametrize(
    ("table", "stored"), [("series", "other_series"), ("membership", "universe_membership"), ("actions", "actions")]
)
def test_text_that_a_spreadsheet_would_run_is_disarmed_in_csv(home, tmp_path, table, stored) -> None:
    own = Path(shutil.copytree(home, tmp_path / "home"))
    lake = Lake(own / "lake")
    lake.append_segment("mine", stored, lake.read_segments("mine", stored).assign(source="=1+1"))
    options = ("--as-of", "2100-01-01") if table == "actions" else ()
    answer = call(own, "export", table, "--out", tmp_path / "x.csv", "-s", "mine", *options, "--json")
    assert answer.status == 0, answer.out
    assert "'=1+1" in pd.read_csv(tmp_path / "x.csv")["source"].tolist()


# --- actions -----------------------------------------------------------------------------------------------


def test_actions_are_splits_and_dividends_known_then(exported) -> None:
    actions = exported("actions")
    assert list(zip(days(actions, "ex_session"), actions["kind"], actions["value"], strict=True)) == [
        (DAYS[2], "split", 2.0),
        (DAYS[3], "dividend", 0.08),
    ]
    assert exported("actions", "--as-of", f"{DAYS[1]}{LAG_PASSED}")["kind"].tolist() == ["split"]
    assert exported("actions", "--from", DAYS[3], "--to", DAYS[3])["kind"].tolist() == ["dividend"]


def test_actions_are_those_known_now_also_where_no_decision_of_the_history_saw_them(
    home, tmp_path, monkeypatch
) -> None:
    own = Path(shutil.copytree(home, tmp_path / "home"))
    monkeypatch.setenv("NN_ASSETS_HOME", str(own))
    restate(own / "strategies" / "actions.csv", "dividend,0.08", "dividend,0.09")
    began = pd.Timestamp.now(tz="UTC")
    take_in()
    values, out = {}, tmp_path / "actions.parquet"
    for options in ((), ("--as-of", "2003-03-01")):
        assert call(own, "export", "actions", "--out", out, "-s", "mine", *options).status == 0
        values[options] = pd.read_parquet(out).set_index("kind")
    now, then = values.values()
    assert (now.loc["dividend", "value"], then.loc["dividend", "value"]) == (0.09, 0.08)
    assert now.loc["dividend", "known_at"] >= began
    assert now.loc["split", "known_at"] < began
    # Published bars are adjusted by what is known now too.
    assert call(own, "export", "bars", "--out", out, "-s", "mine", "--adjusted", "backward").status == 0
    closes = pd.read_parquet(out)["close"].tolist()
    assert closes[2] == pytest.approx(CLOSES[2] * (1.0 - 0.09 / CLOSES[2]), abs=1e-9)


# --- bars within the session -------------------------------------------------------------------------------


def test_intraday_bars_are_those_published(exported) -> None:
    bars = exported("intraday", strategy="minutes")
    assert days(bars) == [day for day in DAYS for _ in range(2)]
    assert days(exported("intraday", "--from", DAYS[1], "--to", DAYS[1], strategy="minutes")) == [DAYS[1]] * 2


def test_intraday_bars_as_of_a_moment_are_those_that_had_ended(exported) -> None:
    then = exported("intraday", "--as-of", f"{DAYS[1]}T18:00Z", strategy="minutes")
    assert days(then) == [DAYS[0], DAYS[0], DAYS[1]]
    assert exported("intraday", "--as-of", "2003-01-01", strategy="minutes").empty


# --- adjusted bars -----------------------------------------------------------------------------------------


def test_backward_adjusted_bars_are_as_the_vendor_shows_them(exported) -> None:
    bars = exported("bars", "--adjusted", "backward")
    assert bars["close"].round(2).tolist() == list(BACKWARD)
    for price in ("open", "high", "low"):
        assert bars[price].tolist() == bars["close"].tolist()
    assert bars["volume"].tolist() == [2000.0, 2000.0, 1000.0, 1000.0]
    assert list(bars.columns) == list(exported("bars").columns)


@pytest.mark.full
def test_forward_adjusted_bars_start_as_quoted_and_grow_alike(exported) -> None:
    forward = exported("bars", "--adjusted", "forward")
    backward = exported("bars", "--adjusted", "backward")
    assert forward["close"].iloc[0] == CLOSES[0]
    ratio = forward["close"] / backward["close"]
    assert ratio.tolist() == pytest.approx([ratio.iloc[0]] * 4, rel=1e-12)
    assert forward["volume"].tolist() == [1000.0, 1000.0, 500.0, 500.0]


def test_adjustment_knows_the_actions_of_the_moment_alone_and_all_of_them_before_a_cut(exported) -> None:
    then = exported("bars", "--adjusted", "backward", "--as-of", f"{DAYS[2]}{LAG_PASSED}")
    assert then["close"].tolist() == [CLOSES[0] / 2, CLOSES[1] / 2, CLOSES[2]]
    assert exported("bars", "--adjusted", "backward", "--to", DAYS[0])["close"].round(2).tolist() == [BACKWARD[0]]


def test_bars_without_the_option_are_as_quoted(exported) -> None:
    assert exported("bars")["close"].tolist() == list(CLOSES)


def test_bars_without_an_action_are_the_same_under_every_adjustment(exported) -> None:
    plain = exported("bars", strategy="mine", suffix=".parquet").query("session < '2003-02-18'")
    early = exported("bars", "--adjusted", "backward", "--as-of", f"{DAYS[0]}{LAG_PASSED}")
    assert early["close"].tolist() == plain["close"].tolist()[:1]


# --- refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "strategy", "options", "expected"),
    [
        ("series", "minutes", (), "under series in the strategy file, then nn-assets check --strategy minutes"),
        ("membership", "minutes", (), "under universe in the strategy file, then nn-assets check --strategy minutes"),
        ("actions", "minutes", ("--as-of", "2100-01-01"), "source.actions_path"),
        ("intraday", "mine", (), "under intraday in the strategy file, then nn-assets check --strategy mine"),
        ("bars", "mine", ("--adjusted", "sideways"), "backward or forward"),
        ("signals", "mine", ("--adjusted", "backward"), "leave out --adjusted"),
    ],
)
def test_what_was_never_taken_in_or_cannot_be_adjusted_is_refused_by_name(
    home, tmp_path, table, strategy, options, expected
) -> None:
    answer = call(home, "export", table, "--out", tmp_path / "x.csv", "-s", strategy, *options, "--json")
    assert answer.status == 1
    assert expected in answer.document["message"]
    assert list(tmp_path.iterdir()) == []
