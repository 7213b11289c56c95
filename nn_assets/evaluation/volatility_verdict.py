"""What may be said of forecasts of a volatility: whether they lose less than each of the simplest ones. No position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nn_assets.evaluation.figure_set import LossFigures, StudyFigures
from nn_assets.evaluation.significance import MeanTest
from nn_assets.evaluation.verdict import Look, Verdict, levels_of, trial_adjusted_p_value
from nn_assets.evaluation.volatility_figures import SIMPLE_TITLES
from nn_assets.settings.sections import NO_DIRECTION, SIZES_BY_IT
from nn_assets.signals.volatility import first_tested

DOES_NOT_TRADE = f"it does not trade: {NO_DIRECTION}"


def without_trading(unjudged: Verdict, losses: LossFigures) -> Verdict:
    """A verdict that nothing was judged for, of a label that is a volatility."""
    return replace(unjudged, reason=f"{DOES_NOT_TRADE}; {unjudged.reason}", statistic=losses.statistic)


def volatility_look(losses: LossFigures, month: str, estimator: str) -> Look:
    """What a look sees: the gain over the simple forecast that is beaten least surely.

    An estimator is better where it beats each of them, which needs no further share of the error: if it is no better
    than one, the test against that one errs with the whole level at most (Berger 1982, intersection-union tests).
    """
    test = losses.weakest(estimator)
    if test is None:
        return Look(month, 0)
    known = test.standard_error is not None  # else a look decides, and spends, nothing
    return Look(month, test.sessions if known else 0, test.estimate, test.standard_error, test.degrees)


def volatility_verdict(
    figures: StudyFigures, before: Sequence[Look] = (), month: str = "", *, trials: int | None = None, estimator: str
) -> Verdict:
    """Judge an estimator's forecasts of a volatility at a look; it never allows trading.

    Better: it loses less than each simple forecast, at the level of this look, after the trials, or did so at an
    earlier look, as :func:`~nn_assets.evaluation.verdict.verdict` finds a signal.

    Parameters
    ----------
    figures : StudyFigures
        Of a label of a volatility.
    before, month, trials
        As :func:`~nn_assets.evaluation.verdict.verdict` takes them.
    """
    losses = figures.volatility
    assert losses is not None, "the label is a volatility"
    trials = figures.trials if trials is None else max(trials, 1)
    look = volatility_look(losses, month, estimator)
    looks = [*before, look]
    levels = levels_of(looks, trials, figures.sessions_per_year)
    weakest = losses.weakest(estimator)
    if weakest is None or weakest.p_value is None:
        why = "no estimator forecasts it" if weakest is None else weakest.reason
        had = 0 if weakest is None else weakest.sessions
        needed = first_tested(figures.horizon_sessions) - had
        return Verdict(
            "cannot tell",
            f"{DOES_NOT_TRADE}; {losses.statistic}: {why}",
            losses.statistic,
            sessions_needed=needed if needed > 0 else None,
            look=len(looks),
            comparison="" if needed > 0 else f"cannot tell: {why}",
        )
    crossed = [one for one, level in zip(looks, levels, strict=True) if one.crosses(level)]
    number, allowed = len(looks), trial_adjusted_p_value(levels[-1], trials)
    adjusted = trial_adjusted_p_value(weakest.p_value, trials)
    tried = "1 trial" if trials == 1 else f"{trials} trials"
    when = "the first look" if number == 1 else f"look {number} (the first was that of {looks[0].month})"
    good_for = f"; {SIZES_BY_IT}" if crossed and losses.statistic == "QLIKE" else ""
    earlier = f"; found at the look of {crossed[-1].month}" if crossed and look not in crossed else ""
    reason = (
        f"{DOES_NOT_TRADE}{good_for}; out of sample over {weakest.sessions:,} sessions, one-sided p = {adjusted:.3f} "
        f"against the simple forecast that is beaten least surely, adjusted for {tried}; {when} requires p "
        f"below {allowed:.2g}{earlier}; no leak alarm: accuracy, rank IC and Sharpe ratios have "
        "no meaning of a volatility"
    )
    return Verdict(
        "forecasts volatility better" if crossed else "not shown to forecast volatility better",
        reason,
        losses.statistic,
        adjusted_p_value=adjusted,
        allowed_p_value=allowed,
        look=number,
        comparison=_comparison(losses, estimator, levels[-1], better=bool(crossed)),
    )


def _comparison(losses: LossFigures, estimator: str, level: float, *, better: bool) -> str:
    """How an estimator compares with the simple forecasts, in a sentence with its figures."""
    tests = losses.gains[estimator]
    names = [SIMPLE_TITLES.get(name, name) for name in losses.simple]
    what = "volatility" if losses.statistic == "QLIKE" else "whether volatility exceeds the threshold"
    beside = losses.losses_beside(estimator)
    own, others = beside[estimator], [beside[name] for name in losses.simple]
    values = " and ".join(_number(value) for value in others)
    statistics = " and ".join(f"{test.t_statistic:.2f}" for test in tests.values() if test.t_statistic is not None)
    figure = f"{losses.statistic} {_number(own)} against {values} (t {statistics})"
    if better:
        return f"forecasts {what} better than {' and '.join(names)}: {figure}"
    by_simple = {name: _finding(tests[name], level) for name in losses.simple}
    if set(by_simple.values()) == {"not distinguishable from"}:
        return f"not distinguishable from {' and '.join(names)}: {figure}"
    said = ", ".join(f"{by_simple[name]} {SIMPLE_TITLES.get(name, name)}" for name in losses.simple)
    return f"not shown to forecast {what} better than {' and '.join(names)} ({said}): {figure}"


def _finding(test: MeanTest, level: float) -> str:
    """What a pair by itself says at the level of this look."""
    if test.p_value is None:
        return "not compared with"
    if test.p_value < level:
        return "better than"
    return "worse than" if 1.0 - test.p_value < level else "not distinguishable from"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
