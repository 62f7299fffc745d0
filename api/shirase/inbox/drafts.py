"""Validates what producers send, over HTTP or from a host's code, and reports invalid fields."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
)

from shirase.access.tokens import MAX_USER_ID, is_user_id
from shirase.errors import FieldError, Invalid
from shirase.fields import FIELDS, MAX_PAYLOAD_DEPTH, NO_CONTROL, Content, Declared, Future, Key, Topic, message_of
from shirase.plain import as_json, as_text
from shirase.types import EVERYONE, Draft

MAX_BATCH = 1000
MAX_BROADCAST = 10_000
MAX_MEMBERS = 10_000  # of a topic, in one change
_STORED_ALWAYS = frozenset(name for name, field in FIELDS.items() if not field.nullable)


def _user_id(value: str) -> str:
    if not is_user_id(value):
        raise ValueError("must not have control characters")
    return value


def _id_as_text(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)  # JSON Schema counts 2.0 as an integer
    return str(value) if isinstance(value, int | UUID) and not isinstance(value, bool) else value


_UserIdText = Annotated[str, Field(min_length=1, max_length=MAX_USER_ID, json_schema_extra=NO_CONTROL)]
UserIdField = Annotated[
    _UserIdText,
    AfterValidator(_user_id),
    BeforeValidator(_id_as_text, json_schema_input_type=_UserIdText | int),
]


class Request(BaseModel):
    """The base of all requests: unknown fields are errors, and text is not converted to numbers."""

    model_config = ConfigDict(extra="forbid")
    longest: ClassVar[int] = 1024 * 1024  # bytes of the body


R = TypeVar("R", bound=Request)


def _declared(*without: str) -> Any:
    fields: Any = {name: (field.annotation, _default(field)) for name, field in FIELDS.items() if name not in without}
    return create_model("Declared", __base__=Request, **fields)


def _default(field: Declared) -> Any:
    if field.required:
        return ...
    if isinstance(field.default, dict | list):  # pydantic would make a deep copy of it for each notification
        return Field(default_factory=field.default.copy, json_schema_extra={"default": field.default})
    return field.default


class _Content(Request):
    """The content fields, and how they replace a present notification of the same key."""

    fold: Annotated[
        bool, Field(description="While the present notification is unread, add one to its `count`. Needs a `key`.")
    ] = False
    quiet: Annotated[
        bool, Field(description="Leave the present notification read, and where it is in the list. Needs a `key`.")
    ] = False

    def content(self, **others: Any) -> Content:
        """Convert for the layers below."""
        names = _STORED_ALWAYS | (self.model_fields_set & FIELDS.keys())
        values = {**{name: getattr(self, name) for name in names}, **others}
        return Content({name: FIELDS[name].to_column(value) for name, value in values.items()})

    @field_validator("fold", "quiet")
    @classmethod
    def _needs_key(cls, value: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic calls it so
        if value and "key" in cls.model_fields and info.data.get("key", "") is None:
            raise ValueError("needs a key")
        return value


class NewContent(_Content, _declared()):  # type: ignore[misc]
    """The content fields."""


class _ForLater(_Content):
    """The optional time to send."""

    send_at: Annotated[Future, Field(description="When to send it, if not now.")] | None = None

    @field_validator("send_at")
    @classmethod
    def _before_its_end(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        expires_at = info.data.get("expires_at")
        if value and expires_at and value >= expires_at:
            raise ValueError("must be before expires_at")
        return value


class NewNotification(_ForLater, NewContent):
    """A notification to create."""

    user_id: UserIdField

    def draft(self) -> Draft:
        """Convert for the layers below."""
        return Draft(self.user_id, self.content(), self.fold, self.quiet)


class NewKeyed(_ForLater, _declared("key")):  # type: ignore[misc]
    """The notification of a key, to create or replace."""

    user_id: UserIdField

    def draft(self, key: str) -> Draft:
        """Convert for the layers below."""
        return Draft(self.user_id, self.content(key=key), self.fold, self.quiet)


class NewEntry(NewContent):
    """A notification of a batch or of a host's transaction, created now."""

    user_id: UserIdField

    def draft(self) -> Draft:
        """Convert for the layers below."""
        return Draft(self.user_id, self.content(), self.fold, self.quiet)


class NewBatch(Request):
    """Several notifications to create, all or nothing."""

    notifications: Annotated[list[NewEntry], Field(min_length=1, max_length=MAX_BATCH)]

    def drafts(self) -> list[Draft]:
        """Convert for the layers below."""
        return [notification.draft() for notification in self.notifications]


class NewBroadcast(NewContent):
    """One notification for many users, all or nothing."""

    user_ids: Annotated[list[UserIdField], Field(min_length=1, max_length=MAX_BROADCAST)]

    def drafts(self) -> list[Draft]:
        """Convert for the layers below: one draft a distinct user, all sharing one content."""
        content = self.content()
        return [Draft(user_id, content, self.fold, self.quiet) for user_id in dict.fromkeys(self.user_ids)]


class _Announced(NewContent):
    topic: Annotated[Topic, Field(description="`everyone`, or a topic that users are members of.")]
    for_newcomers: Annotated[
        bool, Field(description="Whether users who appear, or join the topic, later get it too.")
    ] = False

    def draft(self) -> Draft:
        """Convert for the layers below."""
        return Draft("", self.content(), self.fold, self.quiet)


class NewAnnouncement(_ForLater, _Announced):
    """A notification for everyone of a topic."""


class NewAnnouncementNow(_Announced):
    """An announcement in a host's transaction."""


class MemberChange(Request):
    """The users who join and leave a topic."""

    add: Annotated[list[UserIdField], Field(max_length=MAX_MEMBERS)] = []
    remove: Annotated[list[UserIdField], Field(max_length=MAX_MEMBERS)] = []

    @field_validator("remove")
    @classmethod
    def _one_or_the_other(cls, value: list[str], info: ValidationInfo) -> list[str]:
        added = info.data.get("add", [])
        if not set(value).isdisjoint(added):
            raise ValueError("must have no user who is in add too")
        if len(value) + len(added) > MAX_MEMBERS:
            raise ValueError(f"must have at most {MAX_MEMBERS} users, together with add")
        return value


class TopicOnly(Request):
    """A topic, by itself."""

    topic: Topic

    @field_validator("topic")
    @classmethod
    def _has_members(cls, value: str) -> str:
        if value == EVERYONE:
            raise ValueError("everyone has this topic, and nobody joins or leaves it")
        return value


class UserOnly(Request):
    """A user, alone."""

    user_id: UserIdField


def check_topic(topic: str) -> str:
    """Check the topic in a path.

    Raises:
        Invalid: if it cannot have members.
    """
    return str(check(TopicOnly, {"topic": topic}).topic)


class KeyOnly(Request):
    """A key, by itself."""

    key: Key


class Retraction(KeyOnly):
    """What to retract."""

    user_id: UserIdField


def check_key(key: str) -> str:
    """Check the key in a path.

    Raises:
        Invalid: if it is not a valid key.
    """
    return str(check(KeyOnly, {"key": key}).key)


def check(model: type[R], fields: Mapping[str, Any]) -> R:
    """Validate the arguments of a host's code, after converting values with one obvious text (see ``plain``).

    Raises:
        Invalid: with every invalid field.
    """
    try:
        return model.model_validate(_plain(fields), strict=True)
    except ValidationError as exc:
        raise invalid(exc) from exc


def _plain(value: Any, path: str = "") -> Any:
    """Convert lazy translations and enumerations to text, and payloads to plain JSON."""
    if isinstance(value, Mapping):
        return {
            name: as_json(each, f"{path}payload", MAX_PAYLOAD_DEPTH)
            if name == "payload" and isinstance(each, Mapping)
            else _plain(each, f"{path}{name}.")
            for name, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_plain(each, f"{path.rstrip('.')}[{number}].") for number, each in enumerate(value)]
    return as_text(value)


def invalid(error: ValidationError) -> Invalid:
    """Convert pydantic's errors to ours, with field names as clients know them."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return Invalid(*(FieldError(_path(detail["loc"]), message_of(detail)) for detail in details[:100]))


def _path(location: tuple[int | str, ...]) -> str:
    """``("notifications", 3, "title")`` as ``notifications[3].title``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or "(body)"
