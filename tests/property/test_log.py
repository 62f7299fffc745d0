"""After any sequence of operations, a device that returns with any cursor shows the true state."""

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from shirase.errors import NotFound
from shirase.inbox import announcements, connections, cursors, inbox, notifications, retract, streams
from shirase.proxy import grip
from shirase.proxy.publisher import Publisher
from shirase.relay import repair
from shirase.settings import Settings
from shirase.store import announcements as announcement_store
from shirase.store import keyed, retention
from shirase.store.database import Database
from shirase.types import EVERYONE, START, Draft, EventId
from tests.property.device import Device, Shown
from tests.property.truth import Truth
from tests.support.content import content, made
from tests.support.event_ids import NOBODYS_TAG
from tests.support.event_stream import Dispatched, parse

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
NAMES = ("a", "a,b; c", "é\u2028😀")
PAGE = 3  # events per response, so that most replays need several
FOREIGN = ("", "x", "é", "0123456789-1", "0123456789-", "1", "reset", "\u0660-1")  # cursors of no log

WHO = st.integers(0, len(NAMES) - 1)
KEYS = st.sampled_from(["a", "b/c"])
CHANGES: dict[str, tuple[Any, dict[str, bool]]] = {
    "unread": (inbox.mark_unread, {"unread": True}),
    "archive": (inbox.archive, {"archived": True}),
    "unarchive": (inbox.unarchive, {"archived": False}),
}
PICK = st.integers(0, 2**16)  # an index, modulo the number of items
numbers = itertools.count()

# Failures are reported unshrunk; shrinking takes minutes: add Phase.shrink.
EFFORT = hypothesis_settings(max_examples=12, stateful_step_count=30, phases=[Phase.generate])


class LogMachine(RuleBasedStateMachine):
    """Three users, their expected states, and devices left at various cursors."""

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__()
        self.database, self.settings, self.publisher = database, settings, Publisher(settings)
        example = next(numbers)  # examples share a database: earlier ones must not matter
        self.users = [f"{name} {example}" for name in NAMES]
        self.truths = {user: Truth() for user in self.users}
        self.announced: list[int] = []
        # A device is left at every position at which the log was checked; each misses what follows.
        self.left = {user: [Device(), Device(cursors.encode(database.name, user, START))] for user in self.users}

    # --- operations on notifications

    @initialize(counts=st.lists(st.integers(0, 2 * PAGE + 1), min_size=len(NAMES), max_size=len(NAMES)))
    def begin_with_some(self, counts: list[int]) -> None:
        """Start with some: most defects need a log that is longer than a page."""
        users = [user for user, count in zip(self.users, counts, strict=True) for _ in range(count)]
        if users:
            self.create(users)

    @rule(who=st.lists(WHO, min_size=1, max_size=8))
    def create_batch(self, who: list[int]) -> None:
        self.create([self.users[number] for number in who])

    @rule()
    def broadcast(self) -> None:
        self.create(self.users)

    def create(self, users: list[str]) -> None:
        drafts = [Draft(user, content("a.b", "T", "M")) for user in users]
        body, _ = notifications.create(
            self.database,
            self.publisher,
            drafts,
            answer=lambda stored: json.dumps([made(result).id for result in stored]),
        )
        for user, number in zip(users, json.loads(body), strict=True):
            self.truths[user].create(number)

    @rule(how=st.sampled_from(["list", "connect", "relay"]))
    def announce(self, how: str) -> None:
        """Everyone takes it over, each way; it is deleted again by ``delete_announcement``."""
        for user in self.users if how == "relay" else []:
            self.opened(user, None)
        with self.database.transaction() as db:
            keyed.lock(db, sorted(self.users))
            draft = Draft("", content("a.b", "T", "M"))
            made = announcement_store.add(db, EVERYONE, draft, datetime.now(UTC), for_newcomers=False)
        self.announced.append(made.id)
        if how == "relay":
            announcements.spread(self.database, self.publisher)
        for user in self.users:
            if how == "connect":
                self.opened(user, None)
            announcements.arrive(self.database, self.publisher, user, None)
            [newest] = self.listed(user, pages=1, limit=1)
            self.truths[user].create(newest)
            self.truths[user].announced[newest] = made.id

    @precondition(lambda self: self.announced)
    @rule(pick=PICK)
    def delete_announcement(self, pick: int) -> None:
        number = self.announced.pop(pick % len(self.announced))
        announcements.retract(self.database, self.publisher, number)
        for truth in self.truths.values():
            truth.remove([item for item, its in truth.announced.items() if its == number])

    @rule(who=WHO, picks=st.lists(PICK, min_size=1, max_size=5))
    def mark_read(self, who: int, picks: list[int]) -> None:
        ids = [self.anyones(pick) for pick in picks]  # including other users' ids, which must not change
        truth = self.truths[self.users[who]]
        expected = truth.read(ids), truth.counts[-1]
        assert inbox.mark_read(self.database, self.publisher, self.users[who], ids) == expected

    @rule(who=WHO)
    def mark_all_read(self, who: int) -> None:
        truth = self.truths[self.users[who]]
        expected = truth.read(list(truth.items)), 0
        assert inbox.mark_read(self.database, self.publisher, self.users[who], None) == expected

    @rule(who=WHO, key=KEYS, fold=st.booleans(), quiet=st.booleans())
    def put(self, *, who: int, key: str, fold: bool, quiet: bool) -> None:
        user, truth = self.users[who], self.truths[self.users[who]]
        draft = Draft(user, content(key=key, title=str(next(numbers))), fold=fold, quiet=quiet)
        number, _ = notifications.create(
            self.database, self.publisher, [draft], answer=lambda stored: str(made(stored[0]).id)
        )
        if key in truth.keys:
            assert truth.keys[key] == int(number)
            truth.replace(key, fold=fold, quiet=quiet)
        else:
            truth.create(int(number), key)

    @rule(who=st.one_of(WHO, st.none()), key=KEYS)
    def retract(self, who: int | None, key: str) -> None:
        if who is None:
            # Other examples share the database, and their users have these keys too: take it from one after the other.
            for user in self.users:
                retract.retract_from(self.database, self.publisher, key, user)
        else:
            retract.retract_from(self.database, self.publisher, key, self.users[who])
        for user in self.users if who is None else [self.users[who]]:
            truth = self.truths[user]
            truth.remove([truth.keys[key]] if key in truth.keys else [])

    @rule(who=WHO, picks=st.lists(PICK, min_size=1, max_size=5), what=st.sampled_from(sorted(CHANGES)))
    def change_state(self, who: int, picks: list[int], what: str) -> None:
        ids = [self.anyones(pick) for pick in picks]
        change, target = CHANGES[what]
        truth = self.truths[self.users[who]]
        expected = truth.change(ids, **target), truth.counts[-1]
        assert change(self.database, self.publisher, self.users[who], ids) == expected

    @rule(who=WHO)
    def archive_all(self, who: int) -> None:
        truth = self.truths[self.users[who]]
        expected = truth.change(list(truth.items), archived=True), 0
        assert inbox.archive(self.database, self.publisher, self.users[who], None) == expected

    @rule(who=WHO)
    def see(self, who: int) -> None:
        self.truths[self.users[who]].see()
        inbox.mark_seen(self.database, self.publisher, self.users[who])

    @rule(who=WHO, pick=PICK)
    def delete(self, who: int, pick: int) -> None:
        number = self.anyones(pick)
        if self.truths[self.users[who]].remove([number]):
            inbox.delete(self.database, self.publisher, self.users[who], number)
        else:
            with pytest.raises(NotFound):
                inbox.delete(self.database, self.publisher, self.users[who], number)

    @rule(picks=st.lists(PICK, min_size=1, max_size=5))
    def expire(self, picks: list[int]) -> None:
        ids = {self.anyones(pick) for pick in picks}
        past = "2001-01-01T00:00:00.000000Z"
        with self.database.transaction() as db:
            for number in ids:
                db.execute(
                    text("UPDATE shirase_notifications SET expires_at = :past WHERE id = :id"),
                    {"past": past, "id": number},
                )
        gone = sum(truth.remove(ids) for truth in self.truths.values())
        assert repair.remove_expired(self.database, self.publisher) == gone

    @precondition(lambda self: any(truth.head for truth in self.truths.values()))
    @rule(who=WHO, pick=PICK)
    def prune(self, who: int, pick: int) -> None:
        user, truth = self.users[who], self.truths[self.users[who]]
        upto = pick % (truth.head + 1)
        with self.database.transaction() as db:
            aged = text("UPDATE shirase_events SET created_at = :old WHERE user_id = :user AND seq <= :upto")
            db.execute(aged, {"old": "1999-01-01T00:00:00.000000Z", "user": user, "upto": upto})
            gone = retention.remove_events(db, LONG_AGO + timedelta(days=1), 10_000)
        assert gone == max(0, upto + 1 - truth.kept_from)
        truth.kept_from = max(truth.kept_from, upto + 1)

    # --- devices

    @rule(who=WHO, lost_after=st.integers(0, 12))
    def come_back_and_be_lost_again(self, who: int, lost_after: int) -> None:
        """Return with each cursor and lose the stream after some events; leave a device there."""
        user = self.users[who]
        self.left[user] += [self.come_back(user, device, lost_after) for device in self.left[user][-8:]]

    @rule()
    def come_back_from_everywhere(self) -> None:
        for user in self.users:
            for device in self.left[user]:
                self.check_shown(user, self.come_back(user, device))

    @rule(who=WHO, pick=PICK)
    def poll(self, who: int, pick: int) -> None:
        """Catch up by long polls."""
        user = self.users[who]
        device = self.left[user][pick % len(self.left[user])].copy()
        if device.cursor is None:
            device = Device(None, *self.fetched(user), self.truths[user].counts[-1])
        held: object = None
        while not held:
            answer = streams.poll(self.database, self.settings, user, device.cursor, 20)
            body, held = json.loads(answer.body), answer.headers("GET")
            for item in body["events"]:
                event = Dispatched(item["event"], json.dumps(item["data"]), item["id"])
                device.take(event, lambda: self.fetched(user))
            device.cursor = body["cursor"]
        assert self.seq_of(user, device.cursor) == self.truths[user].head
        self.check_shown(user, device)

    @rule(ahead=st.integers(1, 10**17))
    def come_with_a_cursor_from_elsewhere(self, ahead: int) -> None:
        (user, other, _), name = self.users, self.database.name
        head = self.truths[user].head
        at = EventId(head + ahead, NOBODYS_TAG)
        for cursor in (*FOREIGN, *(cursors.encode(*of, at) for of in ((name, other), ("x", user), (name, user)))):
            answer = self.opened(user, cursor)
            connected, reset = self.followed(answer)
            assert (connected.event, reset.event) == ("connected", "reset")
            assert self.seq_of(user, connected.id) is None
            assert self.seq_of(user, reset.id) == head

    @rule(who=WHO, limit=st.integers(1, 4))
    def page_through_the_list(self, who: int, limit: int) -> None:
        user = self.users[who]
        result = self.listed(user, limit=limit)
        assert list(result) == [value for value, item in self.truths[user].items.items() if not item.is_archived][::-1]

    # --- invariants

    @invariant()
    def rest_and_counts_are_true(self) -> None:
        for user, truth in self.truths.items():
            assert self.fetched(user) == (truth.shown, truth.counts[-1], truth.unseen[-1])

    @invariant()
    def a_held_stream_shows_the_true_state(self) -> None:
        """The proxy missed the last step and recovers it; leave a device there."""
        for user, truth in self.truths.items():
            device = self.left[user][-1].copy()
            seen = None if device.cursor is None else cursors.decode(self.database.name, user, device.cursor)
            if seen is None or seen.seq == truth.head:
                continue
            answer = streams.recover(self.database, self.publisher, self.settings, grip.Last(user, "0a", seen))
            events = list(self.followed(answer))
            assert "connected" not in [event.event for event in events]
            assert ([event.event for event in events] == ["reset"]) == (not truth.is_kept_after(seen.seq))
            for event in events:
                device.take(event, lambda user=user: self.fetched(user))  # type: ignore[misc]
            self.check_shown(user, device)
            self.left[user].append(device)

    def come_back(self, user: str, left: Device, lost_after: int | None = None) -> Device:
        device = left.copy()
        events = list(self.followed(self.opened(user, left.cursor)))
        self.check_begin(user, left.cursor, events)
        for event in events[:lost_after]:
            device.take(event, lambda: self.fetched(user))
        return device

    def opened(self, user: str, cursor: str | None) -> streams.Answer:
        stream = connections.new(self.settings, user, None, "", "")
        return streams.open_stream(self.database, self.publisher, self.settings, stream, cursor)

    def check_begin(self, user: str, came_with: str | None, events: list[Dispatched]) -> None:
        """Expect ``connected``, then either a reset or every retained event, once and in order."""
        truth, connected = self.truths[user], events[0]
        assert connected.event == "connected"
        seq = truth.head if came_with is None else self.seq_of(user, came_with)
        if seq is None or not truth.is_kept_after(seq):
            assert [event.event for event in events[1:]] == ["reset"]
            return
        assert "reset" not in [event.event for event in events]
        assert self.seq_of(user, connected.id) == seq
        assert connected.json()["unread_count"] == truth.counts[seq]
        assert connected.json()["unseen_count"] == truth.unseen[seq]
        seqs = [self.seq_of(user, event.id) or 0 for event in events]
        assert seqs == sorted(set(seqs))
        assert seqs[-1] <= truth.head

    def check_shown(self, user: str, device: Device) -> None:
        truth = self.truths[user]
        assert device.shown == truth.shown
        assert (device.badge, device.unseen) == (truth.counts[-1], truth.unseen[-1])
        assert device.old_badge == truth.counts[-1]

    def followed(self, answer: streams.Answer) -> Iterator[Dispatched]:
        """Read page after page, as the proxy does, until a hold."""
        body = answer.body
        while "Grip-Hold" not in answer.headers("GET"):
            match = re.fullmatch(rf"<{streams.NEXT_PATH}/(\S+)>; rel=next", answer.headers("GET")["Grip-Link"])
            continued = (
                streams.continue_stream(self.database, self.publisher, self.settings, match[1]) if match else None
            )
            assert continued
            answer = continued
            assert answer.body.count("\nid: ") <= PAGE
            body += answer.body
        head = re.search(r"prev-id=([0-9a-f.]+), c-[\w-]+; prev-id=0$", answer.headers("GET")["Grip-Channel"])
        assert head, "the hold does not begin where the replay ended"
        yield from parse(body).events

    def fetched(self, user: str) -> tuple[Shown, int, int]:
        """What a page fetches after a reset: all of the list and of the archive, and the counts."""
        counts = inbox.counts(self.database, user)
        return self.listed(user) | self.listed(user, archived=True), counts.unread, counts.unseen

    def listed(self, user: str, *, limit: int = 10_000, archived: bool = False, pages: int = 10_000) -> Shown:
        result: Shown = {}
        before: int | None = None
        for _ in range(pages):
            page, _, before, _ = inbox.page(self.database, user, limit=limit, before=before, archived=archived)
            assert not result.keys() & {notification.id for notification in page}, "a notification is on two pages"
            result |= {
                notification.id: (
                    notification.revision,
                    notification.read_at is None,
                    notification.archived_at is not None,
                )
                for notification in page
            }
            if before is None:
                break
        return result

    def seq_of(self, user: str, cursor: str | None) -> int | None:
        event = None if cursor is None else cursors.decode(self.database.name, user, cursor)
        return event.seq if event else None

    def anyones(self, pick: int) -> int:
        """Return the id of some notification, or an unused id."""
        ids = [number for truth in self.truths.values() for number in truth.items]
        return ids[pick % len(ids)] if ids and pick % 7 else 10**12 + pick


def test_a_device_with_any_cursor_shows_the_true_state(database: Database, settings: Settings) -> None:
    paged = replace(settings, sse_queue_size=PAGE, sse_max_connections_per_user=10_000)

    class Machine(LogMachine):
        def __init__(self) -> None:
            super().__init__(database, paged)

    run_state_machine_as_test(Machine, settings=EFFORT)
