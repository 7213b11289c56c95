"""What a candle is drawn from: the prices of a session beside the close before."""

from __future__ import annotations

from nn_assets.arrays import FloatArray
from nn_assets.features.catalogue.definition import Context, Feature
from nn_assets.features.catalogue.prices import log_positive, ratio
from nn_assets.features.rolling import lagged
from nn_assets.market.panel import Panel


def _candle_open(panel: Panel, _: Context) -> FloatArray:
    return _over_close_before(panel.open, panel)


def _candle_high(panel: Panel, _: Context) -> FloatArray:
    return _over_close_before(panel.high, panel)


def _candle_low(panel: Panel, _: Context) -> FloatArray:
    return _over_close_before(panel.low, panel)


def _candle_close(panel: Panel, _: Context) -> FloatArray:
    return _over_close_before(panel.close, panel)


def _over_close_before(price: FloatArray, panel: Panel) -> FloatArray:
    return log_positive(ratio(price, lagged(panel.close, 1)))


CANDLES = tuple(
    Feature(
        name=f"candle_{field}",
        group="price_location",
        reach_sessions=1,
        fields=("open", "high", "low", "close"),  # of all alike, so that one candle is of one bar and the one before
        compute=compute,
        formula=f"log({field[0].upper()}[t] / C[t-1])",
        source="standard",
    )
    for field, compute in (
        ("open", _candle_open),
        ("high", _candle_high),
        ("low", _candle_low),
        ("close", _candle_close),
    )
)
