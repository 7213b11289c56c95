"""When publications of earlier versions were made: their records hold no hash of the moment, so the ledger keeps it.

It is put on record before the next publication, once, in the chain; from then on any changed moment is noticed. Until
then it must lie between the moments at which the ledger recorded the publication before and the publication itself:
of a smaller change nothing is left to tell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pandas as pd

from nn_assets.errors import PublicationError
from nn_assets.store.lake.publication import Publication
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.values import as_moment, canonical_json

_TABLE, _KIND = "verifications", "published_at"


def keep_moments(ledger: Ledger, strategy: str, publications: Sequence[Publication], run_id: str) -> None:
    """Put the moments of publications without a hash of them on record, those that are not there yet.

    Raises
    ------
    PublicationError
        As of :func:`require_moments`.
    """
    moments = {
        publication.publication_id: _published_at_text(publication)
        for publication in publications
        if not publication.hashed
    }
    if not moments:
        return
    require_moments(ledger, strategy, publications)
    kept = _kept(ledger, strategy)
    new = {name: moment for name, moment in moments.items() if name not in kept}
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
        One is not, by a record that holds no hash of it; or, of one that is not on record yet, it does not lie between
        the records of the publication before and of itself.
    """
    doubtful = [publication for publication in publications if not publication.hashed]
    kept = _kept(ledger, strategy) if doubtful else {}
    for publication in doubtful:
        moment = kept.get(publication.publication_id)
        if moment is not None and moment != _published_at_text(publication):
            raise PublicationError(
                expected=f"published_at {moment} of publication {publication.ordinal}, as the ledger has it",
                found=f"published_at {_published_at_text(publication)} in its record",
                remedy=f'write "published_at": "{moment}" into publication/history/{publication.file_name} in the '
                "lake, or restore it from a backup: decisions on record name what was in force then",
                strategy=strategy,
                file=publication.file_name,
            )
    waiting = [publication for publication in doubtful if publication.publication_id not in kept]
    if waiting:
        _require_between_records(ledger, strategy, waiting)


def _require_between_records(ledger: Ledger, strategy: str, publications: Sequence[Publication]) -> None:
    """Refuse moments later than the ledger's record of the publication, or earlier than that of the one before it."""
    rows = ledger.read("publications", strategy, bookkeeping=True).sort_values("sequence")
    recorded, mended = dict(zip(rows["publication_id"], rows["recorded_at"], strict=True)), ledger.mended()
    for publication in publications:
        until = recorded.get(publication.publication_id)
        if until is None:  # a run killed after the switch: the next one records it
            continue
        since = max((moment for moment in rows["recorded_at"] if moment < until), default=None)
        moment = mended.of_one(publication.published_at)
        if moment <= until and (since is None or since <= moment):
            continue
        latest = _written(until)
        raise PublicationError(
            expected=f"published_at of publication {publication.ordinal} "
            + (f"between {_written(since)} and {latest}" if since is not None else f"by {latest}")
            + ", when the ledger recorded "
            + ("the one before and it" if since is not None else "it"),
            found=f"published_at {_published_at_text(publication)} in its record",
            remedy=f"restore publication/history/{publication.file_name} in the lake from a backup; without one write "
            f'"published_at": "{latest}" into it, the moment at which the ledger recorded it, right after it was made',
            strategy=strategy,
            file=publication.file_name,
        )


def _published_at_text(publication: Publication) -> str:
    return _written(publication.published_at)


def _written(moment: pd.Timestamp) -> str:
    return str(as_moment(moment).isoformat(timespec="microseconds"))


def _kept(ledger: Ledger, strategy: str) -> dict[str, str]:
    rows = ledger.read(_TABLE, strategy, where={"kind": _KIND})
    return {name: moment for details in rows["details"] for name, moment in details["moments"].items()}
