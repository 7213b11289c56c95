"""Intraday bars judged: row rules, crossed quotes, bars off their grid, gaps, and the gate over them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.arrays import IntArray, ObjectArray, Symbol, named_rows, nanoseconds
from nn_assets.contracts import INTRADAY_BARS, QUARANTINE, QUOTES, conform, violations
from nn_assets.contracts.frames import HaltVersions, IntradayBars, IntradayVersions, Quarantine
from nn_assets.market.calendar.hours import Placed, TradingHours, trading_hours
from nn_assets.market.facts.intraday import KEY
from nn_assets.market.facts.rows import Rows, equal_to_the_row_before
from nn_assets.market.facts.trading_halts import halted_on
from nn_assets.market.quality.gate import GateCheck, GateReport, quarantined_share
from nn_assets.market.quality.history_rules import unit_error_100x
from nn_assets.market.quality.row_rules import (
    Finding,
    Rule,
    WithQuarantine,
    duplicate,
    high_low_bracket,
    missing_price,
    non_positive_price,
    off_calendar,
    unfinished_last_bar,
    zero_volume,
)
from nn_assets.settings import CleaningSettings, GateSettings, IntradaySettings

_NOT_A_TIME = np.iinfo(np.int64).min
_SHOWN = ("open", "high", "low", "close", "volume")
_PRICES = ("open", "high", "low", "close")
_ROW_RULES = (
    Rule("duplicate", "one row per symbol and start", duplicate, "ask the source which row is right"),
    Rule(
        "off_calendar",
        "a bar within a session's trading hours",
        off_calendar,
        "if the market traded, name the day in the file of market.calendar_overrides",
    ),
    Rule(
        "unfinished_last_bar",
        "a bar taken in after its end",
        unfinished_last_bar,
        "take the bar in again after its end",
    ),
    Rule("missing_price", "four finite prices", missing_price, "ask the source for the bar again"),
    Rule("non_positive_price", "prices above zero", non_positive_price, "correct the price at the source"),
    Rule("negative_volume", "volume of zero or more", zero_volume, "correct the volume at the source"),
    Rule(
        "high_low_bracket",
        "low <= open, close <= high",
        high_low_bracket,
        "compare with another source and correct the bar",
    ),
)
_UNIT_RULE = Rule(
    "unit_error_100x", "prices in the unit of those before", unit_error_100x, "correct the unit at the source"
)
_DEMANDS = {
    **{rule.name: rule.demands for rule in (*_ROW_RULES, _UNIT_RULE)},
    "off_grid": "a start on the grid of its session's bars",
    "crossed_quote": "a bid at or below the ask",
}


@dataclass(frozen=True)
class CleanedIntraday(WithQuarantine):
    """Every bar given in is in ``bars`` or in ``quarantine``, exactly once; of equal ones the first.

    Attributes
    ----------
    bars : DataFrame
        Columns of ``INTRADAY_BARS``, ordered by symbol and start; values as they came.
    quarantine : DataFrame
        Columns of ``QUARANTINE``; the value of a row names its start.
    gaps : DataFrame
        symbol, after (start of the last bar before), missing (bars never delivered): every run of bars
        that should be there, from a symbol's first bar to the end of its last session, and are not. Of a
        last session that is not over, up to its last bar.
    due : int
        Bars that should be there, all symbols together.
    equal_rows : int
        Rows left out because another of their symbol and start says the same, quotes included.
    """

    bars: IntradayBars
    quarantine: Quarantine
    gaps: pd.DataFrame
    due: int
    equal_rows: int = 0

    @property
    def missing_fraction(self) -> float:
        """Share of the bars due that were never delivered; 0 of none."""
        return float(self.gaps["missing"].sum() / self.due) if self.due else 0.0

    def counts(self) -> dict[str, int]:
        """Rows in quarantine by rule, those of none included."""
        by_rule = self.quarantine["rule"].value_counts()
        return {rule: int(by_rule.get(rule, 0)) for rule in _DEMANDS}


def clean_intraday(
    bars: IntradayVersions,
    calendar: str,
    settings: IntradaySettings,
    cleaning: CleaningSettings,
    *,
    seen_at: pd.Timestamp | None = None,
    halts: HaltVersions | None = None,
) -> CleanedIntraday:
    """Judge raw intraday bars by the rules of daily ones, where these make sense within a session.

    A bar without trades is no fault (a stale run of minutes neither), a negative volume is. Quotes
    that cross at open, high, low or close, and bars that begin between two of the grid, are faults.

    Parameters
    ----------
    bars : DataFrame
        Columns of ``INTRADAY_VERSIONS``: what ``intraday_as_of`` gives. NaN means missing.
    calendar : str
    settings : IntradaySettings
    cleaning : CleaningSettings
    seen_at : Timestamp, UTC, optional
        Sessions whose last bar could be known by then are over; the last arrival when left out.
    halts : DataFrame, optional
        Columns of ``HALTS``, every version: on sessions known to be halted by the same moment no bar is due.
    """
    ordered = bars.sort_values([*KEY, *_SHOWN, *QUOTES, "known_at", "ingested_at", "source"], kind="stable")
    equal = equal_to_the_row_before(ordered, KEY, (*_SHOWN, *QUOTES))
    ordered = ordered[~equal].reset_index(drop=True)
    hours = trading_hours(calendar, settings, ordered["bar_at"].min(), ordered["bar_at"].max())
    placed = hours.locate(nanoseconds(ordered["bar_at"]))
    rows = _rows(ordered, hours, placed)
    trades_optional = cleaning.model_copy(update={"traded_with_volume": False})
    rule: ObjectArray = np.full(len(rows), "", dtype=object)
    field: ObjectArray = np.full(len(rows), "", dtype=object)

    def blame(name: str, finding: Finding) -> None:
        faulty = np.flatnonzero(finding.at_fault)
        fresh = rule[faulty] == ""
        rule[faulty[fresh]], field[faulty[fresh]] = name, finding.field[fresh]

    for row_rule in _ROW_RULES:
        blame(row_rule.name, row_rule.find(rows, trades_optional))
    blame("off_grid", Finding.of(~placed.on_grid, "bar_at"))
    blame("crossed_quote", _crossed(ordered))
    sound = np.flatnonzero(rule == "")
    unit_errors = _UNIT_RULE.find(rows.take(sound), _lasting_as_long(cleaning, hours))
    rule[sound[unit_errors.at_fault]], field[sound[unit_errors.at_fault]] = _UNIT_RULE.name, unit_errors.field
    kept = rule == ""
    by = ordered["ingested_at"].max() if seen_at is None else seen_at
    halted = _halted_slots(ordered, hours, halts, by)
    gaps, due = _gaps(ordered, hours, placed, by - pd.Timedelta(seconds=settings.known_at_lag_seconds), halted)
    return CleanedIntraday(
        bars=ordered[kept].reset_index(drop=True),
        quarantine=_quarantine(ordered[~kept], rule[~kept], field[~kept]),
        gaps=gaps,
        due=due,
        equal_rows=int(equal.sum()),
    )


def _rows(ordered: pd.DataFrame, hours: TradingHours, placed: Placed) -> Rows:
    """The bars as the row rules read them: a bar's start in the session's place, its end in the close's."""
    starts = nanoseconds(ordered["bar_at"])
    shown: dict[str, Any] = {name: ordered[name].to_numpy(dtype=np.float64) for name in _SHOWN}
    return Rows(
        symbol=pd.factorize(ordered["symbol"])[0].astype(np.int64),
        session=starts,
        **shown,
        known_at=nanoseconds(ordered["known_at"]),
        ingested_at=nanoseconds(ordered["ingested_at"]),
        closes_at=np.where(placed.inside, starts + hours.bar, _NOT_A_TIME),
        shares=np.ones(len(ordered)),  # bars within the session come without actions
    )


def _lasting_as_long(cleaning: CleaningSettings, hours: TradingHours) -> CleaningSettings:
    """The same settings, where another level lasts as many sessions, in bars of this grid."""
    bars = int(hours.bars_due.max(initial=1))
    return cleaning.model_copy(update={"unit_error_sessions": cleaning.unit_error_sessions * bars})


def _crossed(bars: pd.DataFrame) -> Finding:
    crossed = np.column_stack([(bars[f"bid_{name}"] > bars[f"ask_{name}"]).to_numpy() for name in _PRICES])
    at_fault = np.asarray(crossed.any(axis=1))
    fields = np.array([f"bid_{name}" for name in _PRICES], dtype=object)
    return Finding(at_fault, fields[crossed[at_fault].argmax(axis=1)])


def _halted_slots(
    ordered: pd.DataFrame, hours: TradingHours, halts: HaltVersions | None, by: pd.Timestamp
) -> dict[str, IntArray]:
    """Of each symbol that ever was halted, how many slots before each one were of halted sessions, (slots + 1,)."""
    if halts is None or halts.empty:
        return {}
    symbols = tuple(str(symbol) for symbol in ordered["symbol"].unique())
    halted = halted_on(halts, symbols, hours.sessions, pd.DatetimeIndex([by] * len(hours.sessions)))
    return {
        symbol: np.concatenate([[0], np.cumsum(np.repeat(days, hours.bars_due))])
        for symbol, days in zip(symbols, halted.T, strict=True)
        if days.any()
    }


def _gaps(
    ordered: pd.DataFrame, hours: TradingHours, placed: Placed, by: pd.Timestamp, halted: Mapping[str, IntArray]
) -> tuple[pd.DataFrame, int]:
    """Jumps in slots of each symbol, and how many bars were due, from its first one on; none while it was halted."""
    placed_bars = pd.DataFrame(
        {"symbol": ordered["symbol"], "after": ordered["bar_at"], "slot": placed.slot, "session": placed.session}
    )
    placed_bars = placed_bars[placed_bars["slot"] >= 0].drop_duplicates(["symbol", "slot"])
    ends = np.cumsum(hours.bars_due)
    first, last = placed_bars.drop_duplicates("symbol"), placed_bars.drop_duplicates("symbol", keep="last")
    over = hours.ends[last["session"]] <= by.as_unit("ns").value
    end = np.where(over, ends[last["session"]], last["slot"] + 1)
    following = placed_bars.groupby("symbol")["slot"].shift(-1)
    following[last.index] = end
    gaps = placed_bars.assign(missing=(following - placed_bars["slot"] - 1).astype(np.int64))
    due = int((end - first["slot"].to_numpy()).sum())
    for symbol, before in halted.items():
        rows = gaps.index[(gaps["symbol"] == symbol) & (gaps["missing"] > 0)]
        slot = gaps.loc[rows, "slot"].to_numpy(dtype=np.int64)
        without = before[slot + 1 + gaps.loc[rows, "missing"].to_numpy()] - before[slot + 1]
        gaps.loc[rows, "missing"] -= without
        due -= int(without.sum())
    missing = gaps.loc[gaps["missing"] > 0, ["symbol", "after", "missing"]].sort_values(["symbol", "after"])
    return missing.reset_index(drop=True), due


def _quarantine(rows: pd.DataFrame, rules: ObjectArray, fields: ObjectArray) -> pd.DataFrame:
    values, messages = [], []
    for row, rule, name in zip(named_rows(rows), rules, fields, strict=True):
        whole = ", ".join(f"{field} {getattr(row, field)}" for field in _SHOWN)
        ask_text = f", ask {getattr(row, 'ask' + name[3:])}" if rule == "crossed_quote" else ""
        value = whole if name in ("row", "session") else f"{getattr(row, name)}{ask_text}"
        values.append(f"{row.bar_at.isoformat()}: {value}")
        messages.append(f"expected {_DEMANDS[rule]}; found {name} {value} in {whole} at {row.bar_at.isoformat()}")
    framed = rows[["symbol", "session", "source", "known_at"]].assign(
        rule=rules, field=fields, value=values, message=messages
    )
    return conform(framed, QUARANTINE)


def inspect_intraday(
    cleaned: CleanedIntraday, symbols: tuple[Symbol, ...], settings: IntradaySettings, gate: GateSettings
) -> GateReport:
    """Judge clean intraday bars as a whole: contract, quarantine, gaps, symbols.

    Parameters
    ----------
    cleaned : CleanedIntraday
    symbols : tuple of str
        Instruments the strategy expects; those found when empty.
    settings : IntradaySettings
    gate : GateSettings
        Freshness is judged on the session bars, by the daily gate.
    """
    contract = INTRADAY_BARS if settings.decisions is None else INTRADAY_BARS.within_sessions()
    breaches = violations(cleaned.bars, contract)
    detail = f"{len(breaches)} violations of the intraday contract"
    schema = GateCheck("schema", not breaches, detail, tuple(map(str, breaches)))
    share, limit = cleaned.quarantined_fraction, gate.max_quarantined_fraction
    quarantined = quarantined_share(cleaned.quarantine, share, limit)
    missing, most = int(cleaned.gaps["missing"].sum()), settings.max_missing_bars_fraction
    gaps = GateCheck(
        "missing_bars",
        cleaned.missing_fraction <= most,
        f"{missing} of {cleaned.due} bars due ({cleaned.missing_fraction:.2%}) never delivered, in "
        f"{len(cleaned.gaps)} gaps, limit {most:.2%}",
        tuple(f"{gap.symbol}: {gap.missing} bars missing after {gap.after}" for gap in named_rows(cleaned.gaps)),
    )
    delivered = set(cleaned.bars["symbol"].unique())
    absent = [symbol for symbol in symbols if symbol not in delivered]
    share = len(absent) / len(symbols) if symbols else float(not delivered)
    missing_symbols = GateCheck(
        "missing_symbols",
        share <= gate.max_missing_symbols_fraction,
        f"{len(absent)} of {len(symbols) or len(delivered)} symbols without a bar",
        tuple(f"{symbol}: no clean bar" for symbol in absent),
    )
    figures: dict[str, float | int | str] = {
        "bars": len(cleaned.bars),
        "quarantined": len(cleaned.quarantine),
        "symbols": len(delivered),
        "equal_rows": cleaned.equal_rows,
        "gaps": len(cleaned.gaps),
        "missing_bars": missing,
        "bars_due": cleaned.due,
    }
    return GateReport((schema, quarantined, gaps, missing_symbols), figures)
