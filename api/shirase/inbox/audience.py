"""The nodes that an event is posted to: those that hold its user's streams (``store/audience.py``)."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from shirase.errors import DatabaseUnavailable
from shirase.proxy.publisher import Publisher
from shirase.store import audience
from shirase.store.database import Database

MANY = 20  # users, from which on the query costs less than to post what none of them receives


def of(database: Database, publisher: Publisher, user_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
    """The nodes that hold streams of each user, whose events must be committed; all nodes where that is unknown.

    A single node gets the events of a few users without a query.
    """
    everywhere = frozenset(publisher.nodes)
    depends = len(everywhere) > 1 or publisher.may_change or len(user_ids) >= MANY
    if depends and publisher.has_shared_names:
        try:
            with database.autocommit() as db:
                result = audience.read(db, user_ids, datetime.now(UTC))
            return result.nodes(user_ids, everywhere, publisher.knows)
        except DatabaseUnavailable:
            pass
    return dict.fromkeys(user_ids, everywhere)
