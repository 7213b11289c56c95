"""The sections of a strategy and their defaults, frozen and typed.

Every default is the contract's; a strategy file states only what differs. Units are in the names:
``_bps``, ``_fraction`` (of capital unless said otherwise), ``_sessions``, ``_months``, ``_usd``.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from datetime import date
from itertools import pairwise
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from nn_assets.errors import did_you_mean
from nn_assets.estimators import BASELINES
from nn_assets.settings.horizon import positive_hours
from nn_assets.settings.section import CountsUnless, LagMinutes, NeverCounts, Section, WhenSet
from nn_assets.settings.sources import SourceSettings

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
EARLIEST, LATEST = date(1990, 1, 1), date(2035, 12, 31)  # what the calendars here cover
NonNegative = Annotated[float, Field(ge=0.0)]
Rate = Annotated[float, Field(gt=-1.0, lt=1.0)]
Count = Annotated[int, Field(ge=1)]
Days = Annotated[int, Field(ge=1, le=36_600)]  # a hundred years: dates reckoned with more of them are no dates
Months = Annotated[int, Field(ge=1, le=1_200)]  # likewise
MemberName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]  # of a registry
Role = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]  # of a series among features
MOST_FACTORS = 8  # a beta of 60 sessions on more of them is noise
OwnSettings = Mapping[str, JsonValue]  # of a member, which states their keys: see nn_assets.settings.own


NETWORKS_OF_ITS_OWN = MappingProxyType(
    {
        "candlestick": "nn_assets.learning.networks.candlestick:build_candlestick",
        "gru": "nn_assets.learning.networks.recurrent:build_gru",
        "lstm": "nn_assets.learning.networks.recurrent:build_lstm",
        "mlp": "nn_assets.learning.networks.mlp:build_mlp",
        "rnn": "nn_assets.learning.networks.recurrent:build_rnn",
        "tcn": "nn_assets.learning.networks.tcn:build_tcn",
        "transformer": "nn_assets.learning.networks.transformer:build_transformer",
    }
)
"""Networks that need no plug-in, and what builds each: named here, so that no one imports them to know their code."""
NETWORKS_WITH_STEPS = frozenset({"gru", "lstm", "rnn", "tcn"})
"""Those of them that have an output at each step of a window, as ``learning.dense_targets`` needs it."""
KEYS_OF_NETWORKS = MappingProxyType(
    {"candlestick": ("image", "levels"), "tcn": ("kernel",), "transformer": ("heads", "widening")}
)
"""Keys of their ``learning.network_settings``; the others have none. Named here for the same reason."""
LABELS_OF_ITS_OWN = MappingProxyType(
    {
        "direction": False,
        "direction_relative": True,
        "return_zscored": False,
        "return_zscored_relative": True,
        "settlement": False,
        "threshold_move": False,
        "volatility_move": False,
        "log_realised_volatility": False,
    }
)
"""Labels that need no plug-in, and whether each is relative to the other names of its session."""
LABELS_OF_NO_DIRECTION = frozenset({"log_realised_volatility", "volatility_move"})
"""Those of them that no position can be taken by."""
NO_DIRECTION = "a volatility has no direction"
"""Why a strategy with one of them does not trade."""
SIZES_BY_IT = "a strategy whose label has one may size by such forecasts (portfolio.volatility: network)"
"""What forecasts of a variance (``log_realised_volatility``) are good for where they are better than the simple ones.

Those of a threshold (``volatility_move``) size nothing: an ensemble that sizes is fitted to the variance.
"""
STUDIED_AND_REPLAYED_ONLY = "it decides within the session (intraday.decisions), which is studied and replayed only"
"""Why a strategy that does so does not trade."""
LABELS_OF_VALUES = frozenset({"return_zscored", "return_zscored_relative"})
"""Those of them that learn a return in units of its own, which the return expected of a name is then in, too."""
LABELS_TRADED = tuple(name for name in LABELS_OF_ITS_OWN if name not in LABELS_OF_NO_DIRECTION)
"""The others: what positions are taken by, without a plug-in."""
LABELS_SIZED_PER_NAME = frozenset({"direction", "direction_relative", "settlement"})
"""Those of them whose probability is that of a gain, as a size for each name by itself needs it."""
LABEL_OF_BINARIES = "settlement"
"""The one whose probability binary contracts are sized by, and no others."""
COMPUTES_OF_ITS_OWN = ("here", "processes")
BROKERS_OF_ITS_OWN = ("paper",)
VENUES_OF_ITS_OWN = ("alpaca", "file_drop")
"""Names of ``execution.broker`` that need no plug-in: what fills within the round, and where accounts outlast it."""
HIGHEST_SCORE = 7  # of the severity: prediction drift 3, joint feature drift 2, slippage breach 2
_LONGEST_MONTH = 31
_REGIME_SCALES = (1.0, 0.5, 0.25)
OUT_OF_ORDER = "must lie before"
# In the order of their days, each with what must come before it.
_STAGES = {
    "history_starts": "nothing comes before it",
    "live_starts": "a strategy goes live after its history starts",
    "vault_starts": "the vault's sealed sessions come after the history and the live sessions that may be seen",
    "history_ends": "history ends after all that is in it",
}


class ContractSettings(Section):
    """A binary contract: the ``event`` whose outcome it is, and the session that it ``settles_by``.

    Of the contracts that name the same event at most one settles at 1, and they are sized together. One that names
    none has an event of its own. After ``settles_by`` a settlement is missing: what is held stays, nothing is added.
    """

    event: str = ""
    settles_by: date | None = None


class MarketSettings(Section):
    """Instruments, calendar and the stages of history.

    ``calendar_overrides`` names a YAML file, relative to the strategy's, of days that the calendar
    does not know; reading the strategy folds them into ``calendar``. ``history_ends`` replaces the
    wall clock. Sessions from ``vault_starts`` on are sealed; sessions from ``live_starts`` on are
    decided one by one. ``adjustment_convention`` says what a dividend takes off the prices before it:
    1 - D / the close before (Yahoo), or C / (C + D) with the ex-session's close C (Quandl).
    ``asset_class`` says what the symbols are: it sets what shorts pay to borrow (see ``CostSettings``); a future or a
    perpetual is held on margin, so that all of the equity earns the cash rate.
    ``cash_rates`` takes the place of the constant ``cash_rate_annual_fraction``: annual fractions, each from
    its date on, or ``us_treasury_bills``, the bundled monthly table.
    The contracts of ``binary`` settle at 1 or at 0; ``contracts`` says by when, and which are outcomes of one event.
    ``compare_with`` is a second source of daily bars, with the keys of ``source``: no bar is taken from it, and prices
    that it does not come near are not used. It judges where it has a bar in time, and never halts by its absence.
    """

    calendar: str = "XNYS"
    asset_class: WhenSet[Literal["equity", "crypto", "perpetual", "future", "index", "fx", "binary"] | None] = None
    contracts: WhenSet[Mapping[str, ContractSettings]] = Field(default_factory=dict, exclude_if=operator.not_)
    calendar_overrides: NeverCounts[str | None] = None
    symbols: tuple[str, ...] = ()
    history_starts: date
    history_ends: date | None = None
    vault_starts: date | None = None
    live_starts: date | None = None
    known_at_lag_minutes: LagMinutes = 30
    cash_rate_annual_fraction: NonNegative = 0.0
    cash_rates: WhenSet[Literal["us_treasury_bills"] | Mapping[date, Rate] | None] = None
    adjustment_convention: WhenSet[Literal["previous_close", "ex_close"]] = "previous_close"
    compare_with: WhenSet[SourceSettings | None] = None

    @property
    def margined(self) -> bool:
        """Whether a position takes no cash and brings none."""
        return self.asset_class in {"perpetual", "future"}

    @property
    def binary(self) -> bool:
        """Whether every symbol is a contract that settles at 1 or at 0."""
        return self.asset_class == "binary"

    @model_validator(mode="after")
    def _contracts_are_binary_and_among_the_symbols(self) -> MarketSettings:
        if self.contracts and not self.binary:
            raise ValueError(
                f"market.contracts are those of event contracts, and market.asset_class is "
                f"{self.asset_class or 'left out'}: state market.asset_class: binary, or leave market.contracts out"
            )
        unknown = [symbol for symbol in self.contracts if self.symbols and symbol not in self.symbols]
        if unknown:
            meant = did_you_mean(unknown[0], self.symbols)
            raise ValueError(f"market.contracts names {unknown[0]}, which market.symbols does not: {meant}add it there")
        return self

    @model_validator(mode="after")
    def _cash_earns_one_rate(self) -> MarketSettings:
        if self.cash_rates is not None and self.cash_rate_annual_fraction:
            raise ValueError("market.cash_rates and market.cash_rate_annual_fraction: state one of the two")
        if isinstance(self.cash_rates, Mapping) and min(self.cash_rates, default=date.max) > self.history_starts:
            raise ValueError(
                f"market.cash_rates must state a rate from market.history_starts {self.history_starts} or before"
            )
        return self

    @model_validator(mode="after")
    def _in_order(self) -> MarketSettings:
        for name in _STAGES:
            day = getattr(self, name)
            if day is not None and not EARLIEST <= day <= LATEST:
                raise ValueError(f"market.{name} {day} must lie between {EARLIEST} and {LATEST}")
        stages = [(name, day) for name in _STAGES if (day := getattr(self, name)) is not None]
        wrong = [
            f"market.{earlier} {first} {OUT_OF_ORDER} market.{later} {second}: {_STAGES[later]}"
            for (earlier, first), (later, second) in pairwise(stages)
            if first >= second
        ]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


class CleaningSettings(Section):
    """Thresholds of the rules: what breaks one goes to quarantine, what a person should judge is pointed out.

    ``binary_prices``, which ``market.asset_class: binary`` sets, says that prices lie between 0 and 1 and may move by
    any factor there: none above 1 is used, and no factor is taken for another unit, a split or a bad print.
    """

    traded_with_volume: bool = True
    binary_prices: WhenSet[bool] = False
    stale_run_sessions: Annotated[int, Field(ge=2)] = 5
    stale_low_volume_fraction: Fraction = 0.25  # of the usual volume; trading is thin below it
    unit_error_slack_log_return: Annotated[float, Field(gt=0.0, lt=2.0)] = 0.25  # an honest move beside a factor of 100
    unit_error_sessions: WhenSet[Annotated[int, Field(ge=2)]] = 10  # from here on no slip, but for a decision
    jump_robust_z: Positive = 12.0
    jump_minimum_log_return: Positive = 0.25
    jump_window_sessions: Annotated[int, Field(ge=20)] = 60
    split_slack_log_return: NonNegative = 0.03  # how near to a simple ratio a split's move lies
    wick_minimum_log_distance: WhenSet[Positive] = 0.30  # of a high or low from all else that its bar says
    wick_range_multiple: WhenSet[Positive] = 10.0  # of the usual range, which it has to exceed as well
    odd_print_minimum_bps: WhenSet[Positive] = 50.0  # of a price from the second source's, within its bar
    odd_print_multiple: WhenSet[Positive] = 10.0  # of the usual distance of the two, to exceed as well
    odd_level_minimum_bps: WhenSet[Positive] = 300.0  # of a bar from the level that the two sources had before
    displaced_range_multiple: WhenSet[Positive] = 1.3  # of the usual range, by which a bar lies off both neighbours
    displaced_newest_multiple: WhenSet[Positive] = 4.0  # likewise off the bar before, where that is all there is
    repeated_open_share: Fraction = 0.5
    repeated_open_window_sessions: Annotated[int, Field(ge=20)] = 250


class GateSettings(Section):
    """Limits of what may pass to the strategy as a whole; ``usual_`` ones only warn."""

    max_quarantined_fraction: Fraction = 0.02
    max_missing_symbols_fraction: Fraction = 0.10
    max_missing_sessions_fraction: Fraction = 0.05
    max_stale_sessions: Annotated[int, Field(ge=0)] = 0
    max_repeated_bars_fraction: Fraction = 0.50  # of the symbols, whose newest bar merely repeats the one before
    usual_ratio_limit: Annotated[float, Field(gt=1.0)] = 4.0  # of a symbol's last month to its year before, or inverse
    usual_symbols_fraction: Fraction = 0.90  # of the symbols, which keep within that ratio
    usual_shift_limit: NonNegative = 0.25  # of the population stability index, above what chance makes of it


class FeatureSettings(Section):
    """Which features, what they do where a bar is missing, and the stationarity gate on the training rows of a fold.

    Windows of features, and the network's, may step over a share of missing bars, ``max_missing_bars_fraction`` of
    max(window, 20), never the newest; with 0 a missing bar takes the value of every window that it lies in.
    ``missing_bars`` says how: ``step_over`` reads the bars that there are, one session further back; ``bridge`` puts
    the last close with zero volume in the gap, for features alone. ``factors`` lists keys of ``series`` that are
    returns of factors, for the features that read all of them.
    """

    names: tuple[str, ...] = ()
    series: Mapping[Role, str] = Field(default_factory=dict)
    factors: WhenSet[tuple[Role, ...]] = Field(default=(), max_length=MOST_FACTORS, exclude_if=operator.not_)
    market_symbol: str | None = None
    missing_bars: WhenSet[Literal["step_over", "bridge"]] = "step_over"
    max_missing_bars_fraction: WhenSet[Annotated[float, Field(ge=0.0, le=0.25)]] = 0.05
    adf_p_value: Fraction = 0.05
    panel_pass_share: Fraction = 0.90
    scaling: Literal["robust", "standard", "unit"] = "robust"
    select: bool = False
    maximum_selected: Count = 12

    @model_validator(mode="after")
    def _factors_are_series_once_each(self) -> FeatureSettings:
        for role in self.factors:
            if role not in self.series:
                named = ", ".join(self.series) or "nothing"
                meant = did_you_mean(role, self.series)
                raise ValueError(
                    f"features.factors names {role}, which features.series does not: {meant}it has {named}"
                )
            if self.factors.count(role) > 1:
                raise ValueError(f"features.factors names {role} twice")
        return self


def _kind_of_label(kind: Any) -> Any:
    if not isinstance(kind, str):
        own = ", ".join(LABELS_OF_ITS_OWN)
        raise ValueError(  # noqa: TRY004  for pydantic to name it beside the others
            f"one of {own}, or a label that a file named under plugins registers, was expected"
        )
    return kind


class LabelSettings(Section):
    """What is learned of the return from the fill to ``horizon_sessions`` after it, as ``kind`` says it.

    ``kind`` is ``direction``, ``direction_relative``, ``return_zscored``, ``return_zscored_relative``,
    ``threshold_move``, ``settlement`` (of binary contracts: at 1, within the horizon) or one that a file of ``plugins``
    registers; ``settings`` are that one's own, as it states them.
    ``horizon_hours`` states the horizon in hours of trading instead; the strategy makes ``horizon_sessions`` of them,
    and no record has them.
    ``log_realised_volatility`` and ``volatility_move`` are studied and judged, and take no position.
    """

    kind: Annotated[MemberName, BeforeValidator(_kind_of_label)] = "direction"
    settings: WhenSet[OwnSettings] = Field(default_factory=dict, exclude_if=operator.not_)
    horizon_sessions: Count = 5
    horizon_hours: NeverCounts[Annotated[float | None, BeforeValidator(positive_hours)]] = Field(
        default=None, exclude=True
    )
    execution: Literal["next_open", "next_close"] = "next_close"
    execution_lag_sessions: Literal[1] = 1

    @model_validator(mode="after")
    def _horizon_is_stated_once(self) -> LabelSettings:
        if self.horizon_hours is not None and "horizon_sessions" in self.model_fields_set:
            raise ValueError(
                f"label.horizon_hours {self.horizon_hours:g} and label.horizon_sessions {self.horizon_sessions}: state "
                "one of the two"
            )
        return self


class LearningSettings(Section):
    """The network, its training, and the ensemble.

    ``prior`` says what this section brings along from data that it has seen: nothing, pre-trained weights, or
    hyper-parameters found by a search; ``knows_until`` is the last day of which they have seen anything, and must lie
    before the first day forecast. ``chosen_over_all_folds`` is one choice that has seen days forecast: a record is
    in-sample up to ``knows_until``, and only what comes later counts. With ``residual`` each member begins as the
    linear model of its seed, which is held fast, and learns what that leaves. ``baselines`` are fitted and judged
    beside the network: the linear model and boosting unless they say otherwise, and ``momentum``, a plain rule on past
    returns over their volatility, where they name it. With ``dense_targets`` a network that has an output at each step
    learns from the labels of the last half of its window's sessions; with ``warm_start`` the networks of a refit begin
    with the weights of the scheduled refit before it. ``network`` is ``rnn``, ``lstm``, ``gru``, ``tcn``,
    ``candlestick``, ``transformer``, ``mlp`` or one that a file of ``plugins`` registers; ``network_settings`` are that
    one's own, as it states them. ``compute`` says where models are trained: ``here``, in ``processes``, or on what a
    file of ``plugins`` registers, with ``compute_settings`` of its own.
    """

    network: MemberName = "lstm"
    network_settings: WhenSet[OwnSettings] = Field(default_factory=dict, exclude_if=operator.not_)
    residual: WhenSet[bool] = False
    baselines: WhenSet[tuple[Literal["linear", "boosting", "momentum"], ...]] = Field(
        default=BASELINES, exclude_if=lambda names: names == BASELINES
    )
    dense_targets: WhenSet[bool] = Field(default=False, exclude_if=operator.not_)
    warm_start: WhenSet[bool] = Field(default=False, exclude_if=operator.not_)
    lookback: Count = 20  # bars; of a strategy that decides within the session 24, see LOOKBACK_WITHIN_THE_SESSION
    hidden: Count = 64
    layers: Count = 2
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    learning_rate: Positive = 1e-3
    weight_decay: NonNegative = 1e-4
    gradient_norm: Positive = 1.0
    batch_size: Annotated[int, Field(ge=2)] = 256
    maximum_epochs: Count = 100
    patience: Count = 10
    plateau_patience: Count = 5
    plateau_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    ensemble: Count = 5
    seed: int = 7
    processes: NeverCounts[Annotated[int, Field(ge=1, le=64)]] = 2
    compute: NeverCounts[MemberName] = "processes"
    compute_settings: NeverCounts[OwnSettings] = Field(default_factory=dict, exclude_if=operator.not_)
    prior: WhenSet[Literal["none", "pretrained", "searched", "chosen_over_all_folds"]] = "none"
    knows_until: WhenSet[date | None] = None

    @model_validator(mode="after")
    def _each_baseline_is_named_once_and_a_residual_network_has_its_linear_model(self) -> LearningSettings:
        if len(set(self.baselines)) != len(self.baselines):
            raise ValueError(f"learning.baselines {', '.join(self.baselines)}: name each one once")
        if self.residual and "linear" not in self.baselines:
            raise ValueError("learning.residual needs linear among learning.baselines: each member begins as one")
        return self

    @model_validator(mode="after")
    def _dense_targets_need_steps(self) -> LearningSettings:
        if self.dense_targets and self.network in NETWORKS_OF_ITS_OWN and self.network not in NETWORKS_WITH_STEPS:
            raise ValueError(
                f"learning.dense_targets needs a network with an output at each step, which {self.network} has not: "
                f"name {', '.join(sorted(NETWORKS_WITH_STEPS))} or one of your own with a method steps, or leave "
                "learning.dense_targets out"
            )
        return self

    @model_validator(mode="after")
    def _what_has_seen_data_says_until_when(self) -> LearningSettings:
        if self.prior != "none" and self.knows_until is None:
            raise ValueError(
                f"learning.prior {self.prior} needs learning.knows_until, the last day of which the weights or "
                "hyper-parameters have seen anything: without it no later day is known to be out of sample"
            )
        if self.prior == "none" and self.knows_until is not None:
            raise ValueError(
                f"learning.knows_until {self.knows_until} needs learning.prior: say what has seen the days up to it "
                "(pretrained, searched or chosen_over_all_folds)"
            )
        return self


LOOKBACK_WITHIN_THE_SESSION = 24
"""Bars of ``learning.lookback`` where a strategy that decides within the session states none: 2 hours of 5 minutes."""

RETURNS_TO_GROUP = 120
"""Returns of the training part that a name needs to be grouped by how it moves, ``portfolio.groups: behaviour``."""


class WalkForwardSettings(Section):
    """One step: training, validation, calibration, then the months the model is used in.

    With ``refit_every_days`` a model is fitted every so many days, on a grid that begins with the history, and the
    three parts are ``training_days``, ``validation_days`` and ``calibration_days``; the months then say nothing.

    ``partial_months`` is for histories of days within the session: the first month begins with its first refit, and
    the last one ends, and is judged, where ``market.history_ends`` lies within it. Else months are whole ones.
    """

    _IN_MONTHS: ClassVar = ("refit_every_months", "training_months", "validation_months", "calibration_months")
    _IN_DAYS: ClassVar = ("training_days", "validation_days", "calibration_days")

    window: Literal["rolling", "expanding"] = "rolling"
    training_months: Months = 30
    validation_months: Months = 3
    calibration_months: Months = 3
    refit_every_months: Months = 1
    refit_every_days: WhenSet[Days | None] = None
    training_days: WhenSet[Days] = 90
    validation_days: WhenSet[Days] = 30
    calibration_days: WhenSet[Days] = 30
    partial_months: WhenSet[bool] = Field(default=False, exclude_if=operator.not_)
    minimum_training_rows: Count = 1000
    refresh_tolerance_fraction: NonNegative = 0.05

    @model_validator(mode="after")
    def _in_months_or_in_days(self) -> WalkForwardSettings:
        of_the_other = self._IN_DAYS if self.refit_every_days is None else self._IN_MONTHS
        fields = type(self).model_fields
        changed = [name for name in of_the_other if getattr(self, name) != fields[name].default]
        if changed:
            without = self.refit_every_days is None
            need = "need walk_forward.refit_every_days" if without else "beside walk_forward.refit_every_days"
            keys = ", ".join(f"walk_forward.{name}" for name in changed)
            raise ValueError(
                f"{keys} {need}: state a walk in months ({', '.join(self._IN_MONTHS)}) "
                f"or one in days (refit_every_days, {', '.join(self._IN_DAYS)})"
            )
        return self

    def most_training_sessions(self, *, every_day: bool, per_day: int = 1) -> float:
        """Most sessions that a training part holds before its purge; infinite where it grows with the history.

        Parameters
        ----------
        every_day : bool
            Whether each day is a session; on 5 of 7 else.
        per_day : int
            Decision bars of a session, at most, which count as sessions; 1 where it is decided once.
        """
        if self.window == "expanding":
            return float("inf")
        days = _LONGEST_MONTH * self.training_months if self.refit_every_days is None else self.training_days
        weeks, left = divmod(days, 7)
        return per_day * (days if every_day else 5 * weeks + min(left, 5))


class RegimeSettings(Section):
    """What names the regime of a session's market, and what a stressed one leaves of a size.

    ``model``: ``rules`` (trend, volatility tercile, drawdown), or a Markov model of two or three states, fitted on the
    training rows of each refit's fold. Stressed: falling and volatile by rule; the state of the greatest variance.
    Scales are products of halves: see ``portfolio/targets.py``.
    """

    model: Literal["rules", "markov_2", "markov_3"] = "rules"
    scale: Annotated[float, Field(ge=0.25, le=1.0)] = 0.5

    @model_validator(mode="after")
    def _scale_is_a_half(self) -> RegimeSettings:
        if self.scale not in _REGIME_SCALES:
            raise ValueError(f"regimes.scale {self.scale} is none of {', '.join(map(str, _REGIME_SCALES))}")
        return self


class CostSettings(Section):
    """Coefficients of the one cost object; ``a`` and ``b`` multiply sigma x sqrt(x) and sigma x x.

    ``funding`` names the series of a perpetual's funding rates: fractions of the notional, positive where longs pay.
    ``borrow_fee_annual_fraction``, left out, follows ``market.asset_class``: 0.003 of an equity, or where none is
    stated, 0 of a perpetual, a future, an index (its future) or a currency; of coins (``crypto``) it has to be stated.

    ``spread_volatility`` widens the half-spread by so many daily volatilities; where it is stated, 0 too, it is fitted
    on fills with the half-spread. ``maker_fee_bps`` is what an order that rests pays a venue (negative: a rebate), and
    ``commission_bps`` is then the taker's fee.
    """

    half_spread_bps: NonNegative = 4.5
    commission_bps: NonNegative = 1.8
    temporary_impact: NonNegative = 0.15
    permanent_impact: NonNegative = 0.03
    spread_volatility: WhenSet[NonNegative | None] = None
    maker_fee_bps: WhenSet[float | None] = None
    maximum_unapproved_change: Fraction = 0.30
    calibration_prior_fills: Count = 200
    calibration_bound_factor: Annotated[float, Field(gt=1.0)] = 3.0
    borrow_fee_annual_fraction: NonNegative = 0.003
    funding: WhenSet[str | None] = None
    contract_fee_fraction: WhenSet[Fraction] = 0.0  # of price x (1 - price), dollars a binary contract bought or sold
    margin_spread_annual_fraction: NonNegative = 0.01


class GreekSettings(Section):
    """Limits on the Greeks of the book; ``symbols`` are the instruments that carry them.

    ``delta``, ``gamma`` and ``vega`` each name a series (``series`` of the strategy) with a value for each of these
    symbols, in dollars per unit of the instrument: what it gains when what it is written on rises by 1%, by how much
    that grows with such a rise, and what it gains per point of implied volatility. A limit is a fraction of equity.
    """

    symbols: Annotated[tuple[str, ...], Field(min_length=1)]
    delta: str | None = None
    gamma: str | None = None
    vega: str | None = None
    delta_limit: NonNegative | None = None
    gamma_limit: NonNegative | None = None
    vega_limit: NonNegative | None = None

    @property
    def series(self) -> dict[str, str]:
        """The series of each Greek that has a limit."""
        return {name: str(getattr(self, name)) for name in self.limits}

    @property
    def limits(self) -> dict[str, float]:
        """The limit of each Greek that has one, fraction of equity."""
        of_each = {name: getattr(self, f"{name}_limit") for name in _GREEKS}
        return {name: float(limit) for name, limit in of_each.items() if limit is not None}

    @model_validator(mode="after")
    def _a_limit_has_its_series(self) -> GreekSettings:
        for name in _GREEKS:
            if (getattr(self, name) is None) != (getattr(self, f"{name}_limit") is None):
                raise ValueError(
                    f"portfolio.greeks.{name} and portfolio.greeks.{name}_limit: state the series and its limit, "
                    "or neither"
                )
        if not self.limits:
            raise ValueError("portfolio.greeks limits nothing: state delta and delta_limit, or those of gamma or vega")
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError("portfolio.greeks.symbols names a symbol twice")
        return self


_GREEKS = ("delta", "gamma", "vega")


class PortfolioSettings(Section):
    """Sizing and limits; weights are fractions of capital.

    ``construction`` is how a book is made of forecasts: ``programme`` solves one convex programme for all names, on
    a covariance of the last ``covariance_sessions``; ``per_name`` sizes each by itself and then bounds the sum. Left
    out, a strategy whose label is relative to the other names (``direction_relative``, or one of a plug-in that says
    so) has ``programme``, any other ``per_name``.
    ``constraints`` are limits that plug-ins register, each by its name with its own settings, ``{}`` for none.
    ``hold_premium`` holds what the base rate itself promises, beside what a forecast adds to it.
    ``expect_funding`` takes off what a perpetual is expected to earn what funding its positions would pay over the
    horizon, at the rate of the session before; for ``programme``.

    ``volatility`` is the best forecast of volatility that sizes may be made of: ``ewma``; ``har``, or ``network`` (the
    strategy's own, trained on realised variances) beside it, each only once it is proved better. It is that of the
    return which the label is made of; a z-scored return is expected in units of its own, and takes none.

    ``capacity_usd`` is a limit on the dollars held. ``capacity_share`` is a control: with it the assets that sizes are
    made for are kept at or below this share of the newest estimate of ``nn-assets capacity``, in halves; left out,
    no estimate shrinks anything.

    ``groups: behaviour`` holds names that have no sector in ``sectors`` to ``sector_limit`` by how they move.

    What shrinks an edge, once, in the calibration: ``shrink_prior_outcomes`` effective outcomes at the base rate (of
    binary contracts at the price, where they are sized), beside a record that loses half its weight in
    ``shrink_half_life_months``.
    """

    retired: ClassVar[Mapping[str, Any]] = MappingProxyType({"edge_to_weight": 10.0})

    initial_capital_usd: Positive = 1_000_000.0
    construction: Annotated[Literal["per_name", "programme"] | None, CountsUnless("per_name")] = None
    hold_premium: WhenSet[bool] = False
    expect_funding: WhenSet[bool] = False
    volatility: WhenSet[Literal["ewma", "har", "network"]] = "ewma"
    covariance_sessions: WhenSet[Annotated[int, Field(ge=60, le=250)]] = 120
    kelly_fraction: Fraction = 0.5
    minimum_outcomes: Count = 60
    shrink_prior_outcomes: NonNegative = 60.0
    shrink_half_life_months: WhenSet[Positive] = 12.0
    risk_per_signal_fraction: Fraction = 0.02
    risk_total_fraction: Fraction = 0.10
    stop_atr_multiple: Positive = 2.0
    correlation_sessions: Annotated[int, Field(ge=20)] = 60
    gross_limit: NonNegative = 1.0
    net_limit: NonNegative = 1.0
    single_name_limit: Fraction = 0.10
    sector_limit: Fraction = 0.30
    constraints: WhenSet[Mapping[str, OwnSettings]] = Field(default_factory=dict, exclude_if=operator.not_)
    sectors: Mapping[str, str] = Field(default_factory=dict)
    groups: WhenSet[Literal["sectors", "behaviour"]] = "sectors"
    beta_limit: NonNegative = 1.0
    greeks: WhenSet[GreekSettings | None] = None
    adv_limit_fraction: Fraction = 0.01
    proxy_adv_usd: Positive | None = None
    capacity_usd: Positive | None = None
    capacity_share: WhenSet[Annotated[float, Field(gt=0.0, le=1.0)] | None] = None
    allow_short: bool = True
    lot_size: Positive = 1.0
    drawdown_limit_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.08
    weekly_loss_limit_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.04
    session_loss_limit_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.03
    stale_symbols_limit_fraction: WhenSet[Fraction] = 0.50  # without a close, or whose bar repeats the one before
    stale_symbol_sessions: WhenSet[Count | None] = None  # in a row without a fresh bar: nothing is opened in the symbol
    replay_reset_sessions: Count = 20
    when_paused: Literal["flat", "hold"] = "flat"

    @model_validator(mode="after")
    def _every_breaker_can_fire(self) -> PortfolioSettings:
        if self.weekly_loss_limit_fraction > self.drawdown_limit_fraction:
            raise ValueError(
                "portfolio.weekly_loss_limit_fraction "
                f"{self.weekly_loss_limit_fraction} can never fire before "
                f"portfolio.drawdown_limit_fraction {self.drawdown_limit_fraction} flattens"
            )
        if self.session_loss_limit_fraction > self.weekly_loss_limit_fraction:
            raise ValueError(
                "portfolio.session_loss_limit_fraction "
                f"{self.session_loss_limit_fraction} can never fire: a session's loss is part of its week's, "
                f"and portfolio.weekly_loss_limit_fraction {self.weekly_loss_limit_fraction} fires first"
            )
        if self.stale_symbols_limit_fraction >= 1.0:
            raise ValueError(
                "portfolio.stale_symbols_limit_fraction 1.0 can never fire: no more than all symbols can be stale"
            )
        return self


class ExecutionSettings(Section):
    """The broker, ``paper``, a venue or one that a file of ``plugins`` registers, what paper fills by, and the gate.

    ``broker_settings`` are the broker's own, as it states them; ``paper`` has none. ``account`` names the account at a
    venue, the strategy's own name where left out; strategies of one account, broker and settings share it.

    ``paper_fills`` says how the paper broker fills orders: ``at_bar``, each crosses the spread at the bar's open or
    close, whatever its urgency; ``by_urgency``, a passive one rests at the near side of its reference price for the
    session, a normal one crosses within half the participation cap, an urgent one (``close``) within all of it;
    ``closing_auction``, each takes part in the closing auction and in nothing else. ``queue_ahead_fraction`` of a
    session's volume trades at the price of an order that rests before it is its turn; ``closing_auction_fraction`` of
    it trades in the closing auction.
    """

    broker: WhenSet[MemberName] = "paper"
    broker_settings: WhenSet[OwnSettings] = Field(default_factory=dict, exclude_if=operator.not_)
    account: WhenSet[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")] | None] = None
    settle_seconds: NeverCounts[NonNegative] = 30.0  # a venue is asked again for so long before a difference is named
    participation_cap_fraction: Fraction = 0.01
    paper_fills: WhenSet[Literal["at_bar", "by_urgency", "closing_auction"]] = "at_bar"
    queue_ahead_fraction: WhenSet[Fraction] = 0.01  # as much as an order may be of the volume itself
    closing_auction_fraction: WhenSet[Fraction] = 0.075  # US stocks, 2018 (Bogousslavsky and Muravyev 2023)
    cost_noise_fraction: NonNegative = 0.25
    seed: int = 11
    maximum_order_usd: Positive = 10_000_000.0
    price_collar_fraction: Fraction = 0.20
    maximum_orders_per_session: Count = 1000
    maximum_sent_multiple: WhenSet[Positive] = 2.0  # of gross limit x equity: what is sent for one session

    @model_validator(mode="after")
    def _nothing_is_stated_that_no_fill_reads(self) -> ExecutionSettings:
        read_by = {"queue_ahead_fraction": "by_urgency", "closing_auction_fraction": "closing_auction"}
        for name, paper_fills in read_by.items():
            changed = getattr(self, name) != type(self).model_fields[name].default
            if changed and self.paper_fills != paper_fills:
                raise ValueError(
                    f"execution.{name} is for execution.paper_fills: {paper_fills}: state both, or neither"
                )
        return self


class OversightSettings(Section):
    """Drift windows, score thresholds, the pace of refreshes, and what an edge must be worth.

    ``smallest_effect`` is the excess over chance that a verdict looks for (rank IC in panels, AUC above 0.5 on few
    instruments), in place of the one derived from the costs.
    ``slippage_by_volatility`` tests what the calmest and the most volatile third of the fills cost each by itself too.
    """

    drift_window_sessions: Annotated[int, Field(ge=20)] = 60
    drift_reference_sessions: Annotated[int, Field(ge=60)] = 500
    ks_effect_floor: Fraction = 0.12
    rings_per_year: Positive = 1.0
    retraining_ks_floor: Fraction = 0.10
    retraining_rings_per_year: Positive = 4.0
    reduce_score: Count = 3
    pause_score: Count = 5
    cooldown_sessions: Count = 5
    refresh_cooldown_sessions: WhenSet[Count] = 60  # between two refreshes of drift: a window of new sessions
    slippage_tolerance_fraction: NonNegative = 0.25
    slippage_by_volatility: WhenSet[bool] = False
    smallest_effect: WhenSet[Annotated[float, Field(gt=0.0, lt=0.5)] | None] = None

    @model_validator(mode="after")
    def _reduced_before_paused(self) -> OversightSettings:
        if self.pause_score > HIGHEST_SCORE:
            raise ValueError(
                f"oversight.pause_score {self.pause_score} can never fire: no score is above {HIGHEST_SCORE}"
            )
        if self.reduce_score >= self.pause_score:
            raise ValueError(
                f"oversight.reduce_score {self.reduce_score} must lie below oversight.pause_score {self.pause_score}"
            )
        return self
