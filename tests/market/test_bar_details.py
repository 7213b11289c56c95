"""What a source says of a bar beyond prices and volume: judged by its own row, adjusted as what it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nn_assets.contracts import DETAILS
from nn_assets.errors import PluginError, SettingsError
from nn_assets.features.catalogue import CATALOGUE, Context, Feature, compute_features
from nn_assets.market.panel import Panel, panel_from_bars
from nn_assets.market.quality.bar_details import judge_details
from tests.features.panels import random_panel
from tests.market.builders import sound_bars

BARS = sound_bars(("AAA",), count=8).drop(columns=["known_at", "ingested_at"])
SESSIONS = pd.DatetimeIndex(BARS["session"])


def with_details(**values: object) -> pd.DataFrame:
    middle = (BARS["low"] + BARS["high"]) / 2.0
    usual = {"vwap": middle, "trades": 9.0, "bid": BARS["close"] - 0.01, "ask": BARS["close"] + 0.01}
    return BARS.assign(**{**usual, "effective_spread": np.nan, **values})


@pytest.mark.parametrize(
    ("name", "value", "rule", "left_out"),
    [
        ("vwap", 1e6, "vwap_in_range", {"vwap"}),
        ("vwap", -1.0, "details_positive", {"vwap"}),
        ("ask", np.inf, "details_finite", {"ask"}),
        ("ask", 0.0, "details_positive", {"ask"}),
        ("bid", 1e6, "quotes_crossed", {"bid", "ask"}),
        ("trades", -1.0, "trades_counted", {"trades"}),
        ("trades", 0.5, "trades_counted", {"trades"}),
        ("effective_spread", -0.1, "spread_not_negative", {"effective_spread"}),
    ],
)
def test_a_faulty_detail_is_left_out_by_its_rule_and_the_others_stay(
    name: str, value: float, rule: str, left_out: set[str]
) -> None:
    bars = with_details(effective_spread=0.001)
    bars.loc[3, name] = value
    judged = judge_details(bars)
    assert judged is not None
    assert (set(judged.quarantine["rule"]), set(judged.quarantine["field"])) == ({rule}, left_out)
    assert set(judged.quarantine["row"]) == {3}
    kept = judged.details[list(DETAILS)]
    assert {column for column in DETAILS if np.isnan(kept.loc[3, column])} == left_out
    assert kept.drop(index=3).notna().all(axis=None)


def test_quotes_that_meet_and_no_trades_at_all_are_no_faults_and_a_delivery_without_details_has_none() -> None:
    judged = judge_details(with_details(bid=BARS["close"], ask=BARS["close"], trades=0.0))
    assert judged is not None
    assert judged.quarantine.empty
    assert judge_details(BARS) is None


def test_a_split_moves_what_is_a_price_and_leaves_counts_and_shares_of_a_price() -> None:
    ex = SESSIONS[4]
    actions = pd.DataFrame({"symbol": ["AAA"], "ex_session": [ex], "kind": ["split"], "value": [2.0]})
    quoted = with_details(effective_spread=0.001)
    panel = panel_from_bars(BARS, SESSIONS, ("AAA",), actions, details=quoted)
    for moved, factor in (
        (panel.total_return(), [1.0] * 4 + [2.0] * 4),
        (panel.backward_adjusted(), [0.5] * 4 + [1.0] * 4),
    ):
        for name in ("vwap", "bid", "ask"):
            np.testing.assert_allclose(moved.arrays[name][:, 0], quoted[name] * factor, rtol=1e-14)
        for name in ("trades", "effective_spread"):
            np.testing.assert_array_equal(moved.arrays[name][:, 0], quoted[name])
    assert set(panel_from_bars(BARS, SESSIONS, ("AAA",)).arrays) == {"open", "high", "low", "close", "volume"}


def test_a_detail_without_its_bar_is_none() -> None:
    panel = panel_from_bars(BARS.drop(index=2), SESSIONS, ("AAA",), details=with_details())
    assert np.isnan(panel.arrays["vwap"][2, 0])
    assert np.isfinite(panel.arrays["vwap"]).sum() == 7


def test_a_feature_of_a_detail_that_no_bar_has_is_refused_by_name() -> None:
    panel = random_panel(30)
    bare = Panel(panel.sessions, panel.symbols, panel.open, panel.high, panel.low, panel.close, panel.volume)
    for name, column in (
        ("vwap_deviation", "vwap"),
        ("quoted_spread_20", "bid"),
        ("effective_spread_20", "effective_s"),
    ):
        with pytest.raises(SettingsError, match=f"{column}.*{name}"):
            compute_features(bare, (name,))
        assert np.isfinite(compute_features(panel, (name,)).values).any()


def test_a_detail_that_a_feature_does_not_state_is_not_handed_to_it() -> None:
    def reads_more(panel: Panel, _: Context) -> np.ndarray:
        return panel.close / panel.vwap

    entry = Feature("reads_more", "own", 0, reads_more, "close / vwap", ("close",))
    with pytest.raises(PluginError, match="it reads vwap"):
        entry.computed(random_panel(30), Context())
    assert "vwap" in CATALOGUE["vwap_deviation"].fields
