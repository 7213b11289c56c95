"""The stores of one home, opened once: the lake, the ledger and the models.

Whoever opens them hands them on; nothing below looks an address up again. What is read by the address of its
content is kept here for as long as they are open, so that a run reads each thing once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from nn_assets.store.lake.files import locked
from nn_assets.store.lake.lake import Lake
from nn_assets.store.lake.models import ModelStore
from nn_assets.store.lake.port import BlobPath
from nn_assets.store.lake.publication import PublicationStore
from nn_assets.store.lake.roots import record_store
from nn_assets.store.ledger.ledger import Ledger

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Stores:
    """A lake, a ledger and a model store that belong together."""

    lake: Lake
    ledger: Ledger
    models: ModelStore
    _kept: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def publications(self) -> PublicationStore:
        """The publications of the lake."""
        return PublicationStore(self.lake)

    @contextmanager
    def alone(self, strategy: str) -> Iterator[None]:
        """Hold a strategy alone: another round or study of it, in whatever process, waits and says so."""
        message = f"another run, study or check of {strategy} is under way: this one waits for it to end"
        with locked(self.lake.root.parent / "locks" / strategy, lambda: _log.warning(message)):
            yield

    def sweep(self, strategy: str) -> int:
        """Remove what killed writers left staged more than a day ago, here and among the models; how many.

        No record names what is staged. To be called while the strategy is held alone.
        """
        return self.lake.sweep(strategy) + self.models.sweep()

    def once(self, address: Hashable, read: Callable[[], T]) -> T:
        """Read the content of an address, or hand out what was read before; it must not be written to.

        Parameters
        ----------
        address : hashable
            Names the content itself (a hash of it, with what it was made into), so that it cannot change.
        read : callable
            Called at the first time only.
        """
        if address not in self._kept:
            self._kept[address] = read()
        content: T = self._kept[address]
        return content

    def newest(self, name: Hashable, address: Hashable, read: Callable[[], T]) -> T:
        """As :meth:`once` for what grows: of a name only what was read last is kept."""
        kept = self._kept.get(name)
        if kept is None or kept[0] != address:
            self._kept[name] = kept = address, read()
        return kept[1]


@contextmanager
def open_stores(
    lake: BlobPath | None = None, ledger: str | None = None, models: BlobPath | None = None
) -> Iterator[Stores]:
    """Open the stores of the home, or those at other addresses; the ledger's connections are given back at the end.

    Parameters
    ----------
    lake, models : path, optional
        Folders; those of the home, or of the store that the environment names, when left out.
    ledger : str, optional
        Database address; the one that the environment names, else the home's file.

    Raises
    ------
    LedgerError
        The ledger cannot be reached, is not a ledger, or was written by a newer version.
    InstallationError
        The store of blobs that the environment names is none, cannot be opened, or is not the one that the home uses.
    """
    with Ledger(ledger) as opened:
        stores = Stores(Lake(lake), opened, ModelStore(models))
        if (lake, ledger, models) == (None, None, None) and not opened.read_only:
            record_store()
        yield stores
