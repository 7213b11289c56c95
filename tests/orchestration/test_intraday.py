"""Intraday bars: taken in, judged at their gate, published, and made into the daily bars.

Dagster plays what its assets state, what they hold alone and what their gate halts; all else is played by the
operations that they call.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from nn_assets.cli.check import check_data
from nn_assets.cli.status import report
from nn_assets.errors import SettingsError
from nn_assets.market.calendar.sessions import session_hours
from nn_assets.operations.asof.halts import gate_passes
from nn_assets.operations.catalog import folder_of
from nn_assets.operations.exported_tables import read_exported
from nn_assets.operations.history import open_history
from nn_assets.operations.intake import intraday, published
from nn_assets.operations.intake.bars import ingest_bars
from nn_assets.orchestration.build import all_definitions
from nn_assets.orchestration.naming import asset_key
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger
from tests.operations.homes import take_in
from tests.orchestration.conftest import (
    failures_of,
    held_alone,
    materialise_tables,
    run_assets,
    strategy_of,
    write_strategy,
)

INTRADAY = ("raw_intraday_bars", "validated_intraday_bars")
FIRST, LAST = "2017-03-01", "2017-06-30"  # the clocks go forward on 2017-03-12
HALF_FINISHED = "2017-05-10"


def minutes_of(symbol: str, seed: int, last: str = LAST) -> pd.DataFrame:
    """A random walk in half hours over New York's sessions."""
    hours = session_hours("XNYS", FIRST, last)
    starts = [
        pd.date_range(row.opens, row.closes, freq="30min", inclusive="left") for row in hours.itertuples(index=False)
    ]
    times = starts[0].append(starts[1:])
    times = times[~((times.normalize() == pd.Timestamp(HALF_FINISHED, tz="UTC")) & (times.hour > 15))]
    draw = np.random.default_rng(seed)
    close = 50.0 * np.exp(np.cumsum(draw.normal(0.0, 0.002, len(times))))
    opened = np.concatenate([[50.0], close[:-1]])
    return pd.DataFrame(
        {
            "date": times,
            "open": opened,
            "high": np.maximum(opened, close) * 1.001,
            "low": np.minimum(opened, close) * 0.999,
            "close": close,
            "volume": np.random.default_rng(seed + 9).integers(100, 900, len(times)).astype(np.float64),
            "symbol": symbol,
        }
    )


def prepare(home: Path, last: str = LAST, **told_intraday: object) -> None:
    market = {"history_starts": FIRST, "history_ends": last, "live_starts": None, "symbols": ["AAA", "BBB"]}
    file = write_strategy(home, market=market)
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    del settings["source"]
    settings["intraday"] = {"path": "bars", "bar_minutes": 30, **told_intraday}
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    (home / "strategies" / "bars").mkdir(exist_ok=True)


def deliver(home: Path, symbol: str, frame: pd.DataFrame) -> None:
    frame.drop(columns="symbol").to_feather(home / "strategies" / "bars" / f"{symbol}-30m.feather")


@pytest.fixture
def home(empty_home: Path) -> Path:
    prepare(empty_home)
    for seed, symbol in enumerate(("AAA", "BBB")):
        deliver(empty_home, symbol, minutes_of(symbol, seed))
    return empty_home


def take_in_all(strategy: Strategy) -> None:
    """Take in and publish the intraday bars, then the daily ones that are made of them."""
    with open_history(strategy) as history:
        intraday.ingest_intraday(history, folder_of(strategy.name))
        audited = intraday.audit_intraday(history)
        audited.report.raise_if_failed()
        intraday.publish_intraday(history, audited, "test")
    take_in(strategy)


def metadata(names: tuple[str, ...], asset: str):
    """What an asset stated when it was made with some others."""
    result = run_assets(strategy_of(), "tables", names)
    assert result.success
    return result.asset_materializations_for_node(f"tiny__{asset}")[0].metadata


def daily() -> pd.DataFrame:
    with open_history(strategy_of()) as history:
        return history.view().bars


def notices() -> list[str]:
    with open_history(strategy_of()) as history:
        publication = history.stores.publications.current("tiny")
    assert publication is not None
    return list(publication.details["notices"])


def test_bars_are_judged_and_switched_while_the_strategy_is_held_alone(home, monkeypatch) -> None:
    held: dict[str, bool] = {}

    def watched(name: str) -> None:
        honest = getattr(published, name)
        monkeypatch.setattr(published, name, lambda *args: (held.update({name: held_alone()}), honest(*args))[1])

    names = ("audit_intraday", "publish_intraday", "audit_bars", "publish_bars")
    for name in names:
        watched(name)
    materialise_tables(strategy_of())
    assert held == dict.fromkeys(names, True)
    assert not held_alone()


@pytest.mark.full
def test_daily_bars_and_features_are_made_of_the_intraday_ones(home) -> None:
    take_in_all(strategy_of())
    made = daily()
    plain = minutes_of("AAA", 0)
    plain["session"] = plain["date"].dt.tz_convert("America/New_York").dt.tz_localize(None).dt.normalize()
    actual = made[made["symbol"] == "AAA"].set_index("session")
    expected = plain[plain["session"] != HALF_FINISHED].groupby("session")
    for name, how in (("open", "first"), ("high", "max"), ("low", "min"), ("close", "last"), ("volume", "sum")):
        pd.testing.assert_series_equal(actual[name], expected[name].agg(how), check_freq=False, check_index_type=False)
    assert set(actual["source"]) == {"intraday:30min"}
    with open_history(strategy_of()) as history:
        cube = history.view().cube
    assert np.isfinite(cube.feature("log_return_1")[-20:]).all()


@pytest.mark.full
def test_what_was_found_is_stated_and_a_second_run_adds_nothing(home) -> None:
    facts = metadata(INTRADAY, "validated_intraday_bars")
    assert (facts["gaps"].value, facts["missing_bars"].value) == (2, 16)  # that afternoon, of either symbol
    assert f"| AAA | {HALF_FINISHED} | 5 | 13 | missing_at_close |" in facts["half_finished_sessions"].value
    result = run_assets(strategy_of(), "tables", (*INTRADAY, "raw_bars", "validated_bars"))
    assert result.success
    again, bars = (
        result.asset_materializations_for_node(f"tiny__{name}")[0].metadata
        for name in ("raw_intraday_bars", "raw_bars")
    )
    assert (again["added"].value, again["revised"].value) == (0, 0)
    assert bars["source"].value == "intraday"
    assert next(notice for notice in notices() if "no daily bar" in notice) == (
        f"AAA {HALF_FINISHED}: missing_at_close 0.3846: no daily bar, 240 minutes missing at the close, limit 3; "
        "deliver the bars that are missing, or raise intraday.max_minutes_missing_at_close"
    )


@pytest.mark.full
def test_a_restated_minute_is_a_new_version_of_its_bar_and_of_its_session(home) -> None:
    take_in_all(strategy_of())
    before = daily()
    changed = minutes_of("AAA", 0)
    changed.loc[5, "high"] *= 1.05
    deliver(home, "AAA", changed)
    with open_history(strategy_of()) as history:
        counted, *_ = intraday.ingest_intraday(history, home / "strategies")
        intraday.publish_intraday(history, intraday.audit_intraday(history), "test")
    with open_history(strategy_of()) as history:
        assert (counted.revised, ingest_bars(history, home / "strategies").counted.revised) == (1, 1)
    # It came years after that session's decision, which still sees what it saw.
    with open_history(strategy_of()) as history:
        pd.testing.assert_frame_equal(
            history.view("2017-04-03").bars, before[before["session"] <= "2017-04-03"].reset_index(drop=True)
        )


@pytest.mark.full
def test_a_session_decided_before_its_bars_came_knows_them_from_their_arrival(home) -> None:
    whole = minutes_of("AAA", 0)
    late = whole["date"].dt.date == pd.Timestamp("2017-04-03").date()
    deliver(home, "AAA", whole[~late].reset_index(drop=True))
    with open_history(strategy_of()) as history, pytest.MonkeyPatch.context() as patch:
        intraday.ingest_intraday(history, home / "strategies")
        decided = pd.DataFrame({"session": [pd.Timestamp("2017-04-04")]})
        patch.setattr(Ledger, "latest", lambda *_, **__: decided)
        deliver(home, "AAA", whole)
        counted, *_ = intraday.ingest_intraday(history, home / "strategies")
        assert (counted.added, counted.revised) == (13, 0)
        stored = history.stores.lake.read_segments(history.strategy.name, intraday.RAW_INTRADAY)
    came = stored[(stored["symbol"] == "AAA") & (stored["session"] == "2017-04-03")]
    assert len(came) == 13
    assert (came["known_at"] == came["ingested_at"]).all()


@pytest.mark.full
def test_a_publication_killed_before_its_record_is_recorded_by_the_next(home, monkeypatch) -> None:
    with open_history(strategy_of()) as history:
        intraday.ingest_intraday(history, home / "strategies")
        audited = intraday.audit_intraday(history)
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "append", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                intraday.publish_intraday(history, audited, "killed")
        fewer = replace(audited.cleaned, bars=audited.cleaned.bars.iloc[:-1])
        intraday.publish_intraday(history, replace(audited, cleaned=fewer), "next")
        assert len(history.stores.ledger.read("publications", "tiny.intraday")) == 2


def test_gaps_beyond_the_limit_halt_everything_downstream_and_leave_what_was_published(home) -> None:
    take_in_all(strategy_of())
    before = daily()
    prepare(home, max_missing_bars_fraction=0.001)
    result = run_assets(strategy_of(), "tables", (*INTRADAY, "raw_bars", "validated_bars"))
    failures = failures_of(result)
    missing_bars = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}[
        "missing_bars"
    ]
    assert not missing_bars.passed
    assert "intraday.max_missing_bars_fraction" in str(missing_bars.metadata["what_to_do"].value)
    assert list(failures) == ["tiny__validated_intraday_bars"]
    assert "8 bars missing after 2017-05-10 15:30:00" in failures["tiny__validated_intraday_bars"]
    pd.testing.assert_frame_equal(daily(), before)


@pytest.mark.full
def test_a_halt_of_their_gate_is_told_as_that_of_daily_bars_until_bars_pass(home) -> None:
    take_in_all(strategy_of())
    before = daily()
    prepare(home, max_missing_bars_fraction=0.001)
    result = check_data("tiny")
    assert (result["ok"], result["error"], result["gate"]["passed"]) == (False, "GateHalted", False)
    (failed,) = result["gate"]["failed"]
    assert failed["name"] == "missing_bars"
    assert "AAA: 8 bars missing after 2017-05-10 15:30:00" in failed["violations"][0]
    assert "intraday.max_missing_bars_fraction" in failed["remedy"]
    assert [check["name"] for check in result["failed_checks"]] == ["validated_intraday_bars.missing_bars"]
    assert (result["intraday"]["delivered_rows"], result["intraday"]["missing_bars"]) == (
        2 * len(minutes_of("AAA", 0)),
        16,
    )
    assert result["symbols"] == ["AAA", "BBB"]
    assert result["never_delivered"] == {"AAA": 1, "BBB": 1}  # the session of which they would make no daily bar
    assert result["rows"]["added"] == 0
    first, *lines = result["text"].splitlines()
    assert first == "tiny: data taken in and refused: the last publication, to 2017-06-30, stays in force"
    assert any("gate        HALTED by missing_bars" in line for line in lines)
    stands = report("tiny")["text"].splitlines()
    assert lines[-1] == result["headline"].splitlines()[0] == stands[0]
    assert stands[0].startswith("tiny HALTED: the gate halted on ")
    assert stands[0].count("missing_bars") == 1
    assert report("tiny")["strategies"]["tiny"]["gate"].startswith("HALTED ")
    (alert,) = [json.loads(line) for line in (home / "alerts.jsonl").read_text(encoding="utf-8").splitlines()]
    assert alert["cause"].startswith("tiny__validated_intraday_bars: the gate halted: missing_bars: 16 of ")
    with open_history(strategy_of()) as history:
        assert history.gate_halts.empty  # no daily bar was refused
    pd.testing.assert_frame_equal(daily(), before)
    prepare(home)  # the limit set back
    assert check_data("tiny").get("ok", True)
    stands = report("tiny")["text"]
    assert "the gate halted" not in stands
    with open_history(strategy_of()) as history:
        assert gate_passes(history.stores.ledger, "tiny").empty
    pd.testing.assert_frame_equal(daily(), before)


def test_a_first_delivery_that_their_gate_refuses_is_told_with_every_row(home) -> None:
    faulty = minutes_of("AAA", 0).assign(close=lambda bars: -bars["close"])
    deliver(home, "AAA", faulty)
    result = check_data("tiny")
    assert result["symbols"] == ["BBB"]
    assert result["quarantine"]["by_rule"] == {"non_positive_price": len(faulty)}
    assert result["late_starts"] == {}
    assert f"and {len(faulty) - 5:,} more: nn-assets export quarantine\n" in result["text"]
    with open_history(strategy_of()) as history:
        assert len(read_exported(history, "quarantine", None, None, None)) == len(faulty)
    failed = {check["name"]: check for check in result["gate"]["failed"]}
    assert set(failed) == {"quarantined_share", "missing_symbols"}
    assert len(failed["quarantined_share"]["violations"]) == len(faulty)  # all of them
    assert result["data_docs"] is None  # nothing was reviewed yet
    assert "data docs" not in result["text"]


@pytest.mark.full
def test_history_cut_at_a_session_gives_the_same_daily_bars_up_to_it(home) -> None:
    take_in_all(strategy_of())
    whole = daily().drop(columns="ingested_at")
    cut = home.parent / "cut"
    cut.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NN_ASSETS_HOME", str(cut))
        prepare(cut, last="2017-05-31")
        for seed, symbol in enumerate(("AAA", "BBB")):
            deliver(cut, symbol, minutes_of(symbol, seed, "2017-05-31"))
        take_in_all(strategy_of())
        part = daily().drop(columns="ingested_at")
    pd.testing.assert_frame_equal(part, whole[whole["session"] <= "2017-05-31"].reset_index(drop=True))


@pytest.mark.full
def test_two_real_pairs_of_a_market_that_never_closes_become_daily_bars(empty_home, shared_data) -> None:
    pattern = shared_data / "crypto_freqtrade"
    prepare(empty_home)
    file = empty_home / "strategies" / "tiny.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["market"] |= {"calendar": "24/7", "history_starts": "2018-01-10", "history_ends": "2018-01-29"}
    content["market"]["symbols"] = ["ADA_BTC", "ETH_BTC"]
    content["intraday"] = {"path": "bars", "bar_minutes": 5}
    content["gate"] = {"max_missing_sessions_fraction": 0.1}
    content["cleaning"] = {"jump_window_sessions": 20}
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    for name in ("ADA_BTC-5m.feather", "ETH_BTC-5m.feather"):
        (empty_home / "strategies" / "bars" / name).write_bytes((pattern / name).read_bytes())
    take_in_all(strategy_of())
    made = daily()
    source = pd.read_feather(pattern / "ETH_BTC-5m.feather")
    day = source[source["date"].dt.date == pd.Timestamp("2018-01-15").date()]
    row = made[(made["symbol"] == "ETH_BTC") & (made["session"] == "2018-01-15")].iloc[0]
    assert (row["open"], row["close"]) == (day["open"].iloc[0], day["close"].iloc[-1])
    assert (row["high"], row["low"]) == (day["high"].max(), day["low"].min())
    assert row["volume"] == pytest.approx(day["volume"].sum(), rel=1e-12)
    # The first session begins at 04:55 and makes no bar; 33 bars that ADA lacks in a row cost it one more.
    assert dict(made["symbol"].value_counts()) == {"ETH_BTC": 19, "ADA_BTC": 18}
    content = [notice for notice in notices() if "no daily bar" in notice]
    assert [notice.partition(":")[0] for notice in content] == [
        "ADA_BTC 2018-01-10",
        "ADA_BTC 2018-01-15",
        "ETH_BTC 2018-01-10",
    ]
    begun = ["begins_within_session" in notice and "295 minutes missing at the open" in notice for notice in content]
    assert begun == [True, False, True]


@pytest.mark.full
def test_daily_bars_wait_for_the_intraday_gate(home) -> None:
    graph = all_definitions().resolve_asset_graph()
    parents = graph.get(asset_key(strategy_of(), "raw_bars")).parent_keys
    assert asset_key(strategy_of(), "validated_intraday_bars") in parents


def test_a_source_beside_intraday_bars_is_refused(home) -> None:
    file = home / "strategies" / "tiny.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "source: {kind: bundled}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="leave source out"):
        strategy_of()
