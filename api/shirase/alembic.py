"""A filter for hosts whose Alembic or Flask-Migrate works on the database with our tables (docs/alembic.md)."""

from collections.abc import Mapping

PREFIX = "shirase_"  # of all our tables, including Alembic's version table


def include_name(name: str | None, type_: str, parent_names: Mapping[str, str | None]) -> bool:  # noqa: ARG001 - Alembic's
    """False for our tables, which autogenerate would drop because the host's models do not have them.

    Pass it to ``context.configure(include_name=…)`` or to ``Migrate(app, db, include_name=…)``.
    """
    return type_ != "table" or not (name or "").startswith(PREFIX)
