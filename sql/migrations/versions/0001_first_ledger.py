"""The ledger's first schema: the audit chain, one table for each kind of record, and their guards."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

CHAIN = "audit_chain"
TYPES = {
    "text": sa.String,
    "number": sa.Double,
    "count": sa.BigInteger,
    "flag": sa.Boolean,
    "session": sa.Date,
    "moment": lambda: sa.DateTime(timezone=True),
    "json": sa.Text,
}
# Table: natural key, then its columns by type; a question mark says that NULL is allowed, as it
# always is for numbers (NaN) and JSON.
TABLES = {
    "decisions": (
        "session",
        "session: session",
        "text: data_hash model_id code_version settings_hash",
        "text?: study_id verdict",
        "text: content_hash",
        "json: details",
    ),
    "signals": (
        "session symbol",
        "text: symbol",
        "session: session",
        "number: probability dispersion calibrated_probability",
        "count: direction",
        "number: expected_return mean_win mean_loss",
        "count: outcomes",
        "number: forecast_volatility confidence",
        "text: model_id data_hash code_version",
        "moment: known_at",
    ),
    "target_positions": (
        "session symbol",
        "text: symbol",
        "session: session",
        "number: reference_price",
        "moment?: reference_at",
        "number: current_quantity target_quantity target_weight stop_price",
        "moment: known_at",
    ),
    "position_steps": (
        "session symbol step",
        "text: symbol",
        "session: session",
        "count: step",
        "text: rule",
        "number: weight_before weight_after",
        "text?: reason",
    ),
    "orders": (
        "client_order_id",
        "text: client_order_id symbol",
        "session: session",
        "text: side",
        "number: quantity",
        "text: execution urgency",
        "number: reference_price",
        "moment?: reference_at",
        "text: status",
        "text?: reason_code",
    ),
    "fills": (
        "fill_id",
        "text: fill_id client_order_id symbol",
        "session: session",
        "number: quantity price mid_price half_spread_usd commission_usd impact_usd",
        "text: source",
        "moment: known_at",
    ),
    "portfolio_states": (
        "session",
        "session: session",
        "number: cash_usd equity_usd gross_fraction net_fraction high_water_mark_usd",
        "number: drawdown_fraction session_return costs_usd",
        "text?: breaker",
        "json: book",
    ),
    "holdings": (
        "session symbol",
        "session: session",
        "text: symbol",
        "number: quantity price entry_price stop_price",
        "session?: entered_session",
        "count: blocked_side",
        "session?: blocked_until",
    ),
    "drift": (
        "session layer name",
        "session: session",
        "text: layer name",
        "number: statistic critical autocorrelation",
        "flag: drifted",
    ),
    "trading_states": (
        "session",
        "session: session effective_session",
        "text: state",
        "number: score",
        "json: reasons",
    ),
    "studies": (
        "study_id",
        "text: study_id month verdict",
        "count: trial_count",
        "json: figures",
        "text: data_hash code_version settings_hash",
        "session?: first_session last_session",
    ),
    "trials": (
        "trial_id data_hash code_version",
        "text: trial_id data_hash code_version",
        "text?: study_id",
        "json: configuration figures",
    ),
    "models": (
        "month model_id",
        "text: month model_id",
        "text?: estimator",
        "flag: fitted",
        "session?: effective_session",
        "text: artifact_sha256",
        "json: figures",
        "text: data_hash code_version settings_hash",
    ),
    "refresh_requests": (
        "event_id",
        "text: event_id",
        "session: session",
        "text: cause",
        "json: details",
    ),
    "publications": (
        "publication_id",
        "text: publication_id content_hash",
        "session: first_session last_session",
        "count: rows quarantined",
        "json: details",
    ),
    "cost_models": (
        "cost_model_id",
        "text: cost_model_id",
        "session: session",
        "text: source",
        "flag: in_force",
        "json: coefficients figures",
    ),
    "controls": (
        "control_id",
        "text: control_id kind state who reason",
        "json: details",
    ),
    "settings_versions": (
        "settings_hash",
        "text: settings_hash",
        "json: settings",
    ),
}


def upgrade() -> None:
    _create_chain()
    for name, (key, *groups) in TABLES.items():
        _create_table(name, key.split(), list(_columns(groups)))
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def _create_chain() -> None:
    op.create_table(
        CHAIN,
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("table_name", sa.String(), nullable=False),
        sa.Column("row_key", sa.Text(), nullable=False),
        sa.Column("row_hash", sa.String(length=64), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_chain")),
    )
    op.create_index(op.f("ix_audit_chain_table_name_sequence"), CHAIN, ["table_name", "sequence"])


def _columns(groups: list[str]) -> Iterator[sa.Column[object]]:
    for group in groups:
        kind, _, names = group.partition(": ")
        bare = kind.removesuffix("?")
        nullable = kind != bare or bare in ("number", "json")
        for name in names.split():
            yield sa.Column(name, TYPES[bare](), nullable=nullable)


def _create_table(name: str, key: list[str], columns: list[sa.Column[object]]) -> None:
    stated = {column.name for column in columns}
    known_at = [] if "known_at" in stated else [sa.Column("known_at", TYPES["moment"](), nullable=False)]
    op.create_table(
        name,
        sa.Column("strategy", sa.String(), nullable=False),
        *columns,
        *known_at,
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("version_reason", sa.Text()),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("recorded_at", TYPES["moment"](), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["sequence"], [f"{CHAIN}.sequence"], name=op.f(f"fk_{name}_sequence")),
        sa.PrimaryKeyConstraint("strategy", *key, "version", name=op.f(f"pk_{name}")),
        sa.UniqueConstraint("sequence", name=op.f(f"uq_{name}_sequence")),
    )
    if "session" in stated and "session" not in key:
        op.create_index(op.f(f"ix_{name}_strategy_session"), name, ["strategy", "session"])


def _guard_sqlite() -> None:
    for name in (CHAIN, *TABLES):
        for action in ("update", "delete"):
            op.execute(
                sa.DDL(
                    "CREATE TRIGGER %(name)s_no_%(action)s BEFORE %(action)s ON %(name)s BEGIN "
                    "SELECT RAISE(ABORT, 'the ledger is append-only: %(name)s refuses %(action)s'); END",
                    context={"name": name, "action": action},
                )
            )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN "
        "RAISE EXCEPTION 'the ledger is append-only: % refuses %', TG_TABLE_NAME, lower(TG_OP); "
        "END $$"
    )
    for name in (CHAIN, *TABLES):
        op.execute(
            sa.DDL(
                "CREATE TRIGGER %(name)s_append_only BEFORE UPDATE OR DELETE ON %(name)s "
                "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
                context={"name": name},
            )
        )
        op.execute(
            sa.DDL(
                "CREATE TRIGGER %(name)s_no_truncate BEFORE TRUNCATE ON %(name)s "
                "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
                context={"name": name},
            )
        )
