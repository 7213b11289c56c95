"""Bars that equal another session's of their symbol: sessions on which many do, and bars kept that one equals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, Symbol, named_rows
from nn_assets.contracts.frames import BarVersions
from nn_assets.market.facts.rows import Rows
from nn_assets.market.quality.notices import COPIED_SESSION, MANY, MANY_SHARE, Notice

_POSSIBLE_COPY = "possible_copy"
_VALUES = ["open", "high", "low", "close", "volume"]


def copied_bar_notices(ordered: BarVersions, rows: Rows, kept: BoolArray, copied: BoolArray) -> tuple[Notice, ...]:
    """Point out sessions on which many symbols have another's bar, and bars kept that may be a later session's.

    Many is at least five symbols, and a twentieth of those delivered; of fewer than ten, half of them. Of two equal
    bars the one known first is kept. It may be the false one all the same, with prices of the future, where it was
    taken in only after the session of the other had closed, as in a history delivered at once: its moment is assumed,
    or stated by the same source, and is no proof. A bar taken in before is its own.

    Parameters
    ----------
    ordered : DataFrame
        Columns of ``BAR_VERSIONS``: what was delivered, ordered by symbol and session.
    rows : Rows
        The same as arrays.
    kept, copied : array of bool, shape (rows,)
        Those that every rule let pass, and those in quarantine as a copy.

    Returns
    -------
    tuple of Notice
        ``copied_session`` by session, then ``possible_copy`` by symbol and session.
    """
    if not copied.any():
        return ()
    pairs = _pairs(ordered, rows, kept, copied)
    delivered = ordered.groupby("session")["symbol"].size()
    session_notices = []
    for session, group in pairs.groupby("session"):
        count, symbols_delivered = len(group), int(delivered[session])
        if are_many(count, symbols_delivered):
            session_notices.append(_session_notice(group, pd.Timestamp(str(session)), symbols_delivered))
    doubtful = pairs[pairs["doubtful"]].sort_values(["symbol", "original"], kind="stable")
    first = doubtful.drop_duplicates(["symbol", "original"])
    return (*session_notices, *(_bar_notice(str(row.symbol), row.original, row.session) for row in named_rows(first)))


def are_many(copies: int, delivered: int) -> bool:
    """Whether so many copies among the symbols of a session are one of the whole session."""
    return copies >= max(min(MANY, delivered / 2.0), MANY_SHARE * delivered)


def possible_copies(notices: Sequence[Notice]) -> dict[str, int]:
    """Bars kept that may be a later session's, by session (as YYYY-MM-DD)."""
    return dict(Counter(str(notice.first_session.date()) for notice in notices if notice.rule == _POSSIBLE_COPY))


def _pairs(ordered: pd.DataFrame, rows: Rows, kept: BoolArray, copied: BoolArray) -> pd.DataFrame:
    """Each copy with the bar it equals: columns symbol, session, original (NaT: itself in quarantine) and doubtful."""
    copies = ordered.loc[copied, ["symbol", "session", *_VALUES]].assign(closes_at=rows.closes_at[copied])
    candidates = kept & ordered["volume"].isin(copies["volume"]).to_numpy()
    originals = ordered.loc[candidates, ["symbol", "session", *_VALUES]].assign(taken_in=rows.ingested_at[candidates])
    pairs = copies.merge(originals.rename(columns={"session": "original"}), on=["symbol", *_VALUES], how="left")
    later = pairs["session"] > pairs["original"]
    return pairs.assign(doubtful=later & (pairs["taken_in"] >= pairs["closes_at"]))


def _session_notice(pairs: pd.DataFrame, session: pd.Timestamp, delivered: int) -> Notice:
    count, doubtful = len(pairs), int(pairs["doubtful"].sum())
    days = pairs["original"].dropna().dt.strftime("%Y-%m-%d").value_counts(sort=False)
    days = days.sort_values(ascending=False, kind="stable")
    most = "most of them " if len(days) > 1 else ""
    original_text = f", {most}the bar of {days.index[0]} in all five values" if len(days) else ""
    request = "ask the source for the session again; their rows are in quarantine"
    if doubtful:
        both = " and ".join([str(session.date()), *days.index])
        request = (
            f"either bar may be the false one, since {doubtful} of those equal to them were taken in only after this "
            f"session had closed: ask the source for {both} again; the rows of {session.date()} are in quarantine, "
            "those equal to them are kept"
        )
    message = (
        f"{count} of {delivered} symbols ({count / delivered:.0%}), {pairs['symbol'].iloc[0]} among them, have "
        f"another session's bar{original_text}: {request}"
    )
    label = "many symbols" if delivered > 1 else str(pairs["symbol"].iloc[0])
    return Notice(COPIED_SESSION, label, session, session, count / delivered, message)


def _bar_notice(symbol: Symbol, session: pd.Timestamp, copy: pd.Timestamp) -> Notice:
    message = (
        f"equals the bar of {copy.date()} in all five values, and was taken in only after that session had closed: "
        f"either may be the false one; this one is kept, perhaps with prices of the future, that of {copy.date()} is "
        "in quarantine: ask the source for both again"
    )
    return Notice(_POSSIBLE_COPY, symbol, session, session, np.nan, message)
