"""Corporate actions as bitemporal facts: splits, dividends, delistings, their versions, what was known when.

An action is named by symbol, ex-session and kind. Its *value* is the new shares for one old (split),
or the cash per share as counted on the ex-session, unadjusted: of a dividend, or of a delisting, where it
may be 0, and the symbol no longer exists from that session on. A settlement is the delisting of a binary contract,
which pays 1 or 0; nobody knows of it before its own session. A later delivery that says otherwise is a new
version; a value of NaN withdraws the action.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, Symbol, named_rows, number_bytes
from nn_assets.contracts import ACTION_VERSIONS, DELIVERED_ACTIONS, conform, validate
from nn_assets.contracts.frames import ActionVersions, DeliveredActions
from nn_assets.errors import SourceError, first_of
from nn_assets.market.calendar.sessions import assumed_known_at, is_session, next_session, previous_session
from nn_assets.market.facts.bitemporal import ACTION_FACTS, RevisionCount, known_from

SETTLEMENT = "settlement"

_KEY = list(ACTION_FACTS.key)
_CONTENT = [*_KEY, "value"]
_NAMED = 5
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"


def with_action_moments(
    delivered: DeliveredActions,
    calendar: str,
    lag_minutes: int,
    arrived_at: pd.Timestamp,
    *,
    decided_to: pd.Timestamp | None = None,
) -> ActionVersions:
    """Give each delivered action its moments.

    Parameters
    ----------
    delivered : DataFrame
        Columns of ``DELIVERED_ACTIONS``. A ``known_at`` of the source's own is kept.
    calendar : str
        Name of the calendar whose closes count.
    lag_minutes : int
        Minutes from the close of the session before the ex-session (of a settlement, from that of its own) until an
        action delivered in bulk is taken to be known.
    arrived_at : Timestamp
        UTC moment of arrival; becomes ``ingested_at``.
    decided_to : Timestamp, optional
        Last session that was decided. An action of it, or of one before, comes too late for those
        decisions: nothing is assumed, and it counts as known when it arrived.

    Returns
    -------
    DataFrame
        Columns of ``ACTION_VERSIONS``. The ex-session of an action may be a day that is no session.

    Raises
    ------
    SchemaError
        The delivery breaks its contract: an action twice, an unknown kind, a value not above zero.
    """
    actions = validate(conform(delivered, DELIVERED_ACTIONS), DELIVERED_ACTIONS)
    before = [
        _session_from(calendar, day) if kind == SETTLEMENT else previous_session(calendar, day)
        for day, kind in zip(actions["ex_session"], actions["kind"], strict=True)
    ]
    assumed = pd.Series(assumed_known_at(calendar, before, lag_minutes), index=actions.index)
    if decided_to is not None:
        assumed = assumed.mask(actions["ex_session"] <= decided_to, arrived_at)
    known_at = known_from(delivered.reset_index(drop=True), assumed)
    return conform(actions.assign(known_at=known_at, ingested_at=arrived_at), ACTION_VERSIONS)


def _session_from(calendar: str, day: pd.Timestamp) -> pd.Timestamp:
    """The session of a day, or the next one where it is none."""
    return day if is_session(calendar, day) else next_session(calendar, day)


def new_action_versions(
    stored: ActionVersions, delivered: ActionVersions, *, explicit: BoolArray | None = None
) -> tuple[ActionVersions, RevisionCount]:
    """Find what a delivery adds to the versions stored.

    Parameters
    ----------
    stored, delivered : DataFrame
        Columns of ``ACTION_VERSIONS``. The delivery has one row an action.
    explicit : array of bool, shape (rows delivered,), optional
        Rows whose ``known_at`` is the source's own; none when left out.

    Returns
    -------
    DataFrame
        The rows to append. The first version of an action keeps its known_at, and so does a restatement whose own
        known_at is later than all on record, or one that says the same with an earlier known_at of its own, where
        no other value of the action was ever delivered; any other is known when it arrived, after the version before
        whatever the clock says, and not before the first could be. Withdrawing what is not there says nothing.
    RevisionCount
        Counts of actions.

    Raises
    ------
    SourceError
        An action of which nothing else was ever said is stated as known later than it is on record: what was known
        cannot be taken back.
    """
    in_force = _without_replaced(stored)
    last = ACTION_FACTS.newest(in_force).set_index(_KEY)[["value", "known_at"]].add_prefix("old_")
    both = delivered.join(last, on=_KEY).join(_known_since(stored), on=_KEY)
    own = np.zeros(len(both), dtype=np.bool_) if explicit is None else explicit
    moved = (both["value"] == both["old_value"]) & both["since"].notna() & own
    _refuse_later(both[moved & (both["known_at"] > both["since"])])
    earlier = (moved & (both["known_at"] < both["since"])).to_numpy()
    nonempty = (both["old_known_at"].notna() | both["value"].notna()).to_numpy()
    new = own & ~((both["value"] == both["old_value"]) | both[["value", "old_value"]].isna().all(axis=1)).to_numpy()
    placed = ACTION_FACTS.finds_place(in_force, delivered[nonempty], (earlier | new)[nonempty])
    fresh, counted = ACTION_FACTS.added(in_force, delivered[nonempty], placed)
    earlier_count = int(earlier.sum())
    counted = replace(counted, revised=counted.revised + earlier_count, unchanged=counted.unchanged - earlier_count)
    return conform(fresh, ACTION_VERSIONS).sort_values(_KEY, ignore_index=True), counted


def _known_since(versions: pd.DataFrame) -> pd.Series:
    """By its key, since when each action is known; only those of which a single value was ever delivered."""
    values = versions[_CONTENT].drop_duplicates().groupby(_KEY).size()
    return versions.groupby(_KEY)["known_at"].min()[values == 1].rename("since")


def _refuse_later(rows: pd.DataFrame) -> None:
    """Refuse moments that lie after those since which the same is on record."""
    if rows.empty:
        return
    conflicts = [
        f"{row.symbol} {row.ex_session.date()} {row.kind} known at {row.known_at:{_MOMENT}}, "
        f"on record since {row.since:{_MOMENT}}"
        for row in named_rows(rows)
    ]
    raise SourceError(
        expected="no action known later than it is on record: what was known once stays known",
        found="; ".join(first_of(conflicts, _NAMED)),
        remedy="write the moment on record, or an earlier one, or leave its known_at empty",
        source=rows["source"].iloc[0],
        symbol=rows["symbol"].iloc[0],
        rule="known_no_later",
    )


def withdrawals(
    stored: ActionVersions,
    delivered: ActionVersions,
    source: str,
    symbols: tuple[Symbol, ...],
    first: pd.Timestamp,
    last: pd.Timestamp,
    arrived_at: pd.Timestamp,
) -> ActionVersions:
    """Withdraw the actions of a source that its whole answer no longer lists.

    Parameters
    ----------
    stored, delivered : DataFrame
        Columns of ``ACTION_VERSIONS``.
    source : str
        Only actions whose version in force names it as its ``source`` are withdrawn.
    symbols : tuple of str
        Those asked for; all when empty.
    first, last : Timestamp
        Ex-sessions asked for, both included.
    arrived_at : Timestamp
        UTC moment of arrival; a withdrawal is known from then on.

    Returns
    -------
    DataFrame
        Columns of ``ACTION_VERSIONS``, one row an action withdrawn, its value NaN.
    """
    in_force = _in_force(stored, source, symbols, first, last)
    listed = pd.MultiIndex.from_frame(delivered[_KEY])
    gone = in_force[~pd.MultiIndex.from_frame(in_force[_KEY]).isin(listed)]
    return conform(gone.assign(value=np.nan, known_at=arrived_at, ingested_at=arrived_at), ACTION_VERSIONS)


def refuse_mass_withdrawal(
    stored: ActionVersions,
    delivered: ActionVersions,
    gone: ActionVersions,
    source: str,
    symbols: tuple[Symbol, ...],
    first: pd.Timestamp,
    last: pd.Timestamp,
    max_withdrawn_fraction: float,
) -> None:
    """Refuse an answer that withdraws too many actions at once: a faulty answer, rather than actions undone.

    Parameters
    ----------
    stored, delivered, source, symbols, first, last
        As for :func:`withdrawals`.
    gone : DataFrame
        What that gave of them.
    max_withdrawn_fraction : float
        Largest share of the source's actions in force that may go. A single one always may, where
        the answer still counts for any symbol among them.

    Raises
    ------
    SourceError
        More than that goes.
    """
    in_force = _in_force(stored, source, symbols, first, last)
    if len(gone) <= max_withdrawn_fraction * len(in_force):
        return
    if len(gone) == 1 and delivered["symbol"].isin(in_force["symbol"]).any():
        return
    named = [f"{row.symbol} {row.ex_session.date()} {row.kind}" for row in named_rows(gone.head(_NAMED))]
    more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
    raise SourceError(
        expected=f"at least {1.0 - max_withdrawn_fraction:.4g} of the splits and dividends in force",
        found=f"an answer of {len(delivered)} that lacks {len(gone)} of {len(in_force)} in force: "
        f"{', '.join(named)}{more}",
        remedy="run again; if it stays and they are really to be withdrawn, raise source.max_withdrawn_fraction for "
        "one run",
        source=source,
        rule="no_action_lost",
        value=len(gone),
        key="source.max_withdrawn_fraction",
    )


def actions_as_of(
    versions: ActionVersions, moment: pd.Timestamp, *, ingested_by: pd.Timestamp | None = None
) -> ActionVersions:
    """Give the actions as they were known at a moment, withdrawn ones left out.

    Parameters
    ----------
    versions : DataFrame
        Columns of ``ACTION_VERSIONS``, in any order.
    moment : Timestamp
        UTC. Only versions with known_at <= moment count.
    ingested_by : Timestamp, optional
        UTC. Only versions stored by then count: for replaying a decision on record.

    Returns
    -------
    DataFrame
        One row an action, ordered by symbol, ex-session and kind.
    """
    visible = versions["known_at"] <= moment
    if ingested_by is not None:
        visible &= versions["ingested_at"] <= ingested_by
    latest = _latest(versions[visible])
    return latest[latest["value"].notna()].reset_index(drop=True)


def action_hash(actions: ActionVersions) -> str:
    """SHA-256 of what actions say (symbol, ex-session, kind, value), whatever the rows' order."""
    ordered = actions.sort_values(_CONTENT)
    numbers = number_bytes(ordered["value"])
    days = np.datetime_as_string(ordered["ex_session"], unit="D").tolist()
    named = zip(ordered["symbol"].tolist(), days, ordered["kind"].tolist(), strict=True)
    texts = "\0".join([f"{symbol}\t{day}\t{kind}\t" for symbol, day, kind in named]).encode().split(b"\0")
    rows = [text + numbers[8 * at : 8 * at + 8] for at, text in enumerate(texts)]
    digest = hashlib.sha256(f"actions/1/{len(ordered)}".encode() + b"".join(rows))
    return digest.hexdigest()


def _in_force(
    stored: pd.DataFrame, source: str, symbols: tuple[Symbol, ...], first: pd.Timestamp, last: pd.Timestamp
) -> pd.DataFrame:
    """The newest versions of a source's own actions, of those asked for, that are not withdrawn."""
    latest = _latest(stored)
    own = latest["value"].notna() & (latest["source"] == source) & latest["ex_session"].between(first, last)
    return latest[own & latest["symbol"].isin(symbols) if symbols else own]


def _latest(versions: pd.DataFrame) -> pd.DataFrame:
    """The version in force of each action, in the order of the key."""
    return ACTION_FACTS.newest(_without_replaced(versions)).sort_values(_KEY, ignore_index=True)


def _without_replaced(versions: pd.DataFrame) -> pd.DataFrame:
    """Versions without those that were replaced before they could be known: announced, and called off since, say."""
    ordered = versions.sort_values("ingested_at", ascending=False)
    later = ordered.groupby(_KEY)["known_at"].cummin().groupby([ordered[name] for name in _KEY]).shift()
    replaced = (ordered["ingested_at"] < ordered["known_at"]) & (later < ordered["known_at"])
    return ordered[~replaced]
