"""Shirase inside a Django site: an application with the stream, the inbox and ``notify``. See docs/django.md."""

from shirase.django.producing import broadcast, notify, notify_many

__all__ = ["broadcast", "notify", "notify_many"]
