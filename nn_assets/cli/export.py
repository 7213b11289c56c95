"""The command ``export``: which tables there are, and which options each can honour."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from nn_assets.cli.table_files import FORMATS, write_file, write_table_file
from nn_assets.contracts.contract import Contract
from nn_assets.contracts.dictionary import dictionary
from nn_assets.errors import LedgerError, SettingsError
from nn_assets.operations.catalog import find_strategy, require_named
from nn_assets.operations.exported_names import ADJUSTED, DICTIONARY, LAKE_TABLES, NAMES_OF_CONTRACTS, TABLES
from nn_assets.operations.exported_tables import read_exported, read_of_ledger, read_of_plugin
from nn_assets.operations.history import open_history
from nn_assets.operations.stores import open_stores
from nn_assets.settings import Strategy
from nn_assets.store.home import absent_ledger

if TYPE_CHECKING:
    from nn_assets.operations.wings import ReadTable

__all__ = ["TABLES", "export_table"]

_WITHOUT_SESSIONS = {
    "trials": "every trial counts against the strategy, whatever the session",
    "audit": "a part of the chain could not be verified",
}
_WITHOUT_MOMENT = {
    "audit": _WITHOUT_SESSIONS["audit"],
    "notices": "they are judged on what is known now",
}
# What pandas would also read, 03/04/2022 say, means two days to two people.
_YEAR_FIRST = re.compile(r"[0-9]{4}-[0-9]{2}(-[0-9]{2}([T ]\S+)?)?")
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")


def export_table(
    table: str,
    out: Path,
    strategy: str,
    first: str | None,
    last: str | None,
    as_of: str | None,
    adjusted: str | None = None,
) -> dict[str, Any]:
    """Write one table to a file, atomically.

    Parameters
    ----------
    table : str
        One of :data:`TABLES`, by that name or its contract's, one that a plug-in of the strategy stores, or
        ``dictionary``: what the columns of all of them are.
    out : Path
        Its suffix says the format: ``.csv``, ``.parquet`` or ``.json``; of the dictionary ``.md``.
    first, last : str, optional
        Sessions (or months), both included.
    as_of : str, optional
        Only what was known at this moment; UTC unless it says otherwise.
    adjusted : str, optional
        ``backward`` or ``forward``, of bars alone: prices and volumes adjusted for the splits and
        dividends known.

    Raises
    ------
    SettingsError
        The table, the format or a date is not known, or what ``write_table_file`` refuses.
    LedgerError
        The home has no ledger yet.
    """
    if table == DICTIONARY:
        return _export_dictionary(out, strategy)
    table = NAMES_OF_CONTRACTS.get(table, table)
    brought = None if table in TABLES else _of_plugin(table, strategy)
    _check_options(table, out, first, last, as_of, brought[0] if brought else None)
    _check_adjusted(table, adjusted)
    moment = _moment("--as-of", as_of)
    low, high = option_day("--from", first), option_day("--to", last)
    if low is not None and high is not None and low > high:
        raise SettingsError(
            expected="a first session that does not lie after the last",
            found=f"{low.date()} to {high.date()}",
            remedy="swap the two",
            key="--from / --to",
        )
    if brought or table in LAKE_TABLES:
        chosen = find_strategy(strategy).strategy
        _require_ledger(strategy)
        with open_history(chosen) as history:
            if brought:
                frame = read_of_plugin(history, *brought, low, high, moment)
            else:
                frame = read_exported(history, table, low, high, moment, adjusted)
    else:
        require_named(strategy)
        _require_ledger(strategy)
        with open_stores() as stores:
            frame = read_of_ledger(stores.ledger, strategy, table, low, high, moment)
    write_table_file(frame, out)
    return {
        "table": table,
        "rows": len(frame),
        "file": str(out),
        "text": f"{len(frame)} rows of {table} in {out}",
    }


def _tables_brought(strategy: Strategy) -> Mapping[Contract, ReadTable]:
    from nn_assets.operations.wings import tables_brought  # seconds, which exports of the package's tables do without

    return tables_brought(strategy)


def _of_plugin(table: str, strategy: str) -> tuple[Contract, ReadTable]:
    """The contract of a table that a plug-in of the strategy stores, and what reads it."""
    chosen = find_strategy(strategy).strategy
    tables = {contract.exported: (contract, read) for contract, read in _tables_brought(chosen).items()}
    if not table or table not in tables:
        raise SettingsError(
            expected=f"one of {', '.join((*TABLES, DICTIONARY, *filter(None, tables)))}",
            found=repr(table),
            remedy="name one of these tables, or with --strategy one whose plug-ins store it",
            key="table",
        )
    return tables[table]


def _export_dictionary(out: Path, strategy: str) -> dict[str, Any]:
    """Write what the columns of every table are, those of the strategy's plug-ins among them."""
    if out.suffix.lower() != ".md":
        raise SettingsError(
            expected="a file that ends in .md", found=str(out), remedy="choose this ending", key="--out"
        )
    brought = list(_tables_brought(find_strategy(strategy).strategy))
    write_file(out, lambda file: file.write_text(dictionary(brought), encoding="utf-8"))
    return {"table": DICTIONARY, "file": str(out), "text": f"the columns of every table in {out}"}


def _require_ledger(strategy: str) -> None:
    """Refuse a home without a ledger: opening it would make one, and an export writes nothing there."""
    if (file := absent_ledger()) is not None:
        raise LedgerError(
            expected="a home that data were taken into",
            found="none of its tables yet: there is no ledger",
            remedy=f"take them in first: nn-assets check --strategy {strategy}",
            file=str(file),
        )


def _check_options(
    table: str, out: Path, first: str | None, last: str | None, as_of: str | None, contract: Contract | None
) -> None:
    """Refuse what a table cannot honour: an option passed over in silence would give another table."""
    if out.suffix.lower() not in FORMATS:
        raise SettingsError(
            expected="a file that ends in .csv, .parquet or .json",
            found=str(out),
            remedy="choose one of these endings",
            key="--out",
        )
    options = {"--from": first, "--to": last, "--as-of": as_of}
    why = {option: _refusal(option, table, contract) for option, value in options.items() if value is not None}
    refused_options = [option for option in why if why[option]]
    if refused_options:
        raise SettingsError(
            expected=f"{table} without {refused_options[0]}: {why[refused_options[0]]}",
            found=f"{refused_options[0]} {options[refused_options[0]]}",
            remedy=f"leave out {' and '.join(refused_options)}",
            key=refused_options[0],
        )


def _refusal(option: str, table: str, contract: Contract | None) -> str | None:
    """Why a table cannot honour an option; None where it can. ``contract`` is that of a plug-in's table."""
    if contract is None:
        return (_WITHOUT_MOMENT if option == "--as-of" else _WITHOUT_SESSIONS).get(table)
    column = "known_at" if option == "--as-of" else "session"
    return None if column in contract.columns else f"it has no column {column}"


def _check_adjusted(table: str, adjusted: str | None) -> None:
    if adjusted is None:
        return
    if adjusted not in ADJUSTED:
        raise SettingsError(
            expected=" or ".join(ADJUSTED), found=repr(adjusted), remedy="correct the option", key="--adjusted"
        )
    if table != "bars":
        raise SettingsError(
            expected=f"{table} without --adjusted: only bars have prices to adjust",
            found=f"--adjusted {adjusted}",
            remedy="leave out --adjusted",
            key="--adjusted",
        )


def option_day(option: str, text: str | None) -> pd.Timestamp | None:
    """The day that an option names, of a month its first or, of ``--to``, its last; None where it names none.

    Raises
    ------
    SettingsError
        It is not written year first.
    """
    moment = _moment(option, text)
    if moment is None:
        return None
    day = moment.tz_localize(None).normalize()
    # A month, as in --to 2017-12, is meant to its end.
    return day + pd.offsets.MonthEnd() if option == "--to" and _MONTH.fullmatch(str(text)) else day


def _moment(option: str, text: str | None) -> pd.Timestamp | None:
    if text is None:
        return None
    try:
        stamp = pd.Timestamp(text) if _YEAR_FIRST.fullmatch(text) else pd.NaT
    except ValueError:
        stamp = pd.NaT
    if pd.isna(stamp):
        month = "" if option == "--as-of" else "a month such as 2017-12, "
        raise SettingsError(
            expected=f"a date such as 2017-12-01, {month}or a time such as 2017-12-01T21:30Z",
            found=repr(text),
            remedy="write the year first, then month and day",
            key=option,
        )
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
