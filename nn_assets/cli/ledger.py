"""The ledger as an operator asks it: the commands query and audit verify."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from numbers import Number
from pathlib import Path
from typing import Any

import pandas as pd

from nn_assets.errors import LedgerError, first_of
from nn_assets.operations.alerts import append_alert
from nn_assets.operations.asof.traces import WHY, lost_traces, why_this_size
from nn_assets.operations.catalog import require_named
from nn_assets.store.home import absent_ledger, address_to_read, anchor_file
from nn_assets.store.lake.lake import Lake
from nn_assets.store.ledger.anchor import read_anchors
from nn_assets.store.ledger.audit import record_verification, verify, verify_since_last
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.query_files import query_parameters
from nn_assets.store.ledger.reread import BROKEN_REMEDY

_REPEATED = frozenset({"symbol", "session"})
_DAYS = frozenset({"session", "first", "last"})
_NOTHING = {
    "restated": "nothing: no signal, target, order or fill was put on record a second time; bars restated by a source "
    "are in nn-assets export bars, and with --as-of in their older version"
}


_BY = "audit verify"


def verify_audit(head: str | None = None, *, since_last: bool = False) -> dict[str, Any]:
    """Recompute the chain over every row; not ok when anything differs, or a file that it names.

    Parameters
    ----------
    head : str, optional
        A head noted earlier (``sequence:hash``), which the chain must still contain: a tail that was cut
        together with its entries shows in nothing else.
    since_last : bool
        Only what was added since the last verification on record, as every run does, and put on record.
    """
    if (file := absent_ledger()) is not None:
        return _without_ledger(file, head)
    with Ledger() as ledger:
        verification = (
            verify_since_last(ledger, run_id=_BY, expected_head=head)
            if since_last
            else verify(ledger, expected_head=head)
        )
        newest = str(verification.head)
        lost = lost_traces(Lake(), ledger, verification.since.sequence or None) if verification.ok else []
        untold = [] if since_last else _unrecorded(lambda: record_verification(ledger, verification, run_id=_BY))
    if verification.ok and not lost:
        text = (
            f"{verification.entries} entries verify; head {newest}\n"
            f"keep it elsewhere: nn-assets audit verify --head {newest} then notices a cut tail"
        )
        text = "\n".join([text, *_of_anchor()])
    elif verification.ok:
        text = f"the ledger is as it was appended, and {len(lost)} files that it names are not: {lost[0]}"
    else:
        text = f"the ledger was changed: {verification.first_broken}"
        why = append_alert(f"audit:{text}", text.strip, cause=text, remedy=BROKEN_REMEDY)
        untold += [] if why is None else [f"not in the alerts: {why}"]
    return {
        "ok": verification.ok and not lost,
        "entries": verification.entries,
        "head": newest,
        "findings": [*map(str, verification.findings), *lost],
        "untold": untold,
        "text": "\n".join([text, *untold]),
    }


def _of_anchor() -> list[str]:
    """How many heads anchored outside the chain holds, or why none could be looked at; nothing where none are asked."""
    anchors = read_anchors()
    if anchors is None:
        return []
    if anchors.fault is not None:
        return [f"{anchors.fault.found}; {anchors.fault.remedy}"]
    unread = f"; {anchors.unreadable} lines cannot be read" if anchors.unreadable else ""
    newest = f", the newest of {anchors.lines[-1].at}" if anchors.lines else ""
    return [f"it holds all {len(anchors.lines)} heads anchored in {anchor_file()}{newest}{unread}"]


def _without_ledger(file: Path, head: str | None) -> dict[str, Any]:
    """What there is to verify before a ledger was made: nothing, unless a head was noted of one."""
    anchors = read_anchors()
    if head is None and anchors is not None and anchors.lines:
        head = f"{anchors.lines[-1].head}, anchored in {anchor_file()}"
    if head is not None:
        raise LedgerError(
            expected=f"a ledger that holds {head}",
            found="none",
            remedy="restore it from a backup, or name where it is in NN_ASSETS_DATABASE_URL",
            file=str(file),
        )
    return {"ok": True, "entries": 0, "head": None, "findings": [], "untold": [], "text": nothing_yet(file)}


def nothing_yet(file: Path) -> str:
    """What there is to say of a home whose ledger, at ``file``, was not made yet."""
    return f"nothing was decided yet: there is no ledger {file}"


def _unrecorded(record: Callable[[], object]) -> list[str]:
    """Record a finding; where that fails, as on a full or read-only disk, the finding is shown all the same."""
    try:
        record()
    except (LedgerError, OSError) as error:
        return [f"not in the ledger: {error}"]
    return []


def run_query(name: str, strategy: str, values: list[str]) -> dict[str, Any]:
    """Run a query of ``sql/queries`` on the ledger, once for each of several symbols or sessions.

    Raises
    ------
    LedgerError
        There is no such query, or a value is missing, one too many or given twice; names those it needs.
    SettingsError
        The strategy has neither a file nor a record.
    """
    arguments: dict[str, list[str]] = {}
    for parameter, _, value in (assignment.partition("=") for assignment in values):
        arguments.setdefault(parameter, []).append(value)
    if "strategy" in query_parameters(name):
        arguments.setdefault("strategy", [strategy])
    several = [parameter for parameter, choices in arguments.items() if len(choices) > 1]
    if not _REPEATED.issuperset(several):
        raise LedgerError(
            expected=f"several values of {' and '.join(sorted(_REPEATED))} alone",
            found=f"several of {', '.join(several)}",
            remedy="give the query again for each",
            query=name,
        )
    for parameter in _DAYS & arguments.keys():
        for value in arguments[parameter]:
            if pd.isna(pd.to_datetime(value, format="%Y-%m-%d", errors="coerce")):
                raise LedgerError(
                    expected=f"a day as YYYY-MM-DD for {parameter}",
                    found=repr(value),
                    remedy="write the day year first, such as 2015-06-01 for 1 June 2015",
                    query=name,
                )
    absent = absent_ledger()
    with address_to_read() as address, Ledger(address) as ledger:
        for strategy_name in arguments.get("strategy", []):
            require_named(strategy_name)
        if missing := [parameter for parameter in query_parameters(name) if parameter not in arguments]:
            raise LedgerError(
                expected=f"values for {', '.join(query_parameters(name))}",
                found=f"none for {', '.join(missing)}",
                remedy=f"name them, such as {_example(ledger, name, strategy)}",
                query=name,
            )
        combinations = [dict(zip(arguments, chosen, strict=True)) for chosen in product(*arguments.values())]
        answers = [
            _beside(_answer(ledger, name, combination), {parameter: combination[parameter] for parameter in several})
            for combination in combinations
        ]
        unknown = dict.fromkeys(
            note
            for combination, answer in zip(combinations, answers, strict=True)
            if answer.empty and (note := _not_on_record(ledger, combination))
        )
    rows = pd.concat(answers, ignore_index=True)
    nothing = _NOTHING.get(name, "nothing") if absent is None else nothing_yet(absent)
    note = None if len(rows) or unknown else nothing
    paragraphs = [lined_up(rows)] if len(rows) else [note] if note else []
    return {
        "ok": not unknown,
        "query": name,
        "rows": rows.to_dict("records"),
        "not_on_record": list(unknown),
        "note": note,
        "text": "\n".join([*paragraphs, *unknown]),
    }


def _answer(ledger: Ledger, name: str, arguments: Mapping[str, str]) -> pd.DataFrame:
    """What a query finds, in files that the ledger seals too."""
    answer = ledger.query(name, **arguments)
    return why_this_size(Lake(), ledger, **arguments) if name == WHY and answer.empty else answer


def _not_on_record(ledger: Ledger, arguments: Mapping[str, str]) -> str | None:
    """Which session or symbol of a question was never decided; None where there is no such."""
    if "session" not in arguments:
        return None
    strategy, session = arguments["strategy"], arguments["session"]
    decided = ledger.read("decisions", strategy, columns=("session",))["session"]
    if not (decided == pd.Timestamp(session)).any():
        available = "none" if decided.empty else f"those from {decided.min().date()} to {decided.max().date()}"
        return f"no decision of {strategy} on {session}; there are {available}"
    symbols = sorted(ledger.read("target_positions", strategy, session, session)["symbol"])
    if "symbol" not in arguments or arguments["symbol"] in symbols:
        return None
    available = ", ".join(first_of(symbols))
    return f"no symbol {arguments['symbol']} was decided on {session}; there were {available}"


def _example(ledger: Ledger, name: str, strategy: str) -> str:
    """A call of a query that finds something where anything is on record."""
    rows = ledger.latest("target_positions", strategy)
    session = "2018-01-31" if rows.empty else str(rows["session"].iloc[-1].date())
    symbol = "SYMBOL" if rows.empty else str(rows["symbol"].iloc[-1])
    usual = {"symbol": symbol}
    values = [
        f"--value {parameter}={usual.get(parameter, session)}"
        for parameter in query_parameters(name)
        if parameter != "strategy"
    ]
    return " ".join([f"nn-assets query {name} --strategy {strategy}", *values])


def lined_up(frame: pd.DataFrame) -> str:
    """A table as text: numbers to the right, everything else to the left, and no blank at the end of a line."""
    columns = []
    for name in frame.columns:
        if all(pd.isna(cell) or isinstance(cell, Number) for cell in frame[name]):
            cells = [line.strip() for line in frame[[name]].infer_objects().to_string(index=False).splitlines()]
            columns.append([cell.rjust(max(map(len, cells))) for cell in cells])
        else:
            cells = [str(name), *("" if pd.isna(cell) else " ".join(str(cell).split()) for cell in frame[name])]
            columns.append([cell.ljust(max(map(len, cells))) for cell in cells])
    return "\n".join(" ".join(line).rstrip() for line in zip(*columns, strict=True))


def _beside(rows: pd.DataFrame, parameters: dict[str, str]) -> pd.DataFrame:
    """What was found, with what was asked for in columns before it, where these do not say it already."""
    for index, (parameter, value) in enumerate(parameters.items()):
        if parameter not in rows.columns:
            rows.insert(index, parameter, value)
    return rows
