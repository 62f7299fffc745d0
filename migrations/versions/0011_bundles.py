"""Deliveries that are sent as one stay together when they are repeated."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLE = "shirase_deliveries"


def upgrade() -> None:
    """Add the column."""
    op.add_column(TABLE, sa.Column("bundle", sa.String(40)))


def downgrade() -> None:
    """Drop it. What is pending may be repeated in another digest."""
    op.drop_column(TABLE, "bundle")
