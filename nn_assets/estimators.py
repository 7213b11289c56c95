"""What makes forecasts: the network's ensemble, and the baselines that it has to beat. One registry says all of them.

A member names its code and imports none of it: who reads or reports forecasts neither waits for what fits them nor
depends on it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from nn_assets.plugins import Registry


@dataclass(frozen=True)
class Estimator:
    """One kind of estimator, an ensemble of members.

    Parameters
    ----------
    fit : str
        ``module:name`` of the function that fits an ensemble; takes and gives what ``learning.fitted`` says.
    member : str
        ``module:name`` of the class of a fitted member, a ``learning.fitted.FittedMember``.
    title : str
        What a table or a plot calls it.
    called : str
        What a sentence calls it.
    """

    fit: str
    member: str
    title: str
    called: str


ESTIMATORS: Registry[Estimator] = Registry(
    "estimator",
    {
        "network": Estimator(
            "nn_assets.learning.ensemble:fit_networks", "nn_assets.learning.member:Member", "network", "the network"
        ),
        "linear": Estimator(
            "nn_assets.learning.baselines:fit_linear_models",
            "nn_assets.learning.baselines:LinearModel",
            "linear model",
            "the linear model",
        ),
        "boosting": Estimator(
            "nn_assets.learning.baselines:fit_boosted_trees",
            "nn_assets.learning.baselines:BoostedTrees",
            "gradient boosting",
            "boosting",
        ),
        "momentum": Estimator(
            "nn_assets.learning.momentum:fit_momentum_rules",
            "nn_assets.learning.momentum:MomentumRule",
            "momentum rule",
            "the momentum rule",
        ),
    },
)
"""Every estimator by name, in the order in which a frame of forecasts lists them; new ones come last."""

TRADED = "network"
"""Whose forecasts are traded; the others are what it is compared with."""

VOLATILITY = "volatility"
"""The ensemble beside them whose forecasts are of volatility: it is judged by QLIKE alone, and never traded."""

BASELINES: tuple[Literal["linear", "boosting", "momentum"], ...] = ("linear", "boosting")
"""What a network is judged beside where a strategy's ``learning.baselines`` does not say."""

USUAL = (TRADED, *BASELINES)
"""Those of a strategy that names no baselines."""


def estimators_of(baselines: Collection[str]) -> tuple[str, ...]:
    """The network and its baselines, in the registry's order: what a strategy fits and judges side by side."""
    return tuple(name for name in ESTIMATORS if name == TRADED or name in baselines)


def forecast_names(baselines: Collection[str], volatility: str) -> tuple[str, ...]:
    """What a strategy's forecasts are of: those, and the ensemble of volatility where ``network`` is asked for."""
    return (*estimators_of(baselines), *((VOLATILITY,) if volatility == "network" else ()))


def roots_of_fits() -> tuple[str, ...]:
    """What the version of a fitted model covers of its estimators: how each is fitted, and its members."""
    return tuple(address for kind in ESTIMATORS.values() for address in (kind.fit, kind.member))


def roots_of_members() -> tuple[str, ...]:
    """What the version of a forecast covers of the estimators: how the fitted members of each are kept and forecast."""
    return tuple(kind.member for kind in ESTIMATORS.values())
