"""The operator's view of the audited bars: Great Expectations over their aggregates, and its page in the home."""

from __future__ import annotations

from nn_assets.market.quality.overview import overview
from nn_assets.operations.history import History
from nn_assets.operations.intake.bars import Audited
from nn_assets.reports.expectations import SuiteResult, data_docs_page, validate_overview
from nn_assets.store.home import data_docs_file
from nn_assets.store.lake.files import replace_file

__all__ = ["review_bars"]


def review_bars(history: History, audited: Audited) -> tuple[SuiteResult, ...]:
    """Hold the audited bars against the suites and write the page, whatever the gate says of them.

    Raises
    ------
    GateHalted
        Great Expectations failed: the audit is not complete, so nothing may be published.
    """
    strategy, sessions, report = history.strategy, history.axis, audited.report
    found = overview(audited.cleaned, strategy.market.symbols, sessions)
    results = validate_overview(found, strategy.gate)
    facts = [
        ("Session expected", str(sessions[-1].date())),
        ("Bars", f"{len(audited.cleaned.bars):,}"),
        ("Symbols", f"{len(found.symbols):,}"),
        ("In quarantine", f"{len(audited.cleaned.quarantine):,}"),
        ("Gate", "passed" if report.passed else "halted"),
    ]
    notes = [f"{check.name}: {check.detail}{'' if check.passed else f'; {check.remedy}'}" for check in report.checks]
    page = data_docs_page(f"{strategy.name}: the data set", facts, results, found, notes)
    file = data_docs_file(strategy.name)
    with replace_file(file) as staged:
        staged.write_text(page, encoding="utf-8")
    return results
