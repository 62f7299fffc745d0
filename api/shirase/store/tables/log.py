"""A user's log and the notifications in it."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from shirase.fields import FIELDS
from shirase.store.owned import Owned
from shirase.store.tables.columns import Base, BigId, Moment, Tag, UserId, column_type, partial_index


class StreamRow(Base):
    """A user's log: where it ends, and how many of the user's notifications are unread and unseen there.

    Unseen notifications are unread and above the position ``seen`` in the list. Archived ones are neither.
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
    attempts: Mapped[int | None] = mapped_column(Integer)  # of the handler or relay that published it
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
        partial_index("shirase_notifications_inbox", "user_id", "position", where="archived_at IS NULL"),
        partial_index("shirase_notifications_archived", "user_id", "position", where="archived_at IS NOT NULL"),
        Index("shirase_notifications_of_type", "user_id", "type", "position"),
        partial_index(
            "shirase_notifications_of_category", "user_id", "category", "position", where="category IS NOT NULL"
        ),
        partial_index("shirase_notifications_unread", "user_id", "position", where="read_at IS NULL"),
        partial_index("shirase_notifications_of_key", "key", "user_id", where="key IS NOT NULL", unique=True),
        partial_index(
            "shirase_notifications_of_announcement",
            "announcement_id",
            "user_id",
            where="announcement_id IS NOT NULL",
            unique=True,
        ),
        partial_index("shirase_notifications_expiring", "expires_at", where="expires_at IS NOT NULL"),
        partial_index(
            "shirase_notifications_expiring_unread",
            "user_id",
            "expires_at",
            where="expires_at IS NOT NULL AND read_at IS NULL",
        ),
        {"sqlite_autoincrement": True},  # an id is never reused, even after the newest row was deleted
    )
