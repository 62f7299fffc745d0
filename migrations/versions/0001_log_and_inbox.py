"""The log, the inbox and the idempotency keys."""

import secrets

import sqlalchemy as sa
from alembic import op

from shirase.store.tables import BigId, Moment, UserId

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, and give the database its name."""
    op.create_table("database_name", sa.Column("name", sa.String(32), primary_key=True))
    op.create_table(
        "streams",
        sa.Column("user_id", UserId, primary_key=True),
        sa.Column("head", sa.BigInteger(), nullable=False),
        sa.Column("unread", sa.Integer(), nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("user_id", UserId, primary_key=True),
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("notification_id", sa.BigInteger()),
        sa.Column("data", sa.Text()),
        sa.Column("unread", sa.Integer(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("published_at", Moment()),
    )
    _index("events_unpublished", "events", "user_id", "seq", where="published_at IS NULL")
    op.create_index("events_created_at", "events", ["created_at"])
    op.create_table(
        "missed",
        sa.Column("node", sa.String(255), primary_key=True),
        sa.Column("user_id", UserId, primary_key=True),
        sa.Column("times", sa.Integer(), nullable=False),
    )
    op.create_table(
        "notifications",
        sa.Column("id", BigId, primary_key=True),
        sa.Column("user_id", UserId, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(100), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("read_at", Moment()),
        sa.Column("expires_at", Moment()),
        sqlite_autoincrement=True,
    )
    op.create_index("notifications_of_user", "notifications", ["user_id", "id"])
    op.create_index("notifications_of_type", "notifications", ["user_id", "type", "id"])
    _index("notifications_unread", "notifications", "user_id", "id", where="read_at IS NULL")
    _index("notifications_expiring", "notifications", "expires_at", where="expires_at IS NOT NULL")
    _index(
        "notifications_expiring_unread",
        "notifications",
        "user_id",
        "expires_at",
        where="expires_at IS NOT NULL AND read_at IS NULL",
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("owner", UserId, primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
    )
    op.create_index("idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.execute(sa.text("INSERT INTO database_name (name) VALUES (:name)").bindparams(name=secrets.token_hex(16)))


def downgrade() -> None:
    """Drop everything, and all notifications with it."""
    for table in ("idempotency_keys", "notifications", "missed", "events", "streams", "database_name"):
        op.drop_table(table)


def _index(name: str, table: str, *columns: str, where: str) -> None:
    op.create_index(name, table, list(columns), postgresql_where=sa.text(where), sqlite_where=sa.text(where))
