"""Plain figures and judgements as Dagster's metadata and check results, small enough for the event log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from nn_assets.operations.judged import Judged
from nn_assets.reports.canvas import png_markdown
from nn_assets.reports.tables import Excerpt, markdown_table
from nn_assets.store.home import page_address

WHAT_TO_DO = "what_to_do"
"""Name under which a failed check's metadata hold its remedy."""


def shown(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures as metadata: a frame as a table, PNG bytes as a plot, a page's file as a link, others as they are."""
    return {name: _shown(value) for name, value in figures.items()}


def _shown(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        value = Excerpt(value)
    if isinstance(value, Excerpt):
        return dg.MetadataValue.md(markdown_table(*value))
    if isinstance(value, bytes):
        return dg.MetadataValue.md(png_markdown(value))
    if isinstance(value, Path):
        return dg.MetadataValue.url(page_address(value))
    return value


def check_result(judged: Judged, key: dg.AssetKey | None = None) -> dg.AssetCheckResult:
    """What a check says, to Dagster; that there was nothing to compare is no pass, and a warning.

    Parameters
    ----------
    key : AssetKey, optional
        Of its asset, where a step makes several.
    """
    warns = judged.warns or judged.held is None
    remedy = {WHAT_TO_DO: judged.remedy} if judged.remedy and judged.held is False else {}
    return dg.AssetCheckResult(
        check_name=judged.name,
        asset_key=key,
        passed=bool(judged.held),
        severity=dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR,
        description=judged.description,
        metadata={**shown(judged.figures), **remedy},
    )
