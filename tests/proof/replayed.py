"""Small panels that ``make test`` measures again: the same measurements as the tables', on markets of seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.proof import capture, controls, false_edge, markov_scale, sector_groups

CLEAR = "clear sectors, errors shared within each"

# Named here, so that their code is known to be behind these panels.
_MEASURED_BY = {
    "capture": capture.measure,
    "controls": controls.measure,
    "false_edge": false_edge.measure,
    "markov_scale": markov_scale.measure,
    "sector_groups": sector_groups.measure,
}


def panels() -> list[dict[str, Any]]:
    """One of each kind of measurement; ``of`` names the table whose it is."""
    studied = {"names": 8, "sessions": 1131, "rank_ic": 0.05, "persistence": 0.95, "horizon": 10}
    return [
        {"of": "false_edge", "seed": 3, "book": True, **studied},
        {"of": "capture", "seed": 3, "names": 20, "sessions": 230, "noise": "lasting"},
        {"of": "controls", "seed": 1, "names": 8, "change": "costs triple", "last": "2015-01-30"},
        {"of": "markov_scale", "seed": 6, "names": 8, "change": "volatility doubles", "last": "2015-01-30"},
        {"of": "sector_groups", "seed": 1, "names": 30, "market": CLEAR, "last": "2015-01-16"},
    ]


def measure(panel: Mapping[str, Any]) -> dict[str, Any]:
    """As the table measures it."""
    rest = {key: value for key, value in panel.items() if key != "of"}
    return _MEASURED_BY[panel["of"]](rest)
