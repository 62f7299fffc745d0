"""Storing notifications that another system has sent, with their times. Repeating an import changes nothing.

A transaction writes each table with one statement, and no row twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, func, insert, select

from shirase.fields import FIELDS, rfc3339
from shirase.store import keyed, log, tables
from shirase.store.advance import End, advance, new_tag
from shirase.store.append import NEXT_ID
from shirase.store.present import UserKey, find, user_key
from shirase.types import NOTIFICATION, PUBLISH, READ, Draft

events = tables.Base.metadata.tables["shirase_events"]
notifications = tables.Base.metadata.tables["shirase_notifications"]

Times = tuple[datetime, datetime | None]  # created, read
Row = dict[str, Any]


def store(db: Connection, drafts: Sequence[Draft], times: Mapping[UserKey, Times], now: datetime) -> int:
    """Store the drafts whose key the user does not have; returns their number.

    Their events are not published one by one but count as published: an open stream gets them with its next event.

    Args:
        db: a transaction that writes.
        drafts: in order; no two have the same user and key.
        times: by user and key.
        now: the time of the import.
    """
    keyed.lock(db, sorted({draft.user_id for draft in drafts}))
    there = find(db, drafts, now).notifications
    fresh = [draft for draft in drafts if user_key(draft) not in there]
    if not fresh:
        return 0
    numbered: dict[str, list[tuple[Draft, bool]]] = {}  # by user, in order, and whether each was read
    for draft in fresh:
        numbered.setdefault(draft.user_id, []).append((draft, times[user_key(draft)][1] is not None))
    tag = new_tag()
    ends = advance(db, [_step(user_id, own) for user_id, own in numbered.items()], tag)
    hidden = log.hidden(db, list(numbered), now)
    ids = dict(zip(map(user_key, fresh), _ids(db, len(fresh), ends), strict=True))
    rows: list[Row] = []
    entries: list[Row] = []
    for user_id, own in numbered.items():
        first = ends[user_id].head - _step(user_id, own)["events"] + 1
        rows += [_row(draft, ids, seq, times) for seq, (draft, _) in enumerate(own, first)]
        places = [(ids[user_key(draft)], is_read) for draft, is_read in own]
        entries += _entries(user_id, places, ends[user_id], hidden.get(user_id, (0, 0)), tag, now)
    db.execute(insert(notifications), rows)
    db.execute(insert(events), entries)
    return len(fresh)


def _step(user_id: str, own: Sequence[tuple[Draft, bool]]) -> Row:
    unread = sum(not is_read for _, is_read in own)
    return {"user_id": user_id, "events": len(own) + (unread < len(own)), "unread": unread, "unseen": unread}


def _ids(db: Connection, count: int, ends: Mapping[str, End]) -> Iterable[int]:
    if db.dialect.name != "sqlite":
        return sorted(db.scalars(select(NEXT_ID).select_from(func.generate_series(1, count))))
    first = next(iter(ends.values())).last_id + 1
    return range(first, first + count)


def _row(draft: Draft, ids: Mapping[UserKey, int], seq: int, times: Mapping[UserKey, Times]) -> Row:
    owner = user_key(draft)
    created_at, read_at = times[owner]
    return {
        "id": ids[owner],
        "position": ids[owner],
        "user_id": draft.user_id,
        "seq": seq,
        "created_at": created_at,
        "read_at": read_at,
        **{name: draft.content.columns.get(name) for name in FIELDS},
    }


def _entries(
    user_id: str, places: Sequence[tuple[int, bool]], end: End, hidden: tuple[int, int], tag: str, now: datetime
) -> list[Row]:
    """A user's events with the counts as of each: one for each notification, then one ``read`` for those read."""
    read = [number for number, is_read in places if is_read]
    still_unread = len(places) - len(read)
    unread, unseen = end.unread - still_unread, end.unseen - still_unread  # before these events
    happened: list[Row] = [
        {"kind": NOTIFICATION, "notification_id": number, "data": None, "unread": unread + n, "unseen": unseen + n}
        for n, (number, _) in enumerate(places, 1)
    ]
    if read:
        counts = {"unread_count": end.unread - hidden[0], "unseen_count": end.unseen - hidden[1]}
        data = orjson.dumps({"ids": read, "read_at": rfc3339(now)} | counts).decode()
        happened.append(
            {"kind": READ, "notification_id": None, "data": data, "unread": end.unread, "unseen": end.unseen}
        )
    published = {"created_at": now, "published_at": now, "way": PUBLISH, "nodes": "", "attempts": 1, "connections": 0}
    first = end.head - len(happened) + 1
    return [
        {"user_id": user_id, "seq": seq, "tag": tag, "previous_tag": tag if seq > first else end.previous_tag}
        | entry
        | published
        for seq, entry in enumerate(happened, first)
    ]
