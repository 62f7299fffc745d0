"""Where users' mail goes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from shirase.store import tables
from shirase.store.sql import among, upsert

contacts = tables.Base.metadata.tables["shirase_contacts"]


@dataclass(frozen=True, slots=True)
class Contact:
    """Where a user's mail goes, and in which language and time zone it is written."""

    email: str | None = None
    locale: str | None = None
    timezone: str | None = None


def put(db: Connection, user_id: str, contact: Mapping[str, Any]) -> None:
    """Store a contact, replacing the present one."""
    upsert(db, contacts, {"user_id": user_id, **contact})


def of_users(db: Connection, user_ids: Collection[str]) -> dict[str, Contact]:
    """The contacts of those users who have one."""
    rows = db.execute(select(contacts).where(among(db.dialect.name, contacts.c.user_id, user_ids)))
    return {row.user_id: Contact(row.email, row.locale, row.timezone) for row in rows}
