"""The one cost object: it prices a position when sizing, in simulation, and in attribution.

Per dollar traded, with x = order / average daily volume (both in dollars) and sigma the daily
volatility of the instrument, cost = half_spread + commission + a * sigma * sqrt(x) + b * sigma * x.
The square root is Almgren, Thum, Hauptmann and Li (2005), "Direct estimation of equity market
impact", with exponent 1/2 for their 0.6; dollar cost therefore grows with size to the power 1.5.

Two parts are there only where a strategy states them: half_spread grows by c * sigma, c the ``spread_volatility``, and
what rests at a venue pays a ``maker_fee`` in place of the commission, which is then the taker's fee.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import FloatArray
from nn_assets.settings import CostSettings
from nn_assets.units import bps_to_fraction

COEFFICIENTS = ("half_spread", "commission", "temporary_impact", "permanent_impact")
STATED_ONLY = ("spread_volatility", "maker_fee")
"""Coefficients that a model has where its strategy's settings state them."""


@dataclass(frozen=True)
class Coefficient:
    """One coefficient with what is needed to trust it.

    ``interval`` is the 95% confidence interval in ``unit``; ``None`` for a default, which was
    assumed and not estimated. ``dated`` is the ISO date of the last fill used; ``None`` likewise.
    """

    value: float
    unit: str
    source: Literal["default", "fitted"] = "default"
    interval: tuple[float, float] | None = None
    dated: str | None = None


@dataclass(frozen=True)
class CostParts:
    """Fractions of the traded value, each of the orders' shape; they add up to the cost."""

    half_spread: FloatArray
    commission: FloatArray
    temporary: FloatArray
    permanent: FloatArray

    @property
    def impact(self) -> FloatArray:
        """Temporary and permanent impact together, fraction."""
        return self.temporary + self.permanent

    @property
    def total(self) -> FloatArray:
        """The whole cost, fraction of the traded value."""
        return self.half_spread + self.commission + self.temporary + self.permanent


@dataclass(frozen=True)
class CostModel:
    """Four coefficients, and two that not every model has.

    ``half_spread``, ``commission`` and ``maker_fee`` (negative: a rebate) are fractions, the others pure numbers.
    """

    half_spread: Coefficient
    commission: Coefficient  # the taker's fee, where there is a maker's
    temporary_impact: Coefficient
    permanent_impact: Coefficient
    spread_volatility: Coefficient | None = None
    maker_fee: Coefficient | None = None

    @property
    def coefficients(self) -> dict[str, Coefficient]:
        """The coefficients that the model has, by name."""
        named = {name: getattr(self, name) for name in (*COEFFICIENTS, *STATED_ONLY)}
        return {name: coefficient for name, coefficient in named.items() if coefficient is not None}

    def linear(self, daily_volatility: float) -> float:
        """Half-spread and commission of what crosses the spread, at a daily volatility; fraction of the traded value.

        The part of the cost that no size moves; without ``spread_volatility`` it is the same at any volatility.
        """
        return self.half_spread.value + self.commission.value + self.widening(daily_volatility)

    def widening(self, daily_volatility: float) -> float:
        """What a daily volatility adds to the half-spread, fraction; nothing without ``spread_volatility``."""
        return 0.0 if self.spread_volatility is None else self.spread_volatility.value * daily_volatility

    def parts(
        self,
        order_usd: npt.ArrayLike,
        adv_usd: npt.ArrayLike,
        daily_volatility: npt.ArrayLike,
        *,
        maker_share: npt.ArrayLike = 0.0,
    ) -> CostParts:
        """Cost of orders by part.

        Parameters
        ----------
        order_usd : array_like
            Value of each order, dollars; the sign is ignored. Zero gives the cost of the first dollar.
        adv_usd : array_like
            Average daily volume, dollars. Missing, zero or negative gives NaN, never "no impact".
        daily_volatility : array_like
            Standard deviation of the daily return, fraction. Missing or negative gives NaN.
        maker_share : array_like
            Share of each order, 0 to 1, that rests and pays ``maker_fee``; of no effect where the model has none.
            It changes the commission alone: what a resting order pays in place of the half-spread is the fill's.

        Returns
        -------
        CostParts
            Fractions of the traded value in the broadcast shape of the arguments. NaN in any
            argument is NaN in both impacts of that order, and therefore in its total.
        """
        order, adv, sigma = np.broadcast_arrays(
            np.abs(np.asarray(order_usd, dtype=np.float64)),
            np.asarray(adv_usd, dtype=np.float64),
            np.asarray(daily_volatility, dtype=np.float64),
        )
        known = (adv > 0.0) & (sigma >= 0.0)
        share = order / np.where(known, adv, np.nan)
        half_spread = np.full(order.shape, self.half_spread.value)
        if self.spread_volatility is not None:
            half_spread = half_spread + self.spread_volatility.value * np.where(sigma >= 0.0, sigma, np.nan)
        commission = np.full(order.shape, self.commission.value)
        if self.maker_fee is not None:
            rests = np.asarray(maker_share, dtype=np.float64)
            commission = (1.0 - rests) * commission + rests * self.maker_fee.value
        return CostParts(
            half_spread=half_spread,
            commission=commission,
            temporary=self.temporary_impact.value * sigma * np.sqrt(share),
            permanent=self.permanent_impact.value * sigma * share,
        )

    def cost_fraction(
        self, order_usd: npt.ArrayLike, adv_usd: npt.ArrayLike, daily_volatility: npt.ArrayLike
    ) -> FloatArray:
        """One-way cost per dollar traded; arguments, shape and NaN as in :meth:`parts`."""
        return self.parts(order_usd, adv_usd, daily_volatility).total

    def to_dict(self) -> dict[str, dict[str, object]]:
        """Plain values, for the ledger; :meth:`from_dict` gives the same model back."""
        return {name: dict(vars(coefficient)) for name, coefficient in self.coefficients.items()}

    @classmethod
    def from_dict(cls, stored: dict[str, dict[str, object]]) -> CostModel:
        """Return the model that :meth:`to_dict` described."""
        named = (*COEFFICIENTS, *(name for name in STATED_ONLY if name in stored))
        return cls(**{name: _coefficient_from(stored[name]) for name in named})


def _coefficient_from(stored: dict[str, object]) -> Coefficient:
    interval = stored["interval"]
    source: Literal["default", "fitted"] = "fitted" if stored["source"] == "fitted" else "default"
    return Coefficient(
        value=float(stored["value"]),  # type: ignore[arg-type]
        unit=str(stored["unit"]),
        source=source,
        interval=None if interval is None else (float(interval[0]), float(interval[1])),  # type: ignore[index]
        dated=None if stored["dated"] is None else str(stored["dated"]),
    )


def cost_model_from(settings: CostSettings) -> CostModel:
    """Return the model that a strategy's settings state, every coefficient marked as a default."""
    per_dollar, pure = "fraction of traded value", "multiple of daily volatility"
    spread_volatility, maker_bps = settings.spread_volatility, settings.maker_fee_bps
    return CostModel(
        half_spread=Coefficient(bps_to_fraction(settings.half_spread_bps), per_dollar),
        commission=Coefficient(bps_to_fraction(settings.commission_bps), per_dollar),
        temporary_impact=Coefficient(settings.temporary_impact, f"{pure} x sqrt(order / ADV)"),
        permanent_impact=Coefficient(settings.permanent_impact, f"{pure} x order / ADV"),
        spread_volatility=None if spread_volatility is None else Coefficient(spread_volatility, pure),
        maker_fee=None if maker_bps is None else Coefficient(bps_to_fraction(maker_bps), per_dollar),
    )
