"""One connection carries requests of several users, as from a proxy in front of ours."""

from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.support.browser_like import PATH
from tests.support.fronts import KINDS, front
from tests.support.service import Service

PATIENCE = 10.0
COUNT = "/api/notifications/unread-count"
HELD = (PATH, "/api/notifications/poll", "/api/sse/next", "/api/sse/next/x")


@pytest.fixture(params=["pushpin", *KINDS])
def door(request: pytest.FixtureRequest, service: Service, tmp_path: Path) -> Iterator[str]:
    """Return where clients connect: our proxy, or one in front that keeps its connection open."""
    if request.param == "pushpin":
        yield service.stack.url
    else:
        with front(request.param, tmp_path, service.stack.url) as url:
            yield url


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_nobody_gets_what_was_held_for_a_head_before(service: Service, door: str) -> None:
    carol, zoe = f"carol-{uuid4().hex}", f"zoe-{uuid4().hex}"
    secrets = [uuid4().hex for _ in range(3)]
    start = service.ask("GET", "/api/notifications/poll?timeout=1", carol).json()["cursor"]
    service.create_batch(carol, secrets)
    for path in HELD:
        service.create(carol, secrets[0])
        with closing(HTTPConnection(door.removeprefix("http://"), timeout=PATIENCE)) as line:
            line.request("HEAD", path, headers={"Last-Event-ID": start} | _bearer(service, carol))
            refused = line.getresponse()
            assert (refused.status, refused.read()) == (405, b""), path
            service.create(carol, secrets[1])  # live, were it held
            line.request("GET", COUNT, headers=_bearer(service, zoe))
            answer = line.getresponse()
            body = answer.read().decode()
            assert (answer.status, body) == (200, '{"unread_count":0}'), path
        # The front proxy reuses its connection for the next client.
        other = httpx.get(door + COUNT, headers=_bearer(service, zoe), trust_env=False, timeout=PATIENCE)
        assert (other.status_code, other.json()) == (200, {"unread_count": 0}), path
    assert service.ask("GET", "/api/sse/status", carol).json()["user_connections"] == 0


def _bearer(service: Service, user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {service.stack.token(user)}"}
