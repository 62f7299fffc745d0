"""Notifications in a host's SQLAlchemy transaction: they exist if and only if the host's change is committed."""

from shirase.sqlalchemy.notifier import Notifier, announce, broadcast, notify, notify_many, retract

__all__ = ["Notifier", "announce", "broadcast", "notify", "notify_many", "retract"]
