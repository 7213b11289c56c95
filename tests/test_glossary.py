"""The glossary names places of the code that are there, and each word once."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

PAGE = (Path(__file__).parents[1] / "docs" / "glossary.md").read_text(encoding="utf-8")


def test_every_place_named_is_there() -> None:
    named = set(re.findall(r"`(nn_assets[a-z_.0-9]*)`", PAGE))
    assert len(named) > 30
    assert [name for name in sorted(named) if find_spec(name) is None] == []


def test_no_word_has_two_entries() -> None:
    words = [word for row in re.findall(r"^\| ([^|]+) \|", PAGE, re.MULTILINE) for word in re.split(r", ", row.strip())]
    words = [word for word in words if word != "word" and not set(word) <= {"-"}]
    assert len(words) > 40
    assert sorted(words) == sorted(set(words))
