"""Small panels that ``make test`` measures again: the same measurements as the tables', on markets of seconds."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any


def panels() -> list[dict[str, Any]]:
    """One of each kind of measurement; ``of`` names the table whose it is."""
    studied = {"names": 8, "sessions": 1131, "rank_ic": 0.05, "persistence": 0.95, "horizon": 10}
    return [
        {"of": "false_edge", "seed": 3, "book": True, **studied},
        {"of": "capture", "seed": 3, "names": 20, "sessions": 230, "noise": "lasting"},
    ]


def measure(panel: Mapping[str, Any]) -> dict[str, Any]:
    """As the table measures it."""
    rest = {key: value for key, value in panel.items() if key != "of"}
    figures: dict[str, Any] = importlib.import_module(f"tests.proof.{panel['of']}").measure(rest)
    return figures
