"""What a session knows of its binary contracts beside their prices: whose event they are, and which are overdue."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray, Symbol
from nn_assets.portfolio.book import Book
from nn_assets.portfolio.inputs import BinaryFacts
from nn_assets.settings import Strategy
from nn_assets.settings.sections import ContractSettings

_OF_ITS_OWN = ContractSettings()


class Settled(NamedTuple):
    """A contract that was held and settled on a session."""

    symbol: Symbol
    quantity: float  # negative: no was held
    value: float  # 1 or 0

    @property
    def paid_usd(self) -> float:
        """What the contracts of the side held pay, dollars."""
        return abs(self.quantity) * (self.value if self.quantity > 0.0 else 1.0 - self.value)


def settled_on(book: Book, settlement: FloatArray | None) -> tuple[Settled, ...]:
    """What of a book, as it was before, the settlements of a session pay out; ``settlement`` is NaN where none is."""
    if settlement is None:
        return ()
    there = np.flatnonzero(np.isfinite(settlement) & (book.quantity != 0.0))
    return tuple(Settled(book.symbols[at], float(book.quantity[at]), float(settlement[at])) for at in there.tolist())


def binary_facts(
    strategy: Strategy, symbols: tuple[Symbol, ...], session: pd.Timestamp, settled: BoolArray | None = None
) -> BinaryFacts:
    """Return what ``market.contracts`` says, on the axis of symbols.

    Parameters
    ----------
    settled : ndarray of bool, shape (symbols,), optional
        Contracts that settled by this session; none when left out. The others are overdue after the day they settle by.
    """
    open_still = np.ones(len(symbols), dtype=np.bool_) if settled is None else ~settled
    contracts = [strategy.market.contracts.get(symbol, _OF_ITS_OWN) for symbol in symbols]
    shared = Counter(contract.event for contract in contracts if contract.event)
    events = tuple(contract.event if shared[contract.event] > 1 else "" for contract in contracts)
    numbers = {event: number for number, event in enumerate(shared)}
    alone = len(numbers)
    return BinaryFacts(
        event=np.array([numbers[name] if name else alone + index for index, name in enumerate(events)], dtype=np.int64),
        events=events,
        overdue=np.array(
            [contract.settles_by is not None and session.date() > contract.settles_by for contract in contracts],
            dtype=np.bool_,
        )
        & open_still,
        fee_fraction=strategy.costs.contract_fee_fraction,
    )
