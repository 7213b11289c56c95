"""Membership of a universe from a file: one row for each spell in which a symbol belonged to it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from nn_assets.errors import SourceError
from nn_assets.settings import UniverseSettings
from nn_assets.sources.tables.columns import column_named, columns_named, days_of, moments_of, symbols_of
from nn_assets.sources.tables.limits import USUAL_LIMITS, Limits
from nn_assets.sources.tables.plain_tables import files_of, read_plain

_SYMBOL = ("symbol", "ticker")
_FROM = ("member_from", "start_date", "from", "start", "added")
_TO = ("member_to", "end_date", "to", "end", "removed")
_KNOWN = ("known_at", "announced_at")


def read_membership_file(folder: Path, settings: UniverseSettings, limits: Limits = USUAL_LIMITS) -> pd.DataFrame:
    """Read the spells of a universe.

    Parameters
    ----------
    folder : Path
        That a relative path starts from.
    settings : UniverseSettings
    limits : Limits
        What is read of a file at most.

    Returns
    -------
    DataFrame
        universe, symbol, member_from, member_to (the first day no longer a member; NaT: still one,
        which a day beyond nanoseconds such as 9999-12-31 says too),
        source, known_at (NaT where the file does not say), ordered by symbol and member_from.

    Raises
    ------
    SourceError
        No file, a missing column, a day that cannot be read, a spell that ends before it begins, two of
        one symbol that overlap, or more than the limits.
    """
    files = files_of(folder / settings.path, "universe.path")
    parts = [_read(file, settings, limits) for file in files]
    spells = pd.concat(parts, ignore_index=True).sort_values(["symbol", "member_from"], kind="stable")
    spells = spells.reset_index(drop=True)
    _refuse_overlaps(spells, {_source_of(file): file for file in files})
    return spells


def _read(file: Path, settings: UniverseSettings, limits: Limits) -> pd.DataFrame:
    table = read_plain(file, limits)
    _, starts, ends = columns_named(table, [_SYMBOL, _FROM, _TO], file)
    known_column = column_named(table, _KNOWN)
    nothing = pd.Series(pd.NaT, index=table.index, dtype="datetime64[ns, UTC]")
    return pd.DataFrame(
        {
            "universe": settings.name,
            "symbol": symbols_of(table, file),
            "member_from": days_of(table, starts, file),
            "member_to": days_of(table, ends, file, nullable=True, far_is_none=True),
            "source": _source_of(file),
            "known_at": nothing
            if known_column is None
            else moments_of(table, known_column, file, nullable=True, known_at=True),
        }
    )


def _source_of(file: Path) -> str:
    return f"membership:{file.name}"


def _refuse_overlaps(spells: pd.DataFrame, files: dict[str, Path]) -> None:
    backwards = spells["member_to"] <= spells["member_from"]
    same = spells["symbol"] == spells["symbol"].shift()
    ended = spells["member_to"].shift()
    overlapping = same & (ended.isna() | (ended > spells["member_from"]))
    for wrong, rule in ((backwards, "spells_end_after_they_begin"), (overlapping, "spells_do_not_overlap")):
        if wrong.any():
            row = spells[wrong].iloc[0]
            end = "with no end" if pd.isna(row["member_to"]) else f"to {row['member_to'].date()}"
            raise SourceError(
                expected="spells that end after they begin, and before the symbol's next one",
                found=f"a spell from {row['member_from'].date()} {end}, first of {int(wrong.sum())}",
                remedy="correct the dates; an open end belongs to a symbol's last spell only",
                file=str(files[row["source"]]),
                symbol=row["symbol"],
                rule=rule,
            )
