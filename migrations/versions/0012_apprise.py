"""Addresses of Apprise, beside a user's mail address."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("shirase_contacts", sa.Column("apprise", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop it, and the addresses with it."""
    op.drop_column("shirase_contacts", "apprise")
