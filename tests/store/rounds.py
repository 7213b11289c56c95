"""Rows of one session's round, in the columns that the rooms hand over."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.store.ledger.ledger import Ledger

Rows = dict[str, list[dict[str, Any]]]


def day_round(session: str = "2018-01-02", symbols: int = 20, seed: int = 0) -> Rows:
    """About 400 rows in ten tables; floats of every magnitude, some of them missing."""
    random = np.random.default_rng([seed, int(session.replace("-", ""))])
    day = pd.Timestamp(session)
    close = day.tz_localize("America/New_York") + pd.Timedelta(hours=16, minutes=30)
    names = [f"S{number:02d}" for number in range(symbols)]
    rounds: Rows = {
        "decisions": [
            {
                "session": day,
                "data_hash": "d" * 16,
                "model_id": "m" * 16,
                "code_version": "c" * 16,
                "settings_hash": "s" * 16,
                "study_id": None,
                "verdict": "no edge found",
                "content_hash": hashlib.sha256(session.encode()).hexdigest(),
            }
        ],
        "portfolio_states": [
            {
                "session": day,
                "cash_usd": random.lognormal(13),
                "equity_usd": random.lognormal(14),
                "gross_fraction": random.random(),
                "net_fraction": -0.0,
                "high_water_mark_usd": np.float64(1e6),
                "drawdown_fraction": 5e-324,
                "session_return": np.nan,
                "costs_usd": 0.1 + 0.2,
                "breaker": None,
                "book": {"week_start_equity_usd": 1 / 3, "targets": [np.float64(0.1), np.nan]},
            }
        ],
        "trading_states": [
            {
                "session": day,
                "effective_session": day + pd.Timedelta(days=1),
                "state": "CONTINUE",
                "score": 0,
                "reasons": [],
            }
        ],
    }
    for symbol in names:
        rounds.setdefault("signals", []).append(
            {
                "symbol": symbol,
                "session": day,
                **{name: random.random() for name in ("probability", "dispersion", "calibrated_probability")},
                "direction": int(random.integers(-1, 2)),
                **{name: random.normal() * 1e-3 for name in ("expected_return", "mean_win", "mean_loss")},
                "base_rate": random.random(),
                "outcomes": 61,
                "outcome_sessions": 75,
                "forecast_volatility": np.nan,
                "confidence": random.random(),
                "model_id": "m" * 16,
                "data_hash": "d" * 16,
                "code_version": "c" * 16,
                "known_at": close,
            }
        )
        rounds.setdefault("target_positions", []).append(
            {
                "symbol": symbol,
                "session": day,
                "reference_price": random.lognormal(4),
                "reference_at": close,
                "current_quantity": 0.0,
                "target_quantity": float(random.integers(-100, 100)),
                "target_weight": random.normal(),
                "stop_price": np.nan,
                "known_at": close,
            }
        )
        for step in range(1, 9):
            rounds.setdefault("position_steps", []).append(
                {
                    "symbol": symbol,
                    "session": day,
                    "step": step,
                    "rule": f"rule {step}",
                    "weight_before": random.normal(),
                    "weight_after": random.normal(),
                    "reason": f"edge {random.random():.6f} is above cost — kept",
                }
            )
        rounds.setdefault("orders", []).append(
            {
                "client_order_id": hashlib.sha256(f"{session} {symbol}".encode()).hexdigest()[:24],
                "symbol": symbol,
                "session": day,
                "side": "buy",
                "quantity": 10.0,
                "execution": "next_close",
                "urgency": "normal",
                "reference_price": random.lognormal(4),
                "reference_at": close,
                "status": "accepted",
                "reason_code": None,
            }
        )
        rounds.setdefault("fills", []).append(
            {
                "fill_id": fill_id(session, symbol),
                "client_order_id": hashlib.sha256(f"{session} {symbol}".encode()).hexdigest()[:24],
                "symbol": symbol,
                "session": day,
                "quantity": 10.0,
                "price": random.lognormal(4),
                "mid_price": random.lognormal(4),
                "half_spread_usd": random.random(),
                "commission_usd": random.random(),
                "impact_usd": random.random(),
                "source": "paper",
                "known_at": close,
            }
        )
        rounds.setdefault("holdings", []).append(
            {
                "session": day,
                "symbol": symbol,
                "quantity": 10.0,
                "price": random.lognormal(4),
                "entry_price": np.nan,
                "stop_price": None,
                "entered_session": pd.NaT,
                "blocked_side": 0,
                "blocked_until": None,
            }
        )
        for layer in ("prediction", "feature"):
            rounds.setdefault("drift", []).append(
                {
                    "session": day,
                    "layer": layer,
                    "name": symbol,
                    "statistic": random.random(),
                    "critical": np.inf,
                    "autocorrelation": np.nan,
                    "drifted": bool(random.random() < 0.5),
                }
            )
    return rounds


def fill_id(session: str, symbol: str) -> str:
    """What a session's fill of a symbol is called."""
    return hashlib.sha256(f"fill {session} {symbol}".encode()).hexdigest()[:24]


def append_round(ledger: Ledger, rows: Rows, run_id: str = "run", strategy: str = "demo") -> None:
    with ledger.transaction(run_id, strategy=strategy) as transaction:
        for table, records in rows.items():
            transaction.append(table, records)
