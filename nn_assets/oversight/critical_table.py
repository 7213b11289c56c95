"""Critical values that were simulated once and are stored beside this module: usual lengths need no simulation.

``tests/oversight/simulate_table.py`` made them and says which lengths they are; a test makes some anew.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from nn_assets.errors import ControlError
from nn_assets.oversight.simulation import simulation_terms

FILE = "critical_table.csv"


class Key(NamedTuple):
    """What a stored row of critical values is of."""

    statistic: str  # 'ks' or 'cusum'
    window: int  # sessions
    sessions_per_year: int
    rings_per_year: float


Table = dict[Key, dict[int, tuple[float, ...]]]


@cache
def stored_values() -> Table:
    """Stored values by key and sessions of the reference, each in the order of ``COEFFICIENTS``; read once.

    Raises
    ------
    ControlError
        The file was made on other terms than those of the simulation beside it.
    """
    terms, _, *rows = files(__package__).joinpath(FILE).read_text(encoding="utf-8").splitlines()
    if json.loads(terms.removeprefix("# ")) != simulation_terms():
        raise ControlError(
            expected=f"critical values simulated on the terms {json.dumps(simulation_terms())}",
            found=terms,
            remedy="reinstall nn_assets, whose file this is; in a checkout make them anew: "
            "python -m tests.oversight.simulate_table",
        )
    table: Table = {}
    for row in rows:
        statistic, window, per_year, rings, reference, *values = row.split(",")
        key = Key(statistic, int(window), int(per_year), float(rings))
        table.setdefault(key, {})[int(reference)] = tuple(map(float, values))
    return table
