"""Halts of instruments from a file: one row for each stretch of sessions on which a symbol did not trade."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from nn_assets.errors import SourceError
from nn_assets.sources.tables.columns import column_named, columns_named, days_of, moments_of, symbols_of
from nn_assets.sources.tables.limits import USUAL_LIMITS, Limits
from nn_assets.sources.tables.plain_tables import files_of, read_plain, read_texts

_SYMBOL = ("symbol", "ticker")
_FROM = ("halted_from", "from", "session", "start", "date")
_TO = ("halted_to", "to", "end", "last")
_RESUMES = ("resumes", "resumed", "resumption")
_KNOWN = ("known_at", "announced_at")
_ONE_DAY = pd.Timedelta(days=1)


def read_halts_file(folder: Path, path: str, limits: Limits = USUAL_LIMITS) -> pd.DataFrame:
    """Read the halts of a file, or of all tables of a folder; one with a header alone says that there are none.

    Parameters
    ----------
    folder : Path
        That a relative path starts from.
    path : str
    limits : Limits
        What is read of a file at most.

    Returns
    -------
    DataFrame
        symbol, halted_from, resumes (the first day that trades again; NaT: halted still), source and known_at (NaT
        where the file does not say), ordered by symbol and halted_from. A column of single sessions, without a last
        one or a resumption, gives a halt of one session each.

    Raises
    ------
    SourceError
        No file, a missing column, a day that cannot be read, a halt that ends before it begins, two of one symbol that
        overlap, or more than the limits.
    """
    files = files_of(folder / path, "halts.path")
    halts = pd.concat([_read(file, limits) for file in files], ignore_index=True)
    halts = halts.sort_values(["symbol", "halted_from"], kind="stable", ignore_index=True)
    backwards = halts["resumes"] <= halts["halted_from"]
    same, ended = halts["symbol"] == halts["symbol"].shift(), halts["resumes"].shift()
    overlapping = same & (ended.isna() | (ended > halts["halted_from"]))
    for wrong, rule, remedy in (
        (backwards, "halts_end_after_they_begin", "correct the days of the row"),
        (overlapping, "halts_do_not_overlap", "write one row for a halt, from its first session to its last"),
    ):
        if wrong.any():
            row = halts[wrong].iloc[0]
            end = "open" if pd.isna(row["resumes"]) else f"until {row['resumes'].date()}"
            raise SourceError(
                expected=f"halts that each end after they begin and do not overlap, {rule}",
                found=f"a halt of {row['symbol']} from {row['halted_from'].date()}, {end}",
                remedy=remedy,
                file=str(row["source"]).removeprefix("halts:"),
                symbol=str(row["symbol"]),
                session=row["halted_from"].date(),
                rule=rule,
            )
    return halts


def _read(file: Path, limits: Limits) -> pd.DataFrame:
    is_text = file.name.lower().endswith((".csv", ".csv.gz"))
    table = read_texts(file, limits) if is_text else read_plain(file, limits)
    _, starts = columns_named(table, [_SYMBOL, _FROM], file)
    first = days_of(table, starts, file)
    resumed, last, known = (column_named(table, names) for names in (_RESUMES, _TO, _KNOWN))
    if resumed is not None:
        resumes = days_of(table, resumed, file, nullable=True, far_is_none=True)
    elif last is not None:
        resumes = days_of(table, last, file, nullable=True, far_is_none=True) + _ONE_DAY
    else:
        resumes = first + _ONE_DAY
    nothing = pd.Series(pd.NaT, index=table.index, dtype="datetime64[ns, UTC]")
    known_at = nothing if known is None else moments_of(table, known, file, nullable=True, known_at=True)
    columns = {"symbol": symbols_of(table, file), "halted_from": first, "resumes": resumes, "known_at": known_at}
    return pd.DataFrame(columns).assign(source=f"halts:{file.name}")
