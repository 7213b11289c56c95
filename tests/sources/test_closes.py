"""Closes alone, long and wide: the same bars, and whatever they cannot say is refused with what to write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import SettingsError, SourceError
from nn_assets.features.catalogue import compute_features, refuse_features_beyond
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.panel import Panel
from nn_assets.market.quality.history_rules import HISTORY_RULES
from nn_assets.operations.strategy_files import make_strategy, parse_strategy
from nn_assets.sources.tables.files import FilesSource

FIELDS = ["symbol", "session", "open", "high", "low", "close", "volume"]
CLOSES = {"source": {"kind": "files", "path": "closes.csv", "closes_only": True}}
NEEDED = {
    "label": {"execution": "next_close"},
    "cleaning": {"traded_with_volume": False},
    "portfolio": {"proxy_adv_usd": 1e9},
}


def closes(days: int = 300, symbols: int = 6) -> pd.DataFrame:
    draw = np.random.default_rng(3)
    sessions = sessions_between("XNYS", "2016-01-04", "2018-12-31")[:days]
    moves = draw.normal(0.0, 0.012, (days, symbols))
    for row in range(1, days):  # a trend that a model can learn, so that something is traded
        moves[row] += 0.6 * moves[row - 1]
    values = 50.0 * np.exp(np.cumsum(moves, axis=0))
    return pd.DataFrame(values.round(4), index=sessions, columns=["V", "C", "DAY", "OPEN", "SIM05", "BRK.B"][:symbols])


def ordered(bars: pd.DataFrame) -> pd.DataFrame:
    return bars[FIELDS].sort_values(["symbol", "session"]).reset_index(drop=True)


@pytest.mark.parametrize("ending", ["csv", "parquet", "nameless.csv"])
def test_a_wide_file_and_a_long_one_are_the_same_bars(tmp_path: Path, ending: str) -> None:
    wide = closes()
    wide.iloc[:40, 2] = np.nan  # not listed yet
    wide.iloc[100, 0] = np.nan
    long = wide.rename_axis("date").melt(ignore_index=False, var_name="ticker", value_name="close").dropna()
    (tmp_path / "long").mkdir()
    long.to_csv(tmp_path / "long" / "all.csv")
    file = tmp_path / f"wide.{ending}"
    if ending == "parquet":
        wide.rename_axis("Date").reset_index().to_parquet(file)
    else:
        wide.rename_axis(None if "nameless" in ending else "Date").to_csv(file)
    bars = FilesSource(file, closes_only=True, requires_volume=False).bars()
    same = FilesSource(tmp_path / "long", closes_only=True, requires_volume=False).bars()
    pd.testing.assert_frame_equal(ordered(bars), ordered(same))
    assert len(bars) == 300 * 6 - 41
    for row in bars.sample(50, random_state=1).itertuples():
        assert row.open == row.high == row.low == row.close == wide.loc[row.session, row.symbol]
    assert bars["volume"].isna().all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("date,open,high,low,close\n2016-01-04,1,2,1,2\n", "leave source.closes_only out"),
        ("date\n2016-01-04\n", "name the column of closes close"),
        ("date,AAA,BBB\n2016-01-04,1,x\n", "column BBB"),
        ("date,symbol,price\n2016-01-04,AAA,2\n", "name the column 'close'"),
        ("date,AAA,../x\n2016-01-04,1,2\n", "'../x'"),
    ],
)
def test_what_is_wrong_with_a_file_of_closes_is_named(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "closes.csv").write_text(text, encoding="utf-8")
    with pytest.raises(SourceError) as refused:
        FilesSource(tmp_path / "closes.csv", closes_only=True, requires_volume=False).bars()
    assert expected in str(refused.value)


def settings_with(**changed: dict[str, object]) -> dict[str, object]:
    return {"name": "a", "market": {"history_starts": "2016-01-04"}, **CLOSES, **NEEDED, **changed}


@pytest.mark.parametrize("section", NEEDED)
def test_settings_that_ask_more_of_closes_than_they_say_are_refused_with_what_to_write(section: str) -> None:
    asked = {"label": {"execution": "next_open"}}.get(section, {})
    with pytest.raises(ValueError, match=rf"source\.closes_only needs {section}\."):
        make_strategy(settings_with(**{section: asked}))
    assert make_strategy(settings_with()).closes_only


def test_a_file_of_closes_read_as_bars_is_refused_with_the_setting_that_takes_it(tmp_path: Path) -> None:
    closes(20).to_csv(tmp_path / "closes.csv", index_label="date")
    with pytest.raises(SourceError) as refused:
        FilesSource(tmp_path / "closes.csv", requires_volume=False).bars()
    assert "set source.closes_only: true" in refused.value.remedy
    assert len(FilesSource(tmp_path / "closes.csv", requires_volume=False, closes_only=True).bars()) == 120
    (tmp_path / "closes.csv").write_text("date,high,low,close\n2016-01-04,2,1,2\n", encoding="utf-8")
    with pytest.raises(SourceError) as refused:
        FilesSource(tmp_path / "closes.csv", requires_volume=False).bars()
    assert "closes_only" not in refused.value.remedy


def test_what_closes_need_is_no_fault_of_a_key_or_its_type() -> None:
    text = "name: a\nmarket: {history_starts: 2016-01-04}\nsource: {kind: files, path: c.csv, closes_only: true}\n"
    text += "label: {execution: next_close}\ncleaning: {traded_with_volume: false}\n"
    with pytest.raises(SettingsError) as refused:
        parse_strategy(text)
    assert refused.value.expected == "keys that agree with each other"
    assert refused.value.found.startswith("source.closes_only needs portfolio.proxy_adv_usd, the dollars traded")
    assert refused.value.remedy == "state what it needs"
    assert parse_strategy(text + "portfolio: {proxy_adv_usd: 1.0e+9}\n").closes_only
    with pytest.raises(SettingsError, match="expected known keys with values of their type"):
        parse_strategy(text + "gates: {}\n")


@pytest.mark.parametrize("market", [None, "SPY"])
def test_features_that_closes_can_have_are_named_and_no_other(market: str | None) -> None:
    """Each of them is had from closes alone, with the market symbol that the settings state."""
    draw = np.random.default_rng(5)
    prices = 50.0 * np.exp(np.cumsum(draw.normal(0.0, 0.01, (200, 6)), axis=0))
    with pytest.raises(SettingsError) as refused:
        refuse_features_beyond(("close",), ["rsi_14", "volume_z_20"], market_symbol=market)
    named = refused.value.expected.partition(": ")[2].split(", ")
    sessions = sessions_between("XNYS", "2016-01-04", "2018-12-31")[:200]
    nothing = np.full(prices.shape, np.nan)
    symbols = ("AAA", "BBB", "CCC", "DDD", "EEE", "SPY")  # enough to be ranked
    panel = Panel(sessions, symbols, nothing, nothing, nothing, prices, nothing)
    cube = compute_features(panel, named, market_symbol=market)
    assert np.isfinite(cube.values[-1, 0]).all()
    assert ("market_correlation_60" in named) == (market is not None)
    refuse_features_beyond(("close",), named, market_symbol=market)


def test_a_run_of_equal_closes_is_told_by_nothing_that_closes_cannot_have() -> None:
    (rule,) = [rule for rule in HISTORY_RULES if rule.name == "stale_run"]
    assert rule.demands == "closes that move, or trading that volume or a range shows"
