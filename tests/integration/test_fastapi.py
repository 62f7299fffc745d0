"""The routes inside FastAPI and Starlette applications, in this process: sign-ins, prefixes and errors."""

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import httpx
import jwt
import pytest
from fastapi import Depends, FastAPI, Header, HTTPException
from openapi_spec_validator import validate
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from shirase.access.tokens import ADMIN, WRITE, Identity
from shirase.fastapi import router
from shirase.settings import Settings
from shirase.starlette import routes
from shirase.web.openapi import describe
from shirase.web.operation import PROXY
from shirase.web.operations import FOR_HOSTS
from tests.support.loop_thread import run_async

LIST, STREAM = "/inbox/api/notifications", "/inbox/api/sse/notifications"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The database does not matter here."""
    return sqlite_url


async def by_dependency(x_user: Annotated[str | None, Header()] = None) -> Identity | str | int | None:
    if x_user == "closed":
        raise HTTPException(403, "this account is closed", {"X-Reason": "closed"})
    if x_user == "broken":
        raise ZeroDivisionError
    if x_user == "operator":
        return Identity("operator", frozenset({ADMIN}))
    if x_user == "producer":
        return Identity("producer", frozenset({WRITE}))
    return int(x_user) if x_user and x_user.isdecimal() else x_user


def nested(user: Annotated[Any, Depends(by_dependency)]) -> Any:
    return user


async def by_coroutine(request: Request) -> Any:
    return await by_dependency(request.headers.get("X-User"))


def unannotated(request):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    return by_coroutine(request)


def by_function(request: Request) -> Awaitable[Any]:
    return by_coroutine(request)


def in_fastapi(settings: Settings, identify: Any, topics: Any = None) -> FastAPI:
    app = FastAPI()
    app.include_router(router(settings, identify=identify, topics=topics), prefix="/inbox")
    return app


def in_starlette(settings: Settings, identify: Any) -> Starlette:
    return Starlette(routes=[Mount("/inbox", routes=routes(settings, identify=identify))])


HOSTS: dict[str, Callable[[Settings], Starlette]] = {
    "dependency": lambda settings: in_fastapi(settings, by_dependency),
    "nested": lambda settings: in_fastapi(settings, nested),
    "Depends": lambda settings: in_fastapi(settings, Depends(nested)),
    "function of a request": lambda settings: in_fastapi(settings, unannotated),
    "starlette coroutine": lambda settings: in_starlette(settings, by_coroutine),
    "starlette function": lambda settings: in_starlette(settings, by_function),
}


class Client:
    """Sends requests to an ASGI application."""

    def __init__(self, app: Starlette, root: str = "") -> None:
        self._transport = httpx.ASGITransport(app, root_path=root)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://host") as http:
                return await http.request(method, path, **options)

        return run_async(send())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("POST", path, **options)


@pytest.fixture(params=HOSTS)
def client(request: pytest.FixtureRequest, settings: Settings) -> Client:
    return Client(HOSTS[request.param](settings))


def test_the_sign_in_of_the_application_identifies_users(client: Client) -> None:
    body = {"user_id": "42", "type": "t", "title": "T", "message": ""}
    created = client.post(LIST, json=body, headers={"X-User": "producer"})
    assert created.status_code == 201, created.text
    assert created.headers["Location"] == f"{LIST}/{created.json()['id']}"
    assert client.get(LIST, headers={"X-User": "42"}).json()["unread_count"] == 1
    assert client.get(LIST, headers={"X-User": "7"}).json()["unread_count"] == 0
    assert client.post(LIST, json=body, headers={"X-User": "42"}).status_code == 403


def test_a_key_with_slashes_is_no_part_of_the_prefix(client: Client) -> None:
    body = {"user_id": "42", "type": "t", "title": "T", "message": ""}
    created = client.ask("PUT", f"{LIST}/keys/a/b//c", json=body, headers={"X-User": "producer"})
    assert (created.status_code, created.json()["key"]) == (201, "a/b//c")
    assert created.headers["Location"] == f"{LIST}/{created.json()['id']}"


def test_an_id_that_ends_as_a_path_does_is_erased(client: Client) -> None:
    for user_id in ("aiko/export", "aiko/contact"):
        path, headers = f"/inbox/api/users/{user_id}", {"X-User": "operator"}
        assert client.ask("DELETE", path, headers=headers).status_code == 204
        assert client.ask("DELETE", path, headers={"X-User": "aiko"}).status_code == 403
        assert client.ask("POST", path, headers=headers).status_code == 405


@pytest.mark.parametrize(("user", "status"), [(None, 401), ("closed", 403), ("broken", 500), ("a\x85", 500)])
def test_a_sign_in_that_refuses_is_answered_as_a_problem(client: Client, user: str | None, status: int) -> None:
    answer = client.get(LIST, headers={"X-User": user.encode("latin-1")} if user else {})
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.headers.get("X-Reason") == ("closed" if user == "closed" else None)


@pytest.mark.filterwarnings("ignore:The `root_path` parameter")  # of an application that was written before
def test_links_for_the_proxy_have_the_prefix_it_asks_for(settings: Settings) -> None:
    signed = jwt.encode({"iss": "pushpin", "exp": int(time.time()) + 60}, settings.pushpin_sig_key)
    headers = {"Grip-Sig": signed, "X-User": "42"}
    app = in_fastapi(settings, by_dependency)
    outer = Starlette(routes=[Mount("/outer", app=app)])
    named = FastAPI(root_path="/app")
    named.include_router(router(settings, identify=by_dependency), prefix="/inbox")
    for served, root, path, link in (
        (app, "", STREAM, "/inbox/api/sse/next"),
        (app, "/app", STREAM, "/inbox/api/sse/next"),
        (outer, "", f"/outer{STREAM}", "/outer/inbox/api/sse/next"),
        (named, "", STREAM, "/inbox/api/sse/next"),
        (named, "", f"/app{STREAM}", "/app/inbox/api/sse/next"),
    ):
        # A server with a root path prepends it to every path.
        answer = Client(served, root).get(root + path, headers=headers)
        assert answer.headers["Grip-Link"].startswith(f"<{link}>;"), (root, path)


def test_the_openapi_document_of_the_host_lists_the_operations(settings: Settings) -> None:
    paths = Client(in_fastapi(settings, by_dependency)).get("/openapi.json").json()["paths"]
    assert set(paths[LIST]) == {"get", "post"}
    assert "/inbox/api/sse/next" not in paths


@pytest.mark.filterwarnings("error")
def test_the_hosts_document_has_what_ours_has_of_them(settings: Settings) -> None:
    document = Client(in_fastapi(settings, by_dependency)).get("/openapi.json").json()
    validate(document)
    own = describe([endpoint for endpoint in FOR_HOSTS if endpoint.operation.access != PROXY], settings)["paths"]
    for path, operations in own.items():
        for method, described in operations.items():
            shown = document["paths"][f"/inbox{path}"][method]
            names = {parameter["name"] for parameter in described["parameters"]}
            assert {parameter["name"] for parameter in shown["parameters"]} >= names, path
            assert ("requestBody" in shown) == ("requestBody" in described), path
            successes = {status for status in described["responses"] if status < "400"}
            assert {status for status in shown["responses"] if status < "400"} == successes, path
    read = document["paths"]["/inbox/api/notifications/read"]["post"]["requestBody"]["content"]["application/json"]
    assert read["schema"]["required"] == ["ids"]
    shape = document["paths"][LIST]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert "unread_count" in document["components"]["schemas"][shape["$ref"].rpartition("/")[2]]["properties"]


def test_a_number_of_any_length_is_not_found(client: Client) -> None:
    answer = client.get(f"{LIST}/{'9' * 5000}", headers={"X-User": "aiko"})
    assert answer.status_code == 404


def test_without_a_sign_in_tokens_count(settings: Settings) -> None:
    token = jwt.encode({"sub": "aiko", "exp": int(time.time()) + 60}, settings.jwt_secret, algorithm="HS256")
    for host in (in_fastapi(settings, None), in_starlette(settings, None)):
        client = Client(host)
        assert client.get(LIST).status_code == 401
        assert client.get(LIST, headers={"Authorization": f"Bearer {token}"}).json()["unread_count"] == 0
        assert client.post("/inbox/api/sse/tickets", headers={"Authorization": f"Bearer {token}"}).status_code == 201
