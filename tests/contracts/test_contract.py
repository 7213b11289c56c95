"""Contracts of frames: what keeps them passes, and every breach is listed, none hiding another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nn_assets import contracts
from nn_assets.contracts import (
    BARS,
    DRIFT,
    SIGNALS,
    TRADING_STATES,
    conform,
    empty,
    validate,
    violations,
)
from nn_assets.errors import SchemaError
from tests.market.builders import sound_bars, with_values

CONTRACTS = [name for name in contracts.__all__ if hasattr(getattr(contracts, name), "columns")]
GOOD = sound_bars(("AAA", "BBB"), count=5)


@pytest.mark.full
@pytest.mark.parametrize("name", CONTRACTS)
def test_an_empty_frame_keeps_each_contract(name) -> None:
    schema = getattr(contracts, name)
    assert tuple(validate(empty(schema), schema).columns) == tuple(schema.columns)


def test_a_frame_that_keeps_its_contract_is_given_back_itself() -> None:
    assert validate(GOOD, BARS) is GOOD


@pytest.mark.full
@pytest.mark.parametrize(
    ("values", "column", "rule"),
    [
        ({"low": 0.0}, "low", "greater_than(0.0)"),
        ({"low": -1.0}, "low", "greater_than(0.0)"),
        ({"close": np.nan}, "close", "not_nullable"),
        ({"high": np.inf}, "high", "is finite"),
        ({"volume": -1.0}, "volume", "greater_than_or_equal_to(0.0)"),
        ({"high": 0.5}, "row", "high >= max(open, close)"),
        ({"low": 5000.0}, "row", "low <= min(open, close)"),
        ({"known_at": pd.NaT}, "known_at", "not_nullable"),
        ({"symbol": np.nan}, "symbol", "not_nullable"),
        ({"session": pd.Timestamp("2018-01-03 09:30")}, "session", "is a midnight"),
    ],
)
def test_a_faulty_bar_is_named_with_column_rule_and_value(values, column, rule) -> None:
    breaches = violations(with_values(GOOD, 7, **values), BARS)
    assert [(breach.column, breach.rule) for breach in breaches] == [(column, rule)]
    assert breaches[0].session == ("2018-01-03" if "session" in values else "2018-01-04")
    with pytest.raises(SchemaError) as caught:
        validate(with_values(GOOD, 7, **values), BARS)
    assert caught.value.where["rule"] == rule


def test_every_violation_is_listed() -> None:
    bars = with_values(with_values(with_values(GOOD, 1, open=-1.0), 2, volume=-5.0), 8, close=np.inf)
    with pytest.raises(SchemaError) as caught:
        validate(bars, BARS)
    text = str(caught.value)
    for part in (
        "AAA 2018-01-03: open = -1.0",
        "AAA 2018-01-04: volume = -5.0",
        "BBB 2018-01-05: close = inf",
    ):
        assert part in text


def test_a_bar_given_twice_breaks_uniqueness_once_a_row() -> None:
    twice = pd.concat([GOOD, GOOD.iloc[[3]]], ignore_index=True)
    breaches = violations(twice, BARS)
    assert {breach.rule for breach in breaches} == {"unique by symbol, session"}
    assert [(breach.symbol, breach.session) for breach in breaches] == [("AAA", "2018-01-05")] * 2


def test_missing_and_surplus_columns_are_both_named() -> None:
    breaches = violations(GOOD.drop(columns=["open", "symbol"]).assign(vwap=1.0), BARS)
    assert {(breach.column, breach.value) for breach in breaches} == {
        ("open", "absent"),
        ("symbol", "absent"),
        ("vwap", "present"),
    }


@pytest.mark.parametrize(
    ("column", "dtype", "shown"),
    [
        ("session", "datetime64[us]", "datetime64[us]"),
        ("symbol", "object", "object"),
        ("volume", "int64", "int64"),
        ("close", "float32", "float32"),
        ("known_at", "datetime64[us, UTC]", "datetime64[us, UTC]"),
    ],
)
def test_a_near_miss_of_a_type_is_a_violation(column, dtype, shown) -> None:
    breaches = violations(GOOD.astype({column: dtype}), BARS)
    assert [(breach.column, breach.value) for breach in breaches] == [(column, shown)]
    pd.testing.assert_frame_equal(conform(GOOD.astype({column: dtype}), BARS)[["symbol"]], GOOD[["symbol"]])


def test_conforming_casts_orders_and_drops_but_judges_nothing() -> None:
    loose = with_values(GOOD, 0, close=-1.0).astype({"session": "datetime64[us]", "symbol": "object"})
    made = conform(loose.assign(extra=1).iloc[:, ::-1].set_index(pd.Index(range(5, 15))), BARS)
    assert tuple(made.columns) == tuple(BARS.columns)
    assert made.index.equals(pd.RangeIndex(10))
    assert [breach.value for breach in violations(made, BARS) if breach.column == "close"] == ["-1.0"]


def test_conforming_names_a_column_that_is_absent_or_cannot_be_cast() -> None:
    with pytest.raises(SchemaError, match="column open"):
        conform(GOOD.drop(columns="open"), BARS)
    with pytest.raises(SchemaError, match=r"bars\.open"):
        conform(GOOD.assign(open="ten"), BARS)


def test_probabilities_and_directions_stay_in_their_range() -> None:
    row = {
        "symbol": "AAA",
        "session": pd.Timestamp("2018-01-02"),
        "direction": 1,
        "outcomes": 80,
        "outcome_sessions": 70,
        "known_at": pd.Timestamp("2018-01-02 22:00", tz="UTC"),
        **dict.fromkeys(("model_id", "data_hash", "code_version"), "x"),
        **dict.fromkeys(("probability", "dispersion", "calibrated_probability", "base_rate", "confidence"), 0.5),
        **dict.fromkeys(("expected_return", "mean_win", "mean_loss", "forecast_volatility"), np.nan),
    }
    validate(conform(pd.DataFrame([row]), SIGNALS), SIGNALS)
    wrong = conform(pd.DataFrame([{**row, "probability": 1.01, "direction": 2}]), SIGNALS)
    assert {breach.column for breach in violations(wrong, SIGNALS)} == {"probability", "direction"}


def test_states_and_layers_are_of_the_words_agreed() -> None:
    day = pd.Timestamp("2018-01-02")
    state = {"session": day, "effective_session": day, "state": "STOP", "score": 3, "reasons": ""}
    breaches = violations(conform(pd.DataFrame([state]), TRADING_STATES), TRADING_STATES)
    assert [(breach.column, breach.value) for breach in breaches] == [("state", "STOP")]
    ring = {"session": day, "layer": "cost", "name": "x", "drifted": True}
    numbers = dict.fromkeys(("statistic", "critical", "autocorrelation"), 0.1)
    assert [b.column for b in violations(conform(pd.DataFrame([ring | numbers]), DRIFT), DRIFT)] == ["layer"]


POOLS: dict[str, list[object]] = {
    "str": ["AAA", "BBB", np.nan],
    "datetime64[ns]": [pd.Timestamp("2018-01-03"), pd.Timestamp("2018-01-03 09:30"), pd.NaT],
    "datetime64[ns, UTC]": [pd.Timestamp("2018-01-03 21:00", tz="UTC"), pd.NaT],
    "float64": [0.5, 1.0, 0.0, -1.0, 2.0, 3e9, np.inf, np.nan],
    "int64": [1, 0, -1, 2, 30],
    "bool": [True, False],
    "object": [{"a": 1}, ["b"], None],
}


def any_frame(schema, random: np.random.Generator) -> pd.DataFrame:
    """A frame of up to three rows, mostly of values that the contract allows, now and then of another type."""
    rows, made = int(random.integers(1, 4)), {}
    for name, column in schema.columns.items():
        allowed = [value for check in column.checks if check.name == "isin" for value in check.arguments[0]]
        pool = [*allowed, "CCC"] if allowed and str(column.dtype) == "str" else allowed or POOLS[str(column.dtype)]
        whole = len(pool) if random.random() < 0.1 else max(1, len(pool) // 2)
        picked = pd.Series([pool[random.integers(whole)] for _ in range(rows)], dtype=column.dtype)
        made[name] = picked if random.random() < 0.995 else picked.astype(object)
    return pd.DataFrame(made)


def agree(name: str, frames_of_each: int) -> tuple[int, int]:
    """Judge frames twice, here and by Pandera; how many kept the contract, and how many did not."""
    from pandera.errors import SchemaErrors

    schema, random, counted = getattr(contracts, name), np.random.default_rng(5), [0, 0]
    for _ in range(frames_of_each):
        frame = any_frame(schema, random)
        try:
            schema.schema.validate(frame, lazy=True)
            kept = True
        except SchemaErrors:
            kept = False
        assert schema.kept_by(frame) is kept, frame.to_dict("records")
        counted[0 if kept else 1] += 1
    return counted[0], counted[1]


@pytest.mark.full
def test_what_is_judged_without_pandera_is_judged_alike() -> None:
    assert min(sum(counts) for counts in zip(*(agree(name, 8) for name in CONTRACTS), strict=True)) > 20


@pytest.mark.full
@pytest.mark.parametrize("name", CONTRACTS)
def test_of_many_frames_each_is_judged_as_pandera_judges_it(name) -> None:
    assert sum(agree(name, 100)) == 100
