"""Shirase inside a Django site: an application with the stream, the inbox and ``notify``. See docs/django.md."""

from shirase.django.producing import announce, broadcast, notify, notify_many, retract
from shirase.django.users import erase, export

__all__ = ["announce", "broadcast", "erase", "export", "notify", "notify_many", "retract"]
