"""From an exchange's files to a decision: five-minute bars of coins, a perpetual with its mark prices and funding.

The data are real, and a few days long: enough for daily bars, features and funding, and far too little for a model,
which each command says by name.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from nn_assets.cli.check import check_data
from nn_assets.errors import NnAssetsError
from nn_assets.operations.asof.series import funding_known
from nn_assets.operations.catalog import folder_of
from nn_assets.operations.history import open_history
from nn_assets.operations.intake import intraday
from nn_assets.operations.next_command import history_too_short
from nn_assets.settings import Strategy
from tests.operations.homes import decide, take_in
from tests.orchestration.conftest import living_in, strategy_of

PERPETUAL, SPOT = "XRP_USDT_USDT", ("ADA_BTC", "ETH_BTC")
WALK = {"refit_every_days": 30}


@pytest.fixture
def crypto_data(shared_data: Path) -> Path:
    folder = shared_data / "crypto_freqtrade"
    if not folder.is_dir():
        pytest.skip(f"no crypto data at {folder}")
    return folder


def write(home: Path, settings: dict[str, object]) -> Strategy:
    file = home / "strategies" / f"{settings['name']}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return strategy_of(str(settings["name"]))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with living_in(tmp_path):
        yield tmp_path


def perpetual(crypto_data: Path, home: Path) -> Strategy:
    """The perpetual's bars, mark prices and funding; the files are read where they are."""
    futures, bars = crypto_data / "futures", home / "strategies" / "bars"
    bars.mkdir(parents=True)
    shutil.copy(futures / f"{PERPETUAL}-5m-futures.feather", bars)
    series = {"stamps": "moments", "symbol": PERPETUAL, "lag_minutes": 1}
    return write(
        home,
        {
            "name": "perpetual",
            "market": {
                "calendar": "24/7",
                "asset_class": "perpetual",
                "symbols": [PERPETUAL],
                "history_starts": "2021-11-15",
                "history_ends": "2021-11-20",
            },
            "intraday": {"path": "bars", "bar_minutes": 5},
            "series": [
                {
                    "name": "funding",
                    "path": str(futures / f"{PERPETUAL}-8h-funding_rate.feather"),
                    "value_column": "open",
                    "grid_minutes": 480,
                    "intervals_minutes": [480],
                    **series,
                },
                {"name": "mark", "path": str(futures / f"{PERPETUAL}-8h-mark.feather"), "minimum": 0.0, **series},
            ],
            "features": {
                "names": ["log_return_1", "close_location", "funding_rate_per_day"],
                "series": {"funding_rate": "funding"},
            },
            "costs": {"funding": "funding", "half_spread_bps": 1.0, "commission_bps": 4.0},  # a taker's fee
            "walk_forward": WALK,
        },
    )


def spot(crypto_data: Path, home: Path) -> Strategy:
    """Two pairs against Bitcoin."""
    bars = home / "strategies" / "bars"
    bars.mkdir(parents=True)
    for symbol in SPOT:
        shutil.copy(crypto_data / f"{symbol}-5m.feather", bars)
    return write(
        home,
        {
            "name": "spot",
            "market": {
                "calendar": "24/7",
                "asset_class": "crypto",
                "symbols": list(SPOT),
                "history_starts": "2018-01-11",
                "history_ends": "2018-01-29",
            },
            "intraday": {"path": "bars", "bar_minutes": 5},
            "features": {"names": ["log_return_1", "close_location"]},
            "costs": {"borrow_fee_annual_fraction": 0.05},
            "walk_forward": WALK,
        },
    )


def taken_in(strategy: Strategy) -> None:
    """Bars within the session through their gate, then the daily bars made of them, series and features."""
    with open_history(strategy) as history:
        intraday.ingest_intraday(history, folder_of(strategy.name))
        audited = intraday.audit_intraday(history)
        audited.report.raise_if_failed()
        intraday.publish_intraday(history, audited, "test")
    take_in(strategy)


def by_day(file: Path, days: pd.DatetimeIndex) -> pd.DataFrame:
    """Daily bars by a resampling of its own."""
    bars = pd.read_feather(file).set_index("date")
    daily = bars.resample("D").agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
    return daily.tz_localize(None).reindex(days)


def test_a_perpetual_s_files_make_daily_bars_funding_and_features(crypto_data: Path, home: Path) -> None:
    strategy = perpetual(crypto_data, home)
    taken_in(strategy)
    with open_history(strategy) as history:
        bars, cube, axis = history.view().bars, history.view().cube, history.axis
        versions = history.series_versions
        funding = funding_known(strategy, versions, axis, history.symbols)
        short = history_too_short(history)
    expected = by_day(crypto_data / "futures" / f"{PERPETUAL}-5m-futures.feather", axis)
    for column in expected:
        assert np.allclose(bars.set_index("session")[column], expected[column], rtol=1e-12), column
    assert len(bars) == len(axis) == 6, "a weekend within"
    # Stamps are milliseconds late: each rate counts on the eight hours that it is of, three a session.
    rates = pd.read_feather(crypto_data / "futures" / f"{PERPETUAL}-8h-funding_rate.feather")
    assert (rates["date"] != rates["date"].dt.round("h")).any()
    at = rates["date"].dt.round("h")
    assert funding is not None
    for row, session in enumerate(axis):
        midnight = session.tz_localize("UTC")
        paid = rates.loc[(at > midnight) & (at <= midnight + pd.Timedelta(days=1)), "open"]
        assert funding.assumed[row, 0] == (len(paid) == 0)
        if len(paid):
            assert funding.rate[row, 0] == pytest.approx(paid.sum(), rel=1e-12)
    assert (versions["name"] == "mark").sum() > 0
    assert np.isfinite(cube.values[-1, 0]).all(), "the funding rate is a feature of the last session, too"
    assert short is not None
    assert short.why.startswith("a first model can be used from 2022-07")
    assert "shorten walk_forward.training_days" in short.why
    with pytest.raises(NnAssetsError, match="a model used from 2021-11"):
        decide(strategy, [axis[-1]])


@pytest.mark.full
@pytest.mark.parametrize("made", [perpetual, spot])
def test_check_and_a_decision_name_what_is_missing(made, crypto_data: Path, home: Path) -> None:
    strategy = made(crypto_data, home)
    taken_in(strategy)
    with open_history(strategy) as history:
        last = history.last_session
    with pytest.raises(NnAssetsError) as refused:
        decide(strategy, [last])
    assert refused.value.remedy
    answer = check_data(strategy.name)
    assert "a first model can be used from" in answer["text"]


def test_coins_cannot_be_borrowed_at_a_fee_that_nobody_stated(crypto_data: Path, home: Path) -> None:
    file = home / "strategies" / "spot.yaml"
    spot(crypto_data, home)
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    del settings["costs"]
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    with pytest.raises(NnAssetsError, match=r"costs\.borrow_fee_annual_fraction"):
        strategy_of("spot")
