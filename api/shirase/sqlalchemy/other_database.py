"""Recognizes sessions that write to another database than the one that their notifier publishes from."""

from pathlib import Path

from sqlalchemy import URL


def other_database(url: URL, ours: URL) -> str | None:
    """The database of ``url`` if it is not that of ``ours``, judging by their names alone.

    A relative SQLite file is the usual case: Flask-SQLAlchemy looks for it in its instance folder, others in the
    working directory. Hosts and ports are not compared, because poolers and aliases have their own.
    """
    theirs, expected = _name(url), _name(ours)
    return theirs if theirs and expected and theirs != expected else None


def _name(url: URL) -> str | None:
    if not url.database or url.get_backend_name() != "sqlite":
        return url.database
    is_plain = url.database != ":memory:" and not url.database.startswith("file:")
    return str(Path(url.database).resolve()) if is_plain else None
