"""The catalogue of types: what each type of notification is, read from a file.

``TYPE_CATALOGUE`` names it, a TOML or JSON file with a table of each type::

    [types."interview.scheduled"]
    label = "Interviews"
    category = "hiring"
    channels = [{ channel = "email", after = "10m", unless = "read" }]

    [types."interview.scheduled".payload]
    type = "object"
    required = ["room"]
    properties.room.type = "string"

``payload`` is a JSON Schema (drafts 4, 6 and 7), by which each process checks payloads. A type without an entry may
have any payload. ``shirase types load`` writes the rest into the database, for preferences and policies.
"""

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import fastjsonschema
import orjson
from pydantic import TypeAdapter, ValidationError

from shirase.errors import FieldError, Invalid, SettingsError
from shirase.fields import NAME, message_of
from shirase.plain import as_json
from shirase.policies import Policy

SETTING = "TYPE_CATALOGUE"
MAX_DEPTH = 200  # levels of objects and arrays in a schema
KINDS: Mapping[str, tuple[type, str]] = {
    "payload": (dict, "a table"),
    "critical": (bool, "true or false"),
    "channels": (list, "an array"),
}
_POLICY: TypeAdapter[Any] = TypeAdapter(Policy)


@dataclass(frozen=True, slots=True)
class TypeEntry:
    """One type of notification. Another key of the file is another field here."""

    label: str = ""
    description: str = ""
    category: str | None = None  # of its notifications that have none of their own
    critical: bool = False  # no user can switch it off
    channels: Sequence[Mapping[str, Any]] = ()  # the policy
    payload: Mapping[str, Any] | None = None  # a JSON Schema

    @property
    def stored(self) -> dict[str, Any]:
        """The part in the database: the body of ``PUT /api/types/TYPE``."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "payload"}


@dataclass(frozen=True, slots=True, eq=False)  # hashed by identity, as part of the settings
class Catalogue:
    """The types that are declared, and what checks the payload of each."""

    types: Mapping[str, TypeEntry] = field(default_factory=dict)
    _checks: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check a file.

        Raises:
            SettingsError: naming what is wrong with it.
        """
        try:
            text = path.read_text()
            document = _json(text) if path.suffix == ".json" else tomllib.loads(text)
        except (OSError, UnicodeError, ValueError) as exc:
            raise SettingsError(SETTING, f"{path} cannot be read: {exc}") from exc
        except RecursionError as exc:
            raise SettingsError(SETTING, f"{path} is nested too deeply") from exc
        tables = document.get("types") if isinstance(document, dict) else None
        if not isinstance(tables, dict):
            raise SettingsError(SETTING, f'{path} needs a table "types"')
        types = {name: _entry(f'{path}: types."{name}"', name, table) for name, table in tables.items()}
        checks = {name: _compile(f'{path}: types."{name}".payload', entry.payload) for name, entry in types.items()}
        return cls(types, {name: check for name, check in checks.items() if check})

    def has_schema(self, type_: str) -> bool:
        """Whether the payloads of a type are checked."""
        return type_ in self._checks

    def check(self, type_: str, payload: Any, path: str = "payload") -> None:
        """Check a payload against the schema of its type.

        Raises:
            Invalid: naming the field of the payload that is wrong.
        """
        check = self._checks.get(type_)
        if check is None:
            return
        try:
            check(payload)
        except RecursionError as exc:
            raise Invalid(FieldError(path, f"the schema of {type_} refers to itself without an end")) from exc
        except fastjsonschema.JsonSchemaValueException as exc:
            name = ".".join([path, *map(str, exc.path[1:])])
            message = str(exc.message).removeprefix(str(exc.name)).strip() or "is not valid"
            raise Invalid(FieldError(name, f"{message} (schema of {type_})")) from exc


def _entry(where: str, name: str, table: Any) -> TypeEntry:
    if not NAME.fullmatch(name):
        raise SettingsError(SETTING, f"{where} is not a type: 1 to 100 characters of A-Z, a-z, 0-9, . _ : and -")
    if not isinstance(table, dict):
        raise SettingsError(SETTING, f"{where} must be a table")
    known = {each.name for each in fields(TypeEntry)}
    for key, value in table.items():
        if key not in known:
            hint = f"; if the type is {name}.{key}, put it in quotes" if isinstance(value, dict) else ""
            raise SettingsError(SETTING, f"{where}.{key} is unknown; known are {', '.join(sorted(known))}{hint}")
        kind, name_of_kind = KINDS.get(key, (str, "text"))
        if not isinstance(value, kind):
            raise SettingsError(SETTING, f"{where}.{key} must be {name_of_kind}")
    try:
        _POLICY.validate_python(table.get("channels", []))
    except ValidationError as exc:
        error = exc.errors()[0]
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
        raise SettingsError(SETTING, f"{where}.channels{path}: {message_of(error)}") from exc
    return TypeEntry(**table)


def _compile(where: str, schema: Mapping[str, Any] | None) -> Callable[[Any], Any] | None:
    if schema is None:
        return None
    if schema.get("type") != "object":
        raise SettingsError(SETTING, f'{where} must have "type": "object", as every payload is one')
    try:
        plain = as_json(schema, where, MAX_DEPTH)  # TOML has dates, infinity and NaN
    except Invalid as exc:
        [error] = exc.errors
        raise SettingsError(SETTING, f"{error.field}: {error.message}") from exc
    _refuse_zero(where, plain)
    try:
        check: Callable[[Any], Any] = fastjsonschema.compile(
            plain, handlers=dict.fromkeys(("http", "https", "ftp", "file", ""), _refuse), use_default=False
        )
        check({})
    except fastjsonschema.JsonSchemaValueException:
        pass  # an empty payload need not be valid
    except SyntaxError as exc:  # of the code that fastjsonschema writes
        raise SettingsError(SETTING, f"{where} is nested too deeply") from exc
    except RecursionError as exc:
        raise SettingsError(SETTING, f"{where} refers to itself without an end") from exc
    except Exception as exc:  # fastjsonschema raises whatever a wrong schema leads to
        raise SettingsError(SETTING, f"{where} is not a JSON Schema: {exc}") from exc
    return check


def _json(text: str) -> Any:
    result = orjson.loads(text)  # the stricter parser
    json.loads(text, object_pairs_hook=_distinct)
    return result


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise ValueError(f"the name {name!r} is given twice in one object")
        seen.add(name)


def _refuse_zero(where: str, part: Any) -> None:
    """Refuse a ``multipleOf`` that no number is a multiple of: the check of a payload would divide by it."""
    members = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for name, member in members:
        if name == "multipleOf" and isinstance(member, int | float) and member <= 0:
            raise SettingsError(SETTING, f"{where}.multipleOf must be more than 0")
        _refuse_zero(f"{where}.{name}", member)


def _refuse(uri: str) -> Any:
    raise SettingsError(SETTING, f"{uri} lies outside of the file")
