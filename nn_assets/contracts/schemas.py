"""The contract of every frame that crosses a room: columns, types, ranges.

A column is nullable only where its line says so; columns a contract does not name are refused.
"""

from __future__ import annotations

from nn_assets.contracts.contract import (
    PRICES,
    at_least,
    at_least_zero,
    between,
    contract,
    day,
    flag,
    fraction,
    moment,
    number,
    one_of,
    positive,
    row_check,
    text,
    unjudged,
    whole,
)

__all__ = [
    "ACTION_VERSIONS",
    "BARS",
    "BAR_VERSIONS",
    "BRACKET_TOLERANCE",
    "DELIVERED_ACTIONS",
    "DELIVERED_BARS",
    "DRIFT",
    "FILLS",
    "FORECASTS",
    "HOLDINGS",
    "ORDERS",
    "PORTFOLIO_STATES",
    "POSITION_STEPS",
    "QUARANTINE",
    "SIGNALS",
    "TARGET_POSITIONS",
    "TRADING_STATES",
]

BRACKET_TOLERANCE = 1e-9
"""Relative slack of high and low around open and close: what adjusting by a factor rounds off."""

_FAULTY_BAR = {
    "symbol": text(),
    "session": day(),
    **{name: unjudged() for name in (*PRICES, "volume")},
    "source": text(),
}

DELIVERED_BARS = contract("delivered_bars", _FAULTY_BAR)
"""What a source hands over. Values may be faulty: cleaning judges them, with the row at hand."""

BAR_VERSIONS = contract("bar_versions", {**_FAULTY_BAR, "known_at": moment(), "ingested_at": moment()})
"""Every version of every bar, raw as it came; rows are only ever appended."""

BARS = contract(
    "bars",
    {
        "symbol": text(),
        "session": day(),
        **{name: positive() for name in PRICES},
        # NaN where the instrument is quoted without volume; cleaning decides whether that is a fault.
        "volume": at_least_zero(nullable=True),
        "source": text(),
        "known_at": moment(),
        "ingested_at": moment(),
    },
    unique=("symbol", "session"),
    checks=(
        row_check(
            "high >= max(open, close)",
            lambda bars: ~(bars["high"] * (1.0 + BRACKET_TOLERANCE) < bars[["open", "close"]].max(axis=1)),
        ),
        row_check(
            "low <= min(open, close)",
            lambda bars: ~(bars["low"] * (1.0 - BRACKET_TOLERANCE) > bars[["open", "close"]].min(axis=1)),
        ),
    ),
)
"""Clean bars: what the gate lets through."""

_ACTION = {
    "symbol": text(),
    "ex_session": day(),
    "kind": text("split", "dividend", "delisting"),
    # Split: new shares for one old; dividend and delisting: cash per share of that day. NaN withdraws the action.
    "value": at_least_zero(nullable=True),
    "source": text(),
}

_WORTH = row_check(
    "value > 0, of a delisting >= 0", lambda actions: ~((actions["value"] == 0.0) & (actions["kind"] != "delisting"))
)

DELIVERED_ACTIONS = contract("delivered_actions", _ACTION, unique=("symbol", "ex_session", "kind"), checks=(_WORTH,))
"""Corporate actions that a source hands over: one row an action, dividends of one day added up."""

ACTION_VERSIONS = contract(
    "action_versions", {**_ACTION, "known_at": moment(), "ingested_at": moment()}, checks=(_WORTH,)
)
"""Every version of every corporate action; rows are only ever appended."""

QUARANTINE = contract(
    "quarantine",
    {
        "symbol": text(),
        "session": day(),
        "rule": text(),
        "field": text(),
        "value": text(),
        "source": text(),
        "known_at": moment(),
        "message": text(),
    },
)

FORECASTS = contract(
    "forecasts",
    {
        "symbol": text(),
        "session": day(),
        "estimator": text("network", "linear", "boosting"),
        "probability": fraction(),
        "dispersion": at_least_zero(),
        "model_id": text(),
    },
    unique=("symbol", "session", "estimator"),
)

SIGNALS = contract(
    "signals",
    {
        "symbol": text(),
        "session": day(),
        "probability": fraction(),
        "dispersion": at_least_zero(),
        "calibrated_probability": fraction(),
        "base_rate": fraction(),
        "direction": whole(one_of(-1, 0, 1)),
        "expected_return": number(nullable=True),
        "mean_win": at_least_zero(nullable=True),
        "mean_loss": at_least_zero(nullable=True),
        "outcomes": whole(at_least(0)),
        "outcome_sessions": whole(at_least(0)),
        "forecast_volatility": positive(nullable=True),
        "confidence": fraction(),
        "model_id": text(),
        "data_hash": text(),
        "code_version": text(),
        "known_at": moment(),
    },
    unique=("symbol", "session"),
)

TARGET_POSITIONS = contract(
    "target_positions",
    {
        "symbol": text(),
        "session": day(),
        "reference_price": positive(nullable=True),
        "reference_at": moment(nullable=True),
        "current_quantity": number(),
        "target_quantity": number(),
        "target_weight": number(),
        "stop_price": positive(nullable=True),
        "known_at": moment(),
    },
    unique=("symbol", "session"),
)

POSITION_STEPS = contract(
    "position_steps",
    {
        "symbol": text(),
        "session": day(),
        "step": whole(between(1, 8)),
        "rule": text(),
        "weight_before": number(),
        "weight_after": number(),
        "reason": text(),
    },
)

ORDERS = contract(
    "orders",
    {
        "client_order_id": text(),
        "symbol": text(),
        "session": day(),
        "side": text("buy", "sell"),
        "quantity": at_least_zero(),
        "execution": text("next_open", "next_close"),
        "urgency": text(),
        "reference_price": number(nullable=True),
        "reference_at": moment(nullable=True),
        "status": text("accepted", "denied"),
        "reason_code": text(nullable=True),
    },
    unique=("client_order_id",),
)

FILLS = contract(
    "fills",
    {
        "fill_id": text(),
        "client_order_id": text(nullable=True),
        "symbol": text(),
        "session": day(),
        "quantity": number(),
        "price": positive(),
        "mid_price": positive(nullable=True),
        "half_spread_usd": number(nullable=True),
        "commission_usd": number(nullable=True),
        "impact_usd": number(nullable=True),
        "source": text("paper", "imported"),
        "known_at": moment(),
    },
    unique=("fill_id",),
)

PORTFOLIO_STATES = contract(
    "portfolio_states",
    {
        "session": day(),
        **{name: number() for name in ("cash_usd", "equity_usd", "gross_fraction", "net_fraction")},
        "high_water_mark_usd": number(),
        "drawdown_fraction": at_least_zero(),
        "session_return": number(),
        "costs_usd": number(),
        "breaker": text(nullable=True),
    },
    unique=("session",),
)

HOLDINGS = contract(
    "holdings",
    {
        "session": day(),
        "symbol": text(),
        "quantity": number(),
        "price": positive(nullable=True),
        "entry_price": positive(nullable=True),
        "stop_price": positive(nullable=True),
        "entered_session": day(nullable=True),
        "blocked_side": whole(one_of(-1, 0, 1)),
        "blocked_until": day(nullable=True),
    },
    unique=("session", "symbol"),
)

DRIFT = contract(
    "drift",
    {
        "session": day(),
        "layer": text("prediction", "feature"),
        "name": text(),
        "statistic": number(nullable=True),
        "critical": number(nullable=True),
        "autocorrelation": number(nullable=True),
        "drifted": flag(),
    },
)

TRADING_STATES = contract(
    "trading_states",
    {
        "session": day(),
        "effective_session": day(),
        "state": text("CONTINUE", "REDUCE_SIZE", "PAUSE_STRATEGY"),
        "score": whole(at_least(0)),
        "reasons": text(),
    },
)
