"""What a session knows of its binary contracts beside their prices: whose event they are, and which are overdue."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from nn_assets.arrays import Symbol
from nn_assets.portfolio.inputs import BinaryFacts
from nn_assets.settings import Strategy
from nn_assets.settings.sections import ContractSettings

_OF_ITS_OWN = ContractSettings()


def binary_facts(strategy: Strategy, symbols: tuple[Symbol, ...], session: pd.Timestamp) -> BinaryFacts:
    """Return what ``market.contracts`` says, on the axis of symbols.

    A contract is overdue after the session it settles by: what settled in time has no bar and no position any more.
    """
    stated = [strategy.market.contracts.get(symbol, _OF_ITS_OWN) for symbol in symbols]
    shared = Counter(contract.event for contract in stated if contract.event)
    events = tuple(contract.event if shared[contract.event] > 1 else "" for contract in stated)
    numbers = {event: number for number, event in enumerate(shared)}
    alone = len(numbers)
    return BinaryFacts(
        event=np.array([numbers[name] if name else alone + index for index, name in enumerate(events)], dtype=np.int64),
        events=events,
        overdue=np.array(
            [contract.settles_by is not None and session.date() > contract.settles_by for contract in stated],
            dtype=np.bool_,
        ),
        fee_fraction=strategy.costs.contract_fee_fraction,
    )
