"""Mutations of rows, whatever the files they are laid out in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from random import Random

from tests.hostile.good import Good, Row, changed

RowMutation = Callable[[Good, Random], list[Row]]
PRICES = ("open", "high", "low", "close")


def _few(good: Good, rng: Random, change: Callable[[Row], Row], most: int = 4) -> list[Row]:
    """One to ``most`` rows changed."""
    rows = list(good.rows)
    for index in rng.sample(range(len(rows)), rng.randint(1, most)):
        rows[index] = change(rows[index])
    return rows


def _cells(*values: str, columns: tuple[str, ...] = PRICES) -> RowMutation:
    """Cells of some columns replaced."""
    return lambda good, rng: _few(good, rng, lambda row: changed(row, **{rng.choice(columns): rng.choice(values)}))


def swapped_high_and_low(good: Good, rng: Random) -> list[Row]:
    return _few(good, rng, lambda row: changed(row, high=row.low, low=row.high))


def hundredfold(good: Good, rng: Random) -> list[Row]:
    factor = rng.choice([100.0, 0.01])

    def change(row: Row) -> Row:
        return changed(row, **{name: repr(float(getattr(row, name)) * factor) for name in PRICES})

    return _few(good, rng, change)


def duplicated(good: Good, rng: Random) -> list[Row]:
    rows = list(good.rows)
    return rows + rng.choices(rows, k=rng.randint(1, 3))


def conflicting(good: Good, rng: Random) -> list[Row]:
    rows = list(good.rows)
    extra = [changed(row, volume=repr(float(row.volume) + 1.0)) for row in rng.choices(rows, k=rng.randint(1, 2))]
    return rows + extra


def unsorted(good: Good, rng: Random) -> list[Row]:
    return rng.sample(good.rows, len(good.rows))


def missing_sessions(good: Good, rng: Random) -> list[Row]:
    rows = list(good.rows)
    for _ in range(rng.randint(1, 8)):
        rows.pop(rng.randrange(len(rows)))
    return rows


def last_session_missing(good: Good, rng: Random) -> list[Row]:
    days = good.sessions[-rng.randint(1, 3) :]
    gone = set(rng.sample(good.symbols, rng.randint(1, len(good.symbols))))
    return [row for row in good.rows if row.date not in days or row.symbol not in gone]


def symbol_missing(good: Good, rng: Random) -> list[Row]:
    gone = rng.choice(good.symbols)
    return [row for row in good.rows if row.symbol != gone]


def _moved(day: str, days: int) -> str:
    return (dt.date.fromisoformat(day) + dt.timedelta(days)).isoformat()


def weekend_sessions(good: Good, rng: Random) -> list[Row]:
    rows = list(good.rows)
    for _ in range(rng.randint(1, 2)):
        row = rng.choice(good.rows)
        saturday = 5 - dt.date.fromisoformat(row.date).weekday()
        rows.append(changed(row, date=_moved(row.date, saturday + rng.randint(0, 1))))
    return [row for row in rows if row.date <= good.sessions[-1]] or rows


def future_sessions(good: Good, rng: Random) -> list[Row]:
    ahead = rng.choice([1, 30, 3650, 80_000])
    return [*good.rows, *(changed(row, date=_moved(row.date, ahead)) for row in good.rows[-rng.randint(1, 9) :])]


def past_sessions(good: Good, rng: Random) -> list[Row]:
    return [*good.rows, *(changed(row, date=_moved(row.date, -rng.choice([400, 90_000]))) for row in good.rows[:5])]


def _dates(*forms: str, all_rows: bool = False) -> RowMutation:
    """Dates written in another form."""

    def mutate(good: Good, rng: Random) -> list[Row]:
        form = rng.choice(forms)

        def change(row: Row) -> Row:
            day = dt.date.fromisoformat(row.date)
            return changed(row, date=day.strftime(form))

        return [change(row) for row in good.rows] if all_rows else _few(good, rng, change)

    return mutate


def impossible_dates(good: Good, rng: Random) -> list[Row]:
    days = ["2018-02-30", "2018-13-01", "0000-00-00", "9999-12-31", "1582-10-10", "99999-01-01", "yesterday", "43101"]
    days += [
        "2018-1-2",
        "2018-01",
        "NaT",
        "nan",
        "1514851200",
        "1514851200000000000",
        "2018-01-02T25:00",
        "\u0662018-01-02",
    ]
    return _few(good, rng, lambda row: changed(row, date=rng.choice(days)))


def symbols_none_has(good: Good, rng: Random) -> list[Row]:
    names = [
        "../x",
        "..",
        "/etc/passwd",
        "C:\\x",
        "=cmd()",
        "@SUM(A1)",
        "-1",
        "+1",
        "A B",
        "A\tB",
        "A\nB",
        "",
        "a" * 33,
    ]
    names += [
        "\u0410AL",
        "TRU\u0395",
        "N\u200bAN",
        "\u202eNAN",
        "NAN\u0301",
        "A/../B",
        "A//B",
        "x/",
        ".x",
        "'NAN",
        "\x1b[31m",
    ]
    return _few(good, rng, lambda row: changed(row, symbol=rng.choice(names)), most=2)


def symbols_beside(good: Good, rng: Random) -> list[Row]:
    names = [
        "1E5",
        "null",
        "NA",
        "CON",
        "0700.HK",
        "BTC/USDT:USDT",
        "^GSPC",
        "ES=F",
        "FALSE",
        "true",
        "inf",
        "#REF!",
        "2018-01-02",
    ]
    fresh = rng.sample(names, rng.randint(1, 3))
    return [*good.rows, *(changed(row, symbol=name) for name in fresh for row in good.rows[:3])]


def volume_faults(good: Good, rng: Random) -> list[Row]:
    values = ["0", "", "-5", "-0.0", "1e308", "1e-300"]
    return _few(good, rng, lambda row: changed(row, volume=rng.choice(values)))


ROW_MUTATIONS: dict[str, RowMutation] = {
    "negative or zero prices": _cells("-15.5", "0", "-0.0", "-1e-9", "0.0"),
    "prices of impossible size": _cells("1e308", "1.7976931348623157e308", "5e-324", "1e-300", "1e13"),
    "missing prices": _cells(""),
    "infinities": _cells("inf", "-inf", "Infinity", "1e999", "INF"),
    "volume faults": volume_faults,
    "swapped high and low": swapped_high_and_low,
    "hundredfold prices": hundredfold,
    "duplicated rows": duplicated,
    "conflicting duplicates": conflicting,
    "unsorted rows": unsorted,
    "missing sessions": missing_sessions,
    "last sessions missing": last_session_missing,
    "a symbol missing": symbol_missing,
    "weekend sessions": weekend_sessions,
    "future sessions": future_sessions,
    "sessions of long ago": past_sessions,
    "intraday times": _dates(
        "%Y-%m-%d 09:30", "%Y-%m-%dT16:00:00Z", "%Y-%m-%d 00:00:00.001", "%Y-%m-%d 23:59:59-05:00"
    ),
    "day or month first": _dates("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%b-%Y", "%b %d, %Y"),
    "two-digit years": _dates("%y-%m-%d", "%y%m%d", "%m/%d/%y"),
    "ambiguous dates": _dates("%Y-%d-%m", "%Y%d%m", "%m-%d-%Y", "%d%m%Y"),
    "mixed time zones": _dates(
        "%Y-%m-%dT00:00:00+09:00", "%Y-%m-%d 00:00-0500", "%Y-%m-%dT00:00Z", "%Y/%m/%d", "%Y%m%d"
    ),
    "dates in another form throughout": _dates("%Y/%m/%d", "%Y%m%d", "%Y-%m-%d 00:00:00", all_rows=True),
    "impossible dates": impossible_dates,
    "symbols that none has": symbols_none_has,
    "odd symbols beside": symbols_beside,
}
"""Kinds of mutation; those that break nothing are among them."""
