"""The whole pass over all bars, on demand: whether what is published, judged day by day, equals it."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from nn_assets.operations.asof.actions import ACTIONS
from nn_assets.operations.history import History
from nn_assets.operations.intake.actions import actions_to_publish
from nn_assets.operations.intake.bars import audit_bars, notices_of
from nn_assets.store.lake.content import frame_hash

_KEY = ["symbol", "session"]


def differing_from_whole(history: History) -> list[str]:
    """Judge every bar stored once more, and say where what is published differs: a line for each kind, or none.

    Raises
    ------
    PublicationError
        Nothing is published, or not up to the last session, or a file of it is damaged.
    """
    publication, store = history.covering(history.last_session), history.stores.publications
    audited = audit_bars(history, whole=True)
    actions = actions_to_publish(history, tuple(publication.details.get(ACTIONS, ())))
    lines = [notice.line for notice in notices_of(history, audited, actions)]
    return [
        *_rows("bars", store.bars(publication), audited.cleaned.bars),
        *_rows("quarantine", store.quarantine(publication), audited.cleaned.quarantine),
        *_lines(list(publication.details.get("notices", ())), lines),
    ]


def _rows(what: str, published: pd.DataFrame, whole: pd.DataFrame) -> list[str]:
    if frame_hash(published) == frame_hash(whole):
        return []
    both = pd.concat([published, whole], ignore_index=True)
    apart = both[~both.duplicated(keep=False)]
    first = "" if apart.empty else "; the first: {} {:%Y-%m-%d}".format(*apart.sort_values(_KEY[::-1]).iloc[0][_KEY])
    return [f"{what}: {len(published):,} rows published, {len(whole):,} by the whole pass, {len(apart):,} apart{first}"]


def _lines(published: list[str], whole: list[str]) -> list[str]:
    if published == whole:
        return []
    apart = [*(Counter(published) - Counter(whole)), *(Counter(whole) - Counter(published))]
    first = f"; the first: {apart[0]}" if apart else ""
    return [f"notices: {len(published):,} published, {len(whole):,} by the whole pass{first}"]
