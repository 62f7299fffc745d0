"""Announcements and topics."""

import sqlalchemy as sa
from alembic import op

from shirase.store.tables import BigId, Moment, UserId

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ANNOUNCEMENTS, MEMBERS = "shirase_announcements", "shirase_topic_members"
STREAMS, NOTIFICATIONS, SCHEDULED = "shirase_streams", "shirase_notifications", "shirase_scheduled"


def upgrade() -> None:
    """Create the tables and marks. Existing users count as present before the first announcement."""
    op.create_table(
        ANNOUNCEMENTS,
        sa.Column("id", BigId, primary_key=True),
        sa.Column("topic", sa.String(100), nullable=False),
        sa.Column("for_newcomers", sa.Boolean(), nullable=False),
        sa.Column("draft", sa.Text(), nullable=False),
        sa.Column("key", sa.String(255)),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment()),
        sa.Column("spread_at", Moment()),
        sa.Column("retracted_at", Moment()),
        sa.Column("gone", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("gone_read", sa.Integer(), nullable=False, server_default="0"),
        sqlite_autoincrement=True,
    )
    _index(ANNOUNCEMENTS, "spreading", "id", where="spread_at IS NULL")
    _index(ANNOUNCEMENTS, "retracted", "id", where="retracted_at IS NOT NULL")
    _index(ANNOUNCEMENTS, "of_key", "key", where="key IS NOT NULL")
    _index(ANNOUNCEMENTS, "created_at", "created_at")
    op.create_table(
        MEMBERS,
        sa.Column("topic", sa.String(100), primary_key=True),
        sa.Column("user_id", UserId, primary_key=True),
        sa.Column("member", sa.Boolean(), nullable=False),
        sa.Column("claimed", sa.Boolean(), nullable=False),
        sa.Column("joined", sa.BigInteger(), nullable=False),
        sa.Column("mark", sa.BigInteger()),
    )
    _index(MEMBERS, "of_user", "user_id", "topic")
    op.add_column(STREAMS, sa.Column("appeared", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column(STREAMS, sa.Column("announced", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column(STREAMS, sa.Column("topics_changed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column(STREAMS, sa.Column("claimed", sa.String(16)))
    op.add_column(SCHEDULED, sa.Column("topic", sa.String(100)))
    op.add_column(SCHEDULED, sa.Column("for_newcomers", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column(NOTIFICATIONS, sa.Column("announcement_id", sa.BigInteger()))
    where = "announcement_id IS NOT NULL"
    _index(NOTIFICATIONS, "of_announcement", "announcement_id", "user_id", where=where, unique=True)


def downgrade() -> None:
    """Drop them. Users keep the notifications that were taken over."""
    op.drop_index(f"{NOTIFICATIONS}_of_announcement", NOTIFICATIONS)
    op.drop_column(NOTIFICATIONS, "announcement_id")
    op.execute(sa.text("DELETE FROM shirase_scheduled WHERE topic IS NOT NULL"))
    op.drop_column(SCHEDULED, "for_newcomers")
    op.drop_column(SCHEDULED, "topic")
    for name in ("claimed", "topics_changed", "announced", "appeared"):
        op.drop_column(STREAMS, name)
    op.drop_table(MEMBERS)
    op.drop_table(ANNOUNCEMENTS)


def _index(table: str, name: str, *columns: str, where: str | None = None, unique: bool = False) -> None:
    condition = sa.text(where) if where else None
    op.create_index(
        f"{table}_{name}",
        table,
        list(columns),
        unique=unique,
        postgresql_where=condition,
        sqlite_where=condition,
    )
