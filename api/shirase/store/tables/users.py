"""Records about users besides their logs."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from shirase.store.owned import Owned
from shirase.store.tables.columns import Base, Moment, UserId


class ErasureRow(Base):
    """A user whose rows are being removed, until the last one is."""

    __tablename__ = "shirase_erasures"
    owned = Owned(exported=False)

    user_id: Mapped[str] = mapped_column(UserId, primary_key=True)
    requested_at: Mapped[datetime] = mapped_column(Moment)
