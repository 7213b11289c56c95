"""The tables of ``make proof``, written from the results that are kept: what each defence and each verdict does."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.proof import targets
from tests.proof.behind import CHECKOUT, code_of
from tests.proof.results import Result, address, kept

PAGE = CHECKOUT / "docs" / "proof.md"

# Each is a module beside this one: panels() lists what makes each panel, measure(panel) gives its figures (numbers,
# words, lists of them), summary(results) a table in Markdown with the intervals, targets(results), where anything was
# asked, what. A table without panels of its own says in READS whose results it is made from.
NAMES: tuple[str, ...] = (
    "false_edge",
    "power",
    "capture",
    "capture_per_name",
    "calibration",
    "controls",
    "further_controls",
    "markov_scale",
    "strange_rows",
    "sector_groups",
    "verdict_effect",
    "faults",
    "causality",
    "planted",
    "missing_bars",
)


def write(page: Path = PAGE) -> None:
    """Write the page; a table of which nothing was measured says so."""
    page.parent.mkdir(exist_ok=True)
    page.write_text(text(), encoding="utf-8")


def text() -> str:
    """Every table, with what it cost to make."""
    parts, asked_of = [], []
    for name in NAMES:
        module = importlib.import_module(f"tests.proof.{name}")
        sources = getattr(module, "READS", (name,))
        asked = {address(source, panel): source for source in sources for panel in panels_of(source)}
        have = {key: result for source in sources for key, result in kept(source).items() if key in asked}
        results = [have[key] for key in asked if key in have]
        of_this_code = sum(have[key].code == code_of(asked[key]) for key in asked if key in have)
        measured = f"{len(results)} of {len(asked)} panels measured, {of_this_code} of them by the code at hand"
        cost = _cost(results) if sources == (name,) else f"those of {' and '.join(sources)}"
        body = module.summary(results) if results else "Nothing measured yet."
        asked_of.append(
            (module.TITLE.partition(":")[0], module.targets(results) if results and hasattr(module, "targets") else [])
        )
        parts.append(f"## {module.TITLE}\n\n{measured}; {cost}.\n\n{body}\n")
    head = (
        "# What each defence and each verdict does\n\nWritten by `make proof`; nobody edits it. *The code at hand* is "
        "what a table refers to in the checkout that wrote the page. Panels of older code stay until they are measured "
        "again: `make test` holds small ones to the code at hand, `make test-all` one of each table.\n"
    )
    return "\n".join([head, f"## Targets\n\n{targets.table(asked_of)}\n", *parts])


def _cost(results: Sequence[Result]) -> str:
    """Processor time, as whoever measured it told it; a busy machine makes it longer."""
    seconds = np.array([result.seconds for result in results])
    per_panel = f", {np.median(seconds):.0f} processor seconds a panel (median)" if len(seconds) else ""
    return f"{seconds.sum() / 3600:.1f} processor hours{per_panel}"


def panels_of(name: str) -> Sequence[Mapping[str, Any]]:
    """What makes each panel of a table; none where it is made from the results of others."""
    module = importlib.import_module(f"tests.proof.{name}")
    return [] if hasattr(module, "READS") else module.panels()
