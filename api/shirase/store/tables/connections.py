"""Streams, the tickets that open them, and the proxy nodes that hold them."""

from datetime import datetime

from sqlalchemy import Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from shirase.store.owned import NOBODY, Owned
from shirase.store.tables.columns import Base, Moment, UserId, partial_index


class MissedRow(Base):
    """A user whose events one of several proxy nodes did not accept; it must read their streams again."""

    __tablename__ = "shirase_missed"
    owned = Owned(exported=False)

    node: Mapped[str] = mapped_column(String(255), primary_key=True)
    user_id: Mapped[str] = mapped_column(UserId, primary_key=True)
    times: Mapped[int] = mapped_column(Integer)  # so that a miss during the request to the node is not removed with it


class UsedTicketRow(Base):
    """A ticket that has opened its stream. Only used tickets have a row, so requesting one writes nothing."""

    __tablename__ = "shirase_used_tickets"
    owned = NOBODY

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    used_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (Index("shirase_used_tickets_used_at", "used_at"),)


class ConnectionRow(Base):
    """A held response. Its row outlives it for a while, so that an ended stream is not recovered.

    A row without a user is a mark: each connection of its node has a row (``store/audience.py``).
    """

    __tablename__ = "shirase_connections"
    owned = Owned(withheld=("connection_id",))

    connection_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(UserId)
    node: Mapped[str | None] = mapped_column(String(255))  # from the request, or else from the statistics
    opened_at: Mapped[datetime] = mapped_column(Moment)
    last_seen: Mapped[datetime] = mapped_column(Moment)  # written rarely, see ``registry.LEASE``
    expires_at: Mapped[datetime | None] = mapped_column(Moment)  # the token's end, and so the stream's
    user_agent: Mapped[str] = mapped_column(String(200))  # as the client sent it
    address: Mapped[str] = mapped_column(String(64))
    ended_at: Mapped[datetime | None] = mapped_column(Moment)
    reason: Mapped[str | None] = mapped_column(String(32))
    # When every node had accepted its closing event.
    closing_sent_at: Mapped[datetime | None] = mapped_column("told_at", Moment, key="closing_sent_at")

    __table_args__ = (
        Index("shirase_connections_of_user", "user_id", "ended_at", "opened_at"),
        Index("shirase_connections_of_node", "node", "ended_at", "last_seen"),
        # PostgreSQL takes a partial index for as small as at the last ANALYZE, so it would look up a user here too if
        # the condition were ``ended_at IS NULL`` alone.
        partial_index(
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
    """A proxy node, and when a relay last checked its statistics and last received a report."""

    __tablename__ = "shirase_nodes"
    owned = NOBODY

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    checked_at: Mapped[datetime] = mapped_column("looked_at", Moment, key="checked_at")
    reported_at: Mapped[datetime | None] = mapped_column("heard_at", Moment, key="reported_at")
    draining_until: Mapped[datetime | None] = mapped_column(Moment)  # until then it takes no new streams
