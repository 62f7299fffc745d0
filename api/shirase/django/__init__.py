"""Shirase inside a Django site: an application with the stream, the inbox and ``notify``. See docs/django.md."""

from shirase.django.producing import announce, broadcast, notify, notify_many, retract

__all__ = ["announce", "broadcast", "notify", "notify_many", "retract"]
