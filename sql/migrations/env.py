"""Runs the migrations on the connection that nn_assets.store.ledger.migrations hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from nn_assets.store.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite can roll back DDL when the driver does not commit behind one's back, and here it does not.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
