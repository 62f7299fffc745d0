"""An endpoint on a real server, and a relay's part by hand."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shirase.access.tokens import ADMIN
from shirase.inbox import notifications
from shirase.proxy.publisher import Publisher
from shirase.relay import webhooks as relay
from shirase.settings import Settings
from shirase.store import webhooks
from shirase.store.database import Database
from shirase.types import Draft
from tests.integration.webhooks.sending import FIRST
from tests.support.content import content
from tests.support.sink import Sink, sink


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, outbound_private_hosts=frozenset({"127.0.0.1"}))


@pytest.fixture
def server() -> Iterator[Sink]:
    with sink() as running:
        yield running


@pytest.fixture
def ask(client: FlaskClient, token: Callable[..., str]) -> Callable[..., TestResponse]:
    def send(method: str, path: str = "", body: Any = None, scope: str = ADMIN) -> TestResponse:
        headers = {"Authorization": f"Bearer {token('operator', scope)}"}
        return client.open(f"/api/webhooks{path}", method=method, json=body, headers=headers)

    return send


@pytest.fixture
def endpoint(ask: Callable[..., TestResponse], server: Sink) -> Sink:
    """An endpoint named ``a`` for every type."""
    body = {"url": f"{server.url}/in", "types": [], "secret": FIRST}
    assert ask("PUT", "/a", body).status_code == 201
    return server


@pytest.fixture
def create(database: Database, settings: Settings) -> Callable[..., None]:
    publisher = Publisher(settings)

    def make(*titles: str, user: str = "42", kind: str = "a.b", key: str | None = None) -> None:
        drafts = [Draft(user, content(kind, title, key=key)) for title in titles]
        notifications.create(database, publisher, drafts, answer=lambda _: "")

    return make


@pytest.fixture
def deliver(database: Database, settings: Settings) -> Callable[[], int]:
    """Return a function that sends everything that is due."""

    def send() -> int:
        with database.autocommit() as db:
            due = webhooks.due(db, datetime.now(UTC))
        return sum(relay.send(settings, database, number) for number in due)

    return send
