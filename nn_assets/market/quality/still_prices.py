"""Prices within the session that stand still: no return, so no label and no size."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nn_assets.arrays import named_rows
from nn_assets.contracts.frames import IntradayBars
from nn_assets.market.quality.notices import Notice

PRICE_STOOD_STILL = "price_stood_still"
_FEWEST_BARS = 20  # fewer say nothing yet: a symbol just listed, or one that rarely trades


def still_price_notices(bars: IntradayBars, span: int = 0) -> list[Notice]:
    """Point out symbols whose newest closes are all the same, at least 20 of them; the value is how many there are.

    Parameters
    ----------
    bars : DataFrame
        Columns of ``INTRADAY_BARS``, each symbol's in the order of their starts, clean ones: no price is missing.
    span : int
        Bars that a label reaches over: fewer equal closes than that are not pointed out, whose labels are still to
        come.
    """
    by_symbol = bars.groupby("symbol", sort=True, observed=True)
    moved = by_symbol["close"].shift(1).to_numpy() != bars["close"].to_numpy()  # the first bar of each has
    last_move = pd.Series(np.where(moved, np.arange(len(bars)), -1), bars.index).groupby(bars["symbol"], observed=True)
    stretch = bars[np.arange(len(bars)) >= last_move.transform("max").to_numpy()]
    whole = (
        stretch.groupby("symbol", sort=True, observed=True)
        .agg(price=("close", "last"), bars=("close", "size"), first=("session", "min"), last=("session", "max"))
        .assign(every=by_symbol.size())
        .reset_index()
    )
    return [
        Notice(
            PRICE_STOOD_STILL,
            row.symbol,
            row.first,
            row.last,
            float(row.bars),
            f"price stood still at {row.price:g} on "
            + (
                "every bar: no label, no size"
                if row.bars == row.every
                else f"its last {row.bars:,} bars: no label and no size once its volatility is 0"
            )
            + "; ask the source for its prices, or leave the symbol out of market.symbols",
        )
        for row in named_rows(whole[whole["bars"] >= max(_FEWEST_BARS, span)])
    ]
