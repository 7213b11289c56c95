"""One entry of the chain for the rows of a transaction; rows kept by their place; the file of a session's trace.

No row and no entry is rewritten: tables are copied into ones that refer to no entry, since several rows share one now.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CHAIN = "audit_chain"
TRACES = "traces"
TABLES = {  # and the rest of each one's key
    "decisions": "session",
    "signals": "session symbol",
    "target_positions": "session symbol",
    "position_steps": "session symbol step",
    "orders": "client_order_id",
    "fills": "fill_id",
    "portfolio_states": "session",
    "holdings": "session symbol",
    "drift": "session layer name",
    "trading_states": "session",
    "studies": "study_id",
    "trials": "trial_id data_hash code_version",
    "models": "month model_id",
    "refresh_requests": "event_id",
    "publications": "publication_id",
    "cost_models": "cost_model_id",
    "controls": "control_id",
    "settings_versions": "settings_hash",
    "verifications": "verification_id",
    "outcomes": "outcome_id",
    "looks": "trial_id data_hash month",
    "data_fingerprints": "data_hash",
}
MOMENTS = ("known_at", "recorded_at", "reference_at")
SHARED = (
    "known_at",
    "run_id",
    "recorded_at",
    "data_hash",
    "model_id",
    "code_version",
    "reference_at",
)  # of rows that were stored together, in their entry where it is the same, but for their keys
PLACE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # there the table itself is kept in this order


def upgrade() -> None:
    _add_to_chain()
    on_server = op.get_bind().dialect.name == "postgresql"
    for name, key in TABLES.items():
        (_alter if on_server else _copy)(name, ("strategy", *key.split(), "version"))
    _create_traces()
    if on_server:
        _guard_on_server(TRACES)
    else:
        _guard(TRACES)


def _add_to_chain() -> None:
    op.add_column(CHAIN, sa.Column("rows", sa.Integer(), nullable=True))
    for name in SHARED:
        kind = sa.DateTime(timezone=True) if name in MOMENTS else sa.String()
        op.add_column(CHAIN, sa.Column(name, kind, nullable=True))
    op.add_column(CHAIN, sa.Column("digests", sa.Text(), nullable=True))  # the longest comes last


def _alter(name: str, key: tuple[str, ...]) -> None:
    op.drop_constraint(op.f(f"fk_{name}_sequence"), name, type_="foreignkey")
    op.drop_constraint(op.f(f"uq_{name}_sequence"), name, type_="unique")
    op.drop_constraint(op.f(f"pk_{name}"), name, type_="primary")
    op.create_primary_key(op.f(f"pk_{name}"), name, ["sequence"])
    op.create_unique_constraint(op.f(f"uq_{name}_strategy"), name, list(key))
    for told in sa.inspect(op.get_bind()).get_columns(name):
        if told["name"] in SHARED and told["name"] not in key:
            op.alter_column(name, told["name"], nullable=True)


def _copy(name: str, key: tuple[str, ...]) -> None:
    """SQLite alters no constraint: the rows move into a new table of the name, its indexes made again."""
    looked_at = sa.inspect(op.get_bind())
    columns, indexes = looked_at.get_columns(name), looked_at.get_indexes(name)
    op.rename_table(name, f"{name}_before")
    for index in indexes:
        op.drop_index(index["name"], f"{name}_before")
    op.create_table(name, *(_column(told, key) for told in columns), *_constraints(name, key))
    old, new = (sa.table(each, *(sa.column(told["name"]) for told in columns)) for each in (f"{name}_before", name))
    names = [told["name"] for told in columns]
    op.execute(new.insert().from_select(names, sa.select(old).order_by(old.c.sequence)))
    op.drop_table(f"{name}_before")
    for index in indexes:
        op.create_index(index["name"], name, index["column_names"])
    _guard(name)


def _column(told: dict[str, object], key: tuple[str, ...]) -> sa.Column[object]:
    name = str(told["name"])
    kind = sa.Integer() if name == "sequence" else told["type"]
    nullable = bool(told["nullable"]) or (name in SHARED and name not in key)
    return sa.Column(name, kind, nullable=nullable, autoincrement=False)


def _constraints(name: str, key: tuple[str, ...]) -> tuple[sa.Constraint, ...]:
    return (
        sa.PrimaryKeyConstraint("sequence", name=op.f(f"pk_{name}")),
        sa.UniqueConstraint(*key, name=op.f(f"uq_{name}_strategy")),
    )


def _create_traces() -> None:
    op.create_table(
        TRACES,
        sa.Column("strategy", sa.String(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True)),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("version_reason", sa.Text()),
        sa.Column("run_id", sa.String()),
        sa.Column("recorded_at", sa.DateTime(timezone=True)),
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, autoincrement=False
        ),
        *_constraints(TRACES, ("strategy", "session", "version")),
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
