"""Tables beside the daily bars, where a strategy names them: other series, a universe, intraday bars."""

import dagster as dg
import pandas as pd

from nn_assets.operations.asof.series import OTHER_SERIES
from nn_assets.operations.asof.universe import UNIVERSE, universe_facts
from nn_assets.operations.catalog import folder_of
from nn_assets.operations.fingerprint import code_of
from nn_assets.operations.intake.intraday import RAW_INTRADAY, VALIDATED_INTRADAY
from nn_assets.operations.intake.series import ingest_series
from nn_assets.operations.intake.universe import ingest_universe
from nn_assets.orchestration.assets.intraday import intraday_assets
from nn_assets.orchestration.metadata import table
from nn_assets.orchestration.naming import described
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy

__all__ = ["other_assets", "other_tables", "tables_before_bars", "tables_beside_bars"]


def tables_beside_bars(strategy: Strategy) -> tuple[str, ...]:
    """Assets that features read beside the published bars."""
    return (OTHER_SERIES,) * bool(strategy.series) + (UNIVERSE,) * (strategy.universe is not None)


def tables_before_bars(strategy: Strategy) -> tuple[str, ...]:
    """Assets that the daily bars are made of, or judged by."""
    intraday = (RAW_INTRADAY, VALIDATED_INTRADAY) * (strategy.intraday is not None)
    return (UNIVERSE,) * (strategy.universe is not None) + intraday


def other_tables(strategy: Strategy) -> tuple[str, ...]:
    """Every asset of a strategy that this module makes."""
    return tuple(dict.fromkeys((*tables_beside_bars(strategy), *tables_before_bars(strategy))))


def other_assets(strategy: Strategy) -> list[dg.AssetsDefinition]:
    """The tables beside the bars that a strategy's settings name; none where they name none."""
    made = {OTHER_SERIES: _other_series, UNIVERSE: _universe}
    named = [make(strategy) for name, make in made.items() if name in other_tables(strategy)]
    return [*named, *intraday_assets(strategy)]


def _other_series(strategy: Strategy) -> dg.AssetsDefinition:
    @dg.asset(
        **described(strategy, OTHER_SERIES, "market", code_of("market", "sources", "frames"), {"parquet"}),
        description="Observations of the series beside the bars, as facts with the moment each was known. A value "
        "delivered again that differs is a new version; faulty rows are kept in quarantine.",
    )
    def other_series(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[None]:
        with stores.history(strategy) as history, history.stores.alone(strategy.name):
            taken = ingest_series(history, folder_of(strategy.name), context.log.info)
        quarantine = pd.concat([each.judged.quarantine for each in taken], ignore_index=True)
        return dg.MaterializeResult(
            metadata={
                "series": table(pd.DataFrame([each.told for each in taken])),
                "added": sum(each.counted.added for each in taken),
                "revised": sum(each.counted.revised for each in taken),
                "quarantined": len(quarantine),
                "quarantine": table(quarantine[["symbol", "session", "rule", "value"]]),
            }
        )

    return other_series


def _universe(strategy: Strategy) -> dg.AssetsDefinition:
    @dg.asset(
        **described(strategy, UNIVERSE, "market", code_of("market", "sources", "frames"), {"parquet"}),
        description="Who belonged to the universe from when to when, as facts with the moment each was known. On a "
        "session only its members are trained on, forecast and held; one that leaves is closed.",
    )
    def universe_membership(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[None]:
        del context
        with stores.history(strategy) as history, history.stores.alone(strategy.name):
            counted = ingest_universe(history, folder_of(strategy.name))
            assert history.membership_versions is not None, "of a strategy with a universe"
            facts = universe_facts(strategy, history.membership_versions, history.last_session)
        return dg.MaterializeResult(metadata={"added": counted.added, "revised": counted.revised, **facts})

    return universe_membership
