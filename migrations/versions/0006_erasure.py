"""Erasure of users."""

import sqlalchemy as sa
from alembic import op

from shirase.store.tables import Moment, UserId

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of erasures, and the index that finds what is scheduled for a user."""
    op.create_table(
        "shirase_erasures",
        sa.Column("user_id", UserId, primary_key=True),
        sa.Column("requested_at", Moment(), nullable=False),
    )
    op.create_index("shirase_scheduled_of_user", "shirase_scheduled", ["user_id", "id"])


def downgrade() -> None:
    """Drop them. An erasure that has not ended is to be requested again."""
    op.drop_index("shirase_scheduled_of_user", "shirase_scheduled")
    op.drop_table("shirase_erasures")
