"""Dagster's IO managers: months of frames, and features for assets that users add. Neither pickles."""

from __future__ import annotations

import dagster as dg
import pandas as pd

from nn_assets.arrays import Cube
from nn_assets.errors import PublicationError
from nn_assets.operations.catalog import find_strategy
from nn_assets.orchestration.resources import StoresResource

__all__ = ["CubeIOManager", "MonthsIOManager"]

Months = dict[str, pd.DataFrame]


class CubeIOManager(dg.ConfigurableIOManager):
    """Hands features to an asset as the last session knows them: of the publication and the code in force."""

    stores: StoresResource

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Refuse: features are stored with what they were derived from, by their own asset.

        Raises
        ------
        PublicationError
            Always.
        """
        raise PublicationError(
            expected="features stored by the asset that computes them",
            found=f"a {type(obj).__name__} handed over",
            remedy="return a MaterializeResult, and store through nn_assets.operations.features",
            table="/".join(context.asset_key.path),
        )

    def load_input(self, context: dg.InputContext) -> Cube:
        """Read the features through the view of the last session.

        Raises
        ------
        PublicationError
            There are none of the published bars, or other code made them.
        """
        strategy = find_strategy(context.asset_key.path[0]).strategy
        with self.stores.history(strategy) as history:
            return history.view().cube


class MonthsIOManager(dg.ConfigurableIOManager):
    """Stores one frame a month; a run over many months hands over and receives all of them at once."""

    stores: StoresResource

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
        lake = self.stores.lake_alone()
        for month, frame in sorted(obj.items()):
            lake.write_month(strategy, table, month, frame)

    def load_input(self, context: dg.InputContext) -> Months:
        """Read the months that the run needs.

        Raises
        ------
        PublicationError
            A month is missing (all are named), or damaged.
        """
        strategy, table = context.asset_key.path
        months = sorted({key[:7] for key in context.asset_partition_keys})
        lake = self.stores.lake_alone()
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
