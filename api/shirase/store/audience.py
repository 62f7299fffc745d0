"""Which nodes hold a user's streams, so that an event is posted only to these.

Nothing is lost, because of the order of steps on both sides:

- A connect enters its row with its node, commits, and then reads the position of the log.
- A create appends its event, commits, and then reads the rows.

If the create commits before the connect reads, the response has the event. Else the row was committed before the
create's commit, so the create finds the row and posts to the node. A process that enters a lost row again, or one
that was marked as gone, reads the log after that commit too.

Rows can also be wrong without a connect: lost, or marked as gone although the node still holds the stream. So

- a row that is marked as gone still counts for ``RECENT``, and a stream that is announced again later is read again;
- a node counts as holding streams of every user unless it has a mark: a relay has found a row for each connection that
  the node announces, and has confirmed that in the last seconds. The mark is a row of the same table, so whatever loses
  the rows, such as a restored backup, loses the mark too;
- a row without a node counts for every node.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, Executable, bindparam, delete, or_, select, union_all, update
from sqlalchemy.dialects import postgresql, sqlite

from shirase.store import tables
from shirase.store.connections import conflict
from shirase.store.sql import among_listed, listed
from shirase.store.tables import Moment

connections = tables.Base.metadata.tables["shirase_connections"]

RECENT = timedelta(seconds=10)  # for which a row counts after it was marked as gone
LASTS = timedelta(seconds=3)  # for which a mark lasts after a relay has confirmed it
NOBODY = ""  # the user of marks, since every user's id has a character
MARK = "mark"  # the reason of marks, where ended connections have theirs


@dataclass(frozen=True, slots=True)
class Audience:
    """The nodes that hold streams, of some users."""

    of_user: Mapping[str, frozenset[str | None]]  # ``None`` among them: any node may
    marked: frozenset[str]

    def nodes(
        self, user_ids: Iterable[str], everywhere: frozenset[str], is_known: Callable[[str], bool]
    ) -> dict[str, frozenset[str]]:
        """The nodes that each user's events must be posted to, of those ``everywhere`` and those in the rows."""
        result = dict.fromkeys(user_ids, everywhere - self.marked)
        return result | {user_id: self._nodes(own, everywhere, is_known) for user_id, own in self.of_user.items()}

    def _nodes(
        self, own: frozenset[str | None], everywhere: frozenset[str], is_known: Callable[[str], bool]
    ) -> frozenset[str]:
        named = frozenset(node for node in own if node)
        if None in own or not all(map(is_known, named - everywhere)):
            return everywhere | named
        return named | (everywhere - self.marked)


def read(db: Connection, user_ids: Collection[str], now: datetime) -> Audience:
    """The nodes that hold streams of these users. The events to post must be committed."""
    parameters = {"users": listed(db.dialect.name, user_ids), "now": now, "recent": now - RECENT}
    of_user: dict[str, set[str | None]] = {}
    for user_id, node in db.execute(_read(db.dialect.name), parameters):
        of_user.setdefault(user_id, set()).add(node)
    marked = frozenset(node for node in of_user.pop(NOBODY, ()) if node)
    return Audience({user_id: frozenset(nodes) for user_id, nodes in of_user.items()}, marked)


@cache
def _read(dialect: str) -> Executable:
    ended_at = connections.c.ended_at
    recent, now = bindparam("recent", type_=Moment()), bindparam("now", type_=Moment())
    of_users = among_listed(dialect, connections.c.user_id, "users")
    query = select(connections.c.user_id, connections.c.node)
    return union_all(
        query.where(of_users, or_(ended_at.is_(None), ended_at > recent)),
        query.where(connections.c.user_id == NOBODY, ended_at > now),
    )


def mark(db: Connection, node: str, now: datetime) -> None:
    """Mark a node: each connection that it announces has a row."""
    dialect = db.dialect.name
    values = {"user_id": NOBODY, "node": node, "opened_at": now, "last_seen": now, "user_agent": "", "address": ""}
    values |= {"ended_at": now + LASTS, "closing_sent_at": now, "reason": MARK}  # ended, so that nothing counts it
    marking = (sqlite if dialect == "sqlite" else postgresql).insert(connections)
    marking = marking.values(connection_id=_mark_of(node), **values)
    db.execute(marking.on_conflict_do_update(**conflict(dialect), set_={"ended_at": now + LASTS}))


def confirm(db: Connection, node: str, now: datetime) -> bool:
    """Extend a node's mark; return whether there was one."""
    confirming = update(connections).where(connections.c.connection_id == _mark_of(node))
    return cast(CursorResult[Any], db.execute(confirming.values(ended_at=now + LASTS))).rowcount > 0


def unmark(db: Connection, node: str) -> None:
    """Remove a node's mark."""
    db.execute(delete(connections).where(connections.c.connection_id == _mark_of(node)))


def _mark_of(node: str) -> str:
    return f"node-{hashlib.blake2b(node.encode(), digest_size=16).hexdigest()}"
