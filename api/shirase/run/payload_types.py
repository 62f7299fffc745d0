"""TypeScript and Python types of the payloads, from the JSON Schemas of a catalogue."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any

import orjson

from shirase.catalogue import Catalogue

NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
DEEPEST = 20  # a schema may refer to itself

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Language:
    """How a language writes types."""

    scalars: Mapping[str, str]
    any: str
    list_of: Callable[[str], str]
    map_of: Callable[[str], str]
    literal: Callable[[Any], str]
    object_of: Callable[[str, list[tuple[str, str, bool]]], str]  # a name, and its properties


def typescript(catalogue: Catalogue) -> str:
    """A module that declares ``Payloads`` of the package ``shirase``."""
    language = _Language(
        {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"},
        "unknown",
        lambda item: f"({item})[]" if " | " in item else f"{item}[]",
        lambda item: f"{{ [key: string]: {item} }}",
        _json,
        lambda _name, properties: (
            "{ " + " ".join(f"{_json(key)}{'' if must else '?'}: {kind};" for key, kind, must in properties) + " }"
        ),
    )
    lines = [
        f"    {_json(name)}: {_write(language, name, entry.payload, entry.payload)};"
        for name, entry in sorted(catalogue.types.items())
        if entry.payload is not None
    ]
    head = '// Written by `shirase types write`; do not edit.\nimport "shirase";\n\ndeclare module "shirase" {\n'
    return f"{head}  interface Payloads {{\n" + "".join(f"{line}\n" for line in lines) + "  }\n}\n"


def python(catalogue: Catalogue) -> str:
    """A module with a ``TypedDict`` of each type's payload."""
    classes: list[str] = []

    def declare(name: str, properties: list[tuple[str, str, bool]]) -> str:
        shown = {key: kind if must else f"NotRequired[{kind}]" for key, kind, must in properties}
        body = ", ".join(f"{key!r}: {kind}" for key, kind in shown.items())
        if all(NAME.fullmatch(key) and not iskeyword(key) and not key.startswith("__") for key in shown):
            lines = "".join(f"    {key}: {kind}\n" for key, kind in shown.items()) or "    pass\n"
            classes.append(f"class {name}(TypedDict):\n{lines}")
        else:
            classes.append(f"{name} = TypedDict({name!r}, {{{body}}})\n")
        return name

    language = _Language(
        {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"},
        "Any",
        lambda item: f"list[{item}]",
        lambda item: f"dict[str, {item}]",
        lambda value: f"Literal[{value!r}]" if isinstance(value, str | int | bool | None) else "Any",
        declare,
    )
    names: dict[str, str] = {}
    for name, entry in sorted(catalogue.types.items()):
        if entry.payload is not None:
            unique = _class_name(name)
            while unique in names.values():
                unique += "_"
            names[name] = _write(language, unique, entry.payload, entry.payload)
    table = "".join(f"    {name!r}: {kind}\n" for name, kind in names.items())
    described = (
        f"# Of each type:\n#\n{''.join('# ' + line.strip() + chr(10) for line in table.splitlines())}" if table else ""
    )
    head = '"""Payloads of notifications. Written by ``shirase types write``; do not edit."""\n\n'
    head += "from typing import Any, Literal, NotRequired, TypedDict  # noqa: F401\n\n"
    return head + described + "".join(f"\n\n{each}" for each in classes)


def _write(to: _Language, name: str, schema: Any, root: Schema, depth: int = 0) -> str:
    """The type of what a schema allows, as narrow as both languages can express it."""
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        return to.any
    if "$ref" in schema:
        return _write(to, name, _resolve(root, schema["$ref"]), root, depth + 1)
    if "const" in schema or "enum" in schema:
        return " | ".join(dict.fromkeys(map(to.literal, schema.get("enum", [schema.get("const")]))))
    for union in ("anyOf", "oneOf"):
        if union in schema:
            parts = [_write(to, f"{name}{n}", each, root, depth + 1) for n, each in enumerate(schema[union], 1)]
            return " | ".join(dict.fromkeys(parts))
    kinds = schema.get("type", to.any)
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return " | ".join(dict.fromkeys(_of_kind(to, name, kind, schema, root, depth) for kind in kinds))


def _of_kind(to: _Language, name: str, kind: str, schema: Schema, root: Schema, depth: int) -> str:
    if kind == "array":
        return to.list_of(_write(to, f"{name}Item", schema.get("items"), root, depth + 1))
    if kind != "object":
        return to.scalars.get(kind, to.any)
    properties = schema.get("properties", {})
    if not properties:
        return to.map_of(_write(to, f"{name}Value", schema.get("additionalProperties"), root, depth + 1))
    required = schema.get("required", [])
    shown = [
        (key, _write(to, name + _class_name(key), each, root, depth + 1), key in required)
        for key, each in properties.items()
    ]
    return to.object_of(name, shown)


def _resolve(root: Schema, reference: str) -> Any:
    value: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        value = value.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(value, Mapping) and part else value
    return value


def _class_name(text: str) -> str:
    words = re.split(r"[^A-Za-z0-9]+", text)
    name = "".join(word[:1].upper() + word[1:] for word in words)
    return name if NAME.fullmatch(name) and not iskeyword(name) else f"Type{name}"


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
