"""Shared by the tests of mail."""

from typing import Any

from sqlalchemy import text

from shirase.inbox import notifications
from shirase.proxy.publisher import Publisher
from shirase.relay import deliveries as relay
from shirase.relay.channels import configured
from shirase.relay.mail.smtp import Mail
from shirase.settings import Settings
from shirase.store import contacts, deliveries
from shirase.store.database import Database
from shirase.types import Draft
from tests.support.content import content, made

HOST = "127.0.0.1"


class Post:
    """Creates notifications of a type that goes to mail, and runs the channel."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database, self.settings, self.publisher = database, settings, Publisher(settings)
        [channel] = configured(settings, database)
        assert isinstance(channel, Mail)
        self.channel = channel
        self.execute(
            "INSERT INTO shirase_types (type, label, description) VALUES ('a.b', 'A', ''), ('c.d', 'C', '')",
            "INSERT INTO shirase_policies (type, step, channel, after) VALUES ('a.b', 0, 'email', 0),"
            " ('c.d', 0, 'email', 0)",
        )

    def execute(self, *statements: str) -> None:
        with self.database.transaction() as db:
            for statement in statements:
                db.execute(text(statement))

    def contact(self, user: str = "42", email: str | None = "aiko@example.org", **more: Any) -> None:
        with self.database.transaction() as db:
            contacts.put(db, user, {"email": email, "locale": None, "timezone": None, **more})

    def create(self, user: str = "42", **fields: Any) -> int:
        drafts = [Draft(user, content(**fields))]
        body, _ = notifications.create(
            self.database, self.publisher, drafts, answer=lambda stored: str(made(stored[0]).id)
        )
        return int(body)

    def deliver(self) -> None:
        relay.deliver(self.database, self.channel)

    def due_again(self) -> None:
        self.execute("UPDATE shirase_deliveries SET due_at = created_at")

    def state(self, number: int) -> tuple[str, str | None]:
        with self.database.autocommit() as db:
            [delivery] = deliveries.of_notification(db, number)
        return delivery.state, delivery.reason
