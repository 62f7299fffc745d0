"""Drafts that are kept for later, as text: scheduled ones, and those of announcements."""

from datetime import datetime

import orjson

from shirase.fields import FIELDS, Content
from shirase.store.append import content_row
from shirase.types import Draft


def encode(draft: Draft) -> str:
    """All of a draft but its user."""
    kept = {"content": content_row(draft.content), "fold": draft.fold, "quiet": draft.quiet}
    return orjson.dumps(kept).decode()


def decode(text: str, user_id: str) -> Draft:
    """The draft for a user."""
    kept = orjson.loads(text)
    columns = {
        name: datetime.fromisoformat(value) if FIELDS[name].kind == "time" else value
        for name, value in kept["content"].items()
        if name in FIELDS
    }
    return Draft(user_id, Content(columns), fold=kept["fold"], quiet=kept["quiet"])
