"""Compares every device's events with the database's log."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import select

from shirase.store.database import Database
from shirase.store.tables import EventRow, NotificationRow
from tests.support.browser_like import Device, Received

COUNTING = ("connected", "read", "deleted", "updated", "unread", "archived", "unarchived")
KINDS_OF_LOSS = ("lost", "doubled", "out of order", "disagree", "reset")


@dataclass(frozen=True)
class Row:
    """An entry of a user's log."""

    seq: int
    kind: str
    notification_id: int | None
    created_at: datetime
    published_at: datetime | None
    silent: bool  # its notification was deleted since, so it need not be delivered any more


@dataclass(frozen=True)
class Wrong:
    """A difference between a device and the log."""

    what: str
    user: str
    device: int
    seq: int | None
    note: str = ""


@dataclass
class Verdict:
    """The counts and the differences."""

    events: int = 0
    deliveries: int = 0
    latencies: list[float] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)

    def count(self) -> dict[str, int]:
        """Count the differences of each kind."""
        result = Counter(item.what for item in self.wrong)
        return {what: result[what] for what in KINDS_OF_LOSS}


def read_log(database: Database) -> dict[str, list[Row]]:
    """Read all logs."""
    columns = (
        EventRow.user_id,
        EventRow.seq,
        EventRow.kind,
        EventRow.notification_id,
        EventRow.created_at,
        EventRow.published_at,
        EventRow.data,
    )
    rows = (
        select(*columns, NotificationRow.revision)
        .join(NotificationRow, NotificationRow.id == EventRow.notification_id, isouter=True)
        .order_by(EventRow.user_id, EventRow.seq)
    )
    logs: dict[str, list[Row]] = {}
    with database.autocommit() as db:
        for user, seq, kind, number, created, published, data, newest in db.execute(rows):
            silent = kind in ("notification", "updated") and newest is None
            if kind == "updated" and newest is not None:  # one that is updated again need not be sent
                silent = json.loads(data or "{}")["revision"] < newest
            logs.setdefault(user, []).append(Row(seq, kind, number, created, published, silent))
    return logs


def judge(logs: dict[str, list[Row]], devices: dict[str, list[Device]]) -> Verdict:
    """Compare each device's events with its user's log, and the devices of a user with each other."""
    verdict = Verdict()
    for user, of_user in devices.items():
        rows = logs.get(user, [])
        verdict.events += len(rows)
        if [row.seq for row in rows] != list(range(1, len(rows) + 1)):
            verdict.wrong.append(Wrong("out of order", user, -1, None, "the log itself has gaps"))
        body: dict[tuple[int, int], set[str]] = {}  # by seq and revision: a replay shows the newest
        for number, device in enumerate(of_user):
            verdict.wrong += (Wrong(what, user, number, seq, note) for what, seq, note in _wrongs(rows, device))
            _measure(verdict, rows, device)
            for event in device.log:
                if event.seq is not None:
                    revision = event.json.get("revision", 0)
                    body.setdefault((event.seq, revision), set()).add(f"{event.event} {event.data}")
        verdict.wrong += (Wrong("disagree", user, -1, seq) for (seq, _), texts in body.items() if len(texts) > 1)
    return verdict


def _wrongs(rows: list[Row], device: Device) -> Iterator[tuple[str, int | None, str]]:
    got = [(item.seq, item.event) for item in device.log if item.event != "reset" and item.seq is not None]
    for seq, times in Counter(seq for seq, _ in got).items():
        if times > 1:
            yield "doubled", seq, f"{times} times"
    for (before, _), (after, _) in pairwise(got):
        if after < before:
            yield "out of order", after, f"after {before}"
    yield from (("lost", row.seq, row.kind) for row in _missing(rows, device))
    yield from (("reset", item.seq, item.data) for item in device.named("reset"))
    kinds = {row.seq: row.kind for row in rows}
    for seq, event in got:
        if kinds.get(seq) != event:
            yield "disagree", seq, f"the log has {kinds.get(seq)}, the device {event}"


def _measure(verdict: Verdict, rows: list[Row], device: Device) -> None:
    created = {row.seq: row.created_at.timestamp() for row in rows}
    verdict.deliveries += len(device.log)
    verdict.latencies += [event.at - created[event.seq] for event in device.log if event.seq in created]


def _missing(rows: list[Row], device: Device) -> Iterator[Row]:
    """Find entries committed after the device's stream began, still deliverable, that did not reach it."""
    seen = {event.seq for event in device.log}
    begin = next((event.seq for event in device.received if event.seq is not None), len(rows))
    return (row for row in rows if row.seq > begin and row.seq not in seen and not row.silent)


def is_complete(rows: list[Row], device: Device) -> bool:
    """Whether the device has received everything."""
    return bool(device.received) and not any(True for _ in _missing(rows, device))


def incomplete(logs: dict[str, list[Row]], devices: dict[str, list[Device]]) -> str:
    """Describe what each device lacks, when that was written and published, and the device's last events."""
    lines = []
    for user, of_user in devices.items():
        rows = logs.get(user, [])
        for number, device in enumerate(of_user):
            if is_complete(rows, device):
                continue
            lines.append(f"  device {number} of {user!r}, head {len(rows)}: {device!r}")
            lines += [f"    {_shown(event)}" for event in device.received[-3:]]
            lines += [
                f"    lacks {row.seq}: {row.kind}, created {row.created_at:%H:%M:%S.%f}, published {row.published_at}"
                for row in list(_missing(rows, device))[:3]
            ]
    return "\n".join(lines)


def inbox_of(device: Device) -> dict[int, tuple[bool, int]]:
    """Compute the list that a page would show: notification ids, whether each is read, and its revision."""
    inbox: dict[int, dict[str, Any]] = {}
    for event in device.log:
        content: Any = event.json
        if event.event in ("notification", "updated"):
            inbox[content["id"]] = dict(content)
            continue
        ids = content.get("ids", [])
        for number in list(inbox) if ids == "all" else ids:
            if event.event == "deleted":
                inbox.pop(number, None)
            elif number in inbox and event.event in ("read", "unread"):
                inbox[number]["is_read"] = event.event == "read"
            elif number in inbox:
                inbox[number]["archived_at"] = content.get("archived_at")
    return {
        number: (shown["is_read"], shown["revision"]) for number, shown in inbox.items() if not shown["archived_at"]
    }


def last_count(device: Device) -> int:
    """Compute the badge that a page would show."""
    count = 0
    for event in device.received:
        if event.event == "notification":
            count += 1
        elif event.event in COUNTING:
            count = event.json.get("unread_count", count)
    return count


def first_edition_count(device: Device) -> int:
    """Compute the badge of a page that ignores the events that came later."""
    count = 0
    for event in device.received:
        if event.event == "notification":
            count += 1
        elif event.event in ("connected", "read", "deleted"):
            count = event.json["unread_count"]
    return count


def trace(wrong: Wrong, logs: dict[str, list[Row]], devices: dict[str, list[Device]], around: int = 4) -> str:
    """Describe a difference: the log around it, its publish state, and what each device received."""
    seq = wrong.seq or 0
    lines = [f"{wrong.what}: user {wrong.user!r}, device {wrong.device}, seq {wrong.seq} {wrong.note}"]
    lines += [
        f"  log {row.seq}: {row.kind} of {row.notification_id}, created {row.created_at}, published {row.published_at}"
        for row in logs.get(wrong.user, [])
        if abs(row.seq - seq) <= around
    ]
    for number, device in enumerate(devices[wrong.user]):
        lines.append(f"  device {number}: {device!r}")
        near = [event for event in device.received if event.seq is not None and abs(event.seq - seq) <= around]
        lines += [f"    {_shown(event)}" for event in near]
    return "\n".join(lines)


def _shown(event: Received) -> str:
    moment = datetime.fromtimestamp(event.at).astimezone()
    return f"{moment:%H:%M:%S.%f} connection {event.connection}: {event.event} {event.seq}"
