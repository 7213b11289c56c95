"""What a broker's file of fills must have and may have, by the contract of fills: for what reads it, and for pages."""

from __future__ import annotations

from nn_assets.contracts.ledger import FILLS

_FROM_ELSEWHERE = ("source", "known_at")
MAY_HAVE = tuple(name for name, column in FILLS.columns.items() if column.nullable)
"""Columns that a file may leave out, and whose cells may be empty: then nothing is stated."""
MUST_HAVE = tuple(name for name in FILLS.columns if name not in (*MAY_HAVE, *_FROM_ELSEWHERE))
EXAMPLE = """\
fill_id,client_order_id,symbol,session,quantity,price,mid_price,half_spread_usd,commission_usd,filled_at
f-1,,SP500,2017-12-04,-10,2639.50,2639.75,2.50,1.00,2017-12-04T14:30:00+00:00
f-2,,NASDAQ,2017-12-04,3,6775.25,,,0.30,
"""
RULES = (
    "CSV in UTF-8 with a header line; columns in any order, others are left out and named. A quantity is negative "
    "where sold, dollars are of the whole fill and positive where they cost. An empty cell says nothing, and only of a "
    "column that may be left out (client_order_id too: then no order is named); NaN, infinite numbers and other texts "
    "in place of numbers are refused with their row. A row written twice is one fill, and a fill imported again "
    "changes nothing."
)


def columns_text() -> str:
    """Which columns a file of fills must and may have, in one sentence."""
    must, may = (", ".join(map(_with_unit, names)) for names in (MUST_HAVE, MAY_HAVE))
    return f"needed: {must}; may be left out, or empty: {may}"


def _with_unit(name: str) -> str:
    column = FILLS.columns[name]
    shown = {"day": "YYYY-MM-DD", "moment": "UTC, as 2018-01-31T21:15:00+00:00"}.get(column.kind, column.unit)
    return name if shown == "none" else f"{name} ({shown})"
