"""When the decisions of a strategy that decides within the session could have been sent, from the stored facts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, IntArray
from nn_assets.contracts.frames import IntradayVersions
from nn_assets.errors import DecisionError
from nn_assets.market.calendar.decision_bars import (
    DecisionTiming,
    catching_up_decisions,
    closing_decisions,
    late_decisions,
)
from nn_assets.market.facts.intraday import first_known
from nn_assets.operations.asof.stored import RAW_INTRADAY, versions_of
from nn_assets.operations.facts import StoredFacts
from nn_assets.settings import Strategy
from nn_assets.settings.sections import NO_DIRECTION

_NEVER = np.iinfo(np.int64).min


def decision_timing(facts: StoredFacts) -> DecisionTiming | None:
    """What the clock says of each decision of the axis; None for a strategy that decides once a session."""
    strategy, decisions = facts.strategy, facts.strategy.decisions
    if decisions is None:
        return None
    calendar, sessions = strategy.market.calendar, facts.axis
    closing = np.zeros(len(sessions), dtype=np.bool_)
    if decisions.overnight == "flat":
        closing = closing_decisions(calendar, sessions, decisions.closing_bars)
    late = _late(strategy, versions_of(facts.stores, strategy.name, RAW_INTRADAY), sessions)
    if decisions.overnight != "flat":
        return DecisionTiming(closing, late)
    return DecisionTiming(closing, late, catching_up_decisions(closing, late, decisions.closing_bars))


def every_decision_late(strategy: Strategy, versions: IntradayVersions) -> bool:
    """Whether no decision that any of some versions belongs to could have been sent in time."""
    return bool(_late(strategy, versions, pd.DatetimeIndex(versions["session"].unique()).sort_values()).all())


def _late(strategy: Strategy, versions: IntradayVersions, sessions: pd.DatetimeIndex) -> BoolArray:
    assert strategy.decisions is not None, "asked of a strategy that decides within the session only"
    return late_decisions(
        strategy.market.calendar,
        sessions,
        _known_at(versions, sessions),
        budget_seconds=strategy.decisions.latency_budget_seconds,
        computing_seconds=strategy.decisions.computing_seconds,
    )


def _known_at(every_version: IntradayVersions, sessions: pd.DatetimeIndex) -> IntArray:
    """When the last bar of each decision was first known, UTC nanoseconds, (bars,)."""
    versions = first_known(every_version)
    row = sessions.get_indexer(pd.DatetimeIndex(versions["session"]))
    known_at = np.full(len(sessions), _NEVER, dtype=np.int64)
    np.maximum.at(known_at, row[row >= 0], pd.DatetimeIndex(versions["known_at"]).as_unit("ns").asi8[row >= 0])
    return known_at


def refuse_live(strategy: Strategy) -> None:
    """Refuse to decide live what is studied and replayed alone.

    Raises
    ------
    DecisionError
        The strategy decides within the session, or its label is a volatility.
    """
    if strategy.of_no_direction:
        raise DecisionError(
            expected="a strategy whose label says what a position earns",
            found=f"label.kind {strategy.label.kind}: it does not trade, since {NO_DIRECTION}",
            remedy=f"nn-assets study --strategy {strategy.name}; for live rounds state a label with a direction",
            strategy=strategy.name,
        )
    if strategy.decisions is not None:
        raise DecisionError(
            expected="a strategy that decides once a session",
            found="intraday.decisions: rounds within the session are studied and replayed, and never sent",
            remedy=f"nn-assets study --strategy {strategy.name}; for live rounds leave intraday.decisions out",
            strategy=strategy.name,
        )
