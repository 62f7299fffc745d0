"""JSON bodies that have one meaning only (RFC 8259)."""

import json
from typing import Any

import orjson

from shirase.errors import Malformed
from shirase.plain import is_deeper

MAX_BODY = 1024 * 1024  # bytes
MAX_DEPTH = 500  # objects and arrays within one another; a reader's recursion ends at 1,000 on some Pythons
TOO_DEEP = f"the body is nested more than {MAX_DEPTH} deep"


def check_json(raw: bytes) -> None:
    """Let pass what every reader of JSON takes for the same (RFC 8259, sections 4, 8.1 and 9).

    Raises:
        Malformed: for what is not JSON, NaN and lone surrogates included, for a name that is given twice in one
            object, and for what is nested deeper than ``MAX_DEPTH``.
    """
    try:
        content = orjson.loads(raw)  # the strict one, and quick to refuse
        if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and is_deeper(content, MAX_DEPTH):
            raise Malformed(TOO_DEEP)
        json.loads(raw, object_pairs_hook=_distinct, parse_int=len, parse_float=len)
    except orjson.JSONDecodeError as exc:
        raise Malformed(f"the body is not JSON: {exc}") from exc
    except RecursionError as exc:  # beneath a host's own deep stack
        raise Malformed(TOO_DEEP) from exc


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise Malformed(f"the name {name[:100]!r} is given twice in one object")
        seen.add(name)
