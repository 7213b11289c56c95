"""The ranges that a session suggests, by what it knew: for its page, the terminal and the export."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nn_assets.errors import SettingsError
from nn_assets.operations.history import History
from nn_assets.signals.ranges import Ranges, suggest_ranges


def ranges_on(history: History, session: pd.Timestamp) -> Ranges:
    """Suggest ranges at a session's close, of its own symbols.

    A round trip is priced by the cost model in force, at the size of one step: the single-name limit of the initial
    capital, shared out over the grid.

    Raises
    ------
    SettingsError
        The strategy asks for no ranges.
    """
    strategy = history.strategy
    if strategy.ranges is None:
        raise SettingsError(
            expected="a section ranges, which says how they are made",
            found="none",
            remedy="state ranges: {} in the strategy file",
            key="ranges",
            strategy=strategy.name,
        )
    view = history.view(session)
    market, row = view.market_history, view.row
    order = strategy.portfolio.single_name_limit * strategy.portfolio.initial_capital_usd / strategy.ranges.grid_levels
    volatility = market.volatility[row]
    with np.errstate(invalid="ignore", divide="ignore"):
        closes = np.log(view.panel.total_return().close[max(0, row + 1 - strategy.ranges.window_sessions) :])
    return suggest_ranges(
        view.symbols,
        closes,
        view.panel.close[row],
        volatility,
        2.0 * view.costs.cost_fraction(order, market.adv_usd[row], market.cost_volatility[row]),
        strategy.ranges,
    )


def ranges_text(ranges: Ranges) -> str:
    """How many prices keep to a range, in one line, and the first of them."""
    reverting = np.flatnonzero(ranges.reverting)
    if not len(reverting):
        return f"ranges: none of {len(ranges.symbols)} prices reverts to a level"
    first = reverting[np.argsort(ranges.half_life[reverting], kind="stable")][:3]
    named = "; ".join(
        f"{ranges.symbols[column]} {ranges.lower[column]:.6g} to {ranges.upper[column]:.6g} in "
        f"{ranges.steps[column]:.0f} steps of {ranges.spacing[column]:.2%}"
        for column in first
    )
    return f"ranges: {len(reverting)} of {len(ranges.symbols)} prices revert to a level, fastest {named}"
