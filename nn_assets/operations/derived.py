"""What says of a stored cube which published bars it comes from, and what made it of them."""

from __future__ import annotations

import hashlib

from nn_assets.operations.asof.series import OTHER_SERIES
from nn_assets.operations.asof.universe import UNIVERSE
from nn_assets.operations.facts import StoredFacts

__all__ = ["FEATURES", "made_with", "record_of"]

FEATURES = "features"


def record_of(table: str) -> str:
    """Name of the table that says what a cube was derived from."""
    return f"{table}_record"


def made_with(facts: StoredFacts) -> str:
    """What features depend on beside the published bars, 16 hex digits: settings, axes, series and members as read."""
    strategy, lake = facts.strategy, facts.stores.lake
    beside = [lake.segments(strategy.name, table) for table in (OTHER_SERIES, UNIVERSE)]
    settings = strategy.content_hash("features", "universe", "series")
    axes = (facts.symbols, str(facts.axis[0]), strategy.market.calendar, strategy.market.adjustment_convention)
    mended = sorted(facts.stores.ledger.mended().read_as.items())
    made = (settings, axes, beside, *mended)  # nothing more where no moment was ever mended
    return hashlib.sha256(repr(made).encode()).hexdigest()[:16]
