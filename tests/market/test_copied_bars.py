"""Bars that are another session's, and highs or lows that nobody traded at: found, and never on sound data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import GateHalted
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.facts.bars import known_bars, with_assumed_known_at
from nn_assets.market.quality.cleaning import Cleaned, clean
from nn_assets.market.quality.copied import are_many, possible_copies
from nn_assets.market.quality.gate import inspect
from nn_assets.market.quality.notices import Notice, widest_first
from nn_assets.settings import CleaningSettings, GateSettings
from nn_assets.sources.bundled import BundledSource
from nn_assets.sources.tables.files import FilesSource
from tests.market.builders import ARRIVAL, CALENDAR, cleaned, sound_bars, verdicts, with_values

VALUES = ["open", "high", "low", "close", "volume"]
NEW_RULES = ("copied_bar", "isolated_wick")


def copied(bars: pd.DataFrame, symbol: str, onto: int, of: int) -> pd.DataFrame:
    rows = bars.index[bars["symbol"] == symbol]
    changed = bars.copy()
    changed.loc[rows[onto], VALUES] = bars.loc[rows[of], VALUES].to_numpy()
    return changed


def judged(bars: pd.DataFrame) -> Cleaned:
    return cleaned(known_bars(with_assumed_known_at(bars, CALENDAR, 30, ARRIVAL), ARRIVAL))


def rule_counts(result: Cleaned) -> dict[str, int]:
    return {rule: result.counts()[rule] for rule in NEW_RULES}


def test_the_later_of_two_equal_bars_is_not_used_and_both_sessions_are_named() -> None:
    bars = copied(sound_bars(), "AAA", 90, 81)
    result = cleaned(bars)
    assert verdicts(result) == [(f"{bars['session'][90]:%F}", "copied_bar", "row")]
    assert f"the bar of {bars['session'][81]:%F} in all five values" in result.quarantine["message"].item()


def test_a_bar_copied_twice_names_its_first_session() -> None:
    bars = copied(copied(sound_bars(), "AAA", 60, 20), "AAA", 100, 20)
    quarantine = cleaned(bars).quarantine
    assert quarantine["session"].tolist() == [bars["session"][60], bars["session"][100]]
    assert all(f"the bar of {bars['session'][20]:%F}" in message for message in quarantine["message"])


def test_a_bar_that_came_late_and_equals_one_known_before_it_is_the_one_not_used() -> None:
    bars = copied(sound_bars(), "AAA", 81, 90)
    bars.loc[81, "known_at"] = bars.loc[95, "known_at"]
    result = cleaned(bars)
    assert verdicts(result) == [(f"{bars['session'][81]:%F}", "copied_bar", "row")]
    before = cleaned(bars[bars["known_at"] <= bars.loc[94, "known_at"]])
    assert before.quarantine.empty, "what was decided on stands"


@pytest.mark.parametrize("value", VALUES)
def test_a_bar_that_differs_in_one_value_is_its_own(value: str) -> None:
    bars = copied(sound_bars(), "AAA", 90, 81)
    assert verdicts(cleaned(with_values(bars, 90, **{value: bars.loc[90, value] * 1.0001}))) == []


def test_equal_bars_of_two_symbols_are_no_copies() -> None:
    bars = sound_bars(("AAA", "BBB"))
    bars.loc[bars["symbol"] == "BBB", VALUES] = bars.loc[bars["symbol"] == "AAA", VALUES].to_numpy()
    assert cleaned(bars).quarantine.empty


def test_bars_without_range_or_volume_may_repeat() -> None:
    bars = sound_bars()
    bars.loc[[40, 80], VALUES] = [50.0, 50.0, 50.0, 50.0, 1000.0]
    assert cleaned(bars).quarantine.empty
    for none in (np.nan, 0.0):
        bars.loc[[40, 80], VALUES] = [50.0, 51.0, 49.0, 50.0, none]
        assert cleaned(bars, traded_with_volume=False).quarantine.empty


def as_sessions(result: Cleaned) -> list[Notice]:
    return [notice for notice in result.notices if notice.rule == "copied_session"]


def kept_in_doubt(result: Cleaned) -> list[tuple[str, str]]:
    return [
        (notice.symbol, f"{notice.first_session:%F}") for notice in result.notices if notice.rule == "possible_copy"
    ]


def taken_in_daily(bars: pd.DataFrame) -> pd.DataFrame:
    return bars.assign(ingested_at=bars["known_at"] + pd.Timedelta(minutes=5))


def market(copies: int, onto: int, symbols: int = 30, count: int = 120) -> pd.DataFrame:
    names = tuple(f"S{index:02d}" for index in range(symbols))
    bars = sound_bars(names, count)
    for name in names[:copies]:
        bars = copied(bars, name, onto, onto - 3)
    return bars


def test_of_two_equal_bars_of_one_delivery_either_may_be_false_and_both_sessions_are_named() -> None:
    bars = market(8, onto=70)
    first, second = (f"{bars['session'][row]:%F}" for row in (67, 70))
    result = cleaned(bars)
    assert kept_in_doubt(result) == [(f"S{index:02d}", first) for index in range(8)]
    (notice,) = as_sessions(result)
    assert "either bar may be the false one" in notice.message
    assert f"ask the source for {second} and {first} again" in notice.message
    assert possible_copies(result.notices) == {first: 8}
    suspect = next(notice for notice in result.notices if notice.rule == "possible_copy")
    assert f"equals the bar of {second} in all five values" in suspect.message
    # Both again, as asked of the source.
    assert cleaned(market(0, onto=70)).notices == ()


def test_a_bar_taken_in_before_the_session_of_the_other_closed_is_its_own() -> None:
    bars = taken_in_daily(market(8, onto=70))
    result = cleaned(bars)
    assert kept_in_doubt(result) == []
    (notice,) = as_sessions(result)
    assert "ask the source for the session again" in notice.message
    late = bars["session"] == bars["session"][67]
    closed = pd.Timestamp("2018-04-13 20:00", tz="UTC")
    assert bars["session"][70] == closed.tz_localize(None).normalize()
    for taken_in, doubted in ((closed - pd.Timedelta(seconds=1), 0), (closed, 8)):
        assert len(kept_in_doubt(cleaned(bars.assign(ingested_at=bars["ingested_at"].mask(late, taken_in))))) == doubted


def test_a_copy_of_what_came_after_it_late_leaves_no_doubt_of_the_later_bar() -> None:
    bars = copied(sound_bars(), "AAA", 81, 90)
    bars.loc[81, "known_at"] = bars.loc[95, "known_at"]
    assert kept_in_doubt(cleaned(bars)) == []


def test_sessions_of_most_symbols_are_told_first() -> None:
    bars = market(8, onto=70)
    bars = with_values(bars, 20, **{name: 1.5 * bars.loc[20, name] for name in VALUES[:4]})
    narrow = market(6, onto=90)
    day = narrow["session"] == narrow["session"][90]
    bars.loc[day, VALUES] = narrow.loc[day, VALUES]
    notices = widest_first(cleaned(bars).notices)
    assert [notice.first_session for notice in notices[:2]] == [bars["session"][70], bars["session"][90]]
    assert [notice.rule for notice in notices[:2]] == ["copied_session"] * 2
    assert "displaced_bar" in [notice.rule for notice in notices[2:]]


def test_what_other_symbols_bring_late_changes_no_verdict_of_a_wick() -> None:
    bars = sound_bars(tuple(f"S{index:02d}" for index in range(8)), 120)
    day = bars["session"] == bars["session"][90]
    bars.loc[day, "low"] *= 0.5
    market_wide = cleaned(bars)
    assert market_wide.quarantine.empty, "where all of a market was there, it traded there"
    first = bars["symbol"] == "S00"
    alone = cleaned(bars[first | ~day])
    bars.loc[day & ~first, "known_at"] = bars["known_at"].max()
    assert verdicts(cleaned(bars))[0] == verdicts(alone)[0] == (f"{bars['session'][90]:%F}", "isolated_wick", "low")


def test_a_session_that_is_a_copy_for_many_is_one_notice_that_names_it() -> None:
    bars = market(8, onto=70)
    (notice,) = as_sessions(cleaned(bars))
    assert (notice.rule, notice.first_session) == ("copied_session", bars["session"][70])
    assert "8 of 30 symbols (27%)" in notice.message
    assert as_sessions(cleaned(market(4, onto=70))) == []


@pytest.mark.parametrize(
    ("symbols", "copies", "halts"), [(30, 8, True), (90, 5, True), (120, 5, False), (30, 0, False)]
)
def test_the_newest_session_as_a_copy_for_many_halts_and_an_older_one_is_named(symbols, copies, halts) -> None:
    bars = market(copies, onto=119, symbols=symbols)
    names, sessions = tuple(bars["symbol"].unique()), pd.DatetimeIndex(bars["session"].unique())
    report = inspect(cleaned(bars), names, sessions, GateSettings(max_missing_symbols_fraction=1.0))
    check = next(check for check in report.checks if check.name == "copied_session")
    assert check.passed is not halts
    assert check.blocking
    if halts:
        with pytest.raises(GateHalted, match=f"{sessions[-1]:%F} holds another session's bars"):
            report.raise_if_failed()


@pytest.mark.parametrize(("symbols", "copies"), [(1, 1), (2, 1), (2, 2), (3, 2), (4, 2), (4, 4), (9, 5)])
def test_a_few_symbols_whose_newest_session_is_a_copy_halt_by_that_name_and_learn_which(symbols, copies) -> None:
    bars = market(copies, onto=119, symbols=symbols)
    names, sessions = tuple(bars["symbol"].unique()), pd.DatetimeIndex(bars["session"].unique())
    result = cleaned(bars)
    of = f"the bar of {sessions[116]:%F} in all five values"
    (notice,) = as_sessions(result)
    assert (notice.rule, notice.first_session) == ("copied_session", sessions[119])
    assert of in notice.message
    with pytest.raises(GateHalted) as halted:
        inspect(result, names, sessions, GateSettings()).raise_if_failed()
    assert halted.value.found.startswith(f"copied_session: {sessions[119]:%F} holds another session's bars: ")
    assert of in halted.value.found
    assert halted.value.remedy.startswith("copied_session: ask the source for the session itself and run again")
    mended = market(0, onto=119, symbols=symbols)
    assert inspect(cleaned(mended), names, sessions, GateSettings()).passed, "the remedy"


@pytest.mark.parametrize(("symbols", "copies"), [(3, 1), (4, 1), (9, 4)])
def test_fewer_than_half_of_a_few_symbols_are_no_session_and_each_bar_says_whose_it_is(symbols, copies) -> None:
    bars = market(copies, onto=119, symbols=symbols)
    names, sessions = tuple(bars["symbol"].unique()), pd.DatetimeIndex(bars["session"].unique())
    result = cleaned(bars)
    assert as_sessions(result) == []
    with pytest.raises(GateHalted, match=f"copied_bar.*the bar of {sessions[116]:%F} in all five values") as halted:
        inspect(result, names, sessions, GateSettings()).raise_if_failed()
    assert halted.value.where["rule"] == "missing_symbols"


def test_a_session_of_several_others_names_the_one_most_are_of() -> None:
    bars = copied(market(3, onto=119, symbols=4), "S03", 119, 100)
    (notice,) = as_sessions(cleaned(bars))
    sessions = bars["session"].unique()
    assert f"have another session's bar, most of them the bar of {sessions[116]:%F} in all" in notice.message


@pytest.mark.parametrize("onto", [70, 118])
def test_an_older_session_that_is_a_copy_halts_nothing_and_is_named(onto: int) -> None:
    """The session before the newest is such a one."""
    bars = market(8, onto=onto)
    sessions = pd.DatetimeIndex(bars["session"].unique())
    report = inspect(cleaned(bars), tuple(bars["symbol"].unique()), sessions, GateSettings())
    check = next(check for check in report.checks if check.name == "copied_session")
    assert check.passed
    assert f"{sessions[onto]:%F}" in check.detail
    assert len(check.violations) == 1
    assert report.passed


def test_beside_the_newest_session_as_a_copy_older_ones_are_listed_and_not_said_to_be_it() -> None:
    bars = market(8, onto=119)
    for onto in (70, 90):
        for name in bars["symbol"].unique()[:8]:
            bars = copied(bars, name, onto, onto - 5)
    sessions = pd.DatetimeIndex(bars["session"].unique())
    result = cleaned(bars)
    report = inspect(result, tuple(bars["symbol"].unique()), sessions, GateSettings(max_missing_symbols_fraction=1.0))
    check = next(check for check in report.checks if check.name == "copied_session")
    assert not check.passed
    assert check.detail.startswith(f"{sessions[119]:%F} holds another session's bars")
    assert f"{sessions[116]:%F}" in check.detail
    assert not any(f"{sessions[of]:%F}" in check.detail for of in (65, 85))
    assert len(check.violations) == 3
    next_one = sessions.insert(len(sessions), pd.Timestamp("2018-06-25"))
    later = inspect(result, tuple(bars["symbol"].unique()), next_one, GateSettings())
    check = next(check for check in later.checks if check.name == "copied_session")
    assert check.passed
    assert all(f"{sessions[onto]:%F}" in check.detail for onto in (70, 90, 119))


@pytest.mark.parametrize(
    ("symbols", "least"), [(1, 1), (2, 1), (5, 3), (9, 5), (10, 5), (100, 5), (101, 6), (120, 6), (121, 7)]
)
def test_how_many_copies_make_a_session_one(symbols: int, least: int) -> None:
    """Five, or of fewer than ten symbols half; a twentieth of more than a hundred: whole numbers counted by hand."""
    assert [are_many(copies, symbols) for copies in (least - 1, least)] == [False, True]


def test_a_session_of_one_symbol_is_said_of_it_by_name() -> None:
    bars = sound_bars()
    (symbol,) = bars["symbol"].unique()
    notices = [notice for notice in cleaned(copied(bars, symbol, 90, 60)).notices if notice.rule == "copied_session"]
    assert [notice.symbol for notice in notices] == [symbol]


@pytest.mark.parametrize(("field", "value"), [("low", 5.40), ("high", 250.0)])
def test_a_wick_that_nothing_comes_near_is_not_used(field: str, value: float) -> None:
    """A low of 5.40 beside closes of 36.79: a resting stop would fill on it."""
    bars = sound_bars()
    scale = 36.79 / bars["close"][90]
    bars[["open", "high", "low", "close"]] *= scale
    result = cleaned(with_values(bars, 90, **{field: value}))
    assert verdicts(result) == [(f"{bars['session'][90]:%F}", "isolated_wick", field)]


@pytest.mark.parametrize("field", ["low", "high"])
def test_a_wick_as_far_away_as_the_setting_says_is_not_used_and_the_next_smaller_one_is(field: str) -> None:
    """The nearest of open, close and the close before is half the high, or twice the low: log 2 away."""
    bars = sound_bars()
    nearest = min if field == "low" else max
    near = nearest(bars["open"][90], bars["close"][90], bars["close"][89])
    bars = with_values(bars, 90, **{field: near / 2.0 if field == "low" else near * 2.0})
    log_2 = 0.6931471805599453
    result = cleaned(bars, wick_minimum_log_distance=log_2)
    assert verdicts(result) == [(f"{bars['session'][90]:%F}", "isolated_wick", field)]
    assert cleaned(bars, wick_minimum_log_distance=float(np.nextafter(log_2, 1.0))).quarantine.empty


def test_a_wick_of_the_whole_market_was_traded_at() -> None:
    bars = market(0, onto=1)
    fallen = bars["session"] == bars["session"][80]
    bars.loc[fallen, "low"] *= 0.6
    assert cleaned(bars).quarantine.empty


def test_what_moved_before_is_no_wick() -> None:
    """A gap down is the bar's own level: open and close are near its low."""
    bars = sound_bars()
    bars.loc[90:, ["open", "high", "low", "close"]] *= 0.5
    assert "isolated_wick" not in [rule for _, rule, _ in verdicts(cleaned(bars))]


def test_a_wide_bar_of_a_wild_instrument_is_kept() -> None:
    bars = sound_bars()
    bars["low"], bars["high"] = bars["low"] * 0.93, bars["high"] * 1.07
    assert cleaned(with_values(bars, 90, low=bars["low"][90] * 0.74)).quarantine.empty


@pytest.mark.parametrize("cut", [70, 90, 100])
def test_what_comes_later_changes_neither_verdict(cut: int) -> None:
    bars = with_values(copied(copied(sound_bars(), "AAA", 90, 70), "AAA", 110, 70), 95, low=1.0)
    last = bars["session"][cut]
    whole = clean(bars, CALENDAR, CleaningSettings()).quarantine
    early = clean(bars[bars["session"] <= last], CALENDAR, CleaningSettings()).quarantine
    pd.testing.assert_frame_equal(whole[whole["session"] <= last].reset_index(drop=True), early)


def displaced(result: Cleaned) -> list[tuple[str, str]]:
    return [
        (notice.symbol, f"{notice.first_session:%F}") for notice in result.notices if notice.rule == "displaced_bar"
    ]


def moved_by(bars: pd.DataFrame, row: int, factor: float) -> pd.DataFrame:
    return with_values(bars, row, **{name: bars.loc[row, name] * factor for name in VALUES[:4]})


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_whole_bar_apart_from_both_its_neighbours_is_pointed_out_and_kept(factor: float) -> None:
    bars = moved_by(sound_bars(), 90, factor)
    result = cleaned(bars)
    assert displaced(result) == [("AAA", f"{bars['session'][90]:%F}")]
    assert result.quarantine.empty
    assert f"lies {'above' if factor > 1.0 else 'below'} the bars before and after" in result.notices[0].message


@pytest.mark.parametrize("change", ["level", "market", "wide", "no past"])
def test_what_else_explains_a_bar_apart_is_no_notice(change: str) -> None:
    bars = sound_bars(("AAA", "BBB", "CCC", "DDD"))
    own = bars.index[bars["symbol"] == "AAA"]
    whole = bars["session"] == bars["session"][own[90]]
    if change == "level":  # the next bar stays with it: a gap, and no return
        bars.loc[own[90:], VALUES[:4]] *= 1.1
    elif change == "market":
        bars.loc[whole, VALUES[:4]] *= 1.1
    elif change == "wide":
        bars["low"], bars["high"] = bars["low"] * 0.96, bars["high"] * 1.04
        bars = moved_by(bars, own[90], 1.15)
    else:
        bars = moved_by(bars, own[10], 1.1)
    assert displaced(cleaned(bars)) == []


@pytest.mark.parametrize(("volume", "suspected"), [(1.0, True), (3.0, False)])
def test_the_newest_bar_is_suspected_unless_news_moved_it_and_the_next_bar_decides(volume, suspected) -> None:
    bars = moved_by(sound_bars(), 90, 1.2)
    bars.loc[90, "volume"] = 900_000 * volume
    until = cleaned(bars[:91])
    assert displaced(until) == [("AAA", f"{bars['session'][90]:%F}")] * suspected
    assert all("a suspicion, which the next bar confirms" in notice.message for notice in until.notices if suspected)
    assert displaced(cleaned(bars[:92])) == [("AAA", f"{bars['session'][90]:%F}")]
    stayed = bars[:92].copy()
    stayed.loc[91, VALUES[:4]] = stayed.loc[90, VALUES[:4]] * 1.001
    assert displaced(cleaned(stayed)) == []


@pytest.fixture(scope="module")
def of_five_years(five_years: pd.DataFrame) -> Cleaned:
    return judged(five_years)


def test_the_copies_in_five_years_of_122_stocks_are_all_found_and_nothing_else(five_years, of_five_years) -> None:
    """190 by a count that shares no code: pandas' duplicates over the files as they are."""
    result, raw = of_five_years, five_years
    again = raw[raw.duplicated(["symbol", *VALUES]) & raw["low"].lt(raw["high"]) & raw["volume"].gt(0)]
    quarantined = result.quarantine[result.quarantine["rule"] == "copied_bar"]
    key = ["symbol", "session"]
    assert set(map(tuple, quarantined[key].to_numpy())) == set(map(tuple, again[key].to_numpy()))
    assert rule_counts(result) == {"copied_bar": 190, "isolated_wick": 0}
    named = {f"{notice.first_session:%F}" for notice in result.notices if notice.rule == "copied_session"}
    often = again.groupby("session").size().loc[lambda count: count >= 5]
    assert named == {f"{session:%F}" for session in often.index if often[session] >= 0.05 * 122} | {"2014-09-03"}
    of_the_future = quarantined[quarantined["session"] == "2014-11-12"]
    assert all("the bar of 2014-10-30" in message for message in of_the_future["message"])
    first = raw[raw.duplicated(["symbol", *VALUES], keep="last") & raw["low"].lt(raw["high"]) & raw["volume"].gt(0)]
    assert kept_in_doubt(result) == sorted(zip(first["symbol"], first["session"].dt.strftime("%F"), strict=True))
    assert possible_copies(result.notices)["2014-10-30"] == 42


def apart_by_pandas(bars: pd.DataFrame) -> set[tuple[str, str]]:
    """Bars further from both neighbours than 1.3 usual true ranges, the market's move taken off; in pandas alone."""
    logs = np.log(bars[["high", "low", "close"]]).assign(symbol=bars["symbol"], session=bars["session"])
    own = logs.groupby("symbol")
    before, after = own[["high", "low", "close"]].shift(1), own[["high", "low", "close"]].shift(-1)
    above = logs["low"] - np.maximum(before["high"], after["high"])
    below = np.minimum(before["low"], after["low"]) - logs["high"]
    side = np.where(above > 0, 1.0, -1.0)
    true_range = np.maximum(logs["high"], before["close"]) - np.minimum(logs["low"], before["close"])
    usual = true_range.groupby(logs["symbol"]).transform(
        lambda values: values.shift(1).rolling(60, min_periods=20).median()
    )
    middle = (logs["high"] + logs["low"]) / 2
    beside = (before["high"] + before["low"] + after["high"] + after["low"]) / 4
    moved = (middle - beside).groupby(logs["session"]).transform("median")
    gap = np.maximum(above, below)
    ranges = np.minimum(gap, gap - side * moved) / usual
    far = logs[ranges >= 1.3]
    return set(zip(far["symbol"], far["session"].dt.strftime("%F"), strict=True))


def test_the_bars_apart_in_five_years_of_122_stocks_are_those_of_known_bad_days(of_five_years) -> None:
    """2014-10-30 holds the bars of 2014-11-12, 2017-09-14 those of other months; one of a price is O, 2013-12-20."""
    displaced_bars, last = displaced(of_five_years), f"{of_five_years.bars['session'].max():%F}"
    assert {bar for bar in displaced_bars if bar[1] < last} == apart_by_pandas(of_five_years.bars)
    days = [day for _, day in displaced_bars]
    assert (days.count("2014-10-30"), days.count("2017-09-14"), len(displaced_bars)) == (10, 6, 21)
    assert ("O", "2013-12-20") in displaced_bars


def test_the_bundled_indexes_raise_no_false_alarm() -> None:
    result = judged(BundledSource().bars())
    assert rule_counts(result) == {"copied_bar": 0, "isolated_wick": 0}
    assert displaced(result) == []


def test_a_real_daily_feed_raises_no_false_alarm(shared_data) -> None:
    sessions = sessions_between(CALENDAR, "2015-03-19", "2015-04-01")
    result = judged(FilesSource(shared_data / "us_daily_drops" / "2015").bars())
    assert result.bars["session"].isin(sessions).any()
    assert rule_counts(result) == {"copied_bar": 0, "isolated_wick": 0}
    assert displaced(result) == []


def test_what_was_mended_by_hand_raises_no_false_alarm(shared_data) -> None:
    """Dated anew, since few of these trade on this calendar."""
    for file in sorted((shared_data / "vendor_dirty").glob("*-1d-*-fixed.csv")):
        table = pd.read_csv(file).rename(columns=str.lower).dropna(subset=VALUES)
        table = table[table["low"].gt(0) & table["volume"].gt(0)].assign(symbol=file.stem)
        table = table.sort_values(table.columns[0])
        table["session"] = sessions_between(CALENDAR, "1999-01-04", "2018-12-31")[: len(table)]
        bars = table[["symbol", "session", *VALUES]].assign(source="test")
        result = judged(bars)
        assert (rule_counts(result), displaced(result)) == ({"copied_bar": 0, "isolated_wick": 0}, []), file.name
