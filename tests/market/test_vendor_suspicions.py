"""A vendor's faulty files, each with its twin mended by hand: every fault found, no false alarm on a twin."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.market.quality.notices import Notice
from nn_assets.market.quality.suspected import Suspected

# What was wrong with each file, as the differences to its twin say: rule to number of notices.
FAULTS = {
    "4063-T-1d-bad-div": {"dividend_size": 1},  # one dividend, stated for shares before the split
    "4063-T-1d-bad-stock-split": {"split_misapplied": 1},  # nine bars left unadjusted
    "AET-L-1d-100x-error": {"price_unit": 1},  # pounds and pence
    "ALPHA-PA-1d-bad-stock-split": {"split_misapplied": 1},  # one bar left unadjusted
    "ASAI-L-1h-bad-unit": {"price_unit": 1},  # pounds in the low and close of one bar
    "CLC-L-1d-bad-div": {},  # its factor, which nothing reads, took off a hundredth
    "KAP-IL-1d-bad-div": {"dividend_repeated": 1},
    "KEN-TA-1d-bad-div": {"dividend_repeated": 1},
    "LSC-L-1d-bad-div": {"dividend_size": 4},  # a hundred times too large
    "MOB-ST-1d-bad-stock-split": {"split_misapplied": 1},  # one bar left unadjusted
}
# Two twins had their dividends mended, but not the stretches in which prices turn from pounds to pence.
LEFT_IN_BOTH = {"CLC-L-1d-bad-div": 1, "LSC-L-1d-bad-div": 7}
SOUND = ("CALM-1d-no-bad-divs", "EWG-1d-no-bad-divs")


def found_in(path: Path) -> tuple[Notice, ...]:
    """Notices of a file, whose prices and dividends are told in shares of today, as they would be in shares of then."""
    table = pd.read_csv(path)
    stamps = pd.to_datetime(table.iloc[:, 0].str[:19])
    table = table.assign(session=stamps.dt.normalize() if "1d" in path.name else stamps).sort_values(by="session")
    splits = table["Stock Splits"].fillna(0.0).replace(0.0, 1.0)
    later = splits[::-1].cumprod()[::-1] / splits  # new shares for one of the day
    prices = {name.lower(): table[name] * later for name in ("Open", "High", "Low", "Close")}
    bars = pd.DataFrame({"symbol": "X", "session": table["session"], **prices, "volume": table["Volume"] / later})
    frames = [
        pd.DataFrame({"symbol": "X", "ex_session": table["session"], "kind": kind, "value": values})
        for values, kind in ((table["Dividends"] * later, "dividend"), (table["Stock Splits"], "split"))
    ]
    actions = pd.concat(frames)
    return Suspected.of(bars, actions[actions["value"].fillna(0.0) != 0.0]).notices


def closes_in_another_unit(path: Path) -> int:
    """Times that the close of the file leaves its unit, counted by hand's rule: a hundredfold step."""
    closes = pd.read_csv(path).iloc[:, [0, 4]].dropna().sort_values(by="Datetime")["Close"].to_numpy()
    steps = closes[1:] / closes[:-1]
    off = [step for step in steps if step > 80.0 or step < 1.0 / 80.0]
    return (len(off) + 1) // 2


@pytest.mark.parametrize("case", FAULTS)
def test_every_fault_is_found_and_its_mended_twin_raises_no_alarm(shared_data: Path, case: str) -> None:
    folder = shared_data / "vendor_dirty"
    dirty = Counter(notice.rule for notice in found_in(folder / f"{case}.csv"))
    twin = Counter(notice.rule for notice in found_in(folder / f"{case}-fixed.csv"))
    print(f"{case:28} faulty: {dict(dirty)}  twin: {dict(twin)}")
    left = Counter(price_unit=LEFT_IN_BOTH.get(case, 0))
    assert dirty == Counter(FAULTS[case]) + left
    assert twin == +left


@pytest.mark.parametrize("case", LEFT_IN_BOTH)
def test_the_stretches_left_in_twins_are_truly_there(shared_data: Path, case: str) -> None:
    assert closes_in_another_unit(shared_data / "vendor_dirty" / f"{case}-fixed.csv") == LEFT_IN_BOTH[case]


@pytest.mark.parametrize("case", SOUND)
def test_sound_files_raise_no_alarm(shared_data: Path, case: str) -> None:
    assert found_in(shared_data / "vendor_dirty" / f"{case}.csv") == ()
