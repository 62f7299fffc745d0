"""Users: the erasure of everything that is stored about one, and its export."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from shirase.fields import rfc3339
from shirase.inbox import connections
from shirase.proxy.publisher import Publisher
from shirase.store import erasure, export
from shirase.store.connections import end_of_user, lock_of
from shirase.store.database import Database

STEP = 1000  # rows removed in one transaction
PAGE = 500  # rows of an export that are read at a time
LONGEST = 5.0  # seconds that a request erases for; the relay continues


def erase(database: Database, publisher: Publisher, user_id: str) -> bool:
    """End a user's streams and remove all their rows; return whether that is complete.

    The relay continues after ``LONGEST`` seconds, or if this process dies. A log that begins
    afterwards shares no event with the erased one, so old cursors are reset.
    """
    with database.transaction() as db:
        erasure.request(db, user_id, datetime.now(UTC))
    until = time.monotonic() + LONGEST
    return all(time.monotonic() <= until for _ in steps(database, publisher, user_id))


def steps(database: Database, publisher: Publisher, user_id: str) -> Iterator[None]:
    """Erase a user, one transaction at a time. After an interruption, a new call does the rest."""
    connections.revoke(database, publisher, user_id)
    yield
    for table, owned in erasure.removed_in_steps():
        removed = STEP
        while removed:
            with database.transaction() as db:
                removed = erasure.remove(db, table, owned, user_id, STEP)
            yield
    after: erasure.Key | None = ("", "")
    while after is not None:
        with database.transaction() as db:
            after = erasure.remove_answers(db, user_id, after, STEP)
        yield
    with database.transaction(lock=lock_of(user_id)) as db:
        ended = end_of_user(db, user_id, connections.REVOKED, datetime.now(UTC))
        erasure.remove_all(db, user_id)
    connections.publish_closings(database, publisher, ended)


def export_lines(database: Database, user_id: str) -> Iterator[bytes]:
    """Everything stored about a user, as lines of JSON: the user and the time, the rows, and their number.

    Each page is read by itself, so a row that changes meanwhile may be missing or appear as it was before.
    """
    yield _line({"user_id": user_id, "exported_at": rfc3339(datetime.now(UTC))})
    count = 0
    for table, owned, column in export.tables_of_users():
        name = table.name.removeprefix("shirase_")
        after: tuple[Any, ...] | None = None
        while True:
            with database.autocommit() as db:
                rows, after = export.page(db, table, owned, column, user_id, after, PAGE)
            count += len(rows)
            if rows:
                yield b"".join(_line({"table": name, **row}) for row in rows)
            if after is None:
                break
    yield _line({"end": True, "rows": count})


def _line(value: dict[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
