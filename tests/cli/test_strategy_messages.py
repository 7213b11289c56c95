"""What a newcomer's slips in a strategy file are told as."""

from __future__ import annotations

import pytest

from nn_assets.errors import SettingsError
from nn_assets.settings import parse_strategy
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
            43,
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
    ("text", "told"),
    [
        ("source: {kindd: files, path: bars}\n", "source.kindd = 'files': no such key (line 4), did you mean kind?"),
        ("source: {kin: sql, url_env: U}\n", "source.kin = 'sql': no such key (line 4), did you mean kind?"),
        (
            "source: {kind: ccxt, exchang: kraken}\n",
            "source.exchang = 'kraken': no such key (line 4), did you mean exchange?",
        ),
        (
            "series:\n- {name: fear, pathh: fear.csv, lag_minutes: 1}\n",
            "series.0.pathh = 'fear.csv': no such key (line 5), did you mean path?",
        ),
        ("series:\n- {name: fear, path: fear.csv, kindd: x}\n", "series.0.kindd = 'x': no such key (line 5)"),
        ("univers: {path: x}\n", "univers = a mapping: no such key (line 4), did you mean universe?"),
        ("learning: {hiden: 3}\n", "learning.hiden = 3: no such key (line 4), did you mean hidden?"),
        (
            "source: {path: bars}\n",
            "source.path = 'bars': no such key (line 4), source.kind is not stated and bundled is taken",
        ),
    ],
)
def test_an_unknown_key_is_told_with_the_one_that_was_meant_and_nothing_else(text, told) -> None:
    error = refused(MINIMAL + text)
    assert error.found == told
    assert error.where["key"] == told.partition(" = ")[0]


def test_a_fault_beside_a_misspelt_key_is_still_told() -> None:
    found = refused(MINIMAL + "source: {kindd: files, path: x}\nlearning: {dropout: 7}\n").found
    assert "source.kindd" in found
    assert "learning.dropout = 7" in found
    assert "source.path" not in found
    both = refused(MINIMAL + "source: {kind: files, kindd: files, path: x}\n").found
    assert both == "source.kindd = 'files': no such key (line 4)"


@pytest.mark.parametrize(
    ("stages", "told"),
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
def test_stages_of_history_out_of_order_are_told_with_both_keys_values_and_lines(stages, told) -> None:
    error = refused(MINIMAL + stages)
    assert all(part in error.found for part in told), error.found
    for jargon in ("Value error", "a mapping"):
        assert jargon not in str(error)
    assert error.where["key"] == told[0].split()[0]
