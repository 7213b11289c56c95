"""Plots: small, deterministic, and never an exception for want of data."""

from __future__ import annotations

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.reports import plots
from nn_assets.reports.canvas import png_data_uri, png_markdown
from tests.reports.pages import made_drift

SESSIONS = sessions_between("XNYS", "2003-01-02", "2017-12-29")
LIMIT = 60 * 1024


def _all(sessions: pd.DatetimeIndex) -> dict[str, bytes]:
    generator = np.random.default_rng(0)
    rows = len(sessions)
    names = ("network", "linear", "boosting", "buy_and_hold")
    returns = {name: 0.0003 + 0.01 * generator.standard_normal(rows) for name in names}
    outcome = generator.standard_normal((rows, 2))
    forecasts = {name: 0.5 + 0.03 * generator.standard_normal((rows, 2)) for name in names[:3]}
    weights = 0.05 * generator.standard_normal((rows, 20))
    return {
        "equity": plots.equity_and_drawdown(sessions, returns),
        "rank_ic": plots.rolling_rank_ic(sessions, forecasts, outcome),
        "calibration": plots.calibration_curve(forecasts, (outcome > 0).astype(float)),
        "positions": plots.positions_over_time(sessions, weights, [f"SIM{n}" for n in range(20)]),
        "bars": plots.bar_counts({"AAA": 4779, "BBB": 12}, {"zero_volume": 2}),
        "drift": plots.drift_statistics(made_drift()),
        "training": plots.training_curves(made_members()),
    }


def made_members() -> list[dict[str, object]]:
    """Five members, each of another length, as a model's figures keep them."""
    members: list[dict[str, object]] = []
    for seed in range(5):
        epochs = np.arange(1, 20 + 7 * seed)
        falling = np.log(2.0) - 0.01 * (1.0 - np.exp(-epochs / 10.0))
        curve = {
            "training_loss": falling.tolist(),
            "validation_loss": (falling + 0.0002 * epochs).tolist(),
            "gradient_norm": (1.0 / epochs).tolist(),
            "learning_rate": [0.001] * len(epochs),
        }
        members.append({"seed": seed, "best_epoch": 8 + seed, "curve": curve})
    return members


@pytest.fixture(scope="module")
def drawn() -> dict[str, bytes]:
    return _all(SESSIONS)


def test_every_plot_is_a_small_readable_png(drawn: dict[str, bytes]) -> None:
    for name, png in drawn.items():
        image = Image.open(io.BytesIO(png))
        assert image.format == "PNG"
        assert image.width >= 800, name
        assert len(png) <= LIMIT, (name, len(png))
        assert len(image.convert("RGB").getcolors(10**6) or []) > 10, name


@pytest.mark.full
def test_the_same_data_give_the_same_bytes(drawn: dict[str, bytes]) -> None:
    assert plots.drift_statistics(made_drift()) == drawn["drift"]
    assert plots.bar_counts({"AAA": 4779, "BBB": 12}, {"zero_volume": 2}) == drawn["bars"]


def test_nothing_to_show_is_said_in_the_picture_and_is_no_error() -> None:
    nothing = SESSIONS[:0]
    none = np.zeros((0, 2))
    drawn = [
        plots.equity_and_drawdown(nothing, {}),
        plots.rolling_rank_ic(SESSIONS[:5], {"network": np.full((5, 2), np.nan)}, np.full((5, 2), np.nan)),
        plots.calibration_curve({"network": none}, none),
        plots.positions_over_time(SESSIONS[:9], np.full((9, 2), np.nan), ["AAA", "BBB"]),
        plots.bar_counts({}, {}),
        plots.drift_statistics(made_drift().iloc[:0]),
        plots.drift_statistics(made_drift().assign(statistic=np.nan)),
        plots.training_curves([]),
        plots.training_curves([{"seed": 7, "best_epoch": 3}]),  # of a model that an older version fitted
    ]
    for png in drawn:
        assert Image.open(io.BytesIO(png)).format == "PNG"
        assert len(png) < 12_000


@pytest.mark.full
def test_drift_compares_series_of_different_scales_and_shows_the_nearest_to_drifting() -> None:
    drift = pd.DataFrame(
        {
            "name": [f"series_{number:02d}" for number in range(60)],
            "layer": "feature",
            "statistic": np.linspace(0.1, 20.0, 60),
            "critical": 20.0,
            "drifted": False,
        }
    )
    tall, rescaled = plots.drift_statistics(drift), drift.assign(statistic=drift["statistic"] / 50, critical=0.4)
    assert plots.drift_statistics(rescaled) == tall, "only the share of the critical value is drawn"
    fewer = Image.open(io.BytesIO(plots.drift_statistics(drift.tail(25))))
    assert Image.open(io.BytesIO(tall)).size == fewer.size


ROWS = 300
GAP = slice(100, 200)


def _coloured(png: bytes) -> np.ndarray:
    """Share of the way from left to right of each column of pixels that has a strong colour."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    strong = pixels.max(axis=2) - pixels.min(axis=2) > 100
    columns = np.flatnonzero(strong.any(axis=0))
    return (columns - columns[0]) / (columns[-1] - columns[0])


def _with_gap(values: np.ndarray, gap: bool) -> np.ndarray:
    values = values.copy()
    if gap:
        values[GAP] = np.nan
    return values


def _drawn_with(name: str, gap: bool) -> bytes:
    generator = np.random.default_rng(0)
    sessions, noise = SESSIONS[:ROWS], generator.standard_normal((ROWS, 8))
    if name == "equity":
        return plots.equity_and_drawdown(sessions, {"network": _with_gap(0.001 + 0.01 * noise[:, 0], gap)})
    if name == "positions":
        return plots.positions_over_time(sessions, _with_gap(0.1 + 0.01 * noise[:, :1], gap), ["AAA"])
    forecasts = {"network": _with_gap(0.5 + 0.03 * noise, gap)}
    return plots.rolling_rank_ic(sessions, forecasts, noise, window=20)


@pytest.mark.parametrize("name", ["equity", "positions", "rank_ic"])
def test_missing_values_are_gaps(name: str) -> None:
    whole, broken = (_coloured(_drawn_with(name, gap)) for gap in (False, True))
    assert np.diff(whole).max() < 0.02
    assert 0.25 < np.diff(broken).max() < 0.42  # 100 of 300 sessions, less what the sliding window takes of the left


def test_a_value_between_two_gaps_is_a_dot() -> None:
    returns = np.full(ROWS, np.nan)
    returns[[0, 1, 150, 298, 299]] = 0.01
    fractions = _coloured(plots.equity_and_drawdown(SESSIONS[:ROWS], {"network": returns}))
    assert np.abs(fractions - 0.5).min() < 0.02
    assert not ((fractions > 0.1) & (fractions < 0.45)).any()


@pytest.mark.full
def test_metadata_markdown_holds_the_very_png(drawn: dict[str, bytes]) -> None:
    text = png_markdown(drawn["bars"], "bars [kept] (all)\nhere")
    assert text.startswith("![bars kept allhere](data:image/png;base64,")
    encoded = text.split("base64,")[1].rstrip(")")
    assert base64.b64decode(encoded) == drawn["bars"]
    assert png_data_uri(drawn["bars"]).endswith(encoded)
