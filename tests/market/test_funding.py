"""Funding of perpetuals by session, against plain loops over the payments."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.contracts import SERIES, conform
from nn_assets.market.calendar.sessions import assumed_known_at, session_hours, sessions_between, sessions_of_moments
from nn_assets.market.facts.funding import Funding, funding_by_decision, funding_by_session
from nn_assets.market.facts.series_intake import judge_series
from nn_assets.settings import FileSeriesSettings
from nn_assets.sources.tables.series_files import read_series_file

STALE = 5


def payments(rows: list[tuple[str, str, float, str]], calendar: str = "24/7") -> pd.DataFrame:
    """Versions of payments: symbol, observed at, rate, known at."""
    frame = pd.DataFrame(rows, columns=["symbol", "observed_at", "value", "known_at"])
    for name in ("observed_at", "known_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[ns, UTC]")
    frame["session"] = sessions_of_moments(calendar, frame["observed_at"])
    return conform(frame.assign(name="funding", source="test", ingested_at=frame["known_at"]), SERIES)


def summed(versions: pd.DataFrame, first: str, last: str, *symbols: str, calendar: str = "24/7") -> Funding:
    sessions = sessions_between(calendar, first, last)
    opens = pd.DatetimeIndex(session_hours(calendar, first, last)["opens"])
    decided = assumed_known_at(calendar, sessions, 30)
    return funding_by_session(versions, "funding", symbols, sessions, opens, decided, stale_after_sessions=STALE)


def plain(versions: pd.DataFrame, symbol: str, days: list[dt.date]) -> list[tuple[float, bool]]:
    """One symbol of a market that never closes, a session at a time, by loops alone."""
    of_symbol = [row for row in versions.to_dict("records") if row["symbol"] == symbol]
    rates = []
    for day in days:
        end = pd.Timestamp(day, tz="UTC") + pd.Timedelta(days=1)
        known: dict[pd.Timestamp, tuple[pd.Timestamp, float]] = {}
        for row in of_symbol:
            previous = known.get(row["observed_at"])
            if row["known_at"] <= end + pd.Timedelta(minutes=30) and (
                previous is None or previous[0] <= row["known_at"]
            ):
                known[row["observed_at"]] = row["known_at"], row["value"]
        rate, assumed = 0.0, True
        for back in range(STALE + 1):
            stop = end - pd.Timedelta(days=back)
            inside = [rate for at, (_, rate) in known.items() if stop - pd.Timedelta(days=1) < at <= stop]
            if inside:
                rate, assumed = sum(inside), back > 0
                break
        rates.append((rate, assumed))
    return rates


def drawn(seed: int) -> pd.DataFrame:
    """40 days of 8-hourly rates of two symbols: some lost, some days late, some restated."""
    draw, rows = np.random.default_rng(seed), []
    for symbol in ("AAA", "BBB"):
        for at in pd.date_range("2024-01-01T08:00", "2024-02-10", freq="8h", tz="UTC"):
            lost = draw.random() < 0.2 or (symbol == "BBB" and 12 <= at.day <= 21 and at.month == 1)
            if lost:
                continue
            lag = pd.Timedelta(minutes=int(draw.choice([1, 5, 3000, 9000], p=[0.6, 0.2, 0.1, 0.1])))
            rows.append((symbol, str(at), draw.normal(0.0001, 0.0002), str(at + lag)))
            if draw.random() < 0.1:
                rows.append((symbol, str(at), draw.normal(0.0001, 0.0002), str(at + lag + pd.Timedelta(hours=20))))
    return payments(rows).sample(frac=1.0, random_state=seed)


@pytest.mark.parametrize("seed", range(4))
def test_a_session_pays_the_sum_of_its_rates_as_known_at_its_decision(seed: int) -> None:
    versions = drawn(seed)
    funding = summed(versions, "2024-01-01", "2024-02-10", "AAA", "BBB")
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=n) for n in range(41)]
    for column, symbol in enumerate(("AAA", "BBB")):
        expected = plain(versions, symbol, days)
        np.testing.assert_allclose(funding.rate[:, column], [rate for rate, _ in expected], rtol=0, atol=1e-15)
        assert funding.assumed[:, column].tolist() == [assumed for _, assumed in expected]
    assert 3 < funding.assumed[:, 1].sum() < 41
    assert not funding.until_open.any()  # it opens as the session before closes


def test_nothing_changes_for_a_session_when_later_rates_arrive() -> None:
    versions = drawn(9)
    whole = summed(versions, "2024-01-01", "2024-02-10", "AAA", "BBB")
    moment = pd.Timestamp("2024-01-20T00:30", tz="UTC")
    cut = summed(versions[versions["known_at"] <= moment], "2024-01-01", "2024-01-19", "AAA", "BBB")
    np.testing.assert_array_equal(whole.rate[:19], cut.rate)
    np.testing.assert_array_equal(whole.assumed[:19], cut.assumed)


def test_payments_between_close_and_open_fall_on_what_was_held_before_the_open() -> None:
    hours = [*range(16, 24, 8), *range(24, 72, 8)]  # Thursday 16:00 UTC to Saturday
    start = pd.Timestamp("2024-01-04", tz="UTC")
    rows = [("", str(start + pd.Timedelta(hours=h)), 10.0**-n, str(start + pd.Timedelta(hours=h + 1)))
            for n, h in enumerate(hours)]  # fmt: skip
    funding = summed(payments(rows, "XNYS"), "2024-01-04", "2024-01-08", "AAA", calendar="XNYS")
    # XNYS: 14:30 to 21:00 UTC. Thursday 16:00 | Friday 00, 08 before the open, 16 after | Monday: all that is left
    np.testing.assert_allclose(funding.until_open[:, 0], [0.0, 0.11, 0.000111], rtol=1e-12)
    np.testing.assert_allclose(funding.until_close[:, 0], [1.0, 0.001, 0.0], rtol=1e-12)
    np.testing.assert_allclose(funding.owed_by_longs[:, 0], [1.0, 0.001, 0.0], rtol=1e-12)
    assert not funding.owed_by_shorts.any()


def test_what_longs_and_what_shorts_owe_after_the_open_stands_apart_of_a_stand_in_too() -> None:
    times = {"2024-01-02T08:00Z": 0.5, "2024-01-02T16:00Z": -0.2, "2024-01-03T00:00Z": 0.125}
    rows = [("AAA", at, rate, at) for at, rate in times.items()]
    funding = summed(payments(rows), "2024-01-01", "2024-01-03", "AAA")
    assert funding.assumed[:, 0].tolist() == [True, False, True]
    np.testing.assert_allclose(funding.until_close[:, 0], [0.0, 0.425, 0.425], rtol=1e-12)
    np.testing.assert_allclose(funding.owed_by_longs[:, 0], [0.0, 0.625, 0.625], rtol=1e-12)
    np.testing.assert_allclose(funding.owed_by_shorts[:, 0], [0.0, -0.2, -0.2], rtol=1e-12)


def test_a_symbol_without_rates_pays_nothing_and_says_so() -> None:
    funding = summed(payments([("AAA", "2024-01-02T08:00Z", 0.5, "2024-01-02T08:01Z")]), "2024-01-01", "2024-01-09",
                   "AAA", "BBB")  # fmt: skip
    assert funding.rate[:, 0].tolist() == [0.0, *[0.5] * 6, 0.0, 0.0]
    assert funding.assumed[:, 0].tolist() == [True, False, *[True] * 7]
    assert not funding.rate[:, 1].any()
    assert funding.assumed[:, 1].all()


def test_a_real_exchange_s_eight_hour_rates_make_three_a_day(shared_data: Path) -> None:
    folder = shared_data / "crypto_freqtrade" / "futures"
    file = folder / "XRP_USDT_USDT-8h-funding_rate.feather"
    settings = FileSeriesSettings(
        name="funding", path=file.name, stamps="moments", value_column="open", lag_minutes=1, grid_minutes=60
    )
    judged = judge_series(read_series_file(folder, settings, "24/7"), settings, "24/7")
    stored = judged.observations.assign(ingested_at=judged.observations["known_at"])
    funding = summed(conform(stored.drop(columns="known_at_stated"), SERIES), "2021-11-18", "2021-12-17", "XRP")
    table = pd.read_feather(file)
    expected = {}
    for at, rate in zip(table["date"], table["open"], strict=True):
        day = (at.round("h") - pd.Timedelta(1)).date()
        expected[day] = expected.get(day, 0.0) + rate
    days = [dt.date(2021, 11, 18) + dt.timedelta(days=n) for n in range(30)]
    np.testing.assert_allclose(funding.rate[:, 0], [expected[day] for day in days], rtol=1e-12)
    assert not funding.assumed.any()


def test_a_payment_within_the_day_is_charged_once_in_the_bar_that_it_became_known_in() -> None:
    """Bars of two hours: 08:00 is the close of one bar, and what fell due then is known a minute into the next."""
    calendar = "24/7 every120min@2024-01-01"
    versions = payments(
        [
            ("BTC", "2024-02-01 08:00", 0.001, "2024-02-01 08:01"),
            ("BTC", "2024-02-01 08:00", 0.009, "2024-02-01 20:00"),  # a correction is not charged
            ("BTC", "2024-02-01 16:00", -0.002, "2024-02-02 03:00"),  # known in the night
        ],
        calendar,
    )
    sessions = sessions_between(calendar, "2024-02-01", "2024-02-02 23:59")
    opens = pd.DatetimeIndex(session_hours(calendar, sessions[0], sessions[-1])["opens"])
    decided = assumed_known_at(calendar, sessions, 0)

    def paid(rows: pd.DataFrame) -> Funding:
        return funding_by_decision(rows, "funding", ("BTC", "ETH"), sessions, opens, decided)

    charged = paid(versions)
    charged_by_bar = {f"{sessions[row]:%d %H}": charged.rate[row, 0] for row in np.flatnonzero(charged.rate[:, 0])}
    assert charged_by_bar == {"01 08": 0.001, "02 02": -0.002}
    assert not charged.assumed.any()
    assert not charged.rate[:, 1].any()
    early = paid(versions[versions["known_at"] < pd.Timestamp("2024-02-01 12:00", tz="UTC")])
    np.testing.assert_array_equal(early.rate[:8], charged.rate[:8])
