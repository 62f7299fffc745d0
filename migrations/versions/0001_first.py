"""The first schema: logs, inbox, idempotency keys, used tickets and the registry of connections."""

import secrets

import sqlalchemy as sa
from alembic import op

from shirase.store.tables import BigId, Moment, Tag, UserId

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

PREFIX = "shirase_"
TABLES = (
    "nodes",
    "connections",
    "used_tickets",
    "idempotency_keys",
    "notifications",
    "missed",
    "events",
    "streams",
    "database_name",
)


def upgrade() -> None:
    """Create the tables and give the database its random name."""
    names = op.create_table(f"{PREFIX}database_name", sa.Column("name", sa.String(32), primary_key=True))
    op.bulk_insert(names, [{"name": secrets.token_hex(16)}])
    _create_logs()
    _create_notifications()
    _create_access()
    _create_registry()


def downgrade() -> None:
    """Drop every table, and with them every notification."""
    for table in TABLES:
        op.drop_table(PREFIX + table)


def _create_logs() -> None:
    op.create_table(
        f"{PREFIX}streams",
        sa.Column("user_id", UserId, primary_key=True),
        sa.Column("head", sa.BigInteger(), nullable=False),
        sa.Column("unread", sa.Integer(), nullable=False),
        sa.Column("tag", Tag, nullable=False, server_default=""),
        sa.Column("previous_tag", Tag, nullable=False, server_default=""),
    )
    op.create_table(
        f"{PREFIX}events",
        sa.Column("user_id", UserId, primary_key=True),
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("notification_id", sa.BigInteger()),
        sa.Column("data", sa.Text()),
        sa.Column("unread", sa.Integer(), nullable=False),
        sa.Column("tag", Tag, nullable=False),
        sa.Column("previous_tag", Tag, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("published_at", Moment()),
        sa.Column("committed_at", Moment()),
        sa.Column("way", sa.String(8)),
        sa.Column("attempts", sa.Integer()),
        sa.Column("nodes", sa.Text()),
        sa.Column("connections", sa.Integer()),
    )
    _index("events", "unpublished", "user_id", "seq", where="published_at IS NULL")
    _index("events", "created_at", "created_at")
    op.create_table(
        f"{PREFIX}missed",
        sa.Column("node", sa.String(255), primary_key=True),
        sa.Column("user_id", UserId, primary_key=True),
        sa.Column("times", sa.Integer(), nullable=False),
    )


def _create_notifications() -> None:
    op.create_table(
        f"{PREFIX}notifications",
        sa.Column("id", BigId, primary_key=True),
        sa.Column("user_id", UserId, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(100), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("read_at", Moment()),
        sa.Column("read_by", sa.String(200)),
        sa.Column("expires_at", Moment()),
        sqlite_autoincrement=True,
    )
    _index("notifications", "of_user", "user_id", "id")
    _index("notifications", "of_type", "user_id", "type", "id")
    _index("notifications", "unread", "user_id", "id", where="read_at IS NULL")
    _index("notifications", "expiring", "expires_at", where="expires_at IS NOT NULL")
    expiring_unread = "expires_at IS NOT NULL AND read_at IS NULL"
    _index("notifications", "expiring_unread", "user_id", "expires_at", where=expiring_unread)


def _create_access() -> None:
    op.create_table(
        f"{PREFIX}idempotency_keys",
        sa.Column("owner", UserId, primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
    )
    _index("idempotency_keys", "created_at", "created_at")
    op.create_table(
        f"{PREFIX}used_tickets",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("used_at", Moment(), nullable=False),
    )
    _index("used_tickets", "used_at", "used_at")


def _create_registry() -> None:
    op.create_table(
        f"{PREFIX}connections",
        sa.Column("connection_id", sa.String(64), primary_key=True),
        sa.Column("user_id", UserId, nullable=False),
        sa.Column("node", sa.String(255)),
        sa.Column("opened_at", Moment(), nullable=False),
        sa.Column("last_seen", Moment(), nullable=False),
        sa.Column("expires_at", Moment()),
        sa.Column("user_agent", sa.String(200), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("ended_at", Moment()),
        sa.Column("reason", sa.String(32)),
        sa.Column("told_at", Moment()),
    )
    live, untold = "ended_at IS NULL", "ended_at IS NOT NULL AND told_at IS NULL"
    _index("connections", "of_user", "user_id", "ended_at", "opened_at")
    _index("connections", "of_node", "node", "last_seen", where=live)
    _index("connections", "expiring", "expires_at", where=live)
    _index("connections", "untold", "ended_at", where=untold)
    _index("connections", "ended", "ended_at", where="ended_at IS NOT NULL")
    op.create_table(
        f"{PREFIX}nodes",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("looked_at", Moment(), nullable=False),
        sa.Column("heard_at", Moment()),
    )


def _index(table: str, name: str, *columns: str, where: str | None = None) -> None:
    condition = sa.text(where) if where else None
    op.create_index(
        f"{PREFIX}{table}_{name}", PREFIX + table, list(columns), postgresql_where=condition, sqlite_where=condition
    )
