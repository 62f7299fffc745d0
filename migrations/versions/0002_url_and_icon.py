"""A notification's URL and icon."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLE = "shirase_notifications"


def upgrade() -> None:
    """Add the columns, which are NULL in existing rows."""
    op.add_column(TABLE, sa.Column("url", sa.String(2000)))
    op.add_column(TABLE, sa.Column("icon", sa.String(2000)))


def downgrade() -> None:
    """Drop the columns."""
    op.drop_column(TABLE, "icon")
    op.drop_column(TABLE, "url")
