"""What a strategy names of registries is there, and what its plug-ins bring keeps the contract of its kind."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial

from nn_assets.errors import SettingsError, did_you_mean
from nn_assets.features.catalogue import CATALOGUE
from nn_assets.features.contract import require_sound_feature
from nn_assets.plugins import find, load
from nn_assets.portfolio.own_limits import constraint_roots, require_constraints
from nn_assets.settings import LearningSettings, Strategy
from nn_assets.settings.sections import NETWORKS_OF_ITS_OWN
from nn_assets.versions import Root, version_of

__all__ = ["own_features", "plugin_roots", "prepare"]

_HELD: set[Hashable] = set()
"""What was held to its contract in this process."""


def prepare(strategy: Strategy) -> None:
    """Run the plug-ins of a strategy, hold what they bring to its contract, and require what the strategy names.

    To be called before anything is taken in, computed or read for it; cheap from the second time on.

    Raises
    ------
    PluginError
        A plug-in cannot be run, or a feature or network of it breaks its contract.
    SettingsError
        A feature, a role of a series or a network that is not there, or settings of a network that are not as it
        states them.
    """
    plugins = load(strategy.plugins)
    for name in CATALOGUE.brought_by(each.top for each in plugins):
        entry = CATALOGUE[name]
        version_of(entry.compute)
        _once((entry.compute, name), partial(require_sound_feature, entry))
    _require_features(strategy)
    require_constraints(strategy.portfolio)
    if strategy.learning.network not in NETWORKS_OF_ITS_OWN or strategy.learning.network_settings:
        _require_network(strategy.learning)


def _once(what: Hashable, hold: Callable[[], None]) -> None:
    if what not in _HELD:
        hold()
        _HELD.add(what)


def _require_features(strategy: Strategy) -> None:
    roles = {entry.role for entry in CATALOGUE.values() if entry.role}
    for key, names, known in (
        ("features.names", strategy.features.names, tuple(CATALOGUE)),
        ("features.series", tuple(strategy.features.series), tuple(sorted(roles))),
    ):
        for name in names:
            if name not in known:
                what = "a feature" if key == "features.names" else "a role that a feature reads,"
                raise SettingsError(
                    expected=f"{what} among {', '.join(known)}",
                    found=repr(name),
                    remedy=f"{did_you_mean(name, known)}correct the name, or name the file that registers it under "
                    "plugins",
                    key=key,
                    value=name,
                )


def _require_network(learning: LearningSettings) -> None:
    from nn_assets.learning.networks import NETWORKS, network_of, settings_of_its_own
    from nn_assets.learning.networks.contract import require_sound_network

    entry = network_of(learning.network)
    settings_of_its_own(learning)
    if NETWORKS.top_of(learning.network) is not None:
        version_of(*entry.roots)
        _once((entry.build, learning.model_dump_json()), partial(require_sound_network, learning))


def own_features(strategy: Strategy) -> tuple[str, ...]:
    """Names of the features that a strategy's plug-ins registered, in their order."""
    return CATALOGUE.brought_by(find(each).top for each in strategy.plugins)


def plugin_roots(strategy: Strategy) -> tuple[Root, ...]:
    """What the version of a strategy covers of constraints and networks: the package's own, and what it names."""
    return (*constraint_roots(strategy.portfolio), *_network_roots(strategy.learning))


def _network_roots(learning: LearningSettings) -> tuple[Root, ...]:
    own = "nn_assets.learning.networks.registry:NETWORKS"
    if learning.network in NETWORKS_OF_ITS_OWN:
        return (own,)
    from nn_assets.learning.networks import network_of

    return (own, *network_of(learning.network).roots)
