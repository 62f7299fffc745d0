"""The common replace in one PostgreSQL statement.

The present notifications are read without a lock, and the statement checks that none has changed since. If one has,
the statement fails as a whole, and the caller falls back to ``keyed.put``, which locks.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import orjson
from psycopg.errors import DivisionByZero
from sqlalchemy import Connection, TextClause, text
from sqlalchemy.exc import DBAPIError

from shirase.fields import FIELDS, rfc3339
from shirase.store import keyed, present
from shirase.store.advance import IMPATIENCE, new_tag
from shirase.store.append import content_row
from shirase.store.keyed import Update
from shirase.store.sql import document
from shirase.types import UPDATED, Draft, Event, EventId, Notification, Stored

_FIELDS = ", ".join(f"{name} {'timestamptz' if field.kind == 'time' else 'text'}" for name, field in FIELDS.items())
_SET = ", ".join(f"{name} = new.{name}" for name in FIELDS)


def replace_at_once(db: Connection, drafts: Sequence[Draft], now: datetime) -> list[Stored] | None:
    """Replace the present notifications of these keys; ``None``, and nothing is changed, if one needs ``keyed.put``.

    It does if it is new, muted, has expired, stays the same, changes the unread count, came from an announcement, if a
    user has several, or if a type has a policy.
    """
    if db.dialect.name == "sqlite" or len({draft.user_id for draft in drafts}) < len(drafts):
        return None
    if not all(draft.content.key for draft in drafts):
        return None
    result, seen, muted, planned = present.find(db, drafts, now)
    if muted or planned:
        return None
    updates = [
        keyed.updated(draft, item, now) if (item := result.get(present.user_key(draft))) else None for draft in drafts
    ]
    usual = [item for item in updates if item and _is_usual(item, now)]
    if len(usual) < len(drafts):
        return None
    tag = new_tag()
    parameters = {"new": document(_row(item, seen[item.after.user_id]) for item in usual), "tag": tag, "now": now}
    try:
        rows = {
            row.user_id: row
            for row in db.execute(_statement(), {**parameters, "expected": len(usual), "patient": len(usual) == 1})
        }
    except DBAPIError as exc:
        if isinstance(exc.orig, DivisionByZero):
            return None
        raise
    return [_stored(item.after, rows[item.after.user_id], seen[item.after.user_id], tag, now) for item in usual]


def _is_usual(update: Update, now: datetime) -> bool:
    expires_at = update.before.content.expires_at
    counted_before, _ = keyed.counts(update.before, 0)
    counted_after, _ = keyed.counts(update.after, 0)
    is_alive = expires_at is None or expires_at > now
    return counted_before == counted_after and is_alive and update.before.announcement_id is None


def _row(update: Update, seen: int) -> dict[str, Any]:
    before, after = update.before, update.after
    counted, was_unseen = keyed.counts(before, seen)
    unseen = (counted if update.rises else was_unseen) - was_unseen
    state = keyed.state(after, is_seen=after.read_at is not None or (not update.rises and before.position <= seen))
    return {
        "user_id": before.user_id,
        "id": before.id,
        "old_revision": before.revision,
        "old_read_at": rfc3339(before.read_at) if before.read_at else None,
        "old_archived_at": rfc3339(before.archived_at) if before.archived_at else None,
        "old_position": before.position,
        "rises": update.rises,
        "seen": seen,
        "unseen": unseen,
        "state": orjson.dumps(state).decode()[:-1],
        "revision": after.revision,
        "count": after.count,
        "actors": after.actors,
        "read_at": rfc3339(after.read_at) if after.read_at else None,
        "archived_at": rfc3339(after.archived_at) if after.archived_at else None,
        **content_row(after.content),
    }


def _stored(after: Notification, row: Any, seen: int, tag: str, now: datetime) -> Stored:
    is_seen = after.read_at is not None or row.position <= seen
    notification = after._replace(position=row.position, is_seen=is_seen)
    own, previous = EventId(row.seq, tag), EventId(row.seq - 1, row.previous_tag)
    event = Event(after.user_id, own, previous, UPDATED, row.unread, now, row.data, notification, row.unseen)
    return Stored(notification, (event,), is_new=False)


@cache
def _statement() -> TextClause:
    return text(f"""
        WITH new AS MATERIALIZED (
            SELECT * FROM json_to_recordset(CAST(:new AS json)) AS r (
                user_id varchar, id bigint, old_revision int, old_read_at timestamptz, old_archived_at timestamptz,
                old_position bigint, rises boolean, seen bigint, unseen int, state text, revision int, count int,
                actors text, read_at timestamptz, archived_at timestamptz, {_FIELDS}
            )
        ), locked AS MATERIALIZED (
            SELECT s.user_id, s.seen FROM shirase_streams s
            WHERE s.user_id IN (SELECT user_id FROM new)
                AND (SELECT :patient OR set_config('lock_timeout', '{IMPATIENCE}', true) IS NOT NULL)
            ORDER BY s.user_id FOR UPDATE
        ), ended AS (
            UPDATE shirase_streams s
            SET head = s.head + 1, unseen = s.unseen + new.unseen, tag = :tag, previous_tag = s.tag
            FROM locked JOIN new ON new.user_id = locked.user_id AND new.seen = locked.seen
            WHERE s.user_id = locked.user_id
            RETURNING s.user_id, s.head, s.unread, s.unseen, s.seen, s.previous_tag
        ), written AS (
            UPDATE shirase_notifications n
            SET {_SET}, revision = new.revision, count = new.count, actors = new.actors, read_at = new.read_at,
                read_by = CASE WHEN new.read_at IS NULL THEN NULL ELSE n.read_by END,
                archived_at = new.archived_at, updated_at = :now,
                position = CASE WHEN new.rises THEN nextval('shirase_notifications_id_seq') ELSE n.position END
            FROM new JOIN ended ON ended.user_id = new.user_id
            WHERE n.id = new.id AND n.revision = new.old_revision AND n.position = new.old_position
                AND n.read_at IS NOT DISTINCT FROM new.old_read_at
                AND n.archived_at IS NOT DISTINCT FROM new.old_archived_at
            RETURNING n.id, n.user_id, n.position
        ), entries AS (
            INSERT INTO shirase_events
                (user_id, seq, kind, notification_id, data, unread, unseen, tag, previous_tag, created_at)
            SELECT ended.user_id, ended.head, '{UPDATED}', written.id,
                new.state || ',"unread_count":' || (ended.unread - hidden.unread)
                    || ',"unseen_count":' || (ended.unseen - hidden.unseen) || '}}',
                ended.unread, ended.unseen, :tag, ended.previous_tag, :now
            FROM written JOIN ended ON ended.user_id = written.user_id JOIN new ON new.user_id = written.user_id,
                LATERAL (
                    SELECT count(*) AS unread, count(*) FILTER (WHERE h.position > ended.seen) AS unseen
                    FROM shirase_notifications h
                    WHERE h.user_id = ended.user_id AND h.read_at IS NULL AND h.archived_at IS NULL
                        AND h.expires_at <= :now
                ) AS hidden
            RETURNING user_id, seq, data, unread, unseen, previous_tag
        )
        SELECT 1 / CASE WHEN (SELECT count(*) FROM entries) = :expected THEN 1 ELSE 0 END AS complete,
            entries.*, written.position
        FROM (SELECT 1) AS one LEFT JOIN entries ON true LEFT JOIN written ON written.user_id = entries.user_id
    """)  # noqa: S608 - made of declared names only
