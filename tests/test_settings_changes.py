"""Two states of settings told apart, setting by setting."""

from __future__ import annotations

from typing import Any

import pytest

from nn_assets.settings import Strategy
from nn_assets.settings.changes import changed_settings, changes_text


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        ({}, {}, []),
        ({"a": {"b": 1}}, {"a": {"b": 1}}, []),
        ({"a": {"b": 1}}, {"a": {"b": 1.5}}, ["a.b 1 then, 1.5 now"]),
        ({"a": {"b": None}}, {"a": {"b": "x"}}, ["a.b null then, x now"]),
        ({"a": {"b": False}, "c": 2}, {"a": {"b": True}, "c": 2}, ["a.b false then, true now"]),
        ({"a": {}}, {"a": {"b": 3}}, ["a {} then, left out now", "a.b left out then, 3 now"]),
        ({"a": ["x", "y"]}, {"a": ["y", "z"]}, ["a now without x and with z"]),
        ({"a": []}, {"a": ["M9", "M10"]}, ["a now with M9, M10"]),
        ({"a": ["x", "y"]}, {"a": ["y", "x"]}, ["a now in another order"]),
        ({"a": [{"n": 1}]}, {"a": [{"n": 2}]}, ['a now without [{"n": 1}] and with [{"n": 2}]']),
        ({"a": None}, {"a": {"b": 1}}, ["a null then, left out now", "a.b left out then, 1 now"]),
    ],
)
def test_each_changed_setting_is_named_with_both_values(
    then: dict[str, Any], now: dict[str, Any], expected: list[str]
) -> None:
    assert changed_settings(then, now) == expected


def test_many_changes_are_counted_and_long_values_cut() -> None:
    then = {f"k{number:02d}": "x" * 500 for number in range(20)}
    text = changes_text(then, dict.fromkeys(then, "y"))
    assert text.count(" then, y now") == 8
    assert text.endswith("; and 12 more")
    assert len(text) < 800


def test_a_setting_that_counts_when_it_is_set_is_left_out_at_its_default() -> None:
    one, other = (
        Strategy.model_validate(
            {"name": "demo", "market": {"symbols": ["A"], "history_starts": "2016-01-04"}, "portfolio": portfolio}
        )
        for portfolio in ({}, {"shrink_half_life_months": 6.0})
    )
    assert changed_settings(one.behaviour(), other.behaviour()) == [
        "portfolio.shrink_half_life_months left out then, 6.0 now"
    ]
