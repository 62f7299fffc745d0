"""Shirase: real-time notifications over Server-Sent Events, held open by Pushpin and answered by short-lived handlers.

The public names are imported on first use, so a producer that needs ``Client`` loads neither Flask nor SQLAlchemy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shirase.client.async_client import AsyncClient
    from shirase.client.client import Client, ClientError
    from shirase.errors import Invalid, SettingsError, ShiraseError
    from shirase.flask.app import create_app, create_blueprint
    from shirase.settings import Settings
    from shirase.sqlalchemy import Notifier, announce, broadcast, notify, notify_many, retract

__version__ = "0.1.0"
__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "Invalid",
    "Notifier",
    "Settings",
    "SettingsError",
    "ShiraseError",
    "__version__",
    "announce",
    "broadcast",
    "create_app",
    "create_blueprint",
    "notify",
    "notify_many",
    "retract",
]

_MODULES = {
    "shirase.client.async_client": ("AsyncClient",),
    "shirase.client.client": ("Client", "ClientError"),
    "shirase.errors": ("Invalid", "SettingsError", "ShiraseError"),
    "shirase.flask.app": ("create_app", "create_blueprint"),
    "shirase.settings": ("Settings",),
    "shirase.sqlalchemy": ("Notifier", "announce", "broadcast", "notify", "notify_many", "retract"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name from its module (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'shirase' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names, whether or not they have been imported."""
    return sorted(__all__)
