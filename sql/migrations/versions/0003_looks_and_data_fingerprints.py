"""Looks taken at records, and what the data of a hash are: two more append-only tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CHAIN = "audit_chain"
NAMES = ("looks", "data_fingerprints")


def upgrade() -> None:
    _create_table(
        "looks",
        ("trial_id", "data_hash", "month"),
        *_columns(sa.String(), "trial_id", "data_hash", "month", "study_id", "verdict", nullable=False),
        *_columns(sa.BigInteger(), "look", "sessions", "trials", nullable=False),
        *_columns(sa.Double(), "estimate", "standard_error", "degrees", "adjusted_p_value", "allowed_p_value"),
        *_columns(sa.Double(), "interval_low", "interval_high", "smallest_effect"),
        *_columns(sa.Boolean(), "allows_trading", nullable=False),
        *_columns(sa.Text(), "details"),
    )
    op.create_index(op.f("ix_looks_trial_id"), "looks", ["trial_id"])
    _create_table(
        "data_fingerprints",
        ("data_hash",),
        *_columns(sa.String(), "data_hash", nullable=False),
        *_columns(sa.BigInteger(), "keys", nullable=False),
        *_columns(sa.String(), "sample_limit", "sample", nullable=False),
        *_columns(sa.Date(), "first_session", "last_session"),
    )
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def _columns(kind: sa.types.TypeEngine[object], *names: str, nullable: bool = True) -> list[sa.Column[object]]:
    return [sa.Column(name, kind, nullable=nullable) for name in names]


def _create_table(name: str, key: tuple[str, ...], *columns: sa.Column[object]) -> None:
    op.create_table(
        name,
        sa.Column("strategy", sa.String(), nullable=False),
        *columns,
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("version_reason", sa.Text()),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["sequence"], [f"{CHAIN}.sequence"], name=op.f(f"fk_{name}_sequence")),
        sa.PrimaryKeyConstraint("strategy", *key, "version", name=op.f(f"pk_{name}")),
        sa.UniqueConstraint("sequence", name=op.f(f"uq_{name}_sequence")),
    )


def _guard_sqlite() -> None:
    for name in NAMES:
        for action in ("update", "delete"):
            op.execute(
                sa.DDL(
                    "CREATE TRIGGER %(name)s_no_%(action)s BEFORE %(action)s ON %(name)s BEGIN "
                    "SELECT RAISE(ABORT, 'the ledger is append-only: %(name)s refuses %(action)s'); END",
                    context={"name": name, "action": action},
                )
            )


def _guard_postgresql() -> None:
    for name in NAMES:
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
