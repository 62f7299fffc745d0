"""How the log is written: lines for people, or JSON for machines."""

import logging

from pythonjsonlogger.json import JsonFormatter

from api.settings import Settings

FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s"


def configure(settings: Settings) -> None:
    """Send the log to standard error, as the settings say."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter(FIELDS) if settings.log_format == "json" else logging.Formatter(FIELDS))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
