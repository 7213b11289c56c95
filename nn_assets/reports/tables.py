"""Rows of the tables on the pages: figures side by side, folds, and why a position has its size."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from nn_assets.arrays import Symbol, session_text
from nn_assets.contracts.frames import PositionStepRows, TargetPositionRows
from nn_assets.estimators import ESTIMATORS
from nn_assets.evaluation.figure_set import FORECAST_NAMES, Figures, LossFigures, StudyFigures
from nn_assets.evaluation.significance import MeanTest
from nn_assets.evaluation.volatility_figures import SIMPLE_TITLES
from nn_assets.reports.canvas import NAMES

ABSENT = "\N{EN DASH}"

Form = Callable[[float], str]


def _decimals(digits: int) -> Form:
    return lambda value: f"{value:.{digits}f}"


def _percent(digits: int) -> Form:
    return lambda value: f"{100.0 * value:.{digits}f}%"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _years(value: float) -> str:
    return f"{value:,.0f} sessions"


def counted_as(sentence: str, counted: str) -> str:
    """A sentence on the rows of a record, which it calls sessions, in the word for what they are.

    Parameters
    ----------
    counted : str
        ``sessions``; ``decisions`` where the strategy decides within the session.
    """
    if counted == "sessions":
        return sentence
    one = counted.removesuffix("s")
    in_words = re.sub(r"\b([Ss])ession(s?)\b", lambda m: (one if m[1] == "s" else one.capitalize()) + m[2], sentence)
    return re.sub(r"\bdaily\b", f"each {one}'s", in_words)


# label, what it says, name, how it is written, whether the largest (+1) or smallest (-1) is best
_ROWS: tuple[tuple[str, str, str, Form, int], ...] = (
    ("AUC", "within sessions or folds", "auc", _decimals(4), 1),
    ("AUC, t", "robust to overlap", "auc_t", _decimals(2), 0),
    ("Accuracy", "right side of 0.5", "accuracy", _percent(1), 1),
    ("Base rate", "saying the commoner always", "base_accuracy", _percent(1), 0),
    ("Positive labels", "share", "base_rate", _percent(1), 0),
    ("Rank IC", "forecast with outcome", "rank_ic", _decimals(4), 1),
    ("Rank IC, t", "robust to overlap", "rank_ic_t", _decimals(2), 0),
    ("Brier", "calibrated forecasts", "brier", _decimals(4), -1),
    ("Brier, base rate", "of its own calibration, each day", "base_brier", _decimals(4), 0),
    ("Calibration error", "expected, in ten bins", "calibration_error", _decimals(4), -1),
    ("Sharpe, net", "after every cost", "sharpe_net", _decimals(2), 1),
    ("Sharpe, costs x 2", "the same trades", "sharpe_net_costs_x2", _decimals(2), 1),
    ("Sharpe, 10 bps", "of what the same trades moved", "sharpe_net_10_bps", _decimals(2), 1),
    ("Sharpe, gross", "before trading costs", "sharpe_gross", _decimals(2), 1),
    ("Return a year", "net", "return_per_year", _percent(1), 1),
    ("Return, costs x 2", "the same trades", "return_per_year_costs_x2", _percent(1), 1),
    ("Return, 10 bps", "of what the same trades moved", "return_per_year_10_bps", _percent(1), 1),
    ("Volatility a year", "", "volatility_per_year", _percent(1), 0),
    ("Largest drawdown", "", "max_drawdown", _percent(1), -1),
    ("Turnover a year", "times equity", "turnover_per_year", _decimals(1), 0),
    ("Hit ratio", "sessions with a gain", "hit_ratio", _percent(1), 1),
    ("Win over loss", "mean sizes", "win_loss_ratio", _decimals(2), 1),
    ("Probabilistic Sharpe", "true Sharpe above 0", "probabilistic_sharpe", _decimals(3), 1),
    ("Deflated Sharpe", "and after all trials", "deflated_sharpe", _decimals(3), 1),
    ("Track record needed", "to show Sharpe above 0", "minimum_track_record_sessions", _years, 0),
    ("Sessions", "out of sample", "return_sessions", _count, 0),
)

_COIN_BRIER = 0.25
# What a figure must be better than to be the best of its row: other figures of the same estimator, and numbers.
_THRESHOLDS: dict[str, tuple[str | float, ...]] = {
    "auc": (0.5,),
    "accuracy": ("base_accuracy",),
    "rank_ic": (0.0,),
    "brier": ("base_brier", _COIN_BRIER),
    **dict.fromkeys(("sharpe_net", "sharpe_net_costs_x2", "sharpe_net_10_bps", "sharpe_gross"), (0.0,)),
    **dict.fromkeys(("return_per_year", "return_per_year_costs_x2", "return_per_year_10_bps"), (0.0,)),
}

_ORDER = (*ESTIMATORS, "buy_and_hold")


@dataclass(frozen=True)
class Cell:
    """One figure as written; ``why`` explains a missing one; ``best`` marks the best of its row."""

    text: str
    why: str = ""
    best: bool = False


@dataclass(frozen=True)
class FigureTable:
    """Figures side by side: ``rows`` are (label, hint, cells), cells in the order of ``columns``."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Cell, ...]], ...]
    gaps: tuple[str, ...]  # sentences: which figure is missing for whom, and why


def _in_order(by_estimator: Mapping[str, Figures]) -> list[str]:
    return [name for name in _ORDER if name in by_estimator] + [name for name in by_estimator if name not in _ORDER]


def _written(value: float | None, form: Form) -> str:
    return ABSENT if value is None or not math.isfinite(value) else form(value).replace("-", "\N{MINUS SIGN}")


def figure_table(figures: StudyFigures, counted: str = "sessions") -> FigureTable:
    """Lay out the totals of a study, the best of each row marked where there is a better and a worse.

    Where the best of a row is no better than what takes no skill, nothing in it is marked. ``counted`` is what the
    rows of the record are, as :func:`counted_as` has it.
    """
    names = _in_order(figures.total)
    rows: list[tuple[str, str, tuple[Cell, ...]]] = []
    gaps: dict[tuple[str, str], list[str]] = {}
    for label, hint, key, form, better in _ROWS:
        values = {name: getattr(figures.total[name], key) for name in names}
        # A flat book has no drawdown and no loss: that is no merit, so it does not compete.
        rivals = [name for name in names if key in FORECAST_NAMES or figures.total[name].sharpe_net is not None]
        over = [name for name in rivals if _beats_thresholds(figures.total[name], key, better)]
        comparable = [value for name, value in values.items() if value is not None and name in rivals]
        compared = sum(value is not None for value in values.values()) > 1
        best = max(comparable, key=lambda value: better * value) if better and comparable and compared else None
        cells = []
        for name, value in values.items():
            why = "" if value is not None else figures.total[name].absent.get(key, "not measured")
            why = counted_as(why, counted)
            if why:
                gaps.setdefault((name, why), []).append(counted_as(label, counted))
            cells.append(
                Cell(
                    counted_as(_written(value, form), counted), why, best is not None and value == best and name in over
                )
            )
        rows.append((counted_as(label, counted), counted_as(hint, counted), tuple(cells)))
    notes = tuple(f"{NAMES.get(name, name)}: {why} ({', '.join(labels)})" for (name, why), labels in gaps.items())
    return FigureTable(tuple(NAMES.get(name, name) for name in names), tuple(rows), notes)


def _beats_thresholds(figures: Figures, key: str, better: int) -> bool:
    """Whether a figure is better than all that costs no skill: a coin, the base rate, cash."""
    value = getattr(figures, key)
    bars = [getattr(figures, bar) if isinstance(bar, str) else bar for bar in _THRESHOLDS.get(key, ())]
    return value is None or all(bar is None or better * value > better * bar for bar in bars)


def loss_table(losses: LossFigures, counted: str = "sessions") -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Lay out one row for each estimator and simple forecast: its loss, and what it loses less than each simple one."""
    header = ("", losses.statistic, *(f"less than {SIMPLE_TITLES.get(name, name)}" for name in losses.simple))
    rows = []
    for name in (*(name for name in _ORDER if name in losses.gains), *losses.simple):
        loss, tests = losses.losses[name], losses.gains.get(name, {})
        cells = [
            counted_as(_gain(tests[simple], losses.sessions), counted) if simple in tests else ""
            for simple in losses.simple
        ]
        title = SIMPLE_TITLES.get(name, NAMES.get(name, name))
        rows.append((title, ABSENT if loss is None else f"{loss:.4f}", *cells))
    return header, tuple(rows)


def _gain(test: MeanTest, usual: int) -> str:
    """A gain with its test, or why there is none, and its sessions where those are not the table's."""
    if test.estimate is None or test.t_statistic is None or test.p_value is None:
        return test.reason
    over = "" if test.sessions == usual else f", over {test.sessions:,} sessions"
    return f"{test.estimate:+.4f}, t = {test.t_statistic:.2f}, p = {test.p_value:.3f}{over}"


def fold_table(figures: StudyFigures, counted: str = "sessions") -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Lay out one row per month: header and rows, everything already written."""
    return _by_group("month", figures, figures.folds, counted)


def regime_table(
    figures: StudyFigures, counted: str = "sessions"
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Lay out one row per regime, as :func:`fold_table` does months, and how each book fell in it at most."""
    falls = [(name, "max_drawdown", "largest drawdown", _percent(1)) for name in (_ORDER[0], _ORDER[-1])]
    return _by_group("regime", figures, figures.regimes, counted, falls)


def sessions_of(by_estimator: Mapping[str, Figures]) -> int:
    """Sessions of a group of figures, one of each estimator; 0 of none."""
    return max((f.return_sessions or f.forecast_sessions for f in by_estimator.values()), default=0)


def shift_table(
    figures: StudyFigures, counted: str = "sessions"
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Lay out the sessions of a regime that training hardly saw and the others, as :func:`fold_table` does months."""
    if figures.shift is None:
        return (), ()
    kinds = {"hardly trained on": figures.shift.rare, "the others": figures.shift.usual}
    return _by_group("regime", figures, kinds, counted)


Column = tuple[str, str, str, Form]
"""An estimator, the name of a figure, what it is called and how it is written."""


def _by_group(
    called: str,
    figures: StudyFigures,
    groups: Mapping[str, Mapping[str, Figures]],
    counted: str,
    more: Sequence[Column] = (),
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    statistic, title = ("rank_ic", "rank IC") if figures.cross_section else ("auc", "AUC")
    wanted: list[Column] = [(name, statistic, title, _decimals(3)) for name in _ORDER[:-1]]
    wanted += [(name, "sharpe_net", "net Sharpe", _decimals(2)) for name in _ORDER]
    wanted = [column for column in [*wanted, *more] if column[0] in figures.total]
    header = (called, counted, *(f"{NAMES[name]}, {column_title}" for name, _, column_title, _ in wanted))
    rows = []
    for group, by_estimator in groups.items():
        sessions = sessions_of(by_estimator)
        cells = [
            _written(getattr(by_estimator[name], key), form) if name in by_estimator else ABSENT
            for name, key, _, form in wanted
        ]
        rows.append((group, f"{sessions}", *cells))
    return header, tuple(rows)


@dataclass(frozen=True)
class SizeStep:
    """One of the eight steps for one symbol; weights are fractions of capital."""

    step: int
    rule: str
    weight_before: float
    weight_after: float
    reason: str

    @property
    def changed(self) -> bool:
        """Whether the step changed the size at all."""
        return not math.isclose(self.weight_before, self.weight_after, rel_tol=0.0, abs_tol=1e-12)


@dataclass(frozen=True)
class SizedPosition:
    """A position for the next session, with every step that made its size."""

    symbol: Symbol
    target_quantity: float
    current_quantity: float
    target_weight: float
    reference_price: float
    stop_price: float
    bound_by: str
    why: str
    steps: tuple[SizeStep, ...]

    @property
    def is_flat(self) -> bool:
        """Whether nothing is held and nothing is to be."""
        return self.target_quantity == 0.0 == self.current_quantity


def sized_positions(
    targets: TargetPositionRows, steps: PositionStepRows, bound_by: Mapping[str, tuple[str, int | None]] | None = None
) -> tuple[SizedPosition, ...]:
    """Join target positions with their trace: what is held or changes first, the largest position on top.

    Parameters
    ----------
    targets : DataFrame
        Columns symbol, reference_price, current_quantity, target_quantity, target_weight, stop_price;
        one session.
    steps : DataFrame
        Columns symbol, step, rule, weight_before, weight_after, reason; same session.
    bound_by : mapping of symbol to (str, int or None), optional
        What bound each size, by name, and the step whose reason is shown; the step that decided by the trace
        alone where it is None, and its rule where the symbol is left out.
    """
    by_symbol: dict[str, list[SizeStep]] = {}
    for row in steps.sort_values(["symbol", "step"], kind="stable").to_dict("records"):
        by_symbol.setdefault(str(row["symbol"]), []).append(
            SizeStep(
                int(row["step"]),
                str(row["rule"]),
                float(row["weight_before"]),
                float(row["weight_after"]),
                str(row["reason"]),
            )
        )
    sized = []
    for row in targets.to_dict("records"):
        symbol = str(row["symbol"])
        trace = tuple(by_symbol.get(symbol, ()))
        rule, why = _decided_by(trace)
        numbers = {name: float(row[name]) for name in _TARGET_NUMBERS}
        named, step = (bound_by or {}).get(symbol, (rule, None))
        why = next((size_step.reason for size_step in trace if size_step.step == step), why)
        sized.append(SizedPosition(symbol=symbol, bound_by=named, why=why, steps=trace, **numbers))
    return tuple(sorted(sized, key=lambda one: (one.is_flat, -abs(one.target_weight), one.symbol)))


def why_frame(positions: Sequence[SizedPosition]) -> pd.DataFrame:
    """One row a position, in their order: what is held, what is to be, what bound it and why."""
    return pd.DataFrame(
        [
            (
                position.symbol,
                position.current_quantity,
                position.target_quantity,
                position.target_weight,
                position.bound_by,
                position.why,
            )
            for position in positions
        ],
        columns=["symbol", "now held", "to hold", "weight", "bound by", "why"],
    )


_IDLE = "nothing proposed"
_TARGET_NUMBERS = ("target_quantity", "current_quantity", "target_weight", "reference_price", "stop_price")


def _decided_by(trace: tuple[SizeStep, ...]) -> tuple[str, str]:
    """Rule and reason of the step that decided: where the size became zero for good, else the last to change it."""
    if not trace:
        return "", "no trace of this decision is on record"
    if trace[-1].weight_after == 0.0:
        flat = len(trace)
        while flat > 1 and trace[flat - 2].weight_after == 0.0:
            flat -= 1
        if flat == 1 and not trace[0].changed:
            # Nothing was held and nothing proposed: the edge and the size it allows say why.
            weighed = [step for step in trace[1:3] if step.reason != _IDLE] or [trace[0]]
            return weighed[0].rule, "; ".join(step.reason for step in weighed)
        return trace[flat - 1].rule, trace[flat - 1].reason
    changing = [step for step in trace if step.changed] or [trace[-1]]
    return changing[-1].rule, changing[-1].reason


_MOST_ROWS = 50


class Excerpt(NamedTuple):
    """A frame of which so many rows are shown."""

    frame: pd.DataFrame
    rows: int = _MOST_ROWS


def markdown_table(frame: pd.DataFrame, rows: int = _MOST_ROWS) -> str:
    """The first rows of a frame as a Markdown table; says how many there are in all."""
    if frame.empty:
        return "_none_"
    head = frame.head(rows)
    lines = [
        "| " + " | ".join(map(str, head.columns)) + " |",
        "|" + " --- |" * len(head.columns),
        *("| " + " | ".join(map(_markdown_cell, row)) + " |" for row in head.itertuples(index=False)),
    ]
    if len(frame) > rows:
        lines.append(f"\n_{rows} of {len(frame)} rows_")
    return "\n".join(lines)


def _markdown_cell(value: object) -> str:
    if isinstance(value, pd.Timestamp):
        return str(value.date())
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).replace("|", "\\|")


def day_shown(value: Any) -> str:
    """A session as a date; a dash where there is none."""
    stamp = pd.Timestamp(value)
    return ABSENT if pd.isna(stamp) else str(stamp.date())


def moment_shown(value: Any) -> str:
    """A session as a date, a bar within one to its minute; a dash where there is none."""
    stamp = pd.Timestamp(value)
    return ABSENT if pd.isna(stamp) else session_text(stamp)
