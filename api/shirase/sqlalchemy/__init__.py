"""Notifications from a host's own SQLAlchemy transaction: they exist if and only if the host's change does."""

from shirase.sqlalchemy.notifier import Notifier, announce, broadcast, notify, notify_many, retract

__all__ = ["Notifier", "announce", "broadcast", "notify", "notify_many", "retract"]
