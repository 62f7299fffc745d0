"""The doctor's checks of what leaves the inbox: each failure is named with its fix, and no secret is shown."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shirase.mail_settings import MailSettings
from shirase.run.doctor.findings import Failed, Skipped
from shirase.run.doctor.reach import Reach
from shirase.settings import Settings
from shirase.store import webhooks
from tests.integration.mail.post import Post
from tests.support.certificates import Authority
from tests.support.mail_server import MailServer
from tests.support.stack import free_ports

RIGHT = "correct horse"
LONG_AGO, LATER = "2026-01-02T03:04:05.000000Z", "2999-01-02T03:04:05.000000Z"


class NoSenders(MailServer):
    async def handle_MAIL(self, *_: Any) -> str:  # noqa: N802 - aiosmtpd's name
        return "550 5.7.1 you may not send from this address"


@pytest.fixture
def reach(settings: Settings) -> Iterator[Reach]:
    with closing(Reach(settings, lambda: True)) as opened:
        yield opened


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate, authority.key)
    return context


def check(reach: Reach, mail: MailSettings, server: MailServer, **changed: Any) -> str:
    return reach.mail(replace(mail, **{"host": "localhost", "port": server.port, **changed}))


def test_a_mail_server_that_accepts_us_is_in_order(reach: Reach, mail: MailSettings, trusted: ssl.SSLContext) -> None:
    signed_in = {"security": "starttls", "user": "u", "password": RIGHT}
    with MailServer(context=trusted, password=RIGHT, require_starttls=True) as server:
        assert check(reach, mail, server, **signed_in).endswith("accepts our sender")
        assert server.mails == []


Server = Callable[[ssl.SSLContext], MailServer]
SERVERS: dict[str, tuple[Server, dict[str, Any], str]] = {
    "password": (
        lambda context: MailServer(context=context, password=RIGHT, quotes=True, require_starttls=True),
        {"security": "starttls", "user": "u", "password": "wrong horse"},
        "refuses the user or the password: 535 — fix: correct SMTP_USER and SMTP_PASSWORD",
    ),
    "no STARTTLS": (lambda _: MailServer(), {"security": "starttls"}, "offers no STARTTLS.*SMTP_SECURITY=tls"),
    "no TLS": (
        lambda _: MailServer(),
        {"security": "tls"},
        "no TLS with.*correct SMTP_HOST, SMTP_PORT or SMTP_SECURITY",
    ),
    "another name": (
        lambda context: MailServer(context=context),
        {"security": "starttls", "host": "127.0.0.1"},
        "no TLS with.*SSL_CERT_FILE",
    ),
    "sender": (lambda _: NoSenders(), {}, "refuses the sender: 550 — fix: set MAIL_FROM"),
}


@pytest.mark.parametrize("name", SERVERS)
def test_a_mail_server_that_refuses_us_is_reported(
    name: str, reach: Reach, mail: MailSettings, trusted: ssl.SSLContext
) -> None:
    make, changed, message = SERVERS[name]
    with make(trusted) as server, pytest.raises(Failed, match=message) as caught:
        check(reach, mail, server, **changed)
    assert "horse" not in str(caught.value)


def test_a_mail_server_that_is_down_is_reported(reach: Reach, mail: MailSettings) -> None:
    with pytest.raises(Failed, match="does not answer: ConnectionRefusedError — fix: correct SMTP_HOST"):
        reach.mail(replace(mail, port=free_ports(1)[0]))


def test_deliveries_that_no_relay_takes_are_reported(post: Post, reach: Reach) -> None:
    assert reach.deliveries() == "none is late"
    post.create()
    assert reach.deliveries() == "none is late"
    post.execute(f"UPDATE shirase_deliveries SET due_at = '{LONG_AGO}'")  # noqa: S608
    with pytest.raises(
        Failed, match=r"email: no relay has taken .* 2026-01-02 03:04 \(waiting: 1\) — fix: set SMTP_HOST"
    ):
        reach.deliveries()


def test_what_is_claimed_held_or_not_due_is_not_late(post: Post, reach: Reach) -> None:
    """Otherwise the fix would be a setting that is right, or a relay that runs."""
    for _ in range(4):
        post.create()
    post.execute(
        f"UPDATE shirase_deliveries SET due_at = '{LONG_AGO}', claimed_until = '{LATER}'",  # noqa: S608
        f"UPDATE shirase_deliveries SET due_at = '{LATER}', claimed_until = NULL WHERE notification_id = 2",  # noqa: S608
        "UPDATE shirase_deliveries SET reason = 'quiet' WHERE notification_id = 2",
        "UPDATE shirase_deliveries SET due_at = created_at, claimed_until = NULL WHERE notification_id = 3",
    )
    assert reach.deliveries() == "none is late"
    post.execute(f"UPDATE shirase_deliveries SET claimed_until = '{LONG_AGO}' WHERE notification_id = 4")  # noqa: S608
    with pytest.raises(Failed, match=r"email: no relay has taken what is due since .* \(waiting: 1\)"):
        reach.deliveries()


def test_deliveries_that_fail_are_reported_by_their_reason(post: Post, server: MailServer, reach: Reach) -> None:
    server.refuse = lambda _: "450 try later"
    post.create()
    post.deliver()
    with pytest.raises(Failed, match="email fails, waiting: 1, because: the mail server refused the recipient: 450"):
        reach.deliveries()
    server.refuse = lambda _: "550 no such mailbox"
    post.due_again()
    post.deliver()
    assert reach.deliveries() == "none is late; dead: 1, see `shirase deliveries list --state dead`"


def test_a_webhook_that_fails_or_is_paused_is_reported(post: Post, reach: Reach) -> None:
    assert reach.webhooks() == "0, none of them paused or failing"
    with post.database.transaction() as db:
        webhooks.put(db, "crm", "https://example.com/in", [], "whsec_x", datetime.now(UTC), timedelta())
    assert reach.webhooks() == "1, none of them paused or failing"
    post.execute(f"UPDATE shirase_webhooks SET failing_since = '{LONG_AGO}', reason = 'it answered 500'")  # noqa: S608
    with pytest.raises(Failed, match="crm has failed since 2026-01-02 03:04: it answered 500 — fix: repair"):
        reach.webhooks()
    post.execute(f"UPDATE shirase_webhooks SET paused_at = '{LONG_AGO}'")  # noqa: S608
    with pytest.raises(Failed, match=r"crm is paused with 0 waiting: .* — fix: .*shirase webhook retry crm"):
        reach.webhooks()


def test_without_a_schema_nothing_is_read(settings: Settings) -> None:
    with closing(Reach(settings, lambda: False)) as reach:
        for each in (reach.deliveries, reach.webhooks):
            with pytest.raises(Skipped):
                each()
