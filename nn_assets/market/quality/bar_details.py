"""Rules for what a source says of a bar beyond its prices and volume: a faulty detail is left out, its bar stays.

Each detail is judged by its own row alone, on arrival; what is left out goes to quarantine with rule, value and source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.contracts import BRACKET_TOLERANCE, DETAILS, QUARANTINE, conform, empty
from nn_assets.contracts.frames import DeliveredBars, Quarantine

CONTRADICTED = "details_contradicted"


@dataclass(frozen=True, eq=False)
class JudgedDetails:
    """Details of delivered bars.

    Attributes
    ----------
    rows : bool array, shape (rows delivered,)
        Which rows carry any detail, faulty ones included.
    details : DataFrame
        The rows that do, with every column of ``DETAILS``; NaN for what is missing, or faulty.
    quarantine : DataFrame
        Columns of ``QUARANTINE`` but ``known_at``, and ``row``, which of the details' rows it is: the faulty ones.
    """

    rows: BoolArray
    details: pd.DataFrame
    quarantine: pd.DataFrame


def judge_details(delivered: DeliveredBars) -> JudgedDetails | None:
    """Judge the details of a delivery; None where it has no column of any.

    Parameters
    ----------
    delivered : DataFrame
        Columns of ``DELIVERED_BARS``, and any of ``DETAILS``, float64; NaN where there is none.
    """
    present = [name for name in DETAILS if name in delivered.columns]
    if not present:
        return None
    rows = delivered[present].notna().any(axis=1).to_numpy()
    carrying = delivered[rows].reset_index(drop=True)
    carrying = carrying.assign(**dict.fromkeys(set(DETAILS) - set(present), np.nan))
    values = {name: carrying[name].to_numpy(dtype=np.float64) for name in DETAILS}
    taken_out = {name: np.zeros(len(carrying), dtype=bool) for name in DETAILS}
    findings = []
    for rule, name, faulty, demand in _faults(carrying, values):
        fresh = faulty & ~taken_out[name]
        taken_out[name] |= fresh
        if fresh.any():
            findings.append(_finding(carrying[fresh], rule, name, demand))
    sound = {name: np.where(taken_out[name], np.nan, values[name]) for name in DETAILS}
    quarantine = pd.concat(findings, ignore_index=True) if findings else _nothing()
    return JudgedDetails(rows, carrying.assign(**sound), quarantine)


def _nothing() -> pd.DataFrame:
    return empty(QUARANTINE).drop(columns="known_at").assign(row=np.empty(0, dtype=np.int64))


def _faults(carrying: pd.DataFrame, values: dict[str, FloatArray]) -> Iterator[tuple[str, str, BoolArray, str]]:
    """Rule, detail, where it is broken, and what it demands; what is missing breaks none."""
    for name in DETAILS:
        yield "details_finite", name, np.isinf(values[name]), "a finite number"
    for name in ("vwap", "bid", "ask"):
        yield "details_positive", name, values[name] <= 0.0, "a price above zero"
    low, high = (carrying[name].to_numpy(dtype=np.float64) for name in ("low", "high"))
    vwap = values["vwap"]
    outside = (vwap < low * (1.0 - BRACKET_TOLERANCE)) | (vwap > high * (1.0 + BRACKET_TOLERANCE))
    yield "vwap_in_range", "vwap", outside, "low <= vwap <= high"
    crossed = (values["bid"] > values["ask"]) & (values["ask"] > 0.0) & np.isfinite(values["bid"])
    for name in ("bid", "ask"):
        yield "quotes_crossed", name, crossed, "bid <= ask"
    trades = values["trades"]
    yield "trades_counted", "trades", (trades < 0.0) | (trades != np.floor(trades)) & ~np.isnan(trades), "a count"
    yield "spread_not_negative", "effective_spread", values["effective_spread"] < 0.0, "no spread below zero"


def _finding(rows: pd.DataFrame, rule: str, name: str, demand: str) -> pd.DataFrame:
    values = [f"{value:.10g}" for value in rows[name]]
    beside = zip(values, rows["low"], rows["high"], rows["bid"], rows["ask"], strict=True)
    messages = [
        f"expected {demand}; found {name} {value} beside low {low:g}, high {high:g}, bid {bid:g}, ask {ask:g}; the bar "
        "stays without it: correct it at the source"
        for value, low, high, bid, ask in beside
    ]
    framed = rows[["symbol", "session", "source"]].assign(row=rows.index)
    return framed.assign(rule=rule, field=name, value=values, message=messages).reset_index(drop=True)


def contradicted_details(contents: pd.DataFrame) -> Quarantine:
    """Rows that say two things of one bar at one moment, for quarantine: of such a bar no detail is used."""
    values = [", ".join(f"{name} {row[name]:.10g}" for name in DETAILS) for _, row in contents.iterrows()]
    message = "two rows of one bar say different details; none of them is used: ask the source which is right"
    columns = contents[["symbol", "session", "source", "known_at"]].reset_index(drop=True)
    return conform(columns.assign(rule=CONTRADICTED, field="row", value=values, message=message), QUARANTINE)
