"""The data dictionary: every contract as a page in Markdown, ``docs/tables.md``. ``make docs`` writes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from nn_assets.contracts.contract import Column, Contract
from nn_assets.contracts.ledger import AUDIT_CHAIN, BOOKKEEPING, FILLS, LEDGER, STRATEGY
from nn_assets.contracts.statements import EXAMPLE, MAY_HAVE, MUST_HAVE, RULES
from nn_assets.contracts.tables import CROSSING, LAKE

_OPENING = """# Tables

Written by `make docs` from `nn_assets/contracts`; nobody edits it. A *day* is a session without a zone, a *moment* is
UTC, a *number* float64 and a *whole* int64. *Missing* says whether a value may be: NaN, NaT, an empty cell or NULL.
"""
_OF_THE_LEDGER = """## In the ledger

Rows are only ever appended. A row's primary key is `sequence`, its place in the ledger; its strategy, its key below and
its version are unique together. Where a row has changed, exports and `read` give the newest version. Every table begins
and ends with these columns:
"""


def dictionary(brought: Iterable[Contract] = ()) -> str:
    """The page: tables of the lake, of the ledger, frames that are handed over and not stored; then those brought.

    Parameters
    ----------
    brought : iterable of Contract
        Of tables that plug-ins store.
    """
    of_all = "".join(_lines(STRATEGY | BOOKKEEPING))
    parts = ["## In the lake\n", *map(_table, LAKE), _OF_THE_LEDGER, of_all, *map(_table, (*LEDGER, AUDIT_CHAIN))]
    of_plugins = [_table(contract) for contract in brought]
    parts += [_of_statements()]
    parts += ["## Handed over\n", *map(_table, CROSSING), *["## Of plug-ins\n"] * bool(of_plugins), *of_plugins]
    return "\n".join([_OPENING, *parts])


def _table(contract: Contract) -> str:
    shared = ", which rows may share" if contract.repeats else ""
    if contract.told_apart_by:
        shared = f"; of a version {', '.join(contract.told_apart_by.split())} too"
    sentences = [f"### {contract.name}\n\n{contract.says} Made in `{contract.room}`."]
    sentences += [f"Key: {', '.join(contract.key)}{shared}."] * bool(contract.key)
    sentences += [f"`nn-assets export {contract.exported}`."] * bool(contract.exported)
    more = f"\nThen {contract.more}.\n" if contract.more else ""
    return f"{' '.join(sentences)}\n\n{''.join(_lines(contract.stored))}{more}"


def _of_statements() -> str:
    """What ``nn-assets import-fills`` reads."""
    columns = {name: FILLS.columns[name] for name in (*MUST_HAVE, *MAY_HAVE)}
    example = "".join(f"    {line}\n" for line in EXAMPLE.splitlines())
    head = "## Read from a broker's file\n\n`nn-assets import-fills FILE --strategy NAME`, into [fills](#fills)."
    return f"{head} {RULES}\n\n{''.join(_lines(columns))}\n{example}"


def _lines(columns: Mapping[str, Column]) -> Iterator[str]:
    yield "| column | type | unit | missing | |\n|---|---|---|---|---|\n"
    for name, column in columns.items():
        allowed = [
            ", ".join(check.arguments[0]) for check in column.checks if check.name == "isin" and column.kind == "text"
        ]
        missing = "yes" if column.nullable or column.lax or column.since else ""
        yield f"| {name} | {column.kind} | {column.unit} | {missing} | {': '.join([column.says, *allowed])} |\n"


if __name__ == "__main__":
    print(dictionary(), end="")  # noqa: T201
