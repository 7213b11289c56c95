"""Long keys of the chain and the stored book may be packed from here on.

No table, row or entry changes: the new number is for code of before, which cannot read what is packed. It refuses the
ledger as one of a newer version, in place of telling of entries that were changed.
"""

from __future__ import annotations

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing to change."""
