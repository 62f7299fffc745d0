"""What became of an event on its way, and on which device a notification was read."""

import sqlalchemy as sa
from alembic import op

from shirase.store.tables import Moment

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; of what is older nothing is known."""
    op.add_column("events", sa.Column("committed_at", Moment()))
    op.add_column("events", sa.Column("way", sa.String(8)))
    op.add_column("events", sa.Column("attempts", sa.Integer()))
    op.add_column("events", sa.Column("nodes", sa.Text()))
    op.add_column("events", sa.Column("connections", sa.Integer()))
    op.add_column("notifications", sa.Column("read_by", sa.String(200)))


def downgrade() -> None:
    """Forget it."""
    for column in ("connections", "nodes", "attempts", "way", "committed_at"):
        op.drop_column("events", column)
    op.drop_column("notifications", "read_by")
