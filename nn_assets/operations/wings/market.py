"""Market data: raw bars taken in, and validated bars published through the gate."""

from __future__ import annotations

from collections.abc import Iterator

from nn_assets.market.quality.gate_checks import CHECK_TEXTS, CHECKS, blocking_checks
from nn_assets.operations.facts import RAW_BARS
from nn_assets.operations.intake.bars import ingest_bars
from nn_assets.operations.intake.beside import tables_before_bars
from nn_assets.operations.intake.metadata import intake_metadata
from nn_assets.operations.intake.published import bars_through_gate
from nn_assets.operations.intake.sources import source_roots
from nn_assets.operations.names import TABLES
from nn_assets.operations.wings import DemandedCheck, Job, Table, Wing
from nn_assets.reports.expectations import SUITES
from nn_assets.settings import Strategy


def _assets(strategy: Strategy) -> Iterator[Table]:
    """``raw_bars`` and ``validated_bars``."""
    yield Table(
        RAW_BARS,
        "Bars as the source delivered them. A bar delivered again that differs is a new version; "
        "nothing is overwritten.",
        lambda history, making: intake_metadata(history, ingest_bars(history, making.folder)),
        after=tables_before_bars(strategy),
        made_by=("nn_assets.operations.intake.bars:ingest_bars", *source_roots(strategy)),
    )
    halting = blocking_checks(fills_at_open=strategy.label.execution == "next_open")
    yield Table(
        "validated_bars",
        "Bars that passed cleaning and the gate, published at one atomic switch. When the gate "
        "fails nothing downstream runs, in this run or a later one, and the last publication, if any, stays.",
        lambda history, making: bars_through_gate(history, making.run_id),
        after=(RAW_BARS,),
        kinds=("parquet", "pandera", "great_expectations"),
        demanded=(
            *(DemandedCheck(name, CHECK_TEXTS[name].demand, name in halting) for name in CHECKS),
            *(DemandedCheck(name, demand) for name, demand in SUITES.items()),
        ),
        made_by=(bars_through_gate,),
    )


WING = Wing(_assets, jobs=(Job(TABLES, "Take in bars, publish them through the gate, compute features."),))
