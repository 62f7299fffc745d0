"""What one process works with: a handler's application and the relay are wired from the same three parts."""

from dataclasses import dataclass

from api.database import Database
from api.grip import Publisher
from api.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one process."""

    settings: Settings
    database: Database
    publisher: Publisher


def wire(settings: Settings) -> Services:
    """Put the parts together; nothing connects before it is used."""
    return Services(settings, Database(settings.database_url, settings.database_timeout), Publisher(settings))
