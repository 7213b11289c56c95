"""Splits and dividends from a CSV file that a person or a vendor wrote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nn_assets.contracts import DELIVERED_ACTIONS, LEFT_BY, conform, violations
from nn_assets.contracts.frames import DeliveredActions
from nn_assets.errors import SourceError
from nn_assets.sources.days import KNOWN_AT_RULE, NUMBER_REMEDY, days_written, moments_written, without_a_time
from nn_assets.sources.protocol import actions_left, leaving_out, validate_symbol
from nn_assets.sources.tables.limits import USUAL_LIMITS, Limits
from nn_assets.sources.tables.plain_tables import read_texts

_COLUMNS = ("symbol", "ex_session", "kind", "value")
_KINDS = ("split", "dividend", *LEFT_BY)
_MOST_ROWS = 10  # listed in one error
# What 64 bits of nanoseconds hold.
_FIRST, _LAST = pd.Timestamp("1678-01-01", tz="UTC"), pd.Timestamp("2261-12-31", tz="UTC")


class ActionsFile:
    """A CSV with the columns symbol, ex_session, kind and value; others are passed over.

    One row an action: ``split`` with new shares for one old, ``dividend`` with cash per share as
    held on the ex-session, unadjusted, or ``delisting`` with the cash per share that is left, 0 for
    nothing, on the first session without the symbol; of a binary contract ``settlement`` with 1 or 0, likewise. An
    empty value withdraws an action that was delivered before; deleting its row does not. A ``known_at`` column (UTC)
    replaces the moment assumed.

    Parameters
    ----------
    path : Path
    limits : Limits
        What is read of it at most.
    """

    def __init__(self, path: Path, limits: Limits = USUAL_LIMITS) -> None:
        self.path = path
        self.limits = limits

    def actions(
        self,
        symbols: tuple[str, ...] = (),
        first: pd.Timestamp | None = None,
        last: pd.Timestamp | None = None,
    ) -> DeliveredActions:
        """Deliver the actions of the symbols and span asked for, with how many others the file has; none is no error.

        Raises
        ------
        SourceError
            The file cannot be read, lacks a column, has a line of fewer or more cells than its first, more than the
            limits, or holds an action twice, an unknown kind, a date that cannot be read, a value that is not above
            zero (a delisting's may be 0, a settlement's is 0 or 1), a known_at without a time, or an impossible
            symbol: every fault of the first ten lines that have one is told.
        """
        table = self._read()
        chosen = table["symbol"].isin(symbols) if symbols else pd.Series(data=True, index=table.index)
        if first is not None:
            chosen &= table["ex_session"] >= first
        if last is not None:
            chosen &= table["ex_session"] <= last
        actions = table[chosen].sort_values(["symbol", "ex_session", "kind"], ignore_index=True)
        return leaving_out(actions, actions_left(table[~chosen]), last)

    def _read(self) -> pd.DataFrame:
        table = read_texts(self.path, self.limits, "check source.actions_path and the file")
        missing = [name for name in _COLUMNS if name not in table.columns]
        if missing:
            raise self._refusal(f"no column {', '.join(missing)}", "name the columns in the file's first line")
        days, values = days_written(table["ex_session"]), pd.to_numeric(table["value"].str.strip(), errors="coerce")
        moments = {"known_at": moments_written(table["known_at"])} if "known_at" in table.columns else {}
        self._refuse_rows(_faults(table, days, values, moments.get("known_at")))
        parsed = table.assign(ex_session=days, value=values, source=f"actions:{self.path.name}")
        actions = conform(parsed, DELIVERED_ACTIONS)
        actions = actions[~_equal(table).to_numpy()].reset_index(drop=True)
        moments = {name: column[~_equal(table)].reset_index(drop=True) for name, column in moments.items()}
        faults = violations(actions, DELIVERED_ACTIONS)
        if faults:
            found = "; ".join(map(str, faults[:20]))
            raise self._refusal(found, "correct the rows named")
        return actions.assign(**{name: column.dt.as_unit("ns") for name, column in moments.items()})

    def _refuse_rows(self, faults: list[_Fault]) -> None:
        """Refuse the file with every fault of its first lines that have one."""
        at_fault = np.logical_or.reduce([fault.wrong.to_numpy() for fault in faults])
        if not at_fault.any():
            return
        positions, lines = np.flatnonzero(at_fault), faults[0].wrong.index
        row_faults = [[fault for fault in faults if fault.wrong.iloc[position]] for position in positions[:_MOST_ROWS]]
        by_line = [
            f"line {lines[int(position)]}: {', '.join(fault.says.iloc[position] for fault in line_faults)}"
            for position, line_faults in zip(positions, row_faults, strict=False)
        ]
        more = [f"and {len(positions) - _MOST_ROWS} lines more"] if len(positions) > _MOST_ROWS else []
        broken = [fault for line_faults in row_faults for fault in line_faults]
        rules, remedies = (
            dict.fromkeys(values)
            for values in zip(*((row_fault.rule, row_fault.remedy) for row_fault in broken), strict=True)
        )
        raise self._refusal(
            "; ".join([*by_line, *more]), "; ".join(remedies), row=lines[positions[0]], rule=" ".join(rules)
        )

    def _refusal(self, found: str, remedy: str, **where: object) -> SourceError:
        return SourceError(
            expected=f"a CSV file of splits and dividends with columns {', '.join(_COLUMNS)}",
            found=found,
            remedy=remedy,
            file=str(self.path),
            **where,
        )


@dataclass(frozen=True)
class _Fault:
    """A rule that rows of the file may break, which do, what to say of each of them, and what to do about it."""

    rule: str
    wrong: pd.Series
    says: pd.Series
    remedy: str


def _faults(table: pd.DataFrame, days: pd.Series, values: pd.Series, moments: pd.Series | None) -> list[_Fault]:
    """Every rule, and which rows break it."""
    quoted = {name: name + " " + table[name].map(lambda text: repr(text[:80])) for name in _text_columns(table)}
    key = [table["symbol"], days, table["kind"]]
    first = pd.Series(table.index, index=table.index).groupby([*key], dropna=False).transform("min")
    once = ~_equal(table)
    again = pd.concat(key, axis=1)[once].duplicated().reindex(table.index, fill_value=False) & days.notna()
    no_symbol = ~table["symbol"].map(_is_symbol).astype(bool)
    no_number = values.isna() & (table["value"].str.strip() != "")
    no_size = (values < 0.0) | ((values == 0.0) & ~table["kind"].isin(LEFT_BY)) | np.isinf(values)
    no_settlement = (table["kind"] == "settlement") & ~values.isin((0.0, 1.0)) & values.notna() & ~no_size
    kind = "write split, dividend or delisting (of a binary contract, settlement)"
    day = "write dates as YYYY-MM-DD, of the years 1700 to 2261"
    number = f"{NUMBER_REMEDY}; or nothing, to withdraw the action"
    size = "write what is above zero (of a delisting or settlement, 0 too), or nothing to withdraw the action"
    twice = "the action of line " + first.astype("str") + " again"
    one_row = "write one row an action, dividends of one day added up"
    faults = [
        _Fault("legal_symbol", no_symbol, quoted["symbol"], "write the ticker alone"),
        _Fault("dates_are_days", days.isna(), quoted["ex_session"], day),
        _Fault("known_kind", ~table["kind"].isin(_KINDS), quoted["kind"], kind),
        _Fault("numbers_are_numbers", no_number, quoted["value"], number),
        _Fault("possible_value", no_size, quoted["value"], size),
        _Fault("settles_at_one_or_zero", no_settlement, quoted["value"], "write 1 or 0, or nothing to withdraw it"),
        _Fault("one_row_an_action", again, twice, one_row),
    ]
    if moments is None:
        return faults
    written = quoted["known_at"]
    beyond = (moments > _LAST) | (moments < _FIRST)
    no_moment = (moments.isna() & (table["known_at"].str.strip() != "")) | beyond
    a_day = without_a_time(table["known_at"], moments) & ~no_moment
    moment = "write a moment as 2014-06-06T20:30:00Z, or nothing"
    return [
        *faults,
        _Fault("moments_are_moments", no_moment, written, moment),
        _Fault(KNOWN_AT_RULE, a_day, written + ", a day without a time", f"{moment}, or leave the column out"),
    ]


def _text_columns(table: pd.DataFrame) -> list[str]:
    return [name for name in (*_COLUMNS, "known_at") if name in table.columns]


def _equal(table: pd.DataFrame) -> pd.Series:
    """Splits that say what a row above says, letter for letter: written twice, a split is one split.

    Two dividends may have been paid, so that they are no more equal than two sums of money.
    """
    texts = table[_text_columns(table)].apply(lambda column: column.str.strip())
    equal: pd.Series = texts.duplicated() & (table["kind"] == "split")
    return equal


def _is_symbol(text: str) -> bool:
    try:
        validate_symbol(text)
    except SourceError:
        return False
    return True
