"""Frames and plots as Dagster metadata, small enough for the event log."""

from __future__ import annotations

import dagster as dg
import pandas as pd

from nn_assets.reports.canvas import png_markdown

__all__ = ["image", "table"]

_MOST_ROWS = 50


def image(png: bytes) -> dg.MarkdownMetadataValue:
    """A plot, inline."""
    return dg.MetadataValue.md(png_markdown(png))


def table(frame: pd.DataFrame, rows: int = _MOST_ROWS) -> dg.MarkdownMetadataValue:
    """The first rows of a frame as a Markdown table; says how many there are in all."""
    if frame.empty:
        return dg.MetadataValue.md("_none_")
    head = frame.head(rows)
    lines = [
        "| " + " | ".join(map(str, head.columns)) + " |",
        "|" + " --- |" * len(head.columns),
        *("| " + " | ".join(map(_cell, row)) + " |" for row in head.itertuples(index=False)),
    ]
    if len(frame) > rows:
        lines.append(f"\n_{rows} of {len(frame)} rows_")
    return dg.MetadataValue.md("\n".join(lines))


def _cell(value: object) -> str:
    if isinstance(value, pd.Timestamp):
        return str(value.date())
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).replace("|", "\\|")
