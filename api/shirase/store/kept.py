"""Encodes drafts as text columns, for scheduled notifications and announcements."""

from datetime import datetime

import orjson

from shirase.fields import FIELDS, Content
from shirase.store.append import content_row
from shirase.types import Draft


def encode(draft: Draft) -> str:
    """Encode a draft, without its user."""
    fields = {"content": content_row(draft.content), "fold": draft.fold, "quiet": draft.quiet}
    return orjson.dumps(fields).decode()


def decode(text: str, user_id: str) -> Draft:
    """Decode a draft for a user."""
    fields = orjson.loads(text)
    columns = {
        name: datetime.fromisoformat(value) if FIELDS[name].kind == "time" else value
        for name, value in fields["content"].items()
        if name in FIELDS
    }
    return Draft(user_id, Content(columns), fold=fields["fold"], quiet=fields["quiet"])
