"""The tables for reach beyond the inbox: types and policies, preferences and contacts, deliveries."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Index, Integer, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from shirase.store.owned import NOBODY, Owned
from shirase.store.tables.columns import Base, BigId, Moment, Tag, UserId, partial_index


class TypeRow(Base):
    """A type of the catalogue."""

    __tablename__ = "shirase_types"
    owned = NOBODY

    type: Mapped[str] = mapped_column(String(100), primary_key=True)
    label: Mapped[str] = mapped_column(String(100))
    description: Mapped[str] = mapped_column(Text)
    category: Mapped[str | None] = mapped_column(String(50))
    critical: Mapped[bool] = mapped_column(Boolean, server_default=false())  # no user can switch it off


class PolicyRow(Base):
    """One step of a type's policy: a channel that a notification of the type also goes to."""

    __tablename__ = "shirase_policies"
    owned = NOBODY

    type: Mapped[str] = mapped_column(String(100), primary_key=True)
    step: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)  # its index in the policy
    channel: Mapped[str] = mapped_column(String(16))
    after: Mapped[int] = mapped_column(Integer)  # seconds
    unless: Mapped[str | None] = mapped_column(String(16))


class PreferenceRow(Base):
    """A user's rule for one channel. Of several that match, the narrowest applies: type, category, then ``*``."""

    __tablename__ = "shirase_preferences"
    owned = Owned()

    user_id: Mapped[str] = mapped_column(UserId, primary_key=True)
    channel: Mapped[str] = mapped_column(String(16), primary_key=True)
    scope: Mapped[str] = mapped_column(String(100), primary_key=True)
    enabled: Mapped[bool] = mapped_column(Boolean)
    until: Mapped[datetime | None] = mapped_column(Moment)


class QuietHoursRow(Base):
    """The hours of a user's day in which push and mail wait."""

    __tablename__ = "shirase_quiet_hours"
    owned = Owned()

    user_id: Mapped[str] = mapped_column(UserId, primary_key=True)
    starts: Mapped[str] = mapped_column(String(5))  # HH:MM of the user's clock
    ends: Mapped[str] = mapped_column(String(5))
    timezone: Mapped[str] = mapped_column(String(64))


class ContactRow(Base):
    """Where a user's mail and messages go, and in which language."""

    __tablename__ = "shirase_contacts"
    owned = Owned(withheld=("apprise",))

    user_id: Mapped[str] = mapped_column(UserId, primary_key=True)
    email: Mapped[str | None] = mapped_column(String(254))
    locale: Mapped[str | None] = mapped_column(String(35))
    timezone: Mapped[str | None] = mapped_column(String(64))
    apprise: Mapped[str | None] = mapped_column(Text)  # addresses with their secrets, a line each


class DeliveryRow(Base):
    """One notification for one channel outside the inbox.

    ``state`` is pending until it is sent, skipped, cancelled or dead. A claimed row is pending; if its relay dies, it
    becomes free at ``claimed_until``.
    """

    __tablename__ = "shirase_deliveries"
    owned = Owned(order=("id",), withheld=("tag", "bundle"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    tag: Mapped[str] = mapped_column(Tag)  # random, since a restored database reuses ids
    user_id: Mapped[str] = mapped_column(UserId)
    notification_id: Mapped[int] = mapped_column(BigInteger)
    channel: Mapped[str] = mapped_column(String(16))
    target: Mapped[str | None] = mapped_column(String(64))  # one of several addresses, named by the channel
    unless: Mapped[str | None] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16), server_default="pending")
    created_at: Mapped[datetime] = mapped_column(Moment)
    due_at: Mapped[datetime] = mapped_column(Moment)  # of the next attempt
    claimed_until: Mapped[datetime | None] = mapped_column(Moment)
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    tried_at: Mapped[datetime | None] = mapped_column(Moment)  # the first time
    ended_at: Mapped[datetime | None] = mapped_column(Moment)
    reason: Mapped[str | None] = mapped_column(String(200))  # of the latest failure, or of its end
    bundle: Mapped[str | None] = mapped_column(String(40))  # of the deliveries that are sent as one, also when repeated

    __table_args__ = (
        partial_index("shirase_deliveries_due", "channel", "due_at", where="state = 'pending'"),
        Index("shirase_deliveries_of_notification", "notification_id"),
        Index("shirase_deliveries_of_user", "user_id", "id"),
        partial_index("shirase_deliveries_dead", "id", where="state = 'dead'"),
        partial_index("shirase_deliveries_ended", "ended_at", where="ended_at IS NOT NULL"),
        {"sqlite_autoincrement": True},
    )
