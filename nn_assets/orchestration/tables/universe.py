"""Membership of a strategy's universe taken in and stored by version."""

from __future__ import annotations

from pathlib import Path

from nn_assets.market.bars import RevisionCount
from nn_assets.market.universe import new_spells, refuse_cut_off
from nn_assets.orchestration.clock import as_of_session, now_utc
from nn_assets.orchestration.known.stored import last_decided_session
from nn_assets.orchestration.known.universe import UNIVERSE, membership_versions
from nn_assets.settings import Strategy
from nn_assets.sources.membership_files import read_membership_file
from nn_assets.store.lake import Lake
from nn_assets.store.ledger import Ledger

__all__ = ["ingest_universe"]


def ingest_universe(strategy: Strategy, lake: Lake, ledger: Ledger, folder: Path) -> RevisionCount:
    """Read the strategy's file of membership and append what is new or differs; retire what it no longer holds.

    Raises
    ------
    SourceError
        The file is absent or faulty, or lacks more members than may vanish at once; nothing is stored then.
    """
    assert strategy.universe is not None, "asked of a strategy with a universe only"
    decided = last_decided_session(ledger, strategy.name)
    stored, delivered, now = (
        membership_versions(strategy, lake),
        read_membership_file(folder, strategy.universe),
        now_utc(),
    )
    refuse_cut_off(stored, delivered, now, strategy.universe.max_retired_fraction)
    fresh, counted = new_spells(
        stored,
        delivered,
        now,
        decided_at=None if decided is None else as_of_session(strategy.market, decided),
    )
    if len(fresh):
        lake.append_segment(strategy.name, UNIVERSE, fresh)
    return counted
