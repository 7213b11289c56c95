"""The ledger as an operator asks it: the commands query and audit verify."""

from __future__ import annotations

from itertools import product
from typing import Any

import pandas as pd

from nn_assets.errors import LedgerError
from nn_assets.store.ledger.audit import verify, verify_since_last
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.query_files import query_parameters

__all__ = ["run_query", "verify_audit"]

_REPEATED = frozenset({"symbol", "session"})


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
    """Run a query of ``sql/queries`` on the ledger, once for each of several symbols or sessions.

    Raises
    ------
    LedgerError
        There is no such query, or a value is missing, one too many or given twice; names those it needs.
    """
    given: dict[str, list[str]] = {}
    for parameter, _, value in (each.partition("=") for each in values):
        given.setdefault(parameter, []).append(value)
    if "strategy" in query_parameters(name):
        given.setdefault("strategy", [strategy])
    several = [parameter for parameter, told in given.items() if len(told) > 1]
    if not _REPEATED.issuperset(several):
        raise LedgerError(
            expected=f"several values of {' and '.join(sorted(_REPEATED))} alone",
            found=f"several of {', '.join(several)}",
            remedy="give the query again for each",
            query=name,
        )
    with Ledger() as ledger:
        asked = [dict(zip(given, chosen, strict=True)) for chosen in product(*given.values())]
        answers = [_beside(ledger.query(name, **each), {told: each[told] for told in several}) for each in asked]
    found = pd.concat(answers, ignore_index=True)
    return {
        "query": name,
        "rows": found.to_dict("records"),
        "text": found.to_string(index=False) if len(found) else "nothing",
    }


def _beside(found: pd.DataFrame, told: dict[str, str]) -> pd.DataFrame:
    """What was found, with what was asked for in columns before it, where these do not say it already."""
    for place, (parameter, value) in enumerate(told.items()):
        if parameter not in found.columns:
            found.insert(place, parameter, value)
    return found
