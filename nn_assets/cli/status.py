"""What each strategy last did, what holds, and what an operator should look at."""

from __future__ import annotations

import logging
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from nn_assets.arrays import Moment
from nn_assets.cli.left_books import left_book, names_left
from nn_assets.cli.missing import missing_of
from nn_assets.cli.named import named_error
from nn_assets.errors import AuditError, InstallationError, NnAssetsError
from nn_assets.operations.asof.choices import search_text
from nn_assets.operations.asof.controls import kill_switch_now
from nn_assets.operations.asof.decisions import decided_sessions, undecided_sessions
from nn_assets.operations.asof.halts import last_halt
from nn_assets.operations.asof.intraday_quarantine import rows_in_quarantine
from nn_assets.operations.asof.known_details import DETAILS_QUARANTINE, details_left_out, quarantine_text
from nn_assets.operations.asof.studies import latest_study
from nn_assets.operations.asof.trading_halts import halts_in_words
from nn_assets.operations.catalog import LeftOut, StrategyFile, find_strategy, left_out_as, read_strategies
from nn_assets.operations.clock import now_utc, seen_until
from nn_assets.operations.facts import StoredFacts
from nn_assets.operations.failures import one_line
from nn_assets.operations.next_command import faults_of_stages, study_of_others_text
from nn_assets.operations.outcomes import LEDGER_INTACT, STARTED, FailedCheck, last_heartbeat, last_runs, last_ticks
from nn_assets.operations.run_faults import open_failed_checks, silence_of_daemon
from nn_assets.operations.situation import headline_now
from nn_assets.operations.stores import Stores, open_stores
from nn_assets.oversight.headline import LONGEST, NEEDS_A_PERSON, Headline, TradingWord, halted
from nn_assets.store.home import address_to_read, data_docs_file
from nn_assets.store.lake.publication import Publication
from nn_assets.store.lake.roots import store_in_force
from nn_assets.store.ledger.audit import broken_on_record
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.reread import BROKEN_REMEDY
from nn_assets.store.ledger.run_locks import is_attended, was_killed

_log = logging.getLogger(__name__)

_VERIFY = "audit verify"
_OF_THE_LEDGER = tuple(f"check {name} failed" for name in (LEDGER_INTACT, _VERIFY))
_NAMES = {"trading_state": "drift says"}  # one control of several: by itself it lets nothing trade
_READ_ONLY = "read-only: this user cannot write to the ledger; it is told as it stands, and whatever writes is refused"
_UNUSED = "DOES NOT TRADE: it comes with the package and was never used in this home. No action needed."
_LEFT_BY_USE = ("published_to", "gate", "study_to", "models", "decided_to", "runs", "ticks", "failed_checks", "missing")
_LOST = "its process is gone; the next run, check, study or tick of the daemon closes it"


def report(name: str | None) -> dict[str, Any]:
    """The state of one strategy, or of all, what each names that is not there, and books whose strategy is gone.

    Where lake and models are out of reach, or are not those that the home uses, every strategy is HALTED for that.

    It is not ok where a strategy is HALTED, for as long as a check of severity ERROR that failed in a last run stands,
    or where a strategy's state cannot be read: the line of that one says why, and those of the others are what they
    are.

    Raises
    ------
    SettingsError
        The file of the one strategy asked for cannot be read, or none names it.
    """
    try:
        return _report(name)
    except InstallationError as fault:
        return _without_store(name, fault)


def _report(name: str | None) -> dict[str, Any]:
    readable, left_out = read_strategies()
    names = {file.strategy.name for file in readable}
    if name not in names and name is not None and (refused := left_out_as(name, left_out)) is not None:
        raise refused.fault
    chosen = [file for file in readable if name in (None, file.strategy.name)]
    with address_to_read() as ledger, open_stores(ledger=ledger) as stores:
        chosen_states = {file.strategy.name: _strategy_state(stores, file) for file in chosen}
        states = _of_left_out(stores.ledger, left_out, names) if name is None else {}
        states |= chosen_states | _of_left_books(stores.ledger, {*states, *names}, name)
        read_only = stores.ledger.read_only
    if name and not states:
        find_strategy(name)
    asked_by_none = chosen if name is None else []
    unused = [file.strategy.name for file in asked_by_none if _is_unused(file, states[file.strategy.name])]
    states |= {strategy: {**states[strategy], "headline": f"{strategy} {_UNUSED}"} for strategy in unused}
    states = dict(sorted(states.items(), key=lambda item: _in_list(item[0], item[1], unused)))
    lines = [line for strategy, state in states.items() if strategy not in unused for line in (*_lines(state), "")]
    lines += [_unused_strategies_text(unused), ""] if unused else []
    lines += [_READ_ONLY] * read_only
    store = store_in_force()
    lines += [f"lake and models: {store}, as NN_ASSETS_STORE says"] if store else []
    ok = not any(state.get("failed_checks") or "error" in state for state in states.values())
    ok &= not any(state["headline"].startswith(f"{name} {TradingWord.HALTED}: ") for name, state in states.items())
    return {"ok": ok, "read_only": read_only, "store": store, "strategies": states, "text": "\n".join(lines).rstrip()}


def _without_store(name: str | None, fault: InstallationError) -> dict[str, Any]:
    """The answer where no strategy can be read for want of the lake; those that come with the package only if used."""
    readable, left_out = read_strategies()
    with address_to_read() as address, Ledger(address) as ledger:
        used = {*ledger.strategies("outcomes"), *ledger.strategies("decisions"), name}
        chosen = [file.strategy.name for file in readable if name in (None, file.strategy.name)]
        bundled = {file.strategy.name for file in readable if file.is_bundled}
        states = {} if name is not None else _of_left_out(ledger, left_out, {file.strategy.name for file in readable})
        read_only = ledger.read_only
    states |= {strategy: _untold(strategy, fault) for strategy in chosen if strategy in used or strategy not in bundled}
    if not states:
        raise fault
    text = "\n".join(line for state in states.values() for line in (*_lines(state), "")).rstrip()
    answer = {"ok": False, "error": fault.kind, "message": str(fault), "read_only": read_only}
    return {**answer, "store": store_in_force(), "strategies": states, "text": text}


def _in_list(strategy: str, state: Mapping[str, Any], unused: Container[str]) -> tuple[bool, bool, int, str]:
    """Where a strategy stands in the list: what needs a person first, the strictest word of it; unused ones last."""
    said = Headline.of(strategy, state["headline"])
    trades = said.word in (TradingWord.TRADES, TradingWord.REDUCED)
    order = -said.word if NEEDS_A_PERSON in said.sentence else not trades
    return strategy in unused, NEEDS_A_PERSON not in said.sentence, order, strategy


def _is_unused(file: StrategyFile, state: dict[str, Any]) -> bool:
    """Whether it comes with the package, and this home holds nothing of it."""
    return file.is_bundled and state.get("kill_switch") == "ACTIVE" and not any(state.get(key) for key in _LEFT_BY_USE)


def _unused_strategies_text(names: Sequence[str]) -> str:
    """One line for all the bundled strategies that were never used."""
    come, them = ("come", "them") if len(names) > 1 else ("comes", "it")
    return f"{', '.join(names)}: {come} with the package, never used in this home; nn-assets demo runs {them}"


def _strategy_state(stores: Stores, file: StrategyFile) -> dict[str, Any]:
    """The state of one strategy; where it cannot be read, why: the lines of the others are there all the same."""
    try:
        return _verified(stores, file)
    except Exception as error:  # noqa: BLE001  whatever is wrong with one, the others are shown
        named = named_error(error)
        if named is not None:
            return _untold(file.strategy.name, named)
        _log.exception("how %s stands cannot be told", file.strategy.name)
        why = f"{type(error).__name__}: {error}"
        remedy = "report it with what standard error says: it is a fault of this program"
        headline = str(halted(file.strategy.name, f"how it stands cannot be told: {why}", remedy))
        return {"headline": headline, "error": type(error).__name__, "message": why}


def _verified(stores: Stores, file: StrategyFile) -> dict[str, Any]:
    """The state of one strategy; HALTED where a row that it is read from is not as it was appended."""
    try:
        with stores.ledger.rows_verified(), stores.ledger.answers_kept():
            return _of(StoredFacts.of(stores, file.strategy), file.folder)
    except AuditError as error:
        changed = error
    with stores.ledger.answers_kept():
        state = _of(StoredFacts.of(stores, file.strategy), file.folder)
    if not any(check.startswith(_OF_THE_LEDGER) for check in state["failed_checks"]):  # not told yet
        finding = _with_location(changed)
        why = one_line(f"the ledger is not as it was appended: {finding}")
        state["headline"] = str(halted(file.strategy.name, why, BROKEN_REMEDY))
        state["failed_checks"] = [*state["failed_checks"], str(FailedCheck(LEDGER_INTACT, finding, BROKEN_REMEDY))]
    return state


def _untold(name: str, fault: NnAssetsError) -> dict[str, Any]:
    """The state of a strategy that could not be read, with its error."""
    why = one_line(f"{_with_location(fault)}; expected {fault.expected}")
    return {
        "headline": str(halted(name, why, one_line(fault.remedy))),
        "error": fault.kind,
        "message": one_line(str(fault)),
    }


def _with_location(fault: NnAssetsError) -> str:
    """What was found, and where."""
    where = ", ".join(f"{key} {value}" for key, value in fault.where.items() if key != "strategy")
    return f"{fault.found} ({where})" if where else fault.found


def _of_left_out(ledger: Ledger, left_out: Mapping[str, LeftOut], names: set[str]) -> dict[str, dict[str, Any]]:
    """The state of each strategy whose file cannot be read: by its name, and by its file's where that one decided."""
    decided = set(ledger.strategies("decisions") if left_out else ()).difference(left_out, names)
    by_file = {file.stem: entry for entry in left_out.values() for file in entry.files if file.stem in decided}
    return {name: _untold(name, entry.fault) for name, entry in {**left_out, **by_file}.items()}


def _of_left_books(ledger: Ledger, named: Container[str], only: str | None) -> dict[str, dict[str, Any]]:
    """The state of each book that holds or ordered something and whose strategy no file names, by its name."""
    books = {}
    for name in names_left(ledger, named, only):
        try:
            with ledger.rows_verified():
                book = left_book(ledger, name)
        except NnAssetsError as fault:
            book = _untold(name, fault)
        if book is not None:
            books[name] = book
    return books


def _of(facts: StoredFacts, folder: Path) -> dict[str, Any]:
    strategy, ledger = facts.strategy, facts.stores.ledger
    publication = facts.stores.publications.current(strategy.name)
    decided = decided_sessions(ledger, strategy.name)
    study = latest_study(ledger, strategy)
    states = ledger.latest("portfolio_states", strategy.name)
    breaker = None if states.empty else states["breaker"].iloc[-1]
    trading = ledger.latest("trading_states", strategy.name)
    models = ledger.read("models", strategy.name)
    runs = last_runs(ledger, strategy.name)
    failed = list(chain.from_iterable(open_failed_checks(ledger, strategy.name, runs).values()))
    missing = missing_of(strategy, folder)
    return {
        "headline": str(_with_missing(headline_now(facts), missing)),
        "last_session": str(facts.last_session.date()),
        "published_to": None if publication is None else str(publication.last_session.date()),
        "gate": _gate(ledger, strategy.name, publication),
        "quarantined": None if publication is None else rows_in_quarantine(facts.stores, strategy, publication),
        **_left_out_details(facts.stores, strategy.name, publication),
        "notices": None if publication is None else len(publication.details.get("notices", ())),
        **({} if strategy.halts is None else {"halted": _halted_symbols(facts)}),
        "data_docs": str(docs) if (docs := data_docs_file(strategy.name)).is_file() else None,
        "study_to": None if study is None else str(study["month"]),
        "verdict": None if study is None else str(study["verdict"]),
        "study_of_other_settings": None if study is not None else study_of_others_text(facts),
        "released_alarms": None if study is None else study["figures"].get("released_alarms") or None,
        "models": int(models["model_id"].nunique()) if len(models) else 0,
        **({} if (searched := search_text(ledger, strategy)) is None else {"search": searched}),
        "decided_to": str(decided[-1].date()) if decided else None,
        "undecided_sessions": len(undecided_sessions(ledger, strategy, facts.live_sessions)),
        "equity_usd": None if states.empty else float(states["equity_usd"].iloc[-1]),
        "breaker": breaker if isinstance(breaker, str) else None,
        "trading_state": None if trading.empty else str(trading["state"].iloc[-1]),
        "kill_switch": kill_switch_now(ledger, strategy.name),
        "runs": [_line_of(name, run) for name, run in runs.items()],
        "failed_checks": [*_of_the_ledger(facts, failed), *map(str, failed)],
        "ticks": _ticks(ledger, strategy.name),
        "daemon": _daemon(ledger),
        "faults": [f"{fault.found}; expected {fault.expected}" for fault in faults_of_stages(facts)],
        "missing": missing,
    }


def _halted_symbols(facts: StoredFacts) -> list[str]:
    """The instruments halted on the last session, as known now."""
    moment = seen_until(facts.strategy.market, facts.last_session, now_utc())
    return halts_in_words(facts.halt_versions, facts.last_session, moment)


def _left_out_details(stores: Stores, name: str, publication: Publication | None) -> dict[str, int]:
    """How many details were left out of bars that are used; nothing where none was."""
    if publication is None or not stores.lake.segments(name, DETAILS_QUARANTINE):
        return {}
    details = len(details_left_out(stores, name, stores.publications.quarantine(publication)))
    return {"details_left_out": details} if details else {}


def _with_missing(headline: Headline, missing: Sequence[str]) -> Headline:
    """A headline; where the first thing to do is to take data in, files that are not there come before that."""
    files = [line for line in missing if ": nothing at " in line]
    head, person, remedy = headline.sentence.partition(": nn-assets check --strategy ")
    if not files or not person:
        return headline
    sentence = f"{head}: correct {'; '.join(files)}; then{person[1:]}{remedy}"
    if len(sentence) <= LONGEST:
        return replace(headline, sentence=sentence)
    causes = head.partition(": ")[2].removesuffix(". A person is needed")
    below = headline.below or (f"why    {causes}", f"to do  {f'{person}{remedy}'.strip(': .')}")
    corrections = tuple(f"to do  correct {line}" for line in files)
    whys = tuple(line for line in below if line.startswith("why"))
    sentence = f"{head}: put what is named below in place; then{person[1:]}{remedy}"
    return replace(headline, sentence=sentence, below=(*whys, *corrections, *below[len(whys) :]))


def _of_the_ledger(facts: StoredFacts, failed: Sequence[FailedCheck]) -> list[str]:
    """What ``audit verify`` found changed in the ledger, or this command did, where no check of a run reports it."""
    if (broken := broken_on_record(facts.stores.ledger)) is not None:
        return [str(FailedCheck(_VERIFY, broken, BROKEN_REMEDY))]
    if facts.changed_record is None or any(check.name == LEDGER_INTACT for check in failed):
        return []
    return [str(FailedCheck(LEDGER_INTACT, facts.changed_record, BROKEN_REMEDY))]


def _gate(ledger: Ledger, strategy: str, publication: Publication | None) -> str | None:
    """What the gate did last; None where it never judged."""
    halt = last_halt(ledger, strategy)
    if halt is not None:
        return f"HALTED {_minute(halt[0])}: {one_line(halt[1])}"
    if publication is None:
        return None
    return f"passed {_minute(ledger.mended().of_one(publication.published_at))}"


def _line_of(name: str, run: dict[str, Any]) -> str:
    """How a run ended."""
    first, last = run["first_partition"], run["last_partition"]
    span = "" if first is None else f" {first}" if first == last else f" {first} to {last}"
    return f"{name}{span}: {_ending(run)}"


def _ending(run: dict[str, Any]) -> str:
    if run["outcome"] == STARTED:
        run_id = str(run["outcome_id"])
        lives = not was_killed(run_id) and is_attended(run_id)
        return f"started {_minute(run['began_at'])}, " + ("it runs" if lives else _LOST)
    step = "" if run["failed_step"] is None else f" at {run['failed_step']}"
    why = "" if run["message"] is None else f": {one_line(run['message'])}"
    return f"{run['outcome']} {_minute(run['ended_at'])}{step}{why}"


def _ticks(ledger: Ledger, strategy: str) -> list[str]:
    """What each schedule and sensor last came to, a line each; nothing of one that never ticked."""
    lines = []
    for name, tick in last_ticks(ledger, strategy).items():
        why = "" if tick["message"] is None else f": {one_line(tick['message'])}"
        lines.append(f"{name}: {tick['outcome']} {_minute(tick['ended_at'])}{why}")
    return lines


def _daemon(ledger: Ledger) -> str:
    """Whether Dagster's daemon evaluates schedules and sensors, by the age of what it last recorded."""
    beat = last_heartbeat(ledger)
    silent = silence_of_daemon(beat)
    if silent is not None:
        return silent.why
    assert beat is not None, "else it is silent"
    return f"last heard from {_minute(beat)}"


def _minute(moment: Moment) -> str:
    return f"{pd.Timestamp(moment):%Y-%m-%d %H:%M} UTC"


def _lines(state: dict[str, Any]) -> list[str]:
    """The headline, then a line for each thing."""
    shown = {key: value for key, value in state.items() if key != "headline"}
    if shown.get("verdict") is not None:  # another than the headline's, where a later study counts anew
        shown["verdict"] = f"{shown['verdict']}, of {shown['study_to']}"
    if details := shown.pop("details_left_out", 0):
        shown["quarantined"] = quarantine_text(shown["quarantined"], details)
    labelled = {_NAMES.get(key, key.replace("_", " ")): value for key, value in shown.items()}
    width = max(map(len, labelled))
    return [
        *str(state["headline"]).splitlines(),
        *(
            f"  {name:<{width}}  {_shown(item)}"
            for name, value in labelled.items()
            for item in ((value or [None]) if isinstance(value, list) else [value])
        ),
    ]


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if isinstance(value, float) else str(value)
