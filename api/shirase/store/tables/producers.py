"""Input of producers besides single notifications: schedules, announcements, topics and idempotency keys."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Index, Integer, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from shirase.store.owned import NOBODY, Owned
from shirase.store.tables.columns import Base, BigId, Moment, UserId, partial_index


class IdempotencyKeyRow(Base):
    """A producer's key, with the request that used it and its answer."""

    __tablename__ = "shirase_idempotency_keys"
    owned = Owned(by=("owner",), withheld=("fingerprint", "answer"))  # answers name others

    owner: Mapped[str] = mapped_column(UserId, primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    answer: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (Index("shirase_idempotency_keys_created_at", "created_at"),)


class ScheduledRow(Base):
    """A notification to create at a later time."""

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
        partial_index("shirase_scheduled_of_key", "key", "user_id", where="key IS NOT NULL"),
        {"sqlite_autoincrement": True},
    )


class AnnouncementRow(Base):
    """A notification for everyone of a topic. Users receive it from here, one by one.

    Ids are in the order of commits, because an insert holds a lock until the commit (``announcements.add``).
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
    # How many of its notifications were removed, and how many of those were read.
    gone: Mapped[int] = mapped_column(Integer, server_default="0")
    gone_read: Mapped[int] = mapped_column(Integer, server_default="0")

    __table_args__ = (
        partial_index("shirase_announcements_spreading", "id", where="spread_at IS NULL"),
        partial_index("shirase_announcements_retracted", "id", where="retracted_at IS NOT NULL"),
        partial_index("shirase_announcements_of_key", "key", where="key IS NOT NULL"),
        Index("shirase_announcements_created_at", "created_at"),  # for their removal
        {"sqlite_autoincrement": True},
    )


class TopicMemberRow(Base):
    """A user's topic: by membership, by the claim of the user's token, or by both.

    A row with neither records what a former member took over.
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
