"""Webhooks: endpoints, their queues, and the trigger that fills these."""
# ruff: noqa: S608 - our own names

import sqlalchemy as sa
from alembic import op

from shirase.store.tables import BigId, Moment, Tag, UserId

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

WEBHOOKS, QUEUE, EVENTS = "shirase_webhooks", "shirase_webhook_queue", "shirase_events"
KINDS = "('notification', 'updated')"  # the events that endpoints get; imported ones count as published from the start


def upgrade() -> None:
    """Create the tables and the trigger. Without an endpoint it inserts nothing."""
    op.create_table(
        WEBHOOKS,
        sa.Column("id", BigId, primary_key=True),
        sa.Column("name", sa.String(100), nullable=False, unique=True),
        sa.Column("url", sa.String(2000), nullable=False),
        sa.Column("types", sa.Text(), nullable=False),
        sa.Column("secret", sa.String(200), nullable=False),
        sa.Column("previous_secret", sa.String(200)),
        sa.Column("previous_until", Moment()),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.Column("next_at", Moment(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("failing_since", Moment()),
        sa.Column("reason", sa.String(200)),
        sa.Column("paused_at", Moment()),
        sa.Column("claimed_until", Moment()),
        sa.Column("claim", sa.String(16)),
        sqlite_autoincrement=True,
    )
    op.create_table(
        QUEUE,
        sa.Column("id", BigId, primary_key=True),
        sa.Column("webhook_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", UserId, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("tag", Tag, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index(f"{QUEUE}_of_webhook", QUEUE, ["webhook_id", "id"])
    op.create_index(f"{QUEUE}_of_user", QUEUE, ["user_id", "id"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"""
            CREATE TRIGGER shirase_events_to_webhooks AFTER INSERT ON {EVENTS}
            WHEN NEW.kind IN {KINDS} AND NEW.published_at IS NULL
            BEGIN
                INSERT INTO {QUEUE} (webhook_id, user_id, seq, tag)
                SELECT id, NEW.user_id, NEW.seq, NEW.tag FROM {WEBHOOKS};
            END
        """)
        return
    # Names are qualified, because an application's transaction has a search_path of its own.
    schema = op.get_bind().dialect.identifier_preparer.quote(
        op.get_bind().execute(sa.text("SELECT current_schema()")).scalar_one()
    )
    op.execute(f"""
        CREATE FUNCTION {schema}.shirase_events_to_webhooks() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO {schema}.{QUEUE} (webhook_id, user_id, seq, tag)
            SELECT w.id, e.user_id, e.seq, e.tag
            FROM {schema}.{WEBHOOKS} w CROSS JOIN appended e
            WHERE e.kind IN {KINDS} AND e.published_at IS NULL
            ORDER BY e.user_id, e.seq;
            RETURN NULL;
        END $$
    """)
    op.execute(f"""
        CREATE TRIGGER shirase_events_to_webhooks AFTER INSERT ON {schema}.{EVENTS}
        REFERENCING NEW TABLE AS appended
        FOR EACH STATEMENT EXECUTE FUNCTION {schema}.shirase_events_to_webhooks()
    """)


def downgrade() -> None:
    """Drop them, and what no endpoint has accepted."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER shirase_events_to_webhooks")
    else:
        op.execute(f"DROP TRIGGER shirase_events_to_webhooks ON {EVENTS}")
        op.execute("DROP FUNCTION shirase_events_to_webhooks()")
    op.drop_table(QUEUE)
    op.drop_table(WEBHOOKS)
