"""Coefficients of the cost model from fills: proposed, shrunk, bounded, and never put in force here.

With quotes: commission from the statements, half-spread from side x (fill - mid), permanent impact from the mid
30 to 60 minutes later, and the temporary coefficient alone by a non-negative robust regression, because half-spread
and permanent impact are collinear in turnover. Half-spread, what widens it, and commission are means, however skewed: a
book pays the mean. A fill 30 times as far off as the others is left out of these as an error, and counted in the note;
of one 8 times as far off nobody can say, and the interval covers the mean with it and that without. Without quotes only
the total shortfall against the reference price is fitted, through the temporary coefficient, and robustly: there the
market's own moves are the noise; spread and permanent impact stay prior, marked not identified.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.contracts.frames import FillRows
from nn_assets.costs.model import Coefficient, CostModel
from nn_assets.errors import SchemaError
from nn_assets.measures import NORMAL_MAD
from nn_assets.settings import CostSettings
from nn_assets.units import fraction_to_bps

Status = Literal["self_test", "in_force", "awaiting_approval", "too_few_fills"]

ESTIMATION_COLUMNS = (
    "session",
    "quantity",
    "price",
    "mid_price",
    "commission_usd",
    "impact_usd",
    "source",
    "later_mid_price",
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
_DOUBTFUL, _ABSURD = 8.0, 30.0  # scales from the fit: perhaps no cost that was paid; surely none
_LEAST_SCALE = 0.25  # of the fitted level: what most statements agree on to the cent has no scale of its own
_MOST_ABSURD = 0.03  # share of fills: above it they are not errors
_ITERATIONS = 30
_ROUNDING = 1e-6
_UPPER_TAIL = 0.975
_INTERVAL_ERRORS = 3.92  # standard errors that a 95% interval spans


@dataclass(frozen=True)
class Estimate:
    """What the fills say of one coefficient, before shrinking; ``None`` values: not identified.

    ``interval`` is the 95% interval: sampling error, and for the temporary coefficient also what the
    permanent impact taken off it may be wrong by: anything within its own interval where fills identify it,
    else anything between nothing and the prior times the bound factor.
    """

    raw: float | None
    interval: tuple[float, float] | None
    proposed: float
    prior: float
    fills: int
    note: str
    beyond: str = ""  # where all of the interval lies beyond what a proposal may be: what the fills say


@dataclass(frozen=True)
class CostEstimate:
    """A proposal. ``model`` is the one to put in force when ``status`` is ``in_force``, else the one that is.

    ``proposed`` is what the fills would have it be; with ``awaiting_approval`` a person decides. ``changes`` are
    relative, from the model in force.
    """

    status: Status
    model: CostModel
    proposed: CostModel
    estimates: dict[str, Estimate]
    fills: int
    recovered: bool | None
    reason: str
    changes: dict[str, float] = field(default_factory=dict)


def estimate_costs(
    fills: FillRows,
    prior: CostModel,
    settings: CostSettings,
    *,
    dated: str,
    seed: int = 0,
    in_force: CostModel | None = None,
) -> CostEstimate:
    """Propose coefficients from fills.

    Imported fills decide where there are any, those of one order in one session as one; paper fills alone make a
    self-test, which changes nothing. Each estimate is shrunk towards the prior by n / (n + prior fills), and bounded to
    within the bound factor of it. One whose interval is as wide as its bounds is not identified, and stays
    prior. A change from the model in force above ``maximum_unapproved_change`` waits for approval.

    Parameters
    ----------
    fills : DataFrame
        Columns :data:`ESTIMATION_COLUMNS`, and client_order_id where it is known. NaN in mid_price: no quote at that
        fill; in later_mid_price: none 30 to 60 minutes after it; in commission_usd: no statement. Rows without
        volatility, ADV or price are left out.
    prior : CostModel
        What the estimates are shrunk to and bounded by: the settings' own model, so that nothing creeps.
    dated : str
        ISO date put on what is fitted.
    seed : int
        Of the bootstrap by session.
    in_force : CostModel, optional
        What the proposal is compared with, and what stays without approval; the prior where left out.

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
    holds = prior if in_force is None else in_force
    real = fills[fills["source"] != "paper"]
    paper = real.empty
    used = _usable(fills if paper else _whole_orders(real))
    if len(used) < _MINIMUM_FILLS:
        reason = f"{len(used)} usable fills, {_MINIMUM_FILLS} are needed"
        return CostEstimate("too_few_fills", holds, holds, {}, len(used), None, reason)
    estimates = _estimates(used, prior, settings, np.random.default_rng(seed))
    proposed = _proposed(prior, estimates, dated)
    if paper:
        recovered = all(_recovers(estimate) for estimate in estimates.values())
        note = "paper fills test the job and change nothing"
        return CostEstimate("self_test", holds, proposed, estimates, len(used), recovered, note)
    moved = relative_changes(proposed, holds, float(used["daily_volatility"].median()))
    large = {name: change for name, change in moved.items() if abs(change) > settings.maximum_unapproved_change}
    if large:
        listed = ", ".join(f"{name} {change:+.0%}" for name, change in large.items())
        limit = f"{settings.maximum_unapproved_change:.0%}"
        note = f"{listed}: above {limit} of the model in force, waits for approval: nn-assets costs approve"
        note += _beyond_bounds(estimates)
        return CostEstimate("awaiting_approval", holds, proposed, estimates, len(used), None, note, moved)
    note = ", ".join(_moved(name, change, estimates[name]) for name, change in moved.items()) + _beyond_bounds(
        estimates
    )
    return CostEstimate("in_force", proposed, proposed, estimates, len(used), None, note, moved)


def _moved(name: str, change: float, estimate: Estimate) -> str:
    return f"{name} not identified" if estimate.raw is None and change == 0.0 else f"{name} {change:+.1%}"


def _beyond_bounds(estimates: Mapping[str, Estimate]) -> str:
    """What the fills say of coefficients that a proposal follows no further than its bounds."""
    said = [f"{name} {estimate.beyond}" for name, estimate in estimates.items() if estimate.beyond]
    return f"; {'; '.join(said)}: if the fills are right, correct costs in the strategy's file" if said else ""


def relative_changes(proposed: CostModel, in_force: CostModel, daily_volatility: float) -> dict[str, float]:
    """Each coefficient of a proposal over that in force, less one; infinite from zero.

    The half-spread counts with what volatility widens it by, at ``daily_volatility``: neither of the two alone is
    what is paid.
    """

    def values(model: CostModel) -> dict[str, float]:
        named = {name: coefficient.value for name, coefficient in model.coefficients.items()}
        named["half_spread"] += named.pop("spread_volatility", 0.0) * daily_volatility
        return named

    before = values(in_force)
    return {name: _relative(value, before.get(name, 0.0)) for name, value in values(proposed).items()}


def _relative(after: float, before: float) -> float:
    if after == before:
        return 0.0
    return after / before - 1.0 if before else float("inf")


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


def _whole_orders(fills: pd.DataFrame) -> pd.DataFrame:
    """The fills of one order in one session as one of its whole size, at their mean prices: the price moves by that.

    A part that some of them do not state is not stated. Fills that name no order stay each by itself.
    """
    if "client_order_id" not in fills.columns:
        return fills
    name = fills["client_order_id"].fillna("")
    alone = [f"{number}" for number in range(len(fills))]
    key = name.where(name != "", pd.Series(alone, index=fills.index))
    rows = fills.assign(_order=key, _size=fills["quantity"].abs())
    means = [column for column in ("price", "mid_price", "later_mid_price") if column in rows]
    for column in means:
        rows[column] = rows[column] * rows["_size"]
    grouped = rows.groupby(["_order", "session"], sort=False)
    whole = grouped.head(1).copy()
    summed = grouped[["quantity", "_size", "commission_usd", "impact_usd", *means]].transform(
        lambda column: column.sum(skipna=False)
    )
    for column in summed.columns:
        whole[column] = summed.loc[whole.index, column]
    for column in means:
        whole[column] /= whole["_size"]
    return whole.drop(columns=["_order", "_size"]).reset_index(drop=True)


def _estimates(
    fills: pd.DataFrame, prior: CostModel, settings: CostSettings, generator: np.random.Generator
) -> dict[str, Estimate]:
    columns = {name: fills[name].to_numpy(dtype=np.float64) for name in ESTIMATION_COLUMNS if name in _NUMERIC}
    side, price, mid = np.sign(columns["quantity"]), columns["price"], columns["mid_price"]
    value = np.abs(columns["quantity"]) * price
    sigma = columns["daily_volatility"]
    share = value / columns["adv_usd"]
    quoted = np.isfinite(mid)
    impacted = quoted & np.isfinite(columns["impact_usd"])  # a broker's file states a mid, seldom an impact
    _, days = np.unique(fills["session"].to_numpy(), return_inverse=True)
    rested = (fills["source"] == "paper").to_numpy() & np.isnan(columns["impact_usd"])  # at its limit: it moved nothing
    reported, referenced = np.isfinite(columns["commission_usd"]), np.isfinite(columns["reference_price"]) & ~rested
    # Over sigma, a shortfall's noise is even, and its slope on sqrt(x) is a.
    ones, root = np.ones_like(value), np.sqrt(share)
    factor = settings.calibration_bound_factor

    def part(
        name: str, rows: BoolArray, source: str, observed: FloatArray, *terms: FloatArray, paid: bool = False
    ) -> Estimate:
        regression = _Part(source, observed[rows], np.column_stack(terms)[rows], days[rows], paid=paid)
        return _estimate(getattr(prior, name).value, regression, settings, generator)

    estimates: dict[str, Estimate] = {}
    if quoted.sum() >= _MINIMUM_FILLS:
        half = side * (price - mid) / mid
        estimates |= _of_spread(half[quoted], sigma[quoted], days[quoted], prior, settings, generator)
    if prior.maker_fee is None:  # else what a statement says is of either, and which of them rested is not on record
        estimates["commission"] = part(
            "commission", reported, "statements", columns["commission_usd"] / value, ones, paid=True
        )

    arrival = np.where(
        impacted, mid - side * columns["impact_usd"] / np.abs(columns["quantity"]), columns["reference_price"]
    )
    settled = quoted & np.isfinite(columns["later_mid_price"])
    lasting = settled & np.isfinite(arrival)
    if lasting.sum() >= _MINIMUM_FILLS:
        # What fills foresee moves the later mid too: the same of every size, so that a constant takes it.
        moved = side * (columns["later_mid_price"] / arrival - 1.0) / sigma
        estimates["permanent_impact"] = part(
            "permanent_impact", lasting, "side x (later mid - arrival)", moved, share, ones
        )

    permanent = _Held.of(prior.permanent_impact.value, factor, estimates.get("permanent_impact"))
    terms: tuple[FloatArray, ...] = (root,)
    if impacted.sum() >= _MINIMUM_FILLS:
        rows, source, moved = impacted, "impact less permanent", columns["impact_usd"] / (value * sigma)
    elif settled.sum() >= _MINIMUM_FILLS:
        rows, source, moved = (
            settled,
            "side x (mid - later mid)",
            side * (mid / columns["later_mid_price"] - 1.0) / sigma,
        )
        permanent = _Held(0.0, 0.0, 0.0)
    elif (quoted & referenced).sum() >= _MINIMUM_FILLS:
        rows, source = quoted & referenced, "side x (mid - reference) less permanent"
        moved = side * (mid / columns["reference_price"] - 1.0) / sigma
    else:
        rows, source = referenced, "total shortfall less what no size moves"
        moved, terms = side * (price / columns["reference_price"] - 1.0) / sigma, (root, 1.0 / sigma)
    left = (moved - permanent.value * share)[rows]
    regression = _Part(source, left, np.column_stack(terms)[rows], days[rows], share[rows], permanent)
    estimates["temporary_impact"] = _estimate(prior.temporary_impact.value, regression, settings, generator)
    none = {name: _not_identified(one.value, 0) for name, one in prior.coefficients.items()}
    return {name: estimates.get(name, estimate) for name, estimate in none.items()}


_NUMERIC = frozenset(ESTIMATION_COLUMNS) - {"session", "source"}


class _Held(NamedTuple):
    """The permanent coefficient that is taken off what the temporary one is fitted to, and what it may be instead."""

    value: float
    least: float
    most: float

    @classmethod
    def of(cls, prior: float, factor: float, fitted: Estimate | None) -> Self:
        if fitted is None or fitted.raw is None or fitted.interval is None:
            return cls(prior, 0.0, prior * factor)
        return cls(fitted.raw, *fitted.interval)


_NOTHING_HELD = _Held(0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class _Part:
    """One regression: the first term's coefficient is the one wanted."""

    source: str
    observed: FloatArray  # (fills,)
    terms: FloatArray  # (fills, terms)
    days: npt.NDArray[np.int64]  # (fills,)
    share: FloatArray | None = None  # (fills,), of ADV, where permanent impact was taken off ``observed``
    permanent: _Held = _NOTHING_HELD
    span: float | None = None  # width of an interval that tells nothing; None: that of the bounds
    paid: bool = False  # what is wanted is the mean of what was paid, however skewed


def _not_identified(prior: float, count: int, why: str = "") -> Estimate:
    return Estimate(None, None, prior, prior, count, f"not identified{why}")


def _estimate(prior: float, part: _Part, settings: CostSettings, generator: np.random.Generator) -> Estimate:
    count = len(part.observed)
    sessions = len(np.unique(part.days))
    if count < _MINIMUM_FILLS or sessions < _MINIMUM_SESSIONS:
        needed = f"{_MINIMUM_FILLS} of {_MINIMUM_SESSIONS} are needed"
        return _not_identified(prior, count, f": {count} fills of {sessions} sessions, {needed}" if count else "")
    if not _is_identifiable(part.terms):
        return _not_identified(prior, count, ": every fill of one size and volatility")
    raw, weights = _robust_slope(part.observed, part.terms)
    factor, source, sure = settings.calibration_bound_factor, part.source, weights
    if part.paid:
        weights, sure = _paid(part, weights)
        errors = int((weights == 0.0).sum())
        if errors > _MOST_ABSURD * count:
            return _not_identified(prior, count, f": {errors} of them are {_ABSURD:g} times as far off as the others")
        raw = _weighted_slope(part.observed, part.terms, weights)
        source += f", {errors} left out as errors" if errors else ""
    low, high = _interval(raw, part, weights, generator)
    if not np.array_equal(sure, weights):
        without = _interval(_weighted_slope(part.observed, part.terms, sure), part, sure, generator)
        low, high = min(low, without[0]), max(high, without[1])
    below, above = _held_range(part, weights)
    low, high = low - below, high + above
    span = prior * (factor - 1.0 / factor) if part.span is None else part.span
    outside = prior > 0.0 and (low > prior * factor or high < prior / factor)
    if span > 0.0 and high - low > span and not outside:
        least = max(low, 0.0) if high > 0.0 else low
        return _not_identified(prior, count, f": the fills leave it anywhere from {least:.3g} to {high:.3g}")
    interval = (max(0.0, low), max(0.0, high))
    raw = max(raw, 0.0)
    shrunk = prior + count / (count + settings.calibration_prior_fills) * (raw - prior)
    proposed = min(max(shrunk, prior / factor), prior * factor) if prior else shrunk
    beyond = _beyond(raw, interval, prior, factor, in_bps=part.paid) if outside else ""
    return Estimate(raw, interval, proposed, prior, count, source, beyond)


def _beyond(raw: float, interval: tuple[float, float], prior: float, factor: float, *, in_bps: bool) -> str:
    """An estimate of which a proposal cannot be, in words; what is paid of each dollar is told in basis points."""

    def shown(value: float) -> str:
        return f"{fraction_to_bps(value) if in_bps else value:.3g}"

    unit = " bps" if in_bps else ""
    bound = f"beyond the bound of {factor:g} times" if raw > prior else f"below the bound of 1/{factor:g} of"
    low, high = map(shown, interval)
    return f"estimated {shown(raw)}{unit} ({low} to {high}), {bound} the setting {shown(prior)}{unit}"


def _held_range(part: _Part, weights: FloatArray) -> tuple[float, float]:
    """By how much the slope may lie below and above, for the permanent impact that was taken off."""
    if part.share is None:
        return 0.0, 0.0
    held = part.permanent
    slope = _weighted_slope(part.share, part.terms, weights)
    return (held.most - held.value) * slope, (held.value - held.least) * slope


def _of_spread(
    half: FloatArray,
    sigma: FloatArray,
    days: npt.NDArray[np.int64],
    prior: CostModel,
    settings: CostSettings,
    generator: np.random.Generator,
) -> dict[str, Estimate]:
    """The half-spread, and what volatility widens it by where the model has that; arrays (fills,).

    Neither is negative: where one would be, the other is fitted without it. Together they stay within the bounds of
    the half-spread, at the fills' median volatility.
    """
    still, ones = prior.half_spread.value, np.ones_like(half)

    def fitted(
        observed: FloatArray, before: float, *terms: FloatArray, span: float | None = None, apart: bool = False
    ) -> Estimate:
        part = _Part("side x (fill - mid)", observed, np.column_stack(terms), days, span=span, paid=True)
        return _estimate(before, part, settings, generator.spawn(1)[0] if apart else generator)

    if prior.spread_volatility is None:
        return {"half_spread": fitted(half, still, ones)}
    widening, median, factor = prior.spread_volatility.value, float(np.median(sigma)), settings.calibration_bound_factor
    expected = still + widening * median
    span, least, most = expected * (factor - 1.0 / factor), expected / factor, expected * factor
    whole = fitted(half, expected, ones, sigma - median, span=span, apart=True)
    beyond = f"with what widens it at the median volatility: {whole.beyond}" if whole.beyond else ""

    def both(level: Estimate, slope: Estimate) -> dict[str, Estimate]:
        return {"half_spread": replace(level, beyond=beyond), "spread_volatility": replace(slope, beyond="")}

    slope = fitted(half, widening, sigma, ones, span=span / median)
    if slope.raw is None:
        level = fitted(half - widening * sigma, still, ones)
        if level.interval is not None:  # of all that is paid, any part may be what widens it
            level = replace(level, interval=(0.0, level.interval[1] + widening * median))
        return both(level, slope)
    level = fitted(half, still, ones, sigma, span=span)
    if slope.raw == 0.0:
        level = fitted(half, still, ones)
    elif level.raw == 0.0:
        slope = fitted(half, widening, sigma, span=span / median)
    if slope.raw is None:
        return both(level, slope)
    if level.raw is None:
        bounded = min(max(slope.proposed * median, least - still), most - still) / median
        return both(level, replace(slope, proposed=max(bounded, 0.0)))
    weight = len(half) / (len(half) + settings.calibration_prior_fills)
    values = [still + weight * (level.raw - still), widening + weight * (slope.raw - widening)]
    total = values[0] + values[1] * median
    scale = min(max(total, least), most) / total if total and expected else 1.0
    return both(replace(level, proposed=values[0] * scale), replace(slope, proposed=values[1] * scale))


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


def _paid(part: _Part, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights (fills,) of a mean: without what surely is an error, and without what is in doubt either."""
    root = np.sqrt(weights)
    level = part.terms @ np.linalg.lstsq(root[:, None] * part.terms, root * part.observed, rcond=None)[0]
    distance = np.abs(part.observed - level)
    least = _LEAST_SCALE * float(np.median(np.abs(level)))
    scale = max(NORMAL_MAD * float(np.median(distance)), least)
    return (distance <= _ABSURD * scale).astype(np.float64), (distance <= _DOUBTFUL * scale).astype(np.float64)


def _interval(slope: float, part: _Part, weights: FloatArray, generator: np.random.Generator) -> tuple[float, float]:
    """A 95% interval of the slope, bootstrapped by session: fills of one session share its noise.

    The robust weights are held, which understates the spread by the share of fills that they leave whole
    (Huber 1981, section 6.6). Student's t, and the bootstrap's missing degrees of freedom, for few sessions. A mean of
    what was paid errs more to one side, as its sessions do: its interval is moved by the term of first order (Johnson
    1978, "Modified t tests and confidence intervals for asymmetrical populations", JASA 73).
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
    freedom = len(days) - width
    spread = float(slopes.std(ddof=1)) * (len(days) / freedom) ** 0.5
    held = 1.0 if part.paid else float(weights.mean() / (weights == 1.0).mean())
    t = float(stdtrit(freedom, _UPPER_TAIL))
    moved = (1.0 + 2.0 * t * t) / 6.0 * _skewness(moments, products) if part.paid else 0.0
    return slope + spread * held * (moved - t), slope + spread * held * (moved + t)


def _skewness(moments: FloatArray, products: FloatArray) -> float:
    """Skewness of the first coefficient's error, from what each session adds to it.

    X'X (sessions, terms, terms) and X'y (sessions, terms) of each session.
    """
    inverse = np.linalg.pinv(moments.sum(axis=0), hermitian=True)
    left = products - moments @ (inverse @ products.sum(axis=0))
    added = left @ inverse[0]
    squares = float((added**2).sum())
    return float((added**3).sum()) / squares**1.5 if squares > 0.0 else 0.0


def _proposed(prior: CostModel, estimates: dict[str, Estimate], dated: str) -> CostModel:
    def renewed(name: str, before: Coefficient) -> Coefficient:
        estimate = estimates[name]
        if estimate.raw is None:
            return before
        return replace(before, value=estimate.proposed, source="fitted", interval=estimate.interval, dated=dated)

    return CostModel(**{name: renewed(name, before) for name, before in prior.coefficients.items()})
