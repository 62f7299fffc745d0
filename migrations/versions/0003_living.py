"""Living notifications: replaced by key, folded, archived, seen and scheduled."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from shirase.store.tables import BigId, Moment, UserId

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLE = "shirase_notifications"


def upgrade() -> None:
    """Add the columns and tables. Existing notifications are at their creation's position, and seen if read."""
    for column in _columns():
        op.add_column(TABLE, column)
    op.execute(sa.text("UPDATE shirase_notifications SET position = id"))
    op.add_column("shirase_streams", sa.Column("unseen", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("shirase_streams", sa.Column("seen", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("shirase_events", sa.Column("unseen", sa.Integer(), nullable=False, server_default="0"))
    op.execute(sa.text("UPDATE shirase_streams SET unseen = unread"))
    op.execute(sa.text("UPDATE shirase_events SET unseen = unread"))
    for name in ("of_user", "of_type", "unread"):
        op.drop_index(f"{TABLE}_{name}", TABLE)
    _index("inbox", "user_id", "position", where="archived_at IS NULL")
    _index("archived", "user_id", "position", where="archived_at IS NOT NULL")
    _index("of_type", "user_id", "type", "position")
    _index("of_category", "user_id", "category", "position", where="category IS NOT NULL")
    _index("unread", "user_id", "position", where="read_at IS NULL")
    _index("of_key", "key", "user_id", where="key IS NOT NULL", unique=True)
    op.create_table(
        "shirase_scheduled",
        sa.Column("id", BigId, primary_key=True),
        sa.Column("owner", UserId, nullable=False),
        sa.Column("user_id", UserId, nullable=False),
        sa.Column("key", sa.String(255)),
        sa.Column("draft", sa.Text(), nullable=False),
        sa.Column("send_at", Moment(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("shirase_scheduled_due", "shirase_scheduled", ["send_at"])
    op.create_index("shirase_scheduled_of_owner", "shirase_scheduled", ["owner", "id"])
    _index("of_key", "key", "user_id", where="key IS NOT NULL", table="shirase_scheduled")


def downgrade() -> None:
    """Drop the columns and tables, and with them scheduled notifications."""
    op.drop_table("shirase_scheduled")
    for name in ("inbox", "archived", "of_type", "of_category", "unread", "of_key"):
        op.drop_index(f"{TABLE}_{name}", TABLE)
    op.drop_column("shirase_events", "unseen")
    op.drop_column("shirase_streams", "seen")
    op.drop_column("shirase_streams", "unseen")
    for column in reversed(_columns()):
        op.drop_column(TABLE, column.name)
    _index("of_user", "user_id", "id")
    _index("of_type", "user_id", "type", "id")
    _index("unread", "user_id", "id", where="read_at IS NULL")


def _columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("actor", sa.Text()),
        sa.Column("actions", sa.Text()),
        sa.Column("category", sa.String(50)),
        sa.Column("priority", sa.String(6)),
        sa.Column("key", sa.String(255)),
        sa.Column("archived_at", Moment()),
        sa.Column("position", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("revision", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("updated_at", Moment()),
        sa.Column("count", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("actors", sa.Text()),
    ]


def _index(name: str, *columns: str, where: str | None = None, unique: bool = False, table: str = TABLE) -> None:
    condition = sa.text(where) if where else None
    op.create_index(
        f"{table}_{name}",
        table,
        list(columns),
        unique=unique,
        postgresql_where=condition,
        sqlite_where=condition,
    )
