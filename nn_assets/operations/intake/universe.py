"""Membership of a strategy's universe taken in and stored by version."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from nn_assets.contracts.frames import MembershipVersions
from nn_assets.market.facts.bitemporal import RevisionCount, known_from
from nn_assets.market.facts.membership import new_spells, refuse_cut_off
from nn_assets.operations.asof.decisions import last_decided_session
from nn_assets.operations.asof.universe import UNIVERSE, read_membership_versions
from nn_assets.operations.clock import as_of_session, last_configured_session, now_utc
from nn_assets.operations.history import History
from nn_assets.operations.intake.appended import append_versions
from nn_assets.settings import Strategy
from nn_assets.sources.tables.limits import Limits
from nn_assets.sources.tables.membership_files import read_membership_file


def ingest_universe(history: History, folder: Path) -> RevisionCount:
    """Read the strategy's file of membership and append what is new or differs; retire what it no longer holds.

    A spell that begins after the last session that the settings state is left for when that session moves,
    unless the file says that it was known by then. The end of a spell belongs to its row, wherever it lies.

    Raises
    ------
    SourceError
        The file is absent or faulty, or lacks more members than may vanish at once; nothing is stored then.
    """
    strategy = history.strategy
    assert strategy.universe is not None, "asked of a strategy with a universe only"
    decided = last_decided_session(history.stores.ledger, strategy.name)
    stored = read_membership_versions(history.stores, strategy)
    assert stored is not None, "of a strategy with a universe"
    delivered, now = read_membership_file(folder, strategy.universe, Limits.of(strategy.source)), now_utc()
    refuse_cut_off(stored, delivered, now, strategy.universe.max_retired_fraction)
    fresh, counted = new_spells(
        stored,
        _known_by_the_end(delivered, stored, strategy),
        now,
        decided_at=None if decided is None else as_of_session(strategy.market, decided),
    )
    append_versions(history.stores, strategy.name, UNIVERSE, stored, fresh)
    return counted


def _known_by_the_end(
    delivered: MembershipVersions, stored: MembershipVersions, strategy: Strategy
) -> MembershipVersions:
    """Those of the spells delivered that may be seen by the end of history, or were stored already."""
    last = last_configured_session(strategy.market)
    if last is None:
        return delivered
    assumed = delivered["member_from"].dt.tz_localize("UTC")
    known_by_end = known_from(delivered, assumed) <= as_of_session(strategy.market, last)
    key = ["universe", "symbol", "member_from"]
    stored_already = pd.MultiIndex.from_frame(delivered[key]).isin(pd.MultiIndex.from_frame(stored[key]))
    return delivered[known_by_end | stored_already | (delivered["member_from"] <= last)].reset_index(drop=True)
