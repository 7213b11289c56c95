"""The keys of ``source``, by kind."""

from __future__ import annotations

import traceback

import pytest

from nn_assets.errors import SettingsError
from nn_assets.operations.strategy_files import parse_strategy
from nn_assets.settings import Strategy

BASE = "name: mine\nmarket: {history_starts: 2015-01-02}\n"
SECRET = "s3cr3tFINDME"


def read(source: str) -> Strategy:
    return parse_strategy(BASE + f"source: {source}\n")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{}", {"kind": "bundled"}),
        ("{kind: bundled}", {"kind": "bundled"}),
        (
            "{kind: files, path: bars}",
            {
                "kind": "files",
                "path": "bars",
                "member": None,
                "closes_only": False,
                "known_at_from": "close",
                "max_rows": 20_000_000,
                "max_columns": 1000,
                "max_megabytes": 2048,
            },
        ),
        (
            "{kind: simulator, seed: 3}",
            {"kind": "simulator", "market": "stocks", "seed": 3, "planted_rank_ic": 0.05, "signal_persistence": 0.95},
        ),
        (
            "{kind: sql, url_env: MARKET_URL, query: SELECT 1}",
            {
                "kind": "sql",
                "url_env": "MARKET_URL",
                "query": "SELECT 1",
                "actions_query": "",
                "maximum_rows": 5_000_000,
            },
        ),
        (
            "{kind: massive}",
            {"kind": "massive", "key_env": "MASSIVE_API_KEY", "base_url": "https://api.massive.com"},
        ),
        ("{kind: yfinance}", {"kind": "yfinance", "base_url": None}),
        ("{kind: ccxt, exchange: kraken}", {"kind": "ccxt", "exchange": "kraken", "base_url": None}),
    ],
)
def test_a_kind_has_its_own_keys_and_no_others(source, expected) -> None:
    assert read(source).source.model_dump() == {"actions_path": None, "max_withdrawn_fraction": 0.05, **expected}


def test_a_strategy_that_names_no_source_takes_the_bundled_sample() -> None:
    assert parse_strategy(BASE).source.kind == "bundled"


@pytest.mark.parametrize(
    ("source", "key", "message"),
    [
        ("{kind: nosuch}", "source.kind", "'nosuch': one of 'bundled', 'files', 'simulator', 'sql', 'trades'"),
        ("{kind: 3}", "source.kind", "3: one of 'bundled'"),
        ("{kind: bundled, seed: 3}", "source.seed", "3: no such key"),
        ("{kind: files, path: x, seed: 3}", "source.seed", "3: no such key"),
        ("{path: x}", "source.path", "'x': no such key"),
        ("{kind: files}", "source", "needs source.path"),
        ("{kind: sql, query: SELECT 1}", "source.url_env", "is missing"),
        ("{kind: ccxt, exchange: ../x}", "source.exchange", "'../x': an exchange's id was expected"),
        ("{kind: alpaca, feed: all}", "source.feed", "'all': 'sip', 'iex' or 'otc' was expected"),
        ("{kind: sql, url_env: U, query: SELECT 1, maximum_rows: 0}", "source.maximum_rows", "1 or more was expected"),
        ("{kind: massive, base_url: 'http://example.com'}", "source.base_url", "https was expected"),
        ("[1]", "source", "[1]"),
    ],
)
def test_an_unknown_ill_typed_or_inapplicable_key_is_refused_by_name(source, key, message) -> None:
    with pytest.raises(SettingsError) as caught:
        read(source)
    assert caught.value.where["key"] == key
    assert caught.value.found.startswith((f"{key} = ", f"{key} is missing"))
    assert message in caught.value.found


@pytest.mark.parametrize(
    "source",
    [
        f"{{kind: massive, key: {SECRET}}}",
        f"{{kind: massive, key_env: '{SECRET}!'}}",
        f"{{kind: massive, base_url: 'https://user:{SECRET}@host'}}",
        f"{{kind: sql, query: SELECT 1, url: 'postgresql://owner:{SECRET}@host/name'}}",
        f"{{kind: sql, query: SELECT 1, url_env: 'postgresql://owner:{SECRET}@host/name'}}",
    ],
)
def test_a_key_written_where_its_variable_belongs_is_not_repeated(source) -> None:
    with pytest.raises(SettingsError) as caught:
        read(source)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.full
@pytest.mark.parametrize("kind", ["massive", "alpaca", "yfinance", "simulator"])
def test_how_much_a_source_may_withdraw_at_once_changes_no_result(kind) -> None:
    raised = read(f"{{kind: {kind}, max_withdrawn_fraction: 1}}")
    assert raised.source.max_withdrawn_fraction == 1.0
    assert raised.content_hash() == read(f"{{kind: {kind}}}").content_hash()
    assert "max_withdrawn_fraction" not in raised.behaviour()["source"]
