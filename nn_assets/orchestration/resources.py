"""The stores as a Dagster resource, so that a deployment or a test can name others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Self

import dagster as dg
from pydantic import PrivateAttr

from nn_assets.operations.history import History
from nn_assets.operations.stores import Stores, open_stores
from nn_assets.settings import Strategy
from nn_assets.store.lake.lake import Lake
from nn_assets.store.lake.roots import blob_path

STORES = "stores"
"""Key of the resource in Dagster's definitions."""


class StoresResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where the lake, the ledger and the models are; what is left empty is the environment's, or the home's own.

    A ledger with a password is named by the environment, never here: Dagster shows its configuration.
    """

    lake: str = ""
    ledger: str = ""
    models: str = ""
    _run: ExitStack | None = PrivateAttr(default=None)
    _kept: Stores | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Self]:
        """For a run, or for what a process does of it: its steps share the stores, opened when first asked for."""
        del context
        with ExitStack() as self._run:
            yield self
        self._run = self._kept = None

    @contextmanager
    def opened(self) -> Iterator[Stores]:
        """Open the stores; the ledger's connections are given back at the end, of the run where one is under way."""
        if self._run is None:
            with self._open() as stores:
                yield stores
        else:
            if self._kept is None:
                self._kept = self._run.enter_context(self._open())
            yield self._kept

    def _open(self) -> AbstractContextManager[Stores]:
        lake, models = (blob_path(address) if address else None for address in (self.lake, self.models))
        return open_stores(lake, self.ledger or None, models)

    def lake_alone(self) -> Lake:
        """The lake without the rest: no database is opened."""
        return Lake(blob_path(self.lake) if self.lake else None)

    @contextmanager
    def history(self, strategy: Strategy) -> Iterator[History]:
        """Open the stores, and the history of a strategy in them."""
        with self.opened() as stores:
            yield History.of(stores, strategy)
