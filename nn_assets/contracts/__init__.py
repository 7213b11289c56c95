"""The contract of every frame that crosses a room. The only home of Pandera.

Takes frames. Gives them back held to their contract, or every violation found. Never mends a value.

Sessions are tz-naive midnights (``datetime64[ns]``), moments tz-aware UTC (``datetime64[ns, UTC]``),
symbols and texts pandas ``str``, prices, money and fractions ``float64``.
"""

from nn_assets.contracts.beside_bars import (
    DELIVERED_SERIES,
    INTRADAY_BARS,
    INTRADAY_VERSIONS,
    MEMBERSHIP,
    QUOTES,
    SERIES,
)
from nn_assets.contracts.contract import Violation, conform, empty, validate, violations
from nn_assets.contracts.schemas import (
    ACTION_VERSIONS,
    BAR_VERSIONS,
    BARS,
    BRACKET_TOLERANCE,
    DELIVERED_ACTIONS,
    DELIVERED_BARS,
    DRIFT,
    FILLS,
    FORECASTS,
    HOLDINGS,
    ORDERS,
    PORTFOLIO_STATES,
    POSITION_STEPS,
    QUARANTINE,
    SIGNALS,
    TARGET_POSITIONS,
    TRADING_STATES,
)

__all__ = [
    "ACTION_VERSIONS",
    "BARS",
    "BAR_VERSIONS",
    "BRACKET_TOLERANCE",
    "DELIVERED_ACTIONS",
    "DELIVERED_BARS",
    "DELIVERED_SERIES",
    "DRIFT",
    "FILLS",
    "FORECASTS",
    "HOLDINGS",
    "INTRADAY_BARS",
    "INTRADAY_VERSIONS",
    "MEMBERSHIP",
    "ORDERS",
    "PORTFOLIO_STATES",
    "POSITION_STEPS",
    "QUARANTINE",
    "QUOTES",
    "SERIES",
    "SIGNALS",
    "TARGET_POSITIONS",
    "TRADING_STATES",
    "Violation",
    "conform",
    "empty",
    "validate",
    "violations",
]
