"""Raw bytes to the proxy that no well-behaved client would send."""

import json
import socket
from contextlib import closing
from uuid import uuid4

import pytest

from shirase.inbox.streams import NEXT_PATH
from shirase.proxy.grip import connection_channel, user_channel
from tests.attack.hostile import IDS
from tests.support.browser_like import PATH
from tests.support.fragile import PAGE
from tests.support.service import Service

PATIENCE = 10.0  # seconds to wait for an answer
OPERATORS = ("shirase_requests", "# HELP", '"database"', '"unavailable"')  # text of operator pages only


def user() -> str:
    return f"user-{uuid4().hex}"


def knock(url: str, request: str) -> str:
    """Send the bytes as they are, and read until the other side is done."""
    host, _, port = url.removeprefix("http://").partition(":")
    with closing(socket.create_connection((host, int(port)), PATIENCE)) as connection:
        connection.sendall(request.encode("latin-1"))
        connection.shutdown(socket.SHUT_WR)
        parts = []
        try:
            while part := connection.recv(65536):
                parts.append(part)
        except (TimeoutError, ConnectionResetError):
            pass
        return b"".join(parts).decode("latin-1")


def get(path: str, *lines: str, method: str = "GET") -> str:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", *lines, "", ""])


@pytest.mark.parametrize("page", ["metrics", "readyz"])
def test_no_spelling_of_a_path_reaches_operator_paths(service: Service, page: str) -> None:
    first = f"%{ord(page[0]):02x}"
    spellings = [
        f"/{page}",
        f"/{page}/",
        f"/{page}?x",
        f"/{page}#x",
        f"/{page};x",
        f"/{page}%00",
        f"/{page}%20",
        f"/{page.upper()}",
        f"//{page}",
        f"///{page}",
        f"/./{page}",
        f"/.//{page}",
        f"/../{page}",
        f"/api/../{page}",
        f"/api/%2e%2e/{page}",
        f"/api/..%2f{page}",
        f"/healthz/../{page}",
        f"/x/..//{page}",
        f"/{first}{page[1:]}",
        f"/%2f{page}",
        f"/%5c{page}",
        f"/\\{page}",
        f"/;/{page}",
        f"/?/{page}",
        f"http://x/{page}",
        f"http://x//{page}",
        f"http://127.0.0.1/{page}",
        f"https://x/{page}",
        page,
        f"*{page}",
        f"?/{page}",
    ]
    for path in spellings:
        for method in ("GET", "HEAD", "POST"):
            answer = knock(service.stack.url, get(path, method=method))
            assert not [word for word in OPERATORS if word in answer], (method, path)
            assert answer[9:12] != "200" or answer.startswith("HTTP/1.1 200") is False or path.startswith("/?"), path
    for header in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Path", "X-Forwarded-Prefix", "SCRIPT_NAME"):
        answer = knock(service.stack.url, get("/healthz", f"{header}: /{page}"))
        assert not [word for word in OPERATORS if word in answer], header


def test_the_control_port_is_not_reachable_by_the_client_port(service: Service) -> None:
    alice = user()
    device = service.open(alice)
    item = {"channel": user_channel(alice), "formats": {"http-stream": {"content": "event: forged\ndata: x\n\n"}}}
    for path in ("/publish/", "/publish", "//publish/", "/%70ublish/", "/api/publish/"):
        answer = service.ask("POST", path, alice, json={"items": [item]})
        assert answer.status_code in (404, 405)
    service.create(alice, "real")
    device.wait(lambda seen: seen.titles == ["real"])
    assert device.named("forged") == []


@pytest.mark.parametrize(
    "spelling",
    [
        "Grip-Last: {}",
        "grip-last: {}",
        "GRIP-LAST:{}",
        "Grip_Last: {}",
        "GRIP_LAST: {}",
        "Grip-Last : {}",
        "Grip-Last\t: {}",
        " Grip-Last: {}",
        "X: y\r\n Grip-Last: {}",
        "X: y\nGrip-Last: {}",
        "X: y\rGrip-Last: {}",
        "Grip-Last: x\r\nGrip-Last: {}",
        "Connection: Grip-Sig\r\nGrip-Last: {}",
        "\x00Grip-Last: {}",
    ],
)
def test_no_spelling_of_grip_last_recovers_anothers_stream(service: Service, spelling: str) -> None:
    """Some servers confuse `Grip_Last` with `Grip-Last`; from the proxy it would have a valid signature."""
    alice = user()
    service.create(alice, "secret")
    last = f"{user_channel(alice)}; last-id=0,{connection_channel('a' * 16)}; last-id=0"
    for path in (NEXT_PATH, f"{PATH}?token={service.stack.token('mallory')}"):
        answer = knock(service.stack.url, get(path, spelling.format(last)))
        assert "secret" not in answer
        assert user_channel(alice) not in answer
    assert " 200 " not in knock(service.stack.url, get(NEXT_PATH, spelling.format(last))).partition("\r\n")[0]


def test_a_users_own_grip_headers_change_nothing(service: Service) -> None:
    """Neither in a request nor in an answer."""
    alice, mallory = user(), user()
    victim = user_channel(alice)
    own = {
        "Grip-Hold": "stream",
        "Grip-Channel": f"{victim}; prev-id=0",
        "Grip-Link": f"<{NEXT_PATH}>; rel=next; timeout=1",
        "Grip-Last": f"{victim}; last-id=0",
        "Grip-Sig": "x",
        "Grip-Feature": "x",
        "Grip-Status": "299",
        "Grip-Set-Meta": "user=alice",
        "Sec-Grip-Hold": "stream",
    }
    plain = service.ask("GET", "/api/notifications", mallory)
    answer = service.ask("GET", "/api/notifications", mallory, headers=own)
    assert (answer.status_code, answer.content) == (200, plain.content)
    with service.http.stream(
        "GET", f"{service.stack.url}{PATH}", headers=own | {"Authorization": f"Bearer {service.stack.token(mallory)}"}
    ) as stream:
        service.create(alice, "secret")
        service.create(mallory, "mine")
        assert stream.status_code == 200
        for line in stream.iter_lines():
            assert "secret" not in line
            if "mine" in line:
                break


def test_every_id_reaches_its_own_stream_alone(service: Service) -> None:
    """However similar the ids, also on the next page of a long replay."""
    tag = uuid4().hex[:8]
    users = [(tag + user_id)[:255] for user_id in IDS]
    assert len(set(users)) == len(users)
    devices = service.open_many(users)
    for number, each in reversed(list(enumerate(users))):
        service.create(each, str(number))
    for number, device in enumerate(devices):
        device.wait(lambda seen: seen.log)
        assert device.titles == [str(number)]
    longest = users[-1]
    cursor = devices[-1].received[0].id
    service.create_batch(longest, [str(number) for number in range(PAGE + 5)])
    late = service.open(longest, cursor=cursor)
    late.wait(lambda seen: len(seen.log) == PAGE + 6)


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\tchunked\r\nTransfer-Encoding: identity",
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: +4",
        "Content-Length: 0x4",
        "Content-Length: -1",
        "Content-Length: 99999999999999999999",
    ],
)
def test_a_request_hidden_in_anothers_body_is_not_answered(service: Service, framing: str) -> None:
    """Request smuggling: proxy and origin must not differ on where a body ends; the origin reads one request anyway."""
    alice = user()
    token = service.stack.token(alice)
    hidden = get("/api/notifications/unread-count", f"Authorization: Bearer {token}", "X-Hidden: yes")
    request = get("/api/notifications/read", f"Authorization: Bearer {token}", framing, method="POST")
    answer = knock(service.stack.url, request + "0\r\n\r\n" + hidden)
    assert '"unread_count":' not in answer
    assert json.loads(service.ask("GET", "/api/notifications/unread-count", alice).text) == {"unread_count": 0}
