"""Strategy files that hide what they say, or blow up: refused by name, with the line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nn_assets.errors import SettingsError
from nn_assets.operations.strategy_files import load_strategy, parse_strategy

MINIMAL = "name: demo\nmarket:\n  history_starts: 2000-01-03\n"
BILLION_LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"

REFUSED: dict[str, tuple[str, int, str]] = {
    "an anchor": (MINIMAL + "owner: &me team\n", 4, "anchors and aliases are not allowed"),
    "an anchor of a mapping": (MINIMAL + "learning: &l\n  hidden: 8\n", 4, "anchors and aliases are not allowed"),
    "an alias": (MINIMAL + "owner: *me\n", 4, "anchors and aliases are not allowed"),
    "a billion laughs": (BILLION_LAUGHS, 1, "anchors and aliases are not allowed"),
    "a merge key": (MINIMAL + "learning:\n  <<: {hidden: 8}\n", 5, "a merge key"),
    "a merge key at the top": ("<<: {name: demo}\n" + MINIMAL, 1, "a merge key"),
    "a duplicate key": (
        MINIMAL + "learning:\n  hidden: 8\n  layers: 1\n  hidden: 9\n",
        7,
        "hidden stands twice, lines 5 and 7",
    ),
    "a duplicate section": (
        MINIMAL + "market: {history_starts: 2001-01-02}\n",
        4,
        "market stands twice, lines 2 and 4",
    ),
    "a custom tag": (MINIMAL + "owner: !secret team\n", 4, "!secret"),
    "a tag of Python": (MINIMAL + "owner: !!python/object/apply:os.system ['true']\n", 4, "python/object"),
    "a tag that changes a type": (MINIMAL + "owner: !!binary dGVhbQ==\n", 4, "binary"),
    "a list as a key": (MINIMAL + "? [a, b]\n: 1\n", 4, "as a key"),
    "a mapping as a key": (MINIMAL + "? {a: b}\n: 1\n", 4, "as a key"),
    "nested lists": (MINIMAL + "owner: " + "[" * 5000 + "]" * 5000 + "\n", 4, "levels are not allowed"),
    "nested mappings": (MINIMAL + "owner: " + "{a: " * 5000 + "}" * 5000 + "\n", 4, "levels are not allowed"),
    "an unclosed nest": (MINIMAL + "owner: " + "[" * 5000, 4, "levels are not allowed"),
    "not a number": (MINIMAL + "costs:\n  half_spread_bps: .nan\n", 5, "half_spread_bps = nan"),
    "infinity": (MINIMAL + "costs:\n  commission_bps: 1\n  half_spread_bps: -.inf\n", 6, "half_spread_bps = -inf"),
    "a float that overflows": (MINIMAL + "costs:\n  half_spread_bps: 1.0e+999\n", 5, "half_spread_bps = inf"),
    "a huge int for a float": (MINIMAL + "costs:\n  half_spread_bps: 1" + "0" * 400 + "\n", 5, "a whole number beyond"),
    "a huge int for a seed": (MINIMAL + "learning:\n  seed: 9223372036854775808\n", 5, "a whole number beyond"),
    "an int of 5000 digits": (MINIMAL + "learning:\n  seed: 1" + "0" * 5000 + "\n", 5, "digits"),
    "an int in base 60 with no end": (MINIMAL + "learning:\n  seed: 1" + ":30" * 60 + "\n", 5, "a whole number beyond"),
    "a month that is none": (
        MINIMAL + "owner: x\n" + "description: 2000-13-45\n",
        5,
        "a day in description; found 2000-13-45 is",
    ),
    "one symbol without brackets": (MINIMAL + "  symbols: AAA\n", 4, "a list was expected: [AAA]"),
    "a share in per cent": (MINIMAL + "portfolio: {kelly_fraction: 50%}\n", 4, "a number was expected: 0.5 "),
    "a near key": (MINIMAL + "learning: {hiden: 3}\n", 4, "did you mean hidden? Remedy"),
    "no for a symbol": (MINIMAL + "  symbols:\n    - AAPL\n    - NO\n", 6, "market.symbols.1 = False"),
    "a key in a list": (MINIMAL + "learning:\n  hidden: 8\n  - layers\n", 6, "expected <block end>"),
    "a second document": (MINIMAL + "---\nname: other\n", 4, "single document"),
    "a tab for an indent": (MINIMAL + "learning:\n\thidden: 8\n", 5, "found a tab. Remedy: replace the tab by spaces"),
    "a zero byte": (MINIMAL + "owner: te\x00am\n", 4, "special characters"),
    "an escape for a terminal": (MINIMAL + "owner: \x1b[31mred\n", 4, "special characters"),
    "an unknown key": (MINIMAL + "learning:\n  layers: 1\n  hiden: 3\n", 6, "learning.hiden = 3: no such key"),
    "a key that is no text": (MINIMAL + "1: 2\n", 4, "1"),
    "a missing key": ("name: demo\ndescription: x\nmarket:\n  calendar: XNYS\n", 3, "market.history_starts"),
    "a limit that never fires": (
        MINIMAL + "portfolio:\n  session_loss_limit_fraction: 0.5\n",
        4,
        "can never fire",
    ),
    "a list for a strategy": ("- a\n- b\n", 1, "list"),
    "nothing": ("", 1, "NoneType"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_strategy_file_may_not_hold_is_refused_with_its_line(case: str) -> None:
    text, line, expected = REFUSED[case]
    with pytest.raises(SettingsError) as refused:
        parse_strategy(text, file="mine.yaml")
    assert refused.value.where["line"] == line
    assert refused.value.where["file"] == "mine.yaml"
    assert expected in str(refused.value)
    assert refused.value.remedy


def test_each_of_several_bad_keys_has_its_own_line() -> None:
    with pytest.raises(SettingsError) as refused:
        parse_strategy(MINIMAL + "learning:\n  hiden: 3\n  dropout: 7\nwhat: 1\n")
    for message in ("learning.hiden = 3: no such key (line 5)", "(line 6)", "what = 1: no such key (line 7)"):
        assert message in refused.value.found


def test_what_yaml_offers_in_plain_words_stays_allowed() -> None:
    text = MINIMAL + (
        "  symbols: [AAPL, 'NO', \"BRK.B\"]  # quoted where YAML would read another type\n"
        "description: >\n  folded\n  text\n"
        "portfolio:\n  sectors: {AAPL: tech, 'NO': energy}\n"
        "learning: {learning_rate: 1.0e-3, seed: 9223372036854775807}\n"
    )
    strategy = parse_strategy(text)
    assert strategy.market.symbols == ("AAPL", "NO", "BRK.B")
    assert strategy.portfolio.sectors == {"AAPL": "tech", "NO": "energy"}
    assert (strategy.learning.learning_rate, strategy.learning.seed) == (1e-3, 2**63 - 1)
    assert strategy.description == "folded text\n"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (MINIMAL.encode("utf-16"), 1),
        (MINIMAL.encode() + "owner: Zoë\n".encode("latin-1"), 4),
        (MINIMAL.encode() + b"owner: te\xed\xa0\x80am\n", 4),
    ],
)
def test_a_file_that_is_not_utf_8_is_refused_with_the_line_of_its_first_wrong_byte(
    tmp_path: Path, content: bytes, line: int
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match="UTF-8") as refused:
        load_strategy(file)
    assert (refused.value.where["file"], refused.value.where["line"]) == (str(file), line)


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(MINIMAL.encode("utf-8-sig"))
    assert load_strategy(file).name == "demo"


def test_a_file_far_too_long_for_a_strategy_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    with file.open("wb") as stream:
        stream.truncate(1 << 40)  # a terabyte of holes
    with pytest.raises(SettingsError, match="at most 262,144 bytes") as refused:
        load_strategy(file)
    assert refused.value.where["file"] == str(file)
    with pytest.raises(SettingsError, match="at most 262,144 bytes"):
        parse_strategy(MINIMAL + "#" * (1 << 18))


@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "absent"])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "mine.yaml"
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "loop":
        file.symlink_to(file)
    with pytest.raises(SettingsError, match="readable UTF-8 YAML file") as refused:
        load_strategy(file)
    assert refused.value.where["file"] == str(file)
