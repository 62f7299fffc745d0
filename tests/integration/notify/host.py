"""A host with a table of its own, whose changes come with notifications."""

from datetime import UTC, datetime

from sqlalchemy import Engine, String, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session

from shirase.sqlalchemy import notify
from shirase.store import log
from shirase.store.database import Database
from shirase.store.tables import NotificationRow
from shirase.types import Event


class Base(DeclarativeBase):
    """The host's own tables."""


class Interview(Base):
    """A row of the host."""

    __tablename__ = "host_interviews"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(50), unique=True)


def schedule(session: Session | scoped_session[Session], title: str, user: str = "42") -> None:
    """Make a change of the host, with its notification."""
    session.add(Interview(title=title))
    notify(session, user_id=user, type="interview.scheduled", title=title, message="")


def stored(database: Database, user: str = "42") -> list[str]:
    with database.autocommit() as session:
        expected = (
            select(NotificationRow.__table__.c.title)
            .where(NotificationRow.user_id == user)
            .order_by(NotificationRow.id)
        )
        return list(session.scalars(expected))


def interviews(engine: Engine) -> list[str]:
    with Session(engine) as session:
        return list(session.scalars(select(Interview.title).order_by(Interview.id)))


def left_behind(database: Database) -> list[Event]:
    with database.autocommit() as session:
        return log.unpublished(session, ("", 0), 100, datetime.now(UTC))
