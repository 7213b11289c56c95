"""Days that a calendar does not know, read from a file and folded into the calendar's name.

An amended name such as ``XNYS -2018-12-05 +2018-12-08 2018-11-23@12:30`` says everything: the
exchange's calendar, days taken out, days added, and closes at another time of the exchange's
clock. ``XNYS every60min@2018-01-01`` divides each session from then on into bars of an hour, at whose closes a strategy
decides. Every question for a session or a close carries the name, so that no amendment can be missed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any, NoReturn

import yaml

from nn_assets.errors import SettingsError
from nn_assets.settings.plain_text import plain_text
from nn_assets.settings.sections import EARLIEST, LATEST, MarketSettings

_KEYS = ("extra_holidays", "extra_sessions", "early_closes")
_BEFORE_HISTORY = timedelta(days=40)  # so that a session has one before it
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_AMENDMENT = re.compile(
    r"every(?P<minutes>[1-9][0-9]*)min@(?P<since>\S+)|-(?P<holiday>\S+)|\+(?P<session>\S+)|(?P<day>[^@\s]+)@(?P<close>\S+)"
)


@dataclass(frozen=True)
class Amendments:
    """What differs from the exchange's calendar; times are the exchange's local ones."""

    extra_holidays: frozenset[date] = frozenset()
    extra_sessions: frozenset[date] = frozenset()
    early_closes: dict[date, time] = field(default_factory=dict)
    decision_minutes: int = 0  # that a session is divided into; 0 where it is not
    decided_from: date | None = None  # the first day that is divided, and that there is


def with_overrides(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A strategy's raw settings with the days of ``market.calendar_overrides`` folded into ``market.calendar``.

    Parameters
    ----------
    raw : dict
        As the YAML file says; returned as it is where it names no file.
    folder : Path
        The folder that a relative name starts from: the strategy file's own.

    Raises
    ------
    SettingsError
        The file cannot be read, or a line of it says nothing that a calendar could follow.
    """
    market = raw.get("market")
    if not isinstance(market, dict) or not isinstance(market.get("calendar_overrides"), str):
        return raw
    name = str(market.get("calendar", MarketSettings.model_fields["calendar"].default))
    overrides = read_overrides(folder / market["calendar_overrides"])
    return {**raw, "market": {**market, "calendar": amended(name, overrides)}}


def with_decision_bars(raw: dict[str, Any]) -> dict[str, Any]:
    """A strategy's raw settings with the decision bars of ``intraday.decisions`` folded into ``market.calendar``.

    As they are where there are none, where they are folded in already, and where a key that is needed is no such
    thing, which the sections then say.
    """
    market, intraday = raw.get("market"), raw.get("intraday")
    if not isinstance(market, dict) or not isinstance(intraday, dict):
        return raw
    decisions, starts = intraday.get("decisions") or {}, market.get("history_starts")
    calendar = market.get("calendar", MarketSettings.model_fields["calendar"].default)
    try:
        minutes = int(intraday.get("bar_minutes", 5)) * int(decisions["every_bars"])
        since = date.fromisoformat(str(starts)) - _BEFORE_HISTORY
    except (TypeError, KeyError, ValueError, OverflowError):
        return raw
    if minutes < 1 or not isinstance(calendar, str) or amendments_of(calendar)[1].decision_minutes:
        return raw
    folded = f"{calendar} every{minutes}min@{max(since, EARLIEST)}"
    return {**raw, "market": {**market, "calendar": folded}}


def amended(calendar: str, amendments: Amendments) -> str:
    """The calendar's name followed by its amendments, in the order of their days."""
    parts = [
        *(f"-{day}" for day in sorted(amendments.extra_holidays)),
        *(f"+{day}" for day in sorted(amendments.extra_sessions)),
        *(f"{day}@{close:%H:%M}" for day, close in sorted(amendments.early_closes.items())),
        *([f"every{amendments.decision_minutes}min@{amendments.decided_from}"] if amendments.decision_minutes else []),
    ]
    return " ".join([calendar, *parts])


def amendments_of(calendar: str) -> tuple[str, Amendments]:
    """Split an amended name into the exchange's calendar and its amendments.

    Raises
    ------
    SettingsError
        A word after the name is no amendment.
    """
    name, *parts = calendar.split(" ") if calendar else [""]
    holidays, sessions, closes, minutes, since = set(), set(), {}, 0, None
    for word in parts:
        match = _AMENDMENT.fullmatch(word)
        try:
            if match is None:
                raise ValueError(word)
            if match["minutes"]:
                minutes, since = int(match["minutes"]), date.fromisoformat(match["since"])
            elif match["holiday"]:
                holidays.add(date.fromisoformat(match["holiday"]))
            elif match["session"]:
                sessions.add(date.fromisoformat(match["session"]))
            else:
                closes[date.fromisoformat(match["day"])] = time.fromisoformat(match["close"])
        except ValueError as error:
            raise SettingsError(
                expected="a calendar's name, with amendments such as -2018-12-05, +2018-12-08 or 2018-11-23@12:30",
                found=repr(word),
                remedy="name the calendar alone and list its days in a file, market.calendar_overrides",
                key="market.calendar",
            ) from error
    return name, Amendments(frozenset(holidays), frozenset(sessions), closes, minutes, since)


def read_overrides(file: Path) -> Amendments:
    """Read days off, extra sessions and early closes from a YAML file.

    Parameters
    ----------
    file : Path
        ``extra_holidays`` and ``extra_sessions`` are lists of days, ``early_closes`` maps days to
        times ``"HH:MM"`` of the exchange's clock. Each key may be left out.

    Raises
    ------
    SettingsError
        Not UTF-8, no plain file or above 256 KiB; else it names the line: a key that is unknown or repeated, no such
        day or time, a day said twice, or one that is both a holiday and open.
    """
    try:
        text = plain_text(file, key="market.calendar_overrides")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        raise SettingsError(
            expected="a readable UTF-8 YAML file of calendar overrides",
            found=" ".join(f"{type(error).__name__}: {error}".split()),
            remedy="mend the file, or correct market.calendar_overrides (relative to the strategy file)",
            file=str(file),
            line=None if mark is None else mark.line + 1,
            key="market.calendar_overrides",
        ) from error
    return _Reading(file).amendments(root)


@dataclass(frozen=True)
class _Reading:
    file: Path

    def amendments(self, root: yaml.Node | None) -> Amendments:
        if not isinstance(root, yaml.MappingNode):
            self._refuse(root, f"a mapping of {', '.join(_KEYS)}", "no mapping")
        parts: dict[str, dict[date, yaml.Node]] = {key: {} for key in _KEYS}
        closes: dict[date, time] = {}
        seen = set()
        for key, value in root.value:
            if key.value not in parts or key.value in seen:
                self._refuse(key, f"each of {', '.join(_KEYS)} once", repr(key.value))
            seen.add(key.value)
            if key.value == "early_closes":
                closes = self._closes(value, parts[key.value])
            else:
                self._days(value, parts[key.value])
        for holiday, node in parts["extra_holidays"].items():
            if holiday in parts["extra_sessions"] or holiday in closes:
                self._refuse(node, "a day that is either a holiday or open", f"{holiday}, which is also open below")
        return Amendments(frozenset(parts["extra_holidays"]), frozenset(parts["extra_sessions"]), closes)

    def _days(self, node: yaml.Node, days: dict[date, yaml.Node]) -> None:
        if not isinstance(node, yaml.SequenceNode):
            self._refuse(node, "a list of days", "none")
        for item in node.value:
            self._add(item, days)

    def _closes(self, node: yaml.Node, days: dict[date, yaml.Node]) -> dict[date, time]:
        if not isinstance(node, yaml.MappingNode):
            self._refuse(node, 'a mapping of days to times, as in 2018-11-23: "13:00"', "none")
        closes = {}
        for key, value in node.value:
            day = self._add(key, days)
            if not isinstance(value, yaml.ScalarNode) or not _TIME.fullmatch(value.value):
                self._refuse(value, 'a time of day as "HH:MM"', repr(value.value))
            closes[day] = time.fromisoformat(value.value)
        return closes

    def _add(self, node: yaml.Node, days: dict[date, yaml.Node]) -> date:
        try:
            day = date.fromisoformat(str(node.value))
        except ValueError:
            self._refuse(node, "a day as YYYY-MM-DD", repr(node.value))
        if not EARLIEST <= day <= LATEST:
            self._refuse(node, f"a day from {EARLIEST} to {LATEST}", str(day))
        if day in days:
            self._refuse(node, "each day once", f"{day} again")
        days[day] = node
        return day

    def _refuse(self, node: yaml.Node | None, expected: str, found: str) -> NoReturn:
        raise SettingsError(
            expected=expected,
            found=found,
            remedy="correct or delete the line",
            file=str(self.file),
            line=1 if node is None else node.start_mark.line + 1,
            key="market.calendar_overrides",
        )
