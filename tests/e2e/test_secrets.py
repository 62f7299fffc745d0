"""No secret of mail, Web Push or webhooks reaches a log or an answer, whatever fails."""

import hashlib
import json
import ssl
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from sqlalchemy import text

from shirase import vapid
from shirase.access.tokens import ADMIN, WRITE
from shirase.run.cli import main
from shirase.vapid import PushKey
from tests.conftest import MakeDatabase
from tests.support.browser_like import Browsers
from tests.support.certificates import make_authority
from tests.support.loop_thread import wait_until
from tests.support.mail_server import MailServer
from tests.support.push_browser import Browser
from tests.support.service import Service, draft, service
from tests.support.sink import Sink, sink
from tests.support.stack import Stack

BOUND = 30.0
PASSWORD = "made-up correct horse"
VAPID = vapid.generate()
SECRETS = [f"whsec_{b64encode(hashlib.sha256(name).digest()).decode()}" for name in (b"made-up 1", b"made-up 2")]
KIND, ADDRESS, CAPABILITY = "secret.kind", "aiko.made-up@example.org", "made-up-capability"


def spellings() -> dict[str, str]:
    """Each secret, in every form in which it is held or sent."""
    private, _ = PushKey(VAPID, "ops@example.com").pems()
    scalar = urlsafe_b64decode(VAPID + "=")
    result = {
        "password": PASSWORD,
        "password in base64": b64encode(PASSWORD.encode()).decode(),
        "password of AUTH PLAIN": b64encode(f"\0user\0{PASSWORD}".encode()).decode(),
        "password, its last word": "correct horse",
        "VAPID key": VAPID,
        "VAPID key in hexadecimal": scalar.hex(),
        "VAPID key in decimal": str(int.from_bytes(scalar, "big")),
        "VAPID key in PEM": private.decode().splitlines()[1],
        "address": ADDRESS,
        "subscription": CAPABILITY,
    }
    for number, secret in enumerate(SECRETS):
        result |= {f"webhook {number}": secret, f"webhook {number}, bare": secret.removeprefix("whsec_").rstrip("=")}
    return result


@dataclass
class Stage:
    """A service at DEBUG whose other sides fail, and every answer that it gave."""

    service: Service
    mail: MailServer
    push: Sink
    webhook: Sink
    browser: Browser
    answers: list[str]

    def ask(self, method: str, path: str, body: Any = None, user: str = "42") -> httpx.Response:
        answer = self.service.ask(method, path, user, scope=f"{ADMIN} {WRITE}", json=body)
        self.answers.append(f"{answer.headers}\n{answer.text}")
        return answer

    def create(self) -> int:
        number: int = self.ask("POST", "/api/notifications", draft(user_id="42", type=KIND)).json()["id"]
        return number

    def logs(self) -> str:
        return "".join(path.read_text() for path in sorted(self.service.stack.log_dir.iterdir()))

    def wait_logged(self, text: str) -> None:
        """Wait for a line, and have everything that failed tried again."""

        def is_logged() -> bool:
            self.hurry()
            return text in self.logs()

        wait_until(is_logged, BOUND, lambda: f"{text!r} is not in {self.service.stack.logs()}", 0.3)

    def execute(self, statement: str) -> None:
        with self.service.database.transaction() as db:
            db.execute(text(statement))

    def hurry(self) -> None:
        """Have everything tried now."""
        self.execute("UPDATE shirase_deliveries SET due_at = created_at WHERE state = 'pending'")
        self.execute("UPDATE shirase_webhooks SET next_at = created_at")


@pytest.fixture
def stage(tmp_path: Path, browsers: Browsers, make_database: MakeDatabase) -> Iterator[Stage]:
    """On PostgreSQL, whose errors quote rows."""
    with make_database("postgresql") as url, sink() as push, sink() as webhook, mail_server(tmp_path) as mail:
        env = {
            "SMTP_HOST": "localhost",
            "SMTP_PORT": str(mail.port),
            "SMTP_USER": "user",
            "SMTP_PASSWORD": PASSWORD,
            "SMTP_TIMEOUT": "2",
            "MAIL_FROM": "noreply@example.com",
            "MAIL_WINDOW": "0",
            "PUBLIC_URL": "https://example.com",
            "SSL_CERT_FILE": str(tmp_path / "authorities" / "company.pem"),
            "VAPID_PRIVATE_KEY": VAPID,
            "VAPID_CONTACT": "ops@example.com",
            "OUTBOUND_PRIVATE_HOSTS": "127.0.0.1",
            "LOG_LEVEL": "DEBUG",
            "LOG_FORMAT": "json",
        }
        with Stack(url, tmp_path / "data", env=env) as stack, service(stack, browsers) as running:
            browser = Browser.new(f"{push.url}/{CAPABILITY}")
            yield Stage(running, mail, push, webhook, browser, [])


@contextmanager
def mail_server(directory: Path) -> Iterator[MailServer]:
    """A server that expects another password, and quotes the one that it gets."""
    authority = make_authority(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate, authority.key)
    with MailServer(context=context, password="another", quotes=True, require_starttls=True) as running:
        yield running


def test_no_secret_reaches_a_log_or_an_answer(stage: Stage) -> None:
    prepare(stage)
    number = fail_in_every_way(stage)
    break_rows(stage)
    ask_for_everything(stage, number)

    logged, answered = stage.logs(), "\n".join(stage.answers)
    assert '"levelname": "DEBUG"' in logged
    assert '"exc_info"' in logged
    sent = {f"VAPID token {n}": got.headers["authorization"].split("t=")[1] for n, got in enumerate(stage.push.got)}
    sent |= {f"signature {n}": got.headers["webhook-signature"] for n, got in enumerate(stage.webhook.got)}
    assert len(sent) > 4
    for what, secret in (spellings() | sent).items():
        assert secret not in logged, what
        if what not in ("address", "subscription"):  # which are the user's own
            assert secret not in answered, what


def prepare(stage: Stage) -> None:
    entry = {"label": "", "description": "", "channels": [{"channel": "email"}, {"channel": "web_push"}]}
    assert stage.ask("PUT", f"/api/types/{KIND}", entry).is_success
    assert stage.ask("PUT", "/api/users/42/contact", {"email": ADDRESS}).is_success
    assert stage.ask("PUT", "/api/push/subscriptions", stage.browser.subscription).is_success
    for secret in SECRETS:  # the second replaces the first, which goes on signing
        body = {"url": f"{stage.webhook.url}/in", "types": [], "secret": secret}
        assert stage.ask("PUT", "/api/webhooks/made", body).is_success
    for wrong in (f"{SECRETS[0]}!", SECRETS[0][6:], SECRETS[0] * 9):
        refused = stage.ask("PUT", "/api/webhooks/wrong", {"url": stage.webhook.url, "types": [], "secret": wrong})
        assert refused.status_code == 422


def fail_in_every_way(stage: Stage) -> int:
    """Each failure is waited for, so that its lines are in the log."""
    for mode in ("500", "redirect", "drop", "403"):
        stage.push.mode = stage.webhook.mode = mode
        before = len(stage.push.got), len(stage.webhook.got)
        number = stage.create()
        stage.hurry()
        wait_until(
            lambda before=before: len(stage.push.got) > before[0] and len(stage.webhook.got) > before[1],  # type: ignore[misc]
            BOUND,
            lambda mode=mode: f"{mode}: {stage.service.stack.logs()}",  # type: ignore[misc]
        )
    stage.wait_logged("refuses: 535")
    stage.mail.stop()
    stage.create()
    stage.wait_logged("does not answer: ConnectionRefusedError")
    return number


def break_rows(stage: Stage) -> None:
    """What lies in the database cannot be used: the exceptions that follow are about the secrets themselves."""
    bad = SECRETS[1][:-3] + "é=="
    stage.execute(f"UPDATE shirase_webhooks SET secret = '{bad}', previous_secret = NULL")  # noqa: S608
    stage.execute("UPDATE shirase_push_subscriptions SET p256dh = 'AAAA'")
    stage.create()
    stage.wait_logged("webhook made: a message cannot be made")
    stage.wait_logged("web_push: a message cannot be made")
    table = "ALTER TABLE shirase_webhooks"
    stage.execute(f"{table} RENAME secret TO hidden")
    assert stage.ask(
        "PUT", "/api/webhooks/made", {"url": stage.webhook.url, "types": [], "secret": SECRETS[0]}
    ).is_error
    stage.execute(f"{table} RENAME hidden TO secret")
    stage.service.stack.restart_ended()


def ask_for_everything(stage: Stage, number: int) -> None:
    document = stage.ask("GET", "/api/openapi.json").json()
    paths = [path for path, methods in document["paths"].items() if "get" in methods and "sse" not in path]
    for path in (*paths, f"/api/notifications/{number}/trace", "/api/users/42/export", "/metrics", "/readyz"):
        filled = path.replace("{number}", str(number)).replace("{user_id}", "42").replace("{name}", "made")
        with suppress(httpx.HTTPError):
            stage.ask("GET", filled + ("?after=x" if path.endswith("/poll") else ""))
    stage.answers.append(httpx.get(f"{stage.service.stack.origin_url}/metrics", trust_env=False).text)
    traced = json.loads(stage.ask("GET", f"/api/notifications/{number}/trace").text)
    assert {step["state"] for step in traced["webhooks"]} == {"waiting"}
    assert {delivery["channel"] for delivery in traced["deliveries"]} == {"email", "web_push"}
    environ = stage.service.stack.settings_env
    stage.answers.append(shirase(environ, "deliveries", "list", "--state", "pending"))
    stage.answers.append(shirase({**environ, "SMTP_SECURITY": "none"}, "relay"))
    stage.answers.append(shirase({**environ, "VAPID_PRIVATE_KEY": f"{VAPID}AAAA"}, "relay"))


def shirase(environ: dict[str, str], *command: str) -> str:
    return CliRunner(env=environ).invoke(main, command).output
