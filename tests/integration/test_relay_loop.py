"""The relay's loop, as its process runs it: it survives outages of every part, and ends on request."""

import logging
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import make_url, text, update

from shirase.inbox import inbox, notifications
from shirase.proxy.publisher import Publisher
from shirase.relay import repair
from shirase.settings import Settings
from shirase.store.database import Database
from shirase.store.tables import EventRow
from shirase.types import Draft
from tests.support.content import content
from tests.support.control_port import ControlPort, control_port
from tests.support.forwarder import Forwarder, Mode
from tests.support.loop_thread import LoopThread, wait_until

BOUND = 15.0
REFUSED = "http://127.0.0.1:1"  # a control port that nothing listens on


@pytest.fixture
def port() -> Iterator[ControlPort]:
    with control_port() as running:
        yield running


@contextmanager
def running(settings: Settings) -> Iterator[threading.Thread]:
    stop = threading.Event()
    with closing(Database(settings.database_url, settings.database_timeout)) as database:
        thread = threading.Thread(target=repair.run, args=(settings, database, Publisher(settings), stop))
        thread.start()
        try:
            yield thread
        finally:
            stop.set()
            thread.join(BOUND)
            assert not thread.is_alive()


def create(settings: Settings, database: Database, expires_at: datetime | None = None) -> None:
    drafts = [Draft("42", content("a.b", "T", "M", "{}", expires_at))]
    notifications.create(database, Publisher(settings), drafts, answer=lambda _: "")


def test_it_repairs_removes_what_expired_and_keeps_house(
    settings: Settings, database: Database, port: ControlPort
) -> None:
    create(settings, database)
    create(settings, database, datetime.now(UTC) - timedelta(seconds=1))
    with database.transaction() as db:
        db.execute(
            text("INSERT INTO shirase_idempotency_keys VALUES ('o', 'k', 'f', 'a', '2020-01-01T00:00:00.000000Z')")
        )
    with running(replace(settings, grip_url=(port.url,))):
        wait_until(lambda: len(port.items) == 3, BOUND, lambda: str(port.items))
        wait_until(lambda: not count(database, "idempotency_keys"), BOUND, "the key is still there")
    assert inbox.unread_count(database, "42") == 1
    # The second has no content any more, and keeps its position. The third announces its removal; it may be sent before
    # the others, which are left alone while they are young.
    result = sorted(port.items, key=lambda item: str(item["id"]))
    assert sorted(port.seqs) == [1, 2, 3]
    assert result[1]["formats"]["http-stream"] == {"content": ":\n\n"}


def test_what_is_just_being_published_is_left_alone(settings: Settings, database: Database, port: ControlPort) -> None:
    create(settings, database)
    publisher = Publisher(replace(settings, grip_url=(port.url,)))
    assert repair.repair(database, publisher, rest=timedelta(hours=1)).events == 0
    with database.transaction() as db:  # by a process whose clock is ahead
        ahead = datetime.now(UTC) + timedelta(minutes=1)
        db.execute(update(EventRow).values(created_at=ahead))
    assert repair.repair(database, publisher, rest=timedelta(hours=1)).events == 1


def test_a_defect_of_what_runs_beside_it_ends_it(
    settings: Settings, database: Database, port: ControlPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a relay would seem alive for ever; a process that ended is restarted."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("shirase.relay.presence.run", fail)
    chosen = replace(settings, grip_url=(port.url,))
    with pytest.raises(ZeroDivisionError):
        repair.run(chosen, database, Publisher(chosen), threading.Event())


def test_it_waits_out_an_outage_of_the_database(
    postgres_url: str, port: ControlPort, caplog: pytest.LogCaptureFixture
) -> None:
    url = make_url(postgres_url)
    with (
        LoopThread() as thread,
        closing(Forwarder(thread, url.port)) as line,
        closing(Database(postgres_url)) as direct,
    ):
        through = url.set(port=line.port).render_as_string(hide_password=False)
        settings = Settings(database_url=through, grip_url=(port.url,), pushpin_sig_key="k" * 32, jwt_secret="j" * 32)
        line.mode = Mode.REFUSE
        caplog.set_level(logging.WARNING)
        with running(settings):
            wait_until(lambda: "the relay waits" in caplog.text, BOUND, "it did not meet the outage")
            create(replace(settings, grip_url=(REFUSED,)), direct)
            assert port.items == []
            line.mode = Mode.PASS
            wait_until(lambda: port.items, BOUND, "it did not come back")
    assert port.seqs == [1]


def count(database: Database, table: str) -> int:
    with database.autocommit() as db:
        return int(db.execute(text(f"SELECT count(*) FROM shirase_{table}")).scalar_one())  # noqa: S608
