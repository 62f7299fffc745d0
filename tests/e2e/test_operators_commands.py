"""What operators do by `shirase user`, `webhook`, `push-key`, `types` and `deliveries`, and by the client's methods."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from shirase.access.tokens import ADMIN, WRITE
from shirase.client.async_client import AsyncClient
from shirase.client.client import Client, ClientError
from shirase.run.cli import main
from tests.support.loop_thread import run_async
from tests.support.service import Service

Run = Callable[..., Result]
CATALOGUE = """
[types."{name}"]
label = "Interviews"
category = "hiring"
channels = [{{ channel = "email", after = "10m", unless = "read" }}]
"""
PAYLOAD = "payload = { type = 'object' }\n"


@pytest.fixture
def run(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command as an operator does beside the service."""
    monkeypatch.chdir(tmp_path)
    environ = {**service.stack.settings_env, "SHIRASE_URL": service.stack.url}

    def invoke(*arguments: str, **more: Any) -> Result:
        return CliRunner(env=environ | more).invoke(main, [*arguments])

    return invoke


@pytest.fixture
def name() -> str:
    return f"kind-{uuid4().hex}"


def failure(result: Result) -> tuple[int, str]:
    """The exit code and the one line that explains it."""
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1, result.stderr
    return result.exit_code, result.stderr


def lines(result: Result) -> list[Any]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_token_with_an_unknown_scope_comes_with_a_warning(run: Run) -> None:
    known = run("token", "--user", "aiko", "--scope", f"{WRITE} {ADMIN}")
    assert (known.stdout.count("."), known.stderr) == (2, "")
    misspelt = run("token", "--user", "aiko", "--scope", f"notification:write {ADMIN}")
    assert (misspelt.exit_code, misspelt.stdout.count(".")) == (0, 2)
    assert misspelt.stderr == (
        "shirase: the scope 'notification:write' grants nothing; known are notifications:admin, notifications:write\n"
    )
    named = run("token", "--user", "aiko", "--scope", "send", JWT_WRITE_SCOPES="send")
    assert (named.stdout.count("."), named.stderr) == (2, "")


def test_types_load_stores_a_catalogue(run: Run, service: Service, name: str, tmp_path: Path) -> None:
    (tmp_path / "types.toml").write_text(CATALOGUE.format(name=name) + PAYLOAD)
    assert run("types", "load", "types.toml").stdout == "1 types loaded\n"
    assert run("types", "load", TYPE_CATALOGUE="types.toml").exit_code == 0
    with Client(service.stack.url, service.stack.token("anyone")) as client:
        [entry] = [item for item in client.types() if item["type"] == name]
    step = {"channel": "email", "after": "10m", "unless": "read"}
    assert (entry["label"], entry["category"], entry["channels"]) == ("Interviews", "hiring", [step])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[types.a]\nlabel = 7\n", 'types."a".label'),
        ('[types.a]\nchannels = [{ channel = "fax" }]\n', 'types."a".channels[0].channel'),
        ('[types.a]\nchannels = [{ channel = "email", after = "soon" }]\n', 'types."a".channels[0].after'),
        ('[types."a b"]\n', 'types."a b"'),
        ("[types.a]\ncolour = 1\n", 'types."a".colour'),
        ("[types\n", "cannot be read"),
        (f'[types.a]\nlabel = "{"x" * 101}"\n', 'types."a".label'),
    ],
)
def test_a_wrong_catalogue_is_named(run: Run, tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "types.toml").write_text(text)
    ended, message = failure(run("types", "load", "types.toml"))
    assert ended == 2
    assert named in message


def test_types_load_without_a_file_or_a_right_is_refused(run: Run, service: Service, name: str, tmp_path: Path) -> None:
    assert failure(run("types", "load")) == (2, "shirase: TYPE_CATALOGUE: is not set: name the file\n")
    (tmp_path / "types.toml").write_text(CATALOGUE.format(name=name))
    token = service.stack.token("someone", WRITE)
    code, message = failure(run("types", "load", "types.toml", "--token", token))
    assert (code, message.startswith("shirase: 403 ")) == (1, True)


def test_user_export_prints_a_row_a_line_and_erase_leaves_none(run: Run, service: Service, name: str) -> None:
    user = f"user/{name} 知"
    service.create(user, "Mine")
    service.create(f"{name}-other", "Other")
    rows = lines(run("user", "export", user))
    assert [row["title"] for row in rows if row["table"] == "notifications"] == ["Mine"]
    assert (run("user", "erase", user).stdout, lines(run("user", "export", user))) == ("erased\n", [])
    assert run("user", "erase", user).stdout == "erased\n"  # also if there is nothing
    assert len(lines(run("user", "export", f"{name}-other"))) > 0


@pytest.mark.parametrize("command", ["export", "erase"])
def test_user_refuses_what_is_no_id_and_who_is_no_operator(run: Run, service: Service, command: str) -> None:
    for wrong in ("", "a\nb", "x" * 256):
        code, message = failure(run("user", command, wrong))
        assert (code, "user" in message) == (1, True), message
    code, message = failure(run("user", command, "aiko", "--token", service.stack.token("aiko", WRITE)))
    assert (code, message.startswith("shirase: 403 ")) == (1, True)
    unreachable = failure(run("user", command, "aiko", "--service", "http://127.0.0.1:1"))
    assert (unreachable[0], "cannot be reached" in unreachable[1]) == (1, True)


def test_a_webhook_is_put_listed_and_deleted(run: Run, name: str) -> None:
    secret = "whsec_" + "QUJD" * 8
    put = ("webhook", "put", name, "--to", "https://crm.example.com/in", "--type", "a.b", "--type", "c")
    [made] = lines(run(*put, "--secret", secret))
    assert (made["name"], made["url"], made["types"]) == (name, "https://crm.example.com/in", ["a.b", "c"])
    assert "secret" not in made
    [listed] = [item for item in lines(run("webhook", "list")) if item["name"] == name]
    assert (listed["state"], listed["waiting"]) == ("active", 0)
    assert run("webhook", "secret", name).stdout == f"{secret}\n"
    assert lines(run("webhook", "retry", name))[0]["state"] == "active"
    code, message = failure(run("webhook", "retry", name, "--skip"))
    assert (code, "no event has failed" in message) == (1, True)
    deleted = run("webhook", "delete", name)
    assert (deleted.exit_code, deleted.output) == (0, "")
    assert name not in run("webhook", "list").output


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--to", "http://crm.example.com"), "url"),
        (("--to", "https://10.0.0.1/x"), "url"),
        (("--to", "https://localhost/x"), "url"),
        (("--to", "https://crm.example.com", "--type", "a b"), "types"),
        (("--to", "https://crm.example.com", "--secret", "short"), "secret"),
    ],
)
def test_a_wrong_webhook_names_the_field(run: Run, name: str, arguments: tuple[str, ...], named: str) -> None:
    code, message = failure(run("webhook", "put", name, *arguments))
    assert (code, message.startswith("shirase: 422 ")) == (1, True)
    assert named in message
    assert name not in run("webhook", "list").output


def test_a_webhook_that_is_not_there_is_404(run: Run, name: str) -> None:
    for command in ("retry", "delete"):
        code, message = failure(run("webhook", command, name))
        assert (code, message.startswith("shirase: 404 ")) == (1, True), command
    code, message = failure(run("webhook", "secret", name))
    assert (code, "webhook" in message) == (1, True)


def test_push_key_prints_a_new_key_each_time() -> None:
    made = [CliRunner(env={}).invoke(main, ["push-key"]).stdout for _ in range(2)]
    assert len(set(made)) == 2
    assert all(line.startswith("VAPID_PRIVATE_KEY=") and line.count("\n") == 1 for line in made)


def test_deliveries_are_listed_by_state_and_channel(run: Run, service: Service, name: str, tmp_path: Path) -> None:
    (tmp_path / "types.toml").write_text(CATALOGUE.format(name=name))
    assert run("types", "load", "types.toml").exit_code == 0
    with Client(service.stack.url, service.stack.token("producer", WRITE)) as client:
        created = client.create(user_id=name, type=name, title="secret title", message="")
    assert created
    listed = run("deliveries", "list", "--state", "pending", "--channel", "email")
    [line] = [line for line in listed.stdout.splitlines() if f"notification {created.id}," in line]
    assert " email pending after 0 attempts" in line
    assert "secret" not in listed.stdout
    assert name not in line
    assert (
        f"notification {created.id},"
        not in run("deliveries", "list", "--state", "pending", "--channel", "apprise").output
    )
    traced = run("trace", str(created.id)).stdout
    assert "email" in traced
    assert run("deliveries", "retry", "--channel", "apprise").stdout == "0 are tried again\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("list", "--state", "lost"), "--state"),
        (("list", "--channel", "fax"), "--channel"),
        (("list", "--limit", "0"), "--limit"),
        (("retry", "--channel", "fax"), "--channel"),
    ],
)
def test_a_wrong_option_of_deliveries_is_named(run: Run, arguments: tuple[str, ...], named: str) -> None:
    result = run("deliveries", *arguments)
    assert (result.exit_code, named in result.stderr) == (2, True)


def test_deliveries_need_the_database(run: Run) -> None:
    assert failure(run("deliveries", "list", DATABASE_URL="")) == (2, "shirase: DATABASE_URL: is not set\n")


class Both:
    """One of the two clients, in a synchronous test."""

    def __init__(self, kind: type[Client | AsyncClient], service: Service, scope: str) -> None:
        self._kind = kind
        self._arguments = (service.stack.url, service.stack.token("operator", scope))

    def __call__(self, method: str, *arguments: Any, **named: Any) -> Any:
        if self._kind is Client:
            with Client(*self._arguments) as client:
                result = getattr(client, method)(*arguments, **named)
                return list(result) if method == "export_user" else result
        return run_async(self._await(method, *arguments, **named))

    async def _await(self, method: str, *arguments: Any, **named: Any) -> Any:
        async with AsyncClient(*self._arguments) as client:
            result = getattr(client, method)(*arguments, **named)
            return [row async for row in result] if method == "export_user" else await result


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_the_clients_do_the_same(kind: type[Client | AsyncClient], service: Service, name: str) -> None:
    call = Both(kind, service, f"{ADMIN} {WRITE}")
    call("put_type", name, {"label": "Kind", "channels": [{"channel": "web_push", "unless": "connected"}]})
    [entry] = [item for item in call("types") if item["type"] == name]
    assert (entry["label"], entry["channels"][0]["unless"]) == ("Kind", "connected")
    call("delete_type", name)
    assert name not in [item["type"] for item in call("types")]

    call("put_contact", name, {"email": "aiko@example.com"})
    assert [(row["table"], row["email"]) for row in call("export_user", name)] == [("contacts", "aiko@example.com")]
    assert call("erase_user", name) is True
    assert call("export_user", name) == []

    rules = [{"scope": name, "channel": "email", "enabled": False, "until": None}]
    call("put_preferences", {"rules": rules})
    assert call("preferences") == {"rules": rules, "quiet": None}
    call("put_preferences", {})

    call("put_webhook", name, "https://crm.example.com/in", types=[name])
    assert [item["types"] for item in call("webhooks") if item["name"] == name] == [[name]]
    assert call("retry_webhook", name)["state"] == "active"
    with pytest.raises(ClientError) as refused:
        call("retry_webhook", name, skip=True)
    assert (refused.value.status, [error.field for error in refused.value.errors]) == (422, ["skip"])
    call("delete_webhook", name)
    assert name not in [item["name"] for item in call("webhooks")]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("method", "arguments", "status", "field"),
    [
        ("put_type", ("t", {"channels": [{"channel": "fax"}]}), 422, "channels[0].channel"),
        ("put_contact", ("aiko", {"email": "nobody"}), 422, "email"),
        ("put_preferences", ({"rules": [{"scope": "*", "channel": "fax", "enabled": True}]},), 422, "rules[0].channel"),
        ("put_webhook", ("w", "http://example.com"), 422, "url"),
        ("delete_type", (f"none-{uuid4().hex}",), 404, None),
        ("retry_webhook", (f"none-{uuid4().hex}",), 404, None),
        ("export_user", ("a\nb",), 422, "user_id"),
        ("erase_user", ("x" * 256,), 422, "user_id"),
    ],
)
def test_the_clients_errors_name_the_field(
    kind: type[Client | AsyncClient],
    service: Service,
    method: str,
    arguments: tuple[Any, ...],
    status: int,
    field: str | None,
) -> None:
    with pytest.raises(ClientError) as caught:
        Both(kind, service, f"{ADMIN} {WRITE}")(method, *arguments)
    assert caught.value.status == status
    assert [error.field for error in caught.value.errors] == ([field] if field else [])
    with pytest.raises(ClientError, match=r"^403 "):
        Both(kind, service, "")("erase_user", "aiko")
