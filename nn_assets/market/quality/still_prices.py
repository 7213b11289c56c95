"""Prices within the session that never move: no return, so no label and no size."""

from __future__ import annotations

import numpy as np

from nn_assets.arrays import named_rows
from nn_assets.contracts.frames import IntradayBars
from nn_assets.market.quality.notices import Notice

PRICE_STOOD_STILL = "price_stood_still"
_FEWEST_BARS = 20  # fewer say nothing yet: a symbol just listed, or one that rarely trades


def still_price_notices(bars: IntradayBars) -> list[Notice]:
    """Point out symbols of which every close is the same, of at least 20 bars; the value is how many there are.

    Parameters
    ----------
    bars : DataFrame
        Columns of ``INTRADAY_BARS``, clean ones: no price is missing.
    """
    by_symbol = bars.groupby("symbol", sort=True, observed=True)
    whole = by_symbol.agg(
        lowest=("close", "min"),
        highest=("close", "max"),
        bars=("close", "size"),
        first=("session", "min"),
        last=("session", "max"),
    ).reset_index()
    still = whole[np.equal(whole["lowest"], whole["highest"]) & (whole["bars"] >= _FEWEST_BARS)]
    return [
        Notice(
            PRICE_STOOD_STILL,
            row.symbol,
            row.first,
            row.last,
            float(row.bars),
            f"price stood still at {row.lowest:g} on every bar: no label, no size; ask the source for its prices, or "
            "leave the symbol out of market.symbols",
        )
        for row in named_rows(still)
    ]
