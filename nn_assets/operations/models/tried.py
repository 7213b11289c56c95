"""A configuration is a trial from the moment that its out-of-sample record is made, studied or not."""

from __future__ import annotations

from nn_assets.estimators import estimators_of, roots_of_fits
from nn_assets.evaluation.trials import trial_configuration, trial_hash
from nn_assets.operations.asof.trials import OTHER_BARS, ground_of, trials_made
from nn_assets.operations.derived import trading_roots
from nn_assets.operations.history import History
from nn_assets.settings import Strategy
from nn_assets.versions import version_of

STUDIED_BY = "nn_assets.operations.study:study_until"
"""What makes a record: a study goes on with the row that its forecasts began, so both name one code."""


def record_tried(history: History, run_id: str, strategy: Strategy | None = None) -> None:
    """Put a strategy's estimators on record as trials on the bars published now, without figures.

    Once for a configuration and data: nothing where the same trial is on record on these data or on some that share
    with them, so that months that come one by one, and sessions that were added, are no further trial. A study of
    them gives the row its figures.

    Parameters
    ----------
    strategy : Strategy, optional
        Another configuration that was tried on the same history; the history's own when left out.
    """
    strategy, ledger = strategy or history.strategy, history.stores.ledger
    estimators = estimators_of(strategy.learning.baselines)
    own_trials = {trial_hash(strategy, estimator): estimator for estimator in estimators}
    data_hash = history.covering(history.last_session).content_hash
    if own_trials.keys() <= set(ledger.read("trials", where={"data_hash": data_hash})["trial_id"]):
        return
    ground = ground_of(strategy.name, data_hash, history.view().bars)
    tried_ids = set(trials_made(ledger, ground)["trial_id"])
    rows = [
        {
            "trial_id": trial,
            "data_hash": data_hash,
            "code_version": version_of(STUDIED_BY, *roots_of_fits(), *trading_roots(strategy)),
            "study_id": None,
            "configuration": trial_configuration(strategy, estimator),
            "figures": {},
        }
        for trial, estimator in own_trials.items()
        if trial not in tried_ids
    ]
    if not rows:
        return
    with ledger.transaction(run_id, strategy=strategy.name) as transaction:
        transaction.append("data_fingerprints", [ground.to_row()], reason=OTHER_BARS)
        transaction.append("trials", rows)
