"""Indexes of connections that a statement about one user cannot use by mistake."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLE = "shirase_connections"
LIVE = "ended_at IS NULL"


def upgrade() -> None:
    """Make one index whole, and let the other hold only what its own statement reads."""
    _replace("of_node", "node", "ended_at", "last_seen")
    _replace("expiring", "expires_at", where=f"{LIVE} AND expires_at IS NOT NULL")


def downgrade() -> None:
    """Restore the indexes of all live connections."""
    _replace("of_node", "node", "last_seen", where=LIVE)
    _replace("expiring", "expires_at", where=LIVE)


def _replace(name: str, *columns: str, where: str | None = None) -> None:
    condition = sa.text(where) if where else None
    op.drop_index(f"{TABLE}_{name}", TABLE)
    op.create_index(f"{TABLE}_{name}", TABLE, list(columns), postgresql_where=condition, sqlite_where=condition)
