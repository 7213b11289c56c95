"""A strategy that decides on intraday bars, and simulated markets of such bars whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from nn_assets.operations.catalog import folder_of
from nn_assets.operations.history import open_history
from nn_assets.operations.intake import intraday
from nn_assets.settings import Strategy
from tests.operations.homes import take_in
from tests.orchestration.conftest import write_strategy

NAME = "within_the_session"
HORIZON = 12


def simulated_bars(
    start: str, bars: int, *, edge: float, symbols: int = 12, minutes: int = 5, seed: int = 5
) -> pd.DataFrame:
    """Bars around the clock whose returns follow, by ``edge``, a signal that their volume shows.

    The signal halves in about 16 bars. A bar's return is ``volatility * (edge * signal + sqrt(1 - edge^2) * noise)``
    with the signal at the close before, both of unit variance, so that ``edge`` is the correlation of the two over one
    bar. Volume is 1,000 times the exponential of the signal and a little noise.

    Returns
    -------
    DataFrame
        symbol, date (UTC, the bar's start), open, high, low, close, volume.
    """
    draw = np.random.default_rng(seed)
    persistence, volatility = 0.958, 0.0015
    shocks = draw.normal(size=(bars, symbols)) * np.sqrt(1.0 - persistence**2)
    signal = np.zeros((bars, symbols))
    signal[0] = draw.normal(size=symbols)
    for row in range(1, bars):
        signal[row] = persistence * signal[row - 1] + shocks[row]
    known = np.vstack([np.zeros(symbols), signal[:-1]])
    moves = volatility * (edge * known + np.sqrt(1.0 - edge**2) * draw.normal(size=(bars, symbols)))
    close = 50.0 * np.exp(np.cumsum(moves, axis=0))
    opened = np.vstack([np.full(symbols, 50.0), close[:-1]])
    reach = np.exp(np.abs(draw.normal(size=(2, bars, symbols))) * volatility / 2)
    volume = 1e5 * np.exp(0.5 * signal + 0.1 * draw.normal(size=(bars, symbols)))
    dates = pd.date_range(start, periods=bars, freq=f"{minutes}min", tz="UTC")
    names = [f"SIM{number:02d}" for number in range(1, symbols + 1)]
    frame = {
        "symbol": np.tile(names, bars),
        "date": np.repeat(dates.as_unit("ns").to_numpy(), symbols),
        "open": opened.ravel(),
        "high": (np.maximum(opened, close) * reach[0]).ravel(),
        "low": (np.minimum(opened, close) / reach[1]).ravel(),
        "close": close.ravel(),
        "volume": np.round(volume).ravel(),
    }
    return pd.DataFrame(frame)


def write(home: Path, bars: pd.DataFrame, *, starts: str, ends: str, **sections: dict[str, object]) -> Path:
    """Write strategy and bars into a home."""
    decisions = {"every_bars": 1, "latency_budget_seconds": 60, "computing_seconds": 5, **sections.pop("decisions", {})}
    symbols = sorted(bars["symbol"].unique())
    sections_of = {
        "market": {
            "calendar": "24/7",
            "asset_class": "future",
            "symbols": symbols,
            "history_starts": starts,
            "history_ends": ends,
            "live_starts": None,
            "known_at_lag_minutes": 0,
        },
        "features": {"names": ["log_return_1", "close_location", "volume_z_20"], "panel_pass_share": 0.5},
        "label": {"kind": "direction_relative", "horizon_sessions": HORIZON, "execution": "next_close"},
        "learning": {"network": "mlp", "residual": True, "lookback": 4, "maximum_epochs": 6, "learning_rate": 0.01},
        "walk_forward": {
            "training_months": None,
            "validation_months": None,
            "calibration_months": None,
            "refit_every_months": None,
            "refit_every_days": 17,
            "training_days": 10,
            "validation_days": 3,
            "calibration_days": 3,
            "minimum_training_rows": 200,
        },
        "costs": {"half_spread_bps": 0.2, "commission_bps": 0.1},
        "portfolio": {"net_limit": 0.0},
    }
    for name, values in sections.items():
        sections_of[name] = {**sections_of.get(name, {}), **values}
    file = write_strategy(home, NAME, **sections_of)
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    del settings["source"]
    settings["intraday"] = {
        "path": "bars",
        "bar_minutes": 5,
        **sections.get("intraday", {}),
        "decisions": decisions,
    }
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    folder = home / "strategies" / "bars"
    folder.mkdir(exist_ok=True)
    bars.to_feather(folder / "bars.feather")
    return file


def take_in_all(strategy: Strategy) -> None:
    """Take in and publish the intraday bars, then the decision bars that are made of them, and compute features."""
    with open_history(strategy) as history:
        intraday.ingest_intraday(history, folder_of(strategy.name))
        audited = intraday.audit_intraday(history)
        audited.report.raise_if_failed()
        intraday.publish_intraday(history, audited, "test")
    take_in(strategy)
