"""Leak alarms that stand for a strategy and its data, whatever its settings, and who released which.

A look's row says which alarms it left (``standing_alarms``) and whose figure each is (``rung``: configuration, month,
figure); a release names the same. Rows of before that say neither: an alarm is that of its row's configuration, and a
release covers its name, whatever the figure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nn_assets.arrays import named_rows
from nn_assets.contracts.frames import DailyBars
from nn_assets.evaluation.leak_alarms import StandingAlarm
from nn_assets.evaluation.shared_data import Fingerprint
from nn_assets.operations.asof.trials import Ground, fingerprints_on_record, ground_of, same_data, stands_on
from nn_assets.operations.clock import counts_until
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

LEAK_RELEASE = "leak_alarm_release"

_Related = Callable[[Fingerprint, Fingerprint], bool]


@dataclass(frozen=True)
class OpenAlarm:
    """A standing alarm, and the row of ``looks`` that says so."""

    alarm: StandingAlarm
    data_hash: str
    sequence: int


@dataclass(frozen=True)
class _Release:
    """A person's release: the alarms' names, and of which configurations; None of a release of before."""

    names: frozenset[str]
    figures: Mapping[tuple[str, str], float | None] | None  # by name and trial
    data_hash: str
    sequence: int
    said: str
    why: str


class _Data:
    """What data of a hash are, read once."""

    def __init__(self, ledger: Ledger, hashes: set[str], ground: Ground | None = None) -> None:
        self._known = fingerprints_on_record(ledger, hashes)
        if ground is not None:
            self._known[ground.data_hash] = ground.fingerprint

    def are(self, related: _Related, then: str, now: str) -> bool:
        """Whether data of one hash are related to those of another; of unknown ones only where both are one."""
        if then == now:
            return True
        return then in self._known and now in self._known and related(self._known[then], self._known[now])


def _rung(rows: pd.DataFrame, *, of_before: bool) -> list[OpenAlarm]:
    """What rows of ``looks`` say to stand, each with its origin, ascending."""
    rung = []
    for row in named_rows(rows.sort_values("sequence")):
        left = row.details.get("standing_alarms") or {}
        for name, finding in left.items():
            origin = row.details.get("rung", {}).get(name)
            if origin is None and not of_before:
                continue
            origin = origin or {"trial_id": str(row.trial_id), "month": str(row.month), "figure": None}
            rung.append(OpenAlarm(StandingAlarm(name, finding, **origin), str(row.data_hash), int(row.sequence)))
    return rung


def _releases(ledger: Ledger, strategy: str, recorded_by: pd.Timestamp | None = None) -> list[_Release]:
    rows = ledger.read(
        "controls", strategy, where={"kind": LEAK_RELEASE}, recorded_by=recorded_by, bookkeeping=True
    ).sort_values("sequence")
    return [
        _Release(
            frozenset(row.details["alarms"]),
            _released_figures(row.details),
            str(row.details["data_hash"]),
            int(row.sequence),
            f"released {row.recorded_at:%Y-%m-%d}",
            f"by {row.who}: {row.reason}",
        )
        for row in named_rows(rows)
    ]


def _released_figures(details: Mapping[str, Any]) -> dict[tuple[str, str], float | None] | None:
    """By name and configuration the figures that a release names; the largest where it names several."""
    if "figures" not in details:
        return None
    figures: dict[tuple[str, str], float | None] = {}
    for said in details["figures"]:
        key, figure = (said["alarm"], said["trial_id"]), said["figure"]
        known = figures.get(key, figure)
        figures[key] = None if known is None or figure is None else max(known, figure)
    return figures


def _covers(release: _Release, rung: OpenAlarm, data: _Data) -> bool:
    """Whether a person released an alarm: after it rang, by its name and configuration, on what are its data."""
    if rung.alarm.name not in release.names:
        return False
    of_before = release.figures is None
    if of_before and data.are(same_data, release.data_hash, rung.data_hash):
        return True
    named = release.figures is None or (rung.alarm.name, rung.alarm.trial_id) in release.figures
    later = release.sequence > rung.sequence
    return named and later and data.are(stands_on, rung.data_hash, release.data_hash)


def _unreleased(
    rung: Sequence[OpenAlarm], releases: Sequence[_Release], ledger: Ledger, ground: Ground | None = None
) -> tuple[list[OpenAlarm], _Data]:
    hashes = {one.data_hash for one in rung} | {release.data_hash for release in releases}
    data = _Data(ledger, hashes if rung else set(), ground)
    return [one for one in rung if not any(_covers(release, one, data) for release in releases)], data


def open_alarms(ledger: Ledger, strategy: str) -> list[OpenAlarm]:
    """The alarms of a strategy that nobody released and that stand on the data of the newest look that has any."""
    rows = ledger.read("looks", strategy, every_version=True, bookkeeping=True)
    unreleased, data = _unreleased(_rung(rows, of_before=True), _releases(ledger, strategy), ledger)
    if not unreleased:
        return []
    newest = unreleased[-1].data_hash
    return [one for one in unreleased if data.are(stands_on, one.data_hash, newest)]


def standing_alarms(ledger: Ledger, ground: Ground, trial_id: str) -> list[StandingAlarm]:
    """The alarms that stand for a strategy and its data, by month: of all its looks, whatever the settings.

    Looks of the configuration itself count under whatever strategy's name they were taken.
    """
    asked: list[dict[str, Any]] = [{"strategy": ground.strategy}, {"where": {"trial_id": trial_id}}]
    parts = [ledger.read("looks", every_version=True, bookkeeping=True, **of) for of in asked]
    rows = pd.concat(parts, ignore_index=True).drop_duplicates("sequence")
    unreleased, data = _unreleased(_rung(rows, of_before=True), _releases(ledger, ground.strategy), ledger, ground)
    kept = [
        StandingAlarm(**vars(one.alarm) | {"of_other_settings": one.alarm.trial_id != trial_id})
        for one in unreleased
        if data.are(stands_on, one.data_hash, ground.data_hash)
    ]
    return sorted(dict.fromkeys(kept), key=lambda alarm: alarm.month)


def alarm_in_force(
    ledger: Ledger,
    strategy: Strategy,
    bars: Callable[[], DailyBars],
    session: pd.Timestamp | None = None,
    decided_at: pd.Timestamp | None = None,
) -> StandingAlarm | None:
    """The first alarm that stops a session, whatever the settings in force; None where none does.

    It rang at a look that was on record by the session's moment, at the end of a month before the session's, on data
    that the session's own are a part of, or are the same as; nobody had released it by then. A look of before, whose
    row does not say whose figures rang, stops the sessions of its own settings alone, by its verdict.

    Parameters
    ----------
    bars : callable
        Gives the bars that are known; asked only where an alarm is unreleased.
    session : Timestamp, optional
        The session; left out: whatever stands now.
    decided_at : UTC moment, optional
        When the session was put on record; None while it is undecided.
    """
    until = None if session is None else counts_until(strategy.market, session, decided_at)
    rows = ledger.read("looks", strategy.name, recorded_by=until, every_version=True, bookkeeping=True)
    if session is not None:
        rows = rows[rows["month"] < session.strftime("%Y-%m")]
    rung = _rung(rows, of_before=False)
    if not rung:
        return None
    unreleased, _ = _unreleased(rung, _releases(ledger, strategy.name, until), ledger)
    if not unreleased or (known := bars()).empty:
        return None
    ground = ground_of(strategy.name, "", known)
    data = _Data(ledger, {one.data_hash for one in unreleased}, ground)
    return next((one.alarm for one in unreleased if data.are(stands_on, one.data_hash, ground.data_hash)), None)


def alarms_just_released(ledger: Ledger, strategy: str) -> bool:
    """Whether the leak alarms of the strategy's newest look were released since, on its data."""
    newest = ledger.last_appended("looks", strategy=strategy)
    if newest is None or not newest["details"]["standing_alarms"]:
        return False
    rows = ledger.read("looks", strategy, every_version=True, bookkeeping=True)
    unreleased, data = _unreleased(_rung(rows, of_before=True), _releases(ledger, strategy), ledger)
    return not any(data.are(stands_on, one.data_hash, str(newest["data_hash"])) for one in unreleased)


def released_alarms(ledger: Ledger, ground: Ground, trial_id: str = "") -> dict[str, str]:
    """By the name of a leak alarm, who released it, at which figure, when and why; void where the data are other ones.

    A release of another configuration's figure covers none of this one, and stands there as one of other settings.
    """
    released: dict[str, str] = {}
    for release in _of_the_data(ledger, ground):
        for name in sorted(release.names):
            key, figure = name, None
            if release.figures is not None:
                if (name, trial_id) not in release.figures:
                    key = f"{name} of other settings"
                figures = [value for (said, trial), value in release.figures.items() if said == name]
                own = release.figures.get((name, trial_id))
                figure = own if key == name else max((value for value in figures if value is not None), default=None)
            at = "" if figure is None else f" at {figure:.3f}"
            released[key] = f"{release.said}{at} {release.why}"
    return released


def released_figures(ledger: Ledger, ground: Ground, trial_id: str) -> dict[str, float]:
    """By name the largest figure of a configuration that was released; none where a release covers any figure."""
    figures: dict[str, float | None] = {}
    for release in _of_the_data(ledger, ground):
        for name in release.names:
            if release.figures is None:
                figures[name] = None
            elif (name, trial_id) in release.figures:
                figure = release.figures[name, trial_id]
                known = figures.get(name, figure)
                figures[name] = None if known is None or figure is None else max(known, figure)
    return {name: figure for name, figure in figures.items() if figure is not None}


def _of_the_data(ledger: Ledger, ground: Ground) -> list[_Release]:
    releases = _releases(ledger, ground.strategy)
    data = _Data(ledger, {release.data_hash for release in releases}, ground)
    return [release for release in releases if data.are(same_data, release.data_hash, ground.data_hash)]
