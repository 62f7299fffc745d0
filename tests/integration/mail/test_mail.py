"""Mail by a real SMTP server: what is sent, in which words, and what becomes of it when the server fails."""

import json
import logging
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from shirase.errors import SettingsError
from shirase.inbox import inbox
from shirase.proxy import grip
from shirase.relay import deliveries as relay
from shirase.relay.mail import smtp
from shirase.relay.mail.smtp import Mail
from shirase.settings import Settings
from shirase.store import claims, deliveries
from shirase.store.database import Database
from shirase.types import CANCELLED, DEAD, PENDING, SENT, SKIPPED
from tests.integration.mail.post import Post
from tests.support.certificates import Authority
from tests.support.mail_server import DROP, HANG, MailServer, text_of


def test_a_mail_has_both_texts_its_sender_and_its_time(post: Post, server: MailServer) -> None:
    number = post.create(title="Interview <b>", message="At ten\nin Sakura", url="/interviews/7")
    post.deliver()
    [mail] = server.mails
    assert (mail["From"], mail["To"]) == ("Example <noreply@example.com>", "aiko@example.org")
    assert mail["Subject"] == "Interview <b>"
    assert mail["Auto-Submitted"] == "auto-generated"
    plain, html = text_of(mail), text_of(mail, "html")
    assert "At ten\nin Sakura" in plain
    assert "https://example.com/interviews/7" in plain
    assert "Interview &lt;b&gt;" in html
    assert '<a href="https://example.com/interviews/7" ' in html
    with post.database.autocommit() as db:
        [delivery] = deliveries.of_notification(db, number)
    assert mail["Message-ID"] == f"<{delivery.uid}@example.com>"
    assert (mail["X-Shirase-Deliveries"], delivery.state) == (delivery.uid, SENT)


def test_a_title_of_several_lines_makes_no_header(post: Post, server: MailServer) -> None:
    post.create(title="One\r\nBcc: eve@example.net\n two")
    post.deliver()
    assert server.mails[0]["Subject"] == "One Bcc: eve@example.net two"
    assert server.recipients == ["aiko@example.org"]


@pytest.mark.parametrize("end", ["\r\n.\r\n", "\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n"])
@pytest.mark.parametrize("character", ["", "é"])  # the body is sent as it is, or encoded
def test_no_text_ends_its_mail(post: Post, server: MailServer, end: str, character: str) -> None:
    """What an SMTP server takes for the end of a mail would make the rest commands, and so another mail."""
    smuggled = "MAIL FROM:<eve@example.net>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\nSubject: x\r\n\r\nx"
    post.create(message=f"{character}before{end}{smuggled}{end}after")
    post.deliver()
    [mail] = server.mails
    assert "after" in text_of(mail)
    assert server.recipients == ["aiko@example.org"]


def test_no_text_runs_or_renders_in_a_mail(post: Post, server: MailServer) -> None:
    hostile = "{{ 7 * 7 }}{% raw %}</p><img src=x onerror=alert(1)>\"'"
    actions = json.dumps([{"label": hostile, "url": 'https://example.org/"onclick=x'}])
    post.create(title=hostile, message=hostile, actions=actions)
    post.deliver()
    [mail] = server.mails
    assert mail["Subject"] == hostile
    assert hostile in text_of(mail)
    html = text_of(mail, "html")
    assert "<img" not in html
    assert '"onclick' not in html
    assert "{{ 7 * 7 }}" in html


@pytest.mark.parametrize("address", ["https://[x/", "https://a]b/", "https://exa\u2100mple.com/"])
def test_an_address_that_does_not_parse_is_in_the_mail(post: Post, server: MailServer, address: str) -> None:
    """One of many in a digest would keep all the others from being sent."""
    post.create(url=address, actions=json.dumps([{"label": "Go", "url": address}]))
    post.deliver()
    [mail] = server.mails
    assert text_of(mail).count(f": {address}") == 2


def test_words_are_in_the_users_language_and_times_in_the_zone(post: Post, server: MailServer) -> None:
    post.contact(locale="ja-JP", timezone="Asia/Tokyo")
    post.create(title="面接", url="/a")
    post.deliver()
    [mail] = server.mails
    assert mail["Subject"] == "面接"
    assert "開く: https://example.com/a" in text_of(mail)
    assert "Asia/Tokyo" in text_of(mail)
    assert '<html lang="ja" dir="ltr">' in text_of(mail, "html")


def test_a_hosts_templates_replace_ours(
    settings: Settings, database: Database, server: MailServer, tmp_path: Path
) -> None:
    (tmp_path / "subject.txt").write_text("Acme: {{ notifications[0].title }}")
    (tmp_path / "de").mkdir()
    (tmp_path / "de" / "mail.txt").write_text("Hallo {{ user_id }}")
    assert settings.mail
    post = Post(database, replace(settings, mail=replace(settings.mail, templates=tmp_path)))
    post.contact(locale="de")
    post.create()
    post.deliver()
    assert server.mails[0]["Subject"] == "Acme: T"
    assert text_of(server.mails[0]) == "Hallo 42\n"
    post.channel.close()


def test_mails_of_one_key_are_one_conversation(post: Post, server: MailServer) -> None:
    for title in "ab":
        post.create(key="order-7", title=title)
        post.deliver()
    post.create(key="order-8")
    post.deliver()
    first, second, other = (mail["References"] for mail in server.mails)
    assert first == second != other
    assert len({mail["Message-ID"] for mail in server.mails}) == 3


def test_what_is_due_of_a_user_in_one_window_is_one_mail(post: Post, server: MailServer) -> None:
    post.contact("7", "ben@example.org")
    post.channel.window = timedelta(minutes=1)
    numbers = [post.create(title=title) for title in ("One", "Two")]
    post.execute("UPDATE shirase_policies SET after = 30")
    numbers.append(post.create(title="Three"))
    with post.database.transaction() as db:
        db.execute(update(claims.deliveries).values(created_at=datetime.now(UTC) - timedelta(seconds=30)))
    post.create("7", title="Other")
    post.execute("UPDATE shirase_deliveries SET due_at = created_at WHERE user_id = '7'")
    post.deliver()
    assert sorted(mail["Subject"] for mail in server.mails) == ["3 notifications", "Other"]
    digest = next(mail for mail in server.mails if mail["Subject"] == "3 notifications")
    assert [line for line in text_of(digest).splitlines() if line in ("One", "Two", "Three")] == ["One", "Two", "Three"]
    assert {post.state(number) for number in numbers} == {(SENT, None)}
    assert len(digest["X-Shirase-Deliveries"].split()) == 3


def test_a_mail_shows_a_notification_once(post: Post, server: MailServer) -> None:
    post.execute("INSERT INTO shirase_policies (type, step, channel, after) VALUES ('a.b', 1, 'email', 0)")
    post.channel.window = timedelta(minutes=1)
    post.create(title="One", key="k")
    post.deliver()
    [mail] = server.mails
    assert mail["Subject"] == "One"
    assert len(mail["X-Shirase-Deliveries"].split()) == 2
    assert mail["References"]


def test_a_digest_is_bounded_and_the_rest_makes_another(
    post: Post, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a producer creates in a loop, it neither fills the relay's memory nor makes a mail that is refused."""
    monkeypatch.setattr(claims, "MOST_BUNDLED", 3)
    post.channel.window = timedelta(minutes=1)
    post.channel.batch = 2
    numbers = [post.create(title=f"Title {number}") for number in range(8)]
    post.deliver()
    assert [mail["Subject"] for mail in server.mails] == ["5 notifications", "3 notifications"]
    written = [line for mail in server.mails for line in text_of(mail).splitlines() if line.startswith("Title")]
    assert written == [f"Title {number}" for number in range(8)]
    assert {post.state(number) for number in numbers} == {(SENT, None)}


def test_many_mails_share_connections(post: Post, server: MailServer) -> None:
    create_for_users(post, 12)
    post.deliver()
    assert (len(server.mails), server.connections) == (12, 1)
    create_for_users(post, 50)
    post.deliver()
    assert (len(server.mails), server.connections) == (62, 4)


def create_for_users(post: Post, number: int) -> None:
    for user in map(str, range(number)):
        post.contact(user, f"u{user}@example.org")
        post.create(user)


def test_mails_of_one_user_keep_their_order(post: Post, server: MailServer) -> None:
    titles = [str(number) for number in range(40)]
    for title in titles:
        post.create(str(int(title) % 3), title=title)
    for user in "012":
        post.contact(user, f"u{user}@example.org")
    post.deliver()
    assert server.connections > 1
    for first in range(3):
        own = [mail["Subject"] for mail in server.mails if mail["To"] == f"u{first}@example.org"]
        assert own == titles[first::3]


def test_who_has_no_address_is_skipped(post: Post, server: MailServer) -> None:
    numbers = [post.create("without"), post.create("removed")]
    post.contact("removed", None)
    post.deliver()
    assert {post.state(number) for number in numbers} == {(SKIPPED, "the user has no address")}
    assert server.connections == 0


def test_no_mail_for_what_was_read(post: Post, server: MailServer) -> None:
    read, unread = post.create(), post.create(title="unread")
    inbox.mark_read(post.database, post.publisher, "42", [read])
    post.deliver()
    assert [mail["Subject"] for mail in server.mails] == ["unread"]
    assert (post.state(read)[0], post.state(unread)[0]) == (CANCELLED, SENT)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ("550 no such mailbox", DEAD),
        ("450 busy", PENDING),
        (HANG, PENDING),
        (DROP, PENDING),
        ("421 shutting down", PENDING),
    ],
)
def test_a_refusal_concerns_its_recipient_alone(post: Post, server: MailServer, answer: str, state: str) -> None:
    post.contact("7", "ben@example.org")
    refused, sent = post.create(), post.create("7")
    server.refuse = lambda address: answer if address.startswith("aiko") else None
    post.deliver()
    assert post.state(refused)[0] == state
    assert "aiko" not in (post.state(refused)[1] or "")
    assert post.state(sent) == (SENT, None)
    assert [mail["To"] for mail in server.mails] == ["ben@example.org"]
    if state == PENDING:  # tried again under the same id
        server.refuse = lambda _: None
        post.due_again()
        post.deliver()
        assert post.state(refused) == (SENT, None)
        assert len(server.mails) == 2


def test_a_connection_that_was_closed_while_idle_is_opened_again(post: Post, server: MailServer) -> None:
    post.create()
    post.deliver()
    [(connection, _), *_] = post.channel._connections  # noqa: SLF001 - as a server that closes does it
    opened: Any = connection._smtp  # noqa: SLF001
    opened.sock.shutdown(2)
    number = post.create()
    post.deliver()
    assert (post.state(number), len(server.mails), server.connections) == ((SENT, None), 2, 2)


def test_a_server_that_is_down_is_not_tried_for_each(post: Post, server: MailServer) -> None:
    for number in range(10):
        post.contact(f"u{number}", f"u{number}@example.org")
    numbers = [post.create(f"u{number}") for number in range(10)]
    server.stop()
    post.deliver()
    assert {post.state(number) for number in numbers} == {(PENDING, "the mail server does not answer")}


@pytest.mark.parametrize(("password", "state"), [("correct horse", SENT), ("wrong horse", PENDING)])
def test_starttls_and_a_password(
    password: str,
    state: str,
    post: Post,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate, authority.key)
    with MailServer(context=context, password="correct horse", require_starttls=True) as server:
        assert post.settings.mail
        mail = replace(
            post.settings.mail, host="localhost", port=server.port, security="starttls", user="u", password=password
        )
        channel = Mail(post.settings, mail, post.database)
        number = post.create()
        relay.deliver(post.database, channel)
        channel.close()
    assert post.state(number)[0] == state
    assert "horse" not in caplog.text + repr(mail) + str(post.state(number))


def test_streams_open_where_mail_is_configured(settings: Settings) -> None:
    """Keys are cached by the settings, which therefore have a hash."""
    assert grip.sealing_keys(settings) == grip.sealing_keys(replace(settings))


def test_a_digest_is_repeated_under_the_same_id(post: Post, server: MailServer) -> None:
    """As after a kill: without what was read, and without what became due since, which is a mail of its own."""
    post.channel.window = timedelta(minutes=1)
    first, *_ = [post.create(title=title) for title in ("One", "Two", "Three")]
    server.lose = lambda: True
    post.deliver()
    server.lose = lambda: False
    assert len({mail["Message-ID"] for mail in server.mails}) == 1
    inbox.mark_read(post.database, post.publisher, "42", [first])
    post.create(title="Four")
    post.due_again()
    post.deliver()
    repeated, new = sorted(server.mails[-2:], key=lambda mail: str(mail["Subject"]))
    assert (repeated["Subject"], new["Subject"]) == ("2 notifications", "Four")
    assert repeated["Message-ID"] == server.mails[0]["Message-ID"] != new["Message-ID"]


def test_a_mail_that_cannot_be_written_holds_up_no_other(
    settings: Settings, database: Database, server: MailServer, tmp_path: Path
) -> None:
    """Whatever a host's template raises."""
    assert settings.mail
    (tmp_path / "subject.txt").write_text("{{ 1 // 0 if user_id == '42' else 'fine' }}")
    post = Post(database, replace(settings, mail=replace(settings.mail, templates=tmp_path)))
    for user in ("42", "43", "41"):
        post.contact(user, f"u{user}@example.org")
    numbers = [post.create(user) for user in ("41", "42", "43")]
    post.deliver()
    assert [post.state(number)[0] for number in numbers] == [SENT, PENDING, SENT]
    assert len(server.mails) == 2
    post.channel.close()


def test_a_template_can_ask_for_what_not_every_payload_has(
    settings: Settings, database: Database, server: MailServer, tmp_path: Path
) -> None:
    assert settings.mail
    (tmp_path / "subject.txt").write_text("{{ words.digest.format(n=notifications | length) }}")
    line = "{{ n.title }}{% if n.payload.room is defined %} in {{ n.payload.room }}{% endif %}"
    (tmp_path / "mail.txt").write_text(f"{{% for n in notifications %}}{line}, {{{{ n.created_at }}}}{{% endfor %}}")
    post = Post(database, replace(settings, mail=replace(settings.mail, templates=tmp_path)))
    post.contact(timezone="Asia/Tokyo")
    post.create(title="One", payload='{"room": "Sakura"}')
    post.create(title="Two")
    post.execute(
        "UPDATE shirase_notifications SET created_at = '2026-11-27T16:28:00.000000Z'",
        "UPDATE shirase_notifications SET updated_at = '2026-11-27T17:00:00.000000Z' WHERE title = 'Two'",
    )
    post.deliver()
    assert [text_of(mail) for mail in server.mails] == [
        "One in Sakura, 2026-11-28 01:28 Asia/Tokyo\n",
        "Two, 2026-11-28 02:00 Asia/Tokyo\n",
    ]
    assert {mail["Subject"] for mail in server.mails} == {"1 notifications"}
    post.channel.close()


def test_a_mistake_in_a_template_is_the_reason_of_its_failure(
    settings: Settings, database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By its file and line, also where another file includes it. Nothing of the notification is stored or logged."""
    assert settings.mail
    (tmp_path / "mail.txt").write_text("{{ user_name }}")
    (tmp_path / "de").mkdir()
    (tmp_path / "de" / "mail.txt").write_text("{% include 'part.txt' %}")
    (tmp_path / "part.txt").write_text("\n{{ notifications[0].payload.room }}")
    (tmp_path / "fr").mkdir()
    (tmp_path / "fr" / "subject.txt").write_text("{% include 'broken.txt' %}")
    (tmp_path / "broken.txt").write_text("\n\n{% if %}")
    post = Post(database, replace(settings, mail=replace(settings.mail, templates=tmp_path)))
    reasons = {
        "en": "mail.txt, line 1: 'user_name' is undefined",
        "de": "part.txt, line 2: 'dict object' has no attribute 'room'",
        "fr": "broken.txt, line 3: Expected an expression, got 'end of statement block'",
    }
    for locale, reason in reasons.items():
        post.contact(locale, f"{locale}@example.org", locale=locale)
        number = post.create(locale, title="Private", payload='{"floor": "private"}')
        caplog.clear()
        post.deliver()
        assert post.state(number) == (PENDING, reason)
        assert [(record.levelname, record.exc_info) for record in caplog.records] == [("WARNING", None)]
        assert caplog.messages == [f"mail: a template cannot be rendered: {reason}"]
    post.channel.close()


@pytest.mark.parametrize("path", ["mail.txt", "ja/mail.html"])
def test_a_template_in_another_encoding_stops_the_start(
    settings: Settings, database: Database, tmp_path: Path, path: str
) -> None:
    assert settings.mail
    (tmp_path / "ja").mkdir()
    (tmp_path / path).write_bytes(b"\n\x83V")
    with pytest.raises(SettingsError, match=f"^MAIL_TEMPLATES: {path}, line 2: is not UTF-8$"):
        Mail(settings, replace(settings.mail, templates=tmp_path), database)


def test_a_bad_template_stops_the_start(settings: Settings, database: Database, tmp_path: Path) -> None:
    assert settings.mail
    (tmp_path / "mail.html").write_text("{% if %}")
    with pytest.raises(SettingsError, match=r"^MAIL_TEMPLATES: mail\.html, line 1: ") as raised:
        Mail(settings, replace(settings.mail, templates=tmp_path), database)
    assert "\n" not in str(raised.value)


def test_a_slow_server_holds_a_batch_for_a_bounded_time(
    post: Post, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "LONGEST", 0)
    number = post.create()
    post.deliver()
    assert (post.state(number), server.mails) == ((PENDING, "the mail server is slow"), [])


def test_without_a_window_each_notification_is_one_mail(post: Post, server: MailServer) -> None:
    for title in "abc":
        post.create(title=title)
    post.deliver()
    assert [mail["Subject"] for mail in server.mails] == ["a", "b", "c"]
