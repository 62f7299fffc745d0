"""The tables. ``migrations/`` builds them, and a test compares the two."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from shirase.store.owned import NOBODY
from shirase.store.tables.columns import (
    TAG_LENGTH,
    Base,
    BigId,
    Moment,
    Tag,
    UserId,
    column_type,
    content_of,
    partial_index,
)
from shirase.store.tables.connections import ConnectionRow, MissedRow, NodeRow, UsedTicketRow
from shirase.store.tables.log import EventRow, NotificationRow, StreamRow
from shirase.store.tables.producers import AnnouncementRow, IdempotencyKeyRow, ScheduledRow, TopicMemberRow
from shirase.store.tables.push import PushSubscriptionRow
from shirase.store.tables.reach import ContactRow, DeliveryRow, PolicyRow, PreferenceRow, QuietHoursRow, TypeRow
from shirase.store.tables.users import ErasureRow

__all__ = [
    "TAG_LENGTH",
    "VERSION_TABLE",
    "AnnouncementRow",
    "Base",
    "BigId",
    "ConnectionRow",
    "ContactRow",
    "DatabaseNameRow",
    "DeliveryRow",
    "ErasureRow",
    "EventRow",
    "IdempotencyKeyRow",
    "MissedRow",
    "Moment",
    "NodeRow",
    "NotificationRow",
    "PolicyRow",
    "PreferenceRow",
    "PushSubscriptionRow",
    "QuietHoursRow",
    "ScheduledRow",
    "StreamRow",
    "Tag",
    "TopicMemberRow",
    "TypeRow",
    "UsedTicketRow",
    "UserId",
    "column_type",
    "content_of",
    "partial_index",
]

VERSION_TABLE = "shirase_version"  # Alembic's, apart from a host's own


class DatabaseNameRow(Base):
    """One row with a random name, made by the first migration. Cursors contain it, to recognize another database's."""

    __tablename__ = "shirase_database_name"
    owned = NOBODY

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
