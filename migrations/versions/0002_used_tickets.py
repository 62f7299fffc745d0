"""The tickets that were used, so that each opens one stream."""

import sqlalchemy as sa
from alembic import op

from shirase.store.tables import Moment

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "used_tickets",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("used_at", Moment(), nullable=False),
    )
    op.create_index("used_tickets_used_at", "used_tickets", ["used_at"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("used_tickets")
