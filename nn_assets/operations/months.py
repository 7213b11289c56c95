"""Frames by month, stored and read whole: none is missing, and none was not asked for."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from nn_assets.errors import PublicationError
from nn_assets.store.lake.lake import Lake


def store_months(lake: Lake, strategy: str, table: str, wanted: set[str], frames: Mapping[str, pd.DataFrame]) -> None:
    """Write the frames of exactly the months asked for (``YYYY-MM``), each atomically.

    Raises
    ------
    PublicationError
        There is a frame of another month, or none of one of these; nothing is written then.
    """
    if set(frames) != wanted:
        strange, missing = sorted(set(frames) - wanted), sorted(wanted - set(frames))
        raise PublicationError(
            expected=f"frames for exactly the {len(wanted)} months of the run",
            found=f"missing {', '.join(missing) or 'none'}; not asked for {', '.join(strange) or 'none'}",
            remedy="give every month of the run a frame, an empty one if need be",
            strategy=strategy,
            table=table,
        )
    for month, frame in sorted(frames.items()):
        lake.write_month(strategy, table, month, frame)


def read_months(lake: Lake, strategy: str, table: str, wanted: set[str]) -> dict[str, pd.DataFrame]:
    """Read the frames of months (``YYYY-MM``), in order.

    Raises
    ------
    PublicationError
        A month is missing (all are named), or damaged.
    """
    absent = sorted(wanted - set(lake.months(strategy, table)))
    if absent:
        raise PublicationError(
            expected=f"{table} of {len(wanted)} months",
            found=f"none for {', '.join(absent)}",
            remedy=f"nn-assets study --strategy {strategy} --from {absent[0]} --to {absent[-1]}",
            strategy=strategy,
            table=table,
        )
    return {month: lake.read_months(strategy, table, [month]) for month in sorted(wanted)}
