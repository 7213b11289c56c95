"""An account that a desk's own system keeps: orders go out as CSV files, what came of them comes in as CSV files.

In the folder of the account, ``out`` is written here and read there, ``in`` the other way round:

- ``out/orders/ID.csv``, ``out/cancels/ID.csv``: an order, or what asks for its end; put whole, once, never changed.
- ``in/fills-YYYY-MM-DD.csv``: the fills of a UTC day, those before and the new ones.
- ``in/orders.csv``: how each order stands. ``in/positions.csv``, ``in/cash.csv``: what is held, and when it was so.

Each file that comes in ends in a line ``end,N`` that counts its rows: one without was cut off. The desk's system writes
beside (a name that begins with a dot, or ends in ``.tmp``) and renames.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from nn_assets.brokers.numbers import has_control_characters, plain_number, read_number
from nn_assets.execution.own_venues import FileDropSettings
from nn_assets.execution.venue import (
    OrderAtVenue,
    OrderKind,
    OrderStatus,
    VenueClosedError,
    VenueDownError,
    VenueFill,
    VenueOrder,
    VenueRefusedError,
    VenueUnsureError,
)
from nn_assets.store.lake.files import replace_file

SENT = ("client_order_id", "symbol", "quantity", "kind", "session", "price")
CANCELLED = ("client_order_id",)
FILLS = ("fill_id", "client_order_id", "symbol", "quantity", "price", "at", "commission_usd")
ORDERS = ("client_order_id", "symbol", "quantity", "status", "filled_quantity", "reason")
MIDS = ("mid_price", "later_mid_price")
"""Columns that a file of fills may have beside :data:`FILLS`, both or neither; a field may be empty."""
POSITIONS = ("symbol", "quantity", "as_of")
CASH = ("cash_usd", "as_of")

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_FILLS_OF_A_DAY = re.compile(r"fills-(\d{4}-\d{2}-\d{2})\.csv")
_COMES_IN = ("orders.csv", "positions.csv", "cash.csv")
_MAY_PASS = ("half_written", "out_of_date", "reachable")  # the desk's system may be about to write it
_WHOLE = "let the desk's system write the file again: beside, then renamed, its last line counting its rows"
_MENDED = "correct it there, and what makes the desk's system write it so; nothing is taken from any file until then"
_KINDS, _STATUSES = get_args(OrderKind), get_args(OrderStatus)


@dataclass(frozen=True)
class _Row:
    """A line of a file, with its place for errors."""

    file: Path
    number: int
    values: Mapping[str, str]

    def text(self, name: str) -> str:
        return self.values[name]

    def number_of(self, name: str) -> float:
        try:
            return read_number(self.values[name])
        except ValueError as error:
            raise self.fault("number", f"a number as {name}", repr(self.values[name])) from error

    def moment_of(self, name: str) -> pd.Timestamp:
        try:
            moment = pd.Timestamp(self.values[name]).tz_convert("UTC")
            if pd.isna(moment):
                raise ValueError("no moment")
        except (ArithmeticError, TypeError, ValueError) as error:
            shown = repr(self.values[name])
            raise self.fault("moment", f"a moment with its offset from UTC as {name}", shown) from error
        return moment

    def one_of(self, name: str, words: Sequence[str]) -> Any:
        if self.values[name] not in words:
            raise self.fault("word", f"one of {', '.join(words)} as {name}", repr(self.values[name]))
        return self.values[name]

    def fault(self, rule: str, expected: str, found: str) -> VenueDownError:
        return _fault(rule, self.file, expected, found, row=self.number)


@dataclass
class FileDropVenue:
    """The files of one account, as a :class:`~nn_assets.execution.venue.Venue`.

    Parameters
    ----------
    folder : Path
        Of the account; its ``in`` must be there, ``out`` is made.
    """

    folder: Path
    _fills_of: dict[Path, tuple[str, list[VenueFill]]] = field(default_factory=dict, repr=False)  # by content

    def send(self, order: VenueOrder) -> None:
        """As of :meth:`.Venue.send`: a file that is put whole, and never over another."""
        self._require_folder()
        if not _ID.fullmatch(order.client_order_id):
            raise self._refused(order, "an id of letters, digits, _ and - (at most 128)", repr(order.client_order_id))
        if any(sign in order.symbol for sign in ',"') or has_control_characters(order.symbol) or not order.symbol:
            raise self._refused(order, "a symbol without commas, quotes and line breaks", repr(order.symbol))
        numbers = (order.quantity, 1.0 if order.price is None else order.price)
        if not all(math.isfinite(number) and number for number in numbers):
            raise self._refused(
                order, "a quantity and a price that are numbers and not 0", f"{numbers[0]}, {order.price}"
            )
        price = "" if order.price is None else plain_number(order.price)
        session = str(pd.Timestamp(order.session).date())
        values = (order.client_order_id, order.symbol, plain_number(order.quantity), order.kind, session, price)
        path, content = self._sent_path(order.client_order_id), _text_of(SENT, values)
        self._put(path, content, order.client_order_id)
        there = _read(path)
        if there != content.encode():
            raise self._refused(order, "an id that no other order has", there.decode("utf-8", "replace")[:200])

    def cancel(self, client_order_id: str) -> None:
        """As of :meth:`.Venue.cancel`."""
        open_ids = {row.client_order_id for row in self.orders([client_order_id]) if row.status == "working"}
        if client_order_id in open_ids:  # whether or not its own file was taken away once it was read
            path = self.folder / "out" / "cancels" / f"{client_order_id}.csv"
            self._put(path, _text_of(CANCELLED, (client_order_id,)), client_order_id)

    def orders(self, client_order_ids: Collection[str] = ()) -> Sequence[OrderAtVenue]:
        """As of :meth:`.Venue.orders`: what the desk says of an order; else as it was sent, filled as far as it says.

        An order that ``in/orders.csv`` does not name is given as one that nothing is told of.
        """
        fills = self._all_fills()
        filled: dict[tuple[str, str], float] = {}
        for fill in fills:
            key = fill.client_order_id, fill.symbol
            filled[key] = filled.get(key, 0.0) + fill.quantity
        orders = {row.client_order_id: row for row in self._sent(filled)}
        orders |= self._reported_orders()
        asked = set(client_order_ids)
        return [row for name, row in orders.items() if row.status == "working" or name in asked]

    def fills(self, since: pd.Timestamp) -> Sequence[VenueFill]:
        """As of :meth:`.Venue.fills`."""
        return [fill for fill in self._all_fills() if fill.at >= since]

    def positions(self) -> Mapping[str, float]:
        """As of :meth:`.Venue.positions`; older than the newest fill they are refused as out of date."""
        rows = self._rows(self.folder / "in" / "positions.csv", POSITIONS, may_be_empty=True)
        self._require_as_new_as_fills(rows)
        held: dict[str, float] = {}
        for row in rows:
            if row.text("symbol") in held:
                raise row.fault("doubled", "each symbol once", row.text("symbol"))
            held[row.text("symbol")] = row.number_of("quantity")
        return {symbol: quantity for symbol, quantity in held.items() if quantity}

    def cash(self) -> float:
        """As of :meth:`.Venue.cash`; likewise."""
        rows = self._rows(self.folder / "in" / "cash.csv", CASH)
        self._require_as_new_as_fills(rows)
        if len(rows) != 1:
            raise rows[1].fault("doubled", "one row", f"{len(rows)} rows")
        return rows[0].number_of("cash_usd")

    # --- files ----------------------------------------------------------------------------------------

    def _require_folder(self) -> Path:
        inbox = self.folder / "in"
        try:
            if inbox.is_dir():
                return inbox
            found = "no such folder"
        except OSError as error:
            found = f"{type(error).__name__}: {error}"
        raise VenueDownError(
            expected=f"the folder {inbox}, which the desk's own system writes into",
            found=found,
            remedy="mount or make it, and start the desk's system",
            file=str(inbox),
            rule="reachable",
        )

    def _sent_path(self, client_order_id: str) -> Path:
        return self.folder / "out" / "orders" / f"{client_order_id}.csv"

    def _put(self, path: Path, content: str, client_order_id: str) -> None:
        if path.exists():
            return
        try:
            with replace_file(path, if_absent=True) as staged:
                staged.write_bytes(content.encode())
                staged.chmod(path.parent.stat().st_mode & 0o666)  # whoever may read the folder may read its orders
        except FileExistsError:
            return
        except OSError as error:
            raise VenueUnsureError(
                expected=f"the file {path.name} in place",
                found=f"{type(error).__name__}: {error}",
                remedy="ask for the order by its id; free the disk or restore the right to write there",
                client_order_id=client_order_id,
                file=str(path),
            ) from error

    @staticmethod
    def _refused(order: VenueOrder, expected: str, found: str) -> VenueRefusedError:
        return VenueRefusedError(
            expected=expected,
            found=found,
            remedy="the order is not handed over; correct what makes it",
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            reason=f"expected {expected}; found {found}",
        )

    def _rows(self, path: Path, columns: Sequence[str], *, may_be_empty: bool = False) -> list[_Row]:
        self._require_folder()
        rows = _parsed(path, _read(path), columns)
        if not rows and not may_be_empty:
            raise _fault("half_written", path, "a row", "none")
        return rows

    def _sent(self, filled: Mapping[tuple[str, str], float]) -> Iterable[OrderAtVenue]:
        self._require_folder()
        folder = self.folder / "out" / "orders"
        for path in sorted(folder.glob("*.csv")) if folder.is_dir() else ():
            rows = _parsed(path, _read(path), SENT)
            if [row.text("client_order_id") for row in rows] != [path.stem]:
                found = f"{len(rows)} rows" if len(rows) > 1 else "another, or none"
                raise _fault("renamed", path, f"the order {path.stem} in it, and no other", found)
            row = rows[0]
            quantity = row.number_of("quantity")
            done = filled.get((path.stem, row.text("symbol")), 0.0)
            if done * quantity < 0.0 or abs(done) > abs(quantity):
                done = 0.0  # one of them is mistyped, so that none tells of an end
            whole = done == quantity
            status: OrderStatus = "filled" if whole else "working"
            yield OrderAtVenue(path.stem, row.text("symbol"), quantity, status, done, is_silent=True)

    def _reported_orders(self) -> dict[str, OrderAtVenue]:
        path = self.folder / "in" / "orders.csv"
        if not path.exists():
            return {}
        reported: dict[str, OrderAtVenue] = {}
        for row in self._rows(path, ORDERS, may_be_empty=True):
            name = row.text("client_order_id")
            if name and name in reported:
                raise row.fault("doubled", "each order once", name)
            reported[name or f"row {row.number}"] = OrderAtVenue(
                name,
                row.text("symbol"),
                row.number_of("quantity"),
                row.one_of("status", _STATUSES),
                row.number_of("filled_quantity"),
                row.text("reason") or None,
            )
        return reported

    def _all_fills(self) -> list[VenueFill]:
        """Every fill of every day, each once.

        Raises
        ------
        VenueDownError
            A file is cut off, is there twice, bears a name that its rows do not, or says of a fill what another does
            not.
        """
        inbox, seen, contents = self._require_folder(), dict[str, VenueFill](), dict[str, Path]()
        for path in sorted(inbox.iterdir()):
            if path.name.startswith(".") or path.name.endswith(".tmp") or path.name in _COMES_IN:
                continue
            match = _FILLS_OF_A_DAY.fullmatch(path.name)
            if match is None:
                expected = f"only {', '.join(_COMES_IN)} and fills-YYYY-MM-DD.csv"
                raise _fault("renamed", path, expected, path.name)
            content = _read(path)
            digest = hashlib.sha256(content).hexdigest()
            fills = self._fills_in(path, digest, content, match[1])
            if fills and digest in contents:
                raise _fault("doubled", path, "each file once", f"the content of {contents[digest].name} again")
            contents[digest] = path
            for fill in fills:
                if fill.fill_id in seen:
                    raise _fault("doubled", path, "each fill once", fill.fill_id)
                seen[fill.fill_id] = fill
        return list(seen.values())

    def _fills_in(self, path: Path, digest: str, content: bytes, day: str) -> list[VenueFill]:
        known = self._fills_of.get(path)
        if known is not None and known[0] == digest:
            return known[1]
        fills = []
        for row in _parsed(path, content, FILLS, (*FILLS, *MIDS)):
            at = row.moment_of("at")
            if str(at.date()) != day:
                raise row.fault("renamed", f"fills of {day}, as the file is called", f"one at {at}")
            if not row.text("fill_id"):
                raise row.fault("id", "an id of each fill", "none")
            commission = row.number_of("commission_usd") if row.text("commission_usd") else None
            numbers = row.number_of("quantity"), row.number_of("price")
            mids = [row.number_of(name) if row.text(name) else None for name in MIDS]
            names = row.text("fill_id"), row.text("client_order_id"), row.text("symbol")
            fills.append(VenueFill(*names, *numbers, at, commission, *mids))
        self._fills_of[path] = digest, fills
        return fills

    def _require_as_new_as_fills(self, rows: Sequence[_Row]) -> None:
        newest = max((fill.at for fill in self._all_fills()), default=None)
        for row in rows:
            as_of = row.moment_of("as_of")
            if newest is not None and as_of < newest:
                raise row.fault("out_of_date", f"what there was at {newest}, when the newest fill was made", str(as_of))


def open_file_drop(account: str, settings: FileDropSettings) -> FileDropVenue:
    """Open the files of an account. Nothing is read yet."""
    return FileDropVenue(Path(settings.folder) / account)


def _text_of(columns: Sequence[str], values: Sequence[str]) -> str:
    return f"{','.join(columns)}\n{','.join(values)}\nend,1\n"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _fault("reachable", path, "the file", f"{type(error).__name__}: {error.strerror}") from error


def _parsed(path: Path, content: bytes, columns: Sequence[str], wider: Sequence[str] = ()) -> list[_Row]:
    """The rows of a file that is whole: a header, rows of as many fields, and a last line that counts them."""
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _fault("half_written", path, "CSV in UTF-8", f"{type(error).__name__}: {error}") from error
    lines = [line for line in lines if line]
    if not content.endswith(b"\n") or not lines or lines[-1] != ["end", str(len(lines) - 2)]:
        last = ",".join(lines[-1])[:80] if lines else "nothing"
        raise _fault("half_written", path, f"a last line end,{max(len(lines) - 2, 0)}", last)
    if wider and tuple(lines[0]) == tuple(wider):
        columns = wider
    if tuple(lines[0]) != tuple(columns):
        raise _fault("columns", path, ",".join(columns), ",".join(lines[0])[:200])
    rows = []
    for number, line in enumerate(lines[1:-1], start=2):
        if len(line) != len(columns):
            raise _fault("fields", path, f"{len(columns)} fields", f"{len(line)}", row=number)
        odd = [field for field in line if has_control_characters(field)]
        if odd:
            raise _fault("characters", path, "fields without control characters", repr(odd[0])[:80], row=number)
        rows.append(_Row(path, number, dict.fromkeys(wider, "") | dict(zip(columns, line, strict=True))))
    return rows


def _fault(rule: str, path: Path, expected: str, found: str, row: int | None = None) -> VenueDownError:
    kind, remedy = (VenueDownError, _WHOLE) if rule in _MAY_PASS else (VenueClosedError, _MENDED)
    return kind(
        expected=f"{expected} in {path.parent.name}/{path.name}",
        found=found,
        remedy=remedy,
        file=str(path),
        row=row,
        rule=rule,
    )
