"""The notifications and announcements committed during a test."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import orjson

from shirase.types import EVERYONE

Fields = dict[str, Any]  # of a notification, as JSON has them


class Source(Protocol):
    """Where notifications are committed: by SQLAlchemy, or by Django."""

    def committed(self) -> list[Fields]:
        """The notifications that are committed by now, in order."""

    def announced(self) -> list[Fields]:
        """The announcements that are committed by now, in order."""


class Recorder:
    """The notifications and announcements that a test's transactions have committed."""

    def __init__(self, sources: list[Source]) -> None:
        """Record what these sources commit."""
        self._sources = sources
        self._passed_over = self._announcements_passed_over = 0

    @property
    def sent(self) -> list[Fields]:
        """All of them in order, as the API shows notifications."""
        committed = [fields for source in self._sources for fields in source.committed()]
        return sorted(committed, key=lambda fields: int(fields["id"]))[self._passed_over :]

    @property
    def announced(self) -> list[Fields]:
        """All announcements in order, as the API shows them."""
        committed = [fields for source in self._sources for fields in source.announced()]
        return sorted(committed, key=lambda fields: int(fields["id"]))[self._announcements_passed_over :]

    def to(self, user_id: Any, /, **fields: Any) -> list[Fields]:
        """Those to one user that have these fields."""
        return [sent for sent in self.sent if sent["user_id"] == str(user_id) and _has(sent, fields)]

    def assert_sent(self, user_id: Any, /, *, count: int | None = None, **fields: Any) -> Fields:
        """Fail unless the user got a notification with these fields; return the last one.

        Args:
            user_id: an id, or a value whose ``str`` is one.
            count: how many of them there must be; without it, any number but none.
            fields: of the notification, such as ``type`` or ``payload``.
        """
        matching = self.to(user_id, **fields)
        expected = f"{count if count is not None else 'a'} notification to {str(user_id)!r} with {fields}"
        if (not matching if count is None else len(matching) != count) or not matching:
            if count == 0 and not matching:
                return {}
            raise AssertionError(f"expected {expected}, found {len(matching)}; sent: {self._summary()}")
        return matching[-1]

    def assert_announced(self, topic: str = EVERYONE, /, **fields: Any) -> Fields:
        """Fail unless something with these fields was announced to this topic; return the last one."""
        matching = [made for made in self.announced if made["topic"] == topic and _has(made, fields)]
        if not matching:
            raise AssertionError(f"expected an announcement to {topic!r} with {fields}; sent: {self._summary()}")
        return matching[-1]

    def assert_nothing_sent(self, user_id: Any = None, /) -> None:
        """Fail if anything was sent or announced, or if anything was sent to this user."""
        matching = [*self.sent, *self.announced] if user_id is None else self.to(user_id)
        if matching:
            raise AssertionError(f"expected no notification, found {len(matching)}; sent: {self._summary()}")

    def clear(self) -> None:
        """Forget what was sent and announced so far."""
        self._passed_over += len(self.sent)
        self._announcements_passed_over += len(self.announced)

    def _summary(self) -> str:
        shown = [f"{fields['type']} {fields['title']!r} to {fields['user_id']!r}" for fields in self.sent]
        shown += [f"{fields['type']} {fields['title']!r} to the topic {fields['topic']!r}" for fields in self.announced]
        return "; ".join(shown) or "nothing"


@contextmanager
def recording() -> Iterator[Recorder]:
    """Record what transactions commit, and publish nothing, until the end of the block."""
    from shirase.testing.by_sqlalchemy import record as record_sqlalchemy  # noqa: PLC0415 - no host needs both

    with ExitStack() as started:
        sources: list[Source] = [started.enter_context(record_sqlalchemy())]
        if "shirase.django.producing" in sys.modules:
            from shirase.testing.by_django import record as record_django  # noqa: PLC0415

            sources.append(started.enter_context(record_django()))
        yield Recorder(sources)


def as_fields(shown: orjson.Fragment) -> Fields:
    """A notification as JSON shows it."""
    fields: Fields = orjson.loads(orjson.dumps(shown))
    return fields


def _has(notification: Fields, expected: Fields) -> bool:
    for name in expected:
        if name not in notification:
            raise TypeError(f"it has no field {name!r}, but {', '.join(sorted(notification))}")
    return all(notification[name] == value for name, value in expected.items())
