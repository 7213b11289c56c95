"""Features of series that a strategy names by their role: on-chain, sentiment, search trends, order books, factors."""

from __future__ import annotations

from nn_assets.arrays import FloatArray
from nn_assets.features.catalogue.definition import Context, Feature
from nn_assets.features.catalogue.prices import ratio
from nn_assets.features.rolling import lagged, rolling_mean, rolling_std, rolling_sum
from nn_assets.market.panel import Panel

_WINDOW = 60


def known_level(_panel: Panel, context: Context) -> FloatArray:
    """The series as known at each session, (bars, symbols)."""
    return context.known.values


def known_z(_panel: Panel, context: Context) -> FloatArray:
    """The series as known less its mean of 60 sessions, over their deviation; NaN where it did not move."""
    values = context.known.values
    return ratio(values - rolling_mean(values, _WINDOW), rolling_std(values, _WINDOW))


def known_change(_panel: Panel, context: Context) -> FloatArray:
    """The series as known less what was known five sessions before, (bars, symbols)."""
    return context.known.values - lagged(context.known.values, 5)


def _known_sum(_panel: Panel, context: Context) -> FloatArray:
    return rolling_sum(context.known.values, 5)


def _z_of(role: str, group: str, source: str) -> Feature:
    return Feature(
        name=f"{role}_z_60",
        group=group,
        role=role,
        reach_sessions=_WINDOW - 1,
        compute=known_z,
        formula="(x - mean_60(x)) / std_60(x), x as known at each session; no value where x did not move",
        source=source,
    )


SERIES = (
    Feature(
        name="btc_dominance_change_5",
        group="crypto",
        role="btc_dominance",
        reach_sessions=5,
        compute=known_change,
        formula="x[t] - x[t-5], in the unit of the series: Bitcoin's share of all coins' market value",
    ),
    _z_of("on_chain", "crypto", "Liu and Tsyvinski (2021), network factors, here as a z-score"),
    _z_of("sentiment", "sentiment", "Tetlock (2007), media tone, here as a z-score"),
    _z_of("search_trend", "sentiment", "Da, Engelberg and Gao (2011), abnormal search volume, here as a z-score"),
    Feature(
        name="order_book_imbalance",
        group="order_book",
        role="order_book_imbalance",
        reach_sessions=0,
        compute=known_level,
        formula="x as known: (bid size - ask size) / (bid size + ask size), which the series gives",
        source="Cont, Kukanov and Stoikov (2014)",
    ),
    Feature(
        name="factor_return_5",
        group="cross_market",
        role="factor_return",
        reach_sessions=4,
        compute=_known_sum,
        formula="sum of the returns known at the last 5 sessions; one not known anew counts again",
    ),
)
