"""What ``portfolio.construction: programme`` knows at a session beside what every decision does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.features.labels import Labels, label_kind
from nn_assets.learning.forecasts import ForecastArrays
from nn_assets.portfolio.expected import NORMAL_SLOPE
from nn_assets.portfolio.inputs import ProgrammeFacts
from nn_assets.portfolio.sizing_history import SizingHistory
from nn_assets.session.market_view import MarketView
from nn_assets.settings import Strategy
from nn_assets.signals.signals import OutcomeStatistics


@dataclass(frozen=True, eq=False)
class ProgrammeWatch:
    """The programme's facts row by row; row t reads what was known at t, to the bit."""

    history: SizingHistory
    market: MarketView
    covariance_sessions: int
    short_fee: float
    margin_fee: float
    participation_cap: float  # share of a session's volume that can be traded
    relative: bool  # whether the returns expected are less the names' mean
    funding_sessions: int | None = None  # over which funding is expected; None: it is not

    def at(self, row: int) -> ProgrammeFacts:
        """What session ``row`` knows."""
        facts, market = self.history.at(row), self.market
        traded = market.traded_usd[row]
        return ProgrammeFacts(
            label_volatility=self.history.volatility[row],
            outcome_slope=facts.outcome_slope,
            change_share=facts.change_share,
            autocorrelation=facts.autocorrelation,
            returns=market.returns[max(0, row + 1 - self.covariance_sessions) : row + 1],
            members=None if market.candidates is None else market.candidates[row],
            relative=self.relative,
            short_fee=self.short_fee,
            margin_fee=self.margin_fee,
            funding=self._funding(row),
            reach_usd=np.where(np.isfinite(traded), self.participation_cap * traded, np.inf),
        )

    def _funding(self, row: int) -> FloatArray | None:
        """What longs are expected to pay over the horizon, at the rates of session ``row`` as known at its decision."""
        if self.funding_sessions is None or self.market.funding is None:
            return None
        return np.asarray(self.market.funding.rate[row] * self.funding_sessions)


def programme_watch(
    strategy: Strategy,
    sessions_per_year: int,
    market: MarketView,
    forecasts: ForecastArrays,
    labels: Labels,
    outcomes: OutcomeStatistics,
    volatility_forecast: FloatArray | None = None,
) -> ProgrammeWatch | None:
    """The watch over a cut of the facts; None where each name is sized by itself.

    Parameters
    ----------
    sessions_per_year : int
        Of the calendar, for fees over the horizon.
    market : MarketView
        On the session axis, at least as long as the labels.
    forecasts, labels, outcomes
        Of one estimator, on the session axis; row t uses labels realised at or before t.
    volatility_forecast : ndarray, shape (bars, symbols), optional
        Of the return that the label is made of, fraction per session, on the axis of the labels; the EWMA of it when
        left out. A label that learns a value is in a unit of its own, and reads none.

    Returns
    -------
    ProgrammeWatch or None
        Fees are simple interest over the horizon. Borrowed cash pays the margin spread alone: what a name is
        expected to earn is in excess of the cash rate already. Of margined positions no cash is borrowed. What funding
        a position will pay is not known at its decision; it is counted, at the last session's rate, where
        ``portfolio.expect_funding`` says so.

    Notes
    -----
    The names' mean is taken off where the label is relative, and with ``novelty`` in any dollar-neutral book: of a name
    that is believed less what is left is beside the others, not beside zero, which would be the other side of the book.

    Where values are learned, the return in units of its recent deviation s, u, is forecast as p = Phi(E[u]). The
    expected return s (E[u] - E0[u]) is beta (p - p0) s with beta = 1 / phi(0), to first order: 1% less where E[u] is
    0.25, 4% where it is 0.5. The recent mean, which a z-score is less, is in no u: it is foretold by itself.
    No forecast of volatility has a part in it: u is a return in units of s, and what is expected of it is s E[u].
    """
    if strategy.portfolio.construction != "programme":
        return None
    relative, horizon = label_kind(strategy.label).relative, strategy.label.horizon_sessions
    if labels.scale is not None:
        volatility, stated_slope = labels.scale / np.sqrt(horizon), NORMAL_SLOPE
    else:
        recent = market.relative_volatility if relative else market.volatility
        volatility, stated_slope = recent if volatility_forecast is None else volatility_forecast, None
    record = SizingHistory(
        probability=forecasts.probability,
        score=forecasts.score,
        label_returns=labels.returns,
        realised_row=labels.realised_row,
        volatility=volatility[: len(labels.returns)],
        effective_outcomes=outcomes.count,
        horizon_sessions=horizon,
        relative=relative,
        stated_slope=stated_slope,
    )
    years = horizon / sessions_per_year
    return ProgrammeWatch(
        history=record,
        market=market,
        covariance_sessions=strategy.portfolio.covariance_sessions,
        short_fee=strategy.costs.borrow_fee_annual_fraction * years,
        margin_fee=0.0 if strategy.market.margined else strategy.costs.margin_spread_annual_fraction * years,
        participation_cap=strategy.execution.participation_cap_fraction,
        # In a neutral book what all names share earns nothing: what is believed of a name is beside the others.
        funding_sessions=horizon if strategy.portfolio.expect_funding else None,
        relative=relative or (strategy.novelty is not None and strategy.portfolio.net_limit == 0.0),
    )
