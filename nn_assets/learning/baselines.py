"""What a network has to beat: a linear model and gradient boosting, judged the same way; a plain rule is beside them.

Both see the decision session's own features, scaled as the network's are. Each is an ensemble as the network is,
of members fitted to training sessions drawn anew, so that it has a dispersion, and with it a confidence, of its own.
Both are kept as plain arrays and predict from them here, so that no pickle is needed to store one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import FloatArray, IntArray
from nn_assets.learning.calibration import log_loss
from nn_assets.learning.fitted import Arrays, FitInputs, Fitted
from nn_assets.learning.heads import SIGN, Head
from nn_assets.learning.windows import Samples, Windows
from nn_assets.settings import LearningSettings

# Inverse strengths of the ridge penalty; validation chooses, as it does for the network's epoch.
_INVERSE_STRENGTHS = (0.001, 0.01, 0.1, 1.0)
_MAXIMUM_TREES = 200
_TREES_WITHOUT_GAIN = 20
_DEPTH = 3


class Baseline(ABC):
    """One fitted member of a baseline's ensemble: it sees the decision session's features alone."""

    @abstractmethod
    def output(self, features: FloatArray) -> FloatArray:
        """Output for features of shape (samples, features); the same bits for a row alone, (samples,)."""

    def probability(self, features: FloatArray) -> FloatArray:
        """Probability of 1 by a member that learned a sign, (samples,)."""
        return SIGN.forecast(self.output(features))

    @classmethod
    def probabilities(
        cls, members: Sequence[Self], settings: LearningSettings, windows: Windows, rows: IntArray, columns: IntArray
    ) -> FloatArray:
        """Probabilities of shape (members, samples), of members that learned a sign."""
        return SIGN.forecast(cls.outputs(members, settings, windows, rows, columns))

    @classmethod
    def outputs(
        cls,
        members: Sequence[Self],
        settings: LearningSettings,  # noqa: ARG003  as every estimator's
        windows: Windows,
        rows: IntArray,
        columns: IntArray,
    ) -> FloatArray:
        """Outputs of shape (members, samples)."""
        features = windows.last_rows(rows, columns)
        return np.array([member.output(features) for member in members])


@dataclass(frozen=True)
class LinearModel(Baseline):
    """A regression, ``intercept + sum of coefficient x feature``; logistic where a sign is learned."""

    coefficients: FloatArray  # (features,)
    intercept: float
    inverse_strength: float

    def output(self, features: FloatArray) -> FloatArray:
        """Output for features of shape (samples, features); shape (samples,)."""
        score = np.full(len(features), self.intercept)
        # feature by feature: a matrix product's last bits may change with the number of rows
        for column, coefficient in enumerate(self.coefficients):
            score += features[:, column] * coefficient
        return score

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Lay the model out as named arrays."""
        return {
            "coefficients": self.coefficients,
            "scalars": np.array([self.intercept, self.inverse_strength]),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, number: int) -> LinearModel:  # noqa: ARG003  as every estimator's
        """Rebuild the model that ``to_arrays`` laid out."""
        intercept, inverse_strength = (float(value) for value in arrays["scalars"])
        return cls(np.asarray(arrays["coefficients"], dtype=np.float64), intercept, inverse_strength)


@dataclass(frozen=True)
class BoostedTrees(Baseline):
    """Gradient-boosted trees (Friedman 2001, algorithm 5) as node arrays, all trees end to end.

    Tree k starts at node ``roots[k]``; a leaf is its own left and right child. ``base`` is the
    output before the first tree. No tree at all means that none improved validation.
    """

    base: float
    roots: IntArray  # (trees,)
    feature: IntArray  # (nodes,)
    threshold: FloatArray  # (nodes,), a feature at most this goes left
    left: IntArray  # (nodes,)
    right: IntArray  # (nodes,)
    value: FloatArray  # (nodes,), of the output; the learning rate is in it

    def output(self, features: FloatArray) -> FloatArray:
        """Output for features of shape (samples, features); shape (samples,)."""
        samples = np.arange(len(features))[:, np.newaxis]
        node = np.broadcast_to(self.roots, (len(features), len(self.roots)))  # (samples, trees)
        for _ in range(_DEPTH):
            goes_left = features[samples, self.feature[node]] <= self.threshold[node]
            node = np.where(goes_left, self.left[node], self.right[node])
        leaves = self.value[node]
        score = np.full(len(features), self.base)
        # tree by tree, in the order in which they were grown: one order of rounding
        for tree in range(len(self.roots)):
            score += leaves[:, tree]
        return score

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Lay the trees out as named arrays."""
        nodes = {name: getattr(self, name) for name in ("roots", "feature", "threshold", "left", "right", "value")}
        return {"base": np.array([self.base]), **nodes}

    @classmethod
    def from_arrays(cls, arrays: Arrays, number: int) -> BoostedTrees:  # noqa: ARG003  as every estimator's
        """Rebuild the trees that ``to_arrays`` laid out."""
        return cls(
            base=float(np.asarray(arrays["base"], dtype=np.float64)[0]),
            roots=np.asarray(arrays["roots"], dtype=np.int64),
            feature=np.asarray(arrays["feature"], dtype=np.int64),
            threshold=np.asarray(arrays["threshold"], dtype=np.float64),
            left=np.asarray(arrays["left"], dtype=np.int64),
            right=np.asarray(arrays["right"], dtype=np.int64),
            value=np.asarray(arrays["value"], dtype=np.float64),
        )


def drawn_sessions(samples: Samples, seed: int) -> Samples:
    """Draw as many sessions as the samples have, with replacement, each with all of its samples.

    The bootstrap of Efron (1979) with the session as its unit: names of one session move together, and drawing
    them one by one would take their common part for knowledge.
    """
    sessions, start = np.unique(samples.rows, return_index=True)  # samples are in order of row
    stop = np.append(start[1:], samples.count)
    drawn = np.sort(np.random.default_rng(seed).integers(len(sessions), size=len(sessions)))
    chosen = np.concatenate([np.arange(start[index], stop[index]) for index in drawn])
    return Samples(samples.rows[chosen], samples.columns[chosen], samples.targets[chosen])


def fit_linear_models(inputs: FitInputs) -> Fitted:
    """Fit an ensemble of linear models, each to sessions drawn anew: see :func:`fit_linear`."""
    return Fitted(
        tuple(fit_linear(inputs.windows, drawn, inputs.validation, inputs.head) for drawn, _ in draws_of(inputs))
    )


def fit_boosted_trees(inputs: FitInputs) -> Fitted:
    """Fit an ensemble of boosted trees, each to sessions drawn anew: see :func:`fit_boosting`."""
    windows, validation, head = inputs.windows, inputs.validation, inputs.head
    return Fitted(tuple(fit_boosting(windows, drawn, validation, seed, head) for drawn, seed in draws_of(inputs)))


def draws_of(inputs: FitInputs) -> Iterator[tuple[Samples, int]]:
    """The training samples of each member, its sessions drawn anew, and its seed."""
    return ((drawn_sessions(inputs.training, seed), seed) for seed in inputs.seeds)


def fit_linear(windows: Windows, training: Samples, validation: Samples, head: Head = SIGN) -> LinearModel:
    """Fit a ridge-penalised regression; the penalty with the best validation loss is kept.

    Logistic where a sign is learned, else of least squares, its intercept then the constant that the head's own loss is
    least at.

    Raises
    ------
    TrainingError
        The training rows hold one class only, or one value.
    """
    head.require_learnable(training.targets, "the linear model")
    return fit_line(_inputs(windows, training), training, _inputs(windows, validation), validation, head)


def fit_line(
    inputs: FloatArray, training: Samples, judged: FloatArray, validation: Samples, head: Head = SIGN
) -> LinearModel:
    """Fit a ridge-penalised regression of samples on inputs; validation chooses how much. Logistic for a sign.

    Parameters
    ----------
    inputs, judged : arrays, shape (samples, features)
        Of the training and of the validation samples.
    head : Head
        What is learned.
    """
    known = validation.targets.astype(np.float64)
    if head is SIGN:
        return _fit_logistic(inputs, training.targets.astype(np.int64), judged, known)
    return _fit_ridge(inputs, training.targets.astype(np.float64), judged, known, head)


def _fit_ridge(
    inputs: FloatArray, targets: FloatArray, judged: FloatArray, known: FloatArray, head: Head
) -> LinearModel:
    """Hoerl and Kennard (1970), equation 2.1, the intercept free of the penalty."""
    away, excess = inputs - inputs.mean(axis=0), targets - targets.mean()
    squares, products = np.einsum("si,sj->ij", away, away), np.einsum("si,s->i", away, excess)  # no threads
    candidates = []
    for strength in _INVERSE_STRENGTHS:
        slopes = np.linalg.solve(squares + np.eye(len(squares)) / strength, products)
        sloped = LinearModel(slopes, 0.0, strength)
        candidate = LinearModel(slopes, head.constant(targets - sloped.output(inputs)), strength)
        candidates.append((head.mean_loss(candidate.output(judged), known), candidate))
    return min(candidates, key=lambda pair: pair[0])[1]


def _fit_logistic(inputs: FloatArray, outcomes: IntArray, judged: FloatArray, known: FloatArray) -> LinearModel:
    from sklearn.linear_model import LogisticRegression  # for fitting alone: a forecast need not wait for the import
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    candidates = []
    with threadpool_limits(limits=1):  # sums split over threads round differently
        for strength in _INVERSE_STRENGTHS:
            fitted = LogisticRegression(C=strength, max_iter=1000).fit(inputs, outcomes)
            candidate = LinearModel(fitted.coef_[0].astype(np.float64), float(fitted.intercept_[0]), strength)
            candidates.append((log_loss(candidate.probability(judged), known), candidate))
    return min(candidates, key=lambda pair: pair[0])[1]


def fit_boosting(
    windows: Windows, training: Samples, validation: Samples, seed: int, head: Head = SIGN
) -> BoostedTrees:
    """Fit shallow boosted trees, stopped early on validation and cut back to the best number of trees.

    By log loss where a sign is learned, else by squared error, their base then moved by the constant that the head's
    own loss is least at.

    Raises
    ------
    TrainingError
        The training rows hold one class only, or one value.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    kind = HistGradientBoostingClassifier if head is SIGN else HistGradientBoostingRegressor
    number = np.int64 if head is SIGN else np.float64
    inputs = _inputs(windows, training)
    outcomes: npt.NDArray[Any] = training.targets.astype(number)
    head.require_learnable(outcomes, "gradient boosting")
    grown = kind(
        learning_rate=0.05,
        max_iter=_MAXIMUM_TREES,
        max_depth=_DEPTH,
        min_samples_leaf=max(20, training.count // 50),
        l2_regularization=1.0,
        early_stopping=True,
        n_iter_no_change=_TREES_WITHOUT_GAIN,
        random_state=seed % 2**32,
    )
    with threadpool_limits(limits=1):
        grown.fit(inputs, outcomes, X_val=_inputs(windows, validation), y_val=validation.targets.astype(number))
    trees = _exported(grown)
    return trees if head is SIGN else replace(trees, base=trees.base + head.constant(outcomes - trees.output(inputs)))


def _exported(boosting: Any) -> BoostedTrees:
    # scikit-learn has no public export of these trees; a test holds this against its own prediction
    grown = [stage[0].nodes for stage in boosting._predictors]  # noqa: SLF001
    base = float(boosting._baseline_prediction.flat[0])  # noqa: SLF001
    # the first score is the base alone; stopping early leaves trees behind that did not help
    kept = grown[: int(np.argmax(boosting.validation_score_))]
    sizes = np.array([len(nodes) for nodes in kept], dtype=np.int64)
    roots = np.cumsum(sizes) - sizes
    nodes = np.concatenate(kept) if kept else grown[0][:0]
    own = np.arange(len(nodes), dtype=np.int64)
    leaf = nodes["is_leaf"].astype(bool)
    start = np.repeat(roots, sizes)
    return BoostedTrees(
        base=base,
        roots=roots,
        feature=np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64),
        threshold=np.where(leaf, 0.0, nodes["num_threshold"]),
        left=np.where(leaf, own, start + nodes["left"]).astype(np.int64),
        right=np.where(leaf, own, start + nodes["right"]).astype(np.int64),
        value=nodes["value"].astype(np.float64),
    )


def _inputs(windows: Windows, samples: Samples) -> FloatArray:
    return windows.last_rows(samples.rows, samples.columns)
