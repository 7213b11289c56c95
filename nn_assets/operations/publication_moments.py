"""When publications of earlier versions were made: their records hold no hash of the moment, so the ledger keeps it.

It is put on record at the next publication, once, in the chain; from then on a changed moment is noticed. What was
changed before is not: nothing of that time says otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from nn_assets.errors import PublicationError
from nn_assets.store.lake.publication import Publication
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.values import as_moment, canonical_json

__all__ = ["keep_moments", "require_moments"]

_TABLE, _KIND = "verifications", "published_at"


def keep_moments(ledger: Ledger, strategy: str, publications: Sequence[Publication], run_id: str) -> None:
    """Put the moments of publications without a hash of them on record, those that are not there yet.

    Raises
    ------
    PublicationError
        One that is there says another moment.
    """
    stated = {each.publication_id: _told(each) for each in publications if not each.hashed}
    if not stated:
        return
    require_moments(ledger, strategy, publications)
    kept = _kept(ledger, strategy)
    new = {name: moment for name, moment in stated.items() if name not in kept}
    if not new:
        return
    text = canonical_json([strategy, new])
    row = {
        "verification_id": f"{_KIND}-{hashlib.sha256(text.encode()).hexdigest()[:16]}",
        "kind": _KIND,
        "details": {"moments": new},
    }
    ledger.append(_TABLE, [row], run_id=run_id, strategy=strategy)


def require_moments(ledger: Ledger, strategy: str, publications: Sequence[Publication]) -> None:
    """Refuse publications whose moment is not the one on record.

    Raises
    ------
    PublicationError
        One is not, by a record that holds no hash of it.
    """
    doubtful = [each for each in publications if not each.hashed]
    kept = _kept(ledger, strategy) if doubtful else {}
    for each in doubtful:
        stated = kept.get(each.publication_id)
        if stated is not None and stated != _told(each):
            raise PublicationError(
                expected=f"published_at {stated} of publication {each.ordinal}, as the ledger has it",
                found=f"published_at {_told(each)} in its record",
                remedy=f'write "published_at": "{stated}" into publication/history/{each.file_name} in the lake, or '
                "restore it from a backup: decisions on record name what was in force then",
                strategy=strategy,
                file=each.file_name,
            )


def _told(publication: Publication) -> str:
    return str(as_moment(publication.published_at).isoformat(timespec="microseconds"))


def _kept(ledger: Ledger, strategy: str) -> dict[str, str]:
    rows = ledger.read(_TABLE, strategy, where={"kind": _KIND})
    return {name: moment for details in rows["details"] for name, moment in details["moments"].items()}
