"""Each fault that published systems of this kind share, switched on deliberately in the real path, and what catches it.

Every check runs twice, on the code as it is and with the fault switched on. It is one that the package makes itself,
or one that its tests make of it; the fault is a patch of the package's own function, or of what it is handed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from math import ceil
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from scipy.special import expit

from nn_assets.arrays import Cube
from nn_assets.costs.model import CostModel, CostParts, cost_model_from
from nn_assets.errors import FoldError, ModelError, SettingsError
from nn_assets.evaluation.figures import study_figures
from nn_assets.evaluation.significance import auc_contributions, rank_ic_contributions, robust_mean_test
from nn_assets.evaluation.verdict import verdict
from nn_assets.features.catalogue import compute
from nn_assets.features.labels import direction as labelling
from nn_assets.features.labels import make_labels
from nn_assets.features.scaling import Scaler
from nn_assets.features.selection import SelectionReport
from nn_assets.features.stationarity import StationarityReport
from nn_assets.learning import folds, inference, model, training
from nn_assets.learning.calibration import Calibration, fit_calibration, reliability
from nn_assets.learning.first_month import first_model_month, prior_fault
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.heads import SIGN, Head
from nn_assets.learning.inference import forecast
from nn_assets.learning.model import FoldData
from nn_assets.learning.networks.mlp import Perceptron
from nn_assets.learning.training import repeatable_torch, train
from nn_assets.learning.windows import Samples, Windows
from nn_assets.market.adjustment import adjustment_of
from nn_assets.market.panel import Panel
from nn_assets.oversight import reference
from nn_assets.oversight.critical_values import critical_value
from nn_assets.oversight.drift import DriftMonitor, drift_reference
from nn_assets.session import market_view as views
from nn_assets.session.market_view import market_view
from nn_assets.settings import (
    CostSettings,
    LabelSettings,
    OversightSettings,
    PortfolioSettings,
    Strategy,
    parse_strategy,
)
from nn_assets.signals.regimes import Regimes
from tests.evaluation.tracks import made_record
from tests.features.panels import random_panel
from tests.learning.tiny import (
    MONTH,
    SYMBOLS,
    fit_model,
    tiny_fold,
    tiny_market,
    tiny_samples,
    tiny_settings,
    tiny_strategy,
)
from tests.oversight.worlds import autoregressive, examined
from tests.portfolio.kelly_forms import kelly_bet
from tests.proof.results import Result
from tests.proof.targets import Target, of_count

TITLE = "Faults: each switched on deliberately, and the check that catches it"
_HERE = sys.modules[__name__]
_CHANGED = 5  # sessions after a model's first use, of the one whose bar is changed


@dataclass(frozen=True)
class Finding:
    """What a check said: whether something is wrong, and by what figure."""

    wrong: bool
    figure: str


@dataclass(frozen=True)
class Fault:
    """One fault of the contract's list."""

    number: int
    fault: str
    done: str  # how it is switched on
    caught_by: str
    switched_on: Callable[[], AbstractContextManager[object]]
    check: Callable[[], Finding]


def panels() -> list[dict[str, Any]]:
    """One a fault."""
    return [{"fault": key} for key in FAULTS]


def measure(panel: Mapping[str, Any]) -> dict[str, Any]:
    """What the check says of the code as it is, and with the fault switched on."""
    fault = FAULTS[panel["fault"]]
    healthy = fault.check()
    with fault.switched_on():
        faulty = fault.check()
    return {
        "wrong_when_healthy": bool(healthy.wrong),
        "caught": bool(faulty.wrong),
        "healthy": healthy.figure,
        "faulty": faulty.figure,
    }


def summary(results: Sequence[Result]) -> str:
    """A row a fault."""
    head = ("no.", "fault", "switched on by", "check", "the code as it is", "with the fault", "caught")
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    missed = []
    for result in results:
        fault, figures = FAULTS[result.panel["fault"]], result.figures
        caught = "yes" if figures["caught"] else "**no**"
        if figures["wrong_when_healthy"]:
            caught = "**rings on the code as it is**"
        if figures["wrong_when_healthy"] or not figures["caught"]:
            missed.append(fault.fault)
        cells = (fault.fault, fault.done, fault.caught_by, figures["healthy"], figures["faulty"], caught)
        lines.append(f"| {fault.number} | {' | '.join(str(cell).replace('|', '/') for cell in cells)} |")
    verdict_ = f"**Not caught: {'; '.join(missed)}.**" if missed else "Every one of them is caught."
    return f"{verdict_}\n\n" + "\n".join(lines)


def targets(results: Sequence[Result]) -> list[Target]:
    """Every fault is caught, and no check rings on the code as it is."""
    caught = sum(result.figures["caught"] and not result.figures["wrong_when_healthy"] for result in results)
    asked = f"each of {len(FAULTS)} faults caught, none on the code as it is"
    every = len(FAULTS)
    return [of_count(asked, f"{caught} of {len(results)}", caught, len(results), every, at_least=every)]


# 1 and 7: how a network learns


def _learned(**changed: object) -> tuple[Windows, Samples, training.TrainingResult]:
    windows, learned, judged = tiny_samples()
    settings = tiny_settings(network="mlp", learning_rate=0.03, maximum_epochs=25, patience=4, **changed)
    return windows, judged, train(windows, learned, judged, settings, seed=5)


def _loss_of_stored_weights() -> Finding:
    windows, judged, result = _learned()
    network = _network(result.state)
    with torch.no_grad():
        logits = network(torch.from_numpy(windows.gather(judged.rows, judged.columns))).double().numpy()
    loss = float(np.mean(np.logaddexp(0.0, logits) - judged.targets * logits))
    return Finding(
        abs(loss - result.validation_loss) > 1e-5,
        f"validation loss {result.validation_loss:.4f} reported, {loss:.4f} by the weights stored",
    )


def _network(state: Mapping[str, np.ndarray]) -> torch.nn.Module:
    with repeatable_torch(0):
        network = training.build_network(tiny_settings(network="mlp"), features=4)
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    return network.eval()


def _shallow_copy() -> AbstractContextManager[object]:
    return patch.object(
        training, "_real_copy", lambda network: {name: tensor.detach() for name, tensor in network.state_dict().items()}
    )


def _a_batch_of_one_is_trained_on() -> Finding:
    try:
        _, _, result = _learned(batch_size=65)  # 261 samples: the last batch has one
    except (ValueError, RuntimeError) as error:
        return Finding(wrong=True, figure=f"refused: {str(error).splitlines()[0][:90]}")
    return Finding(wrong=False, figure=f"trained, {len(result.history)} epochs")


def _squeezed() -> AbstractContextManager[object]:
    right = Perceptron.forward_and_back

    def squeezed(self: Perceptron, windows: torch.Tensor) -> tuple[torch.Tensor, Callable[[torch.Tensor], None]]:
        logits, back = right(self, windows)
        return logits.squeeze(), back

    return patch.object(Perceptron, "forward_and_back", squeezed)


def _loss_over_batches() -> Finding:
    with patch.object(training, "_JUDGED_AT_ONCE", 64):  # 90 samples: batches of 64 and 26
        return _loss_of_stored_weights()


def _mean_of_means() -> AbstractContextManager[object]:
    def mean_of_means(network: torch.nn.Module, windows: Windows, samples: Samples, head: Head = SIGN) -> float:
        network.eval()
        at_once, losses = training._JUDGED_AT_ONCE, []
        with torch.no_grad():
            for start in range(0, samples.count, at_once):
                indices = np.arange(start, min(start + at_once, samples.count))
                inputs, targets = training._batch(windows, samples, indices)
                losses.append(float(head.losses(network(inputs), targets).double().mean()))
        return float(np.mean(losses))

    return patch.object(training, "mean_loss", mean_of_means)


# 2, 4 and 6: which rows a model sees


def _small() -> Strategy:
    return tiny_strategy(network="mlp", ensemble=1, maximum_epochs=4)


def _fitted(month: str = MONTH) -> tuple[FoldModel, Cube]:
    cube, labels = tiny_market()
    return fit_model(cube, labels, tiny_fold(cube, _small(), month), _small()), cube


def _forecasts_move_with_their_own_bar() -> Finding:
    fitted, cube = _fitted()
    row = fitted.fold.used_from + _CHANGED
    values = np.array(cube.values)
    values[row] += 1.0
    rows = slice(row, row + 1)
    one, other = (
        forecast(fitted, variant, rows) for variant in (cube, Cube(cube.sessions, cube.symbols, cube.names, values))
    )
    moved = np.mean([one[name].probability != other[name].probability for name in ("network", "linear")])
    return Finding(moved < 1.0, f"{moved:.0%} of a session's forecasts move with its own bar")


@contextmanager
def _a_session_late() -> Iterator[None]:
    gather, last_rows = Windows.gather, Windows.last_rows
    with (
        patch.object(Windows, "gather", lambda self, rows, columns: gather(self, rows - 1, columns)),
        patch.object(Windows, "last_rows", lambda self, rows, columns: last_rows(self, rows - 1, columns)),
    ):
        yield


def _labels_end_before_the_next_part() -> Finding:
    cube, labels = tiny_market()
    fold = tiny_fold(cube, _small())
    late = int((labels.realised_row[fold.training] >= fold.validation.start).sum())
    figure = f"{late} training sessions whose label reaches validation"
    try:
        fit_model(cube, labels, fold, _small())
    except FoldError as error:
        return Finding(wrong=True, figure=f"{figure}; refused: {error.expected}")
    return Finding(wrong=False, figure=figure)


def _purged_by(sessions: Callable[[int, int], int]) -> Callable[[], AbstractContextManager[object]]:
    return lambda: patch.object(folds, "purge_sessions", sessions)


def _first_session_has_a_forecast() -> Finding:
    fitted, cube = _fitted()
    made = forecast(fitted, cube, slice(fitted.fold.used_from, cube.session_count))["network"].probability
    without = int(np.isnan(made).all(axis=1).argmin())
    return Finding(without > 0, f"{without} sessions without a forecast after a model's first use")


def _knows_the_edge() -> Finding:
    fitted, cube = _fitted()
    _, labels = tiny_market()
    rows = slice(fitted.fold.used_from, cube.session_count)
    made = forecast(fitted, cube, rows)["network"].probability
    folds_of = np.full(len(made), "one")
    test = robust_mean_test(auc_contributions(made, labels.targets[rows], folds_of), 3, null=0.5)
    estimate, t = test.estimate or 0.5, test.t_statistic or 0.0
    return Finding(t < 3.0, f"AUC {estimate:.3f} of a planted edge, t = {t:.1f}")


def _never_steps() -> AbstractContextManager[object]:
    def idle(network: torch.nn.Module, *arguments: Any) -> tuple[float, float]:
        windows, samples = arguments[1], arguments[2]
        return training.mean_loss(network, windows, samples), 0.0

    return patch.object(training, "_one_epoch", idle)


_FITTED_FOR = MONTH


def _a_months_forecasts() -> Finding:
    fitted, cube = _fitted(_FITTED_FOR)
    rows = folds.forecast_rows(cube.sessions, MONTH)
    try:
        made = forecast(fitted, cube, rows)
    except ModelError as error:
        return Finding(wrong=True, figure=f"refused: expected {error.expected}, found {error.found}")
    return Finding(wrong=False, figure=f"{np.isfinite(made['network'].probability).sum()} forecasts of {MONTH}")


# 3: labels


def _no_label_before_it_is_realised() -> Finding:
    panel = random_panel(bars=120, symbols=6)
    labels = make_labels(panel, LabelSettings(horizon_sessions=5))
    early = np.isfinite(labels.targets) & (labels.realised_row >= panel.session_count)[:, None]
    down = int((labels.targets[early] == 0.0).sum())
    return Finding(bool(early.any()), f"{int(early.sum())} labels whose future is not there, {down} of them 'down'")


def _missing_future_is_a_fall() -> AbstractContextManager[object]:
    real = labelling.forward_returns
    return patch.object(labelling, "forward_returns", lambda *arguments: np.nan_to_num(real(*arguments)))


# 5: what is decided on training rows


def _prepared(*, select: bool) -> tuple[model._Inputs, model._Inputs]:
    """What a fit decides before it learns: on the market, and on one whose validation rows are others by far."""
    cube, labels = tiny_market()
    strategy = tiny_strategy({"select": select}, network="mlp", ensemble=1)
    fold = tiny_fold(cube, strategy)
    values = np.array(cube.values)
    values[fold.validation] = np.cumsum(5.0 + 3.0 * values[fold.validation], axis=0)
    other = Cube(cube.sessions, cube.symbols, cube.names, values)
    one, two = (model._prepare(model._cut(FoldData(variant, labels, fold), strategy)) for variant in (cube, other))
    return one, two


def _decided_alike(part: str) -> Callable[[], Finding]:
    def check() -> Finding:
        one, two = _prepared(select=part == "selection")
        reports: list[Mapping[str, Any]] = []
        for inputs in (one, two):
            decided: Scaler | SelectionReport | StationarityReport | None = getattr(inputs, part)
            assert decided is not None
            reports.append(decided.to_dict())
        changed = sum(str(reports[0][key]) != str(reports[1][key]) for key in reports[0])
        return Finding(changed > 0, f"{changed} of {len(reports[0])} of its parts change with the validation rows")

    return check


def _on_all_rows(name: str) -> Callable[[], AbstractContextManager[object]]:
    """A step that takes the rows to decide on is given all that there are."""

    def on() -> AbstractContextManager[object]:
        real = getattr(model, name)
        index = {"decide_transforms": 1, "select_features": 2}[name]

        def leaking(cube: Cube, *rest: Any) -> object:
            arguments = [cube, *rest]
            arguments[index] = slice(0, cube.session_count)
            return real(*arguments)

        return patch.object(model, name, leaking)

    return on


@contextmanager
def _scaled_on_all_rows() -> Iterator[None]:
    transform, fit, seen = model.apply_transforms, model.fit_scaler, []

    def remembering(cube: Cube, report: StationarityReport) -> Cube:
        seen.append(transform(cube, report))
        return seen[-1]

    with (
        patch.object(model, "apply_transforms", remembering),
        patch.object(model, "fit_scaler", lambda _, kind: fit(np.asarray(seen[-1].values), kind)),
    ):
        yield


# 8: units and calibration


def _impact_knows_the_volume() -> Finding:
    costs = cost_model_from(CostSettings())
    dear, cheap = (costs.parts(1e5, adv, 0.02).temporary for adv in (1e6, 1e8))
    ratio = float(dear / cheap)
    return Finding(
        abs(ratio - 10.0) > 1e-9, f"impact x {ratio:.1f} at a hundredth of the volume, 10.0 by the square root"
    )


def _share_of_capital() -> AbstractContextManager[object]:
    def parts(self: CostModel, order: object, adv: object, sigma: object) -> CostParts:
        value, _, _ = np.broadcast_arrays(*(np.abs(np.asarray(values, dtype=float)) for values in (order, adv, sigma)))
        share = value / 1e6
        flat = np.full(value.shape, 1.0)
        return CostParts(
            self.half_spread.value * flat,
            self.commission.value * flat,
            self.temporary_impact.value * share,
            self.permanent_impact.value * share,
        )

    return patch.object(CostModel, "parts", parts)


def _rings_when_nothing_changes() -> Finding:
    settings = OversightSettings()
    series = autoregressive(np.random.default_rng(4), np.array([0.5]), 500 + 12 * 252)
    probability = expit(series)
    baseline = drift_reference(probability[:500], np.zeros((500, 1, 0)), (), settings)
    ranks, monitor = baseline.forecast_ranks(probability), DriftMonitor(settings)
    rows = range(560, len(series), 5)
    none = np.zeros((len(series), 1, 0))
    rung = [examined(monitor, row, ranks, none, baseline).prediction_drifted for row in rows]
    share = float(np.mean(rung))
    return Finding(share > 0.15, f"drift on {share:.0%} of the sessions of an unchanged series")


def _no_distance(statistic: str, *arguments: float) -> float:
    return 0.0 if statistic == "ks" else critical_value(statistic, *arguments)  # type: ignore[arg-type]


def _fixed_threshold() -> AbstractContextManager[object]:
    return patch.object(reference, "critical_value", _no_distance)  # the floor of 0.12 is left alone


def _bets_of_a_forecaster_that_knows_nothing() -> Finding:
    draw = np.random.default_rng(6)
    score = np.where(draw.random((400, 10)) < 0.5, 2.0, -2.0)  # probabilities of 0.88 and 0.12
    targets = (draw.random(score.shape) < 0.5).astype(float)
    fitted = fit_calibration(
        score[:300],
        np.zeros((300, 10)),
        targets[:300],
        horizon_sessions=1,
        half_life_sessions=252.0,
        prior_outcomes=60.0,
    )
    probability, outcome = fitted.apply(score[300:]).ravel(), targets[300:].ravel()
    judged = reliability(probability, outcome)
    base = float(np.mean((fitted.base_rate - outcome) ** 2))
    bet = float(np.mean(0.5 * kelly_bet(np.maximum(probability, 1.0 - probability), 1.0)))
    return Finding(judged.brier > base + 0.01, f"Brier {judged.brier:.3f} beside {base:.3f}, half Kelly bets {bet:.1%}")


def _raw_probabilities() -> AbstractContextManager[object]:
    return patch.object(Calibration, "apply", lambda _, score: expit(score))


# 9: what reads the whole history


def _held_to_cuts(values: Callable[[Panel], np.ndarray], panel: Panel, cuts: Sequence[int]) -> Finding:
    whole, compared, differs = values(panel), 0, 0
    for cut in cuts:
        one, other = whole[:cut], values(panel.until(panel.sessions[cut - 1]))
        compared += int((~np.isnan(one)).sum())
        differs += int(((one != other) & ~(np.isnan(one) & np.isnan(other))).sum())
    return Finding(differs > 0 or not compared, f"{differs:,} of {compared:,} values change when history is cut")


def _regimes_cut() -> Finding:
    def states(panel: Panel) -> np.ndarray:
        regimes = market_view(panel, PortfolioSettings()).regimes
        values = np.stack([regimes.rising, regimes.tercile, regimes.in_drawdown]).T.astype(float)
        return np.where(values < 0, np.nan, values)

    return _held_to_cuts(states, random_panel(bars=760, symbols=6), range(600, 760, 20))


def _smoothed() -> AbstractContextManager[object]:
    real = views.classify_regimes

    def both_ways(close: np.ndarray) -> Regimes:
        around = pd.Series(close).rolling(41, center=True, min_periods=1).mean().to_numpy()
        return real(around)

    return patch.object(views, "classify_regimes", both_ways)


def _adjusted_panel() -> Panel:
    panel = random_panel(bars=160, symbols=6)
    actions = pd.DataFrame({"symbol": ["S2"], "ex_session": [panel.sessions[140]], "kind": ["split"], "value": [2.0]})
    return replace(
        panel, adjustment=adjustment_of(actions, panel.sessions, panel.symbols, panel.close, "previous_close")
    )


def _prices_cut() -> Finding:
    return _held_to_cuts(lambda panel: panel.total_return().close, _adjusted_panel(), [120])


def _adjusted_to_the_end() -> AbstractContextManager[object]:
    return patch.object(Panel, "total_return", Panel.backward_adjusted)


def _features_cut() -> Finding:
    def values(panel: Panel) -> np.ndarray:
        return np.asarray(compute.compute_features(panel, ("log_return_1", "log_return_5")).values)

    return _held_to_cuts(values, random_panel(bars=160, symbols=3), [120])


def _whole_frame() -> AbstractContextManager[object]:
    real = compute.CATALOGUE["log_return_1"]

    def normalised(panel: Panel, context: Any) -> np.ndarray:
        values = real.compute(panel, context)
        scaled: np.ndarray = (values - np.nanmean(values)) / np.nanstd(values)
        return scaled

    own = compute.CATALOGUE.own | {"log_return_1": replace(real, compute=normalised)}
    return patch.object(compute.CATALOGUE, "own", own)


# 10: the purge


_LAG = 1


def _a_lag_is_demanded() -> Finding:
    refusals = []
    try:
        parse_strategy(f"name: x\nmarket: {{history_starts: 2000-01-03}}\nlabel: {{execution_lag_sessions: {_LAG}}}\n")
        purge = folds.purge_sessions(5, _LAG)
    except SettingsError as error:
        refusals.append(str(error.found)[:90])
        try:
            purge = folds.purge_sessions(0, _LAG)
        except FoldError as refused:
            refusals.append(f"folds: {refused.expected}")
    return Finding(
        len(refusals) == 2, f"refused: {'; '.join(refusals)}" if refusals else f"a purge of {purge} sessions"
    )


# 11: parametric look-ahead


_SEEN_UNTIL = "before"


def _with_prior(prior: str) -> Strategy:
    first = pd.Period(first_model_month(_small()), "M")
    day = (first - 1).end_time if _SEEN_UNTIL == "before" else (first + 12).end_time
    learning = _small().learning.model_copy(update={"prior": prior, "knows_until": day.date()})
    return _small().model_copy(update={"learning": learning})


def _a_search_ends_before_the_first_test() -> Finding:
    """Sixty forecasters that know nothing; the best is chosen on the years before the test, or on all of them."""
    t_of = []
    for seed in range(60):
        record = made_record(400, 6, seed=seed)
        ic = rank_ic_contributions(record.ranked("network"), record.returns, record.folds)
        t_of.append([robust_mean_test(part, 5).t_statistic or 0.0 for part in (ic[:200], ic[200:])])
    t = np.array(t_of)
    chosen = int((t[:, 0] if _SEEN_UNTIL == "before" else t[:, 1]).argmax())
    figure = f"best of 60 that know nothing: t = {t[chosen, 1]:.1f} in the test years"
    fault = prior_fault(_with_prior("searched"))
    if fault is None:
        return Finding(wrong=False, figure=figure)
    return Finding(wrong=True, figure=f"{figure}; refused: expected {fault.expected}")


def _pretrained_weights_end_before_the_first_test() -> Finding:
    fault = prior_fault(_with_prior("pretrained"))
    return Finding(fault is not None, "read" if fault is None else f"refused: found {fault.found}")


def _a_search_says_until_when() -> Finding:
    until = "knows_until: 2001-12-31" if _SEEN_UNTIL == "before" else ""
    try:
        parse_strategy(f"name: x\nmarket: {{history_starts: 2000-01-03}}\nlearning: {{prior: searched, {until}}}\n")
    except SettingsError as error:
        return Finding(
            wrong=True, figure=f"refused: {'learning.knows_until' in str(error) and 'needs learning.knows_until'}"
        )
    return Finding(wrong=False, figure="read")


def _edge_of_a_record() -> Finding:
    record = made_record(750, 20, strength=0.1, drift=0.0015)
    if _SEEN_UNTIL != "before":
        record = record.counted_after(record.sessions[-1])
    judgement = verdict(study_figures(record, horizon_sessions=5, sessions_per_year=252, by_fold=False))
    return Finding(
        judgement.kind != "edge found",
        f"{judgement.kind}, trading {'allowed' if judgement.allows_trading else 'not allowed'}",
    )


def _seen_the_test() -> AbstractContextManager[object]:
    return patch.object(_HERE, "_SEEN_UNTIL", "test")


FAULTS: dict[str, Fault] = {
    "shallow copy": Fault(
        1,
        "the best weights kept by a shallow copy, which later steps overwrite",
        "the copy of the state without clone()",
        "the stored weights' loss against the one reported",
        _shallow_copy,
        _loss_of_stored_weights,
    ),
    "window a session late": Fault(
        2,
        "a window paired with the label one session too late",
        "every window ends one row before its decision session",
        "a session's forecasts must move with its own bar",
        _a_session_late,
        _forecasts_move_with_their_own_bar,
    ),
    "missing future as a fall": Fault(
        3,
        "the last label made from a missing future return and counted as down",
        "missing forward returns become zero",
        "no label before the row at which it says it is realised",
        _missing_future_is_a_fall,
        _no_label_before_it_is_realised,
    ),
    "label spans over the boundary": Fault(
        4,
        "training rows whose label span reaches validation",
        "a purge of no session",
        "check_realised, before every fit",
        _purged_by(lambda *_: 0),
        _labels_end_before_the_next_part,
    ),
    "windows cut at the boundary": Fault(
        4,
        "windows that do not reach back over the boundary",
        "inference is handed no row before the first asked for",
        "the first test session has a forecast",
        lambda: patch.object(inference, "first_needed_row", lambda start, *_: start),
        _first_session_has_a_forecast,
    ),
    "scaler on more rows": Fault(
        5,
        "a scaler fitted on more than the training rows",
        "it is handed every row of the fold",
        "other validation rows must leave it as it was",
        _scaled_on_all_rows,
        _decided_alike("scaler"),
    ),
    "selector on more rows": Fault(
        5,
        "a selector fitted on more than the training rows",
        "it is handed every row of the fold",
        "other validation rows must leave it as it was",
        _on_all_rows("select_features"),
        _decided_alike("selection"),
    ),
    "unit root test on more rows": Fault(
        5,
        "the Dickey-Fuller decision on more than the training rows",
        "it is handed every row of the fold",
        "other validation rows must leave it as it was",
        _on_all_rows("decide_transforms"),
        _decided_alike("stationarity"),
    ),
    "never trained": Fault(
        6,
        "a walk-forward loop that never trains",
        "an epoch takes no step",
        "a planted edge must be found out of sample",
        _never_steps,
        _knows_the_edge,
    ),
    "model of later data": Fault(
        6,
        "a model reused that was fitted on later data",
        "a month is forecast with the model of two months later",
        "forecast refuses rows before a model's first use",
        lambda: patch.object(_HERE, "_FITTED_FOR", "2012-09"),
        _a_months_forecasts,
    ),
    "batch of one squeezed": Fault(
        7,
        "a batch of one squeezed into a scalar",
        "squeeze() in place of squeeze(-1)",
        "the loss refuses shapes that differ; a batch of one must train",
        _squeezed,
        _a_batch_of_one_is_trained_on,
    ),
    "unequal batches": Fault(
        7,
        "loss averaged over unequal batches as if equal",
        "the mean of the batches' means",
        "the stored weights' loss over all samples against the one reported",
        _mean_of_means,
        _loss_over_batches,
    ),
    "cost without units": Fault(
        8,
        "a cost formula without volume and volatility",
        "coefficients times turnover as a share of capital",
        "the square-root law between two volumes",
        _share_of_capital,
        _impact_knows_the_volume,
    ),
    "fixed KS threshold": Fault(
        8,
        "a fixed KS threshold on small samples",
        "0.12 whatever window and autocorrelation",
        "the pace of rings where nothing changes",
        _fixed_threshold,
        _rings_when_nothing_changes,
    ),
    "Kelly on raw probabilities": Fault(
        8,
        "Kelly fed with uncalibrated probabilities",
        "the calibration hands them through",
        "Brier score against the base rate's",
        _raw_probabilities,
        _bets_of_a_forecaster_that_knows_nothing,
    ),
    "smoothed regimes": Fault(
        9,
        "smoothed regimes",
        "prices averaged over both sides of a session",
        "history cut at a session changes no earlier regime",
        _smoothed,
        _regimes_cut,
    ),
    "full-history adjustment": Fault(
        9,
        "prices adjusted to the end of the history",
        "backward in place of forward chaining, a split after the cut",
        "history cut at a session changes no earlier price",
        _adjusted_to_the_end,
        _prices_cut,
    ),
    "whole-frame normalisation": Fault(
        9,
        "a feature normalised over the whole frame",
        "less its mean, over its deviation, of all sessions",
        "history cut at a session changes no earlier feature",
        _whole_frame,
        _features_cut,
    ),
    "purge in rows": Fault(
        10,
        "the purge counted in rows of a long table",
        "horizon + lag rows of three symbols: two sessions",
        "check_realised, before every fit",
        _purged_by(lambda horizon, lag: ceil((horizon + lag) / len(SYMBOLS))),
        _labels_end_before_the_next_part,
    ),
    "purge of zero": Fault(
        10,
        "a purge that may be zero",
        "an execution lag of 0 in the settings",
        "the settings refuse it, and so do the folds",
        lambda: patch.object(_HERE, "_LAG", 0),
        _a_lag_is_demanded,
    ),
    "search without a cut-off": Fault(
        11,
        "a search that does not say what it has seen",
        "learning.prior searched without learning.knows_until",
        "the settings refuse it",
        _seen_the_test,
        _a_search_says_until_when,
    ),
    "search over the test years": Fault(
        11,
        "hyper-parameters chosen on the test years",
        "learning.knows_until a year after the first month forecast",
        "prior_fault, whenever strategies are read",
        _seen_the_test,
        _a_search_ends_before_the_first_test,
    ),
    "weights that have seen the test years": Fault(
        11,
        "pre-trained weights that have seen the test years",
        "learning.knows_until a year after the first month forecast",
        "prior_fault, whenever strategies are read",
        _seen_the_test,
        _pretrained_weights_end_before_the_first_test,
    ),
    "one choice over all folds": Fault(
        11,
        "one choice made over all folds, and its record believed",
        "learning.prior chosen_over_all_folds up to the record's last session",
        "sessions up to learning.knows_until count for no figure and no verdict",
        _seen_the_test,
        _edge_of_a_record,
    ),
}
