"""From drift and slippage to one score, and from scores to the state in which the strategy trades."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from nn_assets.contracts.frames import TradingStateRows
from nn_assets.errors import ControlError
from nn_assets.oversight.drift import DriftReport
from nn_assets.oversight.slippage import SlippageTest, slippage_breach
from nn_assets.settings import OversightSettings

__all__ = [
    "STATES",
    "Severity",
    "SlippageTest",
    "State",
    "TradingState",
    "initial_trading_state",
    "next_trading_state",
    "resumed_trading_state",
    "severity",
    "slippage_breach",
]

State = Literal["CONTINUE", "REDUCE_SIZE", "PAUSE_STRATEGY"]

STATES: tuple[State, ...] = ("CONTINUE", "REDUCE_SIZE", "PAUSE_STRATEGY")

_PREDICTION, _FEATURES, _SLIPPAGE = 3, 2, 2
_NOT_EXAMINED = "not examined"  # begins the reason of a session that shortened no cooldown: it is read back


@dataclass(frozen=True)
class Severity:
    """The score of one session, and what gave it its points."""

    score: int
    reasons: tuple[str, ...]
    examined: bool = True  # False: a score of 0 says nothing


@dataclass(frozen=True)
class TradingState:
    """The state that drift and slippage allow, from ``effective_session`` on.

    Attributes
    ----------
    state : 'CONTINUE', 'REDUCE_SIZE' or 'PAUSE_STRATEGY'
    score : int
        Of ``session``'s severity.
    reasons : tuple of str
        Of that severity; where the state is held above what the score asks for, the wait.
    session : Timestamp
        Whose close decided it.
    since : Timestamp
        Session that decided the first of the unbroken run of this state.
    cooldown_left : int
        Examined sessions below the state's threshold still to pass before one step down; 0 in CONTINUE.
    effective_session : Timestamp
        The first session whose decision it applies to.
    """

    state: State
    score: int
    reasons: tuple[str, ...]
    session: pd.Timestamp
    since: pd.Timestamp
    cooldown_left: int
    effective_session: pd.Timestamp

    def __post_init__(self) -> None:
        if self.state not in STATES or self.cooldown_left < 0 or self.effective_session <= self.session:
            raise ControlError(
                expected=f"one of {', '.join(STATES)}, effective after the session that decided it",
                found=f"{self.state!r}, cooldown {self.cooldown_left}, effective {self.effective_session}",
                remedy="read the state from an intact ledger; an unreadable one means PAUSE_STRATEGY",
                session=self.session,
                value=self.state,
            )


def severity(report: DriftReport, slippage: SlippageTest | None = None) -> Severity:
    """Score one session: prediction drift 3, three or more features jointly 2, slippage breach 2.

    Parameters
    ----------
    report : DriftReport
        One that was not examined (too few sessions, or values) scores nothing, and says so.
    slippage : SlippageTest, optional
        None where there are no fills to test.

    Returns
    -------
    Severity
        Score from 0 to 7.
    """
    score, reasons = 0, []
    if report.prediction_drifted:
        score += _PREDICTION
        worst = [s for s in report.statistics if s.layer == "prediction" and s.drifted]
        shown = ", ".join(f"{s.name} {s.statistic:.3f} > {s.critical:.3f}" for s in worst)
        reasons.append(f"prediction drift (+{_PREDICTION}): {shown}")
    if report.features_drifted_jointly:
        score += _FEATURES
        named = ", ".join(report.joint_features)
        ratio = f"{report.joint_statistic:.2f} > {report.joint_critical:.2f} of critical"
        reasons.append(f"features drifted jointly (+{_FEATURES}): {named} ({ratio})")
    if slippage is not None and slippage.breach:
        score += _SLIPPAGE
        reasons.append(f"slippage breach (+{_SLIPPAGE}): {slippage.message}")
    return Severity(score=score, reasons=tuple(reasons), examined=report.examined)


def initial_trading_state(session: pd.Timestamp, effective_session: pd.Timestamp) -> TradingState:
    """Return the state of a strategy that has not been examined yet: CONTINUE, score 0."""
    return TradingState("CONTINUE", 0, (), session, session, 0, effective_session)


def _asked(score: int, settings: OversightSettings) -> int:
    if score >= settings.pause_score:
        return 2
    return 1 if score >= settings.reduce_score else 0


def next_trading_state(
    previous: TradingState,
    assessment: Severity,
    settings: OversightSettings,
    session: pd.Timestamp,
    effective_session: pd.Timestamp,
) -> TradingState:
    """Move the state: up at once, down one step at a time and only after the cooldown.

    A step down needs ``cooldown_sessions`` examined sessions whose score asks for less than the
    present state; a single one that asks for it again starts the count anew, and so does the step. A
    session that was not examined neither shortens the count nor starts it anew.

    Parameters
    ----------
    previous : TradingState
        As decided on the session before; its ``session`` must lie before this one.
    assessment : Severity
        Of ``session``.
    settings : OversightSettings
        ``reduce_score``, ``pause_score``, ``cooldown_sessions``.
    session, effective_session : Timestamp
        The session whose close decides, and the next one of the calendar.

    Returns
    -------
    TradingState

    Raises
    ------
    ControlError
        Thresholds out of order, or sessions that do not move forward.
    """
    if settings.reduce_score >= settings.pause_score or session <= previous.session:
        raise ControlError(
            expected="reduce_score below pause_score, and a session after the one decided last",
            found=f"{settings.reduce_score} and {settings.pause_score}; {session} after {previous.session}",
            remedy="mend the oversight section, or decide sessions in order",
            session=session,
        )
    current, demanded = STATES.index(previous.state), _asked(assessment.score, settings)
    reasons, level, left = assessment.reasons, demanded, settings.cooldown_sessions
    if demanded < current and not assessment.examined:
        level, left = current, previous.cooldown_left
        reasons = (*reasons, f"{_NOT_EXAMINED}: {previous.state} held, {left} examined sessions still to pass")
    elif demanded < current:
        left = previous.cooldown_left - 1
        level = current - 1 if left <= 0 else current
        if left <= 0:
            left = settings.cooldown_sessions
        else:
            reasons = (*reasons, f"{previous.state} held: cooldown, {left} more sessions below its threshold")
    if level == 0:
        left = 0
    state = STATES[level]
    since = previous.since if state == previous.state else session
    return TradingState(state, assessment.score, reasons, session, since, left, effective_session)


def resumed_trading_state(records: TradingStateRows, settings: OversightSettings) -> TradingState:
    """Rebuild the latest state from the ledger's records, which keep neither wait nor beginning.

    Parameters
    ----------
    records : DataFrame
        Columns session, effective_session, state, score, reasons; consecutive sessions in order, from
        the first of the present run of equal states at the latest.
    settings : OversightSettings
        As in force when the records were written.

    Returns
    -------
    TradingState
        Equal to what :func:`next_trading_state` gave for the last record.

    Raises
    ------
    ControlError
        No record, or a state unknown.
    """
    if records.empty or not set(records["state"]) <= set(STATES):
        raise ControlError(
            expected=f"records with states among {', '.join(STATES)}",
            found=f"{sorted(set(records['state']))} in {len(records)} records",
            remedy="repair the ledger; until then the strategy is to be paused",
        )
    states = [STATES.index(state) for state in records["state"]]
    present, first = states[-1], len(states) - 1
    while first > 0 and states[first - 1] == present:
        first -= 1
    left = settings.cooldown_sessions if present else 0
    later = records.iloc[first + 1 :]
    for score, stored_reasons in zip(later["score"], later["reasons"], strict=True):
        if present and _asked(int(score), settings) >= present:
            left = settings.cooldown_sessions
        elif present and not any(reason.startswith(_NOT_EXAMINED) for reason in _as_reasons(stored_reasons)):
            left -= 1
    last = records.iloc[-1]
    reasons = _as_reasons(last["reasons"])
    return TradingState(
        state=STATES[present],
        score=int(last["score"]),
        reasons=tuple(reason for reason in reasons if reason),
        session=last["session"],
        since=records["session"].iloc[first],
        cooldown_left=left,
        effective_session=last["effective_session"],
    )


def _as_reasons(reasons: str | Iterable[str]) -> tuple[str, ...]:
    return (reasons,) if isinstance(reasons, str) else tuple(reasons)
