"""Members of a universe without bars, counted once for each year that ended: as long as nothing of it changes.

What a year was counted from (its spells, and the pieces of what is published that hold its sessions) stands beside the
count, and where that is the same so is the count. Nothing here is a fact: where it is gone, it is counted again.
"""

from __future__ import annotations

import hashlib

import pandas as pd

from nn_assets.market.facts.membership import members_without_bars, membership_as_of
from nn_assets.operations.clock import as_of_session
from nn_assets.operations.history import History
from nn_assets.operations.intake.pieces import Carried, Piece
from nn_assets.store.lake.carried import read_carried, switch_carried
from nn_assets.store.lake.publication import Publication
from nn_assets.store.values import canonical_json
from nn_assets.versions import version_of

COUNTED = "members_without_bars"
_COUNTED_BY = "nn_assets.market.facts.membership:members_without_bars"


def unseen_of_published(history: History, publication: Publication) -> pd.DataFrame | None:
    """What :func:`~nn_assets.operations.asof.universe.unseen_members` says of the bars published last, to the bit.

    Only bars of years of which something changed are read. None where the strategy names no universe, or the bars were
    not published in pieces: what is carried on may then be of an earlier publication.
    """
    strategy, lake, sessions = history.strategy, history.stores.lake, history.axis
    versions, carried = history.membership_versions, Carried.read(history)
    if strategy.universe is None or versions is None or carried is None:
        return None
    if carried.bars_address != publication.bars_address:
        return None
    folder, renamed = lake.folder(strategy.name, COUNTED), strategy.universe.renamed
    spells = membership_as_of(versions, as_of_session(strategy.market, sessions[-1]))
    before, code, counted = read_carried(folder) or {}, version_of(_COUNTED_BY), {}
    for year in range(sessions[0].year, sessions[-1].year + 1):
        first = max(sessions[0], pd.Timestamp(year, 1, 1))
        last = min(sessions[-1], pd.Timestamp(year, 12, 31))
        inside = spells[(spells["member_from"] <= last) & ~(spells["member_to"] <= first)]
        # As far as the year is concerned: a later end of a spell changes nothing.
        starts = inside["member_from"].mask(inside["member_from"] < first, first)
        ends = inside["member_to"].mask(inside["member_to"] > last)
        pieces = [piece.bars for piece in carried.pieces if piece.bars and _meets(piece, first, last)]
        of_year = [inside["symbol"].tolist(), starts.tolist(), ends.tolist(), pieces]
        text = canonical_json([code, first, last, renamed, *of_year])
        counted_from = hashlib.sha256(text.encode()).hexdigest()
        if before.get(str(year), [None])[0] != counted_from:
            columns = ["symbol", "session"]
            bars = history.stores.publications.bars(publication, first=first, last=last, columns=columns)
            row = members_without_bars(inside, bars, first, last, renamed).iloc[0]
            counted[str(year)] = [counted_from, int(row["members"]), int(row["without_bars"])]
        else:
            counted[str(year)] = before[str(year)]
    if counted != before:
        switch_carried(folder, counted, ())
    rows = [(int(year), members, without) for year, (_, members, without) in counted.items()]
    return pd.DataFrame(rows, columns=["year", "members", "without_bars"])


def _meets(piece: Piece, first: pd.Timestamp, last: pd.Timestamp) -> bool:
    """Whether a piece has a row of a session in a span."""
    return pd.Timestamp(piece.first) <= last and pd.Timestamp(piece.last) >= first
