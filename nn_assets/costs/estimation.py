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

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.contracts.frames import FillRows
from nn_assets.costs.model import COEFFICIENTS, Coefficient, CostModel
from nn_assets.errors import SchemaError
from nn_assets.measures import NORMAL_MAD
from nn_assets.settings import CostSettings

Status = Literal["self_test", "in_force", "awaiting_approval", "too_few_fills"]

ESTIMATION_COLUMNS = (
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
_MINIMUM_SESSIONS = 10  # fills of one session share its noise: an interval is made of sessions
_DRAWS = 500
_HUBER = 1.345  # 95% efficient under normal errors (Huber 1981, section 4.5)
_ITERATIONS = 30
_ROUNDING = 1e-6
_UPPER_TAIL = 0.975
_INTERVAL_ERRORS = 3.92  # standard errors that a 95% interval spans


@dataclass(frozen=True)
class Estimate:
    """What the fills say of one coefficient, before shrinking; ``None`` values: not identified.

    ``interval`` is the 95% interval: sampling error, and for the temporary coefficient also what a
    permanent impact of anything between nothing and the prior times the bound factor would move it by.
    """

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
class CostEstimate:
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


def estimate_costs(
    fills: FillRows, prior: CostModel, settings: CostSettings, *, dated: str, seed: int = 0
) -> CostEstimate:
    """Propose coefficients from fills.

    Imported fills decide where there are any; paper fills alone make a self-test, which changes
    nothing. Each estimate is shrunk towards the prior by n / (n + prior fills), and bounded to
    within the bound factor of it; a change above ``maximum_unapproved_change`` waits for approval.

    Parameters
    ----------
    fills : DataFrame
        Columns :data:`ESTIMATION_COLUMNS`. NaN in mid_price: no quote at that fill; NaN in
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
    missing = [name for name in ESTIMATION_COLUMNS if name not in fills.columns]
    if missing:
        raise SchemaError(
            expected=f"columns {', '.join(ESTIMATION_COLUMNS)}",
            found=f"no {', '.join(missing)}",
            remedy="join the fills with the targets and the liquidity they were decided on",
        )
    real = fills[fills["source"] == "imported"]
    paper = real.empty
    used = _usable(fills if paper else real)
    if len(used) < _MINIMUM_FILLS:
        reason = f"{len(used)} usable fills, {_MINIMUM_FILLS} are needed"
        return CostEstimate("too_few_fills", prior, prior, {}, len(used), None, reason)
    estimates = _estimates(used, prior, settings, np.random.default_rng(seed))
    proposed = _proposed(prior, estimates, dated)
    if paper:
        recovered = all(_recovers(estimate) for estimate in estimates.values())
        note = "paper fills test the job and change nothing"
        return CostEstimate("self_test", prior, proposed, estimates, len(used), recovered, note)
    moved = {name: estimate.relative_change for name, estimate in estimates.items()}
    large = {name: change for name, change in moved.items() if abs(change) > settings.maximum_unapproved_change}
    if large:
        listed = ", ".join(f"{name} {change:+.0%}" for name, change in large.items())
        limit = f"{settings.maximum_unapproved_change:.0%}"
        note = f"{listed}: above {limit}, waits for approval: to accept it, state it under costs in the strategy file"
        return CostEstimate("awaiting_approval", prior, proposed, estimates, len(used), None, note)
    note = ", ".join(f"{name} {change:+.1%}" for name, change in moved.items())
    return CostEstimate("in_force", proposed, proposed, estimates, len(used), None, note)


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
    columns = {name: fills[name].to_numpy(dtype=np.float64) for name in ESTIMATION_COLUMNS if name in _NUMERIC}
    side, price = np.sign(columns["quantity"]), columns["price"]
    value = np.abs(columns["quantity"]) * price
    sigma = columns["daily_volatility"]
    share = value / columns["adv_usd"]
    quoted = np.isfinite(columns["mid_price"])
    impacted = quoted & np.isfinite(columns["impact_usd"])  # a broker's file states a mid, seldom an impact
    _, days = np.unique(fills["session"].to_numpy(), return_inverse=True)
    reported, referenced = np.isfinite(columns["commission_usd"]), np.isfinite(columns["reference_price"])
    # Over sigma, a shortfall's noise is even, and its slope on sqrt(x) is a.
    ones, root, lasting = np.ones_like(value), np.sqrt(share), prior.permanent_impact.value * share
    parts: dict[str, _Part] = {}

    def put(name: str, rows: BoolArray, source: str, observed: FloatArray, *terms: FloatArray) -> None:
        held = lasting[rows] if name == "temporary_impact" else np.zeros(int(rows.sum()))
        parts[name] = _Part(source, observed[rows] - held, np.column_stack(terms)[rows], days[rows], held)

    put("commission", reported, "statements", columns["commission_usd"] / value, ones)
    if quoted.sum() >= _MINIMUM_FILLS:
        half = side * (price - columns["mid_price"]) / columns["mid_price"]
        put("half_spread", quoted, "side x (fill - mid)", half, ones)
    if impacted.sum() >= _MINIMUM_FILLS:
        put("temporary_impact", impacted, "impact less permanent", columns["impact_usd"] / (value * sigma), root)
    elif (quoted & referenced).sum() >= _MINIMUM_FILLS:
        moved = side * (columns["mid_price"] / columns["reference_price"] - 1.0)
        put("temporary_impact", quoted & referenced, "side x (mid - reference) less permanent", moved / sigma, root)
    else:
        total = side * (price / columns["reference_price"] - 1.0)
        put("temporary_impact", referenced, "total shortfall less what no size moves", total / sigma, root, 1.0 / sigma)
    return {name: _estimate(getattr(prior, name).value, parts.get(name), settings, generator) for name in COEFFICIENTS}


_NUMERIC = frozenset(ESTIMATION_COLUMNS) - {"session", "source"}


@dataclass(frozen=True, eq=False)
class _Part:
    """One regression: the first term's coefficient is the one wanted."""

    source: str
    observed: FloatArray  # (fills,)
    terms: FloatArray  # (fills, terms)
    days: npt.NDArray[np.int64]  # (fills,)
    held: FloatArray  # (fills,), permanent impact as the prior has it, already taken off ``observed``


def _estimate(prior: float, part: _Part | None, settings: CostSettings, generator: np.random.Generator) -> Estimate:
    count = 0 if part is None else len(part.observed)
    if part is None or count < _MINIMUM_FILLS or len(np.unique(part.days)) < _MINIMUM_SESSIONS:
        return Estimate(None, None, prior, prior, count, "not identified")
    if not _is_identifiable(part.terms):
        return Estimate(None, None, prior, prior, count, "not identified: every fill of one size and volatility")
    raw, weights = _robust_slope(part.observed, part.terms)
    half = _half_width(part, weights, generator)
    factor = settings.calibration_bound_factor
    held = _weighted_slope(part.held, part.terms, weights)
    interval = (max(0.0, raw - half - (factor - 1.0) * held), max(0.0, raw + half + held))
    raw = max(raw, 0.0)
    shrunk = prior + count / (count + settings.calibration_prior_fills) * (raw - prior)
    proposed = min(max(shrunk, prior / factor), prior * factor) if prior else shrunk
    return Estimate(raw, interval, proposed, prior, count, part.source)


def _is_identifiable(terms: FloatArray) -> bool:
    """Whether the first term varies by more than rounding beside the others."""
    first, others = terms[:, 0], terms[:, 1:]
    left = first - others @ np.linalg.lstsq(others, first, rcond=None)[0] if others.shape[1] else first
    return float(np.linalg.norm(left)) > _ROUNDING * float(np.linalg.norm(first))


def _coefficients(moments: FloatArray, products: FloatArray) -> FloatArray:
    """First coefficient of least squares from X'WX (..., k, k) and X'Wy (..., k)."""
    return np.asarray((np.linalg.pinv(moments, hermitian=True) @ products[..., None])[..., 0, 0])


def _weighted_slope(observed: FloatArray, terms: FloatArray, weights: FloatArray) -> float:
    return float(_coefficients(terms.T @ (weights[:, None] * terms), terms.T @ (weights * observed)))


def _robust_slope(observed: FloatArray, terms: FloatArray) -> tuple[float, FloatArray]:
    """Huber's M-estimate of the first term's coefficient, and its final weights."""
    weights = np.ones_like(observed)
    for _ in range(_ITERATIONS):
        root = np.sqrt(weights)
        fitted = np.linalg.lstsq(root[:, None] * terms, root * observed, rcond=None)[0]
        residual = np.abs(observed - terms @ fitted)
        scale = NORMAL_MAD * float(np.median(residual))
        if scale == 0.0:
            break
        weights = np.minimum(1.0, _HUBER * scale / np.maximum(residual, 1e-300))
    return float(fitted[0]), weights


def _half_width(part: _Part, weights: FloatArray, generator: np.random.Generator) -> float:
    """Half a 95% interval, bootstrapped by session: fills of one session share its noise.

    The robust weights are held, which understates the spread by the share of fills that they leave whole
    (Huber 1981, section 6.6). Student's t, and the bootstrap's missing degree of freedom, for few sessions.
    """
    from scipy.special import stdtrit

    width = part.terms.shape[1]
    wide = weights[:, None] * part.terms
    days, inverse = np.unique(part.days, return_inverse=True)
    moments, products = np.zeros((len(days), width, width)), np.zeros((len(days), width))
    np.add.at(moments, inverse, wide[:, :, None] * part.terms[:, None, :])
    np.add.at(products, inverse, wide * part.observed[:, None])
    drawn = generator.integers(0, len(days), size=(_DRAWS, len(days)))
    times = np.stack([np.bincount(draw, minlength=len(days)) for draw in drawn]).astype(np.float64)
    slopes = _coefficients(np.tensordot(times, moments, 1), times @ products)
    spread = float(slopes.std(ddof=1)) * (len(days) / (len(days) - 1)) ** 0.5
    held = float(weights.mean() / (weights == 1.0).mean())
    return float(stdtrit(len(days) - 1, _UPPER_TAIL) * spread * held)


def _proposed(prior: CostModel, estimates: dict[str, Estimate], dated: str) -> CostModel:
    def renewed(name: str) -> Coefficient:
        before: Coefficient = getattr(prior, name)
        estimate = estimates[name]
        if estimate.raw is None:
            return before
        return replace(before, value=estimate.proposed, source="fitted", interval=estimate.interval, dated=dated)

    return CostModel(**{name: renewed(name) for name in COEFFICIENTS})
