"""Validates types, preferences and contacts."""

import re
from datetime import time
from functools import cache
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from shirase.fields import MAX_NAME, NAME, NAME_LETTER, NO_NUL, Category, Time, Type, no_nul
from shirase.inbox.drafts import Request
from shirase.policies import Policy
from shirase.quiet_hours import QuietHours
from shirase.store.rules import EVERYTHING
from shirase.store.type_catalogue import TypeEntry
from shirase.types import Preferences, Rule

MOST_RULES = 500
MOST_ADDRESSES = 5
TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
_TIME = re.compile(TIME[1:-1])
LOCALE = r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,4}$"
_LOCALE = re.compile(LOCALE[1:-1])
# No character that a mail program does not show (Default_Ignorable_Code_Point of Unicode), no encoded word (RFC 2047),
# and no domain that is an IP address: that would lead from the mail server into its own network.
_HIDDEN = (
    r"\s\u0000-\u001f\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
)
_HIDDEN_BEYOND = re.compile(
    "[\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)  # no JSON pattern has it
# What stands for a digit or a dot in other forms is one to a mail server (IDNA).
_FORMS = r"\u00b2\u00b3\u00b9\u2070-\u209f\u2460-\u24ff\u3002\uff00-\uffef"
_NEVER = _HIDDEN + r"@<>()\[\],;:\\\""
_LABEL = rf"(?!-)[^{_NEVER}{_FORMS}.]{{1,63}}"
EMAIL = rf"^(?!.*=\?)[^{_NEVER}]{{1,64}}@(?:{_LABEL}\.){{0,126}}(?!(?:[0-9]+|0[xX][0-9A-Fa-f]*)$){_LABEL}$"
_EMAIL = re.compile(EMAIL[1:-1])


@cache
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones()) - {"Factory", "localtime"}  # the files of a machine, not places


def _timezone(value: str) -> str:
    if value not in _timezones():
        raise ValueError("must be a time zone of the IANA database, such as Asia/Tokyo")
    return value


def _clock(value: str) -> str:
    if not _TIME.fullmatch(value):
        raise ValueError("must be a time such as 22:00")
    return value


def _locale(value: str) -> str:
    if not _LOCALE.fullmatch(value):
        raise ValueError("must be a language tag (BCP 47), such as en or pt-BR")
    return value


def _email(value: str) -> str:
    if not _EMAIL.fullmatch(value) or _HIDDEN_BEYOND.search(value):
        raise ValueError("must be an address such as aiko@example.com")
    return value


def _scope(value: str) -> str:
    if value != EVERYTHING and not NAME.fullmatch(value):
        raise ValueError('must be "*", a category or a type')
    return value


Timezone = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_timezone)]
Clock = Annotated[str, Field(json_schema_extra={"pattern": TIME}), AfterValidator(_clock)]
Locale = Annotated[str, Field(max_length=35, json_schema_extra={"pattern": LOCALE}), AfterValidator(_locale)]
Scope = Annotated[
    str,
    Field(min_length=1, max_length=MAX_NAME, json_schema_extra={"pattern": rf"^(\*|{NAME_LETTER}+)$"}),
    AfterValidator(_scope),
]


class TypeInput(Request):
    """An entry of the catalogue of types."""

    label: Annotated[str, Field(max_length=100, json_schema_extra=NO_NUL), AfterValidator(no_nul)] = ""
    description: Annotated[str, Field(max_length=1000, json_schema_extra=NO_NUL), AfterValidator(no_nul)] = ""
    category: Annotated[
        Category | None, Field(description="The category of its notifications, unless they have one of their own.")
    ] = None
    critical: Annotated[bool, Field(description="Users cannot switch it off.")] = False
    channels: Annotated[Policy, Field(description="Where else its notifications go; none by default.")] = Field(
        default_factory=list
    )

    def entry(self, type_: str) -> TypeEntry:
        """Convert for the layers below."""
        return TypeEntry(type_, self.label, self.description, self.category, self.critical, tuple(self.channels))


class TypeOnly(Request):
    """A type, by itself."""

    type: Type


class RuleInput(BaseModel):
    """Whether a channel is on for a scope; the narrowest scope that matches applies."""

    model_config = ConfigDict(extra="forbid")

    scope: Annotated[Scope, Field(description="`*`, a category or a type.")]
    channel: Literal["inbox", "web_push", "email", "apprise", "webhook"]
    enabled: bool
    until: Annotated[Time | None, Field(description="When the rule ends.")] = None


class QuietInput(BaseModel):
    """Hours in which push, mail and Apprise wait."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    from_: Annotated[Clock, Field(alias="from")]
    to: Clock
    timezone: Timezone

    @field_validator("to")
    @classmethod
    def _not_all_day(cls, value: str, info: object) -> str:
        if value == getattr(info, "data", {}).get("from_"):
            raise ValueError("must differ from the beginning")
        return value


class PreferencesInput(Request):
    """A user's preferences: which channels, and at which times."""

    longest = 256 * 1024

    rules: Annotated[list[RuleInput], Field(max_length=MOST_RULES)] = Field(default_factory=list)
    quiet: QuietInput | None = None

    @field_validator("rules")
    @classmethod
    def _once_each(cls, value: list[RuleInput]) -> list[RuleInput]:
        if len({(rule.scope, rule.channel) for rule in value}) < len(value):
            raise ValueError("must have one rule at the most for a scope and a channel")
        return value

    def preferences(self) -> Preferences:
        """Convert for the layers below."""
        rules = tuple(Rule(rule.scope, rule.channel, rule.enabled, rule.until) for rule in self.rules)
        quiet = self.quiet
        if quiet is None:
            return Preferences(rules)
        hours = time.fromisoformat(quiet.from_), time.fromisoformat(quiet.to)
        return Preferences(rules, QuietHours(*hours, quiet.timezone))


class ContactInput(Request):
    """Where a user's mail and messages go, and in which language."""

    email: Annotated[
        Annotated[str, Field(max_length=254, json_schema_extra={"pattern": EMAIL}), AfterValidator(_email)] | None,
        Field(description="Without an address the user gets no mail."),
    ] = None
    locale: Locale | None = None
    timezone: Timezone | None = None
    apprise: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=2000)]],
        Field(max_length=MOST_ADDRESSES, description="Addresses of Apprise, such as `ntfys://ntfy.example.com/aiko`."),
    ] = Field(default_factory=list)
