"""Hashes of strategies by their source, as they were when the settings knew every kind of source themselves.

A hash that changes refits every model of a strategy that nobody edited.
"""

from __future__ import annotations

import pytest

from nn_assets.operations.catalog import find_strategy

BUNDLED = {
    "index_daily": ("74f27c58b6b86f28", "a51ee7da8581288c"),
    "planted_edge": ("6ce5e7884493eab3", "e3c0f8710439f310"),
}
"""Of each strategy that ships: the hash of all of it, and of its source and market."""

CLOSES_ALONE = """source: {kind: files, path: bars, member: '*.csv', known_at_from: file_name, closes_only: true,
  max_rows: 5, actions_path: a.csv, max_withdrawn_fraction: 0.5}
label: {execution: next_close}
cleaning: {traded_with_volume: false}
portfolio: {proxy_adv_usd: 1.0e+9}"""
FUNDED = """source: {kind: ccxt, exchange: kraken, base_url: 'https://here'}
series: [{name: funding, kind: ccxt_funding, symbols: [AAA]}]"""

PINNED = {
    "none stated": ("", "", "94aab197eb1d7648"),
    "bundled": ("source: {kind: bundled}", "", "94aab197eb1d7648"),
    "bundled with actions": ("source: {actions_path: a.csv}", "", "a18788c5396220ca"),
    "files": ("source: {kind: files, path: bars}", "", "ff5a320088808efd"),
    "files, every key": (CLOSES_ALONE, "", "4d67aa809ab08166"),
    "simulator": ("source: {kind: simulator}", "", "9c49edd302740dca"),
    "simulator, every key": (
        "source: {kind: simulator, seed: 3, planted_rank_ic: 0.1, signal_persistence: 0.5}",
        "",
        "93c6f5c44cbb0368",
    ),
    "sql": ("source: {kind: sql, url_env: MARKET_URL, query: SELECT 1}", "", "3e193dda73eace63"),
    "sql, every key": (
        "source: {kind: sql, url_env: MARKET_URL, query: SELECT 1, actions_query: SELECT 2, maximum_rows: 9}",
        "",
        "e10396a7c029bbc7",
    ),
    "yfinance": ("source: {kind: yfinance}", "", "6fd42aac1c772a5a"),
    "massive": ("source: {kind: massive}", "", "1591fecde475ec59"),
    "massive, every key": (
        "source: {kind: massive, key_env: K, base_url: 'http://localhost:1'}",
        "",
        "8d2d8399de87cfb8",
    ),
    "alpaca": ("source: {kind: alpaca}", "", "c24ef0ef7df44abc"),
    "alpaca, every key": (
        "source: {kind: alpaca, key_env: K, secret_env: S, feed: iex, base_url: 'https://here'}",
        "",
        "01369ad71c2d8231",
    ),
    "ccxt": ("source: {kind: ccxt, exchange: kraken}", "", "628dd40b2545496d"),
    "ccxt with funding": (FUNDED, "", "bf3e3a080dbdc0c8"),
    "compared with files": ("", ", compare_with: {kind: files, path: venue, max_rows: 7}", "fe488a74fd618e2b"),
    "compared with a vendor": ("source: {kind: massive}", ", compare_with: {kind: yfinance}", "d13ddaa183c10278"),
}
"""What is written of the source and of the market, and the hash."""


@pytest.mark.parametrize("name", BUNDLED)
def test_the_hash_of_a_strategy_that_ships_is_what_it_was(name) -> None:
    strategy = find_strategy(name).strategy
    assert (strategy.content_hash(), strategy.content_hash("source", "market")) == BUNDLED[name]


@pytest.mark.parametrize(("source", "market", "pinned"), PINNED.values(), ids=PINNED)
def test_the_hash_of_a_strategy_of_each_kind_of_source_is_what_it_was(
    tmp_path, monkeypatch, source, market, pinned
) -> None:
    file = tmp_path / "strategies" / "mine.yaml"
    file.parent.mkdir()
    settings = f"name: mine\nmarket: {{calendar: XNYS, symbols: [AAA, BBB], history_starts: 2015-01-02{market}}}\n"
    file.write_text(f"{settings}{source}\n", encoding="utf-8")
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    assert find_strategy("mine").strategy.content_hash() == pinned
