"""``PUBLIC_URL``: a service that an edge serves under a prefix."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from shirase.access.tokens import WRITE
from shirase.settings import Settings
from tests.support.control_port import control_port

PUBLIC = "https://example.com/notify"
NEW = {"user_id": "42", "type": "a.b", "title": "T", "message": "M"}


@pytest.fixture
def settings(settings: Settings) -> Iterator[Settings]:
    with control_port() as running:
        yield replace(settings, grip_url=(running.url,), public_url=PUBLIC)


def test_location_is_an_address_that_clients_can_use(client: FlaskClient, token: Callable[..., str]) -> None:
    answer = client.post("/api/notifications", json=NEW, headers={"Authorization": f"Bearer {token('42', WRITE)}"})
    assert answer.headers["Location"] == f"{PUBLIC}/api/notifications/{answer.json['id']}"  # type: ignore[index]


def test_openapi_names_the_public_address(client: FlaskClient) -> None:
    assert client.get("/api/openapi.json").json["servers"] == [{"url": PUBLIC}]  # type: ignore[index]


def test_the_docs_page_works_under_any_prefix(client: FlaskClient) -> None:
    with client.get("/api/docs") as page, client.get("/api/docs/show.js") as script:
        assert '="/' not in page.get_data(as_text=True)
        assert '"/' not in script.get_data(as_text=True)
