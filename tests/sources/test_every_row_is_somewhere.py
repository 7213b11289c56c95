"""Of every intake: rows delivered = rows stored + in quarantine + equal to another + later than asked +
of other symbols or sessions; or all refused.

Each file holds two equal rows, and rows at fault of its kind. What was delivered is counted from the file's lines.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.contracts import DELIVERED_SERIES, conform
from nn_assets.errors import SourceError
from nn_assets.market.facts.bars import with_assumed_known_at
from nn_assets.market.facts.intraday import stamped_intraday
from nn_assets.market.facts.series_intake import JudgedSeries, judge_series
from nn_assets.market.quality.cleaning import clean
from nn_assets.market.quality.intraday_cleaning import clean_intraday
from nn_assets.operations.intake.fills import read_fills
from nn_assets.settings import CleaningSettings, FileSeriesSettings, FundingSeriesSettings, IntradaySettings
from nn_assets.sources.answers import action_table
from nn_assets.sources.protocol import first_outside, taken_outside
from nn_assets.sources.tables.actions_file import ActionsFile
from nn_assets.sources.tables.files import FilesSource
from nn_assets.sources.tables.intraday_files import read_intraday_files
from nn_assets.sources.tables.series_files import read_series_file

ARRIVED = pd.Timestamp("2025-03-01T12:00Z").as_unit("ns")
UNTIL = pd.Timestamp("2025-01-08T22:00Z")
Sums = tuple[int, int, int, int]  # stored, in quarantine, equal to another, later than asked


def bars(file: Path) -> Sums:
    result = clean(with_assumed_known_at(FilesSource(file).bars(), "XNYS", 30, ARRIVED), "XNYS", CleaningSettings())
    return len(result.bars), len(result.quarantine), result.equal_rows, 0


def intraday(file: Path) -> Sums:
    settings = IntradaySettings(path=file.name, bar_minutes=60)
    frame = stamped_intraday(read_intraday_files(file.parent, settings), "24/7", settings, ARRIVED)
    result = clean_intraday(frame, "24/7", settings, CleaningSettings())
    return len(result.bars), len(result.quarantine), result.equal_rows, 0


def sums_of(judged: JudgedSeries) -> Sums:
    return len(judged.observations), len(judged.quarantine), judged.equal_rows, judged.later


def series(file: Path) -> Sums:
    settings = FileSeriesSettings(name="fear", path=file.name, lag_minutes=1)
    return sums_of(judge_series(read_series_file(file.parent, settings, "XNYS"), settings, "XNYS", until=UNTIL))


def funding(file: Path) -> Sums:
    rates = pd.read_csv(file, parse_dates=["observed_at"])
    unstated = pd.Series(pd.NaT, index=rates.index, dtype="datetime64[ns, UTC]")
    none = dict.fromkeys(("open", "low", "high"), float("nan"))
    rates = rates.assign(name="paid", symbol="AAA", source="exchange", known_at=unstated, **none)
    settings = FundingSeriesSettings(name="paid", kind="ccxt_funding", exchange="binance", symbols=["AAA"])
    return sums_of(judge_series(conform(rates, DELIVERED_SERIES), settings, "24/7", until=UNTIL))


def actions(file: Path) -> Sums:
    lines = file.read_text(encoding="utf-8").split()[1:]
    return len(ActionsFile(file).actions()), 0, len(lines) - len(set(lines)), 0


def fills(file: Path) -> Sums:
    read, equal = read_fills(file, "XNYS")
    return len(read), 0, equal, 0


BAR = "{},10,11,9,10,1000"
INTAKES: dict[str, tuple[Callable[[Path], Sums], list[str], Sums]] = {
    "bars": (
        bars,
        [
            "date,open,high,low,close,volume",
            *(BAR.format(day) for day in ("2025-01-02", "2025-01-02", "2025-01-03", "2025-01-04")),
            "2025-01-06,10,11,9,,1000",
            "2025-01-07,10,11,9,10,1000",
            "2025-01-07,10,11,9,10.5,1000",
        ],
        (1, 5, 1, 0),
    ),
    "intraday": (
        intraday,
        [
            "date,open,high,low,close,volume",
            *(BAR.format(f"2025-01-02T{hour}Z") for hour in ("00:00", "00:00", "01:00", "02:30")),
            "1735786800,10,11,9,10,1000",
            "1735790400000,10,11,9,10,1000",
            "1735794000000000,10,11,12,10,1000",
        ],
        (4, 2, 1, 0),
    ),
    "series": (
        series,
        ["date,close", "2025-01-02,17", "2025-01-02,17", "2025-01-03,", "2025-01-04,18", "2025-01-13,19"],
        (1, 2, 1, 1),
    ),
    "funding": (
        funding,
        [
            "observed_at,value",
            *("2025-01-02T00:00Z,0.1", "2025-01-02T00:00Z,0.1", "2025-01-02T08:30Z,0.1", "2025-02-02T00:00Z,0.1"),
            "2025-01-02T16:00Z,",
        ],
        (1, 2, 1, 1),
    ),
    "actions": (
        actions,
        ["symbol,ex_session,kind,value", "A,2025-01-02,split,2", "A,2025-01-02,split,2", "A,2025-01-03,dividend,1"],
        (2, 0, 1, 0),
    ),
    "fills": (
        fills,
        [
            "fill_id,client_order_id,symbol,session,quantity,price",
            *("1,a,A,2025-01-02,10,5", "1,a,A,2025-01-02,10,5", "2,b,A,2025-01-03,-1,5"),
        ],
        (2, 0, 1, 0),
    ),
}


@pytest.mark.parametrize("name", INTAKES)
def test_every_row_delivered_is_stored_or_in_quarantine_or_counted(tmp_path: Path, name: str) -> None:
    take, lines, expected = INTAKES[name]
    file = tmp_path / "AAA.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sums = take(file)
    assert sums == expected
    assert sum(sums) == len(lines) - 1


@pytest.mark.parametrize("name", INTAKES)
def test_a_row_that_cannot_be_read_refuses_them_all(tmp_path: Path, name: str) -> None:
    take, lines, _ = INTAKES[name]
    if name == "funding":
        pytest.skip("rates come from an exchange's answer, not from a file")
    file = tmp_path / "AAA.csv"
    file.write_text("\n".join([*lines, lines[-1].replace("2025", "much").replace("1735", "much")]), encoding="utf-8")
    with pytest.raises(SourceError):
        take(file)


SPAN = pd.Timestamp("2025-01-02"), pd.Timestamp("2025-01-06")


def test_actions_of_other_symbols_and_days_are_counted_whoever_tells_them(tmp_path: Path) -> None:
    """Two of the six are asked for: of AAA, up to 2025-01-06."""
    rows = [
        *(("AAA", day, "split", "2") for day in ("2024-12-31", "2025-01-02", "2025-01-06", "2025-01-07")),
        ("BBB", "2025-01-03", "dividend", "0.1"),
        ("BBB", "2025-01-03", "delisting", "0"),
    ]
    file = tmp_path / "actions.csv"
    file.write_text("\n".join(["symbol,ex_session,kind,value", *map(",".join, rows)]) + "\n", encoding="utf-8")
    asked = ActionsFile(file).actions(("AAA",), *SPAN)
    assert (len(asked), taken_outside(asked), taken_outside(asked)) == (2, 4, 0)
    every = ActionsFile(file).actions()
    assert (len(every), taken_outside(every)) == (6, 0)
    of_aaa = [(symbol, day, kind, float(value)) for symbol, day, kind, value in rows[:4]]
    of_bbb = [(symbol, day, kind, float(value)) for symbol, day, kind, value in rows[4:]]
    answered = action_table("vendor", of_aaa, *SPAN, of_bbb)
    assert (len(answered), taken_outside(answered)) == (2, 4)
    for actions, source in ((asked, "actions:actions.csv"), (answered, "vendor")):  # the future comes last
        assert [(symbol, str(day.date()), origin) for symbol, day, origin in first_outside(actions)] == [
            ("AAA", "2024-12-31", f"split, {source}"),
            ("BBB", "2025-01-03", f"dividend, {source}"),
            ("BBB", "2025-01-03", f"delisting, {source}"),
            ("AAA", "2025-01-07", f"split, {source}"),
        ]


def test_daily_rows_of_other_symbols_and_sessions_are_counted(tmp_path: Path) -> None:
    """Three of the six lines are asked for: of AAA, up to 2025-01-06."""
    days = {"AAA": ("2024-12-31", "2025-01-02", "2025-01-03", "2025-01-06", "2025-01-07"), "BBB": ("2025-01-03",)}
    lines = [f"{symbol},{BAR.format(day)}" for symbol, days_of in days.items() for day in days_of]
    text = "\n".join(["symbol,date,open,high,low,close,volume", *lines]) + "\n"
    (tmp_path / "bars.csv").write_text(text, encoding="utf-8")
    span = pd.Timestamp("2025-01-02"), pd.Timestamp("2025-01-06")
    asked = FilesSource(tmp_path).bars(("AAA",), *span)
    assert (len(asked), taken_outside(asked)) == (3, len(lines) - 3)
    assert taken_outside(asked) == 0
    early, other, late = ("AAA", "2024-12-31"), ("BBB", "2025-01-03"), ("AAA", "2025-01-07")  # the future comes last
    expected = [(symbol, pd.Timestamp(day), "files:bars.csv") for symbol, day in (early, other, late)]
    assert (first_outside(asked), first_outside(asked)) == (expected, [])
    every = FilesSource(tmp_path).bars()
    assert (len(every), taken_outside(every)) == (len(lines), 0)
