"""Checks that a JSON body is unambiguous (RFC 8259)."""

import json
from collections import Counter
from typing import Any

import orjson

from shirase.errors import Malformed
from shirase.plain import is_deeper

MAX_BODY = 1024 * 1024  # bytes
DISCARDED = 8 * MAX_BODY  # of a body that is refused for its size: read, so that the response is not cut off
MAX_DEPTH = 500  # levels of objects and arrays; some Python parsers stop at a recursion depth of 1,000
TOO_DEEP = f"the body is nested more than {MAX_DEPTH} deep"


def check_json(raw: bytes) -> None:
    """Check that every parser reads the JSON alike (RFC 8259, sections 4, 8.1 and 9).

    Raises:
        Malformed: if it is not JSON (this includes NaN and lone surrogates), repeats a name in one object, or is nested
            deeper than ``MAX_DEPTH``.
    """
    try:
        content = orjson.loads(raw)  # the stricter parser, and quick to refuse
        if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and is_deeper(content, MAX_DEPTH):
            raise Malformed(TOO_DEEP)
        json.loads(raw, object_pairs_hook=_distinct, parse_int=len, parse_float=len)
    except orjson.JSONDecodeError as exc:
        raise Malformed(f"the body is not JSON: {exc}") from exc
    except RecursionError as exc:  # on top of a deep stack of the host
        raise Malformed(TOO_DEEP) from exc


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise Malformed(f"the name {name[:100]!r} is given twice in one object")
