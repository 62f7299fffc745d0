"""For a host's tests: what its transactions committed, on its own test database, without Pushpin.

    def test_scheduling_notifies_the_candidate(notifications, client):
        client.post("/interviews", data={"candidate": 42})
        notifications.assert_sent(42, type="interview.scheduled")

pytest finds the fixture ``notifications`` by itself. Under Django's own runner, or in a ``setUp``, use ``recording()``.
Nothing is published while it records, and the rows that it saw are gone at its end.
"""

from collections.abc import Iterator

import pytest

from shirase.testing.recorder import Recorder, recording

__all__ = ["Recorder", "recording"]


@pytest.fixture
def notifications() -> Iterator[Recorder]:
    """What the test's transactions have committed."""
    with recording() as recorder:
        yield recorder
