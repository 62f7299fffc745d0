"""Applications that guard every path, on each server, behind an nginx that strips a prefix: recoveries work."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from shirase.run.doctor.client_path import ClientPath
from shirase.run.doctor.findings import Failed
from shirase.run.processes import Child
from tests.conftest import MakeDatabase
from tests.support.browser_like import Browsers
from tests.support.hosts import DJANGO_SITE, ROOT, SIGN_IN, run
from tests.support.loop_thread import wait_until
from tests.support.nginx import nginx
from tests.support.service import Service, service
from tests.support.stack import Stack, free_ports

STARTED = 60.0
PAGE = 2  # missed events in one response
GUNICORN = ("gunicorn", "--bind", "{address}", "--threads", "4", "--no-control-socket")
UVICORN = ("uvicorn", "--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning")
UWSGI = ("--http-socket", "{address}", "--need-app", "--threads", "4", "--master", "--die-on-term")
FLASKS = {
    "gunicorn": ("-m", *GUNICORN, "tests.support.strict_flask:wsgi"),
    "uwsgi": (*UWSGI, "--module", "tests.support.strict_flask:wsgi"),
    "uvicorn": ("-m", *UVICORN, "tests.support.strict_flask:asgi"),
}
DJANGOS = {
    "django-gunicorn": ("-m", *GUNICORN, "django.core.wsgi:get_wsgi_application()"),
    "django-uvicorn": ("-m", *UVICORN, "--factory", "--lifespan", "off", "django.core.asgi:get_asgi_application"),
}
HOSTS = {**FLASKS, **DJANGOS}
# As in nginx's and Flask's manuals: the prefix is stripped, and sent in a header.
STRIPPING = """
proxy_buffering off;
location /app/ {{
    proxy_pass {url}/;
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-Prefix /app;
}}
location /redirected/ {{ return 302 /sign-in; }}
location /paged/ {{ default_type text/html; return 200 "sign in"; }}
location /forbidden/ {{ return 403; }}
"""
PATH = "/api/sse/notifications"


@dataclass(frozen=True)
class Town:
    """One Pushpin with all applications behind it and an nginx in front, and a user signed in at each."""

    service: Service
    nginx: str
    cookies: dict[str, str]
    users: dict[str, str]

    def inbox(self, host: str, *, stripped: bool) -> str:
        """Return the address of the application's inbox for clients."""
        return f"{self.nginx}/app/{host}/inbox" if stripped else f"{self.service.stack.url}/{host}/inbox"


@pytest.fixture(scope="module")
def town(make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory, browsers: Browsers) -> Iterator[Town]:
    places = dict(zip(HOSTS, (f"127.0.0.1:{port}" for port in free_ports(len(HOSTS))), strict=True))
    directory = tmp_path_factory.mktemp("strict")
    with ExitStack() as started:
        url = started.enter_context(make_database("sqlite"))
        stack = Stack(
            url,
            directory,
            env={"SSE_QUEUE_SIZE": str(PAGE)},
            mounts={f"/{host}/": place for host, place in places.items()},
            inboxes=[f"/{host}/inbox" for host in HOSTS],
        )
        running = started.enter_context(service(started.enter_context(stack), browsers))
        run([str(DJANGO_SITE / "manage.py"), "migrate"], environ_of(next(iter(DJANGOS)), stack), DJANGO_SITE)
        for host, place in places.items():
            child = started_host(host, place, environ_of(host, stack), stack.log_dir / f"{host}.log")
            started.callback(child.kill)
        http = started.enter_context(httpx.Client(trust_env=False))
        for host, place in places.items():
            log = stack.log_dir / f"{host}.log"
            wait_until(partial(answers, http, f"http://{place}/{host}/"), STARTED, log.read_text)
        before = started.enter_context(nginx(directory, STRIPPING.format(url=stack.url)))
        signed = [
            sign_in_to_django(host, environ_of(host, stack)) if host in DJANGOS else sign_in_to_flask(host, before)
            for host in HOSTS
        ]
        users, cookies = (dict(zip(HOSTS, each, strict=True)) for each in zip(*signed, strict=True))
        yield Town(running, before, cookies, users)


def environ_of(host: str, stack: Stack) -> dict[str, str]:
    paths = [str(ROOT / "tests" / "support" / "strict_django"), str(DJANGO_SITE), str(ROOT), *sys.path]
    own = {"STRICT_PREFIX": f"/{host}", "DJANGO_SETTINGS_MODULE": "strict_settings"}
    return {**os.environ, **stack.settings_env, **own, "PYTHONPATH": os.pathsep.join(paths)}


def started_host(host: str, place: str, environ: Mapping[str, str], log: Path) -> Child:
    program = str(Path(sys.executable).parent / "uwsgi") if host.endswith("uwsgi") else sys.executable
    words = [word.format(address=place, port=place.rpartition(":")[2]) for word in HOSTS[host]]
    child = Child(host, [program, *words], environ, mark=str(log))
    with log.open("ab") as output:
        child.start(output)
    return child


def answers(http: httpx.Client, url: str) -> bool:
    try:
        return http.get(url).status_code < 500
    except httpx.TransportError:
        return False


def sign_in_to_flask(host: str, before: str) -> tuple[str, str]:
    user = f"{host}-{uuid4().hex}"
    answer = httpx.get(f"{before}/app/{host}/sign-in", params={"user": user}, trust_env=False)
    return user, f"session={answer.cookies['session']}"


def sign_in_to_django(host: str, environ: Mapping[str, str]) -> tuple[str, str]:
    ((number, session),) = json.loads(
        run(["-c", SIGN_IN], environ, DJANGO_SITE, input_text=json.dumps([host]))
    ).values()
    return str(number), f"sessionid={session}"


@pytest.mark.parametrize(
    "route", [*(f"stripped {host}" for host in HOSTS), "direct gunicorn", "direct django-gunicorn"]
)
def test_what_was_missed_comes_in_pages_and_the_stream_is_live(town: Town, browsers: Browsers, route: str) -> None:
    prefixed, _, host = route.partition(" ")
    inbox = town.inbox(host, stripped=prefixed == "stripped")
    cookie, user = town.cookies[host], town.users[host]
    first = browsers.open(inbox, "", cookie=cookie)
    first.wait(lambda seen: seen.named("connected"))
    cursor = first.named("connected")[0].id
    first.close()
    missed = [f"{route} {number}" for number in range(10)]
    for title in missed:
        town.service.create(user, title)
    device = browsers.open(inbox, "", cookie=cookie, cursor=cursor)
    device.wait(lambda seen: seen.titles == missed)
    town.service.create(user, "live")
    device.wait(lambda seen: seen.titles == [*missed, "live"])
    # More than the proxy queues for a stream: a hint makes it recover.
    town.service.create_batch(user, [f"batch {number}" for number in range(60)])
    device.wait(lambda seen: seen.titles[-1] == "batch 59" and len(seen.titles) == 71)
    device.close()


@pytest.mark.parametrize("asked", [*HOSTS, "gunicorn?abort", "gunicorn?page"])
def test_who_is_not_signed_in_gets_401_in_json(town: Town, asked: str) -> None:
    host, _, query = asked.partition("?")
    for path in ("/api/notifications", PATH):
        answer = httpx.get(f"{town.inbox(host, stripped=True)}{path}?{query}", trust_env=False)
        result = (answer.status_code, answer.headers["Content-Type"], "WWW-Authenticate" in answer.headers)
        assert result == (401, "application/problem+json", True), answer.text


@pytest.mark.parametrize(
    ("host", "header", "value"),
    [
        *((host, "X-Forwarded-Prefix", "//evil.example") for host in HOSTS),
        *((host, "SCRIPT_NAME", f"/{host}") for host in ("gunicorn", "django-gunicorn")),
    ],
)
def test_no_header_of_a_client_steers_the_link(town: Town, host: str, header: str, value: str) -> None:
    headers = {"Cookie": town.cookies[host], "Accept": "text/event-stream", header: value}
    address, seen = town.inbox(host, stripped=False) + PATH, 0
    with httpx.stream("GET", address, headers=headers, trust_env=False) as stream:
        if stream.status_code == 404:  # gunicorn trusts SCRIPT_NAME, and serves another path
            return
        town.service.create_batch(town.users[host], [f"batch {number}" for number in range(60)])
        for line in stream.iter_lines():  # by the next link, since it is more than the proxy queues
            seen += line == "event: notification"
            if seen == 60:
                break
    assert seen == 60


@pytest.mark.parametrize("host", HOSTS)
def test_doctor_finds_the_inbox_of_each_host_open_to_the_proxy(town: Town, host: str) -> None:
    with closing(ClientPath(f"{town.nginx}/app", "", lambda: None)) as path:
        assert path.inbox(f"/{host}/inbox") == f"/{host}/inbox is answered by the mounted routes"


@pytest.mark.parametrize("guard", ["redirected", "paged", "forbidden"])
def test_doctor_names_a_guard_that_answers_the_proxy(town: Town, guard: str) -> None:
    with (
        closing(ClientPath(town.nginx, "", lambda: None)) as path,
        pytest.raises(Failed, match="streams stop receiving"),
    ):
        path.inbox(f"/{guard}/inbox")


@pytest.mark.parametrize("host", FLASKS)
def test_a_blueprint_is_exempt_from_csrf_tokens_by_one_line(town: Town, host: str) -> None:
    headers = {"Cookie": town.cookies[host]}
    address = town.inbox(host, stripped=False) + "/api/notifications/read-all"
    assert httpx.post(address, headers=headers, trust_env=False).status_code == 200
    elsewhere = {**headers, "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert httpx.post(address, headers=elsewhere, trust_env=False).status_code == 403


def test_any_wrapping_application_runs_under_our_gunicorn_config(town: Town, tmp_path: Path) -> None:
    (tmp_path / "wrapped.py").write_text(
        "import shirase.wsgi\nfrom werkzeug.middleware.proxy_fix import ProxyFix\n"
        "def app(environ, start):\n"
        "    if environ['PATH_INFO'] == '/exit': raise SystemExit\n"
        "    return ProxyFix(shirase.wsgi.app)(environ, start)\n"
    )
    place, log = f"127.0.0.1:{free_ports(1)[0]}", tmp_path / "log"
    environ = {**os.environ, **town.service.stack.settings_env, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "gunicorn", "-c", "python:shirase.run.gunicorn_config", "--bind", place]
    child = Child("wrapped", [*command, "--workers", "1", "--threads", "2", "wrapped:app"], environ, mark=str(tmp_path))
    with log.open("ab") as output:
        child.start(output)

    try:
        with httpx.Client(trust_env=False) as http:
            alive = partial(answers, http, f"http://{place}/healthz")
            wait_until(alive, STARTED, log.read_text)
            for _ in range(3):  # as many threads as there are, and one more
                assert not answers(http, f"http://{place}/exit")
                wait_until(alive, STARTED, log.read_text)
        assert "a thread has ended: this worker gives way to a new one" in log.read_text()
    finally:
        child.kill()
