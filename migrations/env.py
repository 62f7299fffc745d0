"""Alembic's environment: runs in the transaction that ``shirase.store.migrate`` has begun."""

from alembic import context
from sqlalchemy import inspect
from sqlalchemy.schema import CreateSchema

from shirase.store.tables import VERSION_TABLE, Base

connection = context.config.attributes["connection"]
schema = context.config.attributes["schema"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=connection.dialect.name == "sqlite",
    transactional_ddl=True,  # on SQLite too, where we begin the transaction
)
with context.begin_transaction():
    if connection.dialect.name == "postgresql":
        # Several processes may start at once: one migrates, and the others wait.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7266473)")
        # Check first, because IF NOT EXISTS requires the privilege to create a schema even if it exists.
        if schema and not inspect(connection).has_schema(schema):
            connection.execute(CreateSchema(schema))
    context.run_migrations()
