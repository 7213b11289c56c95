"""Accounts at venues: their orders, what became of these, their fills, and whether they agree with their books."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NAMES = ("account_orders", "order_events", "account_fills", "reconciliations")


def upgrade() -> None:
    _create_table(
        "account_orders",
        "client_order_id",
        *_columns(sa.String(), "client_order_id", nullable=False),
        *_columns(sa.Date(), "session", nullable=False),
        *_columns(sa.String(), "symbol", nullable=False),
        *_columns(sa.Double(), "quantity"),
        *_columns(sa.String(), "kind", nullable=False),
        *_columns(sa.Double(), "price", "reference_price"),
        *_columns(sa.Text(), "allotment"),
    )
    _create_table(
        "order_events",
        "event_id",
        *_columns(sa.String(), "event_id", "client_order_id", nullable=False),
        *_columns(sa.Date(), "session", nullable=False),
        *_columns(sa.String(), "event", nullable=False),
        *_columns(sa.String(), "reason"),
        *_columns(sa.Text(), "details"),
    )
    _create_table(
        "account_fills",
        "fill_id",
        *_columns(sa.String(), "fill_id", "client_order_id", nullable=False),
        *_columns(sa.Date(), "session", nullable=False),
        *_columns(sa.String(), "symbol", nullable=False),
        *_columns(sa.Double(), "quantity", "price", "commission_usd"),
        *_columns(sa.DateTime(timezone=True), "filled_at", nullable=False),
        *_columns(sa.String(), "state", nullable=False),
        *_columns(sa.String(), "reason"),
        *_columns(sa.Text(), "allotment"),
    )
    _create_table(
        "reconciliations",
        "reconciliation_id",
        *_columns(sa.String(), "reconciliation_id", nullable=False),
        *_columns(sa.Date(), "session", nullable=False),
        *_columns(sa.String(), "state", nullable=False),
        *_columns(sa.String(), "who", "reason"),
        *_columns(sa.Text(), "differences", "details"),
    )
    on_server = op.get_bind().dialect.name == "postgresql"
    for name in NAMES:
        op.create_index(op.f(f"ix_{name}_strategy_session"), name, ["strategy", "session"])
        (_guard_on_server if on_server else _guard)(name)


def _columns(kind: sa.types.TypeEngine[object], *names: str, nullable: bool = True) -> list[sa.Column[object]]:
    return [sa.Column(name, kind, nullable=nullable) for name in names]


def _create_table(name: str, key: str, *columns: sa.Column[object]) -> None:
    op.create_table(
        name,
        sa.Column("strategy", sa.String(), nullable=False),
        *columns,
        sa.Column("known_at", sa.DateTime(timezone=True)),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("version_reason", sa.Text()),
        sa.Column("run_id", sa.String()),
        sa.Column("recorded_at", sa.DateTime(timezone=True)),
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, autoincrement=False
        ),
        sa.PrimaryKeyConstraint("sequence", name=op.f(f"pk_{name}")),
        sa.UniqueConstraint("strategy", key, "version", name=op.f(f"uq_{name}_strategy")),
    )


def _guard(name: str) -> None:
    for action in ("update", "delete"):
        op.execute(
            sa.DDL(
                "CREATE TRIGGER %(name)s_no_%(action)s BEFORE %(action)s ON %(name)s BEGIN "
                "SELECT RAISE(ABORT, 'the ledger is append-only: %(name)s refuses %(action)s'); END",
                context={"name": name, "action": action},
            )
        )


def _guard_on_server(name: str) -> None:
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
