"""What ``nn-assets check`` found, as text: a line for each fact, its details below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nn_assets.cli.intake import row_counts_text
from nn_assets.errors import MOST_NAMED, first_of
from nn_assets.market.quality.notices import rule_counts_text
from nn_assets.reports.expectations import TITLES

_MOST_VIOLATIONS = 5
_TOTALS = (("series", "series_rows"), ("universe", "universe"), ("intraday", "intraday"))


_SAID_WHERE_SO = ("left_out", "prices", "calendar", "label", "baselines")


def check_lines(answer: dict[str, Any]) -> list[str]:
    """The answer of ``check_data`` as lines of text."""
    rows, quarantine, notices, gate = answer["rows"], answer["quarantine"], answer["notices"], answer["gate"]
    absent, ahead, late, files = (answer[key] for key in ("never_delivered", "known_ahead", "late_starts", "files"))
    empty = files["without_bars"]
    shorter = [f"{symbol} {day or 'never'}" for symbol, day in late.items()]
    entries: list[tuple[str, str]] = [
        ("rows", row_counts_text(rows)),
        *(("restated" if number == 0 else "", bar) for number, bar in enumerate(answer["restated"])),
        *_more(rows["revised"] - len(answer["restated"]), "all are stored, each with its moment"),
        *_outside_lines(rows["outside"], answer["vault"], answer["first_outside"]),
        *((key.replace("_", " "), answer[key]) for key in _SAID_WHERE_SO if answer[key]),
        *([("details", _details_text(answer["details"]))] if answer["details"] else []),
        *([("compared", _compared_text(answer["compared"]))] if answer["compared"] else []),
        ("symbols", _counted_names(answer["symbols"])),
        (
            "decisions" if "T" in answer["first_session"] else "sessions",
            f"{answer['first_session']} to {answer['last_session']}",
        ),
        (
            "missing",
            f"{_bars(sum(absent.values()))} never delivered" + _named(gap_lines(absent, answer["first_missing"])),
        ),
        *([("known ahead", _known_ahead_text(ahead, answer["first_known_ahead"]))] if ahead else []),
        *([("known late", _known_late_text(answer["first_model"]))] if answer["first_model"]["late_by_symbol"] else []),
        *([("late starts", _counted_names(shorter))] if shorter else []),
        *(
            [("files", f"{files['read']:,} read, {len(empty):,} without bars" + _named(empty))]
            if files["read"] or empty
            else []
        ),
        ("actions", _actions_text(answer["actions"])),
        ("quarantine", _by_rule(quarantine["rows"], quarantine["by_rule"])),
        *(("", _quarantined_text(row)) for row in quarantine["first"]),
        *_more(quarantine["rows"] - quarantine["rows_shown"], quarantine["all"]),
        *(("series", _one_series(series)) for series in answer["series"][:MOST_NAMED]),
        *_more(len(answer["series"]) - MOST_NAMED, "nn-assets export series"),
        *((name, _counted(answer[key])) for name, key in _TOTALS if answer[key] is not None),
        *(
            ("", "{year}: {without_bars} of {members} members without bars".format(**row))
            for row in answer["members_without_bars"] or ()
        ),
        ("notices", _by_rule(notices["count"], notices["by_rule"])),
        *(("", notice) for notice in notices["first"]),
        *_more(notices["count"] - len(notices["first"]), "nn-assets export notices"),
        *_gate_lines(gate),
        *(("unknown" if number == 0 else "", line) for number, line in enumerate(answer["unknown_symbols"])),
        *(("breakers", breaker) for breaker in answer["breakers"]),
        ("financing", answer["financing"]),
        *([("data docs", answer["data_docs"])] if answer["data_docs"] else []),
        ("first model", answer["first_model"]["told"]),
        *([("history", answer["history_too_short"])] if "history_too_short" in answer else []),
        *([("clock", answer["clock"])] if "clock" in answer else []),
        ("next", answer["next"]),
    ]
    head = "nothing is new since the last run" if answer["nothing_new"] else "data taken in"
    refused = "" if gate["passed"] else f" and refused: {_what_stays(answer['published_to'])}"
    doubtful = _possible_copies_text(answer["possible_copies"])
    return [f"{answer['strategy']}: {head}{refused}{doubtful}", *(f"  {name:<12}{text}" for name, text in entries)]


def _possible_copies_text(by_session: Mapping[str, int]) -> str:
    """What the first line says about kept bars that equal a later session's, by session, most first; empty if none."""
    if not by_session:
        return ""
    ordered = sorted(by_session.items(), key=lambda item: (-item[1], item[0]))
    count, days = sum(by_session.values()), [f"{day} ({bars:,})" for day, bars in ordered]
    bars = "1 bar kept equals" if count == 1 else f"{count:,} bars kept equal"
    return f"; {bars} a later session's and may hold prices of the future: {', '.join(first_of(days))}"


def _outside_text(rows: int, first: Sequence[str]) -> str:
    """Text that follows a count of rows left out: that they were, and the first of them where known."""
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
    verdict = (
        "passed" if gate["passed"] else f"HALTED by {', '.join(check['name'] for check in failed) or 'its review'}"
    )
    lines = [("gate", verdict + (f", {len(warnings)} to look at" if warnings else ""))]
    for check in failed:
        lines += [("", f"{check['name']}: {check['found']}. Remedy: {check['remedy']}")]
        lines += [("", f"  - {line}") for line in first_of(check["violations"], _MOST_VIOLATIONS)]
    return [*lines, *(("", _with_title(warning)) for warning in warnings)]


def _with_title(warning: str) -> str:
    name, colon, text = warning.partition(":")
    return f"{TITLES.get(name, name)}{colon}{text}"


def _details_text(details: dict[str, Any]) -> str:
    left_out = _by_rule(sum(details["left_out"].values()), details["left_out"])
    return f"of {details['added']:,} bars added, of {details['revised']:,} revised; in quarantine {left_out}"


def _compared_text(compared: dict[str, Any]) -> str:
    failed = f"; it delivered nothing: {compared['failed']}" if compared["failed"] else ""
    return (
        f"{compared['rows']:,} bars with those of {compared['with']}, {compared['not_judged']:,} without one that was "
        f"known in time are not judged{failed}"
    )


def _outside_lines(rows: int, sealed: dict[str, Any] | None, first: Sequence[str]) -> list[tuple[str, str]]:
    """How many rows of bars were left out: those in the vault, and the others, the first of which is shown."""
    held_out = 0 if sealed is None else sealed["rows"]
    others = rows - held_out
    lines = [("outside", f"{_rows(others)} {_outside_text(others, first)}")] if others else []
    if sealed is None:
        return lines
    begins = f"which begins {sealed['starts']} (market.vault_starts)"
    return [("vault", f"{_rows(held_out)} held out, of sessions of the vault, {begins}"), *lines]


def _rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"


def _bars(count: int) -> str:
    return f"{count:,} bar{'s' * (count != 1)}"


def _quarantined_text(row: Mapping[str, Any]) -> str:
    early = ", before the bar ended" if row["rule"] == "unfinished_last_bar" else ""
    remedy = f": {row['remedy']}" if "remedy" in row else ""
    return "{symbol} {session} {rule}, {field} {value}{early} ({source})".format(early=early, **row) + remedy


def _known_ahead_text(days: Mapping[str, int], first: Mapping[str, str]) -> str:
    """Bars that came and wait for their known_at, by symbol."""
    return (
        f"{_bars(sum(days.values()))} came with a known_at in the future, missing until then"
        + _named(gap_lines(days, first))
        + "; where that is wrong, correct the column known_at at the source"
    )


def _known_late_text(first_model: Mapping[str, Any]) -> str:
    """Bars that the decision of their own session lacks, by symbol."""
    lines = gap_lines(first_model["late_by_symbol"], first_model["first_late"])
    be, them = ("is", "it") if first_model["late_bars"] == 1 else ("are", "them")
    return (
        f"{_bars(first_model['late_bars'])} {be} known only after the decision of the same session, which lacks {them}"
        + _named(lines)
        + "; their known_at, the source's own or the moment of a correction, is later"
    )


def _actions_text(counts: dict[str, Any]) -> str:
    left = counts["outside"]
    outside = f", {left:,} {_outside_text(left, counts['first_outside'])}" if left else ""
    return "{stored:,} splits and dividends, {added:,} added, {revised:,} revised".format(**counts) + outside


def _counted(counts: dict[str, Any]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())


def _by_rule(rows: int, by_rule: dict[str, int]) -> str:
    return f"{rows:,}" + (f": {rule_counts_text(by_rule)}" if by_rule else "")


def _named(names: Sequence[str]) -> str:
    return f": {', '.join(first_of(names))}" if names else ""


def _counted_names(names: Sequence[str]) -> str:
    return f"{len(names)}{_named(names)}"


def _more(count: int, command: str) -> list[tuple[str, str]]:
    return [("", f"and {count:,} more: {command}")] if count > 0 else []


def _one_series(series: dict[str, Any]) -> str:
    return (
        f"{series['name']} {series['symbol']}".strip()
        + f": {series['observations']:,}, {series['first']} to {series['last']}"
    )


def gap_lines(absent: Mapping[str, int], first: Mapping[str, str]) -> list[str]:
    """Of each symbol with missing bars, how many there are, and the session of the first."""
    return [
        f"{symbol} {days:,} " + (f"on {first[symbol]}" if days == 1 else f"from {first[symbol]} on")
        for symbol, days in absent.items()
    ]
