"""Nodes that are being drained."""

import sqlalchemy as sa
from alembic import op

from shirase.store.tables import Moment

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the time until which a node takes no new streams."""
    op.add_column("shirase_nodes", sa.Column("draining_until", Moment()))


def downgrade() -> None:
    """Drop it: a node that is being drained takes new streams again."""
    op.drop_column("shirase_nodes", "draining_until")
