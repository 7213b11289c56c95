"""A desk's own system that is made up: it reads the files of orders, and writes its own as the page says."""

from __future__ import annotations

import csv
import shutil
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

from tests.contracts.venues import CASH, OPENED


class DeskSystem:
    """Keeps an account by the files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.money, self.at = folder, Decimal(str(CASH)), OPENED
        self.orders: dict[str, list[str]] = {}
        self.fills: list[list[str]] = []
        (folder / "in").mkdir(parents=True)
        self.write()

    def fill(self, client_order_id: str, quantity: float, price: float) -> None:
        self.read()
        name, symbol, whole, _, filled, _ = self.orders[client_order_id]
        size = Decimal(str(quantity))
        done = Decimal(filled) + size
        status = "filled" if done == Decimal(whole) else "working"
        self.orders[name] = [name, symbol, whole, status, str(done), ""]
        self.fills.append([f"F{len(self.fills)}", name, symbol, str(size), str(price), self.at.isoformat(), ""])
        self.money -= size * Decimal(str(price))
        self.write()

    def heed(self) -> None:
        self.read()
        for path in (self.folder / "out" / "cancels").glob("*.csv"):
            row = self.orders[path.stem]
            if row[3] == "working":
                self.orders[path.stem] = [*row[:3], "cancelled", row[4], "as asked"]
        self.write()

    def read(self) -> None:
        for path in (self.folder / "out" / "orders").glob("*.csv"):
            name, symbol, quantity, *_ = list(csv.reader(path.read_text().splitlines()))[1]
            self.orders.setdefault(name, [name, symbol, quantity, "working", "0", ""])

    def write(self) -> None:
        held: defaultdict[str, Decimal] = defaultdict(Decimal)
        for row in self.fills:
            held[row[2]] += Decimal(row[3])
        now = self.at.isoformat()
        self.put("fills-2017-06-02", "fill_id,client_order_id,symbol,quantity,price,at,commission_usd", self.fills)
        self.put("orders", "client_order_id,symbol,quantity,status,filled_quantity,reason", list(self.orders.values()))
        self.put("positions", "symbol,quantity,as_of", [[name, str(size), now] for name, size in held.items()])
        self.put("cash", "cash_usd,as_of", [[str(self.money), now]])

    def put(self, name: str, header: str, rows: list[list[str]]) -> None:
        lines = [header, *(",".join(row) for row in rows), f"end,{len(rows)}"]
        staged = self.folder / "in" / f"{name}.csv.tmp"
        staged.write_text("\n".join(lines) + "\n")
        shutil.move(staged, staged.with_suffix(""))
