"""A failover: the server becomes read-only, and new connections reach another that is not."""

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import make_url

from shirase.errors import DatabaseReadOnly
from shirase.flask.app import create_app
from shirase.inbox import notifications
from shirase.proxy.publisher import Publisher
from shirase.relay import repair
from shirase.settings import Settings
from shirase.store.database import Database
from shirase.store.migrate import migrate
from shirase.types import Draft
from tests.support.content import content
from tests.support.control_port import control_port
from tests.support.forwarder import Forwarder
from tests.support.loop_thread import LoopThread, wait_until
from tests.support.nowhere import NOWHERE
from tests.support.postgres import Cluster, cluster

BOUND = 10.0  # seconds


@pytest.fixture(scope="module")
def old() -> Iterator[Cluster]:
    """The server that fails."""
    with cluster() as running:
        migrate(running.create("shirase"))
        yield running


@pytest.fixture
def new(postgres: Cluster) -> Iterator[Cluster]:
    """The server that takes its place."""
    postgres.create("shirase", "shirase_template")
    yield postgres
    postgres.drop("shirase")


@pytest.fixture
def line(old: Cluster) -> Iterator[Forwarder]:
    """Where the servers' common name leads."""
    make_read_only(old, "off")
    with LoopThread() as network, closing(Forwarder(network, old.port)) as forwarder:
        yield forwarder


@pytest.fixture
def settings(line: Forwarder, old: Cluster) -> Settings:
    url = make_url(old.url("shirase")).set(port=line.port).render_as_string(hide_password=False)
    return replace(NOWHERE, database_url=url)


def make_read_only(server: Cluster, value: str = "on") -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as owner:
        owner.execute(f"ALTER SYSTEM SET default_transaction_read_only TO {value}")
        owner.execute("SELECT pg_reload_conf()")


def waiting(server: Cluster) -> list[int]:
    """How many events of the user are there and unpublished; empty if there is none at all."""
    query = "SELECT count(*) FILTER (WHERE published_at IS NULL) FROM shirase_events HAVING count(*) > 0"
    with psycopg.connect(server.url("shirase")) as db:
        return [count for (count,) in db.execute(query)]


def create(database: Database) -> bool:
    try:
        notifications.create(database, Publisher(NOWHERE), [Draft("failover", content())], answer=lambda _: "")
    except DatabaseReadOnly:
        return False
    return True


def test_creates_and_the_relay_go_on_at_the_new_server(
    settings: Settings, line: Forwarder, old: Cluster, new: Cluster
) -> None:
    stop = threading.Event()
    with control_port() as port, closing(Database(settings.database_url)) as database:
        relayed = Database(settings.database_url)
        chosen = replace(settings, grip_url=(port.url,))
        relay = threading.Thread(target=repair.run, args=(chosen, relayed, Publisher(chosen), stop))
        relay.start()
        try:
            assert create(database)
            wait_until(lambda: len(port.items) == 1, BOUND, "the relay did not work before")
            line.target_port = new.port
            make_read_only(old)
            wait_until(lambda: create(database) and waiting(new), BOUND, "no create went to the new server")
            wait_until(lambda: waiting(new) == [0], BOUND, "the relay did not go on")
        finally:
            stop.set()
            relay.join()
            relayed.close()


def test_readers_leave_a_server_that_became_read_only(
    settings: Settings, line: Forwarder, old: Cluster, new: Cluster
) -> None:
    def server(database: Database) -> str:
        with database.autocommit() as db:
            return str(db.exec_driver_sql("SELECT current_setting('port')").scalar_one())

    with closing(Database(settings.database_url)) as database:
        assert server(database) == str(old.port)
        line.target_port = new.port
        make_read_only(old)
        wait_until(lambda: server(database) == str(new.port), BOUND, "a reader stayed at the old server")


def test_not_ready_while_nothing_can_be_written(settings: Settings, old: Cluster) -> None:
    with control_port() as port:
        app = create_app(replace(settings, grip_url=(port.url,)))
        assert app.test_client().get("/readyz").status_code == 200
        make_read_only(old)
        answer = app.test_client().get("/readyz")
        assert (answer.status_code, answer.json and answer.json["unavailable"]) == (503, ["database"])
        make_read_only(old, "off")
        wait_until(lambda: app.test_client().get("/readyz").status_code == 200, BOUND, "it is not ready again")
        app.extensions["shirase"].database.close()
