"""What figures look like: one estimator's, and a study's, with the reason of every gap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from nn_assets.evaluation.significance import CROSS_SECTION, MeanTest
from nn_assets.evaluation.smallest_effect import SmallestEffect


@dataclass(frozen=True)
class LeakAlarm:
    """A figure too good to be true. Its ``name`` is what a person releases."""

    estimator: str
    figure: str
    told: str

    @property
    def name(self) -> str:
        """Estimator and figure: 'network accuracy'."""
        return f"{self.estimator} {self.figure}"

    def __str__(self) -> str:
        return self.told


@dataclass(frozen=True)
class Figures:
    """One estimator's figures over some sessions. ``None`` is a figure that cannot be had.

    Returns are fractions, net of every cost and in excess of cash where the name is a ratio of
    returns; ``turnover_per_year`` is the absolute traded value over equity; ``hit_ratio`` and
    ``win_loss_ratio`` are taken over the sessions with a position. ``auc`` and ``accuracy`` are taken within
    sessions in panels and within folds in narrow ones; ``base_rate`` is the share of positive labels and
    ``base_accuracy`` what always saying the commoner outcome gives. ``_costs_x2`` and ``_10_bps`` are net figures of
    the book as it was traded, each session's trading costs doubled, or taken as 10 bps of the value traded; what it
    would have traded at such costs is not played. The reason for a figure that is ``None`` is in
    ``absent`` under its name.
    """

    estimator: str
    first_session: str | None = None
    last_session: str | None = None
    forecast_sessions: int = 0  # with a forecast and a realised label
    forecasts: int = 0  # pairs of a forecast and a realised label
    return_sessions: int = 0  # with a return of the book
    accuracy: float | None = None
    base_rate: float | None = None
    base_accuracy: float | None = None
    auc: float | None = None
    auc_t: float | None = None
    rank_ic: float | None = None
    rank_ic_t: float | None = None
    brier: float | None = None
    base_brier: float | None = None  # of always forecasting each session's base rate as known then, same pairs
    calibration_error: float | None = None  # expected, of the calibrated forecasts
    sharpe_gross: float | None = None
    sharpe_net: float | None = None
    sharpe_net_costs_x2: float | None = None
    sharpe_net_10_bps: float | None = None
    return_per_year: float | None = None
    return_per_year_costs_x2: float | None = None
    return_per_year_10_bps: float | None = None
    volatility_per_year: float | None = None
    max_drawdown: float | None = None
    turnover_per_year: float | None = None
    hit_ratio: float | None = None
    win_loss_ratio: float | None = None
    probabilistic_sharpe: float | None = None
    deflated_sharpe: float | None = None
    minimum_track_record_sessions: float | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    tests: Mapping[str, MeanTest] = field(default_factory=dict)  # 'auc', 'rank_ic', 'accuracy' (over base_accuracy)

    def values(self) -> dict[str, float | None]:
        """Every figure by name, in the order of `FIGURE_NAMES`."""
        return {name: getattr(self, name) for name in FIGURE_NAMES}


_ABOUT = {"estimator", "first_session", "last_session", "absent", "tests"}
FIGURE_NAMES = tuple(figure.name for figure in fields(Figures) if figure.name not in _ABOUT)
FORECAST_NAMES = FIGURE_NAMES[FIGURE_NAMES.index("accuracy") : FIGURE_NAMES.index("sharpe_gross")]
BOOK_NAMES = FIGURE_NAMES[FIGURE_NAMES.index("sharpe_gross") :]


@dataclass(frozen=True)
class ShiftTest:
    """Figures of sessions whose regime was rare among the training rows of the model in force, and of the others.

    ``rare`` and ``usual`` are keyed by estimator. ``tests`` compare an estimator's rank IC (in narrow panels its AUC)
    on the usual sessions with that on the rare ones: a small p-value says that it is lower on the rare ones.
    ``unknown`` sessions have no known regime, or none of their training rows has.
    """

    rare: Mapping[str, Figures]
    usual: Mapping[str, Figures]
    tests: Mapping[str, MeanTest]
    sessions: int  # rare ones
    unknown: int
    alarms: tuple[str, ...] = ()  # who is worse on the rare ones and no better than chance, in words


@dataclass(frozen=True)
class LossFigures:
    """What forecasts of a volatility lose beside the simplest ones.

    ``losses`` has each estimator's and each simple forecast's mean loss on the cells that all of them forecast, None
    where nothing is realised; ``gains`` by estimator and simple forecast what it loses less a session than that one,
    tested on the cells that it and the simple ones forecast: above 0 is better. They are of the loss itself or, of
    QLIKE, less the same for both. ``compared`` has by estimator the mean losses of it and of the simple forecasts on
    the cells of its tests.
    """

    statistic: Literal["QLIKE", "Brier score"]
    simple: tuple[str, ...]  # what an estimator has to beat
    losses: Mapping[str, float | None]
    gains: Mapping[str, Mapping[str, MeanTest]]
    sessions: int  # with a realised outcome, that all forecast
    compared: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)  # empty: on those of ``losses``

    def losses_beside(self, estimator: str) -> Mapping[str, float | None]:
        """Mean losses by name on the cells that an estimator is tested on."""
        return self.compared.get(estimator, self.losses)

    def sessions_of(self, estimator: str) -> int:
        """Sessions that an estimator is tested on."""
        return max((test.sessions for test in self.gains.get(estimator, {}).values()), default=0)

    def weakest(self, estimator: str) -> MeanTest | None:
        """An estimator's test against the simple forecast that it is least sure to beat; None without one."""
        tests = list(self.gains.get(estimator, {}).values())
        return max(tests, key=lambda test: 1.0 if test.p_value is None else test.p_value, default=None)

    def flat(self) -> dict[str, float | int | str]:
        """As one flat mapping: ``network_qlike``, ``network_less_than_har``, ``network_less_than_har_t``."""
        called = self.statistic.lower().replace(" ", "_")
        values: dict[str, float | int | str] = {"judged_by": self.statistic, "realised_sessions": self.sessions}
        values |= {f"{name}_{called}": loss for name, loss in self.losses.items() if loss is not None}
        for estimator, tests in self.gains.items():
            for simple, test in tests.items():
                key = f"{estimator}_less_than_{simple}"
                named = {key: test.estimate, f"{key}_t": test.t_statistic, f"{key}_p": test.p_value}
                values |= {name: value for name, value in named.items() if value is not None}
                values |= {f"{key}_absent": test.reason} if test.reason else {}
        return values


@dataclass(frozen=True)
class StudyFigures:
    """All figures of a study.

    ``total`` is keyed by estimator or yardstick; ``folds`` by the month of the model in force and then
    by estimator; ``regimes`` by regime and then by estimator. ``alarms`` are figures too good to be
    true, ``doubts`` those above the same levels that are not surely above chance: no signal is found on them;
    ``shift`` compares sessions of a regime that training hardly saw with the others;
    ``remarks`` compare the network with the other estimators; ``smallest_effect`` is the network's excess over
    chance that is worth finding. ``volatility`` is what a volatility's forecasts lose, where the label is one: the
    other figures are then absent, each with the reason.
    """

    total: Mapping[str, Figures]
    folds: Mapping[str, Mapping[str, Figures]]
    regimes: Mapping[str, Mapping[str, Figures]]
    horizon_sessions: int
    sessions_per_year: int
    symbols: int
    trials: int
    smallest_effect: SmallestEffect
    alarms: tuple[LeakAlarm, ...] = ()
    doubts: tuple[LeakAlarm, ...] = ()
    remarks: tuple[str, ...] = ()
    shift: ShiftTest | None = None  # None where the training rows are not known
    volatility: LossFigures | None = None  # None where the label has a direction

    @property
    def cross_section(self) -> bool:
        """Whether a session holds symbols enough for a rank correlation across them."""
        return self.symbols >= CROSS_SECTION

    def flat(self) -> dict[str, float | int | str]:
        """Totals as one flat mapping: ``network_auc``, or ``network_auc_absent`` with the reason."""
        totals: dict[str, float | int | str] = {
            "trials": self.trials,
            "folds": len(self.folds),
            "symbols": self.symbols,
            "horizon_sessions": self.horizon_sessions,
            "alarms": "; ".join(map(str, self.alarms)),
            "smallest_effect": self.smallest_effect.value,
            "smallest_effect_derivation": self.smallest_effect.derivation,
        }
        if self.volatility is not None:
            totals |= self.volatility.flat()
        for estimator, figures in self.total.items():
            for name, value in figures.values().items():
                key = f"{estimator}_{name}"
                if value is None:
                    totals[f"{key}_absent"] = figures.absent.get(name, "not measured")
                else:
                    totals[key] = value
        return totals

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` gives back an equal object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> StudyFigures:
        """Rebuild what `to_dict` gave."""
        grouped = {"total", "folds", "regimes"}
        rest: dict[str, Any] = {key: value for key, value in stored.items() if key not in grouped}
        rest["smallest_effect"] = SmallestEffect(**stored["smallest_effect"])
        rest |= {key: tuple(LeakAlarm(**alarm) for alarm in stored.get(key, ())) for key in ("alarms", "doubts")}
        rest["remarks"] = tuple(stored["remarks"])
        rest["shift"] = _shift(stored.get("shift"))  # version 0.1 kept none
        rest["volatility"] = _volatility(stored.get("volatility"))
        return cls(
            total=_figures_by_estimator(stored["total"]),
            folds={key: _figures_by_estimator(by_estimator) for key, by_estimator in stored["folds"].items()},
            regimes={key: _figures_by_estimator(by_estimator) for key, by_estimator in stored["regimes"].items()},
            **rest,
        )


def _shift(stored: Mapping[str, Any] | None) -> ShiftTest | None:
    if stored is None:
        return None
    return ShiftTest(
        rare=_figures_by_estimator(stored["rare"]),
        usual=_figures_by_estimator(stored["usual"]),
        tests={name: MeanTest(**test) for name, test in stored["tests"].items()},
        sessions=stored["sessions"],
        unknown=stored["unknown"],
        alarms=tuple(stored["alarms"]),
    )


def _volatility(stored: Mapping[str, Any] | None) -> LossFigures | None:
    if stored is None:
        return None
    gains = {
        estimator: {simple: MeanTest(**test) for simple, test in tests.items()}
        for estimator, tests in stored["gains"].items()
    }
    return LossFigures(**{**stored, "simple": tuple(stored["simple"]), "gains": gains})


def _figures_by_estimator(stored: Mapping[str, Mapping[str, Any]]) -> dict[str, Figures]:
    built = {}
    for name, values in stored.items():
        tests = {key: MeanTest(**test) for key, test in values["tests"].items()}
        built[name] = Figures(**{**values, "tests": tests})
    return built
