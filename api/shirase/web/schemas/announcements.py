"""Announcements and topics."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field

from shirase.inbox.drafts import UserIdField
from shirase.web.schemas.base import DeclaredFields, NotificationId, Query


class AnnouncementView(DeclaredFields):  # type: ignore[misc]
    """An announcement, and how many users it has reached."""

    id: int
    topic: str
    for_newcomers: bool
    fold: bool
    quiet: bool
    created_at: AwareDatetime
    reached: Annotated[int, Field(description="How many users have got it.")]
    read: Annotated[int, Field(description="How many of them have read it.")]


class AnnouncementDetailView(AnnouncementView):
    """An announcement, and how many connected users still lack it."""

    waiting: Annotated[int, Field(description="Connected users who have not considered it yet.")]


class AnnouncementsQuery(Query):
    """Which part of the announcements."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    before: NotificationId | None = None


class AnnouncementsView(BaseModel):
    """One page of the announcements, the latest first."""

    announcements: list[AnnouncementView]
    next_before: int | None


class MembersChangedView(BaseModel):
    """How many users joined a topic, and how many left it."""

    added: int
    removed: int


class MembersQuery(Query):
    """Which part of the members."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 1000
    after: UserIdField | None = None


class MembersView(BaseModel):
    """One page of a topic's members, in the order of their ids."""

    members: list[str]
    next_after: str | None
