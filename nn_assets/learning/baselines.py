"""What a network has to beat: a linear model and gradient boosting, judged the same way; a plain rule is beside them.

Both see the decision session's own features, scaled as the network's are. Each is an ensemble as the network is,
of members fitted to training sessions drawn anew, so that it has a dispersion, and with it a confidence, of its own.
Both are kept as plain arrays and predict from them here, so that no pickle is needed to store one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from nn_assets.arrays import FloatArray, IntArray
from nn_assets.errors import TrainingError
from nn_assets.learning.calibration import log_loss
from nn_assets.learning.fitted import Arrays, FitInputs, Fitted
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
    def probability(self, features: FloatArray) -> FloatArray:
        """Probability of 1 for features of shape (samples, features); the same bits for a row alone, (samples,)."""

    @classmethod
    def probabilities(
        cls,
        members: Sequence[Self],
        settings: LearningSettings,  # noqa: ARG003  as every estimator's
        windows: Windows,
        rows: IntArray,
        columns: IntArray,
    ) -> FloatArray:
        """Probabilities of shape (members, samples)."""
        features = windows.last_rows(rows, columns)
        return np.array([member.probability(features) for member in members])


@dataclass(frozen=True)
class LinearModel(Baseline):
    """Logistic regression: ``sigmoid(intercept + sum of coefficient x feature)``."""

    coefficients: FloatArray  # (features,)
    intercept: float
    inverse_strength: float

    def probability(self, features: FloatArray) -> FloatArray:
        """Probability of 1 for features of shape (samples, features); shape (samples,)."""
        score = np.full(len(features), self.intercept)
        # feature by feature: a matrix product's last bits may change with the number of rows
        for column, coefficient in enumerate(self.coefficients):
            score += features[:, column] * coefficient
        return np.asarray(expit(score), dtype=np.float64)

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
    log-odds before the first tree. No tree at all means that none improved validation.
    """

    base: float
    roots: IntArray  # (trees,)
    feature: IntArray  # (nodes,)
    threshold: FloatArray  # (nodes,), a feature at most this goes left
    left: IntArray  # (nodes,)
    right: IntArray  # (nodes,)
    value: FloatArray  # (nodes,), log-odds; the learning rate is in it

    def probability(self, features: FloatArray) -> FloatArray:
        """Probability of 1 for features of shape (samples, features); shape (samples,)."""
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
        return np.asarray(expit(score), dtype=np.float64)

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
    return Fitted(tuple(fit_linear(inputs.windows, drawn, inputs.validation) for drawn, _ in draws_of(inputs)))


def fit_boosted_trees(inputs: FitInputs) -> Fitted:
    """Fit an ensemble of boosted trees, each to sessions drawn anew: see :func:`fit_boosting`."""
    windows, validation = inputs.windows, inputs.validation
    return Fitted(tuple(fit_boosting(windows, drawn, validation, seed) for drawn, seed in draws_of(inputs)))


def draws_of(inputs: FitInputs) -> Iterator[tuple[Samples, int]]:
    """The training samples of each member, its sessions drawn anew, and its seed."""
    return ((drawn_sessions(inputs.training, seed), seed) for seed in inputs.seeds)


def fit_linear(windows: Windows, training: Samples, validation: Samples) -> LinearModel:
    """Fit a ridge-penalised logistic regression; the penalty with the best validation loss is kept.

    Raises
    ------
    TrainingError
        The training rows hold one class only.
    """
    require_both_classes(training, "the linear model")
    return fit_ridge(_inputs(windows, training), training, _inputs(windows, validation), validation)


def fit_ridge(inputs: FloatArray, training: Samples, judged: FloatArray, validation: Samples) -> LinearModel:
    """Fit a ridge-penalised logistic regression of samples on inputs (samples, features); validation chooses how much.

    Parameters
    ----------
    inputs, judged : arrays, shape (samples, features)
        Of the training and of the validation samples.
    """
    from sklearn.linear_model import LogisticRegression  # for fitting alone: a forecast need not wait for the import
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    outcomes, known = training.targets.astype(np.int64), validation.targets.astype(np.float64)
    candidates = []
    with threadpool_limits(limits=1):  # sums split over threads round differently
        for strength in _INVERSE_STRENGTHS:
            fitted = LogisticRegression(C=strength, max_iter=1000).fit(inputs, outcomes)
            candidate = LinearModel(fitted.coef_[0].astype(np.float64), float(fitted.intercept_[0]), strength)
            candidates.append((log_loss(candidate.probability(judged), known), candidate))
    return min(candidates, key=lambda pair: pair[0])[1]


def fit_boosting(windows: Windows, training: Samples, validation: Samples, seed: int) -> BoostedTrees:
    """Fit shallow boosted trees, stopped early on validation and cut back to the best number of trees.

    Raises
    ------
    TrainingError
        The training rows hold one class only.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    require_both_classes(training, "gradient boosting")
    classifier = HistGradientBoostingClassifier(
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
        classifier.fit(
            _inputs(windows, training),
            training.targets.astype(np.int64),
            X_val=_inputs(windows, validation),
            y_val=validation.targets.astype(np.int64),
        )
    return _exported(classifier)


def _exported(classifier: Any) -> BoostedTrees:
    # scikit-learn has no public export of these trees; a test holds this against its own prediction
    grown = [stage[0].nodes for stage in classifier._predictors]  # noqa: SLF001
    base = float(classifier._baseline_prediction[0, 0])  # noqa: SLF001
    # the first score is the base alone; stopping early leaves trees behind that did not help
    kept = grown[: int(np.argmax(classifier.validation_score_))]
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


def require_both_classes(training: Samples, model: str) -> None:
    """Refuse training samples of one class for a model, by its name."""
    if len(np.unique(training.targets)) < 2:
        raise TrainingError(
            expected=f"training rows of both classes for {model}",
            found=f"{training.count} rows of one class",
            remedy="look at the labels of this fold; a longer training part may hold both",
        )
