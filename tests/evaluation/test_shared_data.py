"""What two data sets share, against sets of plain tuples."""

from __future__ import annotations

import hashlib
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import SchemaError
from nn_assets.evaluation.shared_data import (
    SAMPLE,
    Fingerprint,
    contained,
    fingerprint,
    overlap,
    share_data,
)

Bars = dict[tuple[str, pd.Timestamp], float]


def _bars(symbols: int, sessions: int, first: int = 0, seed: int = 0) -> Bars:
    days = pd.bdate_range("1999-01-04", periods=first + sessions)[first:]
    bars: Bars = {}
    for number in range(symbols):
        closes = np.round(np.random.default_rng([seed, number]).lognormal(4.0, 0.5, first + sessions)[first:], 2)
        bars |= {(f"S{number:03d}", day): float(close) for day, close in zip(days, closes, strict=True)}
    return bars


def _print(bars: Bars) -> Fingerprint:
    keys = list(bars)
    return fingerprint(
        np.array([symbol for symbol, _ in keys], dtype=object),
        np.array([day.to_datetime64() for _, day in keys], dtype="datetime64[ns]"),
        np.array(list(bars.values()), dtype=np.float64),
    )


def _truth(one: Bars, other: Bars) -> float:
    small, large = sorted((one, other), key=len)
    return sum(large.get(key) == close for key, close in small.items()) / len(small)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_bars(2, 1000), _bars(2, 1000)),
        (_bars(2, 1000), _bars(2, 1000, seed=1)),
        (_bars(2, 1000), _bars(4, 500)),
        (_bars(3, 800), _bars(3, 800, first=500)),
        (_bars(2, 1000), _bars(2, 3000)),
    ],
)
def test_small_data_are_compared_exactly(one: Bars, other: Bars) -> None:
    result = overlap(_print(one), _print(other))
    assert result.share == pytest.approx(_truth(one, other))
    assert result.standard_error == 0.0
    assert share_data(_print(one), _print(other)) == (_truth(one, other) >= 0.5)


@pytest.mark.full
def test_large_data_are_compared_to_the_error_that_is_stated() -> None:
    whole = _bars(40, 1500)  # 60,000 keys, of which a fingerprint holds 16,384
    for first, seen in ((600, 40), (1100, 40), (0, 12), (900, 8)):
        other = {key: close for key, close in _bars(40, 1500, first=first).items() if int(key[0][1:]) < seen}
        result, truth = overlap(_print(whole), _print(other)), _truth(whole, other)
        assert abs(result.share - truth) <= 4.0 * max(result.standard_error, 1e-12), (first, seen)
        assert result.standard_error < 0.02
    assert overlap(_print(whole), _print(whole)).share == 1.0
    assert overlap(_print(whole), _print(_bars(40, 1500, seed=5))).share < 0.001  # a price met by chance


@pytest.mark.full
def test_the_stated_error_is_that_of_many_draws() -> None:
    days = pd.bdate_range("1999-01-04", periods=40_000).to_numpy()
    names = np.full(len(days), "ONE", dtype=object)
    errors = []
    for seed in range(60):
        closes = np.round(np.random.default_rng(seed).lognormal(4.0, 0.5, len(days)), 2)
        other = np.where(np.arange(len(days)) % 2, closes, closes + 1.0)
        result = overlap(fingerprint(names, days, closes), fingerprint(names, days, other))
        errors.append((result.share - 0.5) / result.standard_error)
    assert np.std(errors) < 1.2
    assert abs(np.mean(errors)) < 0.4


def test_the_order_of_bars_and_the_last_digits_of_a_price_say_nothing() -> None:
    bars = _bars(3, 400)
    reordered = dict(reversed(list(bars.items())))
    noisy = {key: close * (1.0 + 1e-9) for key, close in reordered.items()}
    assert overlap(_print(bars), _print(noisy)).share > 0.99
    restated = {key: close * 1.001 for key, close in bars.items()}
    assert overlap(_print(bars), _print(restated)).share == 0.0


def test_a_price_at_a_power_of_ten_is_one_price() -> None:
    closes = [0.1, 1.0, 10.0, 100.0, 99.99999999999, 1e-4, 1000.0, 1e6]
    days = pd.bdate_range("2000-01-03", periods=len(closes))
    one = {("A", day): close for day, close in zip(days, closes, strict=True)}
    other = {("A", day): close * (1.0 - 1e-15) for day, close in zip(days, closes, strict=True)}
    assert overlap(_print(one), _print(other)).share == 1.0


def test_how_much_of_a_part_is_in_the_whole() -> None:
    small, large = _bars(2, 500), _bars(2, 2000)
    assert contained(_print(small), _print(large)).share == 1.0
    assert contained(_print(large), _print(small)).share == pytest.approx(0.25)


def test_a_fingerprint_comes_back_from_text_equal() -> None:
    made = _print(_bars(40, 700))
    again = Fingerprint.from_text(made.keys, made.limit, made.to_text())
    assert np.array_equal(again.sample, made.sample)
    assert len(made.sample) == SAMPLE
    assert len(made.to_text()) < 180_000
    assert overlap(made, again).share == 1.0


def test_bars_without_a_close_are_no_keys() -> None:
    bars = _bars(2, 300)
    gaps = {key: np.nan if number % 3 == 0 else close for number, (key, close) in enumerate(bars.items())}
    assert _print(gaps).keys == 400
    assert overlap(_print(bars), _print(gaps)).share == 1.0


_ALL = 2**64 - 1


def _finalised(value: int) -> int:
    """One output of SplitMix64 (Steele, Lea and Flood 2014) from a state, in plain integers."""
    value = (value + 0x9E3779B97F4A7C15) & _ALL
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _ALL
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _ALL
    return value ^ (value >> 31)


def test_the_fingerprint_of_a_bar_never_changes_for_the_ledger_keeps_it() -> None:
    """Symbol, day and the close's six digits through a published generator; its first output is the published one."""
    assert _finalised(0) == 0xE220A8397B1DCDAF
    for symbol, day, close in (
        ("SPX", "1999-01-04", 1228.1),
        ("B", "2018-12-31", 0.07),
        ("CC", "2005-05-05", 9999999.5),
    ):
        bar = {(symbol, pd.Timestamp(day)): close}
        name = int.from_bytes(hashlib.sha256(symbol.encode()).digest()[:8], "little")
        days = (np.datetime64(day) - np.datetime64("1970-01-01")).astype(int)
        exact = Decimal(f"{close:.5e}")
        code = int(exact.scaleb(5 - exact.adjusted())) * 1024 + exact.adjusted() + 512
        assert _print(bar).sample.tolist() == [_finalised(_finalised(name ^ _finalised(int(days))) ^ code)]


def test_data_without_a_bar_are_held_by_any_and_a_sample_without_one_says_how_little_it_knows() -> None:
    nothing, much = _print({}), _print(_bars(1, 50))
    assert (contained(nothing, much).share, contained(nothing, much).standard_error) == (1.0, 0.0)
    unsampled = Fingerprint(10, np.zeros(0, dtype=np.uint64), 1)
    assert (contained(unsampled, much).share, contained(unsampled, much).standard_error) == (1.0, 0.5)


@pytest.mark.parametrize("short", [0, 1, 2])
def test_columns_of_unequal_length_are_refused(short: int) -> None:
    columns = [np.array(["A", "B"], dtype=object), np.array(["2005-05-05"] * 2, dtype="datetime64[ns]"), np.ones(2)]
    columns[short] = columns[short][:1]
    with pytest.raises(SchemaError, match="a symbol, a session and a close"):
        fingerprint(*columns)
