"""On a market whose truth is known the pages name it: the planted series comes first, live and over the months."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from nn_assets.market.calendar.sessions import sessions_between
from tests.orchestration.conftest import FIRST_LIVE, LAST, NAME, living_in, strategy_of, write_strategy
from tests.runs import materialise

pytestmark = [pytest.mark.slow, pytest.mark.full]

SYMBOLS = [f"SIM{number:02d}" for number in range(1, 9)]
FEATURES = ["log_return_1", "close_location", "level_of_mood", "rank_in_universe_return_5"]


def planted(folder: Path) -> None:
    """Bars of eight names, each drawn up or down by its own mood of the evening before; and that mood as a series."""
    days = sessions_between("XNYS", "2016-01-04", LAST)
    draw = np.random.default_rng(8)
    mood, close, bars, series = np.zeros(8), np.full(8, 50.0), [], []
    for day in days:
        before, close = close, close * np.exp(0.004 * mood + draw.normal(0.0, 0.01, 8))
        mood = 0.8 * mood + draw.normal(0.0, 0.6, 8)
        opened = before * np.exp(draw.normal(0.0, 0.002, 8))
        high, low = (extreme(opened, close) for extreme in (np.maximum, np.minimum))
        for column, symbol in enumerate(SYMBOLS):
            prices = [opened[column], 1.003 * high[column], 0.997 * low[column], close[column]]
            bars.append([symbol, day.date(), *prices, 1e6 + round(1e5 * draw.random())])
            series.append([symbol, day.date(), mood[column]])
    columns = ["symbol", "session", "open", "high", "low", "close", "volume"]
    pd.DataFrame(bars, columns=columns).to_csv(folder / "bars.csv", index=False)
    pd.DataFrame(series, columns=["symbol", "session", "value"]).to_csv(folder / "mood.csv", index=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studied and decided through Dagster, outside of what a single test leaves out."""
    home = tmp_path_factory.mktemp("planted")
    file = write_strategy(
        home,
        source={"kind": "files", "path": "bars.csv", "seed": None, "planted_rank_ic": None},
        market={"symbols": SYMBOLS},
        features={"names": FEATURES, "series": {"mood": "mood"}},
        learning={"maximum_epochs": 30, "learning_rate": 0.01, "ensemble": 5},
    )
    series = [{"name": "mood", "path": "mood.csv", "lag_minutes": 15}]
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "series": series}))
    planted(file.parent)
    with living_in(home):
        materialise(strategy_of(), "study", first="2017-01-01", last="2017-06-01")
        materialise(strategy_of(), "daily", first=FIRST_LIVE, last=LAST)
    return home


def test_the_planted_series_is_worth_most_and_moves_most_forecasts_most(home: Path) -> None:
    months = json.loads((home / "reports" / f"{NAME}-study.json").read_text())["importance"]["months"]
    means = pd.DataFrame({month: entry["rises"] for month, entry in months.items()}).mean(axis=1)
    assert means.idxmax() == "level_of_mood"
    assert means["level_of_mood"] > 5.0 * means.drop("level_of_mood").abs().max()
    page = (home / "reports" / f"{NAME}-study.html").read_text()
    shown = page[page.index("What each feature was worth") :]
    assert shown.index("level_of_mood") < min(shown.index(name) for name in FEATURES if name != "level_of_mood")
    rows = [
        row
        for day in sessions_between("XNYS", FIRST_LIVE, LAST)
        for row in json.loads((home / "reports" / f"{NAME}-{day.date()}-moves.json").read_text())["rows"]
    ]
    assert len(rows) >= 40
    assert max(row["missed"] for row in rows) < 0.01
    sizes = pd.DataFrame([row["parts"] for row in rows]).abs().mean()
    print(means, sizes, max(row["missed"] for row in rows), len(rows))
    assert sizes.idxmax() == "level_of_mood"  # though the others are drawn anew each session, and it lasts
