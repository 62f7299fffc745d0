"""Shared by the tests of webhooks: secrets, and what an endpoint got."""

import json
from base64 import b64encode

from sqlalchemy import text

from shirase.store.database import Database
from tests.support.sink import Got

FIRST, SECOND = (f"whsec_{b64encode(bytes([number]) * 32).decode()}" for number in (1, 2))
BOUND = 30.0


def titles(requests: list[Got]) -> list[str]:
    return [json.loads(post.body)["data"]["title"] for post in requests]


def make_due(database: Database) -> None:
    with database.transaction() as db:
        past = {"past": "2001-01-01T00:00:00.000000Z"}
        db.execute(text("UPDATE shirase_webhooks SET next_at = :past, claimed_until = :past"), past)
