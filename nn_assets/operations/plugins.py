"""Checks that every member a strategy names exists, and that what its plug-ins bring keeps its contract."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from functools import partial
from itertools import product
from typing import Any

from pydantic import create_model

from nn_assets.errors import CodeError, PluginError, SettingsError, did_you_mean
from nn_assets.estimators import roots_of_members
from nn_assets.execution.registry import BROKERS, broker_of, require_sound_broker
from nn_assets.execution.venues import VENUES, require_sound_venue
from nn_assets.features.catalogue import (
    CATALOGUE,
    PATTERNS,
    STANDARD,
    fault_of_series,
    feature_of_own_series,
    names_of_own_series,
)
from nn_assets.features.contract import require_sound_feature
from nn_assets.features.labels import LABELS, label_kind, settings_of_its_own
from nn_assets.features.labels.contract import require_sound_label
from nn_assets.features.scaling import Scaler
from nn_assets.plugins import find, load, names_of, no_such_member, place_of
from nn_assets.portfolio.own_limits import CONSTRAINTS, constraint_roots, require_sound_constraint
from nn_assets.settings import LabelSettings, LearningSettings, Strategy
from nn_assets.settings.own import section_of
from nn_assets.settings.search import OF_NETWORK, SearchSettings
from nn_assets.settings.section import Section
from nn_assets.settings.sections import (
    BROKERS_OF_ITS_OWN,
    COMPUTES_OF_ITS_OWN,
    KEYS_OF_NETWORKS,
    NETWORKS_OF_ITS_OWN,
    VENUES_OF_ITS_OWN,
)
from nn_assets.versions import Root, version_of

_WITHOUT_SETTINGS = frozenset({"gru", "lstm", "mlp", "rnn"})
"""Networks that can be built whatever the learning settings: no torch is imported to look at one."""
_SHAPE_A_NETWORK = frozenset(
    {"learning.network", "learning.hidden", "learning.lookback", "features.names", "features.select"}
)
"""What a search may vary of which it depends whether a network can be built, beside the network's own settings."""
_HELD: set[Hashable] = set()
"""What was held to its contract in this process."""


def prepare(strategy: Strategy) -> None:
    """Run the plug-ins of a strategy, hold what they bring to its contract, and require what the strategy names.

    To be called before anything is taken in, computed or read for it; cheap from the second time on.

    Raises
    ------
    PluginError
        A plug-in cannot be run, or a member of it breaks its contract.
    SettingsError
        A member, or a role of a series, that is not there, or settings of a member that are not as it states them.
    """
    tops = frozenset(plugin.top for plugin in load(strategy.plugins))
    for name in CATALOGUE.brought_by(tops):
        entry = CATALOGUE[name]
        _require_version("feature", name, entry.compute)
        _once((entry.compute, name), partial(require_sound_feature, entry))
    offered = CATALOGUE.offered(tops)
    faults = (
        _missing(
            "broker",
            "execution.broker",
            (strategy.execution.broker,),
            (*BROKERS.offered(tops), *VENUES.offered(tops)),
        ),
        _unknown_feature(strategy, offered),
        _without_series(strategy),
        _without_market(strategy),
        _unread_series(strategy, offered),
        _missing("label", "label.kind", (strategy.label.kind,), LABELS.offered(tops)),
        _missing("constraint", "portfolio.constraints", strategy.portfolio.constraints, CONSTRAINTS.brought_by(tops)),
    )
    for fault in faults:
        if fault is not None:
            raise fault
    _require_compute(strategy.learning, tops)
    _require_broker(strategy)
    _require_label(strategy.label)
    for name in strategy.portfolio.constraints:
        require_sound_constraint(name, strategy.portfolio)
    _require_own_network(strategy, tops)
    if strategy.search is not None:
        sections = strategy.learning, strategy.features, strategy.search
        asked = ("search", *(section.model_dump_json() for section in sections), tops)
        _once(asked, partial(_require_networks_searched, strategy, strategy.search, tops))


def fault_of_names(strategy: Strategy) -> SettingsError | None:
    """A feature that neither the package nor a plug-in's text has, or without any a role; nothing is run for it."""
    if (clash := _clash(strategy)) is not None:
        return clash
    brought = names_of("feature", strategy.plugins)
    if brought is None:  # known only once they run
        return None
    fault = _unknown_feature(strategy, (*CATALOGUE.own, *sorted(brought)))
    if fault is not None or brought:
        return fault
    return _without_series(strategy) or _without_market(strategy) or _unread_series(strategy, CATALOGUE.own)


def fault_of_own_settings(strategy: Strategy) -> SettingsError | None:
    """Settings that a member of the package's own does not have; neither a plug-in nor torch is asked.

    Of the label all that is stated is held to what the member says; of the network the keys alone, since its member
    comes with torch.
    """
    learning, execution = strategy.learning, strategy.execution
    try:
        if strategy.label.kind in LABELS.own:
            _require_settings_of_label(strategy.label)
        if execution.broker in (*BROKERS_OF_ITS_OWN, *VENUES_OF_ITS_OWN):
            broker_of(execution.broker, execution.broker_settings)
        if learning.network in NETWORKS_OF_ITS_OWN:
            fields: dict[str, Any] = dict.fromkeys(KEYS_OF_NETWORKS.get(learning.network, ()), (Any, None))
            own = create_model("Own", __base__=Section, **fields) if fields else None
            member = f"the network {learning.network}"
            section_of(own, learning.network_settings, member=member, key="learning.network_settings")
    except SettingsError as fault:
        return fault
    return None


def _clash(strategy: Strategy) -> SettingsError | None:
    """A name that a plug-in registers and the package has itself, perhaps since an upgrade."""
    execute = frozenset({*BROKERS_OF_ITS_OWN, *VENUES_OF_ITS_OWN})  # execution.broker names either kind
    own: dict[str, Iterable[str]] = {
        "feature": CATALOGUE.own,
        "label": LABELS.own,
        "network": NETWORKS_OF_ITS_OWN,
        "constraint": CONSTRAINTS.own,
        "broker": execute,
        "venue": execute,
    }
    for kind, names in own.items():
        if taken := sorted((names_of(kind, strategy.plugins) or frozenset()) & frozenset(names)):
            return SettingsError(
                expected=f"a {kind} of a plug-in under a name that nn_assets does not have itself",
                found=", ".join(taken),
                remedy=f"rename it in {', '.join(strategy.plugins)} and wherever the strategy names it",
                key="plugins",
            )
    return None


def _unknown_feature(strategy: Strategy, offered: Iterable[str]) -> SettingsError | None:
    """The fault of a feature that is neither offered nor one of a series of the strategy's own."""
    settings = strategy.features
    listed = [name for name in settings.names if feature_of_own_series(name) is None]
    known = (*offered, *names_of_own_series(settings.series, settings.factors))
    return _missing("feature", "features.names", listed, known)


def _unread_series(strategy: Strategy, offered: Iterable[str]) -> SettingsError | None:
    """The fault of a series under a role that no feature offered, nor one that the strategy names, reads."""
    settings = strategy.features
    own = [entry for name in settings.names if (entry := feature_of_own_series(name)) is not None]
    listed = {CATALOGUE[name].role for name in offered} - {""}
    read = {*listed, *settings.factors, *(entry.role for entry in own)}
    role = next((role for role in settings.series if role not in read), None)
    if role is None:
        return None
    named = " or ".join(beginning + role for beginning, pattern in PATTERNS.items() if not pattern.factors)
    return SettingsError(
        expected=f"a feature that reads features.series {role}",
        found=f"none does; the features listed read {', '.join(sorted(listed))}",
        remedy=f"{did_you_mean(role, listed)}correct it, name {named} among features.names, list it under "
        "features.factors, or take it out",
        key="features.series",
        value=role,
    )


def _without_series(strategy: Strategy) -> SettingsError | None:
    """The fault of a feature that the strategy names without the series that it reads."""
    settings = strategy.features
    entries = [CATALOGUE[name] for name in settings.names if name in CATALOGUE]
    faults = (fault_of_series(entry, settings.series, settings.factors) for entry in entries)
    return next((fault for fault in faults if fault is not None), None)


def _without_market(strategy: Strategy) -> SettingsError | None:
    """The fault of a feature that the strategy names without the market that it reads, or of one that is no symbol."""
    symbol, symbols = strategy.features.market_symbol, strategy.market.symbols
    if symbol is not None and symbols and strategy.universe is None and symbol not in symbols:
        return SettingsError(
            expected="features.market_symbol among market.symbols",
            found=symbol,
            remedy=f"{did_you_mean(symbol, symbols)}add it to market.symbols, or correct features.market_symbol",
            key="features.market_symbol",
        )
    needs = [name for name in strategy.features.names if name in CATALOGUE and CATALOGUE[name].needs_market]
    if symbol is not None or not needs:
        return None
    return SettingsError(
        expected=f"a market symbol for the feature {needs[0]}",
        found="none",
        remedy="set features.market_symbol, or leave the feature out",
        key="features.market_symbol",
    )


def _missing(kind: str, key: str, names: Iterable[str], offered: Collection[str]) -> SettingsError | None:
    """The fault of a key of the strategy that names unknown members."""
    name = next((candidate for candidate in names if candidate not in offered), None)
    return None if name is None else no_such_member(kind, key, name, offered)


def _require_compute(learning: LearningSettings, tops: Collection[str]) -> None:
    if learning.compute in COMPUTES_OF_ITS_OWN and not learning.compute_settings:
        return
    from nn_assets.learning.compute import COMPUTES, compute_of, require_sound_compute

    fault = _missing("compute", "learning.compute", (learning.compute,), COMPUTES.offered(tops))
    if fault is not None:
        raise fault
    compute_of(learning.compute, learning.compute_settings)
    if COMPUTES.top_of(learning.compute) is not None:
        of = learning.compute, learning.compute_settings
        _once((COMPUTES[learning.compute], learning.model_dump_json()), partial(require_sound_compute, *of))


def _require_broker(strategy: Strategy) -> None:
    execution = strategy.execution
    broker_of(execution.broker, execution.broker_settings)
    if BROKERS.top_of(execution.broker) is not None:
        entry = BROKERS[execution.broker]
        _once((entry, strategy.model_dump_json()), partial(require_sound_broker, strategy))
        _require_version("broker", execution.broker, *entry.roots)
    if VENUES.top_of(execution.broker) is not None:
        _once((VENUES[execution.broker], strategy.model_dump_json()), partial(require_sound_venue, strategy))


def _require_version(kind: str, name: str, *roots: Root) -> None:
    try:
        version_of(*roots)
    except CodeError as fault:
        of = {"key": "plugins", kind: name}
        lies_in = next((lies_in for root in roots if callable(root) and (lies_in := place_of(root))), {})
        raise PluginError(expected=fault.expected, found=fault.found, remedy=fault.remedy, **lies_in, **of) from fault


def _once(what: Hashable, hold: Callable[[], None]) -> None:
    if what not in _HELD:
        hold()
        _HELD.add(what)


def _require_settings_of_label(label: LabelSettings) -> None:
    settings = settings_of_its_own(label)
    if (expected := getattr(settings, "not_traded", None)) is not None:
        raise SettingsError(
            expected=expected,
            found=f"label.settings {dict(label.settings)} of label.kind {label.kind}",
            remedy="state label.settings.unit: sigma, and the threshold in it",
            key="label.settings",
        )


def _require_label(label: LabelSettings) -> None:
    _require_settings_of_label(label)
    if LABELS.top_of(label.kind) is not None:
        entry = label_kind(label)
        _require_version("label", label.kind, *entry.roots)
        _once((entry, label.model_dump_json()), partial(require_sound_label, label))


def _require_own_network(strategy: Strategy, tops: Collection[str]) -> None:
    if strategy.learning.network not in _WITHOUT_SETTINGS or strategy.learning.network_settings:
        _require_network(strategy.learning, strategy.features.names or tuple(STANDARD), tops)
        _require_no_selection(strategy)


def _require_networks_searched(strategy: Strategy, search: SearchSettings, tops: Collection[str]) -> None:
    """Refuse a search of which a choice, or a corner of its ranges, makes a network that cannot be built."""
    keys = [key for key in search.space if key in _SHAPE_A_NETWORK or key.startswith(OF_NETWORK)]
    for values in product(*(search.space[key].ends for key in keys)):
        parameters = dict(zip(keys, values, strict=True))
        try:
            _require_own_network(strategy.with_parameters(parameters), tops)
        except SettingsError as fault:
            trial = ", ".join(f"{key} {value}" for key, value in parameters.items())
            raise SettingsError(
                expected=f"search.space without a trial that cannot be fitted: {fault.expected}",
                found=f"{fault.found}, of {trial}",
                remedy=f"narrow or take out search.space.{' or search.space.'.join(keys)}; or {fault.remedy}",
                key="search.space",
            ) from fault


def _require_network(learning: LearningSettings, features: Sequence[str], tops: Collection[str]) -> None:
    from nn_assets.learning.networks import NETWORKS, builder_of, network_of, set_inputs
    from nn_assets.learning.networks.contract import require_sound_network
    from nn_assets.learning.training import one_thread

    fault = _missing("network", "learning.network", (learning.network,), NETWORKS.offered(tops))
    if fault is not None:
        raise fault
    build = builder_of(learning)
    if learning.network in NETWORKS_OF_ITS_OWN:
        with one_thread():  # no width that it cannot have, nor features that it cannot read, found out by training
            set_inputs(build(learning, len(features)), features, Scaler.of_nothing(len(features)))
    if NETWORKS.top_of(learning.network) is not None:
        entry = network_of(learning.network)
        _require_version("network", learning.network, *entry.roots)
        asked = entry.build, learning.model_dump_json(), tuple(features)
        _once(asked, partial(require_sound_network, learning, names=features))


def _require_no_selection(strategy: Strategy) -> None:
    from nn_assets.learning.networks import levels_read

    if strategy.features.select and (needed := levels_read(strategy.learning)):
        raise SettingsError(
            expected=f"features.select off: the network {strategy.learning.network} needs all of {', '.join(needed)}",
            found="features.select true, which may leave one out",
            remedy="leave features.select off, or take another network",
            key="features.select",
        )


def own_features(strategy: Strategy) -> tuple[str, ...]:
    """Names of the features that a strategy's plug-ins registered, in their order."""
    return CATALOGUE.brought_by(find(plugin).top for plugin in strategy.plugins)


def plugin_roots(strategy: Strategy) -> tuple[Root, ...]:
    """What the version of a strategy covers of labels, constraints, networks (those it names) and estimators."""
    label = label_kind(strategy.label).roots
    return (*label, *constraint_roots(strategy.portfolio), *_network_roots(strategy.learning), *roots_of_members())


def broker_roots(name: str) -> tuple[Root, ...]:
    """What the version of a fill covers: the package's own broker, another one that is named, or what takes fills."""
    own = "nn_assets.execution.registry:BROKERS"
    if name in VENUES:
        return (own, "nn_assets.execution.recorded:RecordedBroker")
    return (own,) if name in BROKERS_OF_ITS_OWN else (own, *BROKERS.require(name, "execution.broker").roots)


def _network_roots(learning: LearningSettings) -> tuple[Root, ...]:
    if learning.network in NETWORKS_OF_ITS_OWN:
        return (NETWORKS_OF_ITS_OWN[learning.network],)
    from nn_assets.learning.networks import network_of

    return network_of(learning.network).roots
