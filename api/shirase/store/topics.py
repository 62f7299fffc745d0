"""Topics: which users have which, by membership and by the claims of tokens.

A row is changed under its user's lock, because it decides which announcements the user takes over.
"""

import hashlib
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Executable,
    String,
    bindparam,
    case,
    false,
    func,
    literal,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy import delete as delete_from
from sqlalchemy.dialects import postgresql, sqlite

from shirase.store import announcements, keyed, tables
from shirase.store.advance import LATEST, streams
from shirase.store.sql import among, document, rows
from shirase.store.tables import UserId
from shirase.types import LARGEST_ID

members = tables.Base.metadata.tables["shirase_topic_members"]

_HAS_IT = or_(members.c.member, members.c.claimed)
_OWN_MARK = select(streams.c.announced).where(streams.c.user_id == members.c.user_id).scalar_subquery()
# The last announcement that the user considered before leaving: the row's own mark if it has one, else the user's.
_FINAL_MARK = func.coalesce(members.c.mark, _OWN_MARK)


def digest(topics: Collection[str] | None) -> str | None:
    """A digest of the topics in a token, to detect a change; ``None`` if the token has no such claim."""
    if topics is None:
        return None
    joined = "\n".join(sorted(topics))
    return hashlib.blake2b(joined.encode(), digest_size=8).hexdigest() if joined else ""


def change(db: Connection, topic: str, add: Collection[str], remove: Collection[str]) -> tuple[int, int]:
    """Change a topic's members; returns how many were added and removed. Added users get later announcements."""
    keyed.lock(db, sorted({*add, *remove}))
    added = _add(db, topic, add) if add else []
    if added:
        _note_change(db, added)
        announcements.spread_again(db, topic)
    return len(added), len(_remove(db, topic, remove)) if remove else 0


def claim(db: Connection, user_id: str, topics: Collection[str]) -> None:
    """Record the topics in a user's token. The user's log must be locked.

    When the user got them is unknown, so the user gets all announcements since the user's first appearance.
    """
    own = members.c.user_id == user_id
    left = update(members).where(own, members.c.claimed, ~among(db.dialect.name, members.c.topic, topics))
    db.execute(left.values(claimed=False, mark=case((members.c.member, members.c.mark), else_=_FINAL_MARK)))
    if topics:
        parameters = document({"topic": topic} for topic in sorted(topics))
        db.execute(_claim(db.dialect.name), {"topics": parameters, "user_id": user_id})
    changed = {"claimed": digest(topics), "topics_changed": True}
    db.execute(update(streams).where(streams.c.user_id == user_id).values(**changed))


def page(db: Connection, topic: str, limit: int, after: str = "") -> list[str]:
    """A topic's members after ``after``, in the order of their ids, without users who have it by a token's claim."""
    query = select(members.c.user_id).where(members.c.topic == topic, members.c.member, members.c.user_id > after)
    return list(db.scalars(query.order_by(members.c.user_id).limit(limit)))


def delete(db: Connection, topic: str, user_ids: Sequence[str]) -> None:
    """Remove members whose topic is deleted as a whole."""
    keyed.lock(db, user_ids)
    these = (members.c.topic == topic) & among(db.dialect.name, members.c.user_id, user_ids)
    db.execute(delete_from(members).where(these, ~members.c.claimed))
    db.execute(update(members).where(these).values(member=False))


def _note_change(db: Connection, user_ids: Collection[str]) -> None:
    these = among(db.dialect.name, streams.c.user_id, user_ids)
    db.execute(update(streams).where(these).values(topics_changed=True))


def _add(db: Connection, topic: str, user_ids: Collection[str]) -> list[str]:
    parameters = {"adding": document({"user_id": user_id} for user_id in sorted(user_ids)), "topic": topic}
    return list(db.scalars(_adding(db.dialect.name), parameters))


def _remove(db: Connection, topic: str, user_ids: Collection[str]) -> list[str]:
    these = among(db.dialect.name, members.c.user_id, user_ids)
    leaving = update(members).where(members.c.topic == topic, these, members.c.member)
    mark = case((members.c.claimed, members.c.mark), else_=_FINAL_MARK)
    return list(db.scalars(leaving.values(member=False, mark=mark).returning(members.c.user_id)))


_COLUMNS = ["topic", "user_id", "member", "claimed", "joined", "mark"]


@cache
def _adding(dialect: str) -> Executable:
    new = rows(dialect, "adding", {"user_id": UserId})
    topic = bindparam("topic", type_=String())
    source = select(topic, new.c.user_id, true(), false(), LATEST, literal(0, BigInteger())).where(true())
    adding = _module(dialect).insert(members).from_select(_COLUMNS, source.order_by(new.c.user_id))
    # A user with the claim has had the topic since the claim.
    joined = case((members.c.claimed, members.c.joined), else_=adding.excluded.joined)
    statement: Executable = adding.on_conflict_do_update(
        index_elements=["topic", "user_id"], set_={"member": true(), "joined": joined}, where=~members.c.member
    ).returning(members.c.user_id)
    return statement


@cache
def _claim(dialect: str) -> Executable:
    new = rows(dialect, "topics", {"topic": String()})
    user_id = bindparam("user_id", type_=UserId)
    appeared = select(streams.c.appeared).where(streams.c.user_id == user_id).scalar_subquery()
    source = select(new.c.topic, user_id, false(), true(), appeared, literal(0, BigInteger())).where(true())
    claiming = _module(dialect).insert(members).from_select(_COLUMNS, source)
    statement: Executable = claiming.on_conflict_do_update(
        index_elements=["topic", "user_id"],
        set_={"claimed": true(), "joined": claiming.excluded.joined},
        where=~members.c.claimed,
    )
    return statement


def _module(dialect: str) -> Any:
    return sqlite if dialect == "sqlite" else postgresql


# The last announcement before joining, and the last that was considered if it is not the user's mark.
Membership = tuple[int, int | None]


def of_users(db: Connection, user_ids: Collection[str], topics: Collection[str]) -> dict[tuple[str, str], Membership]:
    """The memberships of these users in these topics, by (user, topic)."""
    if not topics:
        return {}
    these = among(db.dialect.name, members.c.user_id, user_ids), among(db.dialect.name, members.c.topic, topics)
    query = select(members.c.user_id, members.c.topic, members.c.joined, members.c.mark).where(*these, _HAS_IT)
    return {(row.user_id, row.topic): (row.joined, row.mark) for row in db.execute(query)}


def lowest_mark(db: Connection, user_ids: Collection[str]) -> int:
    """The lowest announcement up to which recently joined topics of these users were considered."""
    these = among(db.dialect.name, members.c.user_id, user_ids)
    lowest = db.execute(select(func.min(members.c.mark)).where(these, _HAS_IT)).scalar_one()
    return LARGEST_ID if lowest is None else lowest


def advance_marks(db: Connection, user_ids: Collection[str], upto: int, *, complete: bool) -> None:
    """Record that these users have considered every announcement up to this one, for recently joined topics.

    Once that is complete, the users' own marks apply to these topics too.
    """
    these = among(db.dialect.name, members.c.user_id, user_ids)
    lately = update(members).where(these, members.c.mark.is_not(None), _HAS_IT)
    further = case((members.c.mark > upto, members.c.mark), else_=literal(upto, BigInteger()))
    db.execute(lately.values(mark=null() if complete else further))
