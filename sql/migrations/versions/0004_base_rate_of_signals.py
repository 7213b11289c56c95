"""Signals say the base rate that they are measured from, and how many sessions had outcomes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Missing in the rows of before, whose hashes leave out what is missing here.
    op.add_column("signals", sa.Column("base_rate", sa.Double(), nullable=True))
    op.add_column("signals", sa.Column("outcome_sessions", sa.BigInteger(), nullable=True))
