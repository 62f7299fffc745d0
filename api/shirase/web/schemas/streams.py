"""The stream, the long poll, tickets and connections."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from shirase.inbox.drafts import Request, UserIdField
from shirase.web.schemas.base import OpenQuery, Query


class StreamQuery(OpenQuery):
    """Where to begin. The header ``Last-Event-ID`` comes first; polyfills send it as ``lastEventId``."""

    last_event_id: Annotated[str, Field(max_length=1024)] | None = None
    lastEventId: Annotated[str, Field(max_length=1024)] | None = None  # noqa: N815 - as it is sent

    @property
    def cursor(self) -> str | None:
        """The cursor, by either name."""
        return self.last_event_id or self.lastEventId

    ticket: str | None = None
    token: str | None = None


class PollQuery(OpenQuery):
    """Where to begin, and how many seconds to wait."""

    after: Annotated[str, Field(max_length=128)] | None = None
    timeout: Annotated[int, Field(ge=1, le=60)] = 25
    ticket: str | None = None
    token: str | None = None


class PollEvent(BaseModel):
    """One event, as the stream would carry it."""

    id: str
    event: str
    data: dict[str, Any]


class PollView(BaseModel):
    """The events after a cursor, and the cursor for the next request."""

    events: list[PollEvent]
    cursor: str


class Recoveries(Request):
    """The ``Grip-Last`` of several held streams."""

    last: Annotated[list[Annotated[str, Field(max_length=1000)]], Field(max_length=1000)]


class HoldsView(BaseModel):
    """For each stream the headers of its new hold, if it has missed nothing."""

    holds: list[dict[str, str] | None]


class DrainStep(Request):
    """Over how many seconds a node spreads the end of the streams that it still holds."""

    seconds: Annotated[float, Field(ge=0, le=3600)]


class DrainView(BaseModel):
    """The number of streams that have moved by this step, and of those that are left."""

    moved: int
    left: int


class TicketView(BaseModel):
    """Permission to open one stream, once."""

    ticket: str
    expires_in: int


class ConnectionsQuery(Query):
    """The user whose streams to end."""

    user_id: UserIdField


class StatusView(BaseModel):
    """How many streams are open."""

    user_connections: int
    total_connections: int | None
    active_users: int | None
    status: Literal["active", "inactive"]


class ClosedView(BaseModel):
    """How many streams were ended."""

    closed: int
