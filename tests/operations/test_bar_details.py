"""VWAP, trades and closing quotes, from a file through every table to the features that read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.cli.status import report
from nn_assets.contracts import BAR_DETAILS, DETAILS, validate
from nn_assets.errors import SettingsError
from nn_assets.market.facts.bars import content_hash
from nn_assets.market.panel import Panel
from nn_assets.operations.exported_tables import read_exported
from nn_assets.operations.history import open_history
from nn_assets.sources.simulated import SimulatedSource
from tests.operations.homes import take_in
from tests.orchestration.conftest import living_in, strategy_of, write_strategy

SYMBOLS = ("SIM01", "SIM02")
NAMES = ("log_return_1", "vwap_deviation", "quoted_spread_20")
LAST = "2016-04-29"
SOURCE = {"kind": "files", "path": "bars", "seed": None, "planted_rank_ic": None}
Rows = Callable[[pd.DataFrame], pd.DataFrame]


def bars() -> pd.DataFrame:
    """Four months of two symbols that carry details, quotes a little apart."""
    source = SimulatedSource(
        calendar="XNYS", history_starts=pd.Timestamp("2016-01-04").date(), history_ends=pd.Timestamp(LAST).date()
    )
    made = source.bars(SYMBOLS).drop(columns="source")
    draw = np.random.default_rng(8)
    spread = made["close"] * np.exp(draw.normal(-8.0, 0.2, len(made)))
    made["vwap"] = made["low"] + 0.4 * (made["high"] - made["low"])
    made["trades"] = draw.integers(100, 900, len(made)).astype(float)
    return made.assign(bid=made["close"] - spread, ask=made["close"] + spread)


def write(home: Path, frame: pd.DataFrame, names: tuple[str, ...] = NAMES, file: str = "a.csv") -> None:
    market = {"symbols": list(SYMBOLS), "history_starts": "2016-01-04", "history_ends": LAST, "live_starts": None}
    written = write_strategy(home, source=SOURCE, market=market, features={"names": list(names), "market_symbol": None})
    folder = written.parent / "bars"
    folder.mkdir(exist_ok=True)
    frame.to_csv(folder / file, index=False, date_format="%Y-%m-%d")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with living_in(tmp_path / "home"):
        yield tmp_path / "home"


def at(frame: pd.DataFrame, symbol: str, day: str) -> pd.Series:
    return (frame["symbol"] == symbol) & (frame["session"] == pd.Timestamp(day))


def cell(panel: Panel, name: str, symbol: str, day: str) -> float:
    return float(panel.arrays[name][panel.row(day), panel.symbols.index(symbol)])


def test_details_reach_panel_features_and_export_and_no_bar_is_another_for_them(home: Path) -> None:
    delivered = bars()
    write(home, delivered)
    take_in(strategy_of())
    with open_history(strategy_of()) as history:
        view, hash_with = history.view(), history.covering(None).content_hash
        panel, cube = view.panel, view.cube
        exported = validate(read_exported(history, "bar_details", None, None, None), BAR_DETAILS)
    ordered = delivered.sort_values(["symbol", "session"], ignore_index=True)
    for name in ("vwap", "trades", "bid", "ask"):
        np.testing.assert_array_equal(panel.arrays[name].T.ravel(), ordered[name])
        np.testing.assert_array_equal(exported.sort_values(["symbol", "session"])[name], ordered[name])
    assert np.isnan(panel.arrays["effective_spread"]).all()
    by_hand = (ordered["close"] / ordered["vwap"] - 1.0).to_numpy().reshape(2, -1).T
    np.testing.assert_allclose(cube.feature("vwap_deviation"), by_hand, rtol=1e-12)
    plain = ordered.drop(columns=["vwap", "trades", "bid", "ask"])
    assert content_hash(plain.assign(source="", known_at=pd.NaT)) == hash_with


@pytest.mark.full
def test_a_faulty_detail_is_left_out_with_its_rule_and_its_bar_stays(home: Path) -> None:
    delivered = bars()
    for day, name, value in (
        ("2016-03-01", "vwap", 1e4),
        ("2016-03-02", "ask", 0.0),
        ("2016-03-03", "trades", 7.5),
        ("2016-03-04", "bid", 1e4),
    ):
        delivered.loc[at(delivered, "SIM01", day), name] = value
    # Of a bar that is itself in quarantine, here by its high below its low, nothing more is said.
    delivered.loc[at(delivered, "SIM02", "2016-03-07"), "high"] *= 0.5
    write(home, delivered)
    take_in(strategy_of())
    status = report(strategy_of().name)
    counted = status["strategies"][strategy_of().name]
    assert (counted["quarantined"], counted["details_left_out"]) == (1, 5)
    assert "1 row, and 5 details of bars\n" in status["text"]
    with open_history(strategy_of()) as history:
        panel, left = history.view().panel, read_exported(history, "quarantine", None, None, None)
        take_in(strategy_of())
        again = read_exported(history, "quarantine", None, None, None)
    assert (left["rule"].iloc[0], left["symbol"].iloc[0]) == ("high_low_bracket", "SIM02")
    pd.testing.assert_frame_equal(left, again)
    left = left.iloc[1:]
    assert [(str(row.session.date()), row.rule, row.field) for row in left.itertuples()] == [
        ("2016-03-02", "details_positive", "ask"),
        ("2016-03-01", "vwap_in_range", "vwap"),
        ("2016-03-04", "quotes_crossed", "bid"),
        ("2016-03-04", "quotes_crossed", "ask"),
        ("2016-03-03", "trades_counted", "trades"),
    ]
    for row in left.itertuples():
        assert np.isnan(panel.arrays[row.field][panel.row(row.session), 0])
    assert np.isfinite(cell(panel, "bid", "SIM01", "2016-03-02"))
    assert np.isnan(panel.close).sum() == 1


def test_a_detail_restated_later_is_a_revision_and_no_earlier_session_sees_it(home: Path) -> None:
    delivered = bars()
    write(home, delivered)
    take_in(strategy_of())
    with open_history(strategy_of()) as history:
        before = history.view("2016-04-15").cube
        at_first = cell(history.view().panel, "vwap", "SIM02", "2016-04-12")
    restated = delivered[at(delivered, "SIM02", "2016-04-12")].assign(known_at="2016-04-20T12:00:00Z")
    restated["vwap"] += 0.3 * (restated["high"] - restated["low"])
    write(home, restated, file="b.csv")
    take_in(strategy_of())
    with open_history(strategy_of()) as history:
        early, late = history.view("2016-04-15"), history.view("2016-04-20")
        assert before.values.tobytes() == early.cube.values.tobytes()
        assert cell(early.panel, "vwap", "SIM02", "2016-04-12") == at_first
        assert cell(late.panel, "vwap", "SIM02", "2016-04-12") == float(restated["vwap"].iloc[0])
        column = late.cube.names.index("vwap_deviation")
        row = late.panel.row("2016-04-12")
        assert late.cube.values[row, 1, column] != early.cube.values[row, 1, column]
        rows = len(history.stores.lake.read_segments(history.strategy.name, "bar_details"))
    take_in(strategy_of())
    with open_history(strategy_of()) as history:
        assert (
            len(history.stores.lake.read_segments(history.strategy.name, "bar_details")) == rows == len(delivered) + 1
        )


@pytest.mark.parametrize("column", ["vwap", pytest.param("bid", marks=pytest.mark.full)])
def test_a_feature_of_a_column_that_no_bar_has_is_refused_by_both_names(home: Path, column: str) -> None:
    write(home, bars().drop(columns=column))
    feature = {"vwap": "vwap_deviation", "bid": "quoted_spread_20"}[column]
    with pytest.raises(SettingsError, match=f"{column}.*{feature}"):
        take_in(strategy_of())


@pytest.mark.full
def test_a_home_that_never_asked_for_details_takes_those_of_its_old_files_in_once_a_feature_asks(home: Path) -> None:
    delivered = bars()
    write(home, delivered.drop(columns=["vwap", "trades", "bid", "ask"]), NAMES[:1])
    take_in(strategy_of())
    write(home, delivered, NAMES[:1])  # as an older version left it: read, and no detail of it stored
    with open_history(strategy_of()) as history:
        hash_before = history.covering(None).content_hash
    take_in(strategy_of())
    write(home, delivered, NAMES)
    take_in(strategy_of())
    with open_history(strategy_of()) as history:
        assert history.covering(None).content_hash == hash_before
        assert np.isfinite(history.view().cube.feature("vwap_deviation")).all()


@pytest.mark.full
def test_a_column_of_text_is_another_thing_of_that_name(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(home, bars().assign(trades="by appointment"))
    take_in(strategy_of())
    assert "the column of trades holds 'by appointment', which is no number: it is left out" in caplog.text
    with open_history(strategy_of()) as history:
        assert np.isnan(history.view().panel.arrays["trades"]).all()


@pytest.mark.full
def test_two_rows_that_say_different_details_of_one_bar_say_none(home: Path) -> None:
    delivered = bars()
    other = delivered[at(delivered, "SIM01", "2016-03-01")].copy()
    other["vwap"] += 0.01
    write(home, pd.concat([delivered, other], ignore_index=True))
    take_in(strategy_of())
    with open_history(strategy_of()) as history:
        panel, left = history.view().panel, read_exported(history, "quarantine", None, None, None)
    assert np.isnan([cell(panel, name, "SIM01", "2016-03-01") for name in DETAILS]).all()
    assert np.isfinite(cell(panel, "close", "SIM01", "2016-03-01"))
    assert left["rule"].tolist() == ["details_contradicted"] * 2
