"""What a service logs at DEBUG, and what it never logs."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from shirase.access.tokens import ADMIN, WRITE
from tests.conftest import MakeDatabase
from tests.support.browser_like import PATH, Browsers
from tests.support.forwarder import Mode
from tests.support.fragile import Fragile, fragile_service
from tests.support.loop_thread import wait_until
from tests.support.service import draft

BOUND = 30.0
TEXT = "the-secret-text"  # of a notification
FORGED = "forged-token"
ALICE = "alice"


@pytest.fixture(scope="module")
def debugged(
    tmp_path_factory: pytest.TempPathFactory, browsers: Browsers, make_database: MakeDatabase
) -> Iterator[Fragile]:
    """Start a service on PostgreSQL, whose errors quote rows, that logs everything in JSON."""
    env = {"LOG_LEVEL": "DEBUG", "LOG_FORMAT": "json"}
    home = tmp_path_factory.mktemp("debugged")
    with make_database("postgresql") as url, fragile_service(url, home, browsers, env=env) as running:
        yield running


def lines(debugged: Fragile, name: str) -> list[dict[str, Any]]:
    """Parse a program's log, every line of which must be JSON."""
    return [json.loads(line) for line in (debugged.stack.log_dir / f"{name}.log").read_text().splitlines()]


def of_request(debugged: Fragile, answer: httpx.Response) -> list[dict[str, Any]]:
    number = answer.headers["X-Request-Id"]
    return [line for line in lines(debugged, "gunicorn") if line.get("request_id") == number]


def test_every_line_of_a_request_carries_its_id_user_and_event(debugged: Fragile) -> None:
    made = debugged.service.ask_to_create(ALICE)

    result = of_request(debugged, made)

    assert {line["user"] for line in result if "event" in line} == {"producer"}
    assert [line["event"] for line in result if line["message"].startswith("POST create 201")] == ["alice/1"]


def test_log_lines_of_a_stream_carry_its_connection(debugged: Fragile) -> None:
    device = debugged.service.open("bob")
    connection = device.named("connected")[0].json["connection_id"]

    result = [line for line in lines(debugged, "gunicorn") if line.get("connection") == connection]

    assert {line["user"] for line in result} == {"bob"}
    assert result[-1]["message"].startswith("GET ")


def test_events_left_to_the_relay_are_logged(debugged: Fragile) -> None:
    debugged.control.mode = Mode.REFUSE
    answer = debugged.service.ask_to_create("carol")
    debugged.control.mode = Mode.PASS

    result = of_request(debugged, answer)

    assert [line["event"] for line in result if line["message"] == "1 of 1 events are left to the relay"] == ["carol/1"]
    wait_until(
        lambda: any("were left unpublished" in line["message"] for line in lines(debugged, "relay-0")),
        BOUND,
        "the relay logged nothing",
    )


def test_no_token_and_no_text_is_ever_logged(debugged: Fragile) -> None:
    service, stack = debugged.service, debugged.stack
    token = stack.token(ALICE, f"{WRITE} {ADMIN}")
    tickets = _tickets(service.http, stack.url, token)
    _use_everything(debugged, token)
    _forge(debugged)
    _break(debugged, token)

    logged = "".join(path.read_text() for path in stack.log_dir.iterdir())
    assert '"levelname": "DEBUG"' in logged
    assert '"exc_info"' in logged
    secrets = [stack.settings.jwt_secret, stack.settings.pushpin_sig_key, token, token.rpartition(".")[2]]
    for secret in (TEXT, FORGED, *secrets, *tickets):
        assert secret not in logged
    for name in ("gunicorn", "relay-0"):
        assert lines(debugged, name)


def _use_everything(debugged: Fragile, token: str) -> None:
    """Call every operation of the document, with valid and invalid bodies and queries."""
    service, url = debugged.service, debugged.stack.url
    document = service.http.get(f"{url}/api/openapi.json").json()
    note = {**draft(TEXT, user_id=ALICE), "message": TEXT, "payload": {"text": TEXT}}
    broadcast = {**draft(TEXT), "message": TEXT, "user_ids": [ALICE, "bob"]}
    bodies = [note, {"notifications": [note]}, broadcast, {"ids": [1]}, {TEXT: TEXT}, {**note, "type": TEXT + " "}]
    stream = service.browsers.open(url, token)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            after = {"after": "x"} if path.endswith("/poll") else {}  # answered at once
            for query in (after, {"token": token, **after}, {"ticket": FORGED, "limit": TEXT, "after": TEXT}):
                for body in bodies if "requestBody" in operation else [None]:
                    _ask(debugged, method, path.replace("{number}", "1"), token, params=query, json=body)
    stream.drop()
    stream.wait(lambda seen: seen.connections >= 2)
    _ask(
        debugged,
        "post",
        "/api/notifications",
        token,
        content=TEXT.encode(),
        headers={"Content-Type": "application/json"},
    )
    _ask(debugged, "post", "/api/notifications", token, content=TEXT.encode())
    for _ in range(2):
        _ask(debugged, "post", "/api/notifications", token, json=note, headers={"Idempotency-Key": "one"})
        note = {**note, "title": f"{TEXT} again"}


def _forge(debugged: Fragile) -> None:
    for url in (debugged.stack.url, debugged.stack.origin_url):
        for path in (PATH, "/api/sse/next", f"/api/sse/next/{FORGED}", f"/{FORGED}", "/api/notifications"):
            for headers in (
                {"Authorization": f"Bearer {FORGED}"},
                {"Authorization": FORGED},
                {"Cookie": f"t={FORGED}"},
            ):
                with suppress(httpx.HTTPError):
                    debugged.service.http.get(url + path, params={"token": FORGED}, headers=headers)
    for request in (
        f"GET /api/x?token={FORGED} NONSENSE\r\n\r\n",
        f"{FORGED}\r\n\r\n",
        f"GET / HTTP/1.1\r\n{FORGED}\r\n\r\n",
    ):
        for port in (debugged.stack.proxies[0].client_port, int(debugged.stack.origin_url.rpartition(":")[2])):
            with closing(socket.create_connection(("127.0.0.1", port), timeout=BOUND)) as raw:
                raw.sendall(request.encode())
                raw.shutdown(socket.SHUT_WR)
                while raw.recv(4096):
                    pass


def _break(debugged: Fragile, token: str) -> None:
    """Break the schema, the origin and the control port."""
    note = {**draft(TEXT, user_id=ALICE), "message": TEXT, "payload": {"text": TEXT}}
    table = "ALTER TABLE shirase_notifications"
    for broken, repaired, status in (
        ("RENAME title TO heading", "RENAME heading TO title", 503),
        ("ADD CONSTRAINT odd CHECK (title <> message) NOT VALID", "DROP CONSTRAINT odd", 500),
    ):
        _execute(debugged, f"{table} {broken}")
        answer = _ask(debugged, "post", "/api/notifications", token, json={**note, "title": TEXT})
        assert answer is not None
        assert answer.status_code == status
        _execute(debugged, f"{table} {repaired}")
    for part in (debugged.origin, debugged.control):
        for mode in (Mode.REFUSE, Mode.CUT, Mode.FAIL):
            part.mode = mode
            _ask(
                debugged,
                "post",
                "/api/notifications",
                token,
                json={**note, "message": f"{TEXT}."},
                params={"token": token},
            )
            _ask(debugged, "get", "/api/notifications/unread-count", token, params={"token": token})
        part.mode = Mode.PASS


def _ask(debugged: Fragile, method: str, path: str, token: str, **options: Any) -> httpx.Response | None:
    """Return an answer, or the beginning of a stream."""
    headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
    url = debugged.stack.url + path
    with suppress(httpx.HTTPError), debugged.service.http.stream(method, url, headers=headers, **options) as answer:
        if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
            answer.read()
        return answer
    return None


def _execute(debugged: Fragile, statement: str) -> None:
    with debugged.service.database.transaction() as db:
        db.execute(text(statement))


def _tickets(http: httpx.Client, url: str, token: str) -> list[str]:
    """Issue tickets and use them, as soon as that is possible."""
    answer = http.post(f"{url}/api/sse/tickets", headers={"Authorization": f"Bearer {token}"})
    if answer.is_error:
        return []
    ticket: str = answer.json()["ticket"]
    with http.stream("GET", url + PATH, params={"ticket": ticket}):
        return [ticket]
