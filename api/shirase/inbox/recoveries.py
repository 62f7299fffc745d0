"""Recoveries of many streams at once.

The proxy reads every stream again a second after it opened (docs/pushpin.md, "The second request of every connect").
Nearly none has missed anything, and one query answers all of those.
"""

from collections.abc import Collection
from datetime import UTC, datetime

from shirase import metrics
from shirase.inbox.connections import TOUCHED
from shirase.inbox.streams import NEXT_PATH
from shirase.proxy import grip
from shirase.settings import Settings
from shirase.store import connections
from shirase.store.database import Database


def holds(
    database: Database, settings: Settings, lasts: Collection[grip.Last], *, next_path: str = NEXT_PATH
) -> dict[grip.Last, grip.Instructions]:
    """The new holds of those streams that may continue and have missed nothing; the others recover one by one."""
    still = unchanged(database, lasts)
    metrics.RECOVERIES.inc(len(still))
    return {
        last: grip.hold_stream(
            last.user_id,
            last.connection_id,
            last.event,
            next_path=next_path,
            keepalive=settings.sse_keepalive_timeout,
            again=settings.sse_resync_interval,
        )
        for last in still
    }


def unchanged(database: Database, lasts: Collection[grip.Last]) -> Collection[grip.Last]:
    """Those of these streams that may continue and have missed nothing."""
    now = datetime.now(UTC)
    with database.autocommit() as db:
        heads = connections.heads(db, [last.connection_id for last in lasts], now - TOUCHED, now)
    return [last for last in lasts if heads.get(last.connection_id) == (last.user_id, last.event)]
