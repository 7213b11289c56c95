"""What makes two evaluations the same trial. Counting them is the ledger's."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from nn_assets.settings import Strategy

__all__ = ["trial_configuration", "trial_hash"]

_WHOLE_SECTIONS = (
    "source",
    "cleaning",
    "features",
    "label",
    "walk_forward",
    "costs",
    "portfolio",
    "execution",
    "oversight",
)
_MARKET_KEYS = ("calendar", "symbols", "history_starts", "cash_rate_annual_fraction")
# How many processes train changes no figure; neither do names, owners and the gate.
_WITHOUT_EFFECT = ("processes",)
_BASELINE_KEYS = ("lookback", "seed")


def trial_configuration(strategy: Strategy, estimator: str = "network") -> dict[str, Any]:
    """Everything about a strategy that can change its figures, as plain JSON values.

    More history is not another trial: ``history_ends``, the vault and the live start are left out. Of
    the learning section the baselines keep only the seed and the lookback (it decides which rows
    have a window), so that trying two networks does not count the same baseline twice.

    Parameters
    ----------
    estimator : {'network', 'linear', 'boosting'}
        Which of the estimators judged side by side.
    """
    dumped = strategy.model_dump(mode="json")
    configuration: dict[str, Any] = {name: dumped[name] for name in _WHOLE_SECTIONS}
    configuration["market"] = {key: dumped["market"][key] for key in _MARKET_KEYS}
    configuration["market"]["symbols"] = sorted(configuration["market"]["symbols"])
    learning = dumped["learning"]
    if estimator == "network":
        kept = {key: value for key, value in learning.items() if key not in _WITHOUT_EFFECT}
        configuration["learning"] = kept
    else:
        configuration["learning"] = {key: learning[key] for key in _BASELINE_KEYS}
    configuration["estimator"] = estimator
    return configuration


def trial_hash(strategy: Strategy, estimator: str = "network") -> str:
    """SHA-256 of `trial_configuration`, first 16 hex digits: the name of the trial in the ledger."""
    canonical = json.dumps(trial_configuration(strategy, estimator), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
