"""Features of series that a strategy gives names of its own: by a pattern that holds the name.

``zscore_of_mood`` reads the series that the strategy names under ``features.series.mood``. A series is of the whole
market or of single symbols, is read as it was known at each session with the lag that it states, and its features pass
the stationarity gate as any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from nn_assets.features.catalogue.definition import Feature
from nn_assets.features.catalogue.factors import BETA_REACH, factor_beta
from nn_assets.features.catalogue.series import known_change, known_level, known_z
from nn_assets.plugins import Registry

_ROLE = re.compile(r"[a-z][a-z0-9_]{0,31}")
_NAME = "NAME"

_PATTERNS = {
    "level_of_": Feature(
        name=f"level_of_{_NAME}",
        group="own_series",
        role=_NAME,
        reach_sessions=0,
        compute=known_level,
        formula="x as known at each session, in the unit of the series",
    ),
    "change_of_": Feature(
        name=f"change_of_{_NAME}",
        group="own_series",
        role=_NAME,
        reach_sessions=5,
        compute=known_change,
        formula="x[t] - x[t-5], in the unit of the series",
    ),
    "zscore_of_": Feature(
        name=f"zscore_of_{_NAME}",
        group="own_series",
        role=_NAME,
        reach_sessions=59,
        compute=known_z,
        formula="(x - mean_60(x)) / std_60(x), x as known at each session; no value where x did not move",
    ),
    "beta_to_": Feature(
        name=f"beta_to_{_NAME}",
        group="cross_market",
        role=_NAME,
        reach_sessions=BETA_REACH,
        compute=factor_beta,
        formula=(
            "slope of the symbol's return on this factor's in the least squares of 60 sessions on all of "
            "features.factors and a constant, each return beside the factors' of its own session"
        ),
        source="Fama and MacBeth (1973), betas of a fixed window",
        factors=True,
    ),
}

PATTERNS: Registry[Feature] = Registry("feature of a series", _PATTERNS)
"""By the beginning of the name, the feature of a series called NAME."""


def feature_of_own_series(name: str) -> Feature | None:
    """The feature that a name of one of the patterns stands for; None for any other name."""
    for beginning, pattern in PATTERNS.items():
        role = name.removeprefix(beginning)
        if role != name and _ROLE.fullmatch(role):
            return pattern.of_role(name, role)
    return None


def names_of_own_series(roles: Iterable[str], factors: Iterable[str] = ()) -> list[str]:
    """Every name that the patterns give some series, those of factor returns too."""
    of_factors = set(factors)
    return [
        beginning + role
        for role in roles
        for beginning, pattern in PATTERNS.items()
        if not pattern.factors or role in of_factors
    ]
