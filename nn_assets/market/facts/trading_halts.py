"""Halts of single instruments: sessions on which one did not trade, as facts with the moment each was known.

A halt is a stretch of sessions, [halted_from, resumes), kept as membership keeps its spells: who halts, and who trades
again, is known from a moment on. On a halted session no bar is due, and none that comes is used.
"""

from __future__ import annotations

import pandas as pd

from nn_assets.arrays import BoolArray, Symbol
from nn_assets.contracts import HALTS, MEMBERSHIP, conform, empty
from nn_assets.contracts.frames import HaltVersions, MembershipVersions
from nn_assets.market.facts.bitemporal import RevisionCount, known_from
from nn_assets.market.facts.membership import members_of_sessions, membership_as_of, new_spells

_SPELLS = {"halted_from": "member_from", "resumes": "member_to"}
_HALTS = {name: column for column, name in _SPELLS.items()}
_UNIVERSE = "halted"


def new_halts(
    stored: HaltVersions,
    delivered: pd.DataFrame,
    arrived_at: pd.Timestamp,
    *,
    decided_at: pd.Timestamp | None = None,
) -> tuple[HaltVersions, RevisionCount]:
    """Find what a delivery adds to the versions stored.

    Parameters
    ----------
    stored : DataFrame
        Columns of ``HALTS``: every version so far.
    delivered : DataFrame
        The same columns but ``ingested_at``, one row a halt, all there are: a stored one that is not among them is
        withdrawn. ``known_at`` may be missing: a halt then counts as known from the start of its first day.
    arrived_at, decided_at : Timestamp, UTC
        As of :func:`~nn_assets.market.facts.membership.new_spells`: nothing that arrives after a decision was known
        by it.

    Returns
    -------
    DataFrame, RevisionCount
        Columns of ``HALTS``: the rows to append; and counts of halts, those withdrawn among the revised.
    """
    spells = as_spells(delivered)
    if decided_at is not None and stored.empty:  # of a first delivery, too, nothing was known by then
        known_at = known_from(spells, spells["member_from"].dt.tz_localize("UTC"))
        spells["known_at"] = known_at.mask(known_at <= decided_at, arrived_at)
    fresh, counted = new_spells(conform(as_spells(stored), MEMBERSHIP), spells, arrived_at, decided_at=decided_at)
    return from_spells(fresh), counted


def as_spells(halts: pd.DataFrame) -> MembershipVersions:
    """Halts as spells of those that are halted."""
    return halts.rename(columns=_SPELLS).assign(universe=_UNIVERSE)


def from_spells(spells: MembershipVersions) -> HaltVersions:
    """Spells as halts: columns of ``HALTS``."""
    return conform(spells.rename(columns=_HALTS), HALTS) if len(spells) else empty(HALTS)


def halts_as_of(versions: HaltVersions, moment: pd.Timestamp) -> HaltVersions:
    """Every halt as known at a moment: one row each, an end still ahead left open, none that was withdrawn."""
    return from_spells(membership_as_of(conform(as_spells(versions), MEMBERSHIP), moment))


def halted_on(
    versions: HaltVersions, symbols: tuple[Symbol, ...], sessions: pd.DatetimeIndex, known_by: pd.DatetimeIndex
) -> BoolArray:
    """Which symbols were halted on each session, as known by a moment of its own, (sessions, symbols).

    Parameters
    ----------
    known_by : DatetimeIndex, shape (sessions,), UTC
        Row t is the same whatever becomes known after its moment.
    """
    return members_of_sessions(conform(as_spells(versions), MEMBERSHIP), symbols, sessions, known_by)
