"""Types and their policies, preferences, contacts and deliveries."""

import sqlalchemy as sa
from alembic import op

from shirase.store.tables import BigId, Moment, Tag, UserId

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

DELIVERIES = "shirase_deliveries"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "shirase_types",
        sa.Column("type", sa.String(100), primary_key=True),
        sa.Column("label", sa.String(100), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("category", sa.String(50)),
        sa.Column("critical", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "shirase_policies",
        sa.Column("type", sa.String(100), primary_key=True),
        sa.Column("step", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("after", sa.Integer(), nullable=False),
        sa.Column("unless", sa.String(16)),
    )
    op.create_table(
        "shirase_preferences",
        sa.Column("user_id", UserId, primary_key=True),
        sa.Column("channel", sa.String(16), primary_key=True),
        sa.Column("scope", sa.String(100), primary_key=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("until", Moment()),
    )
    op.create_table(
        "shirase_quiet_hours",
        sa.Column("user_id", UserId, primary_key=True),
        sa.Column("starts", sa.String(5), nullable=False),
        sa.Column("ends", sa.String(5), nullable=False),
        sa.Column("timezone", sa.String(64), nullable=False),
    )
    op.create_table(
        "shirase_contacts",
        sa.Column("user_id", UserId, primary_key=True),
        sa.Column("email", sa.String(254)),
        sa.Column("locale", sa.String(35)),
        sa.Column("timezone", sa.String(64)),
    )
    op.create_table(
        DELIVERIES,
        sa.Column("id", BigId, primary_key=True),
        sa.Column("tag", Tag, nullable=False),
        sa.Column("user_id", UserId, nullable=False),
        sa.Column("notification_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("target", sa.String(64)),
        sa.Column("unless", sa.String(16)),
        sa.Column("state", sa.String(16), nullable=False, server_default="pending"),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("due_at", Moment(), nullable=False),
        sa.Column("claimed_until", Moment()),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("tried_at", Moment()),
        sa.Column("ended_at", Moment()),
        sa.Column("reason", sa.String(200)),
        sqlite_autoincrement=True,
    )
    _index("due", "channel", "due_at", where="state = 'pending'")
    _index("of_notification", "notification_id")
    _index("of_user", "user_id", "id")
    _index("dead", "id", where="state = 'dead'")
    _index("ended", "ended_at", where="ended_at IS NOT NULL")


def downgrade() -> None:
    """Drop them."""
    for name in ("deliveries", "contacts", "quiet_hours", "preferences", "policies", "types"):
        op.drop_table(f"shirase_{name}")


def _index(name: str, *columns: str, where: str | None = None) -> None:
    condition = sa.text(where) if where else None
    op.create_index(
        f"{DELIVERIES}_{name}", DELIVERIES, list(columns), postgresql_where=condition, sqlite_where=condition
    )
