"""The nodes that an event is posted to: those that hold its user's streams (``store/audience.py``)."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from shirase.errors import DatabaseUnavailable
from shirase.proxy.publisher import Publisher
from shirase.store import audience
from shirase.store.database import Database


def of(database: Database, publisher: Publisher, user_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
    """The nodes that hold streams of each user, whose events must be committed; all nodes where that is unknown."""
    everywhere = frozenset(publisher.nodes)
    if (len(everywhere) > 1 or publisher.may_change) and publisher.has_shared_names:
        try:
            with database.autocommit() as db:
                result = audience.read(db, user_ids, datetime.now(UTC))
            return {user_id: result.nodes(user_id, everywhere, publisher.knows) for user_id in user_ids}
        except DatabaseUnavailable:
            pass
    return dict.fromkeys(user_ids, everywhere)
