"""In which order versions arrived, whatever the clock said.

The moment of arrival is the clock's, and a clock can be set back. Of two versions of one fact the later one is
therefore stamped after the one that it follows: what arrived last is always the newest, and stays so. What a clock
stamped ahead of time is read as a person had it mended, on record.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from nn_assets.arrays import nanoseconds

_NEXT = pd.Timedelta(1, unit="ns")
_MICROSECOND = 1_000  # nanoseconds: the step of the clock, and of the ledger


def following(arrived_at: pd.Series, before: pd.Series) -> pd.Series:
    """Stamp what arrives now after the version that it follows.

    Parameters
    ----------
    arrived_at : Series of UTC moments
        By the clock.
    before : Series of UTC moments, same index
        When the version before was stored; NaT for a fact without one.

    Returns
    -------
    Series of UTC moments
        ``arrived_at``, but one nanosecond after ``before`` where that is no earlier.
    """
    return arrived_at.where(~(before >= arrived_at), before + _NEXT).astype(arrived_at.dtype)


@dataclass(frozen=True)
class Mended:
    """Moments that a clock stamped ahead of time, and as what a person had them read; nothing stored is changed.

    Attributes
    ----------
    read_as : dict of int to int
        Moment stored to moment read, nanoseconds since the epoch, UTC.
    """

    read_as: dict[int, int] = field(default_factory=dict)

    def of(self, moments: pd.Series) -> pd.Series:
        """Moments, UTC, as they are read."""
        if not self.read_as or moments.empty:
            return moments
        stored = nanoseconds(moments)
        distinct, inverse = np.unique(stored, return_inverse=True)
        read = np.array([self.read_as.get(int(moment), int(moment)) for moment in distinct], dtype=np.int64)
        return pd.Series(pd.DatetimeIndex(read[inverse], tz="UTC"), index=moments.index, name=moments.name)

    def of_one(self, moment: pd.Timestamp) -> pd.Timestamp:
        """A moment, UTC, as it is read."""
        return pd.Timestamp(self.read_as.get(moment.value, moment.value), tz="UTC")

    def of_versions(self, versions: pd.DataFrame) -> pd.DataFrame:
        """Versions as they are read: their arrival, and ``known_at`` where it is their arrival."""
        if not self.read_as or "ingested_at" not in versions.columns:
            return versions
        stored = versions["ingested_at"]
        read = self.of(stored)
        if "known_at" not in versions.columns:
            return versions.assign(ingested_at=read)
        return versions.assign(
            ingested_at=read, known_at=versions["known_at"].where(versions["known_at"] != stored, read)
        )

    def of_wrong_clocks(self, moments: pd.Series) -> pd.Series:
        """Which moments, as they are read, were stored as others."""
        return moments.isin(pd.DatetimeIndex(list(self.read_as.values()), tz="UTC"))

    def unlike(self, arrived_at: pd.Series) -> pd.Series:
        """Moments of arrival, each a nanosecond later for as long as it is one that is read as another."""
        while again := [moment for moment in arrived_at.unique() if pd.Timestamp(moment).value in self.read_as]:
            arrived_at = arrived_at.where(~arrived_at.isin(again), arrived_at + _NEXT)
        return arrived_at


def read_moments(ahead: pd.DatetimeIndex, acts: pd.DatetimeIndex, now: pd.Timestamp) -> Mended:
    """Say as what moments that lie ahead of the clock are read: never earlier than they can have been.

    A moment is read as just before the first act that a right clock stamped after the last wrong act on record, where
    a wrong act stamped later than the moment shows that it had come about by then, and the moment is not so far back
    that the clock which stamped that act cannot have stamped it too. Any other is read as just before
    ``now``: so is one that was stamped after the version that it follows, which says nothing about when that was.

    Parameters
    ----------
    ahead : DatetimeIndex, UTC
        Moments stored that are later than now, of facts and of acts.
    acts : DatetimeIndex, UTC
        When every act was put on record, in the order in which they were; those ahead among them.
    now : Timestamp, UTC

    Returns
    -------
    Mended
        Different moments are read as different ones, a nanosecond apart, in their order.
    """
    moments = np.unique(nanoseconds(ahead))
    stamped = nanoseconds(acts)
    wrong = np.isin(stamped, moments)
    shown, act_after = np.zeros(len(moments), dtype=np.bool_), now.value
    if wrong.any():
        last = int(np.flatnonzero(wrong)[-1])
        right_before = stamped[:last][~wrong[:last]].max(initial=np.iinfo(np.int64).min)
        after = stamped[last + 1 :]
        after = after[(after >= right_before) & (after <= now.value)]
        if len(after):
            # The clock was wrong by at least this, and not before the right act that came before.
            ahead_by = int(stamped[last]) - int(after[0])
            shown = (moments <= stamped[wrong].max()) & (moments % _MICROSECOND == 0)
            shown &= moments - ahead_by >= right_before
            act_after = int(after[0])
    read = {}
    for group, until in ((moments[shown], act_after), (moments[~shown], now.value)):
        read.update({int(moment): until - len(group) + offset for offset, moment in enumerate(group)})
    return Mended(read)
