"""The ids of a user's events, whose tags are random."""

from datetime import UTC, datetime

from shirase.inbox import cursors
from shirase.store import log
from shirase.store.database import Database
from shirase.types import START, EventId

NOBODYS_TAG = "ffffff"


def event_id(database: Database, user_id: str, seq: int) -> EventId:
    """The id of the event of this number; one of nobody's if there is none."""
    if seq == 0:
        return START
    with database.autocommit() as db:
        result = log.read_events(db, user_id, seq, seq, 1, datetime.now(UTC))
    return result[0].id if result else EventId(seq, NOBODYS_TAG)


def cursor(database: Database, user_id: str, seq: int) -> str:
    """The cursor of the event of this number."""
    return cursors.encode(database.name, user_id, event_id(database, user_id, seq))
