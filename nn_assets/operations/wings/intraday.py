"""Intraday bars: taken in by version, and published through their own gate."""

from __future__ import annotations

from collections.abc import Iterator

from nn_assets.market.quality.gate_checks import CHECK_TEXTS, INTRADAY_CHECKS
from nn_assets.operations.asof.stored import TRADING_HALTS
from nn_assets.operations.intake.intraday import RAW_INTRADAY, VALIDATED_INTRADAY, ingest_intraday
from nn_assets.operations.intake.metadata import intraday_intake_metadata
from nn_assets.operations.intake.published import intraday_through_gate
from nn_assets.operations.names import TABLES
from nn_assets.operations.wings import DemandedCheck, Job, Table, Wing
from nn_assets.settings import Strategy


def _assets(strategy: Strategy) -> Iterator[Table]:
    """``raw_intraday_bars`` and ``validated_intraday_bars``; none where the strategy names none."""
    if strategy.intraday is None:
        return
    yield Table(
        RAW_INTRADAY,
        "Bars within the session as their files have them. A bar delivered again that differs is a new "
        "version; nothing is overwritten.",
        lambda history, making: intraday_intake_metadata(*ingest_intraday(history, making.folder)),
        made_by=(ingest_intraday,),
    )
    yield Table(
        VALIDATED_INTRADAY,
        "Intraday bars that passed cleaning and their gate, published at one atomic switch. The daily "
        "bars are made of them; a session of which too few bars are there makes none.",
        lambda history, making: intraday_through_gate(history, making.run_id),
        after=(RAW_INTRADAY, *((TRADING_HALTS,) if strategy.halts is not None else ())),
        kinds=("parquet", "pandera"),
        demanded=tuple(DemandedCheck(name, CHECK_TEXTS[name].demand, blocking=True) for name in INTRADAY_CHECKS),
        made_by=(intraday_through_gate,),
    )


WING = Wing(_assets, jobs=(Job(TABLES),))
