"""Headers for browsers: pages execute only their own files, data is not executed, framed or sniffed."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from shirase.flask.app import create_app
from shirase.settings import Settings
from shirase.web.browser_headers import DATA, PAGE


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The database does not matter here."""
    return sqlite_url


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    made = create_app(replace(settings, demo=True))
    yield made
    made.extensions["shirase"].database.close()


@pytest.mark.parametrize("path", ["/", "/api/docs"])
def test_a_page_runs_its_own_files_and_nothing_inline(client: FlaskClient, path: str) -> None:
    with client.get(path) as answer:
        assert (answer.status_code, answer.mimetype) == (200, "text/html")
        policy = answer.headers["Content-Security-Policy"]
        assert policy == PAGE
        assert "unsafe" not in policy
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert (rules["default-src"], rules["frame-ancestors"], rules["base-uri"]) == ("'self'", "'none'", "'none'")
        page = answer.get_data(as_text=True)
    for inline in ("<style", " style=", " onclick=", " onload=", "javascript:", "<script>"):
        assert inline not in page


def test_every_answer_declares_its_type_and_forbids_sniffing(client: FlaskClient, token: Callable[..., str]) -> None:
    bearer = {"Authorization": f"Bearer {token('42')}"}
    for path in ("/", "/demo/demo.js", "/api/docs", "/api/docs/show.js", "/api/openapi.json", "/healthz", "/nothing"):
        with client.get(path, headers=bearer) as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff", path
            assert answer.headers["Referrer-Policy"] == "no-referrer", path
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"], path
            assert "Set-Cookie" not in answer.headers


def test_private_answers_are_neither_cached_nor_executed(client: FlaskClient, token: Callable[..., str]) -> None:
    bearer = {"Authorization": f"Bearer {token('42')}"}
    for path in ("/api/notifications", "/api/notifications/unread-count", "/api/notifications/1", "/api/sse/status"):
        answer = client.get(path, headers=bearer)
        assert answer.headers["Cache-Control"] == "no-store", path
        assert answer.headers.get_all("Vary") == ["*"], path  # for the caches of service workers
        assert answer.headers["Content-Security-Policy"] == DATA, path
        assert answer.mimetype in ("application/json", "application/problem+json")
