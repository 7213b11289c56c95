"""What makes two evaluations the same trial. Counting them is the ledger's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from nn_assets.estimators import TRADED
from nn_assets.execution.registry import BROKERS
from nn_assets.features.catalogue import CATALOGUE
from nn_assets.features.labels import LABELS, label_kind
from nn_assets.learning.address import made_with_plugin
from nn_assets.plugins import find
from nn_assets.portfolio.own_limits import CONSTRAINTS, constraint_roots
from nn_assets.settings import Strategy
from nn_assets.versions import version_within

# The gate lets data pass or halts; the verdict in force decides what is traded, not what a study finds.
_WITHOUT_EFFECT = ("name", "gate", "trade_without_verdict")
_HOW_MUCH_HISTORY = ("history_ends", "live_starts", "vault_starts")
_BASELINE_KEYS = ("lookback", "seed")
_LOCATION_KEYS = ("path", "member", "url_env", "query", "base_url", "key_env", "secret_env")


def trial_configuration(strategy: Strategy, estimator: str = TRADED) -> dict[str, Any]:
    """Everything about a strategy that can change its figures, as plain JSON values.

    That is :meth:`~nn_assets.settings.Strategy.behaviour` without the strategy's name, the gate and the
    leave to trade without a verdict, and the versions of what plug-ins, which must run, define of it: an edited
    formula is another trial. More history is none: ``history_ends``, the vault and the live start are left out. Of the
    learning section the baselines keep only the seed and the lookback (it decides which rows have a window), so that
    trying two networks does not count the same baseline twice.

    Parameters
    ----------
    estimator : {'network', 'linear', 'boosting', 'momentum'}
        Which of the estimators judged side by side.
    """
    configuration = {name: value for name, value in strategy.behaviour().items() if name not in _WITHOUT_EFFECT}
    market = {key: value for key, value in configuration["market"].items() if key not in _HOW_MUCH_HISTORY}
    oversight = dict(configuration["oversight"])
    oversight.pop("smallest_effect", None)  # what a verdict looks for changes no figure
    configuration["oversight"] = oversight
    configuration["market"] = market | {"symbols": sorted(market["symbols"])}
    learning = {key: value for key, value in configuration["learning"].items() if key != "baselines"}
    configuration["learning"] = learning  # what is judged beside a network changes none of its figures
    if estimator != TRADED:
        configuration["learning"] = {key: configuration["learning"][key] for key in _BASELINE_KEYS}
    own = _own_code(strategy, estimator)
    return configuration | {"estimator": estimator} | ({"plugins": own} if own else {})


def _own_code(strategy: Strategy, estimator: str) -> dict[str, str]:
    """Versions of what plug-ins define of a strategy's features, label, constraints, broker and network.

    An edit is another trial.
    """
    if not strategy.plugins:
        return {}
    brought = CATALOGUE.brought_by(find(reference).top for reference in strategy.plugins)
    versions = {}
    for name in brought:
        if name in (strategy.features.names or brought):
            top, entry = str(CATALOGUE.top_of(name)), CATALOGUE[name]
            versions[f"feature {name}"] = version_within(top, entry.compute, also=entry.version_inputs)
    kind = strategy.label.kind
    if (file := LABELS.top_of(kind)) is not None:
        versions[f"label {kind}"] = version_within(file, *label_kind(strategy.label).roots)
    for name in strategy.portfolio.constraints:
        roots = constraint_roots(strategy.portfolio.model_copy(update={"constraints": {name: {}}}))
        versions[f"constraint {name}"] = version_within(str(CONSTRAINTS.top_of(name)), *roots)
    broker = strategy.execution.broker
    if (file := BROKERS.top_of(broker)) is not None:
        versions[f"broker {broker}"] = version_within(file, *BROKERS[broker].roots)
    plugin = made_with_plugin(strategy.learning) if estimator == TRADED else None
    return versions if plugin is None else versions | {f"network {strategy.learning.network}": plugin["code"]}


def trial_hash(strategy: Strategy, estimator: str = TRADED) -> str:
    """The name of a strategy's trial in the ledger; see `trial_of`."""
    return trial_of(trial_configuration(strategy, estimator))


def trial_of(configuration: Mapping[str, Any]) -> str:
    """SHA-256 of a trial's configuration, first 16 hex digits.

    Where the bars lie does not count: a file copied elsewhere is the same data, and what the data are is told by
    their fingerprint.

    Parameters
    ----------
    configuration : mapping
        As `trial_configuration` gives it, or as the ledger holds it.
    """
    source = {key: value for key, value in configuration["source"].items() if key not in _LOCATION_KEYS}
    canonical = json.dumps({**configuration, "source": source}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
