"""Fills say when they were, and what the mid was half an hour to an hour later."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Missing in the rows of before, whose hashes leave out what is missing here.
    op.add_column("fills", sa.Column("filled_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("fills", sa.Column("later_mid_price", sa.Double(), nullable=True))
