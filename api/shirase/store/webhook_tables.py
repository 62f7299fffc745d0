"""The tables of webhooks: endpoints, and the queue of each."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from shirase.store.owned import NOBODY, Owned
from shirase.store.tables import Base, BigId, Moment, Tag, UserId


class WebhookRow(Base):
    """An endpoint. One relay at a time sends to it: the holder of its claim."""

    __tablename__ = "shirase_webhooks"
    owned = NOBODY

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    url: Mapped[str] = mapped_column(String(2000))
    types: Mapped[str] = mapped_column(Text)  # JSON; an empty list stands for every type
    secret: Mapped[str] = mapped_column(String(200))
    previous_secret: Mapped[str | None] = mapped_column(String(200))  # signs too, until ``previous_until``
    previous_until: Mapped[datetime | None] = mapped_column(Moment)
    created_at: Mapped[datetime] = mapped_column(Moment)
    updated_at: Mapped[datetime] = mapped_column(Moment)
    next_at: Mapped[datetime] = mapped_column(Moment)  # of the next attempt
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")  # that failed since the last success
    failing_since: Mapped[datetime | None] = mapped_column(Moment)
    reason: Mapped[str | None] = mapped_column(String(200))  # of the latest failure
    failed_id: Mapped[int | None] = mapped_column(BigInteger)  # the queued event that failed then
    paused_at: Mapped[datetime | None] = mapped_column(Moment)  # after a day of failures, until an operator retries
    claimed_until: Mapped[datetime | None] = mapped_column(Moment)
    claim: Mapped[str | None] = mapped_column(String(16))  # random, of the relay that sends

    __table_args__ = ({"sqlite_autoincrement": True},)


class QueuedRow(Base):
    """An event that an endpoint has not accepted yet, in the order of the queue.

    A trigger of ``shirase_events`` inserts it in the transaction of the event, whichever code appends.
    """

    __tablename__ = "shirase_webhook_queue"
    owned = Owned(exported=False)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    webhook_id: Mapped[int] = mapped_column(BigInteger)
    user_id: Mapped[str] = mapped_column(UserId)
    seq: Mapped[int] = mapped_column(BigInteger)
    tag: Mapped[str] = mapped_column(Tag)  # of the event

    __table_args__ = (
        Index("shirase_webhook_queue_of_webhook", "webhook_id", "id"),
        Index("shirase_webhook_queue_of_user", "user_id", "id"),
        {"sqlite_autoincrement": True},
    )
