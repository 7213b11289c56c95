"""Cleaning: each rule on a bar made for it, and causality by cutting."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn_assets.contracts import BARS, validate
from nn_assets.market.quality.cleaning import RULES, clean
from nn_assets.settings import CleaningSettings
from tests.market.builders import CALENDAR, cleaned, moment, sound_bars, verdicts, with_values

DEFAULTS = CleaningSettings()


def test_sound_bars_pass_untouched() -> None:
    bars = sound_bars(("AAA", "BBB"))
    result = cleaned(bars)
    pd.testing.assert_frame_equal(result.bars, bars)
    assert result.quarantine.empty
    assert result.notices == ()
    assert result.quarantined_fraction == 0.0
    assert set(result.counts().values()) == {0}


EARLY = ({"ingested_at": moment("2018-03-29 19:59")}, "unfinished_last_bar", "ingested_at", "2018-03-29 19:59:00+00:00")
KNOWN_EARLY = ({"known_at": moment("2018-03-29 19:59")}, "unfinished_last_bar", "known_at", "2018-03-29 19:59:00+00:00")
# Row 60 of the sound bars is the session of 2018-03-29.
FAULTY = [
    ({"open": np.nan}, "missing_price", "open", "nan"),
    ({"low": 0.0}, "non_positive_price", "low", "0.0"),
    ({"low": 9e-13}, "impossible_size", "low", "9e-13"),
    ({"volume": 0.0}, "zero_volume", "volume", "0.0"),
    ({"open": 17.87}, "high_low_bracket", "open", "17.87"),
    ({"session": pd.Timestamp("2018-03-31")}, "off_calendar", "session", "2018-03-31"),
    KNOWN_EARLY,
    ({"close": np.inf}, "missing_price", "close", "inf"),
    ({"close": -3.5}, "non_positive_price", "close", "-3.5"),
    ({"high": 1.1e12}, "impossible_size", "high", "1100000000000.0"),
    ({"volume": 1.1e18}, "impossible_size", "volume", "1.1e+18"),
    ({"volume": np.nan}, "zero_volume", "volume", "nan"),
    ({"volume": -7.0}, "zero_volume", "volume", "-7.0"),
    ({"volume": np.inf}, "zero_volume", "volume", "inf"),
    ({"high": 1.0}, "high_low_bracket", "high", "1.0"),
    ({"close": 17.87}, "high_low_bracket", "close", "17.87"),
    ({"close": 500.0}, "high_low_bracket", "close", "500.0"),
    ({"open": 500.0}, "high_low_bracket", "open", "500.0"),
    EARLY,
]


@pytest.mark.parametrize(("values", "rule", "field", "value"), FAULTY)
def test_a_faulty_row_goes_to_quarantine_with_rule_field_and_value(values, rule, field, value) -> None:
    bars = with_values(sound_bars(), 60, **values)
    result = cleaned(bars)
    row = result.quarantine.iloc[0]
    assert (row["symbol"], row["rule"], row["field"], row["value"]) == ("AAA", rule, field, value)
    assert value in row["message"]
    assert len(result.quarantine) == 1
    assert result.counts()[rule] == 1


def test_a_quarter_of_a_symbols_faults_are_all_kept_and_all_named() -> None:
    bars = sound_bars()
    bars.loc[::4, "low"] = 0.0
    assert cleaned(bars).counts()["non_positive_price"] == 30


def test_of_equal_rows_one_stays_and_of_contradicting_rows_none() -> None:
    bars = sound_bars(count=30)
    equal, other = (
        bars.iloc[[5, 5]].assign(source="another file"),
        with_values(bars, 9, close=bars["close"][9] * 1.001).iloc[[9]],
    )
    result = cleaned(pd.concat([bars, equal, other], ignore_index=True))
    assert [rule for _, rule, _ in verdicts(result)] == ["duplicate"] * 2
    sessions = bars["session"]
    assert result.quarantine["session"].tolist() == [sessions[9], sessions[9]]
    assert result.bars["session"].tolist().count(sessions[5]) == 1
    assert result.equal_rows == 2
    assert sessions[9] not in result.bars["session"].tolist()


def test_rounding_of_adjusted_prices_is_no_fault() -> None:
    bars = sound_bars(count=30)
    bars["high"] = np.maximum(bars["open"], bars["close"]) * (1.0 - 1e-12)
    assert cleaned(bars).quarantine.empty


def test_an_index_quoted_without_volume_passes_when_it_trades_without() -> None:
    bars = sound_bars(count=30).assign(volume=np.nan)
    assert cleaned(bars, traded_with_volume=False).quarantine.empty
    assert cleaned(bars).counts()["zero_volume"] == 30


@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_prices_in_the_wrong_unit_are_caught_and_the_return_to_the_right_one_is_not(factor) -> None:
    bars = sound_bars()
    for row in (70, 71, 90):
        bars.loc[row, ["open", "high", "low", "close"]] *= factor
    result = cleaned(bars)
    assert result.quarantine["session"].tolist() == bars["session"][[70, 71, 90]].tolist()
    assert set(result.quarantine["rule"]) == {"unit_error_100x"}
    assert result.notices == ()


def test_a_low_in_the_wrong_unit_is_caught_though_it_brackets() -> None:
    bars = sound_bars()
    result = cleaned(with_values(bars, 70, low=bars["low"][70] / 100.0))
    assert [(rule, field) for _, rule, field in verdicts(result)] == [("unit_error_100x", "low")]


def stale(volume: float) -> pd.DataFrame:
    bars = sound_bars()
    price = bars["close"][60]
    for row in range(61, 68):
        for name in ("open", "high", "low", "close"):
            bars.loc[row, name] = price
        bars.loc[row, "volume"] = volume
    return bars


def test_the_fifth_equal_close_with_low_volume_and_those_after_it_are_stale() -> None:
    # Closes 60 to 67 are equal: 60 starts the run, 64 is the fifth.
    result = cleaned(stale(volume=10_000.0))
    assert result.quarantine["session"].tolist() == sound_bars()["session"][64:68].tolist()
    assert set(result.quarantine["rule"]) == {"stale_run"}


def test_what_volume_counts_as_low_is_a_setting() -> None:
    bars = stale(volume=100_000.0)  # a tenth of the usual
    assert cleaned(bars).counts()["stale_run"] == 4
    assert cleaned(bars, stale_low_volume_fraction=0.05).quarantine.empty


def test_how_far_from_a_hundredfold_is_still_one_is_a_setting() -> None:
    bars = sound_bars()
    bars.loc[70, ["open", "high", "low", "close"]] *= 135.0
    assert cleaned(bars).counts()["unit_error_100x"] == 0
    assert cleaned(bars, unit_error_slack_log_return=0.5).counts()["unit_error_100x"] == 1


def test_equal_closes_with_their_usual_volume_are_a_pinned_price_and_stay() -> None:
    assert cleaned(stale(volume=1_000_000.0)).quarantine.empty


def test_without_volume_bars_that_do_not_move_at_all_are_stale() -> None:
    assert cleaned(stale(volume=np.nan), traded_with_volume=False).counts()["stale_run"] == 4


VALUES = ["open", "high", "low", "close", "volume"]
FAULTS = st.lists(
    st.tuples(
        st.integers(0, 79),
        st.sampled_from(
            [
                *(
                    "open",
                    "high",
                    "low",
                    "close",
                    "volume",
                    "unit",
                    "level",
                    "repeat",
                    "twin",
                    "drop",
                    "crash",
                    "weekend",
                ),
                *("missing", "frozen", "early", "crossed", "copy", "wick"),
            ]
        ),
    ),
    max_size=14,
)


def with_faults(faults: list[tuple[int, str]]) -> pd.DataFrame:
    bars = sound_bars(("AAA", "BBB"), count=40, seed=5)
    extra = []
    for row, fault in faults:
        if fault == "unit":
            bars.loc[row, ["open", "high", "low", "close"]] *= 100.0
        elif fault == "level":
            bars.loc[row:, ["open", "high", "low", "close"]] *= 100.0
        elif fault == "crash":
            bars.loc[row:, ["open", "high", "low", "close"]] *= 0.5
        elif fault == "repeat" and row:
            bars.loc[row, ["open", "high", "low", "close"]] = bars["close"][row - 1]
            bars.loc[row, "volume"] = 1.0
        elif fault == "missing":
            bars.loc[row, "open"] = np.nan
        elif fault == "impossible":
            bars.loc[row, "volume"] = 1e19
        elif fault == "crossed":
            bars.loc[row, "high"] = bars["low"][row] * 0.9
        elif fault == "copy" and row >= 3:
            bars.loc[row, VALUES] = bars.loc[row - 3, VALUES].to_numpy()
        elif fault == "wick":
            bars.loc[row, "low"] *= 0.1
        elif fault == "early":
            bars.loc[row, "ingested_at"] = bars["session"][row].tz_localize("UTC")
        elif fault == "frozen":
            bars.loc[row : row + 6, ["open", "high", "low", "close"]] = bars["close"][row]
            bars.loc[row : row + 6, "volume"] = 1.0
        elif fault == "twin":
            extra.append(bars.iloc[[row]].assign(close=bars["close"][row] * (1.0 + row % 2 / 1000.0)))
        elif fault == "weekend":
            bars.loc[row, "session"] = pd.Timestamp("2018-02-03")
        elif fault in bars.columns:
            bars.loc[row, fault] = -1.0
    dropped = [row for row, fault in faults if fault == "drop"]
    return pd.concat([bars.drop(index=dropped), *extra], ignore_index=True)


def test_the_faults_drawn_below_reach_every_rule() -> None:
    faults = ["twin", "weekend", "early", "missing", "impossible", "volume", "close", "crossed", "unit"]
    faults.remove("twin")
    bars = with_faults(
        [
            (1, "twin"),
            *((3 * number + 3, fault) for number, fault in enumerate(faults)),
            (35, "copy"),
            (39, "wick"),
            (70, "frozen"),
        ]
    )
    assert [name for name, count in clean(bars, CALENDAR, DEFAULTS).counts().items() if not count] == ["odd_print"]


@pytest.mark.full
@settings(max_examples=40, deadline=None)
@given(FAULTS, st.integers(1, 39), st.randoms(use_true_random=False))
def test_what_arrives_later_changes_no_earlier_verdict(faults, cut, random) -> None:
    bars = with_faults(faults)
    last = sound_bars()["session"][cut]
    order = list(range(len(bars)))
    random.shuffle(order)
    whole = clean(bars.iloc[order], CALENDAR, DEFAULTS)
    early = clean(bars[bars["session"] <= last], CALENDAR, DEFAULTS)
    for later, sooner in ((whole.bars, early.bars), (whole.quarantine, early.quarantine)):
        expected = later[later["session"] <= last].reset_index(drop=True)
        pd.testing.assert_frame_equal(expected, sooner)
    # that a bar may be a copy of a later session's is said when that one arrives, of the earlier bar
    said = [
        [notice for notice in result.notices if notice.last_session <= last and notice.rule != "possible_copy"]
        for result in (whole, early)
    ]
    assert said[0] == said[1]
    assert len(whole.bars) + len(whole.quarantine) + whole.equal_rows == len(bars)
    validate(whole.bars, BARS)


def test_what_is_in_quarantine_says_what_was_expected_what_was_found_and_what_to_do() -> None:
    row = cleaned(with_values(sound_bars(), 60, low=0.0)).quarantine.iloc[0]
    bar = sound_bars().loc[60]
    whole = f"open {bar['open']}, high {bar['high']}, low 0.0, close {bar['close']}, volume {bar['volume']}"
    assert row["message"] == (f"expected prices above zero; found low 0.0 in {whole}; correct the price at the source")
    assert all(rule.remedy for rule in RULES)


def test_every_rule_has_a_name_of_its_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES) == 13
