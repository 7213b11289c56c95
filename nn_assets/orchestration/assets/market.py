"""Market data: raw bars taken in, and validated bars published through the gate."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd

from nn_assets.errors import GateHalted
from nn_assets.market.quality.gate_checks import CHECKS, blocking_checks
from nn_assets.operations.asof.universe import unseen_members
from nn_assets.operations.catalog import folder_of
from nn_assets.operations.fingerprint import code_of
from nn_assets.operations.history import History
from nn_assets.operations.intake.actions import stored_actions
from nn_assets.operations.intake.bars import Audited, Ingested, audit_bars, ingest_bars, publish_bars, recording_halts
from nn_assets.operations.intake.data_docs import review_bars
from nn_assets.orchestration.assets.gate import check_result, check_specs, failure
from nn_assets.orchestration.assets.other_data import tables_before_bars
from nn_assets.orchestration.metadata import image, table
from nn_assets.orchestration.naming import WHAT_TO_DO, asset_key, described
from nn_assets.orchestration.resources import StoresResource
from nn_assets.reports.expectations import SUITES, SuiteResult
from nn_assets.reports.plots import bar_counts
from nn_assets.settings import Strategy
from nn_assets.store.home import data_docs_file, page_address
from nn_assets.store.lake.publication import Publication

__all__ = ["market_assets"]


def market_assets(strategy: Strategy) -> list[dg.AssetsDefinition]:
    """``raw_bars`` and ``validated_bars`` of a strategy."""
    version = code_of("market", "sources", "frames")

    @dg.asset(
        **described(strategy, "raw_bars", "market", version, {"parquet"}),
        deps=[asset_key(strategy, name) for name in tables_before_bars(strategy)],
        description="Bars as the source delivered them. A bar delivered again that differs is a new version; "
        "nothing is overwritten.",
    )
    def raw_bars(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[None]:
        del context
        with stores.history(strategy) as history, history.stores.alone(strategy.name):
            ingested = ingest_bars(history, folder_of(strategy.name))
            return dg.MaterializeResult(metadata=_of_intake(history, ingested))

    key = asset_key(strategy, "validated_bars")
    halting = blocking_checks(fills_at_open=strategy.label.execution == "next_open")

    @dg.asset(
        **described(strategy, "validated_bars", "market", version, {"parquet", "pandera", "great_expectations"}),
        deps=[asset_key(strategy, "raw_bars")],
        description="Bars that passed cleaning and the gate, published at one atomic switch. When the gate "
        "fails nothing downstream runs, in this run or a later one, and the last publication stays.",
        check_specs=check_specs(key, CHECKS, halting)
        + [dg.AssetCheckSpec(name=name, asset=key, description=told) for name, told in SUITES.items()],
    )
    def validated_bars(
        context: dg.AssetExecutionContext, stores: StoresResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        with stores.history(strategy) as history, history.stores.alone(strategy.name):
            before = history.stores.publications.current(strategy.name)
            audited = audit_bars(history)
            for check in audited.report.checks:
                yield check_result(check)
            try:
                with recording_halts(history, context.run.run_id):
                    for suite in review_bars(history, audited):
                        yield _suite_result(suite, strategy)
                    audited.report.raise_if_failed()
                    publication = publish_bars(history, audited, context.run.run_id)
            except GateHalted as halted:
                raise failure(halted) from halted
            metadata = _of_publication(history, audited, before, publication)
        yield dg.MaterializeResult(metadata=metadata)

    return [raw_bars, validated_bars]


def _of_intake(history: History, ingested: Ingested) -> dict[str, Any]:
    """What an intake of bars brought, as the UI shows it."""
    strategy, counted, sessions = history.strategy, ingested.counted, history.axis
    return {
        "delivered_rows": ingested.delivered,
        "outside_rows": ingested.outside,
        "added": counted.added,
        "revised": counted.revised,
        "confirmed": counted.confirmed,
        "unchanged": counted.unchanged,
        "most_revised_symbols": counted.most_revised(),
        "actions": stored_actions(history),
        "actions_added": ingested.actions.added,
        "actions_revised": ingested.actions.revised,
        "actions_outside": ingested.actions_outside,
        "files_read": len(ingested.files_read),
        "files_without_bars": list(ingested.files_without_bars),
        **_of_compared(ingested),
        **({"left_out": ingested.after_the_end} if ingested.after_the_end else {}),
        "source": strategy.source.kind if strategy.intraday is None else "intraday",
        "first_session": str(sessions[0].date()),
        "last_session": str(sessions[-1].date()),
        **_unseen(history, history.raw_versions),
    }


def _of_compared(ingested: Ingested) -> dict[str, Any]:
    """What the second source brought; nothing where the strategy names none."""
    if (taken := ingested.compared) is None:
        return {}
    counted = {"delivered": taken.delivered, "added": taken.counted.added, "revised": taken.counted.revised}
    failed = {"compared_failed": taken.failed} if taken.failed else {}
    return {**{f"compared_{name}": count for name, count in counted.items()}, **failed}


def _of_publication(
    history: History, audited: Audited, before: Publication | None, publication: Publication
) -> dict[str, Any]:
    """What is published now, as the UI shows it."""
    quarantine = audited.cleaned.quarantine[["symbol", "session", "rule", "field", "value"]]
    return {
        **audited.report.figures,
        "content_hash": publication.content_hash,
        "publication": publication.ordinal,
        "data_docs": dg.MetadataValue.url(page_address(data_docs_file(history.strategy.name))),
        "quarantine": table(quarantine),
        **_counts(audited, before, publication, history.stores.ledger.mended().of_one(publication.published_at)),
        **_unseen(history, audited.cleaned.bars),
    }


def _unseen(history: History, bars: pd.DataFrame) -> dict[str, Any]:
    """Members of the universe without bars, year by year; nothing where the strategy names no universe."""
    if history.strategy.universe is None:
        return {}
    return {
        "members_without_bars": table(unseen_members(history.strategy, history.membership_versions, bars, history.axis))
    }


def _suite_result(suite: SuiteResult, strategy: Strategy) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=suite.name,
        passed=suite.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=suite.detail,
        metadata={"data_docs": dg.MetadataValue.url(page_address(data_docs_file(strategy.name)))}
        | ({} if suite.passed else {"violations": "\n".join(suite.violations), WHAT_TO_DO: suite.remedy}),
    )


def _counts(
    audited: Audited, before: Publication | None, publication: Publication, published_at: pd.Timestamp
) -> dict[str, Any]:
    """The plot of what is published; where that stays as it was, when it was published, and so plotted."""
    if before is not None and before.ordinal == publication.ordinal:
        return {"nothing_new_since": str(published_at)}
    return {"counts": image(_plot(audited))}


def _plot(audited: Audited) -> bytes:
    per_symbol = audited.cleaned.bars["symbol"].value_counts().sort_index()
    return bar_counts({str(symbol): int(count) for symbol, count in per_symbol.items()}, audited.cleaned.counts())
