"""What an operator sees of tables taken in and published, by name: numbers, sentences, frames, plots and pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pandas as pd

from nn_assets.contracts.frames import DailyBars
from nn_assets.errors import first_of
from nn_assets.market.facts.bars import RevisionCount
from nn_assets.market.quality.gate import GateReport
from nn_assets.operations.asof.universe import universe_facts, unseen_members
from nn_assets.operations.history import History
from nn_assets.operations.intake.actions import stored_actions
from nn_assets.operations.intake.bars import Audited, Ingested
from nn_assets.operations.intake.intraday import AuditedIntraday
from nn_assets.operations.intake.series import TakenSeries
from nn_assets.operations.intake.unseen import unseen_of_published
from nn_assets.operations.judged import Judged
from nn_assets.reports.expectations import SuiteResult
from nn_assets.reports.plots import bar_counts
from nn_assets.reports.tables import Excerpt
from nn_assets.store.home import data_docs_file
from nn_assets.store.lake.publication import Publication

_MOST_LINES = 50
_MOST_GAPS = 20
_QUARANTINE = ["symbol", "session", "rule", "field", "value", "source"]


def intake_metadata(history: History, ingested: Ingested) -> dict[str, Any]:
    """What an intake of bars brought."""
    strategy, counted, sessions = history.strategy, ingested.counted, history.axis
    return {
        "delivered_rows": ingested.delivered,
        "outside_rows": ingested.outside,
        "first_outside": list(ingested.first_outside),
        "held_out_rows": ingested.held_out,
        "added": counted.added,
        "revised": counted.revised,
        "restated": list(counted.restated),
        "confirmed": counted.confirmed,
        "unchanged": counted.unchanged,
        "equal_rows": counted.equal_rows,
        "most_revised_symbols": counted.most_revised(),
        "actions": stored_actions(history),
        "actions_added": ingested.actions.added,
        "actions_revised": ingested.actions.revised,
        "actions_outside": ingested.actions_outside,
        "first_actions_outside": list(ingested.first_actions_outside),
        "files_read": len(ingested.files_read),
        "files_without_bars": list(ingested.files_without_bars),
        **_of_compared(ingested),
        **_of_details(ingested),
        **({"left_out": ingested.after_the_end} if ingested.after_the_end else {}),
        "source": strategy.source.kind if strategy.intraday is None else "intraday",
        "first_session": str(sessions[0].date()),
        "last_session": str(sessions[-1].date()),
        **_unseen(history, lambda: history.raw_versions),
    }


def _of_compared(ingested: Ingested) -> dict[str, Any]:
    """What the second source brought; nothing where the strategy names none."""
    if (taken := ingested.compared) is None:
        return {}
    counted = {"delivered": taken.delivered, "added": taken.counted.added, "revised": taken.counted.revised}
    failed = {"compared_failed": taken.failed} if taken.failed else {}
    return {**{f"compared_{name}": count for name, count in counted.items()}, **failed}


def _of_details(ingested: Ingested) -> dict[str, Any]:
    """What came of bars beyond prices and volume; nothing where the source gives none."""
    if (taken := ingested.details) is None:
        return {}
    counted = {"added": taken.counted.added, "revised": taken.counted.revised, "left_out": taken.left_out}
    return {f"details_{name}": count for name, count in counted.items()}


def publication_metadata(
    history: History, audited: Audited, before: Publication | None, publication: Publication
) -> dict[str, Any]:
    """What is published now.

    Parameters
    ----------
    before : Publication, optional
        The one in force before: where it still is, it was plotted when it was published.
    """
    return {
        **audited.report.figures,
        "content_hash": publication.content_hash,
        "publication": publication.ordinal,
        "data_docs": data_docs_file(history.strategy.name),
        "quarantine": audited.quarantine[_QUARANTINE],
        **_counts(audited, before, publication, history.stores.ledger.mended().of_one(publication.published_at)),
        **_unseen(history, lambda: audited.cleaned.bars, unseen_of_published(history, publication)),
    }


def _unseen(history: History, bars: Callable[[], DailyBars], counted: pd.DataFrame | None = None) -> dict[str, Any]:
    """Members of the universe without bars, year by year; nothing where the strategy names no universe."""
    if history.strategy.universe is None:
        return {}
    if counted is None:
        counted = unseen_members(history.strategy, history.membership_versions, bars(), history.axis)
    return {"members_without_bars": counted}


def _counts(
    audited: Audited, before: Publication | None, publication: Publication, published_at: pd.Timestamp
) -> dict[str, Any]:
    """The plot of what is published; where that stays as it was, when it was published, and so plotted."""
    if before is not None and before.ordinal == publication.ordinal:
        return {"nothing_new_since": str(published_at)}
    return {"counts": bar_counts(audited.kept_by_symbol, audited.counts)}


def gate_checks(report: GateReport) -> Iterator[Judged]:
    """What each check of the gate says; with the rows that it names."""
    for check in report.checks:
        lines = "\n".join(first_of(check.violations, _MOST_LINES))
        named = lines or ("" if check.passed else "none named")
        figures = {"violations": named} if named else {}
        yield Judged(check.name, check.passed, check.detail, check.remedy, warns=not check.blocking, figures=figures)


def suite_checks(strategy: str, suites: Iterable[SuiteResult]) -> Iterator[Judged]:
    """The result of each suite of the review, which only warns; its page has it in full."""
    for suite in suites:
        violations = {} if suite.passed else {"violations": "\n".join(suite.violations)}
        figures = {"data_docs": data_docs_file(strategy), **violations}
        yield Judged(suite.name, suite.passed, suite.detail, suite.remedy, warns=True, figures=figures)


def intraday_intake_metadata(counted: RevisionCount, delivered: int, left_out: int) -> dict[str, Any]:
    """What an intake of bars within the session brought."""
    return {
        "delivered_rows": delivered,
        "left_out": left_out,
        "added": counted.added,
        "revised": counted.revised,
        "unchanged": counted.unchanged,
        "equal_rows": counted.equal_rows,
    }


def intraday_publication_metadata(audited: AuditedIntraday, publication: Publication) -> dict[str, Any]:
    """What bars within the session are published now."""
    largest = audited.cleaned.gaps.sort_values("missing", ascending=False)
    return {
        **audited.report.figures,
        "content_hash": publication.content_hash,
        "publication": publication.ordinal,
        "quarantine": audited.cleaned.quarantine[_QUARANTINE],
        "largest_gaps": Excerpt(largest.assign(after=largest["after"].astype("str")), _MOST_GAPS),
        "half_finished_sessions": audited.sessions.left_out,
    }


def series_metadata(taken: list[TakenSeries]) -> dict[str, Any]:
    """What a delivery of other series brought."""
    quarantine = pd.concat([delivery.judged.quarantine for delivery in taken], ignore_index=True)
    return {
        "series": pd.DataFrame([delivery.summary for delivery in taken]),
        "added": sum(delivery.counted.added for delivery in taken),
        "revised": sum(delivery.counted.revised for delivery in taken),
        "quarantined": len(quarantine),
        "quarantine": quarantine[["symbol", "session", "rule", "value", "source"]],
    }


def universe_metadata(history: History, counted: RevisionCount) -> dict[str, Any]:
    """What a delivery of the universe brought, and who is in it now."""
    assert history.membership_versions is not None, "of a strategy with a universe"
    facts = universe_facts(history.strategy, history.membership_versions, history.last_session)
    return {"added": counted.added, "revised": counted.revised, **facts}
