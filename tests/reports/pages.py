"""Made-up contents for the tests of plots and pages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from nn_assets.evaluation.figures import study_figures
from nn_assets.evaluation.verdict import verdict
from nn_assets.oversight.headline import Headline, TradingWord
from nn_assets.reports.page import DailyPage, Plot, StudyPage
from nn_assets.reports.plots import equity_and_drawdown
from tests.evaluation.tracks import made_record

RULES = (
    "probability",
    "edge after costs",
    "half Kelly",
    "risk per signal",
    "edge over volatility",
    "limits",
    "controls",
    "worth its cost",
)


def made_steps(paths: dict[str, tuple[float, ...]]) -> pd.DataFrame:
    rows = []
    for symbol, path in paths.items():
        before = 0.0
        for index, after in enumerate(path):
            rows.append(
                {
                    "symbol": symbol,
                    "session": pd.Timestamp("2017-12-28"),
                    "step": index + 1,
                    "rule": RULES[index],
                    "weight_before": before,
                    "weight_after": after,
                    "reason": f"{symbol} {RULES[index]} | {100 * after:.1f}%",
                }
            )
            before = after
    return pd.DataFrame(rows)


def made_targets() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "symbol": ["SIM01", "SIM02", "SIM03"],
            "reference_price": [101.25, 48.5, 12.0],
            "current_quantity": [0.0, 200.0, 10.0],
            "target_quantity": [780.0, -310.0, 0.0],
            "target_weight": [0.079, -0.015, 0.0],
            "stop_price": [97.5, 51.0, np.nan],
        }
    )


def made_drift() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "layer": ["prediction", "feature", "feature"],
            "name": ["forecast rank", "rsi_14", "volume_z"],
            "statistic": [0.31, 0.12, np.nan],
            "critical": [0.24, 0.30, 0.2],
            "autocorrelation": [0.5, 0.8, 0.0],
            "drifted": [True, False, False],
        }
    )


STEPS = made_steps(
    {
        "SIM01": (0.0, 0.0, 0.14, 0.11, 0.09, 0.08, 0.08, 0.079),
        "SIM02": (0.0, 0.0, -0.03, -0.03, -0.03, -0.03, -0.015, -0.015),
        "SIM03": (0.0, 0.0, 0.05, 0.04, 0.0, 0.0, 0.0, 0.0),
    }
)


def made_study_page(**changes: object) -> StudyPage:
    turbulent = np.arange(300) // 30 % 5 == 4
    record = replace(
        made_record(300, strength=0.2, drift=0.0005),
        regimes=np.where(turbulent, "turbulent", "calm"),
        training_share=np.where(turbulent, 0.05, 0.95),
    )
    figures = study_figures(record, horizon_sessions=5, sessions_per_year=252, trials=3)
    contents: dict[str, object] = {
        "name": "planted_edge",
        "description": "A simulated market",
        "label": "Simulated market",
        "verdict": verdict(figures),
        "figures": figures,
        "facts": (("Sessions", "300"),),
        "was_on": ("network: 5 members, median confidence 0.81; paused on 2 & reduced on 3",),
        "plots": (
            Plot(
                "Equity",
                "Net of costs.",
                equity_and_drawdown(record.sessions, {"network": record.tracks["network"].net}),
            ),
        ),
        "decided_session": "2017-12-28",
        "targets": made_targets(),
        "steps": STEPS,
        "drift": made_drift(),
        "headline": Headline(TradingWord.REDUCED, "planted_edge REDUCED: drift says REDUCE_SIZE. No action needed."),
        "trading_state": "REDUCE_SIZE",
        "trading_reasons": "prediction drift +3",
        "quarantine": pd.DataFrame(
            {
                "symbol": ["SIM01", "SIM04"],
                "session": pd.to_datetime(["2016-01-04", "2016-01-05"]),
                "rule": ["zero_volume", "zero_volume"],
                "field": ["volume", "volume"],
                "value": ["0", "0"],
            }
        ),
        "notices": ("SIM09: a notice",),
        "provenance": {"data hash": "5f1c0a9b"},
        "caveats": ("The vault is sealed.",),
    }
    return StudyPage(**{**contents, **changes})  # type: ignore[arg-type]


def made_daily_page(**changes: object) -> DailyPage:
    contents: dict[str, object] = {
        "name": "planted_edge",
        "session": "2017-12-28",
        "headline": Headline(TradingWord.TRADES, "planted_edge TRADES: 2 of 3 symbols to be held. No action needed."),
        "trading_state": "CONTINUE",
        "trading_reasons": "",
        "portfolio": {
            "equity_usd": 1_012_345.6,
            "session_return": -0.0012,
            "drawdown_fraction": 0.013,
            "gross_fraction": 0.83,
            "net_fraction": 0.1,
            "costs_usd": 123.4,
            "breaker": float("nan"),  # as a frame read from the ledger has it
        },
        "targets": made_targets(),
        "steps": STEPS,
        "orders": pd.DataFrame(
            [
                {
                    "symbol": "SIM01",
                    "side": "buy",
                    "quantity": 780.0,
                    "execution": "next_open",
                    "urgency": "normal",
                    "reference_price": 101.25,
                    "status": "denied",
                    "reason_code": "price_collar",
                }
            ]
        ),
        "fills": pd.DataFrame(
            [
                {
                    "symbol": "SIM02",
                    "quantity": -100.0,
                    "price": 48.512,
                    "mid_price": 48.49,
                    "half_spread_usd": 2.2,
                    "commission_usd": 0.9,
                    "impact_usd": 0.1,
                }
            ]
        ),
        "drift": made_drift(),
    }
    return DailyPage(**{**contents, **changes})  # type: ignore[arg-type]
