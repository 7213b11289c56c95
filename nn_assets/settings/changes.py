"""What differs between two states of a strategy's settings, setting by setting."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from nn_assets.errors import first_of

_MOST_CHANGES = 8
_MOST_LETTERS = 60
_LEFT_OUT = "left out"  # at its default, or its section is not stated


def hash_of_settings(behaviour: Mapping[str, Any]) -> str:
    """SHA-256 of settings as plain JSON values, first 16 hex digits."""
    canonical = json.dumps(behaviour, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def part_of_settings(settings: Mapping[str, Any], *sections: str) -> dict[str, Any]:
    """Some sections of settings; without ``costs`` among them, only the series that features read.

    Nothing of another series enters a feature or a model: it is read by costs alone, or not at all. Which baselines
    a network is judged beside counts in the whole alone: it changes nothing that the network forecasts or decides.

    Parameters
    ----------
    settings : mapping
        All of them, as :meth:`~nn_assets.settings.strategy.Strategy.behaviour` gives them.
    *sections : str
        All when none is named.
    """
    if not sections:
        return dict(settings)
    part = {name: value for name, value in settings.items() if name in sections}
    if "series" in part and "costs" not in sections:
        read = set(settings["features"].get("series", {}).values())
        part["series"] = [series for series in part["series"] if series["name"] in read]
    if "learning" in part:
        part["learning"] = {name: value for name, value in part["learning"].items() if name != "baselines"}
    return part


def changed_settings(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name each setting that differs, with the value that it had and the one that it has.

    Parameters
    ----------
    then, now : mapping
        Settings as :meth:`~nn_assets.settings.strategy.Strategy.behaviour` gives them: plain JSON values.

    Returns
    -------
    list of str
        Such as ``learning.hidden 4 then, 8 now``, in order of their names; of a list, what left it and what joined.
    """
    before, after = dict(_flat("", then)), dict(_flat("", now))
    return [
        f"{name} {_difference(before.get(name, _LEFT_OUT), after.get(name, _LEFT_OUT))}"
        for name in sorted({*before, *after})
        if _spelled(before.get(name, _LEFT_OUT)) != _spelled(after.get(name, _LEFT_OUT))
    ]


def changes_text(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first changes of :func:`changed_settings` in one line, and how many more there are."""
    return "; ".join(first_of(changed_settings(then, now), _MOST_CHANGES))


def _flat(name: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        parts = [_flat(f"{name}.{key}" if name else str(key), item) for key, item in value.items()]
        return [pair for part in parts for pair in part]
    return [(name, value)]


def _difference(then: Any, now: Any) -> str:
    if not (isinstance(then, list) and isinstance(now, list)):
        return f"{_spelled(then)} then, {_spelled(now)} now"
    left, joined = (
        [item for item in left_items if item not in right_items]
        for left_items, right_items in ((then, now), (now, then))
    )
    changes = [*([f"without {_spelled(left)}"] if left else []), *([f"with {_spelled(joined)}"] if joined else [])]
    return f"now {' and '.join(changes) or 'in another order'}"


def _spelled(value: Any) -> str:
    if isinstance(value, str):
        text = value
    elif isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        text = ", ".join(value)
    else:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}..."
