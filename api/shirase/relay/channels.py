"""Channels outside the inbox: what a channel is, and what it answers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from shirase.settings import Settings
from shirase.store.database import Database
from shirase.types import Delivery, Notification


@dataclass(frozen=True, slots=True)
class Sent:
    """The other side has accepted it."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """There is no recipient."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Try again, after this time at the earliest; without it, after the usual backoff."""

    reason: str  # without addresses or secrets: it is stored and shown
    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The other side will never accept it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Split:
    """Send to each of several targets by a delivery of its own."""

    targets: Sequence[str]


Outcome = Sent | Skipped | Failed | Refused | Split


@dataclass(frozen=True, slots=True)
class Item:
    """A delivery to make, and its notification."""

    delivery: Delivery  # ``delivery.uid`` is the same at each attempt
    notification: Notification


class Channel(Protocol):
    """Sends to one kind of address. Each channel has a thread of its own."""

    name: str
    batch: int  # deliveries that are claimed together
    window: timedelta  # also claim deliveries to the same users that are due within it
    keeps_quiet: bool  # whether quiet hours hold it back

    def send(self, items: Sequence[Item]) -> Iterator[tuple[Item, Outcome]]:
        """Send these; yields an outcome for each, in any order, as soon as it is known.

        An item without an outcome is tried again, and so are all if an exception is raised.
        """

    def close(self) -> None:
        """Close connections."""


def configured(settings: Settings, database: Database) -> list[Channel]:
    """The channels that the settings configure."""
    from shirase.relay.apprise.channel import Apprise  # noqa: PLC0415
    from shirase.relay.mail.smtp import Mail  # noqa: PLC0415 - they import this module
    from shirase.relay.push import Push  # noqa: PLC0415

    channels: list[Channel] = []
    if settings.mail:
        channels.append(Mail(settings, settings.mail, database))
    if settings.push_key:
        channels.append(Push(settings, settings.push_key, database))
    if settings.apprise:
        channels.append(Apprise(settings, database))
    return channels


def in_turn(items: Sequence[Item]) -> list[Item]:
    """Each user's first, then each user's second, and so on: one with many targets holds up no other."""
    of_user: Counter[str] = Counter()
    ranks: dict[int, int] = {}
    for item in items:
        ranks[item.delivery.id] = of_user[item.delivery.user_id]
        of_user[item.delivery.user_id] += 1
    return sorted(items, key=lambda item: ranks[item.delivery.id])
