"""The data set in small tables: oracles are plain loops over the bars."""

from __future__ import annotations

import math
from statistics import median, pstdev

import numpy as np
import pandas as pd
import pytest

from nn_assets.market.quality.cleaning import Cleaned, clean
from nn_assets.market.quality.overview import Overview, overview
from nn_assets.settings import CleaningSettings
from tests.market.builders import CALENDAR, sound_bars

SYMBOLS = ("AAA", "BBB", "CCC")
BARS = sound_bars(SYMBOLS, count=400)
SESSIONS = pd.DatetimeIndex(BARS["session"].unique())


def cleaned(bars: pd.DataFrame) -> Cleaned:
    return clean(bars, CALENDAR, CleaningSettings())


def seen(bars: pd.DataFrame, symbols: tuple[str, ...] = SYMBOLS) -> Overview:
    return overview(cleaned(bars), symbols, SESSIONS)


def of(summary: Overview, symbol: str) -> pd.Series:
    return summary.symbols.set_index("symbol").loc[symbol]


def test_completeness_and_age_count_from_the_first_bar_delivered() -> None:
    bars = BARS.drop(index=[*range(50), 120, 121, 398, 399])  # AAA: listed late, two gaps, stops early
    bars.loc[60, "volume"] = 0.0
    bars.loc[50, "low"] = -1.0
    row = of(seen(bars), "AAA")
    assert (row["due"], row["clean"], row["quarantined"], row["sessions_behind"]) == (350, 344, 2, 2)
    assert row["completeness"] == pytest.approx(344 / 350)
    assert (row["first_session"], row["last_session"]) == (f"{SESSIONS[51]:%F}", f"{SESSIONS[397]:%F}")
    assert of(seen(bars), "BBB")["completeness"] == 1.0


def test_of_days_on_which_no_bar_is_asked_for_none_is_due_and_none_makes_a_symbol_old() -> None:
    bars = BARS.drop(index=[*range(100, 110), 120, *range(390, 400)])  # AAA: two stretches away, one bar lost
    asked = np.ones((len(SESSIONS), 4), dtype=bool)
    asked[100:110, 0] = asked[390:, 0] = False
    asked[:, 3] = False
    summary = overview(cleaned(bars), (*SYMBOLS, "ZZZ"), SESSIONS, None, asked)
    assert of(summary, "AAA")[["due", "clean", "sessions_behind"]].tolist() == [380, 379, 0]
    assert of(summary, "AAA")["completeness"] == pytest.approx(379 / 380)
    assert of(summary, "ZZZ")[["due", "completeness", "sessions_behind"]].tolist() == [0, 1.0, 0]


def test_a_symbol_that_never_came_is_incomplete_and_older_than_everything() -> None:
    row = of(seen(BARS, (*SYMBOLS, "ZZZ")), "ZZZ")
    assert (row["completeness"], row["sessions_behind"], row["first_session"], row["due"]) == (0.0, 400, "", 0)
    assert math.isnan(row["volume_ratio"])


@pytest.mark.full
def test_recent_volume_and_volatility_are_held_against_the_year_before() -> None:
    bars = BARS.drop(index=[395, 300])
    volumes, closes = ({} for _ in range(2))
    for at, session in enumerate(SESSIONS):
        bar = bars[(bars["symbol"] == "AAA") & (bars["session"] == session)]
        if len(bar):
            volumes[at], closes[at] = bar["volume"].item(), bar["close"].item()
    returns = {at: math.log(closes[at] / closes[at - 1]) for at in closes if at - 1 in closes}
    recent, usual = range(380, 400), range(128, 380)
    row = of(seen(bars), "AAA")
    assert row["volume_ratio"] == pytest.approx(
        median(volumes[at] for at in recent if at in volumes) / median(volumes[at] for at in usual if at in volumes)
    )
    assert row["volatility_ratio"] == pytest.approx(
        pstdev(returns[at] for at in recent if at in returns) / pstdev(returns[at] for at in usual if at in returns)
    )


def test_too_few_values_to_compare_are_missing_and_not_zero() -> None:
    short = overview(cleaned(BARS[BARS["session"] <= SESSIONS[60]]), SYMBOLS, SESSIONS[:61])
    assert short.symbols[["volume_ratio", "volatility_ratio"]].isna().all(axis=None)
    assert short.returns.empty
    assert short.shift_noise == 0.0


def test_a_recent_sessions_bars_are_held_against_the_median_of_the_year_before_it() -> None:
    bars = BARS[~((BARS["session"] == SESSIONS[399]) & (BARS["symbol"] != "AAA"))]
    bars = bars[~((bars["symbol"] == "CCC") & (bars["session"] < SESSIONS[300]))]
    last = seen(bars).sessions.iloc[-1]
    before = [(bars["session"] == SESSIONS[at]).sum() for at in range(399 - 252, 399)]
    assert (last["session"], last["bars"], last["usual_bars"]) == (f"{SESSIONS[399]:%F}", 1, median(before))
    assert last["share"] == pytest.approx(1 / median(before))
    assert len(seen(bars).sessions) == 20


def test_the_shift_is_the_population_stability_index_over_fifths() -> None:
    bars = BARS.copy()
    wild = (bars["session"] >= SESSIONS[380]) & (np.arange(len(bars)) % 2 == 0)
    bars.loc[wild, ["open", "high", "low", "close"]] *= 1.05
    summary = seen(bars)
    log_returns = [
        np.log(group["close"].to_numpy()[1:] / group["close"].to_numpy()[:-1]) for _, group in bars.groupby("symbol")
    ]
    usual = sorted(value for returns in log_returns for value in returns[127:379])
    recent = [value for returns in log_returns for value in returns[379:]]
    cuts = [np.percentile(usual, share) for share in (20, 40, 60, 80)]
    index = 0.0
    for low, high in zip([-math.inf, *cuts], [*cuts, math.inf], strict=True):
        u = sum(low < value <= high for value in usual) / len(usual)
        r = max(sum(low < value <= high for value in recent), 0.5) / len(recent)
        index += (r - u) * math.log(r / u)
    assert summary.returns["shift"].sum() == pytest.approx(index, rel=0.02)
    assert index > 1.0
    assert summary.shift_noise == pytest.approx((1 / 20 + 1 / 252) * 13.277)


def test_bars_that_nobody_expects_and_sessions_off_the_axis_count_for_nothing() -> None:
    alone = overview(cleaned(BARS), ("BBB",), SESSIONS[:300])
    assert alone.symbols["clean"].tolist() == [300]
    assert alone.sessions["bars"].tolist() == [1] * 20


def test_without_a_list_of_symbols_those_found_are_shown_in_order() -> None:
    assert overview(cleaned(BARS), (), SESSIONS).symbols["symbol"].tolist() == list(SYMBOLS)


def test_a_session_is_not_part_of_what_is_usual_for_it() -> None:
    bars = BARS[(BARS["session"] == SESSIONS[0]) | (BARS["symbol"] == "AAA")]
    sessions = overview(cleaned(bars), SYMBOLS, SESSIONS[:2]).sessions
    assert sessions["usual_bars"].tolist() == [3.0, 3.0]
    assert sessions["share"].tolist() == [1.0, pytest.approx(1 / 3)]
