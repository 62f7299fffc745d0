"""The channel of Apprise, by its ``json://`` scheme to a real HTTP server, and what users' addresses cannot do."""

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from apprise.plugins.discord import NotifyDiscord
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from shirase.access.tokens import ADMIN, WRITE
from shirase.errors import SettingsError
from shirase.inbox import inbox, notifications, preferences, users
from shirase.inbox.apprise import without_mentions
from shirase.proxy.publisher import Publisher
from shirase.relay import deliveries as relay
from shirase.relay.apprise.channel import AT_ONCE, SILENT, Apprise
from shirase.relay.apprise.process import ENDED, LATE, AppriseProcess
from shirase.relay.apprise.worker import LOCAL, PRIVATE
from shirase.relay.channels import configured
from shirase.settings import Settings
from shirase.store import contacts, deliveries
from shirase.store.database import Database
from shirase.types import CANCELLED, DEAD, PENDING, SENT, SKIPPED, Draft, Preferences, Rule
from tests.support.content import content, made
from tests.support.sink import Got, Sink, sink
from tests.unit.test_settings import GOOD

REFUSED = "the service did not accept it"


@pytest.fixture
def server() -> Iterator[Sink]:
    with sink() as running:
        yield running


@pytest.fixture
def settings(settings: Settings) -> Settings:
    private = frozenset({"127.0.0.1"})
    return replace(settings, apprise=True, outbound_private_hosts=private, public_url="https://example.com/notify")


@pytest.fixture(scope="module")
def process() -> Iterator[AppriseProcess]:
    """One for all tests, since it loads every plugin."""
    made = AppriseProcess({"127.0.0.1"}, timeout=3)
    yield made
    made.stop()


class Messages:
    """Creates notifications of a type that goes to Apprise, and runs the channel."""

    def __init__(self, database: Database, settings: Settings, process: AppriseProcess) -> None:
        self.database, self.settings, self.publisher = database, settings, Publisher(settings)
        [channel] = configured(settings, database)
        assert isinstance(channel, Apprise)
        channel._process = process  # noqa: SLF001 - a start takes seconds
        self.channel = channel
        self.execute(
            "INSERT INTO shirase_types (type, label, description) VALUES ('a.b', 'A', '')",
            "INSERT INTO shirase_policies (type, step, channel, after) VALUES ('a.b', 0, 'apprise', 0)",
        )

    def execute(self, *statements: str) -> None:
        with self.database.transaction() as db:
            for statement in statements:
                db.execute(text(statement))

    def contact(self, *addresses: str, user: str = "42", **more: Any) -> None:
        with self.database.transaction() as db:
            contacts.put(db, user, {"apprise": addresses, **more})

    def create(self, user: str = "42", **fields: Any) -> int:
        drafts = [Draft(user, content(**fields))]
        body, _ = notifications.create(
            self.database, self.publisher, drafts, answer=lambda stored: str(made(stored[0]).id)
        )
        return int(body)

    def deliver(self) -> None:
        for _ in range(2):  # the first replaces each delivery by one for each address
            relay.deliver(self.database, self.channel)

    def states(self, number: int) -> list[tuple[str, str | None]]:
        with self.database.autocommit() as db:
            return [(delivery.state, delivery.reason) for delivery in deliveries.of_notification(db, number)]


@pytest.fixture
def messages(database: Database, settings: Settings, process: AppriseProcess) -> Messages:
    return Messages(database, settings, process)


def to(server: Sink, path: str = "/", host: str = "127.0.0.1") -> str:
    return f"json://{host}:{server.url.rpartition(':')[2]}{path}"


def bodies(requests: list[Got]) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in requests]


def test_a_message_has_title_text_and_absolute_links(messages: Messages, server: Sink) -> None:
    messages.contact(to(server, "/secret"), locale="de")
    actions = '[{"label": "Run again", "url": "https://ci.example.com/7"}]'
    number = messages.create(title="Build <7>", message="It *failed*.\n@everyone", url="/b/7", actions=actions)
    messages.deliver()
    [body], [got] = bodies(server.accepted), server.accepted
    assert (got.path.rstrip("/"), body["title"]) == ("/secret", "Build <7>")
    lines = [
        "It *failed*.",
        "@\u200beveryone",
        "Öffnen: https://example.com/b/7",
        "Run again: https://ci.example.com/7",
    ]
    assert body["message"].splitlines() == lines
    assert messages.states(number) == [(SENT, None)]


def test_without_a_text_the_title_is_the_text(messages: Messages, server: Sink) -> None:
    messages.contact(to(server))
    messages.create(title="Only this", message="", priority="high")
    messages.deliver()
    [body] = bodies(server.accepted)
    assert (body["title"], body["message"], body["type"]) == ("", "Only this", "warning")


def test_a_title_is_one_line_and_blank_texts_are_none(messages: Messages, server: Sink) -> None:
    messages.contact(to(server))
    messages.create(title="One\r\nX-Other: two", message=" \n")
    messages.create(title=" ", message="")
    messages.deliver()
    assert {body["message"] for body in bodies(server.accepted)} == {"One X-Other: two", "a.b"}


@pytest.mark.parametrize(
    "text",
    ["@everyone", "/@here", "x@Everyone", "hi @aiko", "<@42>", "<@&42> <@!42>", "<!channel>", "@**all**", "(@room)"],
)
def test_no_text_mentions_anyone(text: str) -> None:
    changed = without_mentions(text)
    assert changed.replace("\u200b", "") == text
    assert without_mentions(changed) == changed
    assert not re.search(r"@[\w*&!]|<[@!#]", changed)
    assert NotifyDiscord("1" * 18, "a" * 20).ping_payload(changed) == {}


@pytest.mark.parametrize(
    "text", ["a@here.example.com", "aiko@example.com", "https://m.example.com/@aiko", "a < b", "@ 5"]
)
def test_addresses_and_links_are_no_mentions(text: str) -> None:
    assert without_mentions(text) == text


def test_each_address_is_tried_by_itself(messages: Messages, server: Sink) -> None:
    with sink() as other:
        messages.contact(to(server), to(other))
        other.mode = "500"
        number = messages.create()
        messages.deliver()
        assert sorted(messages.states(number)) == [(PENDING, REFUSED), (SENT, None)]
        other.mode = "ok"
        messages.execute("UPDATE shirase_deliveries SET due_at = created_at")
        messages.deliver()
        assert (len(server.accepted), len(other.accepted)) == (1, 1)
    assert {state for state, _ in messages.states(number)} == {SENT}


@pytest.mark.parametrize("mode", ["hang", "drip"])
def test_what_hangs_delays_no_other_address(messages: Messages, server: Sink, mode: str) -> None:
    with sink() as slow:
        slow.mode = mode
        messages.contact(to(server), to(slow, "/?rto=60"))
        number = messages.create()
        messages.deliver()
        assert sorted(messages.states(number)) == [(PENDING, LATE), (SENT, None)]
        slow.mode = "ok"
        messages.execute("UPDATE shirase_deliveries SET due_at = created_at")
        messages.deliver()
    assert {state for state, _ in messages.states(number)} == {SENT}
    assert len(server.accepted) == 1


def test_addresses_of_one_user_that_hang_hold_up_no_other(messages: Messages, server: Sink) -> None:
    """Five addresses and more notifications than fit into one attempt: one of them is waited for, and not each."""
    with sink() as hanging:
        hanging.mode = "hang"
        messages.contact(*(to(hanging, f"/{number}") for number in range(5)), user="attacker")
        messages.contact(to(server))
        numbers = [messages.create("attacker") for _ in range(5)]
        mine = messages.create()
        server.before_answer = lambda _: asked.append(len(hanging.got))
        asked: list[int] = []
        messages.deliver()
        assert messages.states(mine) == [(SENT, None)]
        assert asked[0] < AT_ONCE  # it did not wait for one of them to end
        assert len(hanging.got) <= AT_ONCE
    reasons = [reason for number in numbers for _, reason in messages.states(number)]
    assert set(reasons) == {LATE, SILENT.reason}


@pytest.mark.parametrize("mode", ["endless", "bomb"])
def test_an_answer_without_an_end_costs_little_memory(messages: Messages, process: AppriseProcess, mode: str) -> None:
    process.stop()
    with sink() as hostile:
        hostile.mode = mode
        messages.contact(to(hostile))
        number = messages.create()
        messages.deliver()
    assert messages.states(number) == [(PENDING, REFUSED)]
    assert process._process  # noqa: SLF001 - it was neither late nor killed
    status = Path(f"/proc/{process._process.pid}/status").read_text()  # noqa: SLF001
    assert int(status.partition("VmHWM:")[2].split()[0]) < 400 * 1024


@pytest.mark.parametrize("mode", ["drop", "500", "404"])
def test_a_failure_is_tried_again(messages: Messages, server: Sink, mode: str) -> None:
    messages.contact(to(server))
    server.mode = mode
    number = messages.create()
    messages.deliver()
    assert messages.states(number) == [(PENDING, REFUSED)]


def test_a_process_that_dies_is_started_again(messages: Messages, server: Sink, process: AppriseProcess) -> None:
    messages.contact(to(server))
    server.before_answer = lambda _: process._process.kill() if process._process else None  # noqa: SLF001
    number = messages.create()
    messages.deliver()
    assert messages.states(number) == [(PENDING, ENDED)]
    server.before_answer = lambda _: None
    messages.execute("UPDATE shirase_deliveries SET due_at = created_at")
    messages.deliver()
    assert messages.states(number)[0][0] == SENT


# Accepted as addresses of a notification, but Python's parser raises ValueError for them.
UNPARSABLE = ["https://[x/", "https://[]/", "https://a]b/", "https://exa\u2100mple.com/", "https://x\uff0fy/"]


@pytest.mark.parametrize("address", UNPARSABLE)
def test_an_address_that_does_not_parse_is_sent_as_it_is(messages: Messages, server: Sink, address: str) -> None:
    messages.contact(to(server))
    actions = json.dumps([{"label": "Go", "url": address}])
    number = messages.create(url=address, actions=actions)
    messages.deliver()
    assert messages.states(number) == [(SENT, None)]
    assert bodies(server.accepted)[0]["message"].endswith(f"Open: {address}\nGo: {address}")


def test_a_message_that_cannot_be_made_holds_up_no_other(messages: Messages, server: Sink) -> None:
    messages.contact(to(server))
    broken, other = messages.create(actions='[{"label": "Go", "url": "/x"}]'), messages.create()
    messages.execute(f"UPDATE shirase_notifications SET actions = '[{{}}]' WHERE id = {broken}")  # noqa: S608
    messages.deliver()
    assert messages.states(broken) == [(PENDING, "the message cannot be made")]
    assert messages.states(other) == [(SENT, None)]


def test_a_user_without_an_address_is_skipped(messages: Messages) -> None:
    number = messages.create()
    messages.deliver()
    assert messages.states(number) == [(SKIPPED, "the user has no address")]


def test_a_removed_address_gets_nothing_more(messages: Messages, server: Sink) -> None:
    messages.contact(to(server))
    number = messages.create()
    server.mode = "500"
    messages.deliver()
    assert messages.states(number) == [(PENDING, REFUSED)]
    messages.contact()
    messages.execute("UPDATE shirase_deliveries SET due_at = created_at")
    messages.deliver()
    assert messages.states(number) == [(SKIPPED, "the address was removed")]


def test_reading_and_muting_cancel(messages: Messages, server: Sink) -> None:
    messages.contact(to(server))
    read, muted = messages.create(), messages.create("7")
    inbox.mark_read(messages.database, messages.publisher, "42", [read])
    rules = Preferences((Rule("*", "apprise", enabled=False),), None)
    preferences.replace(messages.database, messages.publisher, "7", rules)
    messages.deliver()
    assert (messages.states(read), messages.states(muted)) == ([(CANCELLED, "read")], [(CANCELLED, "muted")])
    assert server.got == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "[::1]", "2130706434", "0x7f000002"])
def test_the_private_network_is_out_of_reach(messages: Messages, server: Sink, host: str) -> None:
    messages.contact(to(server, host=host))
    number = messages.create()
    messages.deliver()
    assert messages.states(number) == [(PENDING, PRIVATE)]
    assert server.got == []


def test_a_redirect_into_the_private_network_is_not_followed(messages: Messages, server: Sink) -> None:
    with sink() as inside:
        messages.contact(to(server))
        server.mode, server.url = "redirect", inside.url.replace("127.0.0.1", "localhost")
        number = messages.create()
        messages.deliver()
        assert messages.states(number)[0][0] == PENDING
        assert (len(server.got), inside.got) == (1, [])


GUARDED = """
import json, os, socket, subprocess, syslog
from shirase.relay.apprise.worker import Guard
guard = Guard({"127.0.0.1", "127.0.0.3:80"})
guard.install()
tried = dict(
    program=lambda: subprocess.run(["true"]),
    shell=lambda: os.system("true"),
    fork=os.fork,
    spawn=lambda: os.posix_spawn("/bin/true", ["true"], {}),
    file=lambda: open("/etc/passwd").read(),
    upwards=lambda: open(os.__file__ + "/../../../../../../../../etc/passwd").read(),
    write=lambda: open(os.path.join(os.path.dirname(os.__file__), "x"), "w"),
    low_level=lambda: os.open("/etc/passwd", os.O_RDONLY),
    unix=lambda: socket.socket(socket.AF_UNIX).connect("/dev/log"),
    datagram=lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.2", 9)),
    connect_ex=lambda: socket.socket().connect_ex(("10.0.0.1", 9)),
    name=lambda: socket.socket().connect(("localhost", 9)),
    port=lambda: (socket.getaddrinfo("127.0.0.3", 80), socket.socket().connect(("127.0.0.3", 9))),
    other_port=lambda: socket.create_connection(("127.0.0.3", 9)),
    metadata=lambda: socket.create_connection(("169.254.169.254", 80)),
    log=lambda: syslog.syslog("x"),
    remove=lambda: os.remove("/nonexistent"),
)
result = {}
for what, act in tried.items():
    reasons = guard.collect()
    try:
        act()
        result[what] = "done"
    except PermissionError as error:
        result[what] = next(iter(reasons), "unguarded")
    except BaseException as error:
        result[what] = repr(error)
print(json.dumps(result))
"""


def test_no_program_file_or_private_address_is_reachable() -> None:
    ran = subprocess.run([sys.executable, "-P", "-c", GUARDED], capture_output=True, text=True, check=True)
    result = json.loads(ran.stdout)
    network = {"datagram", "connect_ex", "name", "port", "other_port", "metadata", "unix"}
    assert result == {what: PRIVATE if what in network else LOCAL for what in result}
    assert len(result) == 17


def test_the_process_has_no_secrets(process: AppriseProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "correct horse")
    process.stop()
    assert dict(process.send([{"url": "nothing://", "title": "", "body": "x", "type": "info"}])) == {
        0: {"refused": "Apprise does not accept the address"}
    }
    assert process._process  # noqa: SLF001
    environ = Path(f"/proc/{process._process.pid}/environ").read_text()  # noqa: SLF001
    assert "horse" not in environ
    names = {item.partition("=")[0] for item in environ.split("\0") if item}
    assert not {name for name in names if "SECRET" in name or "DATABASE" in name}
    assert os.getpid() != process._process.pid  # noqa: SLF001


@pytest.fixture
def put(client: FlaskClient, token: Callable[..., str]) -> Callable[..., TestResponse]:
    def send(*addresses: str) -> TestResponse:
        headers = {"Authorization": f"Bearer {token('svc', WRITE)}"}
        return client.put("/api/users/42/contact", json={"apprise": addresses}, headers=headers)

    return send


@pytest.mark.parametrize(
    "address",
    [
        "syslog://",
        "dbus://",
        "gnome://",
        "kde://",
        "glib://",
        "macosx://",
        "windows://",
        "mailto://user:secret@example.com",
        "rsyslog://example.com",
        "mqtt://example.com/topic",
        "file:///etc/passwd",
        "nothing://example.com",
        "slack",
        "",
        "json://example.com",
        "jsons://localhost",
        "jsons://10.0.0.1/x",
        "jsons://0x7f000001/x",
        "jsons://[::ffff:169.254.169.254]/x",
        "jsons://example.com?verify=no",
        "jsons://example.com /x",
        "jsons://example.com/\u0000",
    ],
)
def test_an_address_that_is_not_public_https_names_the_field(
    put: Callable[..., TestResponse], database: Database, address: str
) -> None:
    answer = put("jsons://example.com/good", address)
    assert (answer.status_code, [error["field"] for error in answer.get_json()["errors"]]) == (422, ["apprise[1]"])
    assert "secret" not in answer.text
    with database.autocommit() as db:
        assert contacts.of_users(db, ["42"]) == {}


def test_answers_export_and_logs_show_no_secret(
    put: Callable[..., TestResponse],
    client: FlaskClient,
    token: Callable[..., str],
    database: Database,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    addresses = [
        "slack://TXXXXXXX1/BXXXXXXX1/secretsecretsecretsecret/#general",
        "https://discord.com/api/webhooks/417429632418316298/secretsecret",
        "json://127.0.0.1:9/secret",
    ]
    answer = put(*addresses)
    assert (answer.status_code, answer.get_json()["apprise"]) == (200, ["slack://…", "https://…", "json://…"])
    with database.autocommit() as db:
        contact = contacts.of_users(db, ["42"])["42"]
    assert list(contact.apprise) == addresses
    headers = {"Authorization": f"Bearer {token('ops', ADMIN)}"}
    exported = client.get("/api/users/42/export", headers=headers).text
    assert '"table":"contacts"' in exported
    assert "secret" not in exported + caplog.text + repr(contact)


def test_erasure_removes_the_addresses(messages: Messages, server: Sink) -> None:
    messages.contact(to(server))
    users.erase(messages.database, messages.publisher, "42")
    with messages.database.autocommit() as db:
        assert contacts.of_users(db, ["42"]) == {}


def test_the_operators_address_is_each_users_own(
    database: Database, settings: Settings, server: Sink, process: AppriseProcess
) -> None:
    shared = replace(settings, apprise_urls=(to(server, "/for-{user_id}"),))
    messages = Messages(database, shared, process)
    numbers = [messages.create(user) for user in ("aiko", "a/../b", "..", "x?y=z")]
    messages.deliver()
    assert [got.path.rstrip("/") for got in server.accepted] == ["/for-aiko"]
    assert [messages.states(number)[0][0] for number in numbers] == [SENT, SKIPPED, SKIPPED, SKIPPED]


def test_the_operators_addresses_are_checked_at_the_start(database: Database, settings: Settings) -> None:
    for address in ("syslog://{user_id}", "json://secret.example.com/{user_id}"):
        with pytest.raises(SettingsError, match=r"APPRISE_URLS: \w+://… must"):
            Apprise(replace(settings, apprise_urls=(address,)), database)


def test_apprise_is_off_by_default() -> None:
    assert not Settings.from_env(GOOD).apprise
    on = Settings.from_env(
        GOOD | {"APPRISE": "on", "APPRISE_URLS": "ntfys://n.example.com/{user_id} slack://a/{user_id}"}
    )
    assert (on.apprise, len(on.apprise_urls), "ntfys" in repr(on)) == (True, 2, False)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"APPRISE": "yes"}, "APPRISE:"),
        ({"APPRISE_URLS": "ntfys://n.example.com/{user_id}"}, "APPRISE_URLS: is set"),
        ({"APPRISE": "on", "APPRISE_URLS": "ntfys://n.example.com/all"}, "APPRISE_URLS: must"),
        ({"APPRISE": "on", "APPRISE_URLS": "{user_id}"}, "APPRISE_URLS: must"),
        ({"APPRISE": "on", "APPRISE_URLS": "ntfys://{user_id}/{email}"}, "APPRISE_URLS: must"),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_env(GOOD | wrong)


def test_a_dead_address_is_dead_at_once(messages: Messages) -> None:
    messages.contact("slack://not-a-token")
    number = messages.create()
    messages.deliver()
    assert messages.states(number) == [(DEAD, "Apprise does not accept the address")]
