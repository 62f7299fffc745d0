"""Who is connected: the registry's tables."""

import sqlalchemy as sa
from alembic import op

from shirase.store.tables import Moment, UserId

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

LIVE = "ended_at IS NULL"


def upgrade() -> None:
    """Make the tables, empty: whoever is connected now is entered when the relay hears of it."""
    op.create_table(
        "connections",
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
    op.create_index("connections_of_user", "connections", ["user_id", "ended_at", "opened_at"])
    _index("connections_of_node", "node", "last_seen", where=LIVE)
    _index("connections_expiring", "expires_at", where=LIVE)
    _index("connections_untold", "ended_at", where="ended_at IS NOT NULL AND told_at IS NULL")
    _index("connections_ended", "ended_at", where="ended_at IS NOT NULL")
    op.create_table(
        "nodes",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("looked_at", Moment(), nullable=False),
        sa.Column("heard_at", Moment()),
    )


def downgrade() -> None:
    """Forget who is connected."""
    for table in ("nodes", "connections"):
        op.drop_table(table)


def _index(name: str, *columns: str, where: str) -> None:
    op.create_index(name, "connections", list(columns), postgresql_where=sa.text(where), sqlite_where=sa.text(where))
