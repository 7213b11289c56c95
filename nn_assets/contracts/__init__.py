"""One contract a table: name, room, key, columns with type, unit and a sentence. The only home of Pandera.

Takes frames. Gives them back held to their contract, or every violation found; and what the ledger's tables, the
exports and the data dictionary are made of. Never mends a value.

Sessions are tz-naive midnights (``datetime64[ns]``), moments tz-aware UTC (``datetime64[ns, UTC]``),
symbols and texts pandas ``str``, prices, money and fractions ``float64``.
"""

from nn_assets.contracts.contract import Violation, conform, empty, framed, validate, violations
from nn_assets.contracts.ledger import (
    DRIFT,
    FILLS,
    HOLDINGS,
    ORDERS,
    PORTFOLIO_STATES,
    POSITION_STEPS,
    SIGNALS,
    TARGET_POSITIONS,
    TRADING_STATES,
)
from nn_assets.contracts.tables import (
    ACTION_VERSIONS,
    BAR_DETAILS,
    BAR_VERSIONS,
    BARS,
    BRACKET_TOLERANCE,
    DELIVERED_ACTIONS,
    DELIVERED_BARS,
    DELIVERED_SERIES,
    DETAILS,
    FORECASTS,
    HALTS,
    INTRADAY_BARS,
    INTRADAY_DETAILS,
    INTRADAY_VERSIONS,
    LEFT_BY,
    MEMBERSHIP,
    NOVELTY,
    QUARANTINE,
    QUOTES,
    SERIES,
)

__all__ = [
    "ACTION_VERSIONS",
    "BARS",
    "BAR_DETAILS",
    "BAR_VERSIONS",
    "BRACKET_TOLERANCE",
    "DELIVERED_ACTIONS",
    "DELIVERED_BARS",
    "DELIVERED_SERIES",
    "DETAILS",
    "DRIFT",
    "FILLS",
    "FORECASTS",
    "HALTS",
    "HOLDINGS",
    "INTRADAY_BARS",
    "INTRADAY_DETAILS",
    "INTRADAY_VERSIONS",
    "LEFT_BY",
    "MEMBERSHIP",
    "NOVELTY",
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
    "framed",
    "validate",
    "violations",
]
