"""Subscriptions of Web Push."""

import sqlalchemy as sa
from alembic import op

from shirase.store.tables import Moment, UserId

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLE = "shirase_push_subscriptions"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        TABLE,
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("user_id", UserId, nullable=False),
        sa.Column("endpoint", sa.String(2000), nullable=False),
        sa.Column("p256dh", sa.String(100), nullable=False),
        sa.Column("auth", sa.String(40), nullable=False),
        sa.Column("user_agent", sa.String(200), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
    )
    op.create_index(f"{TABLE}_of_user", TABLE, ["user_id", "created_at"])


def downgrade() -> None:
    """Drop it. Browsers subscribe again when their pages do."""
    op.drop_table(TABLE)
