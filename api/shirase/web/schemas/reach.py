"""Types, preferences and contacts."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field


class StepView(BaseModel):
    """One step of a policy."""

    channel: str
    after: str
    unless: str | None


class TypeView(BaseModel):
    """An entry of the catalogue of types."""

    type: str
    label: str
    description: str
    category: str | None
    critical: bool
    channels: list[StepView]


class TypesView(BaseModel):
    """The catalogue of types."""

    types: list[TypeView]


class RuleView(BaseModel):
    """Whether a channel is on for a scope."""

    scope: str
    channel: str
    enabled: bool
    until: AwareDatetime | None


class QuietView(BaseModel):
    """Hours in which push, mail and Apprise wait."""

    from_: Annotated[str, Field(alias="from")]
    to: str
    timezone: str


class PreferencesView(BaseModel):
    """A user's preferences."""

    rules: list[RuleView]
    quiet: QuietView | None


class ContactView(BaseModel):
    """Where a user's mail and messages go."""

    email: str | None
    locale: str | None
    timezone: str | None
    apprise: Annotated[list[str], Field(description="Only the scheme of each address: the rest may be secret.")]
