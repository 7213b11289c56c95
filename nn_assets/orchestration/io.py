"""Dagster's IO managers: months of frames, and features for assets that users add. Neither pickles."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import pandas as pd

from nn_assets.arrays import Cube
from nn_assets.errors import PublicationError
from nn_assets.operations.asked import only_session
from nn_assets.operations.asof.forecasts import FORECASTS
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.models.forecasts import require_in_force
from nn_assets.operations.months import read_months, store_months
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy

Months = dict[str, pd.DataFrame]


class CubeIOManager(dg.ConfigurableIOManager):
    """Hands features to an asset as its partition's session knows them: of the publication and the code in force.

    An asset without partitions in time is given them as the last session knows them.
    """

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
        """Read the features through the view of the partition's session.

        Raises
        ------
        PublicationError
            There are none of the published bars, other code made them, or the partition is not one session.
        DecisionError
            The session is not closed yet, or lies in the vault.
        """
        strategy = find_strategy(context.asset_key.path[0]).strategy
        with self.stores.history(strategy) as history:
            return history.view(_session_of(context, strategy)).cube


def _session_of(context: dg.InputContext, strategy: Strategy) -> pd.Timestamp | None:
    """The session that the asset at work is a partition of; None where it has no partitions in time."""
    try:
        step = context.step_context
    except dg.DagsterInvariantViolationError:
        return None  # outside of a run
    if not isinstance(step.entity_partitions_def, dg.TimeWindowPartitionsDefinition):
        return None
    window = step.partition_time_window
    return only_session(strategy, window.start.date(), (window.end - timedelta(microseconds=1)).date())


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
        store_months(self.stores.lake_alone(), strategy, table, {key[:7] for key in context.asset_partition_keys}, obj)

    def load_input(self, context: dg.InputContext) -> Months:
        """Read the months that the run needs.

        Raises
        ------
        PublicationError
            A month is missing (all are named), or damaged, or forecasts are not by the models in force.
        """
        strategy, table = context.asset_key.path
        months = {key[:7] for key in context.asset_partition_keys}
        read = read_months(self.stores.lake_alone(), strategy, table, months)
        if table == FORECASTS:
            with self.stores.history(find_strategy(strategy).strategy) as history:
                require_in_force(history, read)
        return read
