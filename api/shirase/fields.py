"""The fields of a notification, declared once.

Columns, schemas of requests and answers, JSON, OpenAPI and the Python client's type derive from ``NotificationInput``.
To add an optional field, declare it there, add its column in a migration, and test it.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Literal, NotRequired, TypedDict, Union, get_args, get_origin, get_type_hints
from urllib.parse import urljoin
from uuid import UUID

import orjson
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    with_config,
)
from typing_extensions import TypedDict as CheckedDict  # pydantic requires this one before Python 3.12

from shirase.plain import is_deeper

MAX_PAYLOAD = 16 * 1024  # bytes of JSON
MAX_PAYLOAD_DEPTH = 100
MAX_NAME = 100  # characters of a type or topic
NAME_LETTER = r"[A-Za-z0-9._:\-]"  # in types, topics and categories
NAME = re.compile(rf"{NAME_LETTER}{{1,{MAX_NAME}}}")
NO_CONTROL = {"pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"}
NO_NUL = {"pattern": "^[^\\u0000]*$"}
# Browsers read "\" as "/" and ignore tabs and line ends: "//host", "/\host" and "/<TAB>/host" would leave the site.
ADDRESS = (
    "^(?:/(?:[^/\\\\\\s\\u0000-\\u001f\\u007f-\\u009f][^\\\\\\s\\u0000-\\u001f\\u007f-\\u009f]*)?"
    "|[Hh][Tt][Tt][Pp][Ss]?://[A-Za-z0-9\\u00a1-\\uffff\\[][^\\\\\\s\\u0000-\\u001f\\u007f-\\u009f]*)$"
)
KEY = "^(?!\\.{1,2}$)[^\\u0000-\\u001f\\u007f-\\u009f]*$"
_ADDRESS = re.compile(ADDRESS[1:-1])
_DATE = re.compile("[0-9]{4}-")
_TIME: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


def no_nul(value: str) -> str:
    """Check a text."""
    if "\x00" in value:  # PostgreSQL cannot store it
        raise ValueError("must not have the character NUL")
    return value


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError("must have no characters but A-Z, a-z, 0-9, . _ : and -")
    return value


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError("must be a path that begins with one /, or an http:// or https:// address, without spaces")
    return value


def absolute(base: str, address: str) -> str:
    """An ``Address`` with the base in front, if it is a path.

    Others are not parsed: that fails for some of them, such as ``https://[x/``.
    """
    return urljoin(base, address) if address.startswith("/") else address


def _key(value: str) -> str:
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise ValueError("must not have control characters")
    if value in (".", ".."):  # these cannot be part of a URL's path
        raise ValueError('must not be "." or ".."')
    return value


def _payload(value: dict[str, Any]) -> dict[str, Any]:
    if is_deeper(value, MAX_PAYLOAD_DEPTH):
        raise ValueError(f"must have at most {MAX_PAYLOAD_DEPTH} objects and arrays within one another")
    try:
        text = orjson.dumps(value)
    except TypeError as exc:
        raise ValueError("must have no integer of more than 64 bits") from exc
    if len(text) > MAX_PAYLOAD:
        raise ValueError(f"must have at most {MAX_PAYLOAD} bytes as JSON")
    if b"\\u0000" in text.replace(b"\\\\", b""):
        raise ValueError("must not have the character NUL")
    return value


def _parsed(value: Any, info: ValidationInfo) -> Any:
    """Read a time in JSON. By itself, pydantic takes digits alone for seconds since 1970, ``20301224`` too."""
    if info.mode != "json" or not isinstance(value, str):
        return value
    if not _DATE.match(value):
        raise ValueError("must be a time as in RFC 3339, such as 2026-12-24T18:00:00Z")
    try:
        return _TIME.validate_strings(value)
    except ValidationError as exc:
        raise ValueError(exc.errors()[0]["msg"]) from exc


def in_utc(value: datetime) -> datetime:
    """Check a time that is given with an offset: in UTC it may be beyond what a database stores."""
    try:
        return value.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("must be a time from the year 1 to the year 9999, in UTC") from exc


def _future(value: datetime) -> datetime:
    moment = in_utc(value)
    if moment <= datetime.now(UTC):
        raise ValueError("must be in the future")
    return moment


def message_of(detail: Mapping[str, Any]) -> str:
    """The text of an error of pydantic, which continues a sentence that begins with the field's name."""
    if detail["type"] == "extra_forbidden":
        return "is not a known field"
    return str(detail["msg"]).removeprefix("Value error, ")


# The patterns in ``json_schema_extra`` document what the validators enforce. Unlike pydantic's own check of a pattern,
# a validator answers with a sentence.
_NAMED = {"pattern": f"^{NAME_LETTER}+$"}
Type = Annotated[str, Field(min_length=1, max_length=MAX_NAME, json_schema_extra=_NAMED), AfterValidator(_name)]
Topic = Annotated[str, Field(min_length=1, max_length=MAX_NAME, json_schema_extra=_NAMED), AfterValidator(_name)]
Title = Annotated[str, Field(min_length=1, max_length=200, json_schema_extra=NO_NUL), AfterValidator(no_nul)]
Message = Annotated[str, Field(max_length=4000, json_schema_extra=NO_NUL), AfterValidator(no_nul)]
Payload = Annotated[dict[str, Any], AfterValidator(_payload)]
Time = Annotated[AwareDatetime, BeforeValidator(_parsed), AfterValidator(in_utc)]
Future = Annotated[AwareDatetime, BeforeValidator(_parsed), AfterValidator(_future)]
Address = Annotated[
    str, Field(min_length=1, max_length=2000, json_schema_extra={"pattern": ADDRESS}), AfterValidator(_address)
]


Label = Annotated[str, Field(min_length=1, max_length=40, json_schema_extra=NO_NUL), AfterValidator(no_nul)]
Name = Annotated[str, Field(min_length=1, max_length=100, json_schema_extra=NO_NUL), AfterValidator(no_nul)]
Category = Annotated[str, Field(min_length=1, max_length=50, json_schema_extra=_NAMED), AfterValidator(_name)]
Priority = Literal["low", "normal", "high"]
Key = Annotated[
    str,
    Field(min_length=1, max_length=255, json_schema_extra={"pattern": KEY}),
    AfterValidator(_key),
]


@with_config({"extra": "forbid"})
class Actor(CheckedDict):
    """Who a notification is about."""

    name: Name
    image: NotRequired[Address | None]


@with_config({"extra": "forbid"})
class Action(CheckedDict):
    """What a user can do about a notification: a button that leads somewhere."""

    label: Label
    url: Address
    primary: NotRequired[bool]


class NotificationInput(TypedDict):
    """What a producer sends. An optional field without an entry in ``DEFAULTS`` is null by default."""

    type: Type
    title: Title
    message: Message
    payload: NotRequired[Payload]
    expires_at: NotRequired[Future | None]
    url: NotRequired[Address | None]
    icon: NotRequired[Address | None]
    actor: NotRequired[Actor | None]
    actions: NotRequired[Annotated[list[Action], Field(max_length=3)]]
    category: NotRequired[Category | None]
    priority: NotRequired[Priority]
    key: NotRequired[Key | None]


class KeyedInput(NotificationInput):
    """The content, and how it replaces the user's present notification of the same key."""

    fold: NotRequired[bool]
    quiet: NotRequired[bool]


UserId = str | int | UUID  # an integer or a UUID counts as its text


class AddressedInput(KeyedInput):
    """The content for one user."""

    user_id: UserId


DEFAULTS: Mapping[str, Any] = {"payload": {}, "actions": [], "priority": "normal"}

Kind = Literal["text", "time", "json"]


@dataclass(frozen=True, slots=True)
class Declared:
    """A declared field, from which the layers derive columns and schemas."""

    name: str
    annotation: Any  # what pydantic validates and describes
    required: bool
    kind: Kind  # how it is stored
    length: int | None  # characters, of text

    @property
    def default(self) -> Any:
        """The value where NULL is stored."""
        return DEFAULTS.get(self.name)

    @property
    def nullable(self) -> bool:
        """Whether its column may be NULL, which stands for the default."""
        return not self.required and self.name != "payload"

    def to_column(self, value: Any) -> Any:
        """Convert a value for its column: objects and lists to JSON text, the default to NULL."""
        if self.nullable and value == self.default:
            return None
        return orjson.dumps(value).decode() if self.kind == "json" and value is not None else value


def _declared(name: str, hint: Any) -> Declared:
    annotation = get_args(hint)[0] if get_origin(hint) is NotRequired else hint
    base, length = _base(annotation)
    kind: Kind = "text" if base is str else "time" if base is AwareDatetime else "json"
    return Declared(
        name, annotation, name in NotificationInput.__required_keys__, kind, length if kind == "text" else None
    )


def _base(annotation: Any) -> tuple[Any, int | None]:
    """The Python type of an annotation, and the maximum length of a text."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return _base(next(argument for argument in arguments if argument is not type(None)))
    if origin is Annotated:
        lengths = [
            limit
            for argument in arguments[1:]
            for part in (argument, *getattr(argument, "metadata", ()))
            if (limit := getattr(part, "max_length", None))
        ]
        base, inner = _base(arguments[0])
        return base, (lengths or [inner])[0]
    if origin is Literal:
        return str, max(map(len, arguments))
    return origin or annotation, None


FIELDS: Mapping[str, Declared] = {
    name: _declared(name, hint) for name, hint in get_type_hints(NotificationInput, include_extras=True).items()
}


@dataclass(frozen=True, slots=True, eq=False)  # hashed by identity, for caches
class Content:
    """The declared fields as column values. The users of a broadcast share one."""

    columns: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        """The column of a declared field."""
        if name in FIELDS:
            return self.columns.get(name)
        raise AttributeError(name)


_DEFAULTS = {name: field.default for name, field in FIELDS.items()}


def to_json(content: Content) -> dict[str, Any]:
    """The declared fields for JSON."""
    shown = _DEFAULTS.copy()
    for name, value in content.columns.items():
        if value is not None:
            kind = FIELDS[name].kind
            shown[name] = orjson.Fragment(value) if kind == "json" else rfc3339(value) if kind == "time" else value
    return shown


@lru_cache(64)  # the rows of a batch share their times
def rfc3339(moment: datetime) -> str:
    """UTC with microseconds and ``Z`` (RFC 3339), always of the same width, so that text sorts like time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
