"""A market's regime by a Markov model of its return: states with means and variances of their own, filtered alone.

Parameters are fitted once, to some rows, and then stand. The state of a session is read off the forward recursion,
which knows the returns until that session and no later one; what a smoother would say of it with the rest of the
history is never asked for outside of a fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from nn_assets.arrays import FloatArray, read_only_fields

FEWEST_ROWS = 250
"""Returns below which nothing is fitted: a year of sessions, which a rare state needs to be seen at all."""

STATE_NAMES = {2: ("calm", "turbulent"), 3: ("calm", "ordinary", "turbulent")}
"""What the states are called, by how many there are, in the order of their variance."""

_MOST_STEPS = 500
_SETTLED = 1e-6  # of the log likelihood a row, gained by a step: no parameter moves by what a report shows
_FEWEST_ROWS_OF_A_STATE = 20.0  # expected
_SMALLEST_VARIANCE = 1e-3  # of the sample's: below it a state sits on a few equal returns, and likelihood has no bound
_CONSTANT = 1e-12  # variance of returns, below which nothing moves
_LEAST_RATIO = 2.0  # of the largest variance to the smallest: below it the rows show one regime, split by chance
_STAYS = 0.95
_SHARES = {2: (0.75, 1.0), 3: (0.5, 0.85, 1.0)}  # of the rows that the search begins with in each state, added up
_LEAST_CHANCE = 1e-300  # of a state before a row: a fit may find no move into it, and a shock needs it all the same
_PACE_ROWS = 10  # over which the search looks at how large returns are
_LOG_TWO_PI = math.log(2.0 * math.pi)


@dataclass(frozen=True, eq=False)
class MarkovModel:
    """Parameters, the states in order of their variance."""

    mean: FloatArray  # (states,), log return a session
    variance: FloatArray  # (states,), ascending
    transition: FloatArray  # (states, states), from row to column

    def __post_init__(self) -> None:
        read_only_fields(self)

    @property
    def states(self) -> int:
        """How many states there are."""
        return len(self.mean)

    def stationary(self) -> FloatArray:
        """Probability of each state in the long run, (states,)."""
        system = np.vstack([self.transition.T - np.eye(self.states), np.ones(self.states)])
        chances: FloatArray = np.linalg.lstsq(system, np.append(np.zeros(self.states), 1.0), rcond=None)[0]
        return chances.clip(0.0, 1.0)

    def to_record(self) -> dict[str, Any]:
        """As JSON values."""
        return {name: getattr(self, name).tolist() for name in ("mean", "variance", "transition")}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """Rebuild what ``to_record`` described."""
        return cls(**{name: np.array(record[name], dtype=np.float64) for name in ("mean", "variance", "transition")})


@dataclass(frozen=True, eq=False)
class MarkovFit:
    """A fitted model, or why there is none."""

    model: MarkovModel | None
    reason: str = ""  # empty with a model


def filtered_probabilities(model: MarkovModel, returns: FloatArray) -> FloatArray:
    """Probability of each state after each return, given the returns until then alone.

    Parameters
    ----------
    model : MarkovModel
    returns : ndarray, shape (bars,)
        Log returns a session. One that is not finite says nothing: the state moves on by its transition.

    Returns
    -------
    ndarray, shape (bars, states)
        Rows sum to one. Row t is the same to the bit whatever follows it.

    Notes
    -----
    Of a state that the parameters rule out 1e-300 is kept, for a return that no other state explains.

    Hamilton (1989), "A new approach to the economic analysis of nonstationary time series", Econometrica 57,
    equations 4.5 to 4.7; before the first return, the long-run probabilities.
    """
    logs = _log_densities(model, returns)
    return _forward(model, model.stationary(), np.exp(logs - logs.max(axis=1, keepdims=True)))[0]


def fit_markov(returns: FloatArray, states: int) -> MarkovFit:
    """Fit a model by maximum likelihood.

    Parameters
    ----------
    returns : ndarray, shape (rows,)
        Log returns a session, in order; those that are not finite are stepped over.
    states : int
        2 or 3.

    Returns
    -------
    MarkovFit
        No model, with the reason, where there are too few returns, none of them moves, the search does not come to
        rest, a state holds hardly any rows, or the variances of the states hardly differ.

    Notes
    -----
    Expectation maximisation: Hamilton (1990), "Analysis of time series subject to changes in regime", Journal of
    Econometrics 45, section 3. The search begins with the rows in groups by how large the returns around them are,
    and draws nothing: the same returns give the same bits.
    """
    kept = np.asarray(returns, dtype=np.float64)[np.isfinite(returns)]
    if len(kept) < FEWEST_ROWS:
        return MarkovFit(None, f"{len(kept)} returns to fit on, {FEWEST_ROWS} needed")
    sample = float(kept.var())
    if sample < _CONSTANT:
        return MarkovFit(None, "the market's return is constant")
    model, initial, before = _first_guess(kept, states), np.full(states, 1.0 / states), -math.inf
    for _ in range(_MOST_STEPS):
        smoothed, moves, likelihood = _expected(model, initial, kept)
        weight = smoothed.sum(axis=0)
        if not (math.isfinite(likelihood) and float(weight.min()) >= _FEWEST_ROWS_OF_A_STATE):
            return MarkovFit(None, f"a state would hold fewer than {_FEWEST_ROWS_OF_A_STATE:.0f} of {len(kept)} rows")
        model, initial = _most_likely(kept, smoothed, moves), smoothed[0]
        if float(model.variance.min()) < _SMALLEST_VARIANCE * sample:
            return MarkovFit(None, "a state would sit on a few returns that are all but equal")
        if likelihood - before < _SETTLED * len(kept):
            return _ordered(model)
        before = likelihood
    return MarkovFit(None, f"the fit had not converged after {_MOST_STEPS} steps")


def _ordered(model: MarkovModel) -> MarkovFit:
    order = np.argsort(model.variance, kind="stable")
    mean, variance, transition = model.mean[order], model.variance[order], model.transition[np.ix_(order, order)]
    ratio = float(variance[-1] / variance[0])
    if ratio < _LEAST_RATIO:
        return MarkovFit(None, f"the variances of the states differ by a factor of {ratio:.2f}, {_LEAST_RATIO} needed")
    return MarkovFit(MarkovModel(mean, variance, transition))


def _first_guess(returns: FloatArray, states: int) -> MarkovModel:
    """Groups of rows by the mean absolute return of those around them."""
    pace = np.convolve(np.abs(returns - returns.mean()), np.ones(_PACE_ROWS) / _PACE_ROWS, mode="same")
    rank = pace.argsort(kind="stable").argsort(kind="stable")
    group = np.searchsorted(np.array(_SHARES[states]) * len(returns), rank, side="right")
    members = [returns[group == state] for state in range(states)]
    leaves = (1.0 - _STAYS) / (states - 1)
    return MarkovModel(
        np.array([values.mean() for values in members]),
        np.array([max(values.var(), _SMALLEST_VARIANCE * returns.var()) for values in members]),
        np.full((states, states), leaves) + np.eye(states) * (_STAYS - leaves),
    )


def _most_likely(returns: FloatArray, smoothed: FloatArray, moves: FloatArray) -> MarkovModel:
    """Parameters of the greatest expected likelihood, given each row's probabilities and the expected moves."""
    weight = smoothed.sum(axis=0)
    mean = (smoothed * returns[:, None]).sum(axis=0) / weight
    variance = (smoothed * (returns[:, None] - mean) ** 2).sum(axis=0) / weight
    return MarkovModel(mean, variance, moves / moves.sum(axis=1, keepdims=True))


def _expected(model: MarkovModel, initial: FloatArray, returns: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Of a fit alone: each row's probabilities with all rows known, expected moves, and the log likelihood."""
    logs = _log_densities(model, returns)
    highest = logs.max(axis=1, keepdims=True)
    density = np.exp(logs - highest)
    filtered, predicted = _forward(model, initial, density)
    scale = (predicted * density).sum(axis=1, keepdims=True)
    beta = _backward(model, density / scale)
    smoothed = filtered * beta
    moves = model.transition * (filtered[:-1].T @ (density[1:] / scale[1:] * beta[1:]))
    return smoothed, moves, float((highest + np.log(scale)).sum())


def _log_densities(model: MarkovModel, returns: FloatArray) -> FloatArray:
    """Log likelihood of each return in each state, (bars, states); 0 where it is not finite."""
    known = np.isfinite(returns)[:, None]
    distance = np.where(known, returns[:, None] - model.mean, 0.0)
    logs = -0.5 * (_LOG_TWO_PI + np.log(model.variance) + distance * distance / model.variance)
    return np.where(known, logs, 0.0)


def _forward(model: MarkovModel, initial: FloatArray, density: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Probabilities of the states with each row known, and before it, each (bars, states).

    No state is ever ruled out: where moves into it have probability 0 it keeps `_LEAST_CHANCE`, so that a return which
    only it explains puts the market there.

    In plain numbers, row by row: no sum's last bits depend on how many rows there are, and it is ten times as fast as
    arrays of two or three.
    """
    into = model.transition.T.tolist()
    before, filtered, predicted = initial.tolist(), [], []
    for likelihoods in density.tolist():
        before = [max(chance, _LEAST_CHANCE) for chance in before]
        joint = [chance * likelihood for chance, likelihood in zip(before, likelihoods, strict=True)]
        total = sum(joint)
        now = [value / total for value in joint]
        predicted.append(before)
        filtered.append(now)
        before = [sum([chance * leads for chance, leads in zip(now, column, strict=True)]) for column in into]
    shape = density.shape
    return np.array(filtered, dtype=np.float64).reshape(shape), np.array(predicted, dtype=np.float64).reshape(shape)


def _backward(model: MarkovModel, scaled: FloatArray) -> FloatArray:
    """What the rows after each one say of its state, (bars, states), relative to the rows until then."""
    out_of, beta = model.transition.tolist(), [[1.0] * model.states]
    for likelihoods in scaled[:0:-1].tolist():
        onward = [value * likelihood for value, likelihood in zip(beta[-1], likelihoods, strict=True)]
        beta.append([sum([leads * value for leads, value in zip(row, onward, strict=True)]) for row in out_of])
    return np.array(beta[::-1], dtype=np.float64)
