"""Servers that confuse `Grip_Last` with `Grip-Last`: from the proxy it would have a valid signature."""

import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.conftest import REFUSED, MakeDatabase
from tests.support.browser_like import Browsers
from tests.support.hosts import INBOXES, Host, Server, django_host, flask_host, mounts
from tests.support.loop_thread import wait_until
from tests.support.stack import Stack

MEI = "mei"
PATIENCE = 20.0
TRIES = 5
NOT_PUBLISHED = {"GRIP_URL": REFUSED, "PUBLISH_TIMEOUT": "1", "SSE_KEEPALIVE_TIMEOUT": "1"}
WSGI = (
    "from a2wsgi import WSGIMiddleware; from examples.flask_host import create_app; app = WSGIMiddleware(create_app())"
)
ASGI = "from django.core.asgi import get_asgi_application; app = get_asgi_application()"


def uwsgi(address: str, directory: Path, application: str) -> list[str]:
    options = ["--master", "--need-app", "--enable-threads", "--lazy-apps", "--die-on-term", "--disable-logging"]
    where = ["--http-socket", address, "--chdir", str(directory), "--pythonpath", str(directory)]
    return [str(Path(sys.executable).with_name("uwsgi")), *options, *where, "--wsgi", application]


def uvicorn(address: str, directory: Path, application: str) -> list[str]:
    host, _, port = address.partition(":")
    run = f"import sys, uvicorn; sys.path.insert(0, {str(directory)!r}); {application}"
    return [sys.executable, "-c", f"{run}; uvicorn.run(app, host={host!r}, port={port}, log_level='warning')"]


@pytest.fixture(scope="module", params=[uwsgi, uvicorn], ids=lambda server: server.__name__)
def hosts(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Host]]:
    """Run both examples under a server that confuses the two spellings."""
    server: Server = request.param
    flask, django = (WSGI, ASGI) if server is uvicorn else ("examples.flask_host:create_app()", "hiring.wsgi")
    places, directory = mounts(), tmp_path_factory.mktemp("lax")
    with (
        make_database("sqlite") as url,
        Stack(url, directory, workers=1, env=NOT_PUBLISHED, mounts=places, inboxes=INBOXES) as stack,
        flask_host(stack, places["/hiring/"], [MEI], server, flask) as by_flask,
        django_host(stack, places["/site/"], [MEI], server=server, application=django) as by_django,
    ):
        yield {"flask": by_flask, "django": by_django}


@pytest.fixture(params=["flask", "django"])
def host(request: pytest.FixtureRequest, hosts: dict[str, Host]) -> Host:
    return hosts[request.param]


def test_no_spelling_of_a_name_makes_a_recovery(host: Host) -> None:
    secret = uuid4().hex
    host.schedule(MEI, secret)
    spellings = (["Grip_Last"], ["GRIP_LAST"], ["grip-Last"], ["Grip-Last", "grip_last"])
    for names, connection in product(spellings, ("c-00", f"c-{'0' * 16}-0-{'0' * 32}")):
        last = f"{channel_of(host.ids[MEI])}; last-id=0, {connection}; last-id=0"
        headers = [(name, last) for name in names]
        for _ in range(TRIES):
            answer = httpx.get(f"{host.inbox}/api/sse/next", headers=headers, trust_env=False, timeout=PATIENCE)
            if answer.status_code != 502:  # as Pushpin 1.41 answers now and then, when uWSGI closes at once
                break
        assert (answer.status_code, secret in answer.text) == (403, False)


def test_no_spelling_of_a_name_makes_a_held_poll(host: Host) -> None:
    """A forged repeat would bypass the ticket and the rate limit."""
    last = f"w-{channel_of(host.ids[MEI])[2:]}; last-id=0-{int(time.time()) + 60}"
    for held in (last, f"{last}-{'0' * 32}"):
        answer = host.ask("GET", "/api/notifications/poll?timeout=1", MEI, headers={"Grip_Last": held})
        assert (answer.status_code, answer.json()["events"]) == (200, [])


def test_a_recovery_of_the_proxys_own_is_answered(host: Host, browsers: Browsers) -> None:
    """Nothing is published here, so only a recovery can deliver the event."""
    device = host.open(browsers, MEI)
    title = uuid4().hex
    host.schedule(MEI, title)
    hint = {"items": [{"channel": channel_of(host.ids[MEI]), "formats": {"http-stream": {"action": "hint"}}}]}

    def arrived() -> bool:
        httpx.post(f"{host.stack.control_urls[0]}/publish/", json=hint).raise_for_status()
        return title in device.titles

    wait_until(arrived, PATIENCE, "the stream is not recovered")
    assert device.connections == 1


def channel_of(user_id: str) -> str:
    return "u-" + urlsafe_b64encode(user_id.encode()).decode().rstrip("=")
