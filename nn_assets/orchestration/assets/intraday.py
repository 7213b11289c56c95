"""Intraday bars: taken in by version, and published through their own gate."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from nn_assets.errors import GateHalted
from nn_assets.market.quality.gate_checks import INTRADAY_CHECKS
from nn_assets.operations.catalog import folder_of
from nn_assets.operations.fingerprint import code_of
from nn_assets.operations.intake.intraday import (
    RAW_INTRADAY,
    VALIDATED_INTRADAY,
    AuditedIntraday,
    audit_intraday,
    ingest_intraday,
    publish_intraday,
)
from nn_assets.orchestration.assets.gate import check_result, check_specs, failure
from nn_assets.orchestration.metadata import table
from nn_assets.orchestration.naming import asset_key, described
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy
from nn_assets.store.lake.publication import Publication

__all__ = ["intraday_assets"]


def intraday_assets(strategy: Strategy) -> list[dg.AssetsDefinition]:
    """``raw_intraday_bars`` and ``validated_intraday_bars``; none where the strategy names none."""
    if strategy.intraday is None:
        return []
    version = code_of("market", "sources", "frames")
    key = asset_key(strategy, VALIDATED_INTRADAY)

    @dg.asset(
        **described(strategy, RAW_INTRADAY, "market", version, {"parquet"}),
        description="Bars within the session as their files have them. A bar delivered again that differs is a new "
        "version; nothing is overwritten.",
    )
    def raw_intraday_bars(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[None]:
        del context
        with stores.history(strategy) as history, history.stores.alone(strategy.name):
            counted, delivered, left_out = ingest_intraday(history, folder_of(strategy.name))
        return dg.MaterializeResult(
            metadata={
                "delivered_rows": delivered,
                "left_out": left_out,
                "added": counted.added,
                "revised": counted.revised,
                "unchanged": counted.unchanged,
            }
        )

    @dg.asset(
        **described(strategy, VALIDATED_INTRADAY, "market", version, {"parquet", "pandera"}),
        deps=[asset_key(strategy, RAW_INTRADAY)],
        description="Intraday bars that passed cleaning and their gate, published at one atomic switch. The daily "
        "bars are made of them; a session of which too few bars are there makes none.",
        check_specs=check_specs(key, INTRADAY_CHECKS, INTRADAY_CHECKS),
    )
    def validated_intraday_bars(
        context: dg.AssetExecutionContext, stores: StoresResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        with stores.history(strategy) as history, history.stores.alone(strategy.name):
            audited = audit_intraday(history)
            for check in audited.report.checks:
                yield check_result(check)
            try:
                audited.report.raise_if_failed()
            except GateHalted as halted:
                raise failure(halted) from halted
            publication = publish_intraday(history, audited, context.run.run_id)
        yield dg.MaterializeResult(metadata=_of_publication(audited, publication))

    return [raw_intraday_bars, validated_intraday_bars]


def _of_publication(audited: AuditedIntraday, publication: Publication) -> dict[str, Any]:
    """What is published now, as the UI shows it."""
    quarantine = audited.cleaned.quarantine[["symbol", "session", "rule", "field", "value"]]
    largest = audited.cleaned.gaps.sort_values("missing", ascending=False)
    return {
        **audited.report.figures,
        "content_hash": publication.content_hash,
        "publication": publication.ordinal,
        "quarantine": table(quarantine),
        "largest_gaps": table(largest.assign(after=largest["after"].astype("str")), rows=20),
        "half_finished_sessions": table(audited.sessions.left_out),
    }
