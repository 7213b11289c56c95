"""What a strategy's positions pay and receive while they are held, in words."""

from __future__ import annotations

from collections.abc import Sequence

from nn_assets.arrays import Symbol
from nn_assets.errors import first_of
from nn_assets.settings import FundingSeriesSettings, Strategy


def financing_text(strategy: Strategy) -> str:
    """Say what shorts pay to borrow, what is held on margin and whose funding is paid, and what may be missing."""
    costs, asset_class = strategy.costs, strategy.market.asset_class
    named = asset_class or "market.asset_class left out"
    notes = [f"{named}: shorts pay {costs.borrow_fee_annual_fraction:.2%} a year to borrow"]
    if strategy.market.binary:
        notes = [f"{named}: yes and no are paid for in full, nothing is borrowed"]
    if strategy.market.margined:
        notes.append("positions take no cash, all of the equity earns the cash rate")
    if costs.funding is not None:
        notes.append(f"longs pay and shorts receive the funding of series {costs.funding}")
    funding_series = [series.name for series in strategy.series if isinstance(series, FundingSeriesSettings)]
    role = strategy.features.series.get("funding_rate", funding_series[0] if funding_series else None)
    if asset_class is None and role is not None:
        notes.append(
            f"no book pays the rates of series {role}: if the symbols are perpetuals, set market.asset_class: "
            f"perpetual and costs.funding: {role}"
        )
    return "; ".join(notes)


def assumed_funding_warning(strategy: Strategy, symbols: Sequence[Symbol]) -> tuple[str, str]:
    """What is the matter with positions whose funding is not known for a session, and the remedy."""
    stale = max(series.stale_after_sessions for series in strategy.series if series.name == strategy.costs.funding)
    cause = (
        f"no funding rate of this session was known for {', '.join(first_of(symbols))}, which "
        f"{'is' if len(symbols) == 1 else 'are'} held: the last session's rate was taken, or 0 where none is known of "
        f"the last {stale} sessions"
    )
    remedy = (
        f"have series {strategy.costs.funding} deliver its rates before the next session is decided; what was booked "
        "stays, so compare the cash with the account"
    )
    return cause, remedy
