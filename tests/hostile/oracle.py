"""What files say and what must come of them, by plain loops over texts. Nothing of the product is used here."""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

Bar = tuple[str, str, float, float, float, float, float]  # symbol, day, open, high, low, close, volume
SPELLINGS = {
    "session": ["session", "date", "datetime", "timestamp", "tradedate", "tradingday", "day", "time"],
    "symbol": ["symbol", "ticker", "tic", "stock", "instrument", "name"],
    "open": ["open", "openprice", "o"],
    "high": ["high", "highprice", "h"],
    "low": ["low", "lowprice", "l"],
    "close": ["close", "closeprice", "c"],
    "volume": ["volume", "vol", "v"],
}
NUMBERS = ("open", "high", "low", "close", "volume")
NONE_WORDS = {"", "na", "NA", "n/a", "N/A", "nan", "NaN", "null", "NULL", "None", "none", "-"}
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
INFINITY = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
DAY = re.compile(r"([0-9]{4})([-/]?)([0-9]{2})([-/]?)([0-9]{2})([ T]00:00(:00(\.0+)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?")
SYMBOL = re.compile(r"[A-Za-z0-9^#$][A-Za-z0-9.^=/:&_+#$@!-]{0,31}")


@dataclass(frozen=True)
class Fault:
    """A place in a file that breaks the contract; the whole file where there is no row."""

    file: str
    row: int | None = None
    column: str | None = None


@dataclass
class Delivery:
    """What some files say."""

    bars: list[Bar] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def day_of(text: str) -> str | None:
    match = DAY.fullmatch(text.strip())
    if match is None:
        return None
    year, _, month, _, day, *_ = match.groups()
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return None
    return f"{year}-{month}-{day}" if 1700 <= int(year) <= 2261 else None


def number_of(text: str) -> float | None:
    """Value of a cell, NaN where it says that there is none; None where it is no number."""
    bare = text.strip()
    if bare in NONE_WORDS:
        return math.nan
    return float(bare) if NUMBER.fullmatch(bare) or INFINITY.fullmatch(bare) else None


def is_symbol(text: str) -> bool:
    return bool(SYMBOL.fullmatch(text)) and ".." not in text and "//" not in text and not text.endswith("/")


def read_csv(name: str, content: bytes) -> Delivery:
    """A CSV file as the contract reads it, every fault in it listed."""
    whole = Delivery(faults=[Fault(name)])
    try:
        unpacked = gzip.decompress(content) if name.endswith(".gz") else content
        text = unpacked.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeError):
        return whole
    if "\0" in text:
        return whole
    try:
        lines = lines_of(text)
    except csv.Error:
        return whole
    header = lines[0] if lines else []
    columns = columns_of(header)
    if columns is None or any(ord(character) < 32 and character != "\t" for cell in header for character in cell):
        return whole
    delivery = Delivery()
    for number, cells in enumerate(lines[1:], start=2):
        if len(cells) > 1 or "".join(cells).strip():
            read_line(delivery, name, number, cells, columns, len(header))
    return delivery if delivery.bars or delivery.faults else whole


def lines_of(text: str) -> list[list[str]]:
    longest = csv.field_size_limit(1 << 24)
    try:
        first = text.split("\n", 1)[0]
        marks = [mark for mark in ";\t" if mark in first and "," not in first]
        mark = marks[0] if len(marks) == 1 else ","
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True, skipinitialspace=True))
    finally:
        csv.field_size_limit(longest)


def columns_of(header: Sequence[str]) -> dict[str, int] | None:
    plain = [re.sub("[^a-z]", "", re.sub(r"^[0-9]+\.", "", cell.strip().lower())) for cell in header]
    columns: dict[str, int] = {}
    for name, spellings in SPELLINGS.items():
        spelling = next((spelling for spelling in spellings if spelling in plain), None)
        if spelling is None and name != "symbol":
            return None
        if spelling is not None and plain.count(spelling) > 1:
            return None
        if spelling is not None:
            columns[name] = plain.index(spelling)
    return columns


def read_line(
    delivery: Delivery, name: str, number: int, cells: list[str], columns: dict[str, int], width: int
) -> None:
    if len(cells) != width:
        delivery.faults.append(Fault(name, number))
        return
    texts = {field: cells[column] for field, column in columns.items()}
    if all(texts[field].strip() == "" for field in ("session", *NUMBERS)):
        return
    symbol = texts.get("symbol", re.sub(r"\.(csv|csv\.gz)$", "", name))
    day = day_of(texts["session"])
    values = {field: number_of(texts[field]) for field in NUMBERS}
    wrong = [field for field, value in values.items() if value is None]
    wrong += ["session"] * (day is None) + ["symbol"] * (not is_symbol(symbol))
    delivery.faults += [Fault(name, number, field) for field in wrong]
    if not wrong:
        open_, high, low, close, volume = (float(values[field] or 0.0) for field in NUMBERS)
        delivery.bars.append((symbol, str(day), open_, high, low, close, volume))


@dataclass(frozen=True)
class Verdict:
    """What must come of a delivery: refused, halted, or these bars with these rows in quarantine."""

    faults: tuple[Fault, ...] = ()
    halted: frozenset[str] = frozenset()
    bars: tuple[Bar, ...] = ()
    quarantine: tuple[tuple[str, str, str], ...] = ()  # symbol, day, rule


def judged(delivery: Delivery, stored: Iterable[Bar], symbols: Sequence[str], sessions: Sequence[str]) -> Verdict:
    """Rows stored before and rows delivered, held to the rules of cleaning and to the gate's limits."""
    if delivery.faults:
        return Verdict(faults=tuple(delivery.faults))
    if not set(symbols) <= {bar[0] for bar in delivery.bars}:
        return Verdict(faults=(Fault("any"),))
    seen = [bar for bar in delivery.bars if bar[0] in symbols and sessions[0] <= bar[1] <= sessions[-1]]
    if not seen:
        return Verdict(faults=(Fault("any"),))
    versions: dict[tuple[str, str], list[Bar]] = {}
    for bar in seen:
        versions.setdefault(bar[:2], []).append(bar)
    for bar in stored:
        versions.setdefault(bar[:2], [bar])
    kept: list[Bar] = []
    quarantine: list[tuple[str, str, str]] = []
    reference: dict[str, float] = {}
    waiting: dict[str, list[int]] = {}  # sides of the reference on which whole bars in a row lie
    for key in sorted(versions):
        group = list({repr(bar): bar for bar in versions[key]}.values())  # equal rows are one row
        for bar in group:
            rule = "duplicate" if len(group) > 1 else rule_broken(bar, sessions)
            if rule is None:
                before, run = reference.get(key[0]), waiting.get(key[0], [])
                side = side_of(bar[2:6], before)
                if any(hundredfold(price, before) for price in bar[2:6]) or side in run:
                    waiting[key[0]] = [*run, side] if side in run else [side] * (side != 0)
                    rule = "unit_error_100x" if len(waiting[key[0]]) < 10 else None
            if rule is None:
                waiting[key[0]] = []
                kept.append(bar)
                reference[key[0]] = bar[5]
            else:
                quarantine.append((*key, rule))
    return Verdict(
        halted=frozenset(causes(kept, quarantine, symbols, sessions)),
        bars=tuple(kept),
        quarantine=tuple(quarantine),
    )


def rule_broken(bar: Bar, sessions: Sequence[str]) -> str | None:
    _, day, open_, high, low, close, volume = bar
    prices = (open_, high, low, close)
    if day not in sessions:
        return "off_calendar"
    if not all(map(math.isfinite, prices)):
        return "missing_price"
    if min(prices) <= 0.0:
        return "non_positive_price"
    if min(prices) < 1e-12 or max(prices) > 1e12 or 1e18 < volume < math.inf:
        return "impossible_size"
    if not 0.0 < volume < math.inf:
        return "zero_volume"
    if high < low or not low <= open_ <= high or not low <= close <= high:
        return "high_low_bracket"
    return None


def hundredfold(price: float, reference: float | None) -> bool:
    if reference is None:
        return False
    return abs(abs(math.log(price) - math.log(reference)) - math.log(100.0)) <= 0.25


def side_of(prices: Sequence[float], reference: float | None) -> int:
    if reference is None:
        return 0
    return all(price > 10.0 * reference for price in prices) - all(price < reference / 10.0 for price in prices)


def checks_failed(
    kept: list[Bar], quarantine: list[tuple[str, str, str]], symbols: Sequence[str], sessions: Sequence[str]
) -> Iterable[str]:
    """The gate at its default limits: 2% in quarantine, 10% of symbols, 5% of sessions, and no stale session."""
    last = sessions[-1]
    if len(quarantine) > 0.02 * (len(kept) + len(quarantine)):
        yield "quarantined_share"
    current = {bar[0] for bar in kept if bar[1] == last}
    if len(set(symbols) - current) > 0.10 * len(symbols):
        yield "missing_symbols"
    there = Counter(set([bar[:2] for bar in kept] + [row[:2] for row in quarantine]))
    due = [
        (symbol, day)
        for symbol in symbols
        for day in sessions
        if day >= min((key[1] for key in there if key[0] == symbol and key[1] in sessions), default="9")
    ]
    if sum(key not in there for key in due) > 0.05 * len(due) or not due:
        yield "missing_sessions"
    if not current:
        yield "freshness"


def causes(
    kept: list[Bar], quarantine: list[tuple[str, str, str]], symbols: Sequence[str], sessions: Sequence[str]
) -> set[str]:
    """The checks that fail; where every symbol ends on one day that is too old, without those that this explains."""
    failed = set(checks_failed(kept, quarantine, symbols, sessions))
    ends = {max((bar[1] for bar in kept if bar[0] == symbol), default="") for symbol in symbols}
    end = min(ends)
    if "freshness" not in failed or len(ends) > 1 or not end or any(row[1] > end for row in quarantine):
        return failed
    until = [day for day in sessions if day <= end]
    explained = {"missing_symbols"}
    if until and "missing_sessions" not in checks_failed(kept, quarantine, symbols, until):
        explained.add("missing_sessions")
    return failed - explained
