"""Series that are no good, from files to the signals of a session: a name for each, or a stated exclusion, never NaN.

The markets are small ones, and what is bad about each is put there. A name whose series says nothing goes without a
label, a size or a signal; the other names are decided as on any day.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from nn_assets.errors import NnAssetsError
from nn_assets.operations.explanation import moved_forecasts
from nn_assets.operations.history import open_history
from nn_assets.sources.simulated import SimulatedSource
from tests.operations.homes import decide, months_between, study, take_in
from tests.orchestration.conftest import living_in, strategy_of
from tests.shared_homes import nothing_drawn

NAME, BAD = "bad", "SIM03"
SYMBOLS = tuple(f"SIM{number:02d}" for number in range(1, 7))
STARTS, ENDS, LIVE = "2015-06-01", "2016-05-31", "2016-05-27"
MONTHS = months_between("2016-05", "2016-05")
PRICES = ["open", "high", "low", "close"]
SETTINGS: dict[str, Any] = {
    "name": NAME,
    "trade_without_verdict": True,
    "source": {"kind": "files", "path": "bars"},
    "series": [{"name": "mood", "path": "mood.csv", "lag_minutes": 15}],
    "market": {
        "calendar": "XNYS",
        "symbols": list(SYMBOLS),
        "history_starts": STARTS,
        "history_ends": ENDS,
        "live_starts": LIVE,
    },
    # whatever the gate would halt: what comes behind it has to stand it
    "gate": {
        "max_quarantined_fraction": 1.0,
        "max_missing_symbols_fraction": 1.0,
        "max_missing_sessions_fraction": 1.0,
        "max_repeated_bars_fraction": 1.0,
        "max_stale_sessions": 250,
    },
    "features": {
        "names": ["log_return_1", "close_location", "volume_z_20", "change_of_mood", "rank_in_universe_return_5"],
        "series": {"mood": "mood"},
        "panel_pass_share": 0.3,
    },
    "label": {"horizon_sessions": 3, "execution": "next_close"},
    "learning": {
        "network": "mlp",
        "lookback": 3,
        "hidden": 4,
        "layers": 1,
        "ensemble": 1,
        "maximum_epochs": 1,
        "processes": 1,
        "baselines": ["linear", "momentum"],
    },
    "walk_forward": {
        "training_months": 5,
        "validation_months": 1,
        "calibration_months": 1,
        "minimum_training_rows": 200,
    },
    "novelty": {},
    "ranges": {"window_sessions": 100},
    "costs": {"half_spread_bps": 0.5, "commission_bps": 0.2},
    "portfolio": {"minimum_outcomes": 1, "shrink_prior_outcomes": 0, "correlation_sessions": 20},
}
Change = Callable[[pd.DataFrame], pd.DataFrame]


def market() -> pd.DataFrame:
    first, last = (pd.Timestamp(day).date() for day in (STARTS, ENDS))
    source = SimulatedSource("XNYS", first, last, seed=5, planted_rank_ic=0.5)
    return source.bars(SYMBOLS).drop(columns=["source"])


def _of(bars: pd.DataFrame, since: str = STARTS, until: str = "2100-01-01") -> pd.Series:
    return (bars["symbol"] == BAD) & (bars["session"] >= since) & (bars["session"] < until)


def constant(since: str, until: str = "2100-01-01") -> Change:
    def change(bars: pd.DataFrame) -> pd.DataFrame:
        bars.loc[_of(bars, since, until), PRICES] = 50.0
        return bars

    return change


def without(since: str, until: str = "2100-01-01") -> Change:
    return lambda bars: bars[~_of(bars, since, until)]


def blank(bars: pd.DataFrame) -> pd.DataFrame:
    bars.loc[_of(bars), [*PRICES, "volume"]] = np.nan
    return bars


def times(factors: Callable[[int], np.ndarray]) -> Change:
    def change(bars: pd.DataFrame) -> pd.DataFrame:
        rows = _of(bars)
        bars.loc[rows, PRICES] *= factors(int(rows.sum()))[:, None]
        return bars

    return change


def rising(bars: pd.DataFrame) -> pd.DataFrame:
    """Every close above the one before, for every name: no label is a fall."""
    for number, symbol in enumerate(SYMBOLS):
        rows = bars["symbol"] == symbol
        steps = np.abs(np.random.default_rng(number).normal(0.004, 0.001, int(rows.sum())))
        close = 50.0 * np.exp(steps.cumsum())
        bars.loc[rows, PRICES] = np.column_stack([close * 0.9995, close * 1.001, close * 0.998, close])
    return bars


def noise(count: int) -> np.ndarray:
    return 20.0 + np.random.default_rng(3).normal(size=count)


def mood(values: Callable[[int], np.ndarray], rows: slice = slice(None)) -> dict[str, Any]:
    return {"mood": values, "mood_rows": rows}


def write(home: Path, change: Change, series: dict[str, Any], **sections: dict[str, Any]) -> None:
    folder = home / "strategies"
    (folder / "bars").mkdir(parents=True)
    bars = market()
    days = pd.DatetimeIndex(sorted(bars["session"].unique()))
    with np.errstate(over="ignore"):
        bars = change(bars)
    bars.to_csv(folder / "bars" / "bars.csv", index=False, date_format="%Y-%m-%d")
    values = series.get("mood", noise)(len(days))
    lines = [
        f"{day.date()},{'' if np.isnan(value) else repr(float(value))}" for day, value in zip(days, values, strict=True)
    ]
    kept = lines[series.get("mood_rows", slice(None))]
    (folder / "mood.csv").write_text("\n".join(["date,close", *kept]) + "\n", encoding="utf-8")
    settings = {
        name: {**keys, **sections.get(name, {})} if isinstance(keys, dict) else keys for name, keys in SETTINGS.items()
    }
    (folder / f"{NAME}.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def decided(home: Path) -> dict[str, pd.DataFrame]:
    """From the files to the signals and books of a session."""
    with living_in(home), nothing_drawn():
        take_in(strategy_of(NAME))
        study(strategy_of(NAME), MONTHS)
        decide(strategy_of(NAME), [pd.Timestamp(LIVE)])
        with open_history(strategy_of(NAME)) as history:
            move = moved_forecasts(history, pd.Timestamp(LIVE)).move
            assert np.isfinite(move.parts).all()
            return {table: history.stores.ledger.read(table, NAME) for table in ("signals", "target_positions")}


ALL = frozenset(SYMBOLS)
WITHOUT_IT = ALL - {BAD}
ALIKE: dict[str, tuple[Change, dict[str, Any], frozenset[str]]] = {
    "constant": (constant(STARTS), {}, ALL),
    "constant on the training rows": (constant(STARTS, "2015-12-01"), {}, ALL),
    "constant since": (constant("2016-02-01"), {}, ALL),
    "too short": (without(STARTS, "2016-05-09"), {}, WITHOUT_IT),
    "exploding": (times(lambda count: np.exp(np.linspace(0.0, 60.0, count))), {}, WITHOUT_IT),
    "listed in mid-history": (without(STARTS, "2015-11-02"), {}, ALL),
    "ends": (without("2016-02-01"), {}, WITHOUT_IT),
    "a series that is constant": (lambda bars: bars, mood(lambda count: np.full(count, 20.0)), ALL),
    "a series that explodes": (lambda bars: bars, mood(lambda count: 10.0 ** np.linspace(0.0, 49.9, count)), ALL),
    "a series that alternates": (
        lambda bars: bars,
        mood(lambda count: np.where(np.arange(count) % 2, 1e49, -1e49)),
        ALL,
    ),
    "all blank": (blank, {}, WITHOUT_IT),
    "a series too short": (lambda bars: bars, mood(np.arange, slice(-8, None)), ALL),
    "a series that ends": (lambda bars: bars, mood(noise, slice(0, 215)), frozenset()),
}


@pytest.mark.full
@pytest.mark.parametrize("case", ALIKE)
def test_the_others_are_decided_and_no_signal_has_a_number_that_is_none(tmp_path: Path, case: str) -> None:
    change, series, with_signals = ALIKE[case]
    write(tmp_path, change, series)
    tables = decided(tmp_path)
    signals = tables["signals"].set_index("symbol")
    assert set(signals.index) == with_signals
    said = signals[["probability", "dispersion", "calibrated_probability", "base_rate", "confidence"]]
    assert np.isfinite(said.to_numpy(dtype=np.float64)).all()
    weights = tables["target_positions"].set_index("symbol")["target_weight"]
    assert np.isfinite(weights).all()
    if case not in {"listed in mid-history", "constant on the training rows"} and not series:
        assert weights[BAD] == 0.0  # no volatility, no bar or no forecast of it


NAMED: dict[str, tuple[Change, dict[str, Any], dict[str, Any], str]] = {
    "a series without a value": (
        lambda bars: bars,
        mood(lambda count: np.full(count, np.nan)),
        {},
        r"series mood.*missing_value",
    ),
    "a series beyond all bounds": (lambda bars: bars, mood(lambda count: np.full(count, 1e300)), {}, "out_of_bounds"),
    "a series that ends before what training is stopped by": (
        lambda bars: bars,
        mood(noise, slice(0, 150)),
        {},
        "2016-05.* validation rows with all features",
    ),
    "one class": (rising, {}, {}, "both classes for the network used from 2016-05"),
    "one class, and a network alone": (
        rising,
        {},
        {"learning": {"baselines": []}},
        "both classes for the network used from 2016-05",
    ),
}


@pytest.mark.full
@pytest.mark.parametrize("case", NAMED)
def test_what_nothing_can_be_learned_of_is_an_error_that_names_it(tmp_path: Path, case: str) -> None:
    change, series, sections, named = NAMED[case]
    write(tmp_path, change, series, **sections)
    with pytest.raises(NnAssetsError, match=named):
        decided(tmp_path)
