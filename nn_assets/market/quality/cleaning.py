"""From raw bars to clean ones: every row is kept as it came or put into quarantine, never mended.

Row rules judge a row by itself, series rules against the rows before it; what rows after t say
never changes how t was judged. A row goes to quarantine once, under the first rule it breaks, with
the field and value to blame. What a person should judge is pointed out in notices, and kept.

Since verdicts are final, rows judged before need not be judged again: :class:`Past` has those that the rules look back
on, and what was found of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray, IntArray, ObjectArray, named_rows, number_bytes
from nn_assets.contracts import BAR_VERSIONS, QUARANTINE, conform, empty
from nn_assets.contracts.frames import ActionVersions, BarVersions, ComparedBars, DailyBars, Quarantine
from nn_assets.market.calendar.sessions import never_closes
from nn_assets.market.facts.compared import later_second_source_prices, with_several_versions
from nn_assets.market.facts.rows import Cut, Rows, equal_to_the_row_before, ordered_by_symbol, rows_of
from nn_assets.market.quality.copied import copied_bar_notices
from nn_assets.market.quality.displaced import displaced_bar_notices
from nn_assets.market.quality.history_rules import COPIED_BAR, HISTORY_RULES, IN_SHARES_AS_DELIVERED, ODD_PRINT
from nn_assets.market.quality.notices import (
    Notice,
    factor_notices,
    jump_notices,
    not_compared_notices,
    odd_print_notices,
    repeated_open_notices,
)
from nn_assets.market.quality.odd_prints import with_corrections
from nn_assets.market.quality.row_rules import ROW_RULES, Rule, WithQuarantine, remedy_of
from nn_assets.settings import CleaningSettings
from nn_assets.settings.calendar_file import amendments_of

RULES: tuple[Rule, ...] = (*ROW_RULES, *HISTORY_RULES)
_PASSED, _TO_JUDGE = -1, -2
_NOTICES_REACH = 2  # rows before the window that notices look at, with the newest bar before
_COPIED = next(number for number, rule in enumerate(RULES) if rule.name == COPIED_BAR)
_SHOWN = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Past:
    """Rows of earlier sessions that were judged before, for those that come to look back on.

    Attributes
    ----------
    rows : DataFrame
        Columns of ``BAR_VERSIONS``. Of a symbol that has rows to judge, all of its past, or from a kept row on with at
        least :func:`reach_of` kept ones; with no more than :func:`near_reach_of` it may turn out that it lacks some.
        Of those that a row rule took out no value is read.
    taken_out : array of int, shape (rows,)
        Number of the rule that took each out, -1 for those kept.
    begins : mapping of str to Timestamp
        Session of each symbol's first row of all.
    cut : collection of str
        Symbols of which there are fewer kept rows than :func:`reach_of`, and more were left out.
    """

    rows: pd.DataFrame
    taken_out: IntArray
    begins: Mapping[str, pd.Timestamp] | pd.Series
    cut: Collection[str] = ()


@dataclass(frozen=True)
class Cleaned(WithQuarantine):
    """Every row given in is in ``bars`` or in ``quarantine``, exactly once; of equal ones the first.

    Attributes
    ----------
    bars : DataFrame
        Columns of ``BARS``, ordered by symbol and session; values as they came. A row that the second source
        contradicted and later confirmed is known from then on.
    quarantine : DataFrame
        Columns of ``QUARANTINE``, in the same order.
    notices : tuple of Notice
        What a person should judge: rows that were kept, sessions that hold another's bars, what was not compared.
    equal_rows : int
        Rows left out because another of their symbol and session says the same.
    equal_on : array of datetime64, shape (equal_rows,)
        Their sessions.
    compared : int, optional
        Rows of which a second source had a bar in time; None where there is no second source.
    lacking : tuple of str
        Symbols whose judgement needs rows that the past given lacks; to be judged again with them.
    said : DataFrame
        Columns session and value, :func:`values_hash`, of the bars that moved and could have been traded on.
    """

    bars: DailyBars
    quarantine: Quarantine
    notices: tuple[Notice, ...]
    equal_rows: int = 0
    compared: int | None = None
    equal_on: npt.NDArray[np.datetime64] = field(default_factory=lambda: np.empty(0, "datetime64[ns]"), repr=False)
    lacking: tuple[str, ...] = ()
    value_hashes: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)

    def counts(self) -> dict[str, int]:
        """Rows in quarantine by rule, rules that found none included, in the rules' order."""
        by_rule = self.quarantine["rule"].value_counts()
        return {rule.name: int(by_rule.get(rule.name, 0)) for rule in RULES}


def near_reach_of(settings: CleaningSettings) -> int:
    """How many kept rows of a symbol before a row to judge tell whether it needs more of them: most need none."""
    return settings.stale_run_sessions + _NOTICES_REACH


def reach_of(settings: CleaningSettings) -> int:
    """How many kept rows of a symbol before a row to judge suffice for every rule and notice that states a reach."""
    reaches = [rule.reach(settings) for rule in RULES if rule.reach is not None]
    return max(*reaches, settings.jump_window_sessions + _NOTICES_REACH)


def clean(
    bars: BarVersions,
    calendar: str,
    settings: CleaningSettings,
    actions: ActionVersions | None = None,
    compared: ComparedBars | None = None,
    past: Past | None = None,
) -> Cleaned:
    """Judge raw bars.

    Parameters
    ----------
    bars : DataFrame
        Columns of ``BAR_VERSIONS``: what ``as_of`` gives, in any order. NaN means missing.
    calendar : str
        Name of the exchange's calendar.
    settings : CleaningSettings
        Thresholds.
    actions : DataFrame, optional
        Splits and dividends known by then, columns symbol, ex_session, kind and value: a move that
        they account for is no jump, and the factor of a stated split no change of unit.
    compared : DataFrame, optional
        Every version of a second source's bars known by then, columns of ``BAR_VERSIONS``: of each row counts what
        was known when the row was, and of one that is odd by it the first later version that comes near.
    past : Past, optional
        Rows judged before, all of earlier sessions; not with ``compared``. What is given is then of ``bars`` alone, and
        of it all but two things are as if all bars had been given: bars equal to one that the past lacks are not found
        out as copies (:attr:`Cleaned.value_hashes` has those to look for), nor long stretches of repeated opens.
        Notices of displaced bars are given also for sessions of the past on a kept row of which a kept one now follows.

    Returns
    -------
    Cleaned
        Whether row t is kept depends on rows up to t alone.

    Raises
    ------
    SchemaError
        A column is absent or of a type that cannot be cast.
    """
    raw_bars = conform(bars, BAR_VERSIONS)
    taken_out: IntArray = np.full(len(raw_bars), _TO_JUDGE, dtype=np.int64)
    if past is not None:
        raw_bars = pd.concat([past.rows, raw_bars], ignore_index=True)
        taken_out = np.concatenate([past.taken_out, taken_out])
    delivered = ordered_by_symbol(raw_bars.assign(taken_out=taken_out))
    equal = equal_to_the_row_before(delivered, ("symbol", "session"), _SHOWN)
    equal &= delivered["taken_out"].to_numpy() == _TO_JUDGE
    ordered = delivered[~equal].reset_index(drop=True) if equal.any() else delivered
    taken_out = ordered.pop("taken_out").to_numpy()
    judged = taken_out == _TO_JUDGE
    rows = rows_of(ordered, calendar, actions, compared, None if past is None else past.begins)
    names = np.asarray(pd.unique(ordered["symbol"]), dtype=object)
    if past is not None:
        rows = replace(rows, asked=judged, cut=Cut(pd.Index(names, dtype=object).isin(past.cut)))
    comparable = rows.in_first_shares()
    broken_rule: IntArray = np.where(judged, _PASSED, taken_out)
    field: ObjectArray = np.full(len(rows), "", dtype=object)
    notes: ObjectArray = np.full(len(rows), "", dtype=object)
    bar_values = pd.DataFrame()
    for number, rule in enumerate(RULES):
        # Row rules look at every row, so that one fault cannot hide a neighbour's; history rules
        # only at rows that could have been traded on.
        untaken = (broken_rule == _PASSED) | (~judged & (broken_rule >= number))
        open_rows = np.flatnonzero(untaken) if rule in HISTORY_RULES else np.arange(len(rows))
        if rule.name == COPIED_BAR:
            open_rows = open_rows[judged[open_rows]]
            bar_values = _value_hashes_of(ordered, rows, open_rows)
        if rule.name == ODD_PRINT and compared is not None:
            rows = _corrected(rows, open_rows, ordered, with_several_versions(compared), settings)
            comparable = rows.in_first_shares()
        judged_rows = rows if rule in ROW_RULES or rule.name in IN_SHARES_AS_DELIVERED else comparable
        finding = rule.find(judged_rows.take(open_rows) if rule in HISTORY_RULES else judged_rows, settings)
        faulty = open_rows[finding.at_fault]
        fresh = (broken_rule[faulty] == _PASSED) & judged[faulty]
        broken_rule[faulty[fresh]], field[faulty[fresh]] = number, finding.field[fresh]
        if finding.beside is not None:
            notes[faulty[fresh]] = finding.beside[fresh]
    kept = broken_rule == _PASSED
    sound, out = ordered[kept & judged].reset_index(drop=True), ~kept & judged
    if compared is not None:
        sound["known_at"] = pd.DatetimeIndex(rows.known_at[kept], tz="UTC").as_unit(ordered["known_at"].dt.unit)
    names = np.asarray(pd.unique(ordered["symbol"]), dtype=object)
    quarantine = _quarantine(ordered[out], broken_rule[out], field[out], notes[out], calendar)
    notices = (
        *_notices(rows, kept, names, calendar, settings, actions, whole=past is None),
        *copied_bar_notices(ordered, rows, kept, out & (broken_rule == _COPIED)),
        *not_compared_notices(rows),
        *(
            ()
            if rows.second is None
            else odd_print_notices(rows.take(np.flatnonzero(kept)), names, quarantine, settings)
        ),
    )
    return Cleaned(
        bars=sound,
        quarantine=quarantine,
        notices=notices,
        equal_rows=int(equal.sum()),
        compared=None if rows.second is None else int(np.isfinite(rows.second).any(axis=1).sum()),
        lacking=() if rows.cut is None else tuple(str(names[code]) for code in sorted(rows.cut.lacking)),
        equal_on=delivered["session"].to_numpy(dtype="datetime64[ns]")[equal],
        value_hashes=bar_values,
    )


def values_hash(symbols: pd.Series, values: Sequence[FloatArray]) -> npt.NDArray[np.uint64]:
    """A number for what each bar says, shape (rows,): of equal bars of a symbol equal, of others hardly ever."""
    codes, distinct = pd.factorize(symbols)
    hashes = pd.util.hash_array(np.asarray(distinct, dtype=object), categorize=False)[codes]
    for column in values:  # mixed as splitmix64 does (Steele, Lea and Flood 2014)
        hashes = hashes ^ np.frombuffer(number_bytes(column), dtype="<u8")
        hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))


def _value_hashes_of(ordered: pd.DataFrame, rows: Rows, indices: npt.NDArray[np.intp]) -> pd.DataFrame:
    """What the bars at some places say, of those that moved: no other can be a copy."""
    hashed = indices[(rows.high[indices] > rows.low[indices]) & (rows.volume[indices] > 0.0)]
    values = [column[hashed] for column in (rows.open, rows.high, rows.low, rows.close, rows.volume)]
    symbols = ordered["symbol"].iloc[hashed]
    return pd.DataFrame({"session": ordered["session"].to_numpy()[hashed], "value": values_hash(symbols, values)})


def _corrected(
    rows: Rows, indices: npt.NDArray[np.intp], ordered: pd.DataFrame, several: pd.DataFrame, settings: CleaningSettings
) -> Rows:
    """The rows, with those at some places held against what the second source corrected."""
    if several.empty:
        return rows
    assert rows.second is not None, "there is a second source"
    corrected = with_corrections(
        rows.take(indices), settings, lambda at: later_second_source_prices(ordered.iloc[indices[at]], several)
    )
    second, known_at = rows.second.copy(), rows.known_at.copy()
    second[indices], known_at[indices] = corrected.second, corrected.known_at
    return replace(rows, second=second, known_at=known_at)


def _notices(
    rows: Rows,
    kept: BoolArray,
    names: npt.NDArray[np.object_],
    calendar: str,
    settings: CleaningSettings,
    actions: pd.DataFrame | None,
    *,
    whole: bool,
) -> tuple[Notice, ...]:
    sound = rows.take(np.flatnonzero(kept))
    by_factor = (
        *jump_notices(sound, names, settings, actions),
        *factor_notices(rows, kept, names),
        *displaced_bar_notices(sound.in_first_shares(), names, settings),
    )
    return (
        *(() if settings.binary_prices else by_factor),
        # Where trading never stops, an open that equals the close before is how it trades.
        *(() if not whole or never_closes(calendar) else repeated_open_notices(sound, names, settings)),
    )


def _quarantine(
    rows: pd.DataFrame, broken_rule: IntArray, field: ObjectArray, notes: ObjectArray, calendar: str
) -> pd.DataFrame:
    if rows.empty:
        return empty(QUARANTINE)
    holidays = amendments_of(calendar)[1].extra_holidays
    rules = [RULES[number] for number in broken_rule]
    values, messages = [], []
    for row, rule, name, note in zip(named_rows(rows), rules, field, notes, strict=True):
        whole = ", ".join(f"{field} {getattr(row, field)}" for field in _SHOWN)
        value = whole if name == "row" else _value(row, name)
        values.append(value)
        actual = whole if name == "row" else f"{name} {value} in {whole}"
        actual += f", {note}" if note else ""
        remedy = remedy_of(rule, row.session.date(), holidays)
        messages.append(f"expected {rule.demands}; found {actual}; {remedy}")
    framed = rows[["symbol", "session", "source", "known_at"]].assign(
        rule=[rule.name for rule in rules], field=field, value=values, message=messages
    )
    return conform(framed, QUARANTINE)


def _value(row: tuple[object, ...], field: str) -> str:
    value = getattr(row, field)
    return str(value.date()) if field == "session" else str(value)
