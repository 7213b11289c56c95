"""Dagster's IO managers over the lake: one for the feature cube, one for months. Neither pickles."""

from __future__ import annotations

import dagster as dg
import pandas as pd

from nn_assets.arrays import Cube
from nn_assets.errors import PublicationError
from nn_assets.operations.derived import DerivedCube, record_of
from nn_assets.store.lake.lake import Lake

__all__ = ["CubeIOManager", "MonthsIOManager"]

Months = dict[str, pd.DataFrame]


class CubeIOManager(dg.IOManager):
    """Stores a feature cube under ``<strategy>/<asset>``; loading maps it into memory."""

    def handle_output(self, context: dg.OutputContext, obj: DerivedCube) -> None:
        """Write the cube under the hash of its content, and then what it was derived from.

        Killed in between, the record still names the cube before, which is still there.
        """
        strategy, table = context.asset_key.path
        lake = Lake()
        address = lake.write_cube(strategy, table, obj.cube)
        record = {"data_hash": obj.data_hash, "code_version": obj.code_version, "address": address}
        lake.write_table(strategy, record_of(table), pd.DataFrame([record]))
        context.add_output_metadata({"address": address})

    def load_input(self, context: dg.InputContext) -> Cube:
        """Read the cube as it is now.

        Raises
        ------
        PublicationError
            It was never written, or is damaged.
        """
        strategy, table = context.asset_key.path
        stored = Lake().read_cube(strategy, table)
        return Cube(stored.sessions, stored.symbols, stored.names, stored.values)


class MonthsIOManager(dg.IOManager):
    """Stores one frame a month; a run over many months hands over and receives all of them at once."""

    def handle_output(self, context: dg.OutputContext, obj: Months) -> None:
        """Write each month atomically.

        Raises
        ------
        PublicationError
            A month outside the partitions asked for, or one of these missing.
        """
        strategy, table = context.asset_key.path
        asked = {key[:7] for key in context.asset_partition_keys}
        if set(obj) != asked:
            strange, missing = sorted(set(obj) - asked), sorted(asked - set(obj))
            raise PublicationError(
                expected=f"frames for exactly the {len(asked)} months of the run",
                found=f"missing {', '.join(missing) or 'none'}; not asked for {', '.join(strange) or 'none'}",
                remedy="give every month of the run a frame, an empty one if need be",
                strategy=strategy,
                table=table,
            )
        for month, frame in sorted(obj.items()):
            Lake().write_month(strategy, table, month, frame)

    def load_input(self, context: dg.InputContext) -> Months:
        """Read the months that the run needs.

        Raises
        ------
        PublicationError
            A month is missing (all are named), or damaged.
        """
        strategy, table = context.asset_key.path
        months = sorted({key[:7] for key in context.asset_partition_keys})
        lake = Lake()
        absent = sorted(set(months) - set(lake.months(strategy, table)))
        if absent:
            raise PublicationError(
                expected=f"{table} of {len(months)} months",
                found=f"none for {', '.join(absent)}",
                remedy=f"materialise {strategy}/{table} for these months first",
                strategy=strategy,
                table=table,
            )
        return {month: lake.read_months(strategy, table, [month]) for month in months}
