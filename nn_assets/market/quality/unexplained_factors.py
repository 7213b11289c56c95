"""Factors between two bars that no stated action explains: no return is counted across one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nn_assets.contracts import ACTION_VERSIONS, conform, empty
from nn_assets.contracts.frames import ActionVersions, DailyBars
from nn_assets.market.facts.rows import shares_after_splits
from nn_assets.market.quality.history_rules import LEAST_FACTOR

UNEXPLAINED_FACTOR = "unexplained_factor"
"""``source`` of a split that nobody stated, which is taken for one because its factor stayed."""


def with_unexplained_factors(actions: ActionVersions | None, bars: DailyBars) -> ActionVersions | None:
    """Set the factors that no stated split explains beside the actions, as splits on the first bar that shows them.

    The close of that bar is then worth, in shares of the bar before, what the close before was: nothing is earned or
    lost across the factor, in returns, features, labels and the book alike. Once the split is stated, or the bars
    are restated, there is no factor left to set. Whether the shares or the unit of the prices changed is not known, so
    until then what is held across the factor is not traded (the gate's ``unexplained_factor``).

    Parameters
    ----------
    actions : DataFrame or None
        Columns symbol, ex_session, kind and value; as known.
    bars : DataFrame
        Clean bars as known, columns of ``BARS``, ordered by symbol and session.

    Returns
    -------
    DataFrame or None
        The actions themselves where nothing is left unexplained. A row added has ``source`` unexplained_factor and
        the moments of its bar. Row t of the bars reads no later row.
    """
    close = np.log(bars["close"].to_numpy(dtype=np.float64) * shares_after_splits(bars, actions))
    same = (bars["symbol"] == bars["symbol"].shift()).to_numpy()
    moves = np.where(same, np.diff(close, prepend=np.nan), 0.0)
    unexplained = np.flatnonzero(np.abs(moves) >= np.log(LEAST_FACTOR))
    if len(unexplained) == 0:
        return actions
    rows = bars.iloc[unexplained]
    splits = pd.DataFrame(
        {
            "symbol": rows["symbol"],
            "ex_session": rows["session"],
            "kind": "split",
            "value": np.exp(-moves[unexplained]),
            "source": UNEXPLAINED_FACTOR,
            "known_at": rows["known_at"],
            "ingested_at": rows["ingested_at"],
        }
    )
    known_actions = empty(ACTION_VERSIONS) if actions is None else actions
    return pd.concat([known_actions, conform(splits, ACTION_VERSIONS)], ignore_index=True)
