"""What tests of living notifications share: a client of the REST API for any user."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shirase.access.tokens import WRITE
from shirase.inbox import events
from shirase.store import log
from shirase.store.database import Database

NEW = {"user_id": "42", "type": "a.b", "title": "T", "message": "M"}


class Api:
    def __init__(self, client: FlaskClient, token: Callable[..., str], database: Database) -> None:
        self.client, self.token, self.database = client, token, database

    def __call__(self, method: str, path: str, body: Any = None, user: str = "42") -> TestResponse:
        headers = {"Authorization": f"Bearer {self.token(user, WRITE if user == 'svc' else '')}"}
        return self.client.open(f"/api{path}", method=method, json=body, headers=headers)

    def put(self, key: str = "k", **fields: Any) -> TestResponse:
        return self("PUT", f"/notifications/keys/{quote(key, safe='')}", {**NEW, **fields}, "svc")

    def create(self, **fields: Any) -> int:
        return int(self("POST", "/notifications", {**NEW, **fields}, "svc").json["id"])  # type: ignore[index]

    def retract(self, key: str = "k", query: str = "?user_id=42") -> TestResponse:
        return self("DELETE", f"/notifications/keys/{quote(key, safe='')}{query}", None, "svc")

    def change(self, what: str, *ids: int) -> Any:
        return self("POST", f"/notifications/{what}", {"ids": list(ids)} if ids else None).json

    def ids(self, query: str = "") -> list[int]:
        return [notification["id"] for notification in self.page(query)]

    def page(self, query: str = "") -> Any:
        return self("GET", f"/notifications{query}").json["notifications"]  # type: ignore[index]

    def counts(self) -> Any:
        return self("GET", "/notifications/counts").json

    def log(self, after: int = 0) -> list[tuple[str, Any]]:
        """The events after a seq, as a returning device receives them."""
        with self.database.autocommit() as db:
            result = log.read_events(db, "42", after + 1, 10_000, 10_000, datetime.now(UTC))
        shown = [events.to_sse("db", event) for event in result]
        return [(notification.event, json.loads(notification.data)) for notification in shown if notification]
