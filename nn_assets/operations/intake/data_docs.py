"""The operator's view of the audited bars: Great Expectations over their aggregates, and its page in the home.

The same aggregates, judged by the same limits and the same code, give the same page: it is on record beside
the page what it was made of, and while nothing of that changes the page stays and the library, which takes
seconds to import, is left alone.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nn_assets.contracts.frames import ActionVersions
from nn_assets.errors import PublicationError
from nn_assets.market.facts.rows import in_first_shares
from nn_assets.market.quality.gate import days_asked
from nn_assets.market.quality.overview import Kept, Overview, overview, overview_of, recent_from
from nn_assets.operations.asof.actions import ACTIONS
from nn_assets.operations.clock import now_utc
from nn_assets.operations.fingerprint import libraries
from nn_assets.operations.history import History
from nn_assets.operations.intake.actions import actions_to_publish, delisted
from nn_assets.operations.intake.bars import Audited
from nn_assets.reports.expectations import SUITES, SuiteResult, data_docs_page, validate_overview
from nn_assets.settings import GateSettings
from nn_assets.store.home import data_docs_file
from nn_assets.store.lake.content import frame_hash
from nn_assets.store.lake.files import file_sha256, read_record, replace_file, write_record
from nn_assets.store.values import hash_of
from nn_assets.versions import version_of

_log = logging.getLogger(__name__)
_REVIEWED_BY = ("nn_assets.reports.expectations:validate_overview", "nn_assets.reports.expectations:data_docs_page")

Facts = list[tuple[str, str]]


def _record_file(strategy: str) -> Path:
    return data_docs_file(strategy).with_suffix(".json")


def review_bars(history: History, audited: Audited) -> tuple[SuiteResult, ...]:
    """Hold the audited bars against the suites and write the page, whatever the gate says of them.

    A page that cannot be written is logged, and keeps nothing from being published.

    Where the page in the home was made of the very same, by this code, both stay as they are: the results
    are those on record, without the library's sections, and each says when it was found.

    Raises
    ------
    GateHalted
        Great Expectations failed: the audit is not complete, so nothing may be published.
    """
    strategy, sessions, report = history.strategy, history.axis, audited.report
    actions = actions_to_publish(history, history.stores.lake.segments(strategy.name, ACTIONS))
    aggregates = overview_of_audited(history, audited, actions)
    facts = [
        ("Session expected", str(sessions[-1].date())),
        ("Bars", f"{audited.kept:,}"),
        ("Symbols", f"{len(aggregates.symbols):,}"),
        ("In quarantine", f"{len(audited.quarantine):,}"),
        ("Gate", "passed" if report.passed else "halted"),
    ]
    notes = [f"{check.name}: {check.detail}{'' if check.passed else f'; {check.remedy}'}" for check in report.checks]
    made_of = _made_of(strategy.name, aggregates, strategy.gate, facts, notes)
    recorded = _on_record(strategy.name, made_of)
    if recorded is not None:
        return recorded
    results = validate_overview(aggregates, strategy.gate)
    try:
        page = data_docs_page(f"{strategy.name}: the data set", facts, results, aggregates, notes)
        with replace_file(data_docs_file(strategy.name)) as staged:
            staged.write_text(page, encoding="utf-8")
        _put_on_record(strategy.name, made_of, results)
    except Exception as error:  # noqa: BLE001  whatever is wrong with a page, what it shows was judged
        _log.warning("data docs of %s not written (%r): run nn-assets check again for them", strategy.name, error)
    return results


def overview_of_audited(history: History, audited: Audited, actions: ActionVersions | None) -> Overview:
    """Aggregates of the audited bars: of a long history of those of the last year, and what the others come to."""
    sessions, grown = history.axis, audited.carried
    symbols = history.strategy.market.symbols or tuple(sorted(audited.kept_by_symbol))
    expected = days_asked(sessions, symbols, history.bars_expected(sessions, symbols), delisted(history))
    if grown is None:
        return overview(audited.cleaned, symbols, sessions, actions, expected)
    kept = Kept.of_running(grown.newest, audited.quarantine, symbols, sessions, expected)
    recent = grown.bars_from(recent_from(sessions), ["symbol", "session", "open", "high", "low", "close", "volume"])
    recent = in_first_shares(recent, actions, grown.newest["first_kept"].dropna())
    return overview_of(kept, recent, audited.quarantine, symbols, sessions, expected)


def _made_of(name: str, aggregates: Overview, limits: GateSettings, facts: Facts, notes: list[str]) -> str:
    """Hash of all that the page and the results follow from: aggregates, limits, texts, code and library."""
    frames = [frame_hash(frame) for frame in (aggregates.symbols, aggregates.sessions, aggregates.returns)]
    parts = [name, *frames, aggregates.shift_noise, limits.model_dump(mode="json"), facts, notes]
    beside = libraries("great_expectations", "jinja2", "pandas"), sorted(SUITES.items())
    code = version_of(*_REVIEWED_BY), *beside
    return hash_of([*parts, *code])


def _on_record(name: str, made_of: str) -> tuple[SuiteResult, ...] | None:
    """The results on record, if they and the page were made of the very same and the page was not touched since."""
    try:
        record = read_record(_record_file(name))
        if record is None or record["made_of"] != made_of or record["page"] != file_sha256(data_docs_file(name)):
            return None
        same = f"the same data set was judged before, on {record['at'][:10]}"
        return tuple(_result(stored, same) for stored in record["results"])
    except (KeyError, TypeError, OSError, PublicationError):
        return None  # a home without a record, or a damaged one: judged again


def _result(stored: dict[str, Any], same: str) -> SuiteResult:
    return SuiteResult(
        **{**stored, "detail": f"{stored['detail']}; {same}", "violations": tuple(stored["violations"]), "sections": ()}
    )


def _put_on_record(name: str, made_of: str, results: tuple[SuiteResult, ...]) -> None:
    records = [{**asdict(result), "violations": list(result.violations), "sections": []} for result in results]
    page, moment = file_sha256(data_docs_file(name)), now_utc().isoformat()
    write_record(_record_file(name), {"made_of": made_of, "page": page, "at": moment, "results": records})
