"""The event that a webhook failed at, so that skipping drops this one and no other."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; a webhook that fails at this moment has none until it fails again."""
    op.add_column("shirase_webhooks", sa.Column("failed_id", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("shirase_webhooks", "failed_id")
