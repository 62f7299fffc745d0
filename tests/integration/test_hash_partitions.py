"""On hash partitions by user the store works as it is, and statements about users read their partitions alone."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import text

from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store.database import Database
from tests.conftest import REFUSED
from tests.integration.test_plans import plans_about_users, plans_of_marks, without_condition
from tests.integration.test_schema import QUERIES, fill
from tests.support.hash_partitions import partition, scanned

# Queries about several users, and how many.
USERS = {
    **dict.fromkeys(("latest", "hidden", "lock", "unpublished_among", "take_over", "remove, due"), 2),
    "members, change": 2,
    "standing": 2,  # and the rows that an erasure left
    "audience": 3,  # and the marks of nodes
}
# Rows that are found by something else than their user, and so in every partition.
OF_THE_RELAY = {
    *("unpublished", "outbox", "waiting", "expired", "outdated", "remove_events"),
    *("misses", "misses, count"),
    *("announced", "departed", "of_node", "entered", "uncounted", "confirm", "never_announced", "vouch", "remove_old"),
    *("expired connections", "untold", "end"),
    *("deliveries, due", "deliveries, claim", "deliveries, standings", "deliveries, finish", "deliveries, remove"),
    *("connected and behind", "connected and waiting"),
}
OF_PRODUCERS = {"mark_published, append", "of_key", "announcement", "announcement, taken over", "members"}
OF_OPERATORS = {"trace", "deliveries, waiting", "deliveries, overdue"}


@pytest.fixture
def partitioned(postgres_url: str) -> Iterator[Database]:
    with closing(Database(postgres_url)) as database:
        partition(database)
        yield database


@pytest.fixture
def filled(partitioned: Database, postgres_url: str) -> Database:
    settings = Settings(database_url=postgres_url, grip_url=(REFUSED,), pushpin_sig_key="k" * 32, jwt_secret="j" * 32)
    fill(partitioned, Publisher(settings))
    return partitioned


def test_statements_about_users_read_their_partitions_alone(filled: Database) -> None:
    wide: dict[tuple[str, int, str], int] = {}  # partitions, by query, statement and table
    with filled.engine.connect() as db:
        for name, query in QUERIES.items():
            db.exec_driver_sql("BEGIN")
            scans = scanned(db, query)
            db.rollback()
            wide |= {
                (name, statement, table): len(parts)
                for statement, scan in enumerate(scans)
                for table, parts in scan.items()
                if len(parts) > USERS.get(name, 1) and name not in OF_THE_RELAY | OF_PRODUCERS | OF_OPERATORS
            }
    assert wide == {}


def test_kept_plans_on_partitions_look_up_single_rows(partitioned: Database) -> None:
    with partitioned.transaction() as db:
        db.execute(text("ANALYZE"))
    with partitioned.autocommit() as db:  # on so few rows a plan for each execution is cheaper, which prunes
        db.exec_driver_sql("SET plan_cache_mode TO force_generic_plan")
    plans = plans_about_users(partitioned)
    assert len(plans) > 3
    assert [scan for plan in plans for scan in without_condition(plan)] == []


def test_marks_on_partitions_need_no_statistics(partitioned: Database) -> None:
    plans = plans_of_marks(partitioned)
    assert len(plans) == 2
    assert [scan for plan in plans for scan in without_condition(plan)] == []
