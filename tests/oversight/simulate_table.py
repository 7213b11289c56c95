"""Simulate the stored critical values anew: ``python -m tests.oversight.simulate_table``.

Twenty minutes on two free cores. To be run when the simulation changes, or to store values of further windows:
a test fails where :mod:`nn_assets.oversight.simulation` and the file no longer agree.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

from nn_assets.oversight import critical_table
from nn_assets.oversight.critical_table import FILE, Key
from nn_assets.oversight.simulation import (
    COEFFICIENTS,
    REFERENCES,
    STATISTICS,
    quiet_level,
    ranks_within,
    simulated_paths,
    simulation_terms,
)

__all__ = ["PACES", "SESSIONS_PER_YEAR", "WINDOWS", "main", "simulated_column", "table_text"]

# One, two, three and six months of an exchange (21, 42, 63, 126), and the round numbers that are used beside them.
WINDOWS = (20, 21, 30, 40, 42, 60, 63, 90, 120, 126)
SESSIONS_PER_YEAR = (252, 365)
# Rings a year. The default paces of one and four, halved where the forecasts have two series, and where a
# persistent series is under two tests. A CUSUM is always one of two tests.
PACES = {"ks": (4.0, 2.0, 1.0, 0.5, 0.25), "cusum": (1.0, 0.5, 0.25)}

Node = tuple[Key, int]  # what the value is of, and sessions of the reference


def simulated_column(
    coefficient: float, windows: Sequence[int] = WINDOWS, references: Sequence[int] = REFERENCES
) -> dict[Node, float]:
    """Every value for one AR(1) coefficient, from one set of paths.

    The same to the bit as ``simulated`` gives node by node: longer
    paths begin with the shorter ones.
    """
    longest = max(_span(*pace) for paces in PACES.values() for pace in product(SESSIONS_PER_YEAR, paces))
    path = simulated_paths(coefficient, max(references) + max(windows) - 1 + longest)
    column: dict[Node, float] = {}
    for reference in references:
        ranks = ranks_within(path[: reference + max(windows) - 1 + longest], reference)
        for window, statistic in product(windows, PACES):
            keys = [Key(statistic, window, *pace) for pace in product(SESSIONS_PER_YEAR, PACES[statistic])]
            spans = [_span(key.sessions_per_year, key.rings_per_year) for key in keys]
            values = STATISTICS[statistic](ranks, window, reference, spans)
            column |= {(key, reference): _kept(key, value) for key, value in zip(keys, values, strict=True)}
    return column


def _span(sessions_per_year: int, rings_per_year: float) -> int:
    return quiet_level(sessions_per_year, rings_per_year)[0]


def _kept(key: Key, value: float) -> float:
    """A value as it is stored: in full, but for those that were first printed rounded.

    Decisions were made with the rounded ones; made again, they are to be the same.
    """
    if (key.window, key.sessions_per_year) != (60, 252):
        return value
    if key.statistic == "ks":
        return round(value, 4)
    return value if key.rings_per_year == 1.0 else round(value, 2)


def table_text(columns: Iterable[dict[Node, float]]) -> str:
    """The file of the stored values: the simulation's terms, a heading, and a row for each node's lengths.

    Parameters
    ----------
    columns : iterable of dict
        One per coefficient, in the order of ``COEFFICIENTS``.
    """
    by_coefficient = list(columns)
    text = io.StringIO()
    text.write(f"# {json.dumps(simulation_terms(), sort_keys=True)}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*Key._fields, "reference", *(f"ar1_{coefficient}" for coefficient in COEFFICIENTS)])
    for key, reference in sorted(by_coefficient[0]):
        writer.writerow([*key, reference, *(repr(column[key, reference]) for column in by_coefficient)])
    return text.getvalue()


def main(file: Path | None = None) -> None:
    """Write the file in the package; two processes, one coefficient at a time."""
    with ProcessPoolExecutor(max_workers=2) as pool:
        text = table_text(pool.map(simulated_column, COEFFICIENTS))
    (file or Path(critical_table.__file__).with_name(FILE)).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
