"""Contracts of the data beside daily bars: other series, membership of a universe, intraday bars."""

from __future__ import annotations

from nn_assets.contracts.contract import PRICES, at_least_zero, contract, day, moment, number, positive, text, unjudged
from nn_assets.contracts.schemas import BARS

__all__ = ["DELIVERED_SERIES", "INTRADAY_BARS", "INTRADAY_VERSIONS", "MEMBERSHIP", "QUOTES", "SERIES"]

DELIVERED_SERIES = contract(
    "delivered_series",
    {
        "name": text(),
        "symbol": text(),
        "observed_at": moment(),
        "value": unjudged(),
        # Of a file that gives a day's whole range beside its value; NaN elsewhere.
        **{name: unjudged() for name in ("open", "low", "high")},
        "source": text(),
        "known_at": moment(nullable=True),
    },
)
"""Other series as their files give them; ``known_at`` is missing where the file does not say."""

SERIES = contract(
    "series",
    {
        "name": text(),
        "symbol": text(),  # empty: market-wide
        "observed_at": moment(),
        "session": day(),
        "value": number(),
        "source": text(),
        "known_at": moment(),
        "ingested_at": moment(),
    },
)
"""Every version of every observation of the other series; rows are only ever appended."""

MEMBERSHIP = contract(
    "membership",
    {
        "universe": text(),
        "symbol": text(),
        "member_from": day(),
        "member_to": day(nullable=True),  # the first day it is no member; NaT: still one
        "source": text(),
        "known_at": moment(),
        "ingested_at": moment(),
    },
)
"""Every version of every spell of membership; a symbol has a spell for each time it belonged."""

QUOTES = tuple(f"{side}_{price}" for side in ("bid", "ask") for price in PRICES)
"""Columns of a bar's bid and ask, each with its own open, high, low and close."""

_INTRADAY = {
    "symbol": text(),
    "bar_at": moment(),  # the bar's start
    "session": day(),
    **{name: unjudged() for name in (*PRICES, "volume", *QUOTES)},
    "source": text(),
    "known_at": moment(),
    "ingested_at": moment(),
}

INTRADAY_VERSIONS = contract("intraday_versions", _INTRADAY)
"""Every version of every intraday bar, raw as it came; rows are only ever appended."""

INTRADAY_BARS = contract(
    "intraday_bars",
    _INTRADAY
    | {name: positive() for name in PRICES}
    | {"volume": at_least_zero(nullable=True)}
    | {name: positive(nullable=True) for name in QUOTES},
    unique=("symbol", "bar_at"),
    checks=tuple(BARS.checks),
)
"""Clean intraday bars: what their gate lets through."""
