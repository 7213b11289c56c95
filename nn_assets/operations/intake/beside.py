"""Which tables a strategy's settings name beside its daily bars: other series, a universe, bars within the session."""

from __future__ import annotations

from nn_assets.operations.asof.stored import OTHER_SERIES, RAW_INTRADAY, TRADING_HALTS, UNIVERSE
from nn_assets.operations.intake.intraday import VALIDATED_INTRADAY
from nn_assets.settings import Strategy


def tables_beside_bars(strategy: Strategy) -> tuple[str, ...]:
    """Assets that features read beside the published bars."""
    halts = (TRADING_HALTS,) * (strategy.halts is not None)
    return (OTHER_SERIES,) * bool(strategy.series) + (UNIVERSE,) * (strategy.universe is not None) + halts


def tables_before_bars(strategy: Strategy) -> tuple[str, ...]:
    """Assets that the daily bars are made of, or judged by."""
    intraday = (RAW_INTRADAY, VALIDATED_INTRADAY) * (strategy.intraday is not None)
    halts = (TRADING_HALTS,) * (strategy.halts is not None)
    return (UNIVERSE,) * (strategy.universe is not None) + halts + intraday


def other_tables(strategy: Strategy) -> tuple[str, ...]:
    """Every asset of a strategy beside its daily bars."""
    return tuple(dict.fromkeys((*tables_beside_bars(strategy), *tables_before_bars(strategy))))
