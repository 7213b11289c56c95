"""From raw bars to clean ones: every row is kept as it came or put into quarantine, never mended.

Row rules judge a row by itself, series rules against the rows before it; what rows after t say
never changes the verdict on t. A row goes to quarantine once, under the first rule it breaks, with
the field and value to blame. What a person should judge is pointed out in notices, and kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import named_rows
from nn_assets.contracts import BAR_VERSIONS, QUARANTINE, conform
from nn_assets.contracts.frames import ActionVersions, BarVersions, ComparedBars, DailyBars, Quarantine
from nn_assets.market.calendar.sessions import never_closes
from nn_assets.market.facts.compared import said_later, with_several_versions
from nn_assets.market.facts.rows import (
    BoolArray,
    IntArray,
    ObjectArray,
    Rows,
    equal_to_the_row_before,
    ordered_by_symbol,
    rows_of,
)
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
from nn_assets.market.quality.row_rules import ROW_RULES, Rule, remedy_of
from nn_assets.settings import CleaningSettings
from nn_assets.settings.calendar_file import amendments_of

__all__ = ["RULES", "Cleaned", "clean"]

RULES: tuple[Rule, ...] = (*ROW_RULES, *HISTORY_RULES)
_PASSED = -1
_COPIED = next(number for number, rule in enumerate(RULES) if rule.name == COPIED_BAR)
_SHOWN = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Cleaned:
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
    compared : int, optional
        Rows of which a second source had a bar in time; None where there is no second source.
    """

    bars: DailyBars
    quarantine: Quarantine
    notices: tuple[Notice, ...]
    equal_rows: int = 0
    compared: int | None = None

    @property
    def quarantined_fraction(self) -> float:
        """Share of the rows given in that are in quarantine; 0 of none."""
        rows = len(self.bars) + len(self.quarantine)
        return len(self.quarantine) / rows if rows else 0.0

    def counts(self) -> dict[str, int]:
        """Rows in quarantine by rule, rules that found none included, in the rules' order."""
        found = self.quarantine["rule"].value_counts()
        return {rule.name: int(found.get(rule.name, 0)) for rule in RULES}


def clean(
    bars: BarVersions,
    calendar: str,
    settings: CleaningSettings,
    actions: ActionVersions | None = None,
    compared: ComparedBars | None = None,
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

    Returns
    -------
    Cleaned
        Whether row t is kept depends on rows up to t alone.

    Raises
    ------
    SchemaError
        A column is absent or of a type that cannot be cast.
    """
    delivered = ordered_by_symbol(conform(bars, BAR_VERSIONS))
    equal = equal_to_the_row_before(delivered, ("symbol", "session"), _SHOWN)
    ordered = delivered[~equal].reset_index(drop=True) if equal.any() else delivered
    rows = rows_of(ordered, calendar, actions, compared)
    comparable = rows.in_first_shares()
    verdict: IntArray = np.full(len(rows), _PASSED, dtype=np.int64)
    field: ObjectArray = np.full(len(rows), "", dtype=object)
    beside: ObjectArray = np.full(len(rows), "", dtype=object)
    for number, rule in enumerate(RULES):
        # Row rules look at every row, so that one fault cannot hide a neighbour's; series rules
        # only at rows that could have been traded on.
        open_places = np.flatnonzero(verdict == _PASSED) if rule in HISTORY_RULES else np.arange(len(rows))
        if rule.name == ODD_PRINT and compared is not None:
            rows = _corrected(rows, open_places, ordered, with_several_versions(compared), settings)
            comparable = rows.in_first_shares()
        asked = rows if rule in ROW_RULES or rule.name in IN_SHARES_AS_DELIVERED else comparable
        finding = rule.find(asked.take(open_places) if rule in HISTORY_RULES else asked, settings)
        places = open_places[finding.at_fault]
        fresh = verdict[places] == _PASSED
        verdict[places[fresh]], field[places[fresh]] = number, finding.field[fresh]
        if finding.beside is not None:
            beside[places[fresh]] = finding.beside[fresh]
    kept = verdict == _PASSED
    sound = ordered[kept].reset_index(drop=True)
    if compared is not None:
        sound["known_at"] = pd.DatetimeIndex(rows.known_at[kept], tz="UTC").as_unit(ordered["known_at"].dt.unit)
    names = np.asarray(pd.unique(ordered["symbol"]), dtype=object)
    quarantine = _quarantine(ordered[~kept], verdict[~kept], field[~kept], beside[~kept], calendar)
    return Cleaned(
        bars=sound,
        quarantine=quarantine,
        notices=(
            *_notices(rows, kept, names, calendar, settings, actions),
            *copied_bar_notices(ordered, rows, kept, verdict == _COPIED),
            *not_compared_notices(rows),
            *odd_print_notices(rows.take(np.flatnonzero(kept)), names, quarantine, settings),
        ),
        equal_rows=int(equal.sum()),
        compared=None if rows.second is None else int(np.isfinite(rows.second).any(axis=1).sum()),
    )


def _corrected(
    rows: Rows, places: npt.NDArray[np.intp], ordered: pd.DataFrame, several: pd.DataFrame, settings: CleaningSettings
) -> Rows:
    """The rows, with those at some places held against what the second source corrected."""
    if several.empty:
        return rows
    assert rows.second is not None, "there is a second source"
    some = with_corrections(rows.take(places), settings, lambda at: said_later(ordered.iloc[places[at]], several))
    second, known_at = rows.second.copy(), rows.known_at.copy()
    second[places], known_at[places] = some.second, some.known_at
    return replace(rows, second=second, known_at=known_at)


def _notices(
    rows: Rows,
    kept: BoolArray,
    names: npt.NDArray[np.object_],
    calendar: str,
    settings: CleaningSettings,
    actions: pd.DataFrame | None,
) -> tuple[Notice, ...]:
    sound = rows.take(np.flatnonzero(kept))
    return (
        *jump_notices(sound, names, settings, actions),
        *factor_notices(rows, kept, names),
        *displaced_bar_notices(sound.in_first_shares(), names, settings),
        # Where trading never stops, an open that equals the close before is how it trades.
        *(() if never_closes(calendar) else repeated_open_notices(sound, names, settings)),
    )


def _quarantine(
    rows: pd.DataFrame, verdict: IntArray, field: ObjectArray, beside: ObjectArray, calendar: str
) -> pd.DataFrame:
    holidays = amendments_of(calendar)[1].extra_holidays
    rules = [RULES[number] for number in verdict]
    values, messages = [], []
    for row, rule, name, note in zip(named_rows(rows), rules, field, beside, strict=True):
        whole = ", ".join(f"{field} {getattr(row, field)}" for field in _SHOWN)
        value = whole if name == "row" else _value(row, name)
        values.append(value)
        found = whole if name == "row" else f"{name} {value} in {whole}"
        found += f", {note}" if note else ""
        remedy = remedy_of(rule, row.session.date(), holidays)
        messages.append(f"expected {rule.demands}; found {found}; {remedy}")
    framed = rows[["symbol", "session", "source", "known_at"]].assign(
        rule=[rule.name for rule in rules], field=field, value=values, message=messages
    )
    return conform(framed, QUARANTINE)


def _value(row: tuple[object, ...], field: str) -> str:
    value = getattr(row, field)
    return str(value.date()) if field == "session" else str(value)
