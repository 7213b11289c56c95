"""Splits and dividends taken in beside the bars, and held against them when both are published."""

from __future__ import annotations

import pandas as pd

from nn_assets.frames import ACTION_VERSIONS, empty
from nn_assets.market.actions import actions_as_of, new_action_versions, with_action_moments
from nn_assets.market.bars import RevisionCount
from nn_assets.market.suspicions import suspicions
from nn_assets.orchestration.actions import ACTIONS, read_action_versions
from nn_assets.orchestration.clock import as_of_session, now_utc
from nn_assets.orchestration.workplace import Workplace
from nn_assets.sources.actions_file import ActionsFile
from nn_assets.sources.protocol import ActionSource, Source

__all__ = ["actions_to_publish", "ingest_actions", "suspicion_messages"]


def ingest_actions(workplace: Workplace, source: Source, decided_to: pd.Timestamp | None) -> RevisionCount:
    """Ask for every action up to the last session that may be seen; append what is new or differs.

    The file that ``source.actions_path`` names counts before what the source of the bars offers; a
    strategy with neither has no actions.
    """
    strategy, market = workplace.strategy, workplace.strategy.market
    path = strategy.source.actions_path
    offering = source if path is None else ActionsFile(workplace.folder / path)
    if not isinstance(offering, ActionSource):
        return RevisionCount()
    first, last = pd.Timestamp(market.history_starts), workplace.last_session
    delivered = offering.actions(market.symbols, first, last)
    stamped = with_action_moments(
        delivered, market.calendar, market.known_at_lag_minutes, now_utc(), decided_to=decided_to
    )
    segments = workplace.lake.segments(strategy.name, ACTIONS)
    stored = read_action_versions(workplace.lake, strategy.name, segments)
    fresh, counted = new_action_versions(empty(ACTION_VERSIONS) if stored is None else stored, stamped)
    if len(fresh):
        workplace.lake.append_segment(strategy.name, ACTIONS, fresh)
    return counted


def actions_to_publish(workplace: Workplace, segments: tuple[str, ...]) -> pd.DataFrame | None:
    """Actions in some segments up to the last session, as known now; None without segments."""
    versions = read_action_versions(workplace.lake, workplace.strategy.name, segments)
    if versions is None:
        return None
    last = workplace.last_session
    known = actions_as_of(versions, max(as_of_session(workplace.strategy.market, last), now_utc()))
    return known[known["ex_session"] <= last]


def suspicion_messages(bars: pd.DataFrame, actions: pd.DataFrame | None) -> list[str]:
    """What bars and actions say against each other, one line each, for a person to judge."""
    if actions is None:
        return []
    return [f"{each.symbol} {each.first_session.date()}: {each.message}" for each in suspicions(bars, actions)]
