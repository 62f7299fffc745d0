"""What every route and event must have."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import validate

from shirase.flask.adapter import AnyText
from shirase.flask.app import create_app
from shirase.types import ARCHIVED, DELETED, NOTIFICATION, READ, SEEN, UNARCHIVED, UNREAD, UPDATED
from shirase.web.blueprint import Endpoint, by_path
from shirase.web.openapi import describe
from tests.support.nowhere import NOWHERE

ROOT = Path(__file__).parent.parent.parent
# Pages and their files; the demo signs tokens for anyone and is mounted with --demo alone.
WITHOUT_OPERATION = {"docs.page", "docs.swagger_ui", "docs.static"}
EVENTS = (
    "connected",
    *(NOTIFICATION, UPDATED, READ, UNREAD, ARCHIVED, UNARCHIVED, SEEN, DELETED),
    "heartbeat",
    "reset",
    "closing",
)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    made = create_app(replace(NOWHERE, database_url=f"sqlite:///{tmp_path}/none.db"))
    yield made
    made.extensions["shirase"].database.close()


def test_every_route_declares_who_may_use_it(app: Flask) -> None:
    described = by_path(endpoints(app))
    silent = {
        rule.endpoint for rule in app.url_map.iter_rules() if rule.rule.replace(AnyText.NAME, "path") not in described
    }
    assert silent == WITHOUT_OPERATION


def test_the_demo_is_not_mounted_without_being_asked_for(app: Flask) -> None:
    assert not [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("demo.")]
    assert app.test_client().get("/").status_code == 404


def test_every_private_route_needs_a_token_or_the_proxy(app: Flask) -> None:
    client = app.test_client()
    public = set()
    for endpoint in endpoints(app):
        path = (
            endpoint.path.replace("<int:number>", "1")
            .replace("<sealed>", "x")
            .replace("<path:key>", "k")
            .replace("<topic>", "t")
        )
        if client.open(path, method=endpoint.method).status_code not in (401, 403):
            public.add(path)
    assert public == {
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/openapi.json",
        "/api/unsubscribe/x",
    }  # the last is signed


def test_the_openapi_document_is_valid(app: Flask) -> None:
    document = describe(endpoints(app), app.extensions["shirase"].settings)
    validate(document)
    assert document["openapi"] == "3.1.0"


def test_every_operation_is_documented(app: Flask) -> None:
    page = (ROOT / "docs/http-api.md").read_text()
    paths = app.test_client().get("/api/openapi.json").json["paths"]  # type: ignore[index]
    names = {"number": "ID", "user_id": "ID", "kind": "TYPE"}
    named = [re.sub(r"{(\w+)}", lambda match: names.get(match[1], match[1].upper()), path) for path in paths]
    assert [path for path in named if path.removeprefix("/api/notifications") not in page] == []


def test_every_event_is_in_the_protocol() -> None:
    page = (ROOT / "docs/protocol.md").read_text()
    assert [event for event in EVENTS if f"`{event}`" not in page] == []


def test_every_event_is_in_the_streams_description(app: Flask) -> None:
    document: dict[str, Any] = describe(endpoints(app), app.extensions["shirase"].settings)
    description = document["paths"]["/api/sse/notifications"]["get"]["description"]
    assert [event for event in EVENTS if f"| `{event}` |" not in description] == []


def test_the_docs_page_serves_its_own_files_only(app: Flask) -> None:
    client = app.test_client()
    for path, status in (
        ("", 200),
        ("/show.js", 200),
        ("/contrast.css", 200),
        ("/swagger-ui/swagger-ui.css", 200),
        ("/swagger-ui/../../settings.py", 404),
        ("/../operation.py", 404),
    ):
        with client.get(f"/api/docs{path}") as answer:
            assert answer.status_code == status, path


def endpoints(app: Flask) -> list[Endpoint]:
    result: list[Endpoint] = app.extensions["shirase.endpoints"]
    return result


def test_no_public_name_needs_an_extra() -> None:
    code = """
import sys
sys.modules.update(dict.fromkeys(["greenlet", "fastapi", "starlette", "django", "apprise"]))
from shirase import *
from sqlalchemy.orm import sessionmaker
from tests.support.nowhere import NOWHERE
import shirase.testing
Notifier(NOWHERE).attach(sessionmaker())
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
