"""The tables. ``migrations/`` builds them; a test holds the two equal."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Boolean, Column, Dialect, Index, Integer, String, Text, TypeDecorator, false, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeEngine

from shirase.fields import FIELDS, Content, Declared, rfc3339
from shirase.store.owned import NOBODY, Owned

# SQLite numbers rows by itself only in a column that is declared INTEGER.
BigId: TypeEngine[int] = BigInteger().with_variant(Integer, "sqlite")
# Byte order is all that an id needs, and it is much cheaper than a language's.
UserId: TypeEngine[str] = String(255).with_variant(String(255, collation="C"), "postgresql")
Tag: TypeEngine[str] = String(6)  # random bits of an event, as hexadecimal digits


class Moment(TypeDecorator[datetime]):
    """A point in time, always aware and in UTC: ``timestamptz`` in PostgreSQL, RFC 3339 text in SQLite."""

    impl = TIMESTAMP
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column's type."""
        return dialect.type_descriptor(String(27) if dialect.name == "sqlite" else TIMESTAMP(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Python to database."""
        return rfc3339(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy calls it so
        """Database to Python."""
        return datetime.fromisoformat(value) if isinstance(value, str) else value


LONGEST_STRING = 2000  # characters; what may be longer is TEXT


def column_type(field: Declared) -> TypeEngine[Any]:
    """The type of a declared field's column. JSON is text: it is passed on, never queried."""
    if field.kind == "time":
        return Moment()
    return String(field.length) if field.length and field.length <= LONGEST_STRING else Text()


def content_of(row: Any) -> Content:
    """The declared fields of a row that has them all among its columns."""
    columns = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return Content({name: columns[name] for name in FIELDS})


VERSION_TABLE = "shirase_version"  # Alembic's, apart from a host's own


class Base(DeclarativeBase):
    """What all tables share. Each declares ``owned``, from which the erasure and the export of a user follow."""

    owned: ClassVar[Owned]


def _partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, postgresql_where=text(where), sqlite_where=text(where))


class DatabaseNameRow(Base):
    """One row with a random name, made by the first migration: cursors tell databases apart by it."""

    __tablename__ = "shirase_database_name"
    owned = NOBODY

    name: Mapped[str] = mapped_column(String(32), primary_key=True)


class StreamRow(Base):
    """A user's log: where it ends, and how many of the user's notifications are unread and unseen there.

    Unseen is what is unread and above the position ``seen`` in the list. What is archived is neither.
    """

    __tablename__ = "shirase_streams"
    owned = Owned(withheld=("tag", "previous_tag", "claimed"))

    user_id: Mapped[str] = mapped_column(UserId, primary_key=True)
    head: Mapped[int] = mapped_column(BigInteger)
    unread: Mapped[int] = mapped_column(Integer)
    tag: Mapped[str] = mapped_column(Tag, server_default="")  # of the event at the head
    previous_tag: Mapped[str] = mapped_column(Tag, server_default="")  # of the head before the latest append
    unseen: Mapped[int] = mapped_column(Integer, server_default="0")
    seen: Mapped[int] = mapped_column(BigInteger, server_default="0")
    # Ids of announcements: the last when the user appeared, and the last that was taken over or passed over.
    appeared: Mapped[int] = mapped_column(BigInteger, server_default="0")
    announced: Mapped[int] = mapped_column(BigInteger, server_default="0")
    topics_changed: Mapped[bool] = mapped_column(Boolean, server_default=false())  # so that older ones may concern it
    claimed: Mapped[str | None] = mapped_column(String(16))  # digest of the topics that the user's latest token named


class EventRow(Base):
    """One entry of a user's log: replay source, outbox and origin of the SSE id at once.

    The content of ``notification`` and ``updated`` events is the notification's row; the other kinds carry their own
    ``data``. ``unread`` and ``unseen`` are the counts after this event, which a stream that begins here reports.
    """

    __tablename__ = "shirase_events"
    owned = Owned(json=("data",), withheld=("tag", "previous_tag"))

    user_id: Mapped[str] = mapped_column(UserId, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16))
    notification_id: Mapped[int | None] = mapped_column(BigInteger)
    data: Mapped[str | None] = mapped_column(Text)
    unread: Mapped[int] = mapped_column(Integer)
    tag: Mapped[str] = mapped_column(Tag)
    previous_tag: Mapped[str] = mapped_column(Tag)  # of the event before, which may have been removed
    unseen: Mapped[int] = mapped_column(Integer, server_default="0")
    created_at: Mapped[datetime] = mapped_column(Moment)
    published_at: Mapped[datetime | None] = mapped_column(Moment)
    # For traces, written together with ``published_at``.
    committed_at: Mapped[datetime | None] = mapped_column(Moment)  # unknown if it was left to the relay
    way: Mapped[str | None] = mapped_column(String(8))  # publish or relay
    attempts: Mapped[int | None] = mapped_column(Integer)  # of whoever published it
    nodes: Mapped[str | None] = mapped_column(Text)  # that accepted it, separated by spaces
    connections: Mapped[int | None] = mapped_column(Integer)  # that the user held then

    __table_args__ = (
        Index(
            "shirase_events_unpublished",
            "user_id",
            "seq",
            postgresql_where=published_at.is_(None),
            sqlite_where=published_at.is_(None),
        ),
        Index("shirase_events_created_at", "created_at"),  # for their removal
    )


class MissedRow(Base):
    """A user whose events one of several proxy nodes did not accept; it is told to read again when it is back."""

    __tablename__ = "shirase_missed"
    owned = Owned(exported=False)

    node: Mapped[str] = mapped_column(String(255), primary_key=True)
    user_id: Mapped[str] = mapped_column(UserId, primary_key=True)
    times: Mapped[int] = mapped_column(Integer)  # tells a miss that happened while the node was being told


class NotificationRow(Base):
    """A user's notification: the declared fields, and its state."""

    __tablename__ = "shirase_notifications"
    owned = Owned(
        order=("type", "position"), json=("actors", *(name for name, field in FIELDS.items() if field.kind == "json"))
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[str] = mapped_column(UserId)
    seq: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(Moment)
    read_at: Mapped[datetime | None] = mapped_column(Moment)
    read_by: Mapped[str | None] = mapped_column(String(200))  # the device: its user agent
    archived_at: Mapped[datetime | None] = mapped_column(Moment)
    position: Mapped[int] = mapped_column(BigInteger)  # in the list; one sequence with ``id``
    revision: Mapped[int] = mapped_column(Integer, server_default="1")
    updated_at: Mapped[datetime | None] = mapped_column(Moment)  # when the content last changed, if it did
    count: Mapped[int] = mapped_column(Integer, server_default="1")
    actors: Mapped[str | None] = mapped_column(Text)  # the latest that were folded into it, as JSON
    announcement_id: Mapped[int | None] = mapped_column(BigInteger)  # that it was taken over from

    __table_args__ = (
        *(Column(name, column_type(field), nullable=field.nullable) for name, field in FIELDS.items()),
        _partial_index("shirase_notifications_inbox", "user_id", "position", where="archived_at IS NULL"),
        _partial_index("shirase_notifications_archived", "user_id", "position", where="archived_at IS NOT NULL"),
        Index("shirase_notifications_of_type", "user_id", "type", "position"),
        _partial_index(
            "shirase_notifications_of_category", "user_id", "category", "position", where="category IS NOT NULL"
        ),
        _partial_index("shirase_notifications_unread", "user_id", "position", where="read_at IS NULL"),
        _partial_index("shirase_notifications_of_key", "key", "user_id", where="key IS NOT NULL", unique=True),
        _partial_index(
            "shirase_notifications_of_announcement",
            "announcement_id",
            "user_id",
            where="announcement_id IS NOT NULL",
            unique=True,
        ),
        _partial_index("shirase_notifications_expiring", "expires_at", where="expires_at IS NOT NULL"),
        _partial_index(
            "shirase_notifications_expiring_unread",
            "user_id",
            "expires_at",
            where="expires_at IS NOT NULL AND read_at IS NULL",
        ),
        {"sqlite_autoincrement": True},  # an id is never given twice, also after the newest was deleted
    )


class IdempotencyKeyRow(Base):
    """What a producer's key stands for: the request that used it, and the answer it got."""

    __tablename__ = "shirase_idempotency_keys"
    owned = Owned(by=("owner",), withheld=("fingerprint", "answer"))  # answers name others

    owner: Mapped[str] = mapped_column(UserId, primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    answer: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (Index("shirase_idempotency_keys_created_at", "created_at"),)


class UsedTicketRow(Base):
    """A ticket that has opened its stream. Only used ones have a row: who asks for tickets writes nothing."""

    __tablename__ = "shirase_used_tickets"
    owned = NOBODY

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    used_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (Index("shirase_used_tickets_used_at", "used_at"),)


class ConnectionRow(Base):
    """A held response, and after its end for a while still: one that ended must not be recovered."""

    __tablename__ = "shirase_connections"
    owned = Owned(withheld=("connection_id",))

    connection_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(UserId)
    node: Mapped[str | None] = mapped_column(String(255))  # unknown until its statistics name the connection
    opened_at: Mapped[datetime] = mapped_column(Moment)
    last_seen: Mapped[datetime] = mapped_column(Moment)  # written rarely, see ``registry.LEASE``
    expires_at: Mapped[datetime | None] = mapped_column(Moment)  # the token's end, and so the stream's
    user_agent: Mapped[str] = mapped_column(String(200))  # whatever the client says
    address: Mapped[str] = mapped_column(String(64))
    ended_at: Mapped[datetime | None] = mapped_column(Moment)
    reason: Mapped[str | None] = mapped_column(String(32))
    told_at: Mapped[datetime | None] = mapped_column(Moment)  # when every node had accepted its closing

    __table_args__ = (
        Index("shirase_connections_of_user", "user_id", "ended_at", "opened_at"),
        Index("shirase_connections_of_node", "node", "ended_at", "last_seen"),
        # PostgreSQL takes a partial index for as small as at the last ANALYZE, so it would look up a user here too if
        # the condition were ``ended_at IS NULL`` alone.
        _partial_index(
            "shirase_connections_expiring", "expires_at", where="ended_at IS NULL AND expires_at IS NOT NULL"
        ),
        Index(
            "shirase_connections_untold",
            "ended_at",
            postgresql_where=text("ended_at IS NOT NULL AND told_at IS NULL"),
            sqlite_where=text("ended_at IS NOT NULL AND told_at IS NULL"),
        ),
        Index(
            "shirase_connections_ended",
            "ended_at",
            postgresql_where=ended_at.is_not(None),
            sqlite_where=ended_at.is_not(None),
        ),
    )


class NodeRow(Base):
    """A proxy node, and when a relay last looked for its statistics and last heard them."""

    __tablename__ = "shirase_nodes"
    owned = NOBODY

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    looked_at: Mapped[datetime] = mapped_column(Moment)
    heard_at: Mapped[datetime | None] = mapped_column(Moment)


class ScheduledRow(Base):
    """A notification to create at a time to come."""

    __tablename__ = "shirase_scheduled"
    owned = Owned(by=("user_id", "owner"), json=("draft",))

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    owner: Mapped[str] = mapped_column(UserId)  # the producer
    user_id: Mapped[str] = mapped_column(UserId)  # empty for an announcement
    topic: Mapped[str | None] = mapped_column(String(100))  # of an announcement
    for_newcomers: Mapped[bool] = mapped_column(Boolean, server_default=false())
    key: Mapped[str | None] = mapped_column(String(255))
    draft: Mapped[str] = mapped_column(Text)  # the columns of its content, as JSON
    send_at: Mapped[datetime] = mapped_column(Moment)
    created_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (
        Index("shirase_scheduled_due", "send_at"),
        Index("shirase_scheduled_of_owner", "owner", "id"),
        Index("shirase_scheduled_of_user", "user_id", "id"),
        _partial_index("shirase_scheduled_of_key", "key", "user_id", where="key IS NOT NULL"),
        {"sqlite_autoincrement": True},
    )


class AnnouncementRow(Base):
    """A notification for everyone of a topic. Users who have it got it from here, one by one.

    Ids are in the order of commits: whoever announces holds a lock until the commit (``announcements.add``).
    """

    __tablename__ = "shirase_announcements"
    owned = NOBODY

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    topic: Mapped[str] = mapped_column(String(100))
    for_newcomers: Mapped[bool] = mapped_column(Boolean)
    draft: Mapped[str] = mapped_column(Text)  # the columns of its content, as JSON
    key: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime | None] = mapped_column(Moment)
    spread_at: Mapped[datetime | None] = mapped_column(Moment)  # when everyone who was connected had it
    retracted_at: Mapped[datetime | None] = mapped_column(Moment)
    # Those of its notifications that are not there any more, and how many of them were read.
    gone: Mapped[int] = mapped_column(Integer, server_default="0")
    gone_read: Mapped[int] = mapped_column(Integer, server_default="0")

    __table_args__ = (
        _partial_index("shirase_announcements_spreading", "id", where="spread_at IS NULL"),
        _partial_index("shirase_announcements_retracted", "id", where="retracted_at IS NOT NULL"),
        _partial_index("shirase_announcements_of_key", "key", where="key IS NOT NULL"),
        Index("shirase_announcements_created_at", "created_at"),  # for their removal
        {"sqlite_autoincrement": True},
    )


class TopicMemberRow(Base):
    """A user's topic: by membership, by the claim of the user's token, or by both.

    A row with neither remembers what a user took over who has left.
    """

    __tablename__ = "shirase_topic_members"
    owned = Owned(withheld=("mark",))

    topic: Mapped[str] = mapped_column(String(100), primary_key=True)
    user_id: Mapped[str] = mapped_column(UserId, primary_key=True)
    member: Mapped[bool] = mapped_column(Boolean)
    claimed: Mapped[bool] = mapped_column(Boolean)
    joined: Mapped[int] = mapped_column(BigInteger)  # the last announcement before, of any topic
    mark: Mapped[int | None] = mapped_column(BigInteger)  # the last that was considered, if not ``announced``

    __table_args__ = (Index("shirase_topic_members_of_user", "user_id", "topic"),)


class ErasureRow(Base):
    """A user whose rows are being removed, until the last one is."""

    __tablename__ = "shirase_erasures"
    owned = Owned(exported=False)

    user_id: Mapped[str] = mapped_column(UserId, primary_key=True)
    requested_at: Mapped[datetime] = mapped_column(Moment)
