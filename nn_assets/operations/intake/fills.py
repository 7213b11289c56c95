"""Real fills, read from a broker's file into the same ledger. They calibrate costs; the paper book is not moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from nn_assets.contracts import FILLS, validate
from nn_assets.contracts.frames import FillRows
from nn_assets.contracts.statements import EXAMPLE, MAY_HAVE, MUST_HAVE, columns_text
from nn_assets.errors import NnAssetsError, SourceError
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.clock import now_utc
from nn_assets.operations.history import History, open_history
from nn_assets.operations.statements import require_fills_of_the_venue
from nn_assets.sources.days import NUMBER_REMEDY, days_written, moments_written
from nn_assets.sources.protocol import validate_symbol
from nn_assets.sources.tables.columns import FaultText, refuse_first
from nn_assets.sources.tables.limits import USUAL_LIMITS, Limits
from nn_assets.sources.tables.plain_tables import read_texts

_LARGEST = 1e15
_EXAMPLE = EXAMPLE.splitlines()[:2]
_NUMBERS = tuple(name for name in (*MUST_HAVE, *MAY_HAVE) if FILLS.columns[name].kind == "number")
_NEAR = pd.Timedelta(days=2)  # a session may begin on the evening before, and UTC ends it on the day after


def import_fills(strategy: str, file: Path) -> dict[str, Any]:
    """Append the fills of a CSV file to the ledger; those that are there already change nothing.

    Parameters
    ----------
    file : Path
        Columns and what their cells may be: :mod:`nn_assets.contracts.statements`. Others are left out, and named.

    Raises
    ------
    SourceError
        The file cannot be read, lacks a column, or holds more than the limits; or it says of an order at a venue what
        the venue does not say; or a fill is of a symbol that the strategy has no bars of, unlike the order on record
        that it names, or far from its session's bar.
    SchemaError
        A value breaks the contract of fills; every violation is named.
    LedgerError
        A fill id is on record with other values.
    """
    chosen = find_strategy(strategy).strategy
    delivered = _delivered(file, Limits.of(chosen.source))
    left_out = [name for name in delivered.columns if name not in (*MUST_HAVE, *MAY_HAVE)]
    checked, equal = _checked(delivered, chosen.market.calendar, file)
    # Alone: a decision under way counts the fills recorded before it, and none recorded meanwhile.
    with open_history(chosen) as history, history.stores.alone(strategy):
        ledger = history.stores.ledger
        require_fills_of_the_venue(ledger, chosen, checked, str(file))
        _refuse_what_cannot_be(history, checked, file)
        imported = ledger.read("fills", strategy, where={"source": "imported"})[["fill_id", "known_at"]]
        # A fill on record keeps the moment it was first known; the ledger then compares the rest.
        merged = checked.merge(imported, on="fill_id", how="left", suffixes=("", "_first"))
        checked["known_at"] = merged["known_at_first"].combine_first(merged["known_at"]).to_numpy()
        appended = ledger.append("fills", checked, run_id=f"import:{file.name}", strategy=strategy)
    text = f"{strategy}: {appended.inserted} fills imported, {appended.unchanged} were there already"
    text += f", {equal} rows were equal to another" if equal else ""
    text += f"; columns left out: {', '.join(left_out)}" if left_out else ""
    counts = {"delivered": len(checked) + equal, "imported": appended.inserted, "known": appended.unchanged}
    return {"strategy": strategy, **counts, "equal_rows": equal, "columns_left_out": left_out, "text": text}


def read_fills(file: Path, calendar: str, limits: Limits = USUAL_LIMITS) -> tuple[FillRows, int]:
    """Read the fills of a CSV file, known now.

    Returns
    -------
    DataFrame
        Columns of ``FILLS``, a row a fill.
    int
        Rows left out because another says the same.

    Raises
    ------
    SourceError, SchemaError
        As of :func:`import_fills`.
    """
    return _checked(_delivered(file, limits), calendar, file)


def _refuse_what_cannot_be(history: History, fills: FillRows, file: Path) -> None:
    """Refuse fills of symbols that the strategy never had, unlike the order that they name, or far from their bar.

    Where an order is on record the fill must be of its symbol and side, and all of its fills be worth no more than it.
    A price is held against its session's bar where that is published.
    """
    strategy, ledger = history.strategy, history.stores.ledger
    collar = strategy.execution.price_collar_fraction
    try:
        bars = history.published_bars
    except NnAssetsError:  # nothing is published yet
        bars = pd.DataFrame({"symbol": [], "session": [], "low": [], "high": []})
    known = {*strategy.market.symbols, *bars["symbol"].unique()}
    if known:
        expected = f"a symbol that {strategy.name} has bars of"
        _refuse(fills, ~fills["symbol"].isin(known), "symbol", expected, file, "write the symbol as the bars do")
    bar = fills[["symbol", "session"]].merge(bars, how="left", on=["symbol", "session"]).set_axis(fills.index)
    far = (fills["price"] < bar["low"] * (1.0 - collar)) | (fills["price"] > bar["high"] * (1.0 + collar))
    expected = f"a price within {collar:.0%} of the bar of its session"
    _refuse(fills, far, "price", expected, file, "correct the price, the symbol or the session")
    orders = ledger.read("orders", strategy.name).drop_duplicates("client_order_id").set_index("client_order_id")
    named = fills["client_order_id"].isin(orders.index)
    of = orders.reindex(fills["client_order_id"]).set_axis(fills.index)
    remedy = "correct the cell, or leave client_order_id empty where the fill is of no order on record"
    other = named & (of["symbol"] != fills["symbol"])
    _refuse(fills, other, "symbol", "the symbol of the order that the row names", file, remedy)
    against = named & ((of["side"] == "buy") != (fills["quantity"] > 0.0))
    _refuse(fills, against, "quantity", "the side of the order that the row names", file, remedy)
    before = ledger.read("fills", strategy.name, where={"source": "imported"})
    before = before[~before["fill_id"].isin(fills["fill_id"])]
    every = pd.concat([before, fills])
    worth = (every["quantity"] * every["price"]).abs().groupby(every["client_order_id"]).sum()
    most = (of["quantity"] * of["reference_price"]).abs() * (1.0 + collar)
    beyond = named & (fills["client_order_id"].map(worth) > most)
    _refuse(fills, beyond, "quantity", "no more than the order that the rows name", file, remedy)


def _delivered(file: Path, limits: Limits) -> pd.DataFrame:
    remedy = "check the path, and that the file is plain UTF-8 text"
    return read_texts(file, limits, remedy)  # tickers such as TRUE and NAN are texts


def _checked(delivered: pd.DataFrame, calendar: str, file: Path) -> tuple[FillRows, int]:
    distinct = delivered[~delivered.duplicated()]  # a row written twice is one fill
    missing = [name for name in MUST_HAVE if name not in distinct.columns]
    if missing or distinct.empty:
        raise SourceError(
            expected=f"rows of fills, {columns_text()}",
            found=f"no {', '.join(missing)}, in columns {', '.join(distinct.columns)}" if missing else "no row",
            remedy=f"export the fills with these columns, a header line first, such as {' and '.join(_EXAMPLE)}",
            file=str(file),
        )
    frame = distinct.reindex(columns=[*MUST_HAVE, *MAY_HAVE]).assign(source="imported", known_at=now_utc())
    frame["session"] = _days(frame, calendar, file)
    for row, symbol in frame["symbol"].items():
        validate_symbol(symbol, file=str(file), row=int(str(row)))
    for name in ("fill_id", "symbol"):
        _refuse(frame, frame[name].str.strip() == "", name, "a text", file)
    _refuse_other_fill(frame, file)
    for name in _NUMBERS:
        frame[name] = _numbers(frame, name, file)
    frame["filled_at"] = _moments(frame, "filled_at", file)
    _refuse(distinct, frame["quantity"] == 0.0, "quantity", "a number other than zero", file)
    checked: pd.DataFrame = validate(frame[list(FILLS.columns)], FILLS)
    return checked, len(delivered) - len(distinct)


def _days(fills: FillRows, calendar: str, file: Path) -> pd.Series:
    days = days_written(fills["session"])
    days = days.where(days.between("1990-01-01", "2035-12-31")).astype("datetime64[ns]")
    is_session = days.isin(sessions_between(calendar, "1990-01-01", "2035-12-31"))
    _refuse(fills, days.isna(), "session", "a day of 1990 to 2035 as YYYY-MM-DD", file, "write the day year first")
    remedy = (
        "correct the day; a day on which the market traded belongs under extra_sessions in market.calendar_overrides"
    )
    _refuse(fills, ~is_session, "session", f"a session of {calendar}", file, remedy)
    return days


def _numbers(fills: pd.DataFrame, name: str, file: Path) -> pd.Series:
    values = fills[name].where(fills[name].notna() & (fills[name] != ""))
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    wrong = values.notna() & ~(numbers.abs() < _LARGEST)
    _refuse(fills, wrong, name, f"a number below {_LARGEST:g}", file, NUMBER_REMEDY)
    return numbers


def _moments(fills: pd.DataFrame, name: str, file: Path) -> pd.Series:
    is_written = fills[name].notna() & (fills[name] != "")
    moments = moments_written(fills[name])
    far = (moments.dt.tz_localize(None) - fills["session"]).abs() > _NEAR
    remedy = "write it as 2018-01-31 21:15:00+00:00, with the offset from UTC, or leave it empty"
    _refuse(fills, is_written & (moments.isna() | far), name, "a moment of the fill's session", file, remedy)
    return moments.where(is_written)


def _refuse_other_fill(fills: FillRows, file: Path) -> None:
    """Refuse a fill id of two rows that differ: which of them was filled is unknown."""
    fill_id = fills["fill_id"]
    again = fill_id.duplicated()
    if again.any():
        first = fill_id.index[(fill_id == fill_id[again].iloc[0]).to_numpy()][0]
        remedy = "delete the row that is wrong, or give each fill an id of its own; add up partial fills of one id"
        _refuse(fills, again, "fill_id", f"one row a fill, and {fill_id[first]!r} stands in row {first}", file, remedy)


def _refuse(
    fills: pd.DataFrame, wrong: pd.Series, column: str, expected: str, file: Path, remedy: str = "correct the cell"
) -> None:
    refuse_first(fills, wrong, column, file, FaultText(f"{expected} in column {{column}}", remedy), 0)
