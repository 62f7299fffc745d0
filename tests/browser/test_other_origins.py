"""Pages of other origins in a real browser: what listed ones may do with a user's cookie, and others may not."""

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from shirase.access.tokens import WRITE
from shirase.store.migrate import migrate
from tests.browser.conftest import PATIENCE
from tests.support.stack import Stack

COOKIE = "session"
LIMIT = 5  # streams of one user
# Opens a stream as a page of another origin does, and returns how it ended.
LISTEN = """([url, withCredentials]) => new Promise((resolve) => {
    const stream = new EventSource(url, { withCredentials });
    stream.addEventListener("connected", (event) => { stream.close(); resolve(JSON.parse(event.data).user_id); });
    stream.onerror = () => { stream.close(); resolve("refused"); };
})"""
# The same without an end; the events so far are in the page's title.
LISTEN_ON = """(url) => {
    const stream = new EventSource(url, { withCredentials: true });
    stream.addEventListener("connected", () => { document.title = "connected"; stream.close(); });
    stream.onerror = () => { document.title = stream.readyState === 2 ? "gave up" : "waits"; };
}"""
# Opens so many WebSockets at once, and returns how each ended.
CONNECT = """([url, count]) => Promise.all(Array.from({ length: count }, () => new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.onopen = () => resolve("opened");
    socket.onclose = () => resolve("refused");
})))"""
FETCH = """async ([url, method, headers]) => {
    try {
        const answer = await fetch(url, { method, headers, credentials: "include" });
        return [answer.status, await answer.json(), answer.headers.get("X-Request-Id") !== null];
    } catch { return "unreadable"; }
}"""


class EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title>")

    def log_message(self, *_: Any) -> None:
        pass


@dataclass(frozen=True)
class Elsewhere:
    stack: Stack
    listed: str
    other: str


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """A service and two other origins, one of them listed."""
    directory = tmp_path_factory.mktemp("elsewhere")
    database_url = f"sqlite:///{directory / 'shirase.db'}"
    migrate(database_url)
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) for _ in range(2)]
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in servers]
    for thread in threads:
        thread.start()
    listed, other = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    env = {"AUTH_COOKIE": COOKIE, "CORS_ORIGINS": listed, "SSE_MAX_CONNECTIONS_PER_USER": str(LIMIT)}
    try:
        with Stack(database_url, directory, workers=1, env=env) as stack:
            yield Elsewhere(stack, listed, other)
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


@pytest.fixture
def at(browser: Browser, elsewhere: Elsewhere) -> Iterator[Any]:
    """Return a function that opens an origin's page in a browser with the user's cookie."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    context.add_cookies([{"name": COOKIE, "value": elsewhere.stack.token("aiko"), "url": elsewhere.stack.url}])

    def go(origin: str) -> Page:
        page = context.new_page()
        page.goto(origin)
        return page

    yield go
    context.close()


def test_credentials_work_from_listed_origins_only(elsewhere: Elsewhere, at: Any) -> None:
    url = f"{elsewhere.stack.url}/api/sse/notifications"
    assert at(elsewhere.listed).evaluate(LISTEN, [url, True]) == "aiko"
    assert at(elsewhere.listed).evaluate(LISTEN, [url, False]) == "refused"  # without the cookie there is no caller
    assert at(elsewhere.other).evaluate(LISTEN, [url, True]) == "refused"


def test_only_listed_origins_read_answers_and_errors(elsewhere: Elsewhere, at: Any) -> None:
    """Including requests with a preflight: a custom header and a non-simple method."""
    url = elsewhere.stack.url
    listed, other = at(elsewhere.listed), at(elsewhere.other)
    asked: list[tuple[list[Any], int]] = [
        (["/api/notifications/unread-count", "GET", {"Last-Event-ID": "<x>"}], 200),
        (["/api/notifications/read-all", "POST", {}], 200),
        (["/api/notifications/1", "DELETE", {}], 404),
        (["/api/notifications", "POST", {"Idempotency-Key": "k", "Content-Type": "application/json"}], 403),
        (["/api/notifications", "GET", {"Authorization": "Bearer x"}], 401),
        (["/nothing", "GET", {}], 404),
    ]
    for (path, *how), status in asked:
        result = listed.evaluate(FETCH, [url + path, *how])
        assert (result[0], result[2]) == (status, True), path
        assert other.evaluate(FETCH, [url + path, *how]) == "unreadable", path


def test_an_event_source_returns_after_an_outage_of_the_handlers(elsewhere: Elsewhere, at: Any) -> None:
    url = elsewhere.stack.url
    listed, other = at(elsewhere.listed), at(elsewhere.other)
    elsewhere.stack.stop_gunicorn()
    try:
        asked = [f"{url}/api/notifications/1", "DELETE", {"Authorization": "Bearer x"}]  # needs a preflight
        status, document, _ = listed.evaluate(FETCH, asked)
        assert (status, document["status"]) == (503, 503)
        assert other.evaluate(FETCH, asked) == "unreadable"
        listed.evaluate(LISTEN_ON, f"{url}/api/sse/notifications")
        listed.wait_for_function("document.title !== 'elsewhere'")
        assert listed.title() == "waits"
    finally:
        elsewhere.stack.start_gunicorn()
    listed.wait_for_function("document.title === 'connected'")


def test_another_origin_changes_nothing_with_the_users_cookie(elsewhere: Elsewhere, at: Any) -> None:
    """A form needs no preflight, and the cookie is sent: these origins differ by port only, so they are one site."""
    page = at("data:text/html,<title>elsewhere</title>")  # an opaque origin: another site to the browser
    url = f"{elsewhere.stack.url}/api/notifications/read-all"
    with page.expect_response(url) as response:
        page.evaluate(
            """(action) => {
                const form = document.body.appendChild(document.createElement("form"));
                form.method = "post";
                form.action = action;
                form.submit();
            }""",
            url,
        )
    assert response.value.status in (401, 403)


def test_the_page_to_read_the_document_works_under_its_policy(browser: Browser, elsewhere: Elsewhere) -> None:
    context = browser.new_context()
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(f"{elsewhere.stack.url}/api/docs")
    page.get_by_text("Create a notification", exact=True).click(timeout=PATIENCE)
    page.get_by_text("Idempotency-Key").first.wait_for(timeout=PATIENCE)
    context.close()
    assert complaints == []


def test_a_sibling_origin_changes_nothing_with_the_cookie(elsewhere: Elsewhere, at: Any) -> None:
    """Another port is of the same site, so a cookie with SameSite=Lax is sent."""
    page = at(elsewhere.other)
    url = f"{elsewhere.stack.url}/api/notifications/read-all"
    with page.expect_response(url) as response:
        page.evaluate(
            """(url) => void fetch(url, { method: "POST", mode: "no-cors", credentials: "include" })""",
            url,
        )
    assert response.value.status == 403


def test_a_websocket_of_another_origin_ends_no_stream(elsewhere: Elsewhere, at: Any) -> None:
    """A handshake is a GET with the cookie; Chromium sends no Sec-Fetch-Site on it."""
    token = elsewhere.stack.token("aiko", WRITE)
    page = at(elsewhere.other)
    headers = {"Authorization": f"Bearer {token}"}
    with (
        httpx.Client(headers=headers, base_url=elsewhere.stack.url, timeout=20) as http,
        http.stream("GET", "/api/sse/notifications") as own,
    ):
        lines = own.iter_lines()
        assert "event: connected" in itertools.islice(lines, 4)
        for path in ("/api/sse/notifications", "/api/notifications/poll"):
            assert (
                page.evaluate(CONNECT, [elsewhere.stack.url.replace("http", "ws") + path, LIMIT]) == ["refused"] * LIMIT
            )
        sent = {"user_id": "aiko", "type": "t", "title": "still here", "message": ""}
        assert http.post("/api/notifications", json=sent).status_code == 201
        events = (line for line in lines if line in ("event: notification", "event: closing"))
        assert next(events) == "event: notification"
