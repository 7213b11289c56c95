from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from nn_assets.contracts.tables import FORECASTS
from nn_assets.estimators import ESTIMATORS, TRADED
from nn_assets.learning.baselines import BoostedTrees, drawn_sessions, fit_boosting, fit_linear
from nn_assets.learning.windows import Samples
from nn_assets.reports.canvas import COLOURS, NAMES
from tests.contracts.estimators import BaselineContract, EstimatorContract
from tests.learning.tiny import tiny_samples


class TestNetwork(EstimatorContract):
    name = "network"


class TestLinear(BaselineContract):
    name, called = "linear", "the linear model"


class TestBoosting(BaselineContract):
    name, called = "boosting", "gradient boosting"


class TestMomentum(BaselineContract):
    name, called = "momentum", "the momentum rule"


def test_whoever_names_estimators_reads_them_from_the_registry_in_one_order() -> None:
    assert tuple(ESTIMATORS) == (
        "network",
        "linear",
        "boosting",
        "momentum",
    )  # as they are stored: numbers of validation rows
    assert next(iter(ESTIMATORS)) == TRADED
    (check,) = FORECASTS.columns["estimator"].checks
    assert tuple(check.arguments[0]) == (*ESTIMATORS, "volatility")  # which is no estimator of a return
    assert set(COLOURS) == set(NAMES) == {*ESTIMATORS, "buy_and_hold"}


def _parts() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    windows, training, validation = tiny_samples()
    return (
        windows.last_rows(training.rows, training.columns),
        training.targets.astype(int),
        windows.last_rows(validation.rows, validation.columns),
        validation.targets.astype(int),
    )


def test_the_linear_model_predicts_what_scikit_learn_does() -> None:
    inputs, outcomes, judged, _ = _parts()
    model = fit_linear(*tiny_samples())
    fitted = LogisticRegression(C=model.inverse_strength, max_iter=1000).fit(inputs, outcomes)
    np.testing.assert_allclose(model.probability(judged), fitted.predict_proba(judged)[:, 1], rtol=1e-12)


def test_the_linear_models_penalty_is_the_one_that_validation_prefers() -> None:
    inputs, outcomes, judged, known = _parts()
    losses = {
        strength: log_loss(
            known, LogisticRegression(C=strength, max_iter=1000).fit(inputs, outcomes).predict_proba(judged)
        )
        for strength in (0.001, 0.01, 0.1, 1.0)
    }
    assert fit_linear(*tiny_samples()).inverse_strength == min(losses, key=lambda key: losses[key])


@pytest.mark.full
def test_boosted_trees_predict_what_scikit_learn_does_after_export(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[HistGradientBoostingClassifier] = []

    class Recorded(HistGradientBoostingClassifier):
        def fit(self, *arguments: object, **named: object) -> HistGradientBoostingClassifier:
            made.append(self)
            return super().fit(*arguments, **named)

    monkeypatch.setattr("sklearn.ensemble.HistGradientBoostingClassifier", Recorded)
    trees = fit_boosting(*tiny_samples(), seed=1)
    _, _, judged, known = _parts()
    random = np.random.default_rng(0).normal(size=(500, 4)) * 3.0
    kept = len(trees.roots)
    staged = list(made[0].staged_predict_proba(np.vstack([judged, random])))
    assert 1 < kept <= len(staged)
    expected = staged[kept - 1][:, 1]
    np.testing.assert_allclose(trees.probability(np.vstack([judged, random])), expected, rtol=1e-12)
    # no shorter or longer run of trees is better on validation
    losses = [log_loss(known, stage[: len(judged), 1]) for stage in staged]
    assert int(np.argmin(losses)) == kept - 1


def test_trees_that_never_help_leave_the_base_rate_alone() -> None:
    windows, training, validation = tiny_samples()
    contrary = Samples(validation.rows, validation.columns, 1.0 - validation.targets)
    trees = fit_boosting(windows, training, contrary, seed=1)
    assert len(trees.roots) == 0
    features = windows.last_rows(validation.rows, validation.columns)
    np.testing.assert_allclose(trees.probability(features), training.targets.mean(), rtol=1e-6)
    stored = BoostedTrees.from_arrays(trees.to_arrays(), 0)
    np.testing.assert_array_equal(stored.probability(features), trees.probability(features))


def test_sessions_are_drawn_whole_and_as_many_as_there_are() -> None:
    _, training, _ = tiny_samples()
    of_session = {row: np.flatnonzero(training.rows == row) for row in np.unique(training.rows)}
    met = np.zeros(len(of_session))
    for seed in range(40):
        drawn = drawn_sessions(training, seed)
        times = {row: np.count_nonzero(drawn.rows == row) / len(own) for row, own in of_session.items()}
        assert all(float(count).is_integer() for count in times.values())
        assert sum(times.values()) == len(of_session)
        expected = np.concatenate([np.tile(own, int(times[row])) for row, own in of_session.items()])
        np.testing.assert_array_equal(drawn.rows, training.rows[expected])
        np.testing.assert_array_equal(drawn.columns, training.columns[expected])
        np.testing.assert_array_equal(drawn.targets, training.targets[expected])
        met += np.array(list(times.values())) > 0
    # Of n sessions drawn n times each is met with chance 1 - (1 - 1/n)^n, near 1 - 1/e.
    assert met.mean() / 40 == pytest.approx(1.0 - np.exp(-1.0), abs=0.01)
    assert drawn_sessions(training, 3).rows.tobytes() == drawn_sessions(training, 3).rows.tobytes()
