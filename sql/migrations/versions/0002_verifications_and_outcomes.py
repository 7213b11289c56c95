"""Until where the ledger was verified, and how runs and ticks ended: two more append-only tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

CHAIN = "audit_chain"
NAMES = ("verifications", "outcomes")


def upgrade() -> None:
    _create_table(
        "verifications",
        "verification_id",
        sa.Column("verification_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("until_sequence", sa.BigInteger(), nullable=True),
        sa.Column("until_session", sa.Date(), nullable=True),
        sa.Column("head_hash", sa.String(), nullable=True),
        sa.Column("details", sa.Text(), nullable=True),
    )
    op.create_index(op.f("ix_verifications_strategy_kind_sequence"), NAMES[0], ["strategy", "kind", "sequence"])
    _create_table(
        "outcomes",
        "outcome_id",
        *(sa.Column(name, sa.String(), nullable=False) for name in ("outcome_id", "kind", "name", "outcome")),
        *(
            sa.Column(name, sa.String(), nullable=True)
            for name in ("message", "failed_step", "first_partition", "last_partition")
        ),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("details", sa.Text(), nullable=True),
    )
    op.create_index(op.f("ix_outcomes_strategy_kind_name_sequence"), NAMES[1], ["strategy", "kind", "name", "sequence"])
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def _create_table(name: str, key: str, *columns: sa.Column[object]) -> None:
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
        sa.PrimaryKeyConstraint("strategy", key, "version", name=op.f(f"pk_{name}")),
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
