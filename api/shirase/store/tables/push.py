"""The table of Web Push."""

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from shirase.store.owned import Owned
from shirase.store.tables.columns import Base, Moment, UserId


class PushSubscriptionRow(Base):
    """A browser that receives a user's push messages. The address and the keys suffice to send to it."""

    __tablename__ = "shirase_push_subscriptions"
    owned = Owned(withheld=("endpoint", "p256dh", "auth"))

    id: Mapped[str] = mapped_column(String(64), primary_key=True)  # digest of the endpoint
    user_id: Mapped[str] = mapped_column(UserId)
    endpoint: Mapped[str] = mapped_column(String(2000))
    p256dh: Mapped[str] = mapped_column(String(100))
    auth: Mapped[str] = mapped_column(String(40))
    user_agent: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (Index("shirase_push_subscriptions_of_user", "user_id", "created_at"),)
