"""The ledger as an operator asks it: the commands query and audit verify."""

from __future__ import annotations

from typing import Any

from nn_assets.store.ledger.audit import verify, verify_since_last
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.query_files import query_parameters

__all__ = ["run_query", "verify_audit"]


def verify_audit(head: str | None = None, *, since_last: bool = False) -> dict[str, Any]:
    """Recompute the chain over every row; not ok when anything differs.

    Parameters
    ----------
    head : str, optional
        A head noted earlier (``sequence:hash``), which the chain must still contain: a tail that was cut
        together with its entries shows in nothing else.
    since_last : bool
        Only what was added since the last verification on record, as every run does, and put on record.
    """
    with Ledger() as ledger:
        found = (
            verify_since_last(ledger, run_id="audit verify", expected_head=head)
            if since_last
            else verify(ledger, expected_head=head)
        )
        newest = str(found.head)
    text = (
        f"{found.entries} entries verify; head {newest}\n"
        f"keep it elsewhere: nn-assets audit verify --head {newest} then notices a cut tail"
        if found.ok
        else f"the ledger was changed: {found.first_broken}"
    )
    return {
        "ok": found.ok,
        "entries": found.entries,
        "head": newest,
        "findings": [str(each) for each in found.findings],
        "text": text,
    }


def run_query(name: str, strategy: str, values: list[str]) -> dict[str, Any]:
    """Run a query of ``sql/queries`` on the ledger.

    Raises
    ------
    LedgerError
        There is no such query, or a value is missing or one too many; names those it needs.
    """
    given = dict(each.partition("=")[::2] for each in values)
    needed = query_parameters(name)
    if "strategy" in needed:
        given.setdefault("strategy", strategy)
    with Ledger() as ledger:
        found = ledger.query(name, **given)
    return {
        "query": name,
        "rows": found.to_dict("records"),
        "text": found.to_string(index=False) if len(found) else "nothing",
    }
