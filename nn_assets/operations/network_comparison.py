"""Every network beside the simple ones on the same folds of a strategy: fitted, forecast, counted as trials, tested.

Nothing here takes force: models are kept by their addresses, so that one killed goes on where it was, and every network
is on record as a trial of the strategy's data before its figures are seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.arrays import FloatArray
from nn_assets.errors import ShortFoldError
from nn_assets.estimators import TRADED
from nn_assets.evaluation.comparison import Comparison, compare
from nn_assets.features.catalogue import STANDARD
from nn_assets.learning.artifact import to_files
from nn_assets.learning.first_month import first_model_month, first_refit_day, training_key
from nn_assets.learning.inference import forecast_members
from nn_assets.learning.model import FoldData, fit_models
from nn_assets.learning.momentum import RETURN_FEATURES
from nn_assets.learning.networks import NETWORKS, has_steps, levels_read
from nn_assets.learning.networks.candlestick import CANDLE_FEATURES
from nn_assets.learning.refits import used_rows
from nn_assets.operations.asof.choices import in_sample_until
from nn_assets.operations.compared_books import Money, books_of
from nn_assets.operations.history import History
from nn_assets.operations.models.preparation import DueFold, due_folds, fold_data
from nn_assets.operations.models.stored import load_model
from nn_assets.operations.models.training import time_left
from nn_assets.operations.models.tried import record_tried
from nn_assets.operations.pages import caveats_of, market_label, write_page
from nn_assets.operations.plugins import prepare
from nn_assets.operations.strategy_files import make_strategy
from nn_assets.plugins import find
from nn_assets.reports.comparison_page import comparison_page
from nn_assets.settings import LearningSettings, Strategy, WalkForwardSettings

Progress = Callable[[str], None]

SIMPLE = ("linear", "boosting", "momentum")
"""What every network is compared with."""

QUICK: Mapping[str, Any] = {
    "residual": False,
    "lookback": 10,
    "hidden": 16,
    "layers": 1,
    "learning_rate": 3e-3,
    "maximum_epochs": 12,
    "patience": 3,
    "plateau_patience": 2,
    "ensemble": 3,
}
"""Sizes with which seven networks are compared in minutes; all of ``learning``."""

QUICK_REFITS, _QUICK_DAYS = 12, 365
"""Months, or about so many days, between fits, at least, where sizes are quick."""

_FORECASTS_ALONE = {"volatility": "ewma"}  # of ``portfolio``

Addresses = Mapping[str, Sequence[str]]
"""Of every network's model of each fold, in their order."""


@dataclass(frozen=True, eq=False)
class NetworksCompared:
    """A comparison and what it was made of."""

    strategy: Strategy
    comparison: Comparison
    folds: int
    months: tuple[str, str]
    seconds: Mapping[str, float]  # that each one's fits took; 0 where its models were in the store
    trials: int  # that this comparison put on record
    dense: tuple[str, ...] = ()  # networks that learned from dense targets
    books: Mapping[str, Money] = field(default_factory=dict)  # what each contestant's earned
    searched: bool = False  # whether the strategy has a search, which is left out here
    reads_table: bool = False  # whether the chart reader's image is the table of features, and no candles


def quick(strategy: Strategy) -> Strategy:
    """The strategy with sizes that are compared in minutes, refitted once a year or so; nothing is searched."""
    walk = strategy.walk_forward
    paced = walk.model_dump(exclude_unset=True) | _quick_pace(strategy)
    changes = {
        "learning": _changed(strategy.learning, {**QUICK, "processes": strategy.learning.processes}),
        "walk_forward": WalkForwardSettings.model_validate(paced),
        "search": None,
    }
    return make_strategy({name: getattr(strategy, name) for name in strategy.model_fields_set} | changes)


def _quick_pace(strategy: Strategy) -> dict[str, int]:
    """The pace of refits; a grid of days still meets the first day that can have a model, to a day or so."""
    walk = strategy.walk_forward
    if walk.refit_every_days is None:
        return {"refit_every_months": max(walk.refit_every_months, QUICK_REFITS)}
    starts = strategy.market.history_starts
    before = (first_refit_day(strategy, starts) - starts).days
    return {"refit_every_days": max(walk.refit_every_days, ceil(before / max(1, before // _QUICK_DAYS)))}


def contestants(strategy: Strategy, networks: Sequence[str] = ()) -> dict[str, Strategy]:
    """The strategy with each network in turn, all else the same; the first one's models hold the simple ones too.

    A network has its own settings where the strategy names it, and their defaults where not. The chart reader draws
    candles where the strategy's features are those of candles, and else takes the table of features as its image.
    All begin with fresh weights. With dense targets a network that has no output at each step learns plain ones. What
    is compared are forecasts of the label: no contestant has an ensemble of volatility or scores of novelty fitted.

    Raises
    ------
    SettingsError
        A network is not registered, or cannot be built with the strategy's other settings.
    PluginError
        A network of a plug-in breaks its contract.
    """
    learning = strategy.learning
    chosen = tuple(networks) or NETWORKS.offered(find(plugin).top for plugin in strategy.plugins)
    whole_candles = tuple(strategy.features.names) == CANDLE_FEATURES and not strategy.features.select
    made = {}
    for number, name in enumerate(chosen):
        NETWORKS.require(name, "learning.network")
        own = dict(learning.network_settings) if name == learning.network else {}
        if name == "candlestick" and not own and not whole_candles:
            own = {"image": "table"}
        beside = simple_of(strategy) if number == 0 else ("linear",) * learning.residual
        changes = {"network": name, "network_settings": own, "baselines": beside, "warm_start": False}
        made[name] = _sound(strategy, {**changes, "dense_targets": False})
        if learning.dense_targets and has_steps(made[name].learning, len(strategy.features.names or STANDARD)):
            made[name] = _sound(strategy, changes)
    return made


def _sound(strategy: Strategy, changes: Mapping[str, Any]) -> Strategy:
    """The strategy with another network, held to its contract: before hours of fits, of which its own could fail."""
    # what a search would choose of one network says nothing of the others
    left_out = {"search": None, "novelty": None, "portfolio": strategy.portfolio.model_copy(update=_FORECASTS_ALONE)}
    made = strategy.model_copy(update={"learning": _changed(strategy.learning, changes), **left_out})
    prepare(made)
    return made


def simple_of(strategy: Strategy) -> tuple[str, ...]:
    """What a strategy's networks are compared with: without the momentum rule where there is none."""
    return SIMPLE if not _no_momentum(strategy) else tuple(name for name in SIMPLE if name != "momentum")


def _no_momentum(strategy: Strategy) -> str:
    """Why there is no momentum rule; empty where there is one."""
    names = strategy.features.names
    if strategy.of_no_direction:
        return "the label is a volatility, of which the direction of past returns says nothing"
    reads = not names or any(name in names for name in RETURN_FEATURES)
    return "" if reads else f"no feature is a session's return ({' or '.join(RETURN_FEATURES)})"


def _changed(learning: LearningSettings, changes: Mapping[str, Any]) -> LearningSettings:
    return LearningSettings.model_validate(learning.model_dump() | dict(changes))


def compare_networks(
    history: History, networks: Sequence[str], run_id: str, tell: Progress, *, members_replayed: bool = True
) -> NetworksCompared:
    """Fit what is missing, record every trial, forecast all folds by every member, test, and replay every book.

    Parameters
    ----------
    history : History
        Its strategy's learning section says what all networks have in common, whatever a search would choose.
    networks : sequence of str
        Names of the registry; all of them when empty.
    members_replayed : bool
        Whether each member's book is replayed beside its ensemble's: as many replays more as there are seeds.

    Raises
    ------
    ShortFoldError
        The history is too short for one fold.
    SettingsError
        A network is not registered, or cannot be built with the strategy's other settings.
    PluginError
        A network of a plug-in breaks its contract.
    PublicationError
        No bars are published.
    """
    searched = history.strategy.search is not None
    if searched:  # a fold would ask for a choice, which is made for the strategy's own network
        history = History.of(history.stores, history.strategy.model_copy(update={"search": None}))
    strategies = contestants(history.strategy, networks)
    months = _months(history)
    folds = sorted(due_folds(history, months), key=lambda due: due.fold.used_from)
    before = len(history.stores.ledger.read("trials", history.strategy.name))
    addresses = {
        name: [due.address(candidate) for due in _of(folds, candidate)] for name, candidate in strategies.items()
    }
    seconds = _fit(history, strategies, folds, addresses, tell)
    for candidate in strategies.values():
        record_tried(history, run_id, history.strategy.model_copy(update={"learning": candidate.learning}))
    tell("forecasting every fold by every member")
    forecasts, names = _forecasts(history, folds, addresses)
    outcomes, targets = _labels(history)
    rows = _rows(history, months)
    comparison = compare(
        {name: values[:, rows] for name, values in forecasts.items()},
        [name for name in SIMPLE if name in forecasts],
        outcomes[rows],
        targets[rows],
        names[rows],
        history.strategy.label.horizon_sessions,
    )
    return NetworksCompared(
        history.strategy,
        comparison,
        len(folds),
        (months[0], months[-1]),
        seconds,
        len(history.stores.ledger.read("trials", history.strategy.name)) - before,
        tuple(name for name, candidate in strategies.items() if candidate.learning.dense_targets),
        books_of(history, months, forecasts, _makers(forecasts, folds, addresses, names), tell, alone=members_replayed),
        searched,
        any(map(reads_table, strategies.values())),
    )


def reads_table(candidate: Strategy) -> bool:
    """Whether a contestant is the chart reader with the table of features for its image."""
    learning = candidate.learning
    return learning.network == "candlestick" and learning.network_settings.get("image") == "table"


def _makers(
    forecasts: Mapping[str, FloatArray], folds: Sequence[DueFold], addresses: Addresses, fold_of: Any
) -> dict[str, tuple[str, list[str | None]]]:
    """What its models call each contestant, and the model of each session: the first network's hold the simple ones."""
    first = next(iter(addresses))
    numbers = {str(number): number for number in range(len(folds))}
    rows = [numbers.get(name) for name in fold_of.tolist()]
    return {
        name: (
            TRADED if name in addresses else name,
            [None if row is None else addresses[name if name in addresses else first][row] for row in rows],
        )
        for name in forecasts
    }


def _months(history: History) -> list[str]:
    first, last = first_model_month(history.strategy), f"{history.last_session:%Y-%m}"
    months = [str(month) for month in pd.period_range(first, last, freq="M")]
    if not months:
        raise ShortFoldError(
            expected=f"history beyond {first}, the first month that a model can be fitted for",
            found=f"history up to {last}",
            remedy=f"bring a longer history, or shorten {training_key(history.strategy)}",
            strategy=history.strategy.name,
        )
    return months


def _fit(
    history: History, strategies: Mapping[str, Strategy], folds: Sequence[DueFold], addresses: Addresses, tell: Progress
) -> dict[str, float]:
    """Fit the models that the store lacks, network by network, each at once in the store; seconds of each."""
    store = history.stores.models
    judged: dict[tuple[int, tuple[str, ...]], FoldData] = {}
    seconds = dict.fromkeys(strategies, 0.0)
    lacking = {
        name: [due for due, address in zip(folds, addresses[name], strict=True) if not store.has(address)]
        for name in strategies
    }
    count, done, began = sum(map(len, lacking.values())), 0, time.monotonic()
    tell(f"{len(strategies) * len(folds)} models for {', '.join(strategies)}, {count} of them to be fitted")
    for name, candidate in strategies.items():
        due_now, started = _of(lacking[name], candidate), time.monotonic()
        read = levels_read(candidate.learning)
        data: list[FoldData] = []
        for due in due_now:
            # networks that read no feature by name share what the training rows say of the features
            key = due.fold.used_from, read
            if key not in judged:
                judged[key] = fold_data(due)
            data.append(replace(judged[key], strategy=candidate))
        for model in fit_models(data, candidate):
            store.put(model.model_id, to_files(model))
            done += 1
            left = (time.monotonic() - began) / done * (count - done)
            tell(f"{name}: {done} of {count} models fitted, used from {model.fold.month}{time_left(left)}")
        seconds[name] = time.monotonic() - started if due_now else 0.0
    return seconds


def _of(folds: Sequence[DueFold], candidate: Strategy) -> list[DueFold]:
    """The folds as a candidate sees them, whatever a search has chosen for the strategy."""
    return [replace(due, strategy=candidate) for due in folds]


def _forecasts(history: History, folds: Sequence[DueFold], addresses: Addresses) -> tuple[dict[str, FloatArray], Any]:
    """Of every ensemble (members, sessions, symbols) on the whole axis, and the fold of each session.

    A fold of which fewer members trained has NaN for the last ones: they count neither in a mean nor in a spread. Each
    session is forecast on what it knew, as a study forecasts it.
    """
    shape = len(history.axis), len(history.symbols)
    forecasts: dict[str, FloatArray] = {}
    fold_of = np.full(len(history.axis), -1)
    for number, due in enumerate(folds):
        fold_of[due.fold.used_from :] = number
    used = range(folds[0].fold.used_from, len(history.axis))
    for stretch in history.stretches(used):
        for number, run in groupby(stretch.rows, key=lambda row: int(fold_of[row])):
            own = list(run)
            part, members = slice(own[0], own[-1] + 1), stretch.cut.members
            for network, of_folds in addresses.items():
                model = load_model(history.stores, of_folds[number])
                for name, values in forecast_members(model, stretch.cut.cube, part).items():
                    if name in SIMPLE and network != next(iter(addresses)):
                        continue  # a residual network's own linear model: the same bits
                    called = network if name == TRADED else name
                    if called not in forecasts:
                        forecasts[called] = np.full((model.estimators.settings.ensemble, *shape), np.nan)
                    kept = values if members is None else np.where(members[part], values, np.nan)
                    forecasts[called][: len(kept), part] = kept  # those that failed are none
    simple_last = sorted(forecasts, key=lambda name: name in SIMPLE)
    return {name: forecasts[name] for name in simple_last}, fold_of.astype(np.str_)


def _labels(history: History) -> tuple[FloatArray, FloatArray]:
    """What is ranked against and targets, as the last session knows them, (sessions, symbols)."""
    last = len(history.axis) - 1
    (stretch,) = history.stretches([last])
    labels = stretch.cut.labels.until(last)
    return labels.outcomes, labels.targets


def _rows(history: History, months: Sequence[str]) -> Any:
    """Sessions that count: out of sample, and after what one choice over all folds has seen."""
    rows = np.zeros(len(history.axis), dtype=bool)
    rows[used_rows(history.strategy, history.axis, months[0]).start :] = True
    until = in_sample_until(history.stores.ledger, history.strategy)
    return rows if until is None else rows & np.asarray(history.axis > until)


def write_comparison_page(compared: Sequence[NetworksCompared], name: str) -> Path:
    """Write the page of one or several comparisons; returns its file."""
    sheets = [
        {
            "name": one.strategy.name,
            "label": market_label(one.strategy),
            "comparison": one.comparison,
            "books": one.books,
            "books_said": books_said(one),
            "facts": facts_of(one),
            "caveats": caveats_of(one.strategy),
            "counted": one.strategy.rows_called,
        }
        for one in compared
    ]
    return write_page(name, comparison_page(sheets))


def books_said(compared: NetworksCompared) -> str:
    """What the books are, and why there is no spread over their seeds where there is none."""
    text = (
        "Each ensemble's forecasts through the replay of a study: one calibration, one sizing, one cost object, the "
        "verdict not asked, no drift watched and so no refresh. Sharpe ratios a year, in excess of cash"
    )
    without = any(one.sharpe_net is not None and not one.of_members for one in compared.books.values())
    return text + "; over seeds none at quick sizes, where each member would be one replay more" * without


def facts_of(compared: NetworksCompared) -> list[tuple[str, str]]:
    """What a reader must know of how a comparison was made, by name."""
    learning = compared.strategy.learning
    seeds = f"seeds {learning.seed} to {learning.seed + learning.ensemble - 1}"
    return [
        ("Out of sample", f"{compared.months[0]} to {compared.months[1]}"),
        ("Folds", str(compared.folds)),
        ("Members", f"{learning.ensemble} an ensemble, {seeds}"),
        ("Sizes", f"lookback {learning.lookback}, hidden {learning.hidden}, layers {learning.layers}"),
        ("Epochs", f"at most {learning.maximum_epochs}"),
        *[("Dense targets", f"{', '.join(compared.dense) or 'none'}; no other has an output at each step")]
        * learning.dense_targets,
        *[
            (
                "Candlestick",
                "reads the table of the strategy's features as an image, since they are not those of candles",
            )
        ]
        * compared.reads_table,
        *[("Search", "left out: every contestant has the configuration that the file states")] * compared.searched,
        ("Trials put on record", str(compared.trials)),
        *[("Compared by", "how they rank volatilities; QLIKE or the Brier score is a study's")]
        * compared.strategy.of_no_direction,
        *(
            (f"Left out: {name}", _no_momentum(compared.strategy))
            for name in SIMPLE
            if name not in simple_of(compared.strategy)
        ),
    ]
