"""The gate: whether clean bars may pass to the strategy at all.

Cleaning judges rows; the gate judges what is left as a whole. When a blocking check fails, nothing
downstream may run and the last publication stays in force. Advisory checks say what a person
should look at and stop nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, Symbol, named_rows
from nn_assets.contracts import BARS, violations
from nn_assets.contracts.frames import Quarantine
from nn_assets.errors import GateHalted, first_of
from nn_assets.market.quality.cleaning import Cleaned
from nn_assets.market.quality.gate_checks import ADVISORY_CHECKS, CHECK_TEXTS, blocking_checks
from nn_assets.market.quality.notices import COPIED_SESSION, Notice
from nn_assets.market.quality.session_names import begin_within_days, session_name, session_names
from nn_assets.settings import GateSettings

_NO_HALTS: Mapping[str, BoolArray] = MappingProxyType({})


@dataclass(frozen=True)
class GateCheck:
    """One property of the data: whether it holds, in a sentence, and where it does not.

    ``violations`` has one line each: symbol, session, rule, value.
    """

    name: str
    passed: bool
    detail: str
    violations: tuple[str, ...] = ()
    blocking: bool = True
    hint: str = ""  # a further remedy, specific to the strategy

    @property
    def remedy(self) -> str:
        """What a person can do where it does not hold."""
        return "; ".join(filter(None, (CHECK_TEXTS[self.name].remedy, self.hint)))


@dataclass(frozen=True)
class GateReport:
    """All checks of one inspection, in the order of ``CHECKS``, or of ``INTRADAY_CHECKS`` for bars within sessions.

    ``following`` names checks that may fail for no cause of their own: where all bars end on one day that is too old,
    which freshness reports. Else it is empty.
    """

    checks: tuple[GateCheck, ...]
    figures: dict[str, float | int | str] = field(default_factory=dict)
    following: frozenset[str] = frozenset()

    @property
    def passed(self) -> bool:
        """Whether every blocking check holds."""
        return not self.failures

    @property
    def failures(self) -> tuple[GateCheck, ...]:
        """Blocking checks that do not hold; a copied session first, since it explains missing rows."""
        failed = (check for check in self.checks if check.blocking and not check.passed)
        return tuple(sorted(failed, key=lambda check: check.name != COPIED_SESSION))

    @property
    def causes(self) -> tuple[GateCheck, ...]:
        """The failures, without those that follow from another one."""
        return tuple(check for check in self.failures if check.name not in self.following)

    def raise_if_failed(self) -> None:
        """Halt unless every blocking check holds.

        Raises
        ------
        GateHalted
            Names every failed check and lists its violations, but for those that follow from another one.
        """
        failures = self.causes
        if not failures:
            return
        raise GateHalted(
            expected="data that pass the gate: every limit under gate in the strategy file",
            found="; ".join(f"{check.name}: {check.detail}" for check in failures),
            remedy="; ".join(
                [*(f"{check.name}: {check.remedy}" for check in failures), "the last published data stay in force"]
            ),
            violations=[line for check in failures for line in check.violations],
            rule=", ".join(check.name for check in failures),
        )


def inspect(
    cleaned: Cleaned,
    symbols: Sequence[Symbol],
    sessions: pd.DatetimeIndex,
    settings: GateSettings,
    *,
    fills_at_open: bool = False,
    delisted: Mapping[str, pd.Timestamp] | None = None,
    members: BoolArray | None = None,
    halted: Mapping[str, BoolArray] = _NO_HALTS,
) -> GateReport:
    """Judge clean bars against what was expected.

    Parameters
    ----------
    cleaned : Cleaned
        What cleaning gave.
    symbols : sequence of str
        Instruments the strategy expects; those found when empty.
    sessions : DatetimeIndex, shape (sessions,)
        Every session expected, in order; the last is the one the data must reach.
    settings : GateSettings
        The strategy's limits.
    fills_at_open : bool
        Whether orders fill at the open; a long stretch of opens that nobody could trade then halts.
    delisted : mapping of str to Timestamp, optional
        First session without each symbol that was delisted: nothing is expected of it from then on.
    members : bool array, shape (sessions, symbols), optional
        Members of the universe that are not halted; no bar is expected of other symbols that day.
    halted : mapping of str to bool array, shape (sessions,)
        Of symbols that ever were, the sessions on which they were known not to trade: those make nothing stale.

    Returns
    -------
    GateReport
        A symbol is expected from its first delivered session on, so one listed late misses nothing
        before. A session whose row is in quarantine was delivered and is not missing (a halted
        instrument is no missing bar): it counts as quarantined.

    Raises
    ------
    GateHalted
        No session is expected at all, so nothing could be judged.
    """
    if len(sessions) == 0:
        raise GateHalted(
            expected="at least one session to judge the data against",
            found="an empty span",
            remedy="set market.history_starts before the latest closed session",
            rule="freshness",
        )
    expected = tuple(symbols) or tuple(sorted(pd.unique(cleaned.bars["symbol"])))
    gone = {} if delisted is None else {name: day for name, day in delisted.items() if day <= sessions[-1]}
    listed = tuple(name for name in expected if name not in gone)
    traded = tuple(name for name in listed if not _is_halted(halted, name))
    last_seen = cleaned.bars.groupby("symbol")["session"].max()
    checks = (
        _schema(cleaned.bars, sessions),
        quarantined_share(cleaned.quarantine, cleaned.quarantined_fraction, settings.max_quarantined_fraction),
        _missing_symbols(last_seen, traded, sessions, settings, cleaned.quarantine, halted),
        _missing_sessions(cleaned, expected, sessions, settings, gone, members),
        _freshness(last_seen, _awaited(sessions, listed, halted), settings),
        _stale_feed(cleaned.bars, sessions, settings, all_halted=bool(listed) and not traded),
        *_noticed(cleaned.notices, sessions[-1], fills_at_open=fills_at_open),
    )
    figures: dict[str, float | int | str] = {
        **({} if cleaned.compared is None else {"compared": cleaned.compared}),
        **_figures(len(cleaned.bars), len(cleaned.quarantine), cleaned.equal_rows, len(last_seen), sessions[-1]),
    }
    return GateReport(checks, figures, _following(cleaned, listed, expected, sessions, settings, gone, members))


@dataclass(frozen=True)
class GrownCounts:
    """Bars that grew by some sessions since they last passed the gate, counted over all of them.

    Attributes
    ----------
    last_kept : Series
        Newest session of each symbol that has a clean bar.
    due, absent : int
        Bars due, as of :func:`bars_due`, and those of them that never came.
    recent : DataFrame
        Clean bars of the last two sessions.
    """

    bars: int
    quarantined: int
    equal_rows: int
    last_kept: pd.Series
    due: int
    absent: int
    recent: pd.DataFrame
    notices: tuple[Notice, ...]


def inspect_grown(
    fresh: Cleaned,
    quarantine: Quarantine,
    grown: GrownCounts,
    listed: Sequence[str],
    sessions: pd.DatetimeIndex,
    settings: GateSettings,
    *,
    fills_at_open: bool = False,
    halted: Mapping[str, BoolArray] = _NO_HALTS,
) -> GateReport | None:
    """Judge bars that grew, by what came since they passed; as :func:`inspect` does of all of them.

    Parameters
    ----------
    fresh : Cleaned
        What cleaning gave of the sessions since.
    quarantine : DataFrame
        Rows in quarantine, at least those of the last session.
    grown : GrownCounts
    listed : sequence of str
        Instruments of which a bar of the last session is expected, but for those halted on it.
    halted : mapping of str to bool array
        As of :func:`inspect`.

    Returns
    -------
    GateReport or None
        None where a blocking check fails: all bars are needed to show why.
    """
    rows = grown.bars + grown.quarantined
    share = grown.quarantined / rows if rows else 0.0
    few = share <= settings.max_quarantined_fraction
    traded = tuple(name for name in listed if not _is_halted(halted, name))
    checks = (
        _schema(fresh.bars, sessions),
        GateCheck(
            "quarantined_share",
            few,
            _quarantined_share_text(grown.quarantined, share, settings.max_quarantined_fraction),
        ),
        _missing_symbols(grown.last_kept, traded, sessions, settings, quarantine, halted),
        _absent_check(grown.absent, grown.due, settings),
        _freshness(grown.last_kept, _awaited(sessions, listed, halted), settings),
        _stale_feed(grown.recent, sessions, settings, all_halted=bool(listed) and not traded),
        *_noticed(grown.notices, sessions[-1], fills_at_open=fills_at_open),
    )
    figures = _figures(grown.bars, grown.quarantined, grown.equal_rows, len(grown.last_kept), sessions[-1])
    report = GateReport(checks, figures)
    return report if report.passed else None


def _figures(
    bars: int, quarantined: int, equal_rows: int, symbols: int, last: pd.Timestamp
) -> dict[str, float | int | str]:
    return {
        "bars": bars,
        "quarantined": quarantined,
        "equal_rows": equal_rows,
        "symbols": symbols,
        "expected_session": str(last.date()),
    }


def _noticed(notices: Sequence[Notice], last: pd.Timestamp, *, fills_at_open: bool) -> tuple[GateCheck, ...]:
    """What cleaning pointed out, a check for each kind."""
    halting = blocking_checks(fills_at_open=fills_at_open)
    pointed_out = (_pointed_out(notices, name, blocking=name in halting) for name in ADVISORY_CHECKS)
    return _copied_session(notices, last), *pointed_out


def _following(
    cleaned: Cleaned,
    listed: Sequence[str],
    expected: Sequence[str],
    sessions: pd.DatetimeIndex,
    settings: GateSettings,
    gone: Mapping[str, pd.Timestamp],
    members: BoolArray | None,
) -> frozenset[str]:
    """Checks that have no fault of their own where the bars of all symbols end on one day that is too old."""
    last_bars = cleaned.bars.groupby("symbol")["session"].max()
    last_seen = last_bars.reindex(list(listed))
    if _freshness(last_bars, sessions, settings).passed or last_seen.empty or last_seen.isna().any():
        return frozenset()
    end = last_seen.max()
    if (last_seen != end).any() or (cleaned.quarantine["session"] > end).any():
        return frozenset()
    covered = sessions[sessions <= end]
    members_until = None if members is None else members[: len(covered)]
    to_the_end = _missing_sessions(cleaned, expected, covered, settings, gone, members_until)
    complete = len(covered) > 0 and to_the_end.passed
    return frozenset({"missing_symbols", "stale_feed", *([to_the_end.name] if complete else [])})


def _schema(bars: pd.DataFrame, sessions: pd.DatetimeIndex) -> GateCheck:
    breaches = violations(bars, BARS.within_sessions() if begin_within_days(sessions) else BARS)
    lines = tuple(
        f"{breach.symbol or 'all'} {breach.session or 'all'}: {breach.rule}, {breach.column} {breach.value}"
        for breach in breaches
    )
    detail = f"{len(breaches)} violations of the bars' contract" if breaches else "bars keep their contract"
    return GateCheck("schema", not breaches, detail, lines)


def quarantined_share(quarantine: Quarantine, share: float, limit: float) -> GateCheck:
    """Whether few enough rows are in quarantine; names each where they are too many."""
    lines = tuple(
        f"{row.symbol} {row.session.date()}: {row.rule}, {row.field} {row.value}" for row in named_rows(quarantine)
    )
    passed = share <= limit
    return GateCheck(
        "quarantined_share", passed, _quarantined_share_text(len(lines), share, limit), () if passed else lines
    )


def _quarantined_share_text(rows: int, share: float, limit: float) -> str:
    return f"{rows} rows ({share:.2%}) in quarantine, limit {limit:.2%}"


def _missing_symbols(
    last_seen: pd.Series,
    expected: Sequence[str],
    sessions: pd.DatetimeIndex,
    settings: GateSettings,
    quarantine: pd.DataFrame,
    halted: Mapping[str, BoolArray],
) -> GateCheck:
    """Symbols without a clean bar within ``max_stale_sessions`` of the session expected, but for halted sessions."""
    oldest = sessions[max(len(sessions) - 1 - settings.max_stale_sessions, 0)]
    fresh = set(last_seen.index[last_seen >= oldest])
    for symbol in set(expected).intersection(halted, last_seen.index):
        traded = sessions[~halted[symbol]]
        if len(traded) - int(traded.searchsorted(last_seen[symbol], side="right")) <= settings.max_stale_sessions:
            fresh.add(symbol)
    missing = [symbol for symbol in expected if symbol not in fresh]
    share = len(missing) / len(expected) if expected else float(not halted)
    faults = _faults_of(quarantine, sessions[-1])
    within = begin_within_days(sessions)
    newest = session_name(sessions[-1], within=within)
    lines = tuple(
        f"{symbol} {newest}: missing_symbols, last clean bar "
        f"{session_name(last_seen[symbol], within=within) if symbol in last_seen.index else 'never'}"
        f"{faults.get(symbol, '')}"
        for symbol in missing
    )
    limit = settings.max_missing_symbols_fraction
    detail = f"{len(missing)} of {len(expected)} symbols ({share:.1%}) lack a current bar, limit {limit:.1%}"
    return GateCheck("missing_symbols", share <= limit, detail, lines)


def _faults_of(quarantine: pd.DataFrame, session: pd.Timestamp) -> dict[str, str]:
    """Why a session's row of a symbol is in quarantine, by symbol."""
    rows = quarantine[quarantine["session"] == session]
    return {
        str(row.symbol): f"; in quarantine: {row.rule}, "
        + (str(row.message) if row.field == "row" else f"{row.field} {row.value}")
        for row in named_rows(rows)
    }


def bars_due(
    cleaned: Cleaned,
    expected: Sequence[str],
    sessions: pd.DatetimeIndex,
    delisted: Mapping[str, pd.Timestamp] | None = None,
    members: BoolArray | None = None,
) -> tuple[BoolArray, BoolArray]:
    """Which bars were due, from each symbol's first delivered session to its delisting, and which of them never came.

    Where ``members``, (sessions, symbols), are given, none is due of a symbol that is no member on the day.

    Returns
    -------
    tuple of array, shape (sessions, symbols)
        Due, and due but neither clean nor in quarantine.
    """
    delivered = pd.concat(
        [cleaned.bars[["symbol", "session"]], cleaned.quarantine[["symbol", "session"]]], ignore_index=True
    )
    row = sessions.get_indexer(pd.DatetimeIndex(delivered["session"]))
    column = pd.Index(expected).get_indexer(pd.Index(delivered["symbol"]))
    delivered_bars = np.zeros((len(sessions), len(expected)), dtype=bool)  # (session, symbol)
    inside = (row >= 0) & (column >= 0)
    delivered_bars[row[inside], column[inside]] = True
    due = np.logical_or.accumulate(delivered_bars, axis=0) & days_asked(sessions, expected, members, delisted)
    return due, due & ~delivered_bars


def days_asked(
    sessions: pd.DatetimeIndex,
    symbols: Sequence[Symbol],
    members: BoolArray | None,
    delisted: Mapping[str, pd.Timestamp] | None = None,
) -> BoolArray:
    """Days on which a bar of each symbol is asked for, (sessions, symbols): of members, and before a delisting."""
    expected = np.ones((len(sessions), len(symbols)), dtype=bool) if members is None else members.copy()
    for symbol, day in (delisted or {}).items():
        if symbol in symbols:
            expected[sessions >= day, list(symbols).index(symbol)] = False
    return expected


def _missing_sessions(
    cleaned: Cleaned,
    expected: Sequence[str],
    sessions: pd.DatetimeIndex,
    settings: GateSettings,
    gone: Mapping[str, pd.Timestamp],
    members: BoolArray | None,
) -> GateCheck:
    due, absent = bars_due(cleaned, expected, sessions, gone, members)
    check = _absent_check(int(absent.sum()), int(due.sum()), settings)
    if check.passed:
        return check
    names = session_names(sessions)
    lines = tuple(
        f"{expected[symbol]} {names[session]}: missing_sessions, no bar that is known"
        for session, symbol in np.argwhere(absent)
    )
    return replace(check, violations=lines)


def _absent_check(absent: int, due: int, settings: GateSettings) -> GateCheck:
    share, limit = absent / due if due else 1.0, settings.max_missing_sessions_fraction
    detail = f"{absent} of {due} bars due ({share:.2%}) are missing, limit {limit:.2%}"
    return GateCheck("missing_sessions", share <= limit, detail)


def _freshness(last_seen: pd.Series, sessions: pd.DatetimeIndex, settings: GateSettings) -> GateCheck:
    """Sessions between the newest clean bar of any symbol and the session expected."""
    within, limit = begin_within_days(sessions), settings.max_stale_sessions
    awaited = session_name(sessions[-1], within=within)
    if last_seen.empty:
        line = f"all {awaited}: freshness, no clean bar"
        return GateCheck("freshness", passed=False, detail="there is no clean bar", violations=(line,))
    last = last_seen.max()
    newest = session_name(last, within=within)
    behind = len(sessions) - int(sessions.searchsorted(last, side="right"))
    detail = f"newest clean bar {newest}, {behind} {'bars' if within else 'sessions'} behind {awaited}, limit {limit}"
    passed = behind <= limit
    lines = () if passed else (f"all {awaited}: freshness, newest {newest}",)
    return GateCheck("freshness", passed, detail, lines)


def _is_halted(halted: Mapping[str, BoolArray], symbol: str) -> bool:
    """Whether a symbol is halted on the last session."""
    return symbol in halted and bool(halted[symbol][-1])


def _awaited(sessions: pd.DatetimeIndex, listed: Sequence[str], halted: Mapping[str, BoolArray]) -> pd.DatetimeIndex:
    """The sessions without those on which all that is listed was halted, unless that leaves none."""
    if not listed or not set(listed) <= set(halted):
        return sessions
    awaited = sessions[~np.logical_and.reduce([halted[name] for name in listed])]
    return awaited if len(awaited) else sessions


def _stale_feed(
    bars: pd.DataFrame, sessions: pd.DatetimeIndex, settings: GateSettings, *, all_halted: bool = False
) -> GateCheck:
    """Newest bars that repeat the bar before in every price and in volume: yesterday's, dated today."""
    names = ["open", "high", "low", "close", "volume"]
    recent = bars[bars["session"].isin(sessions[-2:])].drop_duplicates(["symbol", "session"]).astype({"symbol": object})
    newest = recent[recent["session"] == sessions[-1]].set_index("symbol")[names]
    before = recent[recent["session"] < sessions[-1]].set_index("symbol")[names]
    both = newest.index.intersection(before.index)
    newest_values, previous_values = (
        newest.loc[both].to_numpy(dtype=np.float64),
        before.loc[both].to_numpy(dtype=np.float64),
    )
    repeats = ((newest_values == previous_values) | (np.isnan(newest_values) & np.isnan(previous_values))).all(axis=1)
    if all_halted:
        return GateCheck("stale_feed", passed=True, detail="every symbol is halted: no newest bar is due")
    if len(both) == 0:
        reason = "nothing to compare: no symbol has a bar of the newest session and of the one before"
        return GateCheck("stale_feed", passed=False, detail=reason, violations=(), blocking=False)
    share, limit = float(repeats.mean()), settings.max_repeated_bars_fraction
    last = session_name(sessions[-1], within=begin_within_days(sessions))
    lines = tuple(
        f"{symbol} {last}: stale_feed, close {close:g} and all else as the session before"
        for symbol, close in zip(both[repeats], newest.loc[both, "close"][repeats], strict=True)
    )
    detail = f"{len(lines)} of {len(both)} newest bars ({share:.1%}) repeat the bar before, limit {limit:.1%}"
    passed = share <= limit
    return GateCheck("stale_feed", passed, detail, () if passed else lines)


def _copied_session(notices: Sequence[Notice], newest: pd.Timestamp) -> GateCheck:
    """Whether the newest session is a copy; earlier ones are named, and their rows are in quarantine."""
    copied = [notice for notice in notices if notice.rule == COPIED_SESSION]
    lines = tuple(notice.line for notice in copied)
    passed = all(notice.first_session != newest for notice in copied)
    if not passed:
        message = ", ".join(notice.message for notice in copied if notice.first_session == newest).replace("; ", ", ")
        return GateCheck(COPIED_SESSION, passed, f"{newest.date()} holds another session's bars: {message}", lines)
    days = ", ".join(str(notice.first_session.date()) for notice in copied)
    detail = f"not on the newest session; earlier ones that are: {days}" if copied else "none found"
    return GateCheck(COPIED_SESSION, passed, detail, lines)


def _pointed_out(notices: Sequence[Notice], name: str, *, blocking: bool) -> GateCheck:
    matching = [notice for notice in notices if notice.rule == name]
    lines = tuple(notice.line for notice in matching)
    detail = f"{len(matching)} for a person to judge; rows kept" if matching else "none found"
    if matching and blocking:
        named = sorted({notice.symbol for notice in matching})
        listed = ", ".join(first_of(named))
        symbol_count = f"{len(named)} symbol{'s' * (len(named) > 1)}"
        detail = f"{symbol_count} whose open repeats the close before over a long stretch: {listed}"
    return GateCheck(name, not matching, detail, lines, blocking=blocking)
