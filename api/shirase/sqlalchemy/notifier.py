"""Notifications in a host's SQLAlchemy transaction: they exist if and only if the host's change is committed.

    Notifier(Settings.from_env(os.environ)).attach(sessions)  # once, at the start

    with sessions.begin() as session:
        session.add(interview)
        notify(session, user_id="42", type="interview.scheduled", title="Interview", message="Tomorrow at ten")

They are appended in the host's transaction, and published after its commit, within ``PUBLISH_TIMEOUT``, over our own
connection. If that fails or the process dies, the relay publishes them. A rollback, even to a savepoint, removes them.

A user's log is locked until the transaction ends: keep it short, and notify several users in one call, which locks in a
fixed order. On SQLite this takes the database's only write lock, so notify before a long read.
"""

import logging
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Unpack
from weakref import WeakSet

from sqlalchemy import Connection, Engine
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.exc import DBAPIError, UnboundExecutionError
from sqlalchemy.orm import Session, SessionTransaction, scoped_session, sessionmaker

from shirase import metrics
from shirase.errors import SchemaMismatch
from shirase.fields import AddressedInput, KeyedInput, UserId
from shirase.inbox import notifications
from shirase.inbox.drafts import NewAnnouncementNow, NewBatch, NewBroadcast, NewEntry, Retraction, check
from shirase.inbox.payloads import check_payloads
from shirase.inbox.services import wire
from shirase.settings import Settings
from shirase.sqlalchemy.background import BackgroundPublisher, Place
from shirase.sqlalchemy.other_database import other_database
from shirase.store import announcements, keyed
from shirase.store import retract as retract_store
from shirase.store.database import join, lacks_table_or_column
from shirase.types import EVERYONE, NOTIFICATION, Announcement, Draft, Event, Notification

if TYPE_CHECKING:  # importing it needs greenlet, which SQLAlchemy installs on request only
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_scoped_session, async_sessionmaker

    Sessions = (
        sessionmaker[Any]
        | scoped_session[Any]
        | Session
        | async_sessionmaker[Any]
        | async_scoped_session[Any]
        | AsyncSession
    )

log = logging.getLogger(__name__)

NOTIFIER = "shirase"  # key of the notifier in a session's info
BIND = "shirase.bind"  # key of the engine with our tables, or of None
PENDING = "shirase.pending"  # key of the events that wait for the commit

AnySession = Session | scoped_session[Session]


class Notifier:
    """Publishes the notifications that its sessions commit."""

    def __init__(self, settings: Settings) -> None:
        """Prepare, without connecting.

        Args:
            settings: the service's settings, with the database that the sessions write to.
        """
        self._services = wire(settings)
        self._background = BackgroundPublisher(self._publish, settings.publish_timeout)
        self._checked: WeakSet[Engine] = WeakSet()

    def attach(self, sessions: "Sessions", *, bind: "Engine | AsyncEngine | None" = None) -> None:
        """Enable ``notify`` in this session, or in every session that this factory creates from now on.

        Args:
            sessions: the session or factory.
            bind: the engine with our tables, if the sessions use several.
        """
        own = {NOTIFIER: self, BIND: getattr(bind, "sync_engine", bind)}
        target: Any = sessions
        if isinstance(target, Session) or _is_asynchronous(target, "AsyncSession"):
            target.info.update(own)
            return
        scoped = isinstance(target, scoped_session) or _is_asynchronous(target, "async_scoped_session")
        factory = target.session_factory if scoped else target
        if not (isinstance(factory, sessionmaker) or _is_asynchronous(factory, "async_sessionmaker")):
            raise TypeError(f"attach takes a sessionmaker, a scoped session or a session, not {sessions!r}")
        factory.configure(info={**(factory.kw.get("info") or {}), **own})

    def append(self, session: Session, drafts: list[Draft]) -> list[Notification | None]:
        """Store notifications in the session's transaction, and publish them after its commit."""
        check_payloads(self._services.settings.type_catalogue, drafts)
        with self._joined(session) as db:
            results = keyed.put(db, drafts, datetime.now(UTC))
        self._note(session, [event for result in results for event in result.events])
        return [result.notification for result in results]

    def retract(self, session: Session, user_id: str, key: str) -> None:
        """Remove the user's notification of this key in the session's transaction."""
        with self._joined(session) as db:
            appended = retract_store.retract(db, user_id, key, datetime.now(UTC))
        self._note(session, appended)

    def announce(self, session: Session, announcement: NewAnnouncementNow) -> Announcement:
        """Store an announcement in the session's transaction; the relay spreads it after the commit."""
        draft = announcement.draft()
        check_payloads(self._services.settings.type_catalogue, [draft])
        with self._joined(session) as db:
            added = announcements.add(
                db, announcement.topic, draft, datetime.now(UTC), for_newcomers=announcement.for_newcomers
            )
        self._pending(session).announced.append(added.id)
        return added

    @property
    def schema(self) -> str | None:
        """The schema of the tables."""
        return self._services.settings.database_schema

    def close(self) -> None:
        """Publish waiting events, and close the connections."""
        self._background.flush()
        self._services.database.close()

    @contextmanager
    def _joined(self, session: Session) -> Iterator[Connection]:
        connection = session.connection(bind_arguments={"bind": bind_of(session)})
        _check_transaction(connection)
        try:
            with join(connection, self.schema) as joined:
                yield joined
        except DBAPIError as exc:
            if not lacks_table_or_column(exc.orig):
                raise
            raise SchemaMismatch(
                f"the session's database {connection.engine.url.database!r} lacks Shirase's tables or some of them:"
                " run `shirase migrate` on it, or name another engine by attach(…, bind=…)"
                " or the schema by DATABASE_SCHEMA"
            ) from exc

    def _note(self, session: Session, appended: Iterable[Event]) -> None:
        pending = self._pending(session)
        for event in appended:
            pending.places.add((event.user_id, event.seq))
            pending.created += event.kind == NOTIFICATION
        pending.beside_a_loop = bind_of(session).dialect.is_async

    def _pending(self, session: Session) -> "Pending":
        if PENDING not in session.info:
            session.info[PENDING] = Pending()
            sqlalchemy_event.listen(session, "after_commit", self._note_commit)
            sqlalchemy_event.listen(session, "after_transaction_end", self._publish_committed)
        pending: Pending = session.info[PENDING]
        return pending

    def _note_commit(self, session: Session) -> None:
        if not session.in_nested_transaction():
            session.info[PENDING].committed = True

    def _publish_committed(self, session: Session, transaction: SessionTransaction) -> None:
        """Publish at the transaction's end, when the host's connection is back in its pool."""
        if transaction.parent is not None:
            return
        pending: Pending = session.info[PENDING]
        session.info[PENDING] = Pending()
        if (pending.places or pending.announced) and pending.committed:
            metrics.CREATED.inc(pending.created)
            self.publish_committed(session, pending)

    def publish_committed(self, session: Session, pending: "Pending") -> None:
        """Publish the notifications that a session has committed."""
        if not pending.places:
            return
        self._check_database(bind_of(session).engine)
        publish = self._background.add if pending.beside_a_loop else self._publish
        publish(pending.places)

    def _check_database(self, engine: Engine) -> None:
        """Warn once if nothing can be published, because we read another database than the session writes to."""
        if engine in self._checked:
            return
        self._checked.add(engine)
        ours = self._services.database.engine.url
        if name := other_database(engine.url, ours):
            log.warning("notifications are stored in %s, but published from %s of DATABASE_URL", name, ours.database)

    def _publish(self, places: Collection[Place]) -> None:
        notifications.publish_places(self._services.database, self._services.publisher, places)


def _is_asynchronous(of: object, name: str) -> bool:
    """Whether it is an instance of this class of ``sqlalchemy.ext.asyncio``, without importing that."""
    loaded = sys.modules.get("sqlalchemy.ext.asyncio")
    return loaded is not None and isinstance(of, getattr(loaded, name))


@dataclass(slots=True)
class Pending:
    """What a session has stored and not committed."""

    places: set[Place] = field(default_factory=set)  # events, as (user, seq)
    announced: list[int] = field(default_factory=list)  # ids of announcements
    created: int = 0  # of them, new notifications
    committed: bool = False
    beside_a_loop: bool = False  # the session is an AsyncSession's


def notify(session: AnySession, **fields: Unpack[AddressedInput]) -> Notification | None:
    """Create a notification in the session's transaction, or with a ``key`` replace the user's present one of that key.

    Returns:
        The notification; ``None`` if the user has muted it, in which case nothing was stored.

    Raises:
        Invalid: with the invalid fields; nothing was written.
        LookupError: if no ``Notifier`` is attached to the session or its factory, or none of several engines is named.
        SchemaMismatch: if the session's database lacks Shirase's tables.
        ValueError: if the session's connection is in AUTOCOMMIT, and so has no transaction.
    """
    return _append(session, [check(NewEntry, fields).draft()])[0]


def retract(session: AnySession, *, user_id: UserId, key: str) -> None:
    """Retract the user's notification of this key, if any; errors as for ``notify``."""
    retraction = check(Retraction, {"user_id": user_id, "key": key})
    own, notifier = _attached(session)
    notifier.retract(own, retraction.user_id, retraction.key)


def notify_many(session: AnySession, notifications: Iterable[AddressedInput]) -> list[Notification | None]:
    """Create 1 to 1,000 notifications, each with ``user_id`` and content, in order; otherwise as ``notify``."""
    return _append(session, check(NewBatch, {"notifications": [dict(fields) for fields in notifications]}).drafts())


def broadcast(
    session: AnySession, *, user_ids: Iterable[UserId], **fields: Unpack[KeyedInput]
) -> list[Notification | None]:
    """Create the same for each of 1 to 10,000 distinct users; otherwise as ``notify``."""
    return _append(session, check(NewBroadcast, {"user_ids": list(user_ids), **fields}).drafts())


def announce(
    session: AnySession, *, topic: str = EVERYONE, for_newcomers: bool = False, **fields: Unpack[KeyedInput]
) -> Announcement:
    """Announce something to every user of a topic, in the session's transaction; errors as for ``notify``.

    Other announcements wait until the transaction ends.
    """
    announcement = check(NewAnnouncementNow, {"topic": topic, "for_newcomers": for_newcomers, **fields})
    own, notifier = _attached(session)
    return notifier.announce(own, announcement)


def _append(session: AnySession, drafts: list[Draft]) -> list[Notification | None]:
    own, notifier = _attached(session)
    return notifier.append(own, drafts)


def _attached(session: AnySession) -> tuple[Session, Notifier]:
    own = session() if isinstance(session, scoped_session) else session
    if not isinstance(own, Session):
        raise TypeError(
            f"notify takes a SQLAlchemy Session, not {own!r}; for an AsyncSession: shirase.sqlalchemy.asyncio"
        )
    notifier: Notifier | None = own.info.get(NOTIFIER)
    if notifier is None:
        raise LookupError("no Notifier is attached to this session's factory: Notifier(settings).attach(sessionmaker)")
    return own, notifier


def bind_of(session: Session) -> Engine | Connection:
    """The database with our tables, among those of the session."""
    named: Engine | None = session.info.get(BIND)
    if named is not None and not (isinstance(session.bind, Connection) and session.bind.engine is named):
        return named
    try:
        return session.get_bind()
    except UnboundExecutionError as exc:
        raise LookupError(
            "the session has no engine of its own: Notifier(settings).attach(sessions, bind=engine) names the one with"
            " Shirase's tables"
        ) from exc


def _check_transaction(connection: Connection) -> None:
    driver = connection.connection.dbapi_connection
    if connection.dialect.name != "sqlite":
        if getattr(driver, "autocommit", False) is True:
            raise ValueError(
                "the session is in AUTOCOMMIT: there is no transaction that a notification could belong to"
            )
        return
    # Python's sqlite3 begins implicitly before statements that start with INSERT, but ours may start with WITH.
    # The write lock is taken at once, because a transaction that has only read may fail to get it later.
    if not getattr(connection.connection.driver_connection, "in_transaction", True):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
