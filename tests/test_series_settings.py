"""The keys of ``series``, by kind: files, and funding rates asked from an exchange."""

from __future__ import annotations

import pytest

from nn_assets.errors import SettingsError
from nn_assets.settings import FileSeriesSettings, FundingSeriesSettings, Strategy, parse_strategy

PERPETUAL = "BTC/USDT:USDT"
ASKED = f"kind: ccxt_funding, exchange: binanceusdm, symbols: ['{PERPETUAL}']"


def read(*series: str, market: str = "history_starts: 2015-01-02", more: str = "") -> Strategy:
    listed = "".join(f"- {{{entry}}}\n" for entry in series)
    return parse_strategy(f"name: mine\nmarket: {{{market}}}\n{more}series:\n{listed}")


def test_a_series_is_a_file_unless_it_says_otherwise() -> None:
    for entry in ("name: vix, path: vix.csv", "name: vix, kind: file, path: vix.csv"):
        assert isinstance(read(entry).series[0], FileSeriesSettings)
    asked = read(f"name: funding, {ASKED}").series[0]
    assert isinstance(asked, FundingSeriesSettings)
    assert (asked.stamps, asked.grid_minutes, asked.lag_minutes) == ("moments", 60, 1)


def test_the_kind_of_a_file_changes_no_hash_and_an_exchange_does() -> None:
    plain = read("name: vix, path: vix.csv")
    assert "kind" not in plain.behaviour()["series"][0]
    assert read("name: vix, kind: file, path: vix.csv").content_hash() == plain.content_hash()
    one, other = (read(f"name: funding, {ASKED.replace('binanceusdm', name)}") for name in ("binanceusdm", "bybit"))
    assert one.content_hash() != other.content_hash()
    assert one.behaviour()["series"][0]["kind"] == "ccxt_funding"


def test_a_list_of_perpetuals_means_each_itself() -> None:
    assert read(f"name: funding, {ASKED}").series[0].symbols == {PERPETUAL: PERPETUAL}
    mapped = read(f"name: funding, kind: ccxt_funding, exchange: bybit, symbols: {{BTC/USDT: '{PERPETUAL}'}}")
    assert mapped.series[0].symbols == {"BTC/USDT": PERPETUAL}
    assert mapped.series[0].stored_symbols == ("BTC/USDT",)


def test_an_exchange_left_out_is_that_of_the_source() -> None:
    asked = f"name: funding, kind: ccxt_funding, symbols: ['{PERPETUAL}']"
    assert read(asked, more="source: {kind: ccxt, exchange: binanceusdm}\n").series[0].exchange is None
    with pytest.raises(SettingsError, match=r"series funding needs exchange: source\.kind is 'bundled', not 'ccxt'"):
        read(asked)


def test_symbols_that_no_bar_has_are_refused_with_the_mapping_that_mends_it() -> None:
    spot = "history_starts: 2015-01-02, symbols: [BTC/USDT]"
    with pytest.raises(SettingsError, match=r"mapping .* such as \{BTC/USDT: BTC/USDT:USDT\}"):
        read(f"name: funding, {ASKED}", market=spot)
    for symbols in (f"{{BTC/USDT: '{PERPETUAL}'}}", f"{{'': '{PERPETUAL}'}}"):
        assert read(f"name: funding, kind: ccxt_funding, exchange: bybit, symbols: {symbols}", market=spot).series


@pytest.mark.parametrize(
    ("series", "key", "message"),
    [
        (f"{ASKED}, path: x.csv", "path", "'x.csv': no such key of kind 'ccxt_funding'"),
        (f"{ASKED}, value_column: rate", "value_column", "no such key of kind 'ccxt_funding'"),
        (f"{ASKED}, stamps: days", "stamps", "'moments' was expected"),
        (f"{ASKED}, base_url: 'http://example.com'", "base_url", "https was expected"),
        (
            "path: x.csv, exchange: bybit",
            "exchange",
            "'bybit': no such key (line 5), series.1.kind is not stated and file is taken",
        ),
        ("kind: file, path: x.csv, symbols: [A]", "symbols", "no such key of kind 'file'"),
        ("kind: nosuch, path: x.csv", "kind", "'nosuch': one of 'file', 'ccxt_funding', 'simulator_funding'"),
        ("kind: ccxt_funding, exchange: ../x, symbols: [A]", "exchange", "an exchange's id was expected"),
        ("kind: ccxt_funding, exchange: bybit", "symbols", "is missing"),
        ("kind: ccxt_funding, exchange: bybit, symbols: []", "symbols", "at least 1 item"),
        ("kind: ccxt_funding, exchange: bybit, symbols: [A, A]", "symbols", "a symbol stands twice"),
        ("kind: ccxt_funding, exchange: bybit, symbols: [[A]]", "symbols", "a list of symbols"),
        ("kind: ccxt_funding, exchange: bybit, symbols: {A: ''}", "symbols.A", "at least 1 character"),
    ],
)
def test_a_key_of_the_other_kind_or_ill_typed_is_refused_with_its_line(series, key, message) -> None:
    with pytest.raises(SettingsError) as caught:
        read("name: vix, path: vix.csv", f"name: funding, {series}")
    assert caught.value.where["key"] == f"series.1.{key}"
    assert caught.value.where["line"] == 5
    assert caught.value.found.startswith((f"series.1.{key} = ", f"series.1.{key} is missing"))
    assert message in caught.value.found


def test_one_symbol_of_one_series_from_two_places_is_refused() -> None:
    file = f"name: funding, path: x.csv, symbol: '{PERPETUAL}'"
    with pytest.raises(SettingsError, match="series funding stands twice for the same symbol"):
        read(file, f"name: funding, {ASKED}")
    assert len(read("name: funding, path: x.csv, symbol: ETH", f"name: funding, {ASKED}").series) == 2


def test_of_parts_that_know_of_models_alone_the_series_that_features_read_count() -> None:
    vix, funding = "name: vix, path: vix.csv", f"name: funding, {ASKED}"
    alone = read(vix, more="features: {series: {implied_volatility: vix}}\n")
    beside = read(vix, funding, more="features: {series: {implied_volatility: vix}}\n")
    both = read(vix, funding, more="features: {series: {implied_volatility: vix, funding_rate: funding}}\n")
    assert [entry["name"] for entry in beside.behaviour("features", "series")["series"]] == ["vix"]
    assert alone.content_hash("features", "series") == beside.content_hash("features", "series")
    assert [entry["name"] for entry in both.behaviour("features", "series")["series"]] == ["vix", "funding"]
    assert len({strategy.content_hash() for strategy in (alone, beside, both)}) == 3  # a decision may read all of them
