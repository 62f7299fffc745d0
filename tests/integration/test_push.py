"""Web Push: what a browser subscribes with reaches a push service (RFC 8030), encrypted for the browser alone."""

from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePublicKey,
)
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from shirase import vapid
from shirase.errors import SettingsError
from shirase.inbox import connections, notifications, push, streams, users
from shirase.proxy.publisher import Publisher
from shirase.relay import deliveries
from shirase.relay import push as relay
from shirase.relay.push import Push
from shirase.run.cli import main
from shirase.settings import Settings
from shirase.store.database import Database
from shirase.store.push import Subscription
from shirase.types import Draft, Notification
from shirase.vapid import PushKey
from tests.support.content import content
from tests.support.push_browser import Browser, encoded
from tests.support.sink import Got, Sink, sink


@pytest.fixture
def settings(settings: Settings) -> Settings:
    key = PushKey(vapid.generate(), "ops@example.com")
    return replace(settings, push_key=key, outbound_private_hosts=frozenset({"127.0.0.1"}))


@pytest.fixture
def server() -> Iterator[Sink]:
    with sink() as running:
        yield running


@pytest.fixture
def browser(server: Sink) -> Browser:
    return Browser.new(f"{server.url}/push/secret-1")


@pytest.fixture
def ask(client: FlaskClient, token: Callable[..., str]) -> Callable[..., TestResponse]:
    def send(method: str, path: str, body: Any = None, user: str = "42") -> TestResponse:
        headers = {"Authorization": f"Bearer {token(user)}", "User-Agent": "Firefox"}
        return client.open(f"/api/push/{path}", method=method, json=body, headers=headers)

    return send


@pytest.fixture
def create(database: Database, settings: Settings) -> Callable[..., None]:
    """Create a notification of a type that also goes to ``web_push``."""
    with database.transaction() as db:
        db.execute(text("INSERT INTO shirase_types (type, label, description) VALUES ('a.b', 'A', '')"))
        policy = "INSERT INTO shirase_policies (type, step, channel, after, unless)"
        db.execute(text(f"{policy} VALUES ('a.b', 0, 'web_push', 0, 'connected')"))

    def make(user: str = "42", **fields: Any) -> None:
        draft = Draft(user, content(**{"title": "Title", "message": "Message", **fields}))
        notifications.create(database, Publisher(settings), [draft], answer=lambda _: "")

    return make


@pytest.fixture
def deliver(database: Database, settings: Settings) -> Iterator[Callable[[], None]]:
    assert settings.push_key
    channel = Push(settings, settings.push_key, database)

    def send() -> None:
        for _ in range(2):  # the first replaces each delivery by one for each browser
            deliveries.deliver(database, channel)

    yield send
    channel.close()


def states(database: Database) -> list[tuple[str, str | None]]:
    with database.autocommit() as db:
        rows = db.execute(text("SELECT state, reason FROM shirase_deliveries ORDER BY id"))
        return [(row.state, row.reason) for row in rows]


def test_a_browser_gets_what_it_alone_can_read(
    ask: Callable[..., TestResponse],
    create: Callable[..., None],
    deliver: Callable[[], None],
    server: Sink,
    browser: Browser,
    settings: Settings,
    database: Database,
) -> None:
    assert ask("PUT", "subscriptions", browser.subscription).status_code == 204
    create(url="/interviews/7", key="k", priority="high")
    deliver()
    [got] = server.accepted
    shown = browser.read(got)
    assert {name: shown[name] for name in ("title", "body", "url", "tag", "type", "count")} == {
        "title": "Title",
        "body": "Message",
        "url": "/interviews/7",
        "tag": "k",
        "type": "a.b",
        "count": 1,
    }
    assert b"Message" not in got.body
    assert (got.headers["content-encoding"], got.headers["urgency"]) == ("aes128gcm", "high")
    assert 1 <= len(got.headers["topic"]) <= 32
    assert int(got.headers["ttl"]) > 0
    signed, _, key = got.headers["authorization"].removeprefix("vapid t=").partition(", k=")
    assert key == ask("GET", "key").json["public_key"]  # type: ignore[index]
    point = urlsafe_b64decode(key + "=" * (-len(key) % 4))
    public = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    claims = jwt.decode(signed, public, algorithms=["ES256"], audience="http://127.0.0.1")
    assert claims["sub"] == "mailto:ops@example.com"
    assert claims["exp"] <= datetime.now(UTC).timestamp() + 86_400
    assert states(database) == [("sent", None)]
    assert settings.push_key
    assert settings.push_key.private not in repr(settings)


def test_every_browser_of_a_user_gets_it_and_no_other(
    ask: Callable[..., TestResponse],
    create: Callable[..., None],
    deliver: Callable[[], None],
    server: Sink,
    browser: Browser,
    database: Database,
) -> None:
    others = [replace(browser, endpoint=f"{server.url}/push/{name}") for name in ("2", "of-another")]
    ask("PUT", "subscriptions", browser.subscription)
    ask("PUT", "subscriptions", others[0].subscription)
    ask("PUT", "subscriptions", others[1].subscription, "43")
    create()
    deliver()
    assert sorted(got.path for got in server.accepted) == ["/push/2", "/push/secret-1"]
    assert states(database) == [("sent", None)] * 2


def test_a_connected_user_gets_no_push(
    ask: Callable[..., TestResponse],
    create: Callable[..., None],
    deliver: Callable[[], None],
    server: Sink,
    browser: Browser,
    database: Database,
    settings: Settings,
) -> None:
    ask("PUT", "subscriptions", browser.subscription)
    connection = connections.new(settings, "42", None, "", "")
    streams.open_stream(database, Publisher(settings), settings, connection, None)
    create()
    deliver()
    assert server.got == []
    assert states(database) == [("skipped", "connected")]


@pytest.mark.parametrize("status", ["404", "410"])
def test_a_browser_that_is_gone_is_forgotten(
    status: str,
    ask: Callable[..., TestResponse],
    create: Callable[..., None],
    deliver: Callable[[], None],
    server: Sink,
    browser: Browser,
    database: Database,
) -> None:
    ask("PUT", "subscriptions", browser.subscription)
    server.mode = status
    for _ in range(2):
        create()
        deliver()
    assert len(server.got) == 1
    assert states(database) == [
        ("skipped", "the browser has unsubscribed"),
        ("skipped", "no browser has subscribed"),
    ]


@pytest.mark.parametrize(
    ("mode", "state"),
    [("500", "pending"), ("429", "pending"), ("redirect", "pending"), ("drop", "pending"), ("413", "dead")],
)
def test_a_failure_is_tried_again_unless_it_is_for_good(
    mode: str,
    state: str,
    ask: Callable[..., TestResponse],
    create: Callable[..., None],
    deliver: Callable[[], None],
    server: Sink,
    browser: Browser,
    database: Database,
) -> None:
    ask("PUT", "subscriptions", browser.subscription)
    server.mode = mode
    create()
    deliver()
    [(reached, reason)] = states(database)
    assert reached == state
    assert reason
    assert "127.0.0.1" not in reason
    assert len(server.got) == 1


def test_a_push_service_that_hangs_ends_in_time(
    ask: Callable[..., TestResponse],
    create: Callable[..., None],
    database: Database,
    settings: Settings,
    server: Sink,
    browser: Browser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay, "TIMEOUT", 0.3)
    ask("PUT", "subscriptions", browser.subscription)
    server.mode = "hang"
    create()
    assert settings.push_key
    channel = Push(settings, settings.push_key, database)
    for _ in range(2):
        deliveries.deliver(database, channel)
    channel.close()
    assert states(database) == [("pending", "no answer in time")]


def test_endpoints_of_one_user_that_hang_hold_up_no_other(
    ask: Callable[..., TestResponse],
    create: Callable[..., None],
    database: Database,
    settings: Settings,
    server: Sink,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay, "TIMEOUT", 0.5)
    with sink() as hanging:
        hanging.mode = "hang"
        for number in range(push.MOST):
            ask("PUT", "subscriptions", Browser.new(f"{hanging.url}/{number}").subscription, "attacker")
        ask("PUT", "subscriptions", Browser.new(f"{server.url}/1").subscription, "42")
        server.before_answer = lambda _: asked.append(len(hanging.got))
        asked: list[int] = []
        create("attacker")
        create("42")
        assert settings.push_key
        channel = Push(settings, settings.push_key, database)
        deliveries.deliver(database, channel)
        deliveries.deliver(database, channel)
        channel.close()
        assert len(server.accepted) == 1
        assert asked[0] < relay.AT_ONCE  # it did not wait for one of them to end
        assert len(hanging.got) <= 2 * relay.AT_ONCE
        reasons = [reason for _, reason in states(database) if reason]
        assert "another browser of the user did not answer in time" in reasons


def test_unsubscribing_touches_ones_own_alone(
    ask: Callable[..., TestResponse],
    create: Callable[..., None],
    deliver: Callable[[], None],
    server: Sink,
    browser: Browser,
) -> None:
    ask("PUT", "subscriptions", browser.subscription)
    assert ask("DELETE", "subscriptions", {"endpoint": browser.endpoint}, "43").status_code == 204
    create()
    deliver()
    assert len(server.accepted) == 1
    assert ask("DELETE", "subscriptions", {"endpoint": browser.endpoint}).status_code == 204
    create()
    deliver()
    assert len(server.accepted) == 1


def test_a_browser_belongs_to_who_subscribed_last(
    ask: Callable[..., TestResponse],
    create: Callable[..., None],
    deliver: Callable[[], None],
    server: Sink,
    browser: Browser,
) -> None:
    ask("PUT", "subscriptions", browser.subscription)
    ask("PUT", "subscriptions", browser.subscription, "43")
    create()
    create("43")
    deliver()
    assert len(server.accepted) == 1


def test_a_user_has_a_bounded_number_of_browsers(
    ask: Callable[..., TestResponse], browser: Browser, server: Sink, database: Database
) -> None:
    for number in range(push.MOST + 3):
        ask("PUT", "subscriptions", replace(browser, endpoint=f"{server.url}/{number}").subscription)
    with database.autocommit() as db:
        kept = db.execute(text("SELECT count(*) FROM shirase_push_subscriptions")).scalar_one()
    assert kept == push.MOST


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"endpoint": "http://push.example.com/x"}, "endpoint"),
        ({"endpoint": "https://10.0.0.1/x"}, "endpoint"),
        ({"endpoint": "https://[::ffff:127.0.0.1]/x"}, "endpoint"),
        ({"endpoint": "https://2852039166/x"}, "endpoint"),
        ({"endpoint": "https://xn--a/x"}, "endpoint"),  # no message to it could be encrypted
        ({"endpoint": "https://1.2.3.4.5/x"}, "endpoint"),
        ({"keys": {"p256dh": "AAAA", "auth": encoded(bytes(16))}}, "keys.p256dh"),
        ({"keys": {"p256dh": "B" * 87, "auth": encoded(bytes(16))}}, "keys.p256dh"),
        ({"extra": 1}, "extra"),
    ],
)
def test_bad_subscriptions_name_the_field(
    change: dict[str, Any], field: str, ask: Callable[..., TestResponse], browser: Browser, database: Database
) -> None:
    answer = ask("PUT", "subscriptions", {**browser.subscription, **change})
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, field)  # type: ignore[index]
    wrong = browser.subscription
    wrong["keys"]["auth"] = "AAAA"
    assert ask("PUT", "subscriptions", wrong).json["errors"][0]["field"] == "keys.auth"  # type: ignore[index]
    with database.autocommit() as db:
        assert db.execute(text("SELECT count(*) FROM shirase_push_subscriptions")).scalar_one() == 0


def test_a_long_text_fits_into_a_message(browser: Browser, settings: Settings) -> None:
    keys = browser.subscription["keys"]
    subscription = Subscription("x", browser.endpoint, keys["p256dh"], keys["auth"])
    long = content(title="\U0001f600" * 200, message="\U0001f600" * 4000, url="/" + "x" * 1999, key="k" * 255)
    assert settings.push_key
    body, _ = push.encrypt(settings.push_key, subscription, Notification(1, "42", long, datetime.now(UTC)))
    assert len(body) <= 4096
    assert browser.read(Got("", {}, body))["title"] == "\U0001f600" * 200


def test_an_erased_user_has_no_browsers(
    ask: Callable[..., TestResponse], browser: Browser, database: Database, settings: Settings
) -> None:
    ask("PUT", "subscriptions", browser.subscription)
    lines = b"".join(users.export_lines(database, "42"))
    assert b"push_subscriptions" in lines
    assert b"secret-1" not in lines
    users.erase(database, Publisher(settings), "42")
    with database.autocommit() as db:
        assert db.execute(text("SELECT count(*) FROM shirase_push_subscriptions")).scalar_one() == 0


def test_push_key_prints_what_the_setting_takes() -> None:
    name, _, value = CliRunner().invoke(main, ["push-key"]).output.strip().partition("=")
    key = PushKey.from_env({name: value, "VAPID_CONTACT": "ops@example.com"})
    assert key
    assert len(key.public) == 87
    assert PushKey.from_env({}) is None
    for wrong in (
        {name: "short", "VAPID_CONTACT": "a@example.com"},
        {name: value},
        {name: value, "VAPID_CONTACT": "x"},
    ):
        with pytest.raises(SettingsError):
            PushKey.from_env(wrong)


def test_a_message_that_cannot_be_made_holds_up_no_other(
    ask: Callable[..., TestResponse],
    browser: Browser,
    server: Sink,
    create: Callable[..., None],
    deliver: Callable[[], None],
    database: Database,
) -> None:
    """Nor is anything repeated that was sent in the same batch."""
    other = Browser.new(f"{server.url}/push/other")
    for number, each in enumerate((browser, other)):
        assert ask("PUT", "subscriptions", each.subscription, user=f"u{number}").status_code == 204
    with database.transaction() as db:
        db.execute(text("UPDATE shirase_push_subscriptions SET p256dh = 'AAAA' WHERE user_id = 'u0'"))
    for number in range(2):
        create(f"u{number}")
    for _ in range(2):
        deliver()
    assert [request.path for request in server.got] == ["/push/other"]
