"""Runs in a container: a mail server with STARTTLS and a password, and a webhook's endpoint.

Prints a line for each delivery.
"""

import json
import ssl
import sys
from email import message_from_string, policy
from http.server import BaseHTTPRequestHandler, HTTPServer

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

PASSWORD, MAIL_PORT, WEB_PORT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def report(kind: str, what: object) -> None:
    """Print one line at once."""
    sys.stdout.write(f"{kind}: {what}\n")
    sys.stdout.flush()


class Mails:
    """Accepts every mail."""

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Report it."""
        report("mail", message_from_string(str(envelope.content), policy=policy.default)["Subject"])
        return "250 accepted"


class Endpoint(BaseHTTPRequestHandler):
    """Accepts every request of a webhook."""

    def do_POST(self) -> None:
        """Report it."""
        report("webhook", json.loads(self.rfile.read(int(self.headers["Content-Length"])))["data"]["title"])
        self.send_response(204)
        self.end_headers()


def authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _kind: str, sent: LoginPassword) -> AuthResult:
    """Compare the password."""
    return AuthResult(success=sent.password == PASSWORD.encode())


if __name__ == "__main__":
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain("/certificates/host.pem", "/certificates/host.key")
    Controller(
        Mails(),
        hostname="0.0.0.0",  # noqa: S104
        port=MAIL_PORT,
        decode_data=True,
        require_starttls=True,
        auth_required=True,
        authenticator=authenticate,
        tls_context=context,
    ).start()
    HTTPServer(("0.0.0.0", WEB_PORT), Endpoint).serve_forever()  # noqa: S104
