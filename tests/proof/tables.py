"""The tables of ``make proof``, written from the results that are kept: what each defence and each verdict does."""

from __future__ import annotations

import importlib
from pathlib import Path

from nn_assets.operations.fingerprint import code_of
from tests.proof.results import ROOMS, address, kept

CHECKOUT = Path(__file__).resolve().parent.parent.parent
PAGE = CHECKOUT / "docs" / "proof.md"

# Each is a module beside this one: panels() lists what makes each panel, measure(panel) gives its figures (numbers,
# words, lists of them), summary(results) a table in Markdown with the intervals.
NAMES: tuple[str, ...] = ("false_edge", "controls", "faults", "causality", "planted")


def write(page: Path = PAGE) -> None:
    """Write the page; a table of which nothing was measured says so."""
    page.parent.mkdir(exist_ok=True)
    page.write_text(text(), encoding="utf-8")


def text() -> str:
    """Every table, with what it cost to make."""
    parts = ["# What each defence and each verdict does\n\nWritten by `make proof`; nobody edits it.\n"]
    for name in NAMES:
        module = importlib.import_module(f"tests.proof.{name}")
        panels, have = module.panels(), kept(name)
        results = [have[key] for panel in panels if (key := address(name, panel)) in have]
        of_this_code = sum(result.code == code_of(*ROOMS) for result in results)
        hours = sum(result.seconds for result in results) / 3600
        measured = f"{len(results)} of {len(panels)} panels measured, {of_this_code} of them by the code at hand"
        said = f"{measured}; {hours:.1f} processor hours."
        body = module.summary(results) if results else "Nothing measured yet."
        parts.append(f"## {module.TITLE}\n\n{said}\n\n{body}\n")
    return "\n".join(parts)
