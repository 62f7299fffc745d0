"""Converts values of a host's code to JSON.

Types with one obvious text are converted to it: lazy translations (in the active language), ``Decimal``, ``UUID``,
times and members of enumerations. Any other type is refused with its path and name.
"""

from collections.abc import Iterable, Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any
from uuid import UUID

from shirase.errors import FieldError, Invalid

MAX_INTEGER = 2**63  # beyond it, JSON parsers disagree
_CONTAINERS = (dict, list)  # as a union it would be built for each member of a payload


def as_json(value: Any, path: str, most: int) -> Any:
    """Convert a value to JSON types, with a bound on the depth of containers.

    Raises:
        Invalid: naming the path of the part that JSON cannot hold, and its type.
    """
    value = as_text(value)
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return _number(value, path)
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if not isinstance(value, Mapping | list | tuple):
        raise Invalid(FieldError(path, f"{type(value).__name__} cannot be stored as JSON"))
    if not most:
        raise Invalid(FieldError(path, "is nested too deeply"))
    if isinstance(value, Mapping):
        return {_name(key, path): as_json(each, f"{path}.{key}", most - 1) for key, each in value.items()}
    return [as_json(each, f"{path}[{number}]", most - 1) for number, each in enumerate(value)]


def as_text(value: Any) -> Any:
    """Convert a lazy translation or a member of an enumeration to text; return anything else unchanged."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return str.__str__(value) if type(value) is not str else value
    # The lazy translations of Django, Flask-Babel and Babel behave like str, but are no subclass.
    is_late = not isinstance(value, type) and hasattr(value, "casefold") and hasattr(value, "encode")
    return str(value) if is_late else value


def is_deeper(value: Any, most: int) -> bool:
    """Whether containers of a JSON value are nested deeper. Iterative, since recursion is limited on some Pythons."""
    level = [value]
    for _ in range(most):
        level = [member for outer in level for member in _members(outer) if isinstance(member, _CONTAINERS)]
        if not level:
            return False
    return True


def _members(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _number(value: float, path: str) -> int | float:
    if isinstance(value, int) and not -MAX_INTEGER <= value < 2 * MAX_INTEGER:
        raise Invalid(FieldError(path, "the integer has more than 64 bits"))
    if not isfinite(value):
        raise Invalid(FieldError(path, f"{value} is not a number in JSON"))
    return value


def _name(key: Any, path: str) -> str:
    key = as_text(key)
    if isinstance(key, int | UUID) and not isinstance(key, bool):
        key = str(key)
    if not isinstance(key, str):
        raise Invalid(FieldError(path, f"has a key of type {type(key).__name__}, and JSON has text alone"))
    return key
