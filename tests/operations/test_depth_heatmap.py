"""The sizes in an order book, level by level, as series of the user's own: read as an image, and learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.arrays import FloatArray
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.measures import rank_ic
from nn_assets.operations.history import open_history
from nn_assets.operations.models.forecasts import forecasts_of_months
from nn_assets.operations.models.stored import load_model
from tests.operations import homes
from tests.orchestration.conftest import living_in, strategy_of, write_strategy
from tests.shared_homes import nothing_drawn

LEVELS = (*(f"bid_{level}" for level in range(5, 0, -1)), *(f"ask_{level}" for level in range(1, 6)))
"""From the deepest bid to the deepest ask: neighbours in the book are neighbours in the image."""


def write_book(home: Path, names: int, first: str, last: str, *, shuffled: bool, **learning: object) -> None:
    """Names whose return from the next close to the one after follows where in the book the sizes lie today.

    What is said is the slope of sizes over levels near the middle, bids against asks; their sum says nothing.
    ``shuffled`` deals the books out anew among sessions and names.
    """
    sessions, symbols = sessions_between("XNYS", first, last), [f"SIM{number:02d}" for number in range(1, names + 1)]
    draw, shape = np.random.default_rng(4), (len(sessions), names)
    imbalance = draw.standard_normal(shape)
    near = np.array([0.0, 0.0, 0.3, 0.7, 1.0, -1.0, -0.7, -0.3, 0.0, 0.0])
    depth = np.exp(0.4 * imbalance[:, :, None] * near + 0.2 * draw.standard_normal((*shape, len(LEVELS))))
    returns = 0.01 * draw.standard_normal(shape)
    returns[2:] += 0.006 * imbalance[:-2]
    if shuffled:
        depth = draw.permutation(depth.reshape(-1, len(LEVELS))).reshape(depth.shape)
    close = 50.0 * np.exp(returns.cumsum(axis=0))
    bars = {"open": close, "high": 1.002 * close, "low": 0.998 * close, "close": close, "volume": np.full(shape, 5e6)}
    folder = home / "strategies" / "bars"
    folder.mkdir(parents=True)
    _long(sessions, symbols, bars).to_csv(folder / "bars.csv", index=False, date_format="%Y-%m-%d")
    book = _long(sessions, symbols, {name: depth[:, :, number] for number, name in enumerate(LEVELS)})
    book.to_csv(home / "strategies" / "depth.csv", index=False, date_format="%Y-%m-%d")
    series = [{"name": name, "path": "depth.csv", "value_column": name, "lag_minutes": 0} for name in LEVELS]
    file = write_strategy(
        home,
        source={"kind": "files", "path": "bars", "seed": None, "planted_rank_ic": None},
        market={"symbols": symbols, "history_starts": first, "history_ends": last, "live_starts": None},
        features={"names": [f"level_of_{name}" for name in LEVELS], "series": {name: name for name in LEVELS}},
        label={"kind": "direction_relative", "horizon_sessions": 1, "execution": "next_close"},
        learning={"network": "candlestick", "network_settings": {"image": "table"}, "learning_rate": 0.01, **learning},
        portfolio={"net_limit": 0.0},
    )
    text = file.read_text(encoding="utf-8")
    file.write_text(text + "series:\n" + "".join(f"- {one}\n" for one in series), encoding="utf-8")


def _long(sessions: pd.DatetimeIndex, symbols: list[str], fields: dict[str, FloatArray]) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"symbol": name, "session": sessions, **{key: of[:, number] for key, of in fields.items()}})
        for number, name in enumerate(symbols)
    ]
    return pd.concat(parts, ignore_index=True)


def _rank_ic(home: Path, months: list[str]) -> float:
    """Mean rank IC of the network, out of sample, on returns as they came."""
    with living_in(home), nothing_drawn():
        strategy = strategy_of()
        homes.take_in(strategy)
        homes.train(strategy, months)
        with open_history(strategy) as history:
            made = forecasts_of_months(history, months)
            labels = history.cut_for(history.last_session).labels
            model = load_model(history.stores, next(one for one in made.model_ids if one))
    assert model.feature_names == tuple(f"level_of_{name}" for name in LEVELS)  # the image's rows, bottom to top
    of_session = rank_ic(made["network"].probability, labels.outcomes)
    return float(np.nanmean(of_session))


@pytest.mark.full
def test_depth_by_level_is_read_as_an_image_and_what_it_foretells_is_learned(tmp_path: Path) -> None:
    small = {"lookback": 2, "hidden": 4, "layers": 1, "ensemble": 1, "maximum_epochs": 6}
    true, dealt_out = (
        (
            write_book(tmp_path / kind, 8, "2016-01-04", "2017-01-31", shuffled=kind == "dealt", **small),
            tmp_path / kind,
        )[1]
        for kind in ("true", "dealt")
    )
    months = ["2017-01"]
    learned, chance = _rank_ic(true, months), _rank_ic(dealt_out, months)
    assert learned > 0.2
    assert abs(chance) < 0.2
    assert learned > chance + 0.1


@pytest.mark.full
def test_a_years_depth_of_twelve_names_is_learned_and_shuffled_depth_is_not(tmp_path: Path) -> None:
    sizes = {"lookback": 5, "hidden": 8, "layers": 2, "ensemble": 2, "maximum_epochs": 15}
    months = homes.months_between("2017-01", "2017-12")
    for kind in ("true", "dealt"):
        write_book(tmp_path / kind, 12, "2016-01-04", "2017-12-29", shuffled=kind == "dealt", **sizes)
    learned, chance = _rank_ic(tmp_path / "true", months), _rank_ic(tmp_path / "dealt", months)
    assert learned > 0.3
    assert abs(chance) < 0.06
