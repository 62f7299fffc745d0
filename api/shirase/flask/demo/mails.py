"""Mail of the demo: types that go to mail unless read, an address for each user, and the mails that arrived."""

import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request

from shirase.fields import rfc3339
from shirase.inbox.services import Services
from shirase.policies import EMAIL, Step
from shirase.store import contacts, deliveries, type_catalogue
from shirase.store.type_catalogue import TypeEntry
from shirase.types import Delivery

SHOWN = 6  # deliveries
USERS = 10
READ = 50  # the newest files
MAIL = (Step.model_validate({"channel": EMAIL, "after": "10s", "unless": "read"}),)
TYPES = tuple(
    TypeEntry(name, label, "", None, critical=False, channels=policy)
    for name, label, policy in (
        ("build.failed", "Builds", MAIL),
        ("comment.created", "Comments", MAIL),
        ("export.progress", "Exports", ()),
        ("interview.scheduled", "Interviews", MAIL),
        ("payment.received", "Payments", MAIL),
        ("reminder", "Reminders", ()),
    )
)

blueprint = Blueprint("demo_mails", __name__)


def prepare(wired: Services, user_id: str) -> None:
    """Store the demo's types and the user's address, unless there are some."""
    if not wired.settings.demo_mail:
        return
    with wired.database.autocommit() as db:
        missing = {entry.type for entry in TYPES} - {entry.type for entry in type_catalogue.entries(db)}
        has_contact = bool(contacts.of_users(db, [user_id]))
    if missing or not has_contact:
        with wired.database.transaction() as db:
            for entry in TYPES:
                if entry.type in missing:
                    type_catalogue.put(db, entry)
            if not has_contact:
                contacts.put(db, user_id, {"email": _address(user_id)})


@blueprint.get("/demo/mails")
def show() -> Response:
    """The latest deliveries by mail of the users that the page names, each with its mail once that has arrived."""
    wired: Services = current_app.extensions["shirase"]
    if not wired.settings.demo_mail:
        return jsonify(mails=None)
    arrived = _arrived(Path(wired.settings.demo_mail))
    with wired.database.autocommit() as db:
        latest = deliveries.latest(db, request.args.getlist("user")[:USERS], EMAIL, SHOWN)
    return jsonify(mails=[_shown(delivery, title, arrived.get(delivery.uid)) for delivery, title in latest])


def _shown(delivery: Delivery, title: str | None, mail: EmailMessage | None) -> dict[str, Any]:
    body = mail.get_body(("plain",)) if mail else None
    return {
        "id": delivery.id,
        "user_id": delivery.user_id,
        "title": title,
        "state": delivery.state,
        "reason": delivery.reason,
        "due_at": rfc3339(delivery.due_at),
        "mail": {"to": mail["To"], "subject": mail["Subject"], "text": body.get_content()} if mail and body else None,
    }


def _arrived(maildir: Path) -> dict[str, EmailMessage]:
    """By the id of the delivery: the newest mails. Names in a Maildir begin with the time."""
    result = {}
    for file in sorted((maildir / "new").glob("*"))[-READ:]:
        mail = message_from_bytes(file.read_bytes(), policy=policy.default)
        for uid in str(mail["X-Shirase-Deliveries"]).split():
            result[uid] = mail
    return result


def _address(user_id: str) -> str:
    local = re.sub(r"[^a-z0-9]+", "-", user_id.lower()).strip("-")[:60]
    return f"{local or 'user'}@demo.example"
