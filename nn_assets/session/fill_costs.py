"""What fills cost against what the cost model said they would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.costs.model import CostModel
from nn_assets.oversight.slippage import SlippageTest, slippage_breach, slippage_by_volatility
from nn_assets.portfolio.fills import FillArrays, day_of
from nn_assets.session.market_view import SessionMarket

SLIPPAGE_SESSIONS = 60


@dataclass(frozen=True, eq=False)
class FillCosts:
    """Costs of one session's fills, fractions of the value traded, shape (fills,)."""

    session: np.datetime64
    realised: FloatArray
    modelled: FloatArray
    volatility: FloatArray | None = None  # daily, that the fills were priced by
    by_bar: int = 0  # how many were held against the bar's own price, for want of a mid
    unheld: int = 0  # of how many neither is known: at most their commission is judged


def fill_costs_of(
    fills: Sequence[FillArrays], market: SessionMarket, costs: CostModel, *, execution: str | None = None
) -> FillCosts:
    """Realised and modelled cost of each fill of a session, by what was known when it was ordered.

    Like is held against like: a part (half-spread, commission, impact) that a broker did not state is
    left out of both sides. A half-spread not stated is the signed distance of the price from the mid,
    where there is one. Where a venue states neither, the distance from the bar's own price is held against
    half-spread and impact together: an auction's own fills lie at it, others as far off as the market moved
    meanwhile, which the test counts as noise. Stops fill after the market moved: theirs is not judged.
    A fill of which no part is known is NaN, and left out of any test; how many had neither mid nor bar is counted.

    Parameters
    ----------
    execution : {"next_open", "next_close"}, optional
        At which price of their bar orders are filled; without it no fill is held against its bar.
    """
    realised: list[FloatArray] = []
    modelled: list[FloatArray] = []
    volatilities: list[FloatArray] = []
    names: list[str] = []
    by_bar = unheld = 0
    for batch in fills:
        value = np.abs(batch.quantity * batch.price)
        # Where all bars are there, both are those that orders of any kind were priced by.
        adv = market.previous_adv_usd if market.closing_adv_usd is None else market.closing_adv_usd
        volatility = market.previous_volatility if market.closing_volatility is None else market.closing_volatility
        parts = costs.parts(
            batch.order_value_usd, adv[batch.symbol], volatility[batch.symbol], maker_share=batch.rested
        )
        half_spread = np.where(
            np.isfinite(batch.half_spread_usd), batch.half_spread_usd, batch.quantity * (batch.price - batch.mid_price)
        )
        impact, of_spread = batch.impact_usd, parts.half_spread
        unquoted = ~np.isfinite(half_spread) & ~np.isfinite(impact)
        unheld += int(unquoted.sum())
        if execution is not None and batch.source != "paper":
            prices = market.open if execution == "next_open" else market.close
            from_bar = batch.quantity * (batch.price - prices[batch.symbol])
            held = unquoted & ~batch.is_stop & np.isfinite(from_bar) & np.isfinite(parts.impact)
            half_spread = np.where(held, from_bar, half_spread)
            of_spread = np.where(held, parts.half_spread + parts.impact, parts.half_spread)
            by_bar += int(held.sum())
            unheld -= int(held.sum())
        spent = np.stack([half_spread, batch.stated_commission_usd, impact])
        reported = np.isfinite(spent)
        nothing = ~reported.any(axis=0)
        expected = np.stack([of_spread, parts.commission, parts.impact])
        realised.append(np.where(nothing, np.nan, np.where(reported, spent, 0.0).sum(axis=0) / value))
        modelled.append(np.where(nothing, np.nan, np.where(reported, expected, 0.0).sum(axis=0)))
        volatilities.append(volatility[batch.symbol])
        names += batch.fill_id
    # By fill id, so that fills read back from the ledger are summed in the same order.
    order = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
    none = np.zeros(0)
    return FillCosts(
        day_of(market.session),
        np.concatenate([none, *realised])[order],
        np.concatenate([none, *modelled])[order],
        np.concatenate([none, *volatilities])[order],
        by_bar,
        unheld,
    )


def slippage_of(recent: Sequence[FillCosts], tolerance: float, *, by_volatility: bool = False) -> SlippageTest:
    """Test whether the last sessions' fills cost more than the model says, beyond a tolerance.

    Parameters
    ----------
    recent : sequence of FillCosts
        In order; the last :data:`SLIPPAGE_SESSIONS` count.
    by_volatility : bool
        Whether each third of the fills by volatility is tested too, and may be the breach.
    """
    window = recent[-SLIPPAGE_SESSIONS:]
    none = np.zeros(0)
    days = [np.full(len(record.realised), record.session) for record in window]
    realised = np.concatenate([none, *(record.realised for record in window)])
    modelled = np.concatenate([none, *(record.modelled for record in window)])
    sessions = np.concatenate([np.zeros(0, dtype="datetime64[D]"), *days])
    if not by_volatility:
        return _with_references(slippage_breach(realised, modelled, tolerance, sessions=sessions), window)
    unknown = [np.full(len(record.realised), np.nan) for record in window]
    volatility = [
        nothing if record.volatility is None else record.volatility
        for nothing, record in zip(unknown, window, strict=True)
    ]
    of_fills = np.concatenate([none, *volatility])
    return _with_references(slippage_by_volatility(realised, modelled, of_fills, tolerance, sessions=sessions), window)


def references_of(recent: Sequence[FillCosts]) -> str:
    """What the fills of a window were held against where no mid is known of some; empty where it is known of all."""
    window = recent[-SLIPPAGE_SESSIONS:]
    by_bar, unheld = sum(record.by_bar for record in window), sum(record.unheld for record in window)
    fills = sum(len(record.realised) for record in window)
    held = f"{by_bar} of {fills} fills against their bars, for want of a mid" if by_bar else ""
    neither = f"{unheld} of {fills} against nothing (stops, and fills of no order or bar on record)" if unheld else ""
    return ", ".join(filter(None, [held, neither]))


def _with_references(test: SlippageTest, window: Sequence[FillCosts]) -> SlippageTest:
    said = references_of(window)
    return replace(test, message=f"{test.message}; {said}") if said else test
