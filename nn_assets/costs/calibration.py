"""Coefficients of the cost model from fills: proposed, shrunk, bounded, and never put in force here.

With quotes: commission from the statements, half-spread from side x (fill - mid), and the temporary
coefficient alone by a non-negative robust regression, because half-spread and permanent impact are
collinear in turnover. Without quotes only the total shortfall against the reference price is fitted,
through the temporary coefficient; spread and permanent impact stay prior, marked not identified.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.costs.model import COEFFICIENTS, Coefficient, CostModel
from nn_assets.errors import SchemaError
from nn_assets.settings import CostSettings

__all__ = ["CALIBRATION_COLUMNS", "CalibrationResult", "Estimate", "recalibrate"]

FloatArray = npt.NDArray[np.float64]
Status = Literal["self_test", "in_force", "awaiting_approval", "too_few_fills"]

CALIBRATION_COLUMNS = (
    "session",
    "quantity",
    "price",
    "mid_price",
    "commission_usd",
    "impact_usd",
    "source",
    "reference_price",
    "adv_usd",
    "daily_volatility",
)
"""The fills frame's columns, and beside them, for each fill: reference_price of the order's target,
adv_usd and daily_volatility as known before the fill."""

_MINIMUM_FILLS = 30
_DRAWS = 500
_HUBER = 1.345  # 95% efficient under normal errors (Huber 1981, section 4.5)
_MAD_TO_SIGMA = 1.4826
_ITERATIONS = 30
_INTERVAL = (2.5, 97.5)
_INTERVAL_ERRORS = 3.92  # standard errors that a 95% interval spans


@dataclass(frozen=True)
class Estimate:
    """What the fills say of one coefficient, before shrinking; ``None`` values: not identified."""

    raw: float | None
    interval: tuple[float, float] | None
    proposed: float
    prior: float
    fills: int
    note: str

    @property
    def relative_change(self) -> float:
        """Proposed over prior, less one; 0 where both are zero, infinite from a prior of zero."""
        if self.proposed == self.prior:
            return 0.0
        return self.proposed / self.prior - 1.0 if self.prior else float("inf")


@dataclass(frozen=True)
class CalibrationResult:
    """A proposal. ``model`` is the one to put in force when ``status`` is ``in_force``, else the prior.

    ``proposed`` is what the fills would have it be; with ``awaiting_approval`` a person decides.
    """

    status: Status
    model: CostModel
    proposed: CostModel
    estimates: dict[str, Estimate]
    fills: int
    recovered: bool | None
    reason: str


def recalibrate(
    fills: pd.DataFrame, prior: CostModel, settings: CostSettings, *, dated: str, seed: int = 0
) -> CalibrationResult:
    """Propose coefficients from fills.

    Imported fills decide where there are any; paper fills alone make a self-test, which changes
    nothing. Each estimate is shrunk towards the prior by n / (n + prior fills), and bounded to
    within the bound factor of it; a change above ``maximum_unapproved_change`` waits for approval.

    Parameters
    ----------
    fills : DataFrame
        Columns :data:`CALIBRATION_COLUMNS`. NaN in mid_price: no quote at that fill; NaN in
        commission_usd: no statement. Rows without volatility, ADV or price are left out.
    prior : CostModel
        What the estimates are shrunk to and compared with: the settings' own model, so that nothing creeps.
    dated : str
        ISO date put on what is fitted.
    seed : int
        Of the bootstrap by session.

    Raises
    ------
    SchemaError
        A column is missing.
    """
    missing = [name for name in CALIBRATION_COLUMNS if name not in fills.columns]
    if missing:
        raise SchemaError(
            expected=f"columns {', '.join(CALIBRATION_COLUMNS)}",
            found=f"no {', '.join(missing)}",
            remedy="join the fills with the targets and the liquidity they were decided on",
        )
    real = fills[fills["source"] == "imported"]
    paper = real.empty
    used = _usable(fills if paper else real)
    if len(used) < _MINIMUM_FILLS:
        reason = f"{len(used)} usable fills, {_MINIMUM_FILLS} are needed"
        return CalibrationResult("too_few_fills", prior, prior, {}, len(used), None, reason)
    estimates = _estimates(used, prior, settings, np.random.default_rng(seed))
    proposed = _proposed(prior, estimates, dated)
    if paper:
        recovered = all(_recovers(one) for one in estimates.values())
        told = "paper fills test the job and change nothing"
        return CalibrationResult("self_test", prior, proposed, estimates, len(used), recovered, told)
    moved = {name: one.relative_change for name, one in estimates.items()}
    large = {name: change for name, change in moved.items() if abs(change) > settings.maximum_unapproved_change}
    if large:
        listed = ", ".join(f"{name} {change:+.0%}" for name, change in large.items())
        limit = f"{settings.maximum_unapproved_change:.0%}"
        told = f"{listed}: above {limit}, waits for approval: to accept it, state it under costs in the strategy file"
        return CalibrationResult("awaiting_approval", prior, proposed, estimates, len(used), None, told)
    told = ", ".join(f"{name} {change:+.1%}" for name, change in moved.items())
    return CalibrationResult("in_force", proposed, proposed, estimates, len(used), None, told)


def _recovers(estimate: Estimate) -> bool:
    """Whether a self-test found its prior: within four standard errors, and a rounding of 1%.

    Four, because three coefficients are looked at every month: a 95% interval would cry wolf in one
    month of seven.
    """
    if estimate.raw is None or estimate.interval is None:
        return True
    error = (estimate.interval[1] - estimate.interval[0]) / _INTERVAL_ERRORS
    return abs(estimate.raw - estimate.prior) <= 4.0 * error + 0.01 * estimate.prior


def _usable(fills: pd.DataFrame) -> pd.DataFrame:
    positive = (fills[["price", "adv_usd", "daily_volatility"]] > 0.0).all(axis=1)
    return fills[positive & (fills["quantity"] != 0.0) & fills["quantity"].notna()].reset_index(drop=True)


def _estimates(
    fills: pd.DataFrame, prior: CostModel, settings: CostSettings, generator: np.random.Generator
) -> dict[str, Estimate]:
    columns = {name: fills[name].to_numpy(dtype=np.float64) for name in CALIBRATION_COLUMNS if name in _NUMERIC}
    side, price = np.sign(columns["quantity"]), columns["price"]
    value = np.abs(columns["quantity"]) * price
    sigma = columns["daily_volatility"]
    share = value / columns["adv_usd"]
    quoted = np.isfinite(columns["mid_price"])
    impacted = quoted & np.isfinite(columns["impact_usd"])  # a broker's file states a mid, seldom an impact
    _, days = np.unique(fills["session"].to_numpy(), return_inverse=True)

    def mean(observed: FloatArray, rows: npt.NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
        return observed[rows], np.ones(int(rows.sum()))

    parts: dict[str, tuple[FloatArray, FloatArray, npt.NDArray[np.int64], str]] = {}
    stated = np.isfinite(columns["commission_usd"])
    parts["commission"] = (*mean(columns["commission_usd"] / value, stated), days[stated], "statements")
    lasting = prior.permanent_impact.value * share
    if quoted.sum() >= _MINIMUM_FILLS:
        half = side * (price - columns["mid_price"]) / columns["mid_price"]
        parts["half_spread"] = (*mean(half, quoted), days[quoted], "side x (fill - mid)")
    if impacted.sum() >= _MINIMUM_FILLS:
        # Divided by sigma: the noise of a shortfall grows with it, and the slope stays a.
        observed = columns["impact_usd"] / (value * sigma) - lasting
        parts["temporary_impact"] = (
            observed[impacted], np.sqrt(share)[impacted], days[impacted], "impact less permanent, over sigma"
        )  # fmt: skip
    else:
        total = side * (price - columns["reference_price"]) / columns["reference_price"]
        known = np.isfinite(total)
        observed = (total - prior.half_spread.value) / sigma - lasting
        parts["temporary_impact"] = (
            observed[known], np.sqrt(share)[known], days[known], "total shortfall"
        )  # fmt: skip
    return {name: _estimate(getattr(prior, name).value, parts.get(name), settings, generator) for name in COEFFICIENTS}


_NUMERIC = frozenset(CALIBRATION_COLUMNS) - {"session", "source"}


def _estimate(
    prior: float,
    part: tuple[FloatArray, FloatArray, npt.NDArray[np.int64], str] | None,
    settings: CostSettings,
    generator: np.random.Generator,
) -> Estimate:
    if part is None or len(part[0]) < _MINIMUM_FILLS:
        return Estimate(None, None, prior, prior, 0 if part is None else len(part[0]), "not identified")
    observed, regressor, days, source = part
    raw, weights = _robust_slope(observed, regressor)
    interval = _interval(observed, regressor, weights, days, generator)
    count = len(observed)
    shrink = count / (count + settings.calibration_prior_fills)
    factor = settings.calibration_bound_factor
    shrunk = prior + shrink * (raw - prior)
    proposed = min(max(shrunk, prior / factor), prior * factor) if prior else shrunk
    return Estimate(raw, interval, proposed, prior, count, source)


def _robust_slope(observed: FloatArray, regressor: FloatArray) -> tuple[float, FloatArray]:
    """Huber's M-estimate of a slope through the origin, at least zero, and its final weights."""
    weights = np.ones_like(observed)
    slope = 0.0
    for _ in range(_ITERATIONS):
        slope = float((weights * regressor * observed).sum() / (weights * regressor**2).sum())
        residual = np.abs(observed - slope * regressor)
        scale = _MAD_TO_SIGMA * float(np.median(residual))
        if scale == 0.0:
            break
        weights = np.minimum(1.0, _HUBER * scale / np.maximum(residual, 1e-300))
    return max(slope, 0.0), weights


def _interval(
    observed: FloatArray,
    regressor: FloatArray,
    weights: FloatArray,
    days: npt.NDArray[np.int64],
    generator: np.random.Generator,
) -> tuple[float, float]:
    """Bootstrap by session, with the robust weights held: fills of one day share its noise."""
    top = np.bincount(days, weights * regressor * observed)
    bottom = np.bincount(days, weights * regressor**2)
    present = np.flatnonzero(bottom)
    drawn = generator.integers(0, len(present), size=(_DRAWS, len(present)))
    slopes = top[present][drawn].sum(axis=1) / bottom[present][drawn].sum(axis=1)
    low, high = np.percentile(np.maximum(slopes, 0.0), _INTERVAL)
    return float(low), float(high)


def _proposed(prior: CostModel, estimates: dict[str, Estimate], dated: str) -> CostModel:
    def renewed(name: str) -> Coefficient:
        before: Coefficient = getattr(prior, name)
        one = estimates[name]
        if one.raw is None:
            return before
        return replace(before, value=one.proposed, source="fitted", interval=one.interval, dated=dated)

    return CostModel(**{name: renewed(name) for name in COEFFICIENTS})
