"""Bars within the session that cleaning took out, beside the daily bars in quarantine."""

from __future__ import annotations

import pandas as pd

from nn_assets.contracts import QUARANTINE, empty
from nn_assets.contracts.frames import Quarantine
from nn_assets.operations.stores import Stores
from nn_assets.settings import Strategy
from nn_assets.store.lake.publication import Publication


def intraday_publications(strategy: str) -> str:
    """Name of the publications of a strategy's intraday bars; no strategy's, since those hold no point."""
    return f"{strategy}.intraday"


def intraday_publication(stores: Stores, strategy: Strategy) -> Publication | None:
    """The publication of intraday bars in force; None of a strategy without such bars, or before the first."""
    if strategy.intraday is None:
        return None
    return stores.publications.current(intraday_publications(strategy.name))


def intraday_quarantine(stores: Stores, strategy: Strategy) -> Quarantine:
    """The intraday bars taken out of the publication in force: columns of ``QUARANTINE``.

    ``value`` begins with the bar's start; ``session`` is the decision bar that it belongs to where the strategy decides
    within the session, else its day.
    """
    publication = intraday_publication(stores, strategy)
    return empty(QUARANTINE) if publication is None else stores.publications.quarantine(publication)


def with_intraday_quarantine(stores: Stores, strategy: Strategy, of_daily: Quarantine) -> Quarantine:
    """Daily bars in quarantine, followed by the intraday ones of the publication in force."""
    of_intraday = intraday_quarantine(stores, strategy)
    return pd.concat([of_daily, of_intraday], ignore_index=True) if len(of_intraday) else of_daily


def rows_in_quarantine(stores: Stores, strategy: Strategy, publication: Publication) -> int:
    """Rows taken out of a publication of daily bars, and of the intraday ones in force."""
    intraday = intraday_publication(stores, strategy)
    return publication.quarantined + (0 if intraday is None else intraday.quarantined)
