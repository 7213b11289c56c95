"""The page of a comparison of networks with the simple ones: its verdict, a forest plot, every figure and pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nn_assets.evaluation.comparison import Comparison
from nn_assets.reports.canvas import ALARM, INK, MUTED, SEQUENCE, draw, empty_note, to_png
from nn_assets.reports.page import render
from nn_assets.reports.tables import counted_as


def forest_plot(comparison: Comparison, counted: str = "sessions") -> bytes:
    """Plot each ensemble's figure with its 95% interval, and beside it what each member comes to by itself.

    Parameters
    ----------
    comparison : Comparison
        The simple ones stand below, in another colour.
    counted : str
        What its rows are: sessions, or decisions within them.
    """
    count = len(comparison.contestants)
    figure, (axis,) = draw(
        f"Out-of-sample {comparison.statistic}, 95% interval, and each member alone", height=1.0 + 0.34 * count
    )
    shown = [one for one in comparison.contestants if np.isfinite(one.estimate)]
    if not shown:
        empty_note(axis, counted_as("no session has both a forecast and a realised label", counted))
        return to_png(figure)
    for height, one in enumerate(reversed(shown)):
        colour = SEQUENCE[1] if one.simple else SEQUENCE[0]
        if np.isfinite(one.low):
            axis.plot([one.low, one.high], [height, height], color=colour, linewidth=1.6)
        axis.plot(one.estimate, height, "o", color=colour, markersize=6.0)
        axis.plot(one.of_members, np.full(len(one.of_members), height - 0.22), "|", color=MUTED, markersize=6.0)
    axis.axvline(comparison.chance, color=ALARM, linewidth=0.9)
    axis.set_yticks(range(len(shown)), [one.name for one in reversed(shown)], color=INK)
    axis.set_ylim(-0.6, len(shown) - 0.4)
    axis.set_xlabel(
        f"{comparison.statistic} a {counted.removesuffix('s')} (line: chance; small marks: members of one seed each)"
    )
    return to_png(figure)


def comparison_page(sheets: Sequence[Mapping[str, Any]]) -> str:
    """Write comparisons as one HTML text, each a mapping: name, label, comparison, books, facts, caveats, counted."""
    whole = [{"books": {}, "counted": "sessions", **sheet} for sheet in sheets]
    drawn = [{**sheet, "png": forest_plot(sheet["comparison"], sheet["counted"])} for sheet in whole]
    return render("comparison.html", title="Networks beside the simple ones", sheets=drawn)


def comparison_lines(comparison: Comparison) -> list[str]:
    """The table of a comparison for a terminal: one line a contestant, networks first."""
    rivals = [one.name for one in comparison.contestants if one.simple]
    heads = "".join(f"{'t against ' + rival:>20}" for rival in rivals)
    lines = [f"  {'':<13}{comparison.statistic:>9}{'95% interval':>20}{'seeds: sd':>12}{'min to max':>20}{heads}"]
    for one in comparison.contestants:
        members = [value for value in one.of_members if np.isfinite(value)]
        spread = "-" if not np.isfinite(one.spread) else f"{one.spread:.4f}"
        span = f"{min(members):+.4f} to {max(members):+.4f}" if members else "-"
        interval = f"{one.low:+.4f} to {one.high:+.4f}" if np.isfinite(one.low) else "-"
        cells = "".join(f"{_t(pair):>20}" for pair in comparison.of(one.name))
        estimate = f"{one.estimate:+.4f}" if np.isfinite(one.estimate) else "-"
        lines.append(f"  {one.name:<13}{estimate:>9}{interval:>20}{spread:>12}{span:>20}{cells}")
    return lines


def book_lines(books: Mapping[str, Any], said: str) -> list[str]:
    """The table of what each contestant's book earned, for a terminal; empty without any."""
    if not books:
        return []
    lines = [f"  {'':<13}{'net Sharpe':>12}{'gross':>9}{'seeds: sd':>12}{'min to max':>20}"]
    for name, book in books.items():
        if book.sharpe_net is None:
            lines.append(f"  {name:<13}  {book.why}")
            continue
        spread = "-" if book.spread is None else f"{book.spread:.2f}"
        span = f"{min(book.of_members):+.2f} to {max(book.of_members):+.2f}" if book.of_members else "-"
        gross = "-" if book.sharpe_gross is None else f"{book.sharpe_gross:+.2f}"
        lines.append(f"  {name:<13}{book.sharpe_net:>+12.2f}{gross:>9}{spread:>12}{span:>20}")
    return [*lines, f"  {said}"]


def _t(pair: Any) -> str:
    if pair.test.t_statistic is None:
        return "-"
    mark = {"beats": " beats", "is beaten by": " beaten"}.get(pair.finding, "")
    return f"{pair.test.t_statistic:+.2f}{mark}"
