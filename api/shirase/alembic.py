"""For a host whose own Alembic or Flask-Migrate works on the database that holds our tables (docs/alembic.md)."""

from collections.abc import Mapping

PREFIX = "shirase_"  # of every table of ours, of Alembic's version table for them too


def include_name(name: str | None, type_: str, parent_names: Mapping[str, str | None]) -> bool:  # noqa: ARG001 - Alembic's
    """Whether autogenerate may look at it: not at our tables, which it would drop as unknown to the host's models.

    Give it to ``context.configure(include_name=…)`` or to ``Migrate(app, db, include_name=…)``.
    """
    return type_ != "table" or not (name or "").startswith(PREFIX)
