"""What ``nn-assets check`` found, as text: a line for each fact, its details below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nn_assets.cli.intake import rows_told
from nn_assets.errors import first_of
from nn_assets.market.quality.notices import told_by_rule

__all__ = ["check_lines", "gaps_told"]

_MOST_NAMED, _MOST_VIOLATIONS = 12, 5
_TOTALS = (("series", "series_rows"), ("universe", "universe"), ("intraday", "intraday"))


def check_lines(told: dict[str, Any]) -> list[str]:
    """The lines of the text, from what ``check_data`` answers without it."""
    rows, quarantine, notices, gate = told["rows"], told["quarantine"], told["notices"], told["gate"]
    absent, late, files = told["never_delivered"], told["late_starts"], told["files"]
    empty = files["without_bars"]
    shorter = [f"{symbol} {day or 'never'}" for symbol, day in late.items()]
    found: list[tuple[str, str]] = [
        ("rows", rows_told(rows)),
        *([("outside", _rows_outside_told(rows["outside"], told["first_outside"]))] if rows["outside"] else []),
        *((key.replace("_", " "), told[key]) for key in ("left_out", "prices", "calendar", "label") if told[key]),
        *([("compared", _compared_told(told["compared"]))] if told["compared"] else []),
        ("symbols", _counted_names(told["symbols"])),
        ("sessions", f"{told['first_session']} to {told['last_session']}"),
        (
            "missing",
            f"{sum(absent.values()):,} bars never delivered" + _named(gaps_told(absent, told["first_missing"])),
        ),
        *([("late starts", _counted_names(shorter))] if shorter else []),
        *(
            [("files", f"{files['read']:,} read, {len(empty):,} without bars" + _named(empty))]
            if files["read"] or empty
            else []
        ),
        ("actions", _actions_told(told["actions"])),
        ("quarantine", _by_rule(quarantine["rows"], quarantine["by_rule"])),
        *(("", "{symbol} {session} {rule}, {field} {value} ({source})".format(**row)) for row in quarantine["first"]),
        *_more(quarantine["rows"] - len(quarantine["first"]), quarantine["all"]),
        *(("series", _one_series(each)) for each in told["series"][:_MOST_NAMED]),
        *_more(len(told["series"]) - _MOST_NAMED, "nn-assets export series"),
        *((name, _counted(told[key])) for name, key in _TOTALS if told[key] is not None),
        *(
            ("", "{year}: {without_bars} of {members} members without bars".format(**each))
            for each in told["members_without_bars"] or ()
        ),
        ("notices", _by_rule(notices["count"], notices["by_rule"])),
        *(("", notice) for notice in notices["first"]),
        *_more(notices["count"] - len(notices["first"]), "nn-assets export notices"),
        *_gate_lines(gate),
        *(("breakers", each) for each in told["breakers"]),
        ("financing", told["financing"]),
        *([("data docs", told["data_docs"])] if told["data_docs"] else []),
        *([("first model", told["first_model"]["told"])] if "first_model" in told else []),
        *([("history", told["history_too_short"])] if "history_too_short" in told else []),
        *([("clock", told["clock"])] if "clock" in told else []),
        ("next", told["next"]),
    ]
    head = "nothing is new since the last run" if told["nothing_new"] else "data taken in"
    refused = "" if gate["passed"] else f" and refused: {_what_stays(told['published_to'])}"
    doubtful = _possible_copies_told(told["possible_copies"])
    return [f"{told['strategy']}: {head}{refused}{doubtful}", *(f"  {name:<12}{text}" for name, text in found)]


def _possible_copies_told(by_session: Mapping[str, int]) -> str:
    """What the first line says of bars kept that equal a later session's, by session, most first; nothing of none."""
    if not by_session:
        return ""
    ordered = sorted(by_session.items(), key=lambda each: (-each[1], each[0]))
    count, days = sum(by_session.values()), [f"{day} ({bars:,})" for day, bars in ordered]
    bars = "1 bar kept equals" if count == 1 else f"{count:,} bars kept equal"
    return f"; {bars} a later session's and may hold prices of the future: {', '.join(first_of(days, _MOST_NAMED))}"


def _outside_told(rows: int, first: Sequence[str]) -> str:
    """What was left out of so many rows, and the first of them, where they are known."""
    more = [f"and {rows - len(first):,} more"] if rows > len(first) else []
    named = f": {', '.join([*first, *more])}" if first else ""
    return f"of other symbols or sessions left out{named}"


def _what_stays(published_to: str | None) -> str:
    """What there is where the gate refused a delivery: the last publication, or none yet."""
    if published_to is None:
        return "nothing was published before, so that nothing can be studied or decided"
    return f"the last publication, to {published_to}, stays in force"


def _gate_lines(gate: dict[str, Any]) -> list[tuple[str, str]]:
    """Whether the gate let pass; each check that failed, with what it names and what to do; then its warnings."""
    failed, warnings = gate.get("failed", ()), gate["warnings"]
    verdict = "passed" if gate["passed"] else f"HALTED by {', '.join(each['name'] for each in failed) or 'its review'}"
    lines = [("gate", verdict + (f", {len(warnings)} to look at" if warnings else ""))]
    for each in failed:
        lines += [("", f"{each['name']}: {each['found']}. Remedy: {each['remedy']}")]
        lines += [("", f"  - {line}") for line in first_of(each["violations"], _MOST_VIOLATIONS)]
    return [*lines, *(("", warning) for warning in warnings)]


def _compared_told(compared: dict[str, Any]) -> str:
    failed = f"; it delivered nothing: {compared['failed']}" if compared["failed"] else ""
    return (
        f"{compared['rows']:,} bars with those of {compared['with']}, {compared['not_judged']:,} without one that was "
        f"known in time are not judged{failed}"
    )


def _rows_outside_told(rows: int, first: Sequence[str]) -> str:
    return f"{rows:,} row{'s' * (rows != 1)} {_outside_told(rows, first)}"


def _actions_told(counts: dict[str, Any]) -> str:
    left = counts["outside"]
    outside = f", {left:,} {_outside_told(left, counts['first_outside'])}" if left else ""
    return "{stored:,} splits and dividends, {added:,} added, {revised:,} revised".format(**counts) + outside


def _counted(counts: dict[str, Any]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())


def _by_rule(rows: int, by_rule: dict[str, int]) -> str:
    return f"{rows:,}" + (f": {told_by_rule(by_rule)}" if by_rule else "")


def _named(names: Sequence[str]) -> str:
    return f": {', '.join(first_of(names, _MOST_NAMED))}" if names else ""


def _counted_names(names: Sequence[str]) -> str:
    return f"{len(names)}{_named(names)}"


def _more(count: int, command: str) -> list[tuple[str, str]]:
    return [("", f"and {count:,} more: {command}")] if count > 0 else []


def _one_series(each: dict[str, Any]) -> str:
    return f"{each['name']} {each['symbol']}".strip() + f": {each['observations']:,}, {each['first']} to {each['last']}"


def gaps_told(absent: Mapping[str, int], first: Mapping[str, str]) -> list[str]:
    """Of each symbol with missing bars, how many there are, and the session of the first."""
    return [
        f"{symbol} {days:,} " + (f"on {first[symbol]}" if days == 1 else f"from {first[symbol]} on")
        for symbol, days in absent.items()
    ]
