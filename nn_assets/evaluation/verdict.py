"""What a study's figures allow to be said, in one of five phrases and a sentence of reasons.

A verdict is taken at a look: a month's end. What the looks before it found counts, and what they may spend together
is in :mod:`nn_assets.evaluation.spending`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.special import stdtr, stdtrit

from nn_assets.estimators import TRADED
from nn_assets.evaluation.figure_set import Figures, LeakAlarm, StudyFigures
from nn_assets.evaluation.leak_alarms import StandingAlarm, first_of_each_name
from nn_assets.evaluation.significance import MeanTest, degrees_of_freedom
from nn_assets.evaluation.spending import PLANNED, look_levels, per_trial_level

Kind = Literal[
    "leak alarm",
    "no edge found",
    "edge found",
    "signal found",
    "cannot tell",
    "forecasts volatility better",
    "not shown to forecast volatility better",
]
Statistic = Literal["rank IC", "AUC", "QLIKE", "Brier score"]

POWER = 0.80
DEFLATED_SHARPE_NEEDED = 0.95
DEFLATED_SHARPE_KEPT = 0.80
"""Below it trading stops at a look; above it trading that was allowed goes on."""

_NEXT_TO_NOTHING = 1e-6

_SURELY_LARGER = 0.01
"""One-sided p-value below which a figure is larger than the one that was released, and rings again."""

MINIMUM_SESSIONS = 60
"""Sessions below which no test decides anything; such a look spends nothing."""


@dataclass(frozen=True)
class Look:
    """What one look at a record saw, enough to judge it again beside later ones.

    ``estimate`` is the excess over chance; it and its error are None where no test could be made.
    """

    month: str  # 'YYYY-MM', at whose end it was taken
    sessions: int
    estimate: float | None = None
    standard_error: float | None = None
    degrees: float | None = None
    allows_trading: bool = False

    @property
    def decides(self) -> bool:
        """Whether the record was long enough for any test."""
        return self.sessions >= MINIMUM_SESSIONS

    def sees_as(self, other: Look) -> bool:
        """Whether another look saw the same: taken at the same month's end on the same record, it is one look."""
        ours, theirs = (
            [math.nan if value is None else value for value in (look.estimate, look.standard_error)]
            for look in (self, other)
        )
        same = np.allclose(ours, theirs, rtol=1e-9, atol=1e-12, equal_nan=True)
        return (self.month, self.sessions) == (other.month, other.sessions) and bool(same)

    def crosses(self, level: float) -> bool:
        """Whether its one-sided p-value lies below a level."""
        if not self.decides or not self.standard_error or self.estimate is None or self.degrees is None:
            return False
        return float(stdtr(self.degrees, -self.estimate / self.standard_error)) < level

    def reach(self, level: float) -> float:
        """Half of its repeated confidence interval: infinite where the level is 0 or no test was made."""
        if not self.decides or self.standard_error is None or self.degrees is None or level <= 0.0:
            return math.inf
        return float(-stdtrit(self.degrees, level)) * self.standard_error


@dataclass(frozen=True)
class Verdict:
    """What may be said. Figures are plain numbers, so that it can be kept as JSON.

    ``sessions_needed`` is set where the record cannot tell and more of it would; ``interval_low`` and ``_high`` are
    the values of the statistic that no look has ruled out, together at 95% on each side. ``unreleased_alarms`` has the
    leak alarms by name; ``released`` has a sentence for each that a person released. ``comparison`` says how forecasts
    of a volatility compare with the simple ones, which is then the phrase. ``decisions_per_day`` is set where each
    "session" of the record is a decision within the session: those of a usual day that a label counts of.
    """

    kind: Kind
    reason: str
    statistic: Statistic
    adjusted_p_value: float | None = None  # one-sided, at this look, after the trials
    allowed_p_value: float | None = None  # what this look may spend
    sessions_needed: int | None = None
    allows_trading: bool = False
    look: int | None = None  # 1 the first verdict on the history
    interval_low: float | None = None
    interval_high: float | None = None
    smallest_effect: float | None = None  # of the statistic itself
    smallest_effect_derivation: str = ""
    unreleased_alarms: Mapping[str, str] = field(default_factory=dict)
    released: tuple[str, ...] = ()
    comparison: str = ""
    decisions_per_day: int | None = None

    @property
    def phrase(self) -> str:
        """The verdict as it is printed: 'cannot tell: 412 more sessions needed', within the session in days too."""
        if self.comparison:
            return self.comparison
        if self.sessions_needed is not None:
            needed = f"{self.kind}: {self.sessions_needed:,} more {_counted(self.decisions_per_day)}"
            if not self.decisions_per_day:
                return f"{needed} needed"
            days = max(round(self.sessions_needed / self.decisions_per_day), 1)
            return f"{needed} (about {days:,} day{'s' * (days != 1)}) needed"
        if self.kind != "cannot tell" or self.look is None:
            return self.kind
        ends = [f"{end:.3f}" if end is not None else "unknown" for end in (self.interval_low, self.interval_high)]
        return f"{self.kind}: planned sample spent, {self.statistic} within {ends[0]} to {ends[1]}"


def _counted(decisions_per_day: int | None) -> str:
    """What the rows of a record are called."""
    return "decisions" if decisions_per_day else "sessions"


NOT_A_LOOK = Verdict(
    "cannot tell", "the month ended before the first verdict on this history: no look was planned for it", "AUC"
)
"""The verdict of a month before the first look: unplanned looks would spend without end."""

NOT_AGAINST_THE_PRICE = Verdict(
    "cannot tell",
    "a forecast of a settlement is above chance for as long as it repeats the price, and the record is not judged "
    "against the price: the figures show what the book earned, and trade_without_verdict trades by them",
    "AUC",
)
"""The verdict on binary contracts, at every look: an AUC says nothing there, nor does an accuracy of a leak."""

NO_MONTH_ENDED = Verdict(
    "cannot tell", "no month of the record has ended: a verdict is taken at a month's end, and none before", "AUC"
)
"""The verdict on a record whose first month has not ended."""


def trial_adjusted_p_value(p_value: float, trials: int) -> float:
    """Chance that the best of ``trials`` worthless configurations does as well (Šidák 1967)."""
    return -math.expm1(max(trials, 1) * math.log1p(-min(p_value, 1.0 - 1e-15)))


def look_of(figures: StudyFigures, month: str, estimator: str, *, allows_trading: bool = False) -> Look:
    """What a look sees of an estimator: its rank IC in panels, its AUC in narrower ones.

    The statistic is fixed beforehand, by the panel: choosing the better of the two afterwards would be one more
    trial.
    """
    test = _test_of(figures, estimator)
    if test is None:
        return Look(month, 0)
    excess = None if test.estimate is None else test.estimate - _chance(figures)
    return Look(month, test.sessions, excess, test.standard_error, test.degrees, allows_trading)


def size_of(figures: StudyFigures, alarm: LeakAlarm) -> tuple[float, float, float] | None:
    """A figure too good to be true: how far it is above chance, its standard error, and the degrees of its Student-t.

    Accuracy over its base, rank IC, or the annual net Sharpe ratio, whose error is that of independent normal returns
    (Lo 2002, Financial Analysts Journal 58, equation 9). None where the figure is not there.
    """
    judged = figures.total.get(alarm.estimator)
    if judged is None:
        return None
    if alarm.figure == "net Sharpe":
        if judged.sharpe_net is None or not judged.return_sessions:
            return None
        per_year, sessions = figures.sessions_per_year, judged.return_sessions
        error = math.sqrt((per_year + judged.sharpe_net**2 / 2.0) / sessions)
        return judged.sharpe_net, error, math.inf
    test = judged.tests.get(alarm.figure.lower().replace(" ", "_"))
    if test is None or test.estimate is None:
        return None
    degrees = math.inf if test.degrees is None else test.degrees
    return test.estimate, test.standard_error or 0.0, degrees


def is_released(
    figures: StudyFigures, alarm: LeakAlarm, released: Mapping[str, str], released_figures: Mapping[str, float]
) -> bool:
    """Whether a release covers a figure: it names it, and the figure is not larger by more than its own noise.

    Parameters
    ----------
    released : mapping
        By the name of an alarm, who released it, when and why.
    released_figures : mapping
        By name the figure that was released, as :func:`size_of` takes it; a release without one covers any.
    """
    if alarm.name not in released or alarm.name not in released_figures:
        return alarm.name in released
    size = size_of(figures, alarm)
    if size is None:
        return True
    excess = size[0] - released_figures[alarm.name]
    if size[1] == 0.0:
        return excess <= 1e-12
    return float(stdtr(size[2], -excess / size[1])) >= _SURELY_LARGER


def levels_of(looks: Sequence[Look], trials: int, sessions_per_year: int) -> tuple[float, ...]:
    """One-sided level of one of some trials at each look, by :func:`~nn_assets.evaluation.spending.look_levels`."""
    counted = [_month_number(look.month) for look in looks]
    months = [number - counted[0] for number in counted]
    sessions = [look.sessions if look.decides else 0 for look in looks]
    return look_levels(months, sessions, trials, sessions_per_year / 12.0)


def _month_number(month: str) -> int:
    """Months since a fixed one; 0 of none."""
    year, _, number = month.partition("-")
    return 12 * int(year) + int(number) if month else 0


def _test_of(figures: StudyFigures, estimator: str) -> MeanTest | None:
    judged = figures.total.get(estimator)
    return None if judged is None else judged.tests.get("rank_ic" if figures.cross_section else "auc")


def _chance(figures: StudyFigures) -> float:
    return 0.0 if figures.cross_section else 0.5


def verdict(
    figures: StudyFigures,
    before: Sequence[Look] = (),
    month: str = "",
    *,
    trials: int | None = None,
    estimator: str = TRADED,
    released: Mapping[str, str] | None = None,
    released_figures: Mapping[str, float] | None = None,
    standing_alarms: Sequence[StandingAlarm] = (),
    decisions_per_day: int | None = None,
    counted_per_year: int | None = None,
) -> Verdict:
    """Judge an estimator's out-of-sample record at a look.

    In this order:

    - *Leak alarm*: an unreleased figure that is too good to be true: of any estimator where it is surely above
      chance; of the one judged also where it is not, and a signal would be found. One that a look left standing on
      the same data stands, whatever the figure and the settings are now, until a person releases it.
    - *No edge found*: the one-sided 95% upper bound of the statistic, adjusted for looks and not for trials,
      lies below the smallest effect of interest.
    - *Edge found*: a signal, and a net deflated Sharpe ratio above 0.95.
    - *Signal found*: the statistic was above chance at this look or an earlier one, adjusted for trials and looks.
    - *Cannot tell*: none of these. The sessions needed are those that the smallest effect needs to be found with
      80% power, less those had; when none are left the planned sample is spent.

    Trading is allowed by an edge found, and stopped by no edge found, a leak alarm, or a net deflated Sharpe
    ratio below 0.80; in between it stays as the look before left it.

    Parameters
    ----------
    figures : StudyFigures
    before : sequence of Look
        Earlier looks of the same configuration at the same data, ascending; none makes this the first verdict.
        Another record of the same month, seen before, is an earlier look too.
    month : str
        'YYYY-MM' at whose end the look is taken; needed where there are earlier looks.
    trials : int, optional
        Configurations ever evaluated on these data; by default those the figures were deflated by. Ones that
        came later than a look count at that look too.
    estimator : str
        Whose figures are judged.
    released : mapping, optional
        By the name of a leak alarm, who released it, when and why.
    released_figures : mapping, optional
        By name the figure that was released: a larger one rings again, see :func:`is_released`.
    standing_alarms : sequence of StandingAlarm
        Those that looks up to this one left, of whatever settings, and nobody released.
    decisions_per_day : int, optional
        Of a strategy that decides within the session, in whose record every decision that a label is realised of counts
        as a session.
    counted_per_year : int, optional
        Sessions, or such decisions, that count in a year, by which later looks are planned; those that annualise a
        figure by default.

    Returns
    -------
    Verdict

    Notes
    -----
    The bounds are repeated confidence intervals: Jennison and Turnbull (1989), JRSS B 51. An earlier look's bound
    holds as long as the present estimate does not contradict it.
    """
    judge = _Judge(
        figures,
        before,
        month,
        trials,
        estimator,
        released or {},
        released_figures or {},
        standing_alarms,
        decisions_per_day,
        counted_per_year or figures.sessions_per_year,
    )
    return judge.verdict()


class _Judge:
    """One look, with what it is judged by."""

    def __init__(
        self,
        figures: StudyFigures,
        before: Sequence[Look],
        month: str,
        trials: int | None,
        estimator: str,
        released: Mapping[str, str],
        released_figures: Mapping[str, float],
        standing_alarms: Sequence[StandingAlarm],
        decisions_per_day: int | None,
        counted_per_year: int,
    ) -> None:
        self.decisions_per_day, self.counted = decisions_per_day, _counted(decisions_per_day)
        self.counted_per_year = counted_per_year
        self.figures, self.released = figures, released
        unreleased, doubts = (
            [alarm for alarm in ringing if not is_released(figures, alarm, released, released_figures)]
            for ringing in (figures.alarms, figures.doubts)
        )
        self.unreleased = {alarm.name: str(alarm) for alarm in unreleased}
        earlier = (alarm for alarm in standing_alarms if alarm.name not in self.unreleased)
        self.earlier_alarms = first_of_each_name(earlier)
        self.doubts = [alarm for alarm in doubts if alarm.estimator == estimator]
        self.estimator = estimator
        self.judged: Figures | None = figures.total.get(estimator)
        self.trials = figures.trials if trials is None else max(trials, 1)
        self.statistic: Statistic = "rank IC" if figures.cross_section else "AUC"
        self.chance = _chance(figures)
        self.look = look_of(figures, month, estimator)
        self.looks = [*before, self.look]
        self.levels = self._levels(self.trials)
        self.single = self._levels(1)
        self.low, self.high = self._bounds()
        self.deflated = None if self.judged is None else self.judged.deflated_sharpe

    def _levels(self, trials: int) -> tuple[float, ...]:
        return levels_of(self.looks, trials, self.counted_per_year)

    def _bounds(self) -> tuple[float, float]:
        """Ends of the interval that no look rules out, as excesses over chance; infinite where none says."""
        now, lows, highs = self.look.estimate, [-math.inf], [math.inf]
        for look, level in zip(self.looks, self.single, strict=True):
            reach = look.reach(level)
            if look.estimate is None or now is None or math.isinf(reach):
                continue
            lows += [look.estimate - reach] * (look.estimate - reach <= now)
            highs += [look.estimate + reach] * (look.estimate + reach >= now)
        return max(lows), min(highs)

    @property
    def effect(self) -> float:
        return self.figures.smallest_effect.value

    def verdict(self) -> Verdict:
        if self.unreleased or self.earlier_alarms:
            return self._alarmed()
        if self.look.estimate is None:
            return self._short(f"no {self.counted[:-1]} has both a forecast and a realised label")
        if not self.look.decides:
            had = f"{self.look.sessions} {self.counted} have both a forecast and a realised label"
            return self._short(f"{had}; {MINIMUM_SESSIONS} are the least")
        if self.look.standard_error is None:
            test = self._test()
            if test.estimate is not None and self.look.estimate < self.effect:
                return self._conclude("no edge found", f"the {self.statistic} says nothing: {test.reason}")
            return self._short(f"the {self.statistic} says nothing: {test.reason}")
        if self.high < self.effect:
            bound = f"its upper bound {self.chance + self.high:.4f} lies below the smallest effect of interest"
            return self._conclude("no edge found", f"{self._measured()}; {bound}, {self.chance + self.effect:.4f}")
        crossed = [look for look, level in zip(self.looks, self.levels, strict=True) if look.crosses(level)]
        if self.doubts and (crossed or self._allows("cannot tell")):
            self.unreleased = {doubt.name: str(doubt) for doubt in self.doubts}
            return self._alarmed()
        return self._with_signal(crossed) if crossed else self._without_signal()

    def _alarmed(self) -> Verdict:
        stand = [alarm.sentence for alarm in self.earlier_alarms.values()]
        why = "; ".join([*self.unreleased.values(), *stand])
        return self._conclude("leak alarm", f"{why}. Until it is released no edge is found")

    def _test(self) -> MeanTest:
        test = _test_of(self.figures, self.estimator)
        assert test is not None, "the look has an estimate"
        return test

    def _adjusted(self) -> float | None:
        test = _test_of(self.figures, self.estimator)
        return None if test is None or test.p_value is None else trial_adjusted_p_value(test.p_value, self.trials)

    def _measured(self) -> str:
        tried = "1 trial" if self.trials == 1 else f"{self.trials} trials"
        number, least = len(self.looks), self._allowed()
        look = "the first look" if number == 1 else f"look {number} (the first was that of {self.looks[0].month})"
        asks = f"requires p below {least:.2g}" if least >= _NEXT_TO_NOTHING else "has next to no error left to spend"
        test, adjusted = self._test(), self._adjusted()
        return (
            f"out-of-sample {self.statistic} {test.estimate:.4f} over {test.sessions:,} {self.counted}, "
            f"t = {test.t_statistic:.2f}, one-sided p = {adjusted:.3f}, adjusted for {tried}; "
            f"{look} {asks}"
        )

    def _allowed(self) -> float:
        return trial_adjusted_p_value(self.levels[-1], self.trials)

    def _with_signal(self, crossed: Sequence[Look]) -> Verdict:
        text = self._measured()
        if self.look not in crossed:
            text += f"; found at the look of {crossed[-1].month}"
        if self.deflated is None:
            absent = {} if self.judged is None else self.judged.absent
            why = absent.get("deflated_sharpe", "the book has no returns")
            return self._conclude("signal found", f"{text}; but no net Sharpe to judge: {why}")
        if self.deflated > DEFLATED_SHARPE_NEEDED:
            return self._conclude(
                "edge found", f"{text}; net deflated Sharpe {self.deflated:.3f}, above {DEFLATED_SHARPE_NEEDED}"
            )
        return self._conclude(
            "signal found", f"{text}; but net deflated Sharpe {self.deflated:.3f}, not above {DEFLATED_SHARPE_NEEDED}"
        )

    def _without_signal(self) -> Verdict:
        interval = f"the interval {self.chance + self.low:.4f} to {self.chance + self.high:.4f}"
        smallest = f"the smallest effect of interest, {self.chance + self.effect:.4f}"
        if self.low > self.effect:
            held = f"{interval}, adjusted for looks and not for trials, lies above {smallest}"
            held += ": only the level of this look is not reached"
        else:
            held = f"{interval} holds {smallest}"
        assert self.look.standard_error is not None
        needed = self._needed(self.look.standard_error * math.sqrt(self.look.sessions)) - self.look.sessions
        if needed > 0:
            return self._conclude("cannot tell", f"{self._measured()}; {held}", needed)
        spent = f"the record has the {self.counted} that it needs at 80% power"
        return self._conclude("cannot tell", f"{self._measured()}; {held}, and {spent}")

    def _short(self, why: str) -> Verdict:
        """Too short for a test: the spread is that of a worthless forecast on wholly overlapping labels."""
        variance = self.figures.horizon_sessions / self.figures.smallest_effect.breadth
        needed = self._needed(math.sqrt(variance if self.figures.cross_section else variance / 3.0))
        had = self.look.sessions
        return self._conclude("cannot tell", why, max(needed, MINIMUM_SESSIONS, had + 1) - had)

    def _needed(self, spread: float) -> int:
        """Sessions at which the smallest effect is found with 80% power, at the level of the planned looks.

        ``spread`` is the standard error times the root of the sessions it was taken over.
        """
        level = per_trial_level(PLANNED, self.trials)

        def shows(sessions: int) -> bool:
            degrees = degrees_of_freedom(sessions, self.figures.horizon_sessions)
            points = float(stdtrit(degrees, 1.0 - level) + stdtrit(degrees, POWER))
            return points * spread / math.sqrt(sessions) <= self.effect

        low, high = MINIMUM_SESSIONS - 1, MINIMUM_SESSIONS
        while not shows(high):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if shows(middle) else (middle, high)
        return high

    def _conclude(self, kind: Kind, reason: str, needed: int | None = None) -> Verdict:
        effect = self.figures.smallest_effect
        ringing = {alarm.name: str(alarm) for alarm in (*self.figures.alarms, *self.figures.doubts)}
        earlier = {name: alarm.finding for name, alarm in self.earlier_alarms.items()}
        allows = self._allows(kind)
        if allows and kind != "edge found":
            reason += f"; trading goes on while the net deflated Sharpe is not below {DEFLATED_SHARPE_KEPT}"
        return Verdict(
            kind,
            reason,
            self.statistic,
            adjusted_p_value=self._adjusted(),
            allowed_p_value=self._allowed(),
            sessions_needed=needed,
            allows_trading=allows,
            look=len(self.looks),
            interval_low=self.chance + self.low if math.isfinite(self.low) else None,
            interval_high=self.chance + self.high if math.isfinite(self.high) else None,
            smallest_effect=self.chance + effect.value,
            smallest_effect_derivation=effect.derivation,
            unreleased_alarms={**earlier, **self.unreleased},
            released=tuple(f"{ringing.get(name, name)} ({release})" for name, release in self.released.items()),
            decisions_per_day=self.decisions_per_day,
        )

    def _allows(self, kind: Kind) -> bool:
        if kind == "edge found":
            return True
        held = len(self.looks) > 1 and self.looks[-2].allows_trading
        kept = self.deflated is not None and self.deflated >= DEFLATED_SHARPE_KEPT
        return held and kept and kind not in ("no edge found", "leak alarm")
