"""Importing notifications that another system has sent, as JSON lines."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any

import orjson
from pydantic import AwareDatetime, Field, ValidationError

from shirase.errors import FieldError, Invalid
from shirase.inbox.drafts import NewEntry, invalid
from shirase.store import imports
from shirase.store.database import Database
from shirase.types import Draft

BATCH = 1_000  # lines of a transaction
MAX_LINE = 64 * 1024  # bytes

SourceId = Annotated[str, Field(min_length=1, max_length=240)] | Annotated[int, Field(ge=0, lt=2**63)]


class ImportedEntry(NewEntry):
    """One line: the fields of a create, and what happened since."""

    id: SourceId | None = None  # in the system that it comes from
    created_at: AwareDatetime
    is_read: bool = False
    read_at: AwareDatetime | None = None


@dataclass(slots=True)
class Count:
    """What became of the lines."""

    imported: int = 0
    present: int = 0  # of an earlier run, or with a key that the user has
    outdated: int = 0  # over, or older than is kept


def import_lines(
    database: Database, lines: Iterable[bytes], retention_days: int, progress: Callable[[int], object]
) -> Count:
    """Import lines in order, each transaction as a whole; a line that is imported again changes nothing.

    Args:
        database: where they are stored.
        lines: each a JSON object; empty ones are passed over.
        retention_days: what is older is left out, since the relay would remove it at once.
        progress: is called with the bytes of each transaction's lines.

    Raises:
        Invalid: for the first line that is wrong, by its number. Those of earlier transactions stay imported.
    """
    count = Count()
    seen: Counter[str] = Counter()
    numbered = enumerate(lines, 1)
    while batch := list(islice(numbered, BATCH)):
        now = datetime.now(UTC)
        entries = [_read(number, line, now) for number, line in batch if line.strip()]
        kept = dict(_kept(entries, now - timedelta(days=retention_days), now, seen))
        count.outdated += len(entries) - len(kept)
        if kept:
            with database.transaction() as db:
                times = {whose: (entry.created_at, _read_at(entry)) for whose, (_, entry) in kept.items()}
                stored = imports.store(db, [draft for draft, _ in kept.values()], times, now)
            count.imported += stored
            count.present += len(kept) - stored
        progress(sum(len(line) for _, line in batch))
    return count


def _read(number: int, line: bytes, now: datetime) -> tuple[ImportedEntry, Any]:
    """The line, checked, and as it was."""
    if len(line) > MAX_LINE:
        raise Invalid(FieldError(f"line {number}", f"must have at most {MAX_LINE} bytes"))
    try:
        fields: Any = orjson.loads(line)
        if isinstance(fields, dict) and _is_over(fields.get("expires_at"), now):
            # A create refuses such a time; here the line is left out, as one of the past.
            line = orjson.dumps(fields | {"expires_at": None, "created_at": "0001-01-01T00:00:00Z"})
        return ImportedEntry.model_validate_json(line, strict=True), fields
    except orjson.JSONDecodeError as exc:
        raise Invalid(FieldError(f"line {number}", f"is not JSON: {exc}")) from exc
    except ValidationError as exc:
        wrong = invalid(exc).errors
        raise Invalid(*(FieldError(f"line {number}: {one.field}", one.message) for one in wrong)) from exc


def _is_over(value: Any, now: datetime) -> bool:
    try:
        return datetime.fromisoformat(value) <= now
    except (TypeError, ValueError):  # not a time, or one without a zone: named by the check of all fields
        return False


def _kept(
    entries: Iterable[tuple[ImportedEntry, Any]], oldest: datetime, now: datetime, seen: Counter[str]
) -> Iterator[tuple[tuple[str, str], tuple[Draft, ImportedEntry]]]:
    """By user and key; of two with one key in one transaction the later."""
    for entry, fields in entries:
        if not oldest < entry.created_at:
            continue
        entry.created_at = min(entry.created_at, now)
        key = entry.key or _key(entry, fields, seen)
        yield (entry.user_id, key), (Draft(entry.user_id, entry.content(key=key)), entry)


def _key(entry: ImportedEntry, fields: Any, seen: Counter[str]) -> str:
    """The id in the other system; without one, what the line says and how often it was said before it."""
    if entry.id is not None:
        return f"import:{entry.id}"
    digest = hashlib.sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
    seen[digest] += 1
    return f"import:{digest}:{seen[digest]}"


def _read_at(entry: ImportedEntry) -> datetime | None:
    return entry.read_at or (entry.created_at if entry.is_read else None)
