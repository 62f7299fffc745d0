"""How Alembic reaches the database: with the address that ``api.database.migrate`` hands over."""

from alembic import context
from sqlalchemy import create_engine, pool

from api.models import Base

engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            # Several copies may start at once; one migrates and the others wait for it.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7266473)")
        context.run_migrations()
engine.dispose()
