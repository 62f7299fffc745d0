"""The common replace in one PostgreSQL statement."""

from datetime import UTC, datetime

import pytest

from shirase.store import at_once, keyed, log, present
from shirase.store.database import Database
from shirase.types import Draft
from tests.support.content import content, made


def test_the_usual_replace_is_one_statement_of_postgresql(postgres_url: str) -> None:
    database = Database(postgres_url)
    now = datetime.now(UTC)
    with database.transaction() as db:
        keyed.put(db, [Draft(user, content(key="k")) for user in ("a", "b")], now)
    again = [Draft(user, content(key="k", title="new"), fold=True) for user in ("b", "a")]
    with database.autocommit() as db:
        done = at_once.replace_at_once(db, again, now)
        assert done is not None
        assert [(made(item).user_id, made(item).count) for item in done] == [("b", 2), ("a", 2)]
        unchanged = at_once.replace_at_once(db, [Draft("a", content(key="k", title="new"))], now)
        assert unchanged is None
        assert at_once.replace_at_once(db, [Draft("c", content(key="k"))], now) is None
        assert [event.kind for event in log.read_events(db, "a", 1, 9, 9, now)] == ["notification", "updated"]
    database.close()


def test_a_replace_that_was_overtaken_does_nothing(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(postgres_url)
    now = datetime.now(UTC)
    with database.transaction() as db:
        keyed.put(db, [Draft("a", content(key="k"))], now)
    with database.autocommit() as db:
        before = present.find(db, [Draft("a", content(key="k"))], now)
        keyed_at_once = at_once.replace_at_once(db, [Draft("a", content(key="k", title="first"))], now)
        assert keyed_at_once is not None
        monkeypatch.setattr(present, "find", lambda *_: before)  # as if the other had come between
        assert at_once.replace_at_once(db, [Draft("a", content(key="k", title="second"))], now) is None
        assert log.position(db, "a", now).head == 2
        assert [event.seq for event in log.read_events(db, "a", 1, 9, 9, now)] == [1, 2]
    database.close()
