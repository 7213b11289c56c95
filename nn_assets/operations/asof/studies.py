"""The verdict in force: that of the newest study that had ended before a month began."""

from __future__ import annotations

import pandas as pd

from nn_assets.operations.asof.settings_on_record import hashes_in_force
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

__all__ = ["latest_study"]


def latest_study(
    ledger: Ledger, strategy: Strategy, before_month: str, recorded_by: pd.Timestamp | None = None
) -> pd.Series | None:
    """The newest study of the settings in force whose record ended before a month began, or None.

    A study of other settings (looser limits, another pace of refits) says nothing of these; nor,
    where a UTC moment is given, does one that was put on record later. Where history ended then is no matter,
    nor whether the strategy traded without a verdict.
    """
    studies = ledger.read("studies", strategy.name, recorded_by=recorded_by, bookkeeping=True)
    own = studies["settings_hash"].isin(hashes_in_force(ledger, strategy, of_studies=True))
    studies = studies[own & (studies["month"] < before_month)]
    return None if studies.empty else studies.sort_values(["month", "sequence"]).iloc[-1]
