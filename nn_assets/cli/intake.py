"""What a run took in, in one line for a person: the same in ``run`` and ``check``."""

from __future__ import annotations

from collections.abc import Mapping


def row_counts_text(rows: Mapping[str, int]) -> str:
    """Say how many rows were delivered, added and revised, or that nothing was new.

    Parameters
    ----------
    rows : mapping
        ``delivered``, ``added`` and ``revised``, in rows; ``equal_rows``, those delivered that say what another says.
    """
    if not rows["delivered"]:
        text = "nothing new"
    else:
        text = f"{rows['delivered']:,} delivered, {rows['added']:,} added, {rows['revised']:,} revised"
    equal = rows.get("equal_rows", 0)
    return text + (f", {equal:,} of them say what another says" if equal else "")
