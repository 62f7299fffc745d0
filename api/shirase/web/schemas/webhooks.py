"""Webhooks."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from shirase.fields import Topic, Type
from shirase.inbox.drafts import Request
from shirase.web.schemas.base import Query


class NewWebhook(Request):
    """An endpoint."""

    longest = 64 * 1024

    url: Annotated[str, Field(min_length=1, max_length=2000)]
    types: Annotated[list[Type], Field(max_length=100, description="The types that it gets; all if the list is empty.")]
    secret: Annotated[
        str | None, Field(max_length=100, description="`whsec_` and 24 to 64 random bytes in base64.")
    ] = None


class WebhookName(Request):
    """The name in a path."""

    name: Topic


class RetryQuery(Query):
    """Whether to drop the event that failed."""

    skip: Literal["true", "false"] | None = None


class WebhookView(BaseModel):
    """An endpoint and its state."""

    name: str
    url: str
    types: list[str]
    state: Literal["active", "failing", "paused"]
    waiting: Annotated[int, Field(description="Events in its queue, counted up to 10,000.")]
    attempts: Annotated[int, Field(description="Failed attempts since the last success.")]
    reason: Annotated[str | None, Field(description="Why the latest attempt failed.")]
    created_at: str
    updated_at: str
    failing_since: str | None
    paused_at: str | None
    next_attempt_at: str | None
    rotating_until: Annotated[
        str | None, Field(description="Until then, requests are signed with the replaced secret too.")
    ]


class WebhooksView(BaseModel):
    """Every endpoint, by name."""

    webhooks: list[WebhookView]
