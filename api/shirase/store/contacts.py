"""Where users' mail and messages go."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from shirase.store import tables
from shirase.store.sql import among, upsert

contacts = tables.Base.metadata.tables["shirase_contacts"]


@dataclass(frozen=True, slots=True)
class Contact:
    """Where a user's mail and messages go, and in which language and time zone they are written."""

    email: str | None = None
    locale: str | None = None
    timezone: str | None = None
    apprise: tuple[str, ...] = field(default=(), repr=False)  # addresses, which have secrets in them


def put(db: Connection, user_id: str, contact: Mapping[str, Any]) -> None:
    """Store a contact, replacing the present one.

    Args:
        db: a transaction that writes.
        user_id: the user.
        contact: the fields of ``Contact``; what is left out is removed.
    """
    columns = {name: contact.get(name) for name in ("email", "locale", "timezone")}
    upsert(db, contacts, {"user_id": user_id, **columns, "apprise": "\n".join(contact.get("apprise", ())) or None})


def of_users(db: Connection, user_ids: Collection[str]) -> dict[str, Contact]:
    """The contacts of those users who have one."""
    rows = db.execute(select(contacts).where(among(db.dialect.name, contacts.c.user_id, user_ids)))
    return {row.user_id: Contact(row.email, row.locale, row.timezone, _lines(row.apprise)) for row in rows}


def _lines(text: str | None) -> tuple[str, ...]:
    return tuple(text.split("\n")) if text else ()
