"""What producers send, over HTTP or from a host's own code, checked; and how a wrong field is reported."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from shirase.access.tokens import MAX_USER_ID, is_user_id
from shirase.errors import FieldError, Invalid
from shirase.fields import FIELDS, MAX_PAYLOAD_DEPTH, NO_CONTROL, Content
from shirase.plain import as_json, as_text
from shirase.types import Draft

MAX_BATCH = 1000
MAX_BROADCAST = 10_000


def _user_id(value: str) -> str:
    if not is_user_id(value):
        raise ValueError("must not have control characters")
    return value


def _id_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int | UUID) and not isinstance(value, bool) else value


UserIdField = Annotated[
    str,
    Field(min_length=1, max_length=MAX_USER_ID, json_schema_extra=NO_CONTROL),
    AfterValidator(_user_id),
    BeforeValidator(_id_as_text, json_schema_input_type=str | int),
]


class Request(BaseModel):
    """What all requests share: an unknown field is an error, and text is not taken for a number."""

    model_config = ConfigDict(extra="forbid")


R = TypeVar("R", bound=Request)


_Declared: Any = create_model(
    "_Declared",
    __base__=Request,
    **{  # type: ignore[call-overload]
        name: (field.annotation, ... if field.required else field.default) for name, field in FIELDS.items()
    },
)


class NewContent(_Declared):  # type: ignore[misc]
    """The fields that a producer sends."""

    def content(self) -> Content:
        """The same for the layers below."""
        return Content({name: field.to_column(getattr(self, name)) for name, field in FIELDS.items()})


class NewNotification(NewContent):
    """A notification to create."""

    user_id: UserIdField

    def draft(self) -> Draft:
        """The same for the layers below."""
        return Draft(self.user_id, self.content())


class NewBatch(Request):
    """Several notifications to create, all or nothing."""

    notifications: Annotated[list[NewNotification], Field(min_length=1, max_length=MAX_BATCH)]

    def drafts(self) -> list[Draft]:
        """The same for the layers below."""
        return [one.draft() for one in self.notifications]


class NewBroadcast(NewContent):
    """One notification for many users, all or nothing."""

    user_ids: Annotated[list[UserIdField], Field(min_length=1, max_length=MAX_BROADCAST)]

    def drafts(self) -> list[Draft]:
        """The same for the layers below: one a distinct user, all with the one content."""
        content = self.content()
        return [Draft(user_id, content) for user_id in dict.fromkeys(self.user_ids)]


def check(model: type[R], fields: Mapping[str, Any]) -> R:
    """Read what a host's own code says; what has one obvious text is taken as that (see ``plain``).

    Raises:
        Invalid: with every field that is wrong.
    """
    try:
        return model.model_validate(_plain(fields), strict=True)
    except ValidationError as exc:
        raise invalid(exc) from exc


def _plain(value: Any, path: str = "") -> Any:
    """The same fields with plain text for late translations and enumerations, and with payloads of plain JSON."""
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
    """What is wrong with which field, as users are told."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return Invalid(*(FieldError(_path(one["loc"]), one["msg"].removeprefix("Value error, ")) for one in found[:100]))


def _path(location: tuple[int | str, ...]) -> str:
    """``("notifications", 3, "title")`` as ``notifications[3].title``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or "(body)"
