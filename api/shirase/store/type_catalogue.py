"""The catalogue of types, as users and policies see it."""

from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, delete, insert, select

from shirase.policies import Step
from shirase.store import tables
from shirase.store.sql import upsert

types = tables.Base.metadata.tables["shirase_types"]
policies = tables.Base.metadata.tables["shirase_policies"]


@dataclass(frozen=True, slots=True)
class TypeEntry:
    """A type of the catalogue."""

    type: str
    label: str
    description: str
    category: str | None
    critical: bool  # no user can switch it off
    channels: tuple[Step, ...]  # the policy


def put(db: Connection, entry: TypeEntry) -> None:
    """Store an entry, replacing the present one of its type. Existing notifications keep their deliveries."""
    columns = ("type", "label", "description", "category", "critical")
    upsert(db, types, {name: getattr(entry, name) for name in columns})  # another change of the same type waits here
    db.execute(delete(policies).where(policies.c.type == entry.type))
    if entry.channels:
        steps = [
            {
                "type": entry.type,
                "step": number,
                "channel": channel.channel,
                "after": channel.after,
                "unless": channel.unless,
            }
            for number, channel in enumerate(entry.channels)
        ]
        db.execute(insert(policies), steps)


def remove(db: Connection, type_: str) -> bool:
    """Delete an entry; false if there is none. The type then goes to the inbox alone."""
    known = cast(CursorResult[Any], db.execute(delete(types).where(types.c.type == type_))).rowcount > 0
    db.execute(delete(policies).where(policies.c.type == type_))
    return known


def entries(db: Connection) -> list[TypeEntry]:
    """All entries, by type."""
    steps: dict[str, list[Step]] = {}
    for row in db.execute(select(policies).order_by(policies.c.type, policies.c.step)):
        step = Step.model_construct(channel=row.channel, after=row.after, unless=row.unless)
        steps.setdefault(row.type, []).append(step)
    return [
        TypeEntry(
            row.type, row.label, row.description, row.category, bool(row.critical), tuple(steps.get(row.type, ()))
        )
        for row in db.execute(select(types).order_by(types.c.type))
    ]


def label(db: Connection, type_: str) -> str | None:
    """The label of a type, if it has one."""
    return db.scalar(select(types.c.label).where(types.c.type == type_)) or None


def critical(db: Connection) -> set[str]:
    """The types that no user can switch off."""
    return set(db.scalars(select(types.c.type).where(types.c.critical)))
