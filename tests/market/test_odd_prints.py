"""One venue's odd print is held against a second source: found, its own faults told apart, and no alarm on clean pairs.

Pairs are simulated: a market of random walks, and the same market as another venue prints it, with noise of 1 to
5 bps, other adjustment factors, and odd prints at places that the test draws itself.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nn_assets.market.facts.bars import known_bars, new_versions, with_assumed_known_at
from nn_assets.market.quality.cleaning import Cleaned, clean
from nn_assets.market.quality.gate import inspect
from nn_assets.settings import CleaningSettings, GateSettings
from nn_assets.sources.tables.files import FilesSource
from tests.market.builders import ARRIVAL, CALENDAR, sound_bars, verdicts

PRICES = ["open", "high", "low", "close"]
RULES = ("odd_print", "odd_print_elsewhere", "odd_session")
SPLIT = pd.DataFrame({"symbol": ["AAA"], "ex_session": [pd.Timestamp("2018-06-01")], "kind": ["split"], "value": [2.0]})


def other_venue(bars: pd.DataFrame, noise_bps: float, seed: int = 5) -> pd.DataFrame:
    """The same market elsewhere: every price a little off, high and low still around the others."""
    random = np.random.default_rng(seed)
    changed = bars.copy()
    changed[PRICES] *= np.exp(random.normal(0.0, noise_bps / 1e4, (len(bars), 4)))
    changed["high"] = changed[PRICES].max(axis=1)
    changed["low"] = changed[PRICES].min(axis=1)
    return changed.assign(source="venue")


def beside(first: pd.DataFrame, second: pd.DataFrame, actions: pd.DataFrame | None = None, **changes) -> Cleaned:
    return clean(first, CALENDAR, CleaningSettings(**changes), actions, second)


def counts_by_rule(result: Cleaned) -> dict[str, int]:
    counts = {rule: sum(notice.rule == rule for notice in result.notices) for rule in RULES[1:]}
    return {"odd_print": result.counts()["odd_print"], **counts}


def with_price(bars: pd.DataFrame, row: int, field: str, value: float) -> pd.DataFrame:
    changed = bars.copy()
    changed.loc[row, field] = value
    return changed


@pytest.fixture(scope="module")
def pair() -> tuple[pd.DataFrame, pd.DataFrame]:
    bars = sound_bars(count=140)
    return bars, other_venue(bars, 3.0)


@pytest.mark.parametrize(
    ("field", "factor"), [("low", 0.97), ("high", 1.03), ("open", 1.004), ("close", 0.996), ("low", 0.15)]
)
def test_an_odd_print_is_not_used_and_both_values_are_named(pair, field: str, factor: float) -> None:
    bars, second = pair
    odd = bars["close"][90] * factor if field in ("low", "high") else bars["low"][90] * 1.0001
    if field == "close":
        odd = bars["high"][90] * 0.9999
    first = with_price(bars, 90, field, odd)
    result = beside(first, second)
    assert verdicts(result) == [(f"{bars['session'][90]:%F}", "odd_print", field)]
    message = result.quarantine["message"].item()
    assert f"{field} {odd}" in message
    assert f"{field} {second[field][90]:g} from the source compared with" in message


def test_recall_and_false_alarms_over_pairs_with_known_odd_prints() -> None:
    """Sixty odd prints of 1% to 60% among 12,000 bars are all found, and not one of the other bars is."""
    names = tuple(f"S{index:02d}" for index in range(60))
    bars = sound_bars(names, 200)
    random = np.random.default_rng(3)
    first, wanted = bars.copy(), set()
    for index, name in enumerate(names):
        row = bars.index[bars["symbol"] == name][30 + int(random.integers(0, 170))]
        field, size = ("low", "high")[index % 2], random.uniform(0.01, 0.6)
        first.loc[row, field] *= 1.0 - size if field == "low" else 1.0 + size
        wanted.add((name, bars["session"][row]))
    for noise in (1.0, 5.0):
        result = beside(first, other_venue(bars, noise))
        odd = result.quarantine[result.quarantine["rule"] == "odd_print"]
        assert set(zip(odd["symbol"], odd["session"], strict=True)) == wanted
        assert counts_by_rule(result) == {"odd_print": 60, "odd_print_elsewhere": 0, "odd_session": 0}


@pytest.mark.parametrize("noise", [1.0, 5.0])
def test_clean_pairs_raise_at_most_one_alarm_in_ten_thousand_bars(noise: float) -> None:
    """20,000 bars, the second source adjusted for dividends of 2% and a split, which nothing states."""
    names = tuple(f"S{index:02d}" for index in range(100))
    bars = sound_bars(names, 200)
    second = other_venue(bars, noise)
    before = second["session"].map(lambda day: 0.98 ** (3 - day.quarter)).to_numpy()
    second[PRICES] *= before[:, None]
    second.loc[second["symbol"] == "S00", PRICES] /= 7.0
    result = beside(bars, second)
    assert sum(counts_by_rule(result).values()) <= len(bars) // 10_000
    assert result.quarantine.empty
    assert result.compared == len(bars)


def jumping(bars: pd.DataFrame, noise_bps: float, seed: int) -> pd.DataFrame:
    """The same market elsewhere, with noise of Student's t with three degrees of freedom, by its standard deviation."""
    draws = np.random.default_rng(seed).standard_t(3, (len(bars), 4)) / np.sqrt(3.0)
    changed = bars.copy()
    changed[PRICES] *= np.exp(draws * noise_bps / 1e4)
    return changed.assign(high=changed[PRICES].max(axis=1), low=changed[PRICES].min(axis=1), source="venue")


def test_noise_that_jumps_quarantines_at_most_one_bar_in_ten_thousand() -> None:
    """100,000 bars; 24 were quarantined where the limit was by the median distance alone."""
    bars = sound_bars(tuple(f"S{index:03d}" for index in range(250)), 400, seed=101_000)
    assert counts_by_rule(beside(bars, jumping(bars, 5.0, 101)))["odd_print"] <= len(bars) // 10_000


def test_odd_prints_from_one_percent_are_found_in_noise_that_jumps() -> None:
    names = tuple(f"S{index:03d}" for index in range(100))
    bars = sound_bars(names, 140, seed=8)
    rows = bars.index[bars.groupby("symbol").cumcount().isin([60, 130])]
    first = bars.copy()
    first.loc[rows[::2], "low"] *= 0.99
    first.loc[rows[1::2], "high"] *= 1.01
    quarantine = beside(first, jumping(bars, 5.0, 8)).quarantine
    odd = quarantine[quarantine["rule"] == "odd_print"]
    missed = set(zip(bars["symbol"][rows], bars["session"][rows], strict=True)) - set(
        zip(odd["symbol"], odd["session"], strict=True)
    )
    assert len(missed) <= 1  # of 200: the noise itself takes it within the limit


def test_the_odd_print_of_the_second_source_costs_the_first_no_bar(pair) -> None:
    bars, second = pair
    result = beside(bars, with_price(second, 90, "low", 5.40))
    assert result.quarantine.empty
    (notice,) = result.notices
    assert (notice.rule, notice.symbol, notice.first_session) == ("odd_print_elsewhere", "AAA", bars["session"][90])
    assert f"low {bars['low'][90]:g}, and low 5.4 from the source compared with" in notice.message


def test_a_wick_that_the_second_source_says_too_is_used(pair) -> None:
    bars, second = pair
    first = with_price(bars, 90, "low", 5.40)
    assert verdicts(clean(first, CALENDAR, CleaningSettings()))[0][1] == "isolated_wick"
    assert beside(first, with_price(second, 90, "low", 5.401)).quarantine.empty
    apart = beside(first, with_price(second, 90, "low", 5.60))
    assert [rule for _, rule, _ in verdicts(apart)] == ["odd_print"]


def test_raised_limits_let_pass_what_was_traded_at(pair) -> None:
    bars, second = pair
    first = with_price(bars, 90, "low", bars["low"][90] * 0.98)
    first.loc[110, PRICES] *= 1.05
    assert [row for _, _, row in verdicts(beside(first, second))] == ["low", "row"]
    assert beside(first, second, odd_print_minimum_bps=250.0, odd_level_minimum_bps=600.0).quarantine.empty


@pytest.mark.parametrize("factor", [0.9, 1.15])
def test_a_whole_bar_apart_is_the_fault_of_the_source_that_moved(pair, factor: float) -> None:
    bars, second = pair
    moved = bars.copy()
    moved.loc[90, PRICES] *= factor
    assert verdicts(beside(moved, second)) == [(f"{bars['session'][90]:%F}", "odd_print", "row")]
    moved = second.copy()
    moved.loc[90, PRICES] *= factor
    result = beside(bars, moved)
    assert result.quarantine.empty
    assert counts_by_rule(result) == {"odd_print": 0, "odd_print_elsewhere": 1, "odd_session": 0}


@pytest.mark.parametrize("adjusted", ["first", "second", "neither"])
def test_a_stated_split_is_no_disagreement_whoever_adjusts_for_it(adjusted: str) -> None:
    bars = sound_bars(count=140)
    second, after = other_venue(bars, 3.0), bars["session"] >= SPLIT["ex_session"][0]
    for frame, name in ((bars, "first"), (second, "second")):
        if adjusted != name:
            frame.loc[after, PRICES] /= 2.0
    actions = SPLIT if adjusted != "first" else None
    result = beside(bars, second, actions)
    if adjusted == "first":  # stated to nobody: three bars are told of the second source's move, then it passes
        assert counts_by_rule(result) == {"odd_print": 0, "odd_print_elsewhere": 3, "odd_session": 0}
    else:
        assert counts_by_rule(result) == dict.fromkeys(RULES, 0)
    assert result.quarantine.empty


def test_absent_late_standing_or_short_a_second_source_judges_nothing(pair) -> None:
    bars, second = pair
    first = with_price(bars, 90, "low", bars["low"][90] * 0.9)
    late = second.copy()
    late.loc[90, "known_at"] += pd.Timedelta(minutes=1)
    stale = second.copy()
    stale.loc[90, PRICES] = second.loc[89, PRICES].to_numpy()
    for there, count in ((second.iloc[:0], 0), (late, 139), (stale, 139), (second[75:], 65)):
        result = beside(first, there)
        assert result.quarantine.empty
        assert (result.compared, counts_by_rule(result)) == (count, dict.fromkeys(RULES, 0))
        assert [notice.rule for notice in result.notices] == ["not_compared"] * (count == 0)
    assert [notice.rule for notice in beside(first, second[:139]).notices] == ["not_compared"]
    assert clean(first, CALENDAR, CleaningSettings()).compared is None


def test_closes_alone_are_compared_where_the_second_source_has_no_more(pair) -> None:
    bars, second = pair
    closes = second.assign(**dict.fromkeys(PRICES, second["close"]))
    assert beside(with_price(bars, 90, "low", bars["low"][90] * 0.9), closes).quarantine.empty
    moved = bars.copy()
    moved.loc[90, PRICES] *= 1.15
    assert verdicts(beside(moved, closes)) == [(f"{bars['session'][90]:%F}", "odd_print", "row")]


def test_what_either_source_says_later_changes_no_verdict(pair) -> None:
    """Also a second source that sends its whole history again, in other numbers, once the first bars are judged."""
    bars, second = pair
    first = with_price(with_price(bars, 60, "low", bars["low"][60] * 0.9), 90, "high", bars["high"][90] * 1.1)
    whole = beside(first, second)
    assert len(whole.quarantine) == 2
    for cut in (60, 89, 90):
        early = beside(first[: cut + 1], second[: cut + 1])
        kept = whole.quarantine["session"] <= bars["session"][cut]
        pd.testing.assert_frame_equal(early.quarantine, whole.quarantine[kept].reset_index(drop=True))
    stored = with_assumed_known_at(second[["symbol", "session", *PRICES, "volume", "source"]], CALENDAR, 30, ARRIVAL)
    later = stored.assign(**{name: stored[name] / 3.0 for name in PRICES}, ingested_at=ARRIVAL + pd.Timedelta(days=9))
    later.loc[60, PRICES] = first.loc[60, PRICES].to_numpy(dtype=float) / 3.0
    fresh, _ = new_versions(stored, later)
    again = beside(first, pd.concat([stored, fresh], ignore_index=True))
    pd.testing.assert_frame_equal(again.quarantine, whole.quarantine)


def test_a_second_source_that_contradicts_itself_says_nothing(pair) -> None:
    bars, second = pair
    twice = pd.concat([second, with_price(second, 90, "low", 5.4).loc[[90]]], ignore_index=True)
    first = with_price(bars, 90, "low", bars["low"][90] * 0.9)
    assert beside(first, twice).quarantine.empty
    same = pd.concat([second, second.loc[[90]]], ignore_index=True)
    assert counts_by_rule(beside(first, same))["odd_print"] == 1


@pytest.mark.parametrize("whose", ["first", "second"])
def test_a_disagreement_of_many_symbols_is_one_notice(whose: str) -> None:
    names = tuple(f"S{index:02d}" for index in range(30))
    bars = sound_bars(names, 120)
    second = other_venue(bars, 3.0)
    odd = bars if whose == "first" else second
    day = odd["session"] == bars["session"][119]
    odd.loc[day & odd["symbol"].isin(names[:8]), "low"] *= 0.8
    result = beside(bars, second)
    (notice,) = result.notices
    assert (notice.rule, notice.first_session) == ("odd_session", bars["session"][119])
    rows = 8 if whose == "first" else 0
    assert "of 8 of 30 symbols (27%), S00 among them" in notice.message
    assert f"{rows} of their rows are in quarantine" in notice.message
    assert counts_by_rule(result) == {"odd_print": rows, "odd_print_elsewhere": 0, "odd_session": 1}
    report = inspect(result, names, pd.DatetimeIndex(bars["session"].unique()), GateSettings())
    failed = [check.name for check in report.failures]
    assert failed == (["missing_symbols"] if whose == "first" else [])


def of_vendor(bars: pd.DataFrame, symbols: set[str], first: str) -> pd.DataFrame:
    chosen = bars[bars["symbol"].isin(symbols) & (bars["session"] >= first)]
    return known_bars(with_assumed_known_at(chosen, CALENDAR, 30, ARRIVAL), ARRIVAL)


def test_closes_of_another_vendor_find_three_false_bars_of_ten_stocks_and_nothing_else(shared_data, five_years) -> None:
    """Two of known bad days, and Apple's bar of 2017-08-07 under 2017-08-01; the closes are adjusted for dividends."""
    closes = FilesSource(shared_data / "us20_1990", closes_only=True).bars()
    names = set(closes["symbol"]) & set(five_years["symbol"])
    result = beside(*(of_vendor(bars, names, "2013-02-08") for bars in (five_years, closes)))
    assert result.compared > 12_000
    odd = result.quarantine[result.quarantine["rule"] == "odd_print"]
    assert [f"{row.symbol} {row.session:%F}" for row in odd.itertuples()] == [
        "AAPL 2017-08-01",
        "BBY 2014-10-30",
        "KO 2014-10-29",
    ]
    assert counts_by_rule(result) == {"odd_print": 3, "odd_print_elsewhere": 0, "odd_session": 0}


@pytest.mark.parametrize("whose", ["first", "second"])
def test_of_two_real_vendors_the_one_with_the_false_bar_is_named(shared_data, five_years, whose: str) -> None:
    """Bars of both in full, 753 of Apple's: the other vendor has 150.05 for the close of 2017-08-01."""
    other = FilesSource(shared_data / "adjusted_quandl" / "dash-stock-ticker-demo.csv").bars()
    both = [of_vendor(bars, {"AAPL"}, "2015-01-02") for bars in (five_years, other)]
    result = beside(*both) if whose == "first" else beside(*reversed(both))
    assert counts_by_rule(result) == {
        "odd_print": int(whose == "first"),
        "odd_print_elsewhere": int(whose == "second"),
        "odd_session": 0,
    }
    assert verdicts(result) == [("2017-08-01", "odd_print", "row")] * (whose == "first")


HOUR = pd.Timedelta(hours=1)


def corrected(second: pd.DataFrame, row: int, lows: list[float]) -> pd.DataFrame:
    """The second source's versions: after the first of one bar, another low each hour."""
    bar, later = second.loc[[row]], []
    for hour, low in enumerate(lows, start=1):
        moments = {"known_at": bar["known_at"] + hour * HOUR, "ingested_at": ARRIVAL + hour * HOUR}
        later.append(bar.assign(low=low, **moments))
    return pd.concat([second, *later], ignore_index=True)


@pytest.mark.parametrize(
    ("lows", "known_after"),
    [
        ([1.0], 1),  # it agrees now
        ([0.93, 1.0002], 2),  # and only the second time
        ([1.0, 1.10], 1),  # a row once confirmed stays
        ([0.93], None),
        ([float("nan")], None),  # a bar taken back confirms nothing
    ],
)
def test_a_row_is_used_from_the_moment_on_that_the_second_source_confirms_it(pair, lows, known_after) -> None:
    bars, second = pair
    odd = bars["low"][90] * 0.95
    first = with_price(bars, 90, "low", odd)
    versions = corrected(second, 90, [odd * low for low in lows])
    result = beside(first, versions)
    before = first["known_at"][90]
    if known_after is None:
        assert verdicts(result) == [(f"{bars['session'][90]:%F}", "odd_print", "low")]
        assert result.quarantine["known_at"].item() == before
        return
    assert result.quarantine.empty
    assert result.bars["known_at"][90] == before + known_after * HOUR
    assert result.bars["low"][90] == odd
    others = result.bars.drop(index=90)
    pd.testing.assert_series_equal(others["known_at"], first["known_at"].drop(index=90))


def test_a_correction_of_the_second_source_takes_back_what_is_told_of_it_and_no_other_moment_changes(pair) -> None:
    bars, second = pair
    wrong = with_price(second, 90, "low", 5.40)
    result = beside(bars, corrected(wrong, 90, [second["low"][90]]))
    assert counts_by_rule(result) == dict.fromkeys(RULES, 0)
    pd.testing.assert_series_equal(result.bars["known_at"], bars["known_at"])
