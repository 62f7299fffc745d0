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

BATCH = 1_000  # lines in one transaction
MAX_LINE = 64 * 1024  # bytes

SourceId = Annotated[str, Field(min_length=1, max_length=240)] | Annotated[int, Field(ge=0, lt=2**63)]


class ImportedEntry(NewEntry):
    """One line: the fields of a create, and the notification's state."""

    id: SourceId | None = None  # in the other system
    created_at: AwareDatetime
    is_read: bool = False
    read_at: AwareDatetime | None = None


@dataclass(slots=True)
class Count:
    """The number of lines by outcome."""

    imported: int = 0
    present: int = 0  # imported before, or with a key that the user has
    outdated: int = 0  # expired, or beyond the retention


def import_lines(
    database: Database, lines: Iterable[bytes], retention_days: int, progress: Callable[[int], object]
) -> Count:
    """Import lines in order, in transactions. A line that was imported before changes nothing.

    Args:
        database: where they are stored.
        lines: each a JSON object; empty ones are skipped.
        retention_days: older lines are skipped, since the relay would remove them at once.
        progress: called with the number of bytes of each transaction.

    Raises:
        Invalid: for the first invalid line, with its number. Earlier transactions stay imported.
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
                times = {owner: (entry.created_at, _read_at(entry)) for owner, (_, entry) in kept.items()}
                stored = imports.store(db, [draft for draft, _ in kept.values()], times, now)
            count.imported += stored
            count.present += len(kept) - stored
        progress(sum(len(line) for _, line in batch))
    return count


def _read(number: int, line: bytes, now: datetime) -> tuple[ImportedEntry, Any]:
    """Parse and validate a line; returns the entry and the JSON object."""
    if len(line) > MAX_LINE:
        raise Invalid(FieldError(f"line {number}", f"must have at most {MAX_LINE} bytes"))
    try:
        fields: Any = orjson.loads(line)
        if isinstance(fields, dict) and _is_over(fields.get("expires_at"), now):
            # A create refuses such a time; here the line counts as too old.
            line = orjson.dumps(fields | {"expires_at": None, "created_at": "0001-01-01T00:00:00Z"})
        return ImportedEntry.model_validate_json(line, strict=True), fields
    except orjson.JSONDecodeError as exc:
        raise Invalid(FieldError(f"line {number}", f"is not JSON: {exc}")) from exc
    except ValidationError as exc:
        wrong = invalid(exc).errors
        raise Invalid(*(FieldError(f"line {number}: {error.field}", error.message) for error in wrong)) from exc


def _is_over(value: Any, now: datetime) -> bool:
    try:
        return datetime.fromisoformat(value) <= now
    except (TypeError, ValueError):  # no time, or one without a zone: the validation below reports it
        return False


def _kept(
    entries: Iterable[tuple[ImportedEntry, Any]], oldest: datetime, now: datetime, seen: Counter[str]
) -> Iterator[tuple[tuple[str, str], tuple[Draft, ImportedEntry]]]:
    """The entries by user and key; of two with the same key the later."""
    for entry, fields in entries:
        if not oldest < entry.created_at:
            continue
        entry.created_at = min(entry.created_at, now)
        key = entry.key or _key(entry, fields, seen)
        yield (entry.user_id, key), (Draft(entry.user_id, entry.content(key=key)), entry)


def _key(entry: ImportedEntry, fields: Any, seen: Counter[str]) -> str:
    """The id in the other system; without one, a digest of the line and the number of equal lines before it."""
    if entry.id is not None:
        return f"import:{entry.id}"
    digest = hashlib.sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
    seen[digest] += 1
    return f"import:{digest}:{seen[digest]}"


def _read_at(entry: ImportedEntry) -> datetime | None:
    return entry.read_at or (entry.created_at if entry.is_read else None)
