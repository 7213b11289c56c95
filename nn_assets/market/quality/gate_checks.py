"""The checks of the gate by name: what each demands of the data, and what a person can do where it does not hold."""

from __future__ import annotations

from typing import NamedTuple

BLOCKING_CHECKS = (
    "schema",
    "quarantined_share",
    "missing_symbols",
    "missing_sessions",
    "freshness",
    "stale_feed",
    "copied_session",
)
ADVISORY_CHECKS = ("repeated_open", "unexplained_jump", "possible_split", "unexplained_factor", "displaced_bar")
CHECKS = (*BLOCKING_CHECKS, *ADVISORY_CHECKS)
INTRADAY_CHECKS = ("schema", "quarantined_share", "missing_bars", "missing_symbols")  # all of them halt


class CheckText(NamedTuple):
    """What a check demands, and the remedy where the data do not keep it."""

    demand: str
    remedy: str


CHECK_TEXTS = {
    "schema": CheckText(
        "Every bar keeps the contract: prices positive and bracketed, no row twice.",
        "mend the bars named at the source and run again",
    ),
    "quarantined_share": CheckText(
        "The share of rows in quarantine is within the strategy's limit.",
        "mend the rows named at the source, or raise gate.max_quarantined_fraction",
    ),
    "missing_symbols": CheckText(
        "The share of symbols without the bars expected of them is within the strategy's limit.",
        "ask the source for the symbols named; for one that was delisted write SYMBOL,DAY,delisting,CASH to the file "
        "that source.actions_path names; take one that is flat off market.symbols; or raise "
        "gate.max_missing_symbols_fraction",
    ),
    "missing_sessions": CheckText(
        "The share of bars that are missing, never delivered or not known yet, is within the strategy's limit.",
        "complete the bars named at the source (one whose known_at lies ahead is missing until then), name days off in "
        "market.calendar_overrides, or raise gate.max_missing_sessions_fraction",
    ),
    "missing_bars": CheckText(
        "The share of bars never delivered within a session is within the strategy's limit.",
        "complete the bars named at the source, or raise intraday.max_missing_bars_fraction",
    ),
    "freshness": CheckText(
        "The newest bar is that of the session expected.",
        "wait for the source and run again, or raise gate.max_stale_sessions",
    ),
    "stale_feed": CheckText(
        "The newest bars do not merely repeat those before (yesterday's data under today's date).",
        "ask the source for the session itself, or raise gate.max_repeated_bars_fraction",
    ),
    "copied_session": CheckText(
        "The newest session does not hold another session's bars for many symbols.",
        "ask the source for the session itself and run again",
    ),
    "repeated_open": CheckText(
        "Opens do not repeat the previous close over a long stretch (prices nobody could trade).",
        "fill at the close (label.execution next_close), move market.history_starts past the stretch, or take "
        "the symbol off",
    ),
    "unexplained_jump": CheckText(
        "No move is left that neither the market nor the symbol's past explains.",
        "compare with another source; correct the bar at the source, or leave it if it is real",
    ),
    "possible_split": CheckText(
        "No move stands in a simple ratio, as an unadjusted split would.",
        "look the action up; add the split or correct the bar at the source, or leave it if it is real",
    ),
    "unexplained_factor": CheckText(
        "No close stands fifty times or more from the one before without a stated action.",
        "write the split into the file of source.actions_path, or correct the unit at the source",
    ),
    "displaced_bar": CheckText(
        "No whole bar stands apart from its neighbours further than the market moved.",
        "compare with another source; correct the bar at the source, or leave it if it is real",
    ),
}


def blocking_checks(*, fills_at_open: bool) -> tuple[str, ...]:
    """Name the checks that halt: where orders are filled at the open, opens that nobody could trade halt too."""
    return (*BLOCKING_CHECKS, "repeated_open") if fills_at_open else BLOCKING_CHECKS
