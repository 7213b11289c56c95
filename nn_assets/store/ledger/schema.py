"""The ledger's tables. Each row is written once; a later truth about the same key is a new version.

Every table starts with ``strategy`` and ends with the same bookkeeping: ``known_at``, ``version``,
``version_reason``, ``run_id``, ``recorded_at`` and ``sequence``, the place of the row in the audit
chain. The primary key is strategy, natural key and version.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, MetaData, String, Table, Text

from nn_assets.errors import LedgerError
from nn_assets.store.ledger.layout import (
    BOOKKEEPING,
    CHAIN_NAME,
    added_later,
    count_columns,
    flag_columns,
    json_columns,
    moment_columns,
    number_columns,
    record_table,
    session_columns,
    text_columns,
)

__all__ = [
    "BOOKKEEPING",
    "CHAIN",
    "HEAD_REVISION",
    "REVISIONS",
    "TABLES",
    "WHOLE_LEDGER",
    "contract_columns",
    "metadata",
    "natural_key",
    "table_named",
]

REVISIONS = ("0001", "0002", "0003", "0004")  # the migrations in sql/migrations, oldest first; a test compares the two
HEAD_REVISION = REVISIONS[-1]
WHOLE_LEDGER = "*"
"""Strategy of a row that is about the whole ledger, or about all strategies; no strategy can be named so."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

CHAIN = Table(
    CHAIN_NAME,
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("table_name", String, nullable=False),
    Column("row_key", Text, nullable=False),  # canonical JSON: strategy, natural key, version
    Column("row_hash", String(64), nullable=False),  # SHA-256 of the row's canonical JSON
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index(None, "table_name", "sequence"),
)
TABLES: dict[str, Table] = {}


def _record(name: str, key: tuple[str, ...], *columns: Column[Any], indexes: tuple[tuple[str, ...], ...] = ()) -> None:
    TABLES[name] = record_table(metadata, name, key, columns, indexes)


# --- the daily round -------------------------------------------------------------------------------

_record(
    "decisions",  # the head of a session's round: what it was computed from
    ("session",),
    *session_columns("session"),
    *text_columns("data_hash", "model_id", "code_version", "settings_hash"),
    *text_columns("study_id", "verdict", nullable=True),
    *text_columns("content_hash"),
    *json_columns("details"),
)
_record(
    "signals",
    ("session", "symbol"),
    *text_columns("symbol"),
    *session_columns("session"),
    *number_columns("probability", "dispersion", "calibrated_probability"),
    *count_columns("direction"),
    *number_columns("expected_return", "mean_win", "mean_loss"),
    *count_columns("outcomes"),
    *number_columns("forecast_volatility", "confidence"),
    *text_columns("model_id", "data_hash", "code_version"),
    *moment_columns("known_at"),
    *added_later(*number_columns("base_rate"), *count_columns("outcome_sessions", nullable=True)),
)
_record(
    "target_positions",
    ("session", "symbol"),
    *text_columns("symbol"),
    *session_columns("session"),
    *number_columns("reference_price"),
    *moment_columns("reference_at", nullable=True),
    *number_columns("current_quantity", "target_quantity", "target_weight", "stop_price"),
    *moment_columns("known_at"),
)
_record(
    "position_steps",
    ("session", "symbol", "step"),
    *text_columns("symbol"),
    *session_columns("session"),
    *count_columns("step"),
    *text_columns("rule"),
    *number_columns("weight_before", "weight_after"),
    *text_columns("reason", nullable=True),
)
_record(
    "orders",
    ("client_order_id",),
    *text_columns("client_order_id", "symbol"),
    *session_columns("session"),
    *text_columns("side"),
    *number_columns("quantity"),
    *text_columns("execution", "urgency"),
    *number_columns("reference_price"),
    *moment_columns("reference_at", nullable=True),
    *text_columns("status"),
    *text_columns("reason_code", nullable=True),
)
_record(
    "fills",
    ("fill_id",),
    *text_columns("fill_id", "client_order_id", "symbol"),
    *session_columns("session"),
    *number_columns("quantity", "price", "mid_price", "half_spread_usd", "commission_usd", "impact_usd"),
    *text_columns("source"),
    *moment_columns("known_at"),
)
_record(
    "portfolio_states",
    ("session",),
    *session_columns("session"),
    *number_columns("cash_usd", "equity_usd", "gross_fraction", "net_fraction", "high_water_mark_usd"),
    *number_columns("drawdown_fraction", "session_return", "costs_usd"),
    *text_columns("breaker", nullable=True),
    *json_columns("book"),  # what the book needs beyond these columns to go on exactly
)
_record(
    "holdings",
    ("session", "symbol"),
    *session_columns("session"),
    *text_columns("symbol"),
    *number_columns("quantity", "price", "entry_price", "stop_price"),
    *session_columns("entered_session", nullable=True),
    *count_columns("blocked_side"),  # -1, 0, 1: side on which a stop was hit
    *session_columns("blocked_until", nullable=True),
)
_record(
    "drift",
    ("session", "layer", "name"),
    *session_columns("session"),
    *text_columns("layer", "name"),
    *number_columns("statistic", "critical", "autocorrelation"),
    *flag_columns("drifted"),
)
_record(
    "trading_states",
    ("session",),
    *session_columns("session", "effective_session"),
    *text_columns("state"),
    *number_columns("score"),
    *json_columns("reasons"),
)

# --- studies and models ------------------------------------------------------------------------------

_record(
    "studies",
    ("study_id",),
    *text_columns("study_id", "month", "verdict"),
    *count_columns("trial_count"),
    *json_columns("figures"),
    *text_columns("data_hash", "code_version", "settings_hash"),
    *session_columns("first_session", "last_session", nullable=True),
)
_record(
    "trials",
    ("trial_id", "data_hash", "code_version"),
    *text_columns("trial_id", "data_hash", "code_version"),
    *text_columns("study_id", nullable=True),
    *json_columns("configuration", "figures"),
)
_record(
    "looks",  # verdicts taken on a configuration's record, read or not: what the next one may still spend
    ("trial_id", "data_hash", "month"),
    *text_columns("trial_id", "data_hash", "month", "study_id", "verdict"),
    *count_columns("look", "sessions", "trials"),
    *number_columns("estimate", "standard_error", "degrees"),  # of the excess over chance
    *number_columns("adjusted_p_value", "allowed_p_value", "interval_low", "interval_high", "smallest_effect"),
    *flag_columns("allows_trading"),
    *json_columns("details"),
    indexes=(("trial_id",),),
)
_record(
    "data_fingerprints",  # what the data of a hash are: trials and looks are shared by it, whatever the name
    ("data_hash",),
    *text_columns("data_hash"),
    *count_columns("keys"),
    *text_columns("sample_limit", "sample"),
    *session_columns("first_session", "last_session", nullable=True),
)
_record(
    "models",
    ("month", "model_id"),
    *text_columns("month", "model_id"),
    *text_columns("estimator", nullable=True),
    *flag_columns("fitted"),  # false: the month names a model fitted for an earlier one
    *session_columns("effective_session", nullable=True),
    *text_columns("artifact_sha256"),
    *json_columns("figures"),
    *text_columns("data_hash", "code_version", "settings_hash"),
)
_record(
    "refresh_requests",
    ("event_id",),
    *text_columns("event_id"),
    *session_columns("session"),
    *text_columns("cause"),
    *json_columns("details"),
)

# --- data, costs, controls ---------------------------------------------------------------------------

_record(
    "publications",
    ("publication_id",),
    *text_columns("publication_id", "content_hash"),
    *session_columns("first_session", "last_session"),
    *count_columns("rows", "quarantined"),
    *json_columns("details"),
)
_record(
    "cost_models",
    ("cost_model_id",),
    *text_columns("cost_model_id"),
    *session_columns("session"),
    *text_columns("source"),
    *flag_columns("in_force"),
    *json_columns("coefficients", "figures"),
)
_record(
    "controls",  # kill switch and breaker resets: the last one appended holds
    ("control_id",),
    *text_columns("control_id", "kind", "state", "who", "reason"),
    *json_columns("details"),
)
_record(
    "settings_versions",
    ("settings_hash",),
    *text_columns("settings_hash"),
    *json_columns("settings"),
)

# --- how it runs -------------------------------------------------------------------------------------

_record(
    "verifications",  # until where something that only grows was verified: the next one goes on from there
    ("verification_id",),
    *text_columns("verification_id", "kind"),
    *count_columns("until_sequence", nullable=True),
    *session_columns("until_session", nullable=True),
    *text_columns("head_hash", nullable=True),  # of the entry at until_sequence
    *json_columns("details"),
    indexes=(("strategy", "kind", "sequence"),),
)
_record(
    "outcomes",  # how a run ended, and what a tick of a schedule or sensor came to
    ("outcome_id",),
    *text_columns("outcome_id", "kind", "name", "outcome"),
    *text_columns("message", "failed_step", "first_partition", "last_partition", nullable=True),
    *moment_columns("began_at", "ended_at", nullable=True),
    *json_columns("details"),
    indexes=(("strategy", "kind", "name", "sequence"),),
)


def table_named(name: str) -> Table:
    """Return the ledger table of that name.

    Raises
    ------
    LedgerError
        There is none.
    """
    try:
        return TABLES[name]
    except KeyError:
        raise LedgerError(
            expected=f"one of {', '.join(sorted(TABLES))}",
            found=repr(name),
            remedy="name a table of the ledger",
            table=name,
        ) from None


def natural_key(table: Table) -> tuple[str, ...]:
    """Columns that, with the strategy, say what a row is about."""
    return tuple(table.info["key"])


def contract_columns(table: Table) -> tuple[str, ...]:
    """Columns of the frame that crosses rooms: all but ``strategy`` and the bookkeeping."""
    return tuple(table.info["contract"])
