"""Unsubscribing from mail by a signed address."""

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from email.message import EmailMessage

import pytest
from flask import Flask
from sqlalchemy import text

from shirase.flask.app import create_app
from shirase.inbox import preferences, users
from shirase.inbox.reach import MOST_RULES
from shirase.inbox.translations import WORDS, Words
from shirase.settings import Settings
from shirase.types import CANCELLED, Preferences, Rule
from tests.integration.mail.post import Post
from tests.support.mail_server import MailServer, text_of


def unsubscribing(mail: EmailMessage) -> str:
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    address: str = dict(mail.raw_items())["List-Unsubscribe"].strip("<>")  # as it was sent
    assert address.startswith("https://example.com/notify/api/unsubscribe/")
    return address.removeprefix("https://example.com/notify")


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    app = create_app(settings)
    yield app
    app.extensions["shirase"].database.close()


def test_one_click_unsubscribes_without_a_sign_in(post: Post, server: MailServer, app: Flask) -> None:
    post.create()
    post.deliver()
    path, client = unsubscribing(server.mails[0]), app.test_client()
    page = client.get(path)
    assert (page.status_code, b"<form" in page.data) == (200, True)
    post.create()
    post.deliver()
    assert len(server.mails) == 2  # the page alone changes nothing
    pending = post.create()
    done = client.post(path, data={"List-Unsubscribe": "One-Click"})
    assert done.status_code == 200
    post.create()
    post.deliver()
    assert (len(server.mails), post.state(pending)) == (2, (CANCELLED, "muted"))
    post.create(kind="c.d")
    post.deliver()
    assert len(server.mails) == 3  # another type
    assert preferences.read(post.database, "42").rules == (Rule("a.b", "email", enabled=False),)


@pytest.mark.parametrize("user", ["42", "u" * 255, "\N{GRINNING FACE}" * 255])
def test_mail_programs_can_read_the_address_whatever_the_id(
    user: str, post: Post, server: MailServer, app: Flask
) -> None:
    post.contact(user)
    post.create(user)
    post.deliver()
    sent = dict(server.mails[0].raw_items())["List-Unsubscribe"]
    lines = sent.split("\n")
    assert all(line.isascii() and len(line) < 998 and "=?" not in line for line in lines)
    path = "".join(line.strip() for line in lines).strip("<>").removeprefix("https://example.com/notify")
    assert app.test_client().post(path).status_code == 200
    assert preferences.read(post.database, user).rules == (Rule("a.b", "email", enabled=False),)


def test_a_link_that_is_used_again_writes_nothing(post: Post, server: MailServer, app: Flask) -> None:
    post.create()
    post.deliver()
    path = unsubscribing(server.mails[0])
    for _ in range(3):
        assert app.test_client().post(path).status_code == 200
    with post.database.autocommit() as db:
        assert db.scalar(text("SELECT count(*) FROM shirase_events WHERE kind = 'preferences'")) == 1


def test_what_one_click_leaves_can_be_stored_again(post: Post, server: MailServer, app: Flask) -> None:
    """Also with as many rules as a user may have. One that switches a channel on gives way."""
    post.create()
    post.deliver()
    rules = [Rule(f"s{number}", "inbox", enabled=number == 7) for number in range(MOST_RULES)]
    preferences.replace(post.database, post.publisher, "42", Preferences(tuple(rules)))
    for _ in range(2):
        assert app.test_client().post(unsubscribing(server.mails[0])).status_code == 200
    stored = preferences.read(post.database, "42").rules
    assert set(stored) == {rule for rule in rules if not rule.enabled} | {Rule("a.b", "email", enabled=False)}
    assert len(stored) == MOST_RULES


def test_a_link_of_an_erased_user_stores_nothing(post: Post, server: MailServer, app: Flask) -> None:
    post.create()
    post.deliver()
    assert users.erase(post.database, post.publisher, "42")
    assert app.test_client().post(unsubscribing(server.mails[0])).status_code == 200
    with post.database.autocommit() as db:
        for table in ("streams", "preferences", "events"):
            assert db.scalar(text(f"SELECT count(*) FROM shirase_{table} WHERE user_id = '42'")) == 0  # noqa: S608


def test_unsubscribing_from_a_digest_ends_all_mail(post: Post, server: MailServer, app: Flask) -> None:
    post.channel.window = timedelta(minutes=1)
    post.create()
    post.create(kind="c.d")
    post.deliver()
    client = app.test_client()
    assert client.post(unsubscribing(server.mails[0])).status_code == 200
    post.create()
    post.create(kind="c.d")
    post.deliver()
    assert len(server.mails) == 1


@pytest.mark.parametrize("sealed", ["x", "e30.x", "a" * 3000, "%00"])
def test_a_forged_address_unsubscribes_nobody(app: Flask, sealed: str) -> None:
    for method in ("GET", "POST"):
        assert app.test_client().open(f"/api/unsubscribe/{sealed}", method=method).status_code == 404


def test_critical_mail_cannot_be_unsubscribed_from(post: Post, server: MailServer) -> None:
    post.execute("UPDATE shirase_types SET critical = true")
    post.create()
    post.deliver()
    assert server.mails[0]["List-Unsubscribe"] is None
    assert "unsubscribe" not in text_of(server.mails[0]).lower()


def test_the_page_is_in_the_users_language_with_the_label(post: Post, server: MailServer, app: Flask) -> None:
    post.execute("UPDATE shirase_types SET label = 'Interviews & <b>more</b>' WHERE type = 'a.b'")
    post.contact(locale="de-AT")
    post.create()
    post.deliver()
    path, client = unsubscribing(server.mails[0]), app.test_client()
    asked = client.get(path, headers={"Accept-Language": "ja"}).text
    assert '<html lang="de" dir="ltr">' in asked
    assert "<h1>„Interviews &amp; &lt;b&gt;more&lt;/b&gt;“ abbestellen?</h1>" in asked
    assert "<button>Abbestellen</button>" in asked
    assert "„Interviews &amp; &lt;b&gt;more&lt;/b&gt;“ ist abbestellt." in client.post(path).text


def test_browsers_get_a_page_for_what_cannot_be_done(post: Post, server: MailServer, app: Flask) -> None:
    post.create()
    post.deliver()
    post.execute("UPDATE shirase_types SET critical = true")
    client = app.test_client()
    browser = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "Accept-Language": "he-IL,en;q=0.5"}
    path = unsubscribing(server.mails[0])
    for answer, status in ((client.get(path + "x", headers=browser), 404), (client.post(path, headers=browser), 422)):
        assert (answer.status_code, answer.mimetype) == (status, "text/html")
        assert '<html lang="he" dir="rtl">' in answer.text
    for answer, status in ((client.get(path + "x"), 404), (client.post(path), 422)):
        assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")


def test_the_page_runs_nothing_and_styles_itself(post: Post, server: MailServer, app: Flask) -> None:
    post.create()
    post.deliver()
    page = app.test_client().get(unsubscribing(server.mails[0]))
    [style] = re.findall("<style>(.*?)</style>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_every_language_names_the_type(words: Words) -> None:
    texts = asdict(words)
    assert all(texts.values())
    assert {name for name, each in texts.items() if "{label}" in each} == {"ask", "done"}
    assert {name for name, each in texts.items() if "{n}" in each} == {"digest"}
