"""What a newcomer's slips in a strategy file are told as."""

from __future__ import annotations

import pytest

from nn_assets.errors import SettingsError
from nn_assets.operations.strategy_files import parse_strategy
from nn_assets.settings import Strategy
from nn_assets.settings.wording import PATTERNS
from tests.cli.conftest import STRATEGY, call

MINIMAL = "name: demo\nmarket:\n  history_starts: 2010-01-04\n"


@pytest.mark.parametrize(
    ("change", "line", "key", "near"),
    [
        (("calendar: XNYS", "calendar: XNYC"), 7, "market.calendar", "did you mean XNYS or"),
        (("calendar: XNYS", "calendar: xnys"), 7, "market.calendar", "did you mean XNYS"),
        (("calendar: XNYS", "calendar: Nowhere at all"), 7, "market.calendar", "'at'"),
        (
            ("trade_without_verdict: true", "series:\n- name: a\n  path: a.csv\n  calendar: LSEE\n  lag_minutes: 1"),
            49,
            "series.0.calendar",
            "did you mean LSE or",
        ),
    ],
)
def test_a_calendar_nobody_knows_is_told_with_file_line_key_and_near_names(tmp_path, change, line, key, near) -> None:
    file = tmp_path / "home" / "strategies" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(STRATEGY.replace(*change), encoding="utf-8")
    answer = call(tmp_path / "home", "status", "-s", "mine", "--json")
    assert answer.status == 1
    assert f"[file {file}, line {line}, key {key}]" in answer.document["message"]
    assert near in answer.document["message"]


def refused(text: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        parse_strategy(text, file="mine.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("source: {kindd: files, path: bars}\n", "source.kindd = 'files': no such key (line 4), did you mean kind?"),
        ("source: {kin: sql, url_env: U}\n", "source.kin = 'sql': no such key (line 4), did you mean kind?"),
        (
            "label: {kind: direction, horizon_session: 5}\n",
            "label.horizon_session = 5: no such key (line 4), did you mean horizon_sessions?",
        ),
        (
            "source: {kind: ccxt, exchang: kraken}\n",
            "source.exchang = 'kraken': no such key of kind 'ccxt' (line 4), did you mean exchange?",
        ),
        (
            "series:\n- {name: fear, pathh: fear.csv, lag_minutes: 1}\n",
            "series.0.pathh = 'fear.csv': no such key (line 5), did you mean path?",
        ),
        (
            "series:\n- {name: fear, path: fear.csv, kindd: x}\n",
            "series.0.kindd = 'x': no such key (line 5), did you mean kind?",
        ),
        ("univers: {path: x}\n", "univers = a mapping: no such key (line 4), did you mean universe?"),
        ("learning: {hiden: 3}\n", "learning.hiden = 3: no such key (line 4), did you mean hidden?"),
        (
            "source: {path: bars}\n",
            "source.path = 'bars': no such key (line 4), source.kind is not stated and bundled is taken",
        ),
    ],
)
def test_an_unknown_key_is_told_with_the_one_that_was_meant_and_nothing_else(text, expected) -> None:
    error = refused(MINIMAL + text)
    assert error.found == expected
    assert error.where["key"] == expected.partition(" = ")[0]


def test_a_fault_beside_a_misspelt_key_is_still_told() -> None:
    message = refused(MINIMAL + "source: {kindd: files, path: x}\nlearning: {dropout: 7}\n").found
    assert "source.kindd" in message
    assert "learning.dropout = 7" in message
    assert "source.path" not in message
    both = refused(MINIMAL + "source: {kind: files, kindd: files, path: x}\n").found
    assert both == "source.kindd = 'files': no such key of kind 'files' (line 4)"


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (
            "  history_ends: 2012-01-04\n  vault_starts: 2012-06-01\n",
            [
                "market.vault_starts 2012-06-01 must lie before market.history_ends 2012-01-04",
                "(lines 5 and 4)",
            ],
        ),
        (
            "  live_starts: 2013-06-03\n  vault_starts: 2012-06-01\n",
            ["market.live_starts 2013-06-03 must lie before market.vault_starts 2012-06-01", "(lines 4 and 5)"],
        ),
        (
            "  live_starts: 2013-06-03\n  vault_starts: 2012-06-01\n  history_ends: 2011-01-03\n",
            [
                "market.live_starts 2013-06-03 must lie before market.vault_starts 2012-06-01",
                "market.vault_starts 2012-06-01 must lie before market.history_ends 2011-01-03",
                "(lines 4 and 5 and 6)",
            ],
        ),
        (
            "  live_starts: 2009-06-03\n",
            ["market.history_starts 2010-01-04 must lie before market.live_starts 2009-06-03"],
        ),
    ],
)
def test_stages_of_history_out_of_order_are_told_with_both_keys_values_and_lines(stages, expected) -> None:
    error = refused(MINIMAL + stages)
    assert all(part in error.found for part in expected), error.found
    for jargon in ("Value error", "a mapping"):
        assert jargon not in str(error)
    assert error.where["key"] == expected[0].split()[0]
    assert error.remedy == "correct these dates"


def test_dates_out_of_order_beside_another_fault_keep_both_remedies() -> None:
    remedy = refused(MINIMAL + "  live_starts: 2009-06-03\nlearning: {hiden: 3}\n").remedy
    assert remedy.startswith("correct these dates; ")
    assert "delete the keys named" in remedy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            MINIMAL + "  symbols: [A, B, NO]\n",
            'market.symbols.2 = False: text was expected; quote it: "NO" (line 4)',
        ),
        (MINIMAL + "  symbols: [01]\n", 'market.symbols.0 = 1: text was expected; quote it: "01" (line 4)'),
        (
            MINIMAL.replace("2010-01-04", "31.01.2018"),
            "market.history_starts = '31.01.2018': a day was expected, year first: 2018-01-31 (line 3)",
        ),
        (
            MINIMAL.replace("2010-01-04", "20180131"),
            "market.history_starts = 20180131: a day was expected, year first: 2018-01-31 (line 3)",
        ),
        (
            MINIMAL.replace("demo", "My Demo"),
            "name = 'My Demo': lower-case letters, digits and _ were expected, a letter first, at most 48 characters",
        ),
        (MINIMAL + "label: over_costs\n", "label = 'over_costs': keys with values were expected (line 4)"),
        (MINIMAL + "learning: {lookback: ten}\n", "learning.lookback = 'ten': a whole number was expected (line 4)"),
        (MINIMAL + "learning: {lookback: 0}\n", "learning.lookback = 0: 1 or more was expected (line 4)"),
        (MINIMAL + "portfolio: {beta_limit: high}\n", "portfolio.beta_limit = 'high': a number was expected (line 4)"),
        (
            MINIMAL + "portfolio: {drawdown_limit_fraction: 1}\n",
            "portfolio.drawdown_limit_fraction = 1: less than 1.0 was expected (line 4)",
        ),
        (MINIMAL + "portfolio: {allow_short: maybe}\n", "portfolio.allow_short = 'maybe': true or false was expected"),
        (MINIMAL + "features: {names: rsi_14}\n", "features.names = 'rsi_14': a list was expected: [rsi_14]"),
        (
            MINIMAL + "label: {execution: open}\n",
            "label.execution = 'open': 'next_open' or 'next_close' was expected (line 4)",
        ),
        (
            MINIMAL + "source: {kind: sql, url_env: a b, query: q}\n",
            "source.url_env = (not shown): the name of an environment variable was expected: letters, digits and _",
        ),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_in_words(text, expected) -> None:
    assert refused(text).found.startswith(expected)


def test_a_day_that_yaml_cannot_read_is_told_year_first() -> None:
    message = refused(MINIMAL.replace("2010-01-04", "2018-31-01")).found
    assert "2018-31-01 is no day; year first, as in 2018-01-31" in message


def test_every_pattern_of_a_setting_has_words() -> None:
    def patterns(node: object) -> set[str]:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        own = {node["pattern"]} if isinstance(node, dict) and isinstance(node.get("pattern"), str) else set()
        return own.union(*map(patterns, inner))

    schema_patterns = patterns(Strategy.model_json_schema())
    assert len(schema_patterns) > 3
    assert schema_patterns <= set(PATTERNS)


def test_a_series_that_is_not_there_is_told_by_the_key_that_names_it() -> None:
    text = MINIMAL + "features:\n  series:\n    implied_volatility: vixx\nseries:\n- {name: vix, path: a.csv}\n"
    error = refused(text)
    assert error.found == (
        "features.series.implied_volatility names vixx, which series does not, did you mean vix? (line 6)"
    )
    assert (error.where["key"], error.where["line"]) == ("features.series.implied_volatility", 6)
