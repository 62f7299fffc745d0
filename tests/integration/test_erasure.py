"""Erasure and export: no row of a user is left, nobody else's changes, and old cursors are reset."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from sqlalchemy import Table, func, insert, select, text
from werkzeug.test import TestResponse

from shirase.access.tokens import ADMIN
from shirase.inbox import connections, cursors, notifications, replay, users
from shirase.inbox.announcements import arrive
from shirase.proxy.publisher import Publisher
from shirase.relay import erasures
from shirase.relay.erasures import Eraser
from shirase.settings import Settings
from shirase.store import announcements, erasure, log
from shirase.store.database import Database
from shirase.store.tables import Base
from shirase.types import EVERYONE, Draft
from tests.support.content import content

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ERASED, OTHER = 'a "user"/\\ é', "other"
WORDS: dict[str, Any] = {"kind": "read", "reason": "gone", "type": "a.b", "channel": "email", "scope": "*"}
SKIPPED = ("shirase_database_name", "shirase_erasures")

TABLES = list(erasure.declared())


def row_of(table: Table, user_id: str, number: int) -> dict[str, Any]:
    """A row with a value in every column, and the user in each column that names one."""
    owned = next(owned for item, owned in TABLES if item is table)
    row: dict[str, Any] = {}
    for column in table.columns:
        kind: Any = column.type.python_type if not hasattr(column.type, "process_bind_param") else datetime
        if column.name in owned.by:
            row[column.key] = user_id
        elif column.name in owned.json:
            row[column.key] = json.dumps({"n": number})
        elif kind is datetime:
            row[column.key] = NOW
        elif kind is str:
            row[column.key] = WORDS.get(column.name, f"x{number}")
        elif kind is bytes:
            row[column.key] = b"x%d" % number
        else:
            row[column.key] = kind(number)
    return row


@pytest.fixture
def filled(database: Database) -> Database:
    """A row of each of two users in every table, and one that is nobody's in the others."""
    with database.transaction() as db:
        for table, owned in TABLES:
            if table.name in SKIPPED:
                continue
            for number, user_id in enumerate((ERASED, OTHER) if owned.by else ("",), 7):
                db.execute(insert(table).values(row_of(table, user_id, number)))
    return database


def contents(database: Database) -> dict[str, list[Any]]:
    with database.autocommit() as db:
        return {table.name: sorted(map(tuple, db.execute(select(table)).all()), key=repr) for table, _ in TABLES}


def mentions(database: Database, user_id: str) -> list[str]:
    return [name for name, rows in contents(database).items() for row in rows if user_id in map(str, row)]


def position(database: Database, settings: Settings, user_id: str, cursor: str | None) -> replay.Replay:
    return replay.read(database, settings, user_id, cursor, replay.position(database, user_id))


@pytest.fixture
def publisher(settings: Settings) -> Publisher:
    return Publisher(settings)


@pytest.fixture
def ask(client: FlaskClient, token: Callable[..., str]) -> Callable[..., TestResponse]:
    def send(method: str, path: str, scope: str = ADMIN) -> TestResponse:
        return client.open(path, method=method, headers={"Authorization": f"Bearer {token('operator', scope)}"})

    return send


def test_every_table_declares_whose_its_rows_are() -> None:
    assert [mapper.class_.__name__ for mapper in Base.registry.mappers if "owned" not in vars(mapper.class_)] == []


def test_every_column_that_names_a_user_is_declared() -> None:
    named = {
        (table.name, column.name) for table, _ in TABLES for column in table.c if column.name in ("user_id", "owner")
    }
    declared = {(table.name, name) for table, owned in TABLES for name in owned.by}
    assert named == declared


def test_every_declared_column_exists() -> None:
    for table, owned in TABLES:
        assert {*owned.by, *(owned.order or ()), *owned.json, *owned.withheld} <= {*table.c.keys()}, table.name


def test_erasure_leaves_no_row_and_changes_no_other_user(filled: Database, publisher: Publisher) -> None:
    assert len(mentions(filled, ERASED)) == sum(bool(owned.by) for _, owned in TABLES) - 1
    before = contents(filled)
    assert users.erase(filled, publisher, ERASED)
    assert mentions(filled, ERASED) == []
    after = contents(filled)
    counts_gone = ("shirase_announcements", "shirase_connections", "shirase_nodes")
    for table, _ in TABLES:
        if table.name not in counts_gone:
            assert [row for row in before[table.name] if ERASED not in row] == after[table.name], table.name
    assert [row for row in after["shirase_connections"] if OTHER in row] != []


@pytest.mark.usefixtures("filled")
def test_export_has_the_rows_of_every_table(ask: Callable[..., TestResponse]) -> None:
    answer = ask("GET", "/api/users/a%20%22user%22%2F%5C%20%C3%A9/export")
    assert (answer.status_code, answer.content_type) == (200, "application/x-ndjson")
    first, *rows, last = map(orjson.loads, answer.data.splitlines())
    assert first["user_id"] == ERASED
    assert last == {"end": True, "rows": len(rows)}
    assert sorted(row["table"] for row in rows) == sorted(
        table.name.removeprefix("shirase_") for table, owned in TABLES if owned.exported
    )
    assert OTHER not in answer.text
    [notification] = [row for row in rows if row["table"] == "notifications"]
    assert (notification["payload"], notification["title"]) == ({"n": 7}, "x7")
    for row in rows:
        owned = next(owned for table, owned in TABLES if table.name == f"shirase_{row['table']}")
        assert not {*owned.withheld} & {*row}


def test_export_reads_many_rows_in_pages(
    database: Database, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "PAGE", 3)
    drafts = [Draft("42", content(f"t.{number % 3}", str(number), "M")) for number in range(10)]
    notifications.create(database, publisher, drafts, answer=lambda _: "")
    rows = [orjson.loads(line) for part in users.export_lines(database, "42") for line in part.splitlines()]
    assert sorted(int(row["title"]) for row in rows if row.get("table") == "notifications") == list(range(10))
    assert [row["seq"] for row in rows if row.get("table") == "events"] == list(range(1, 11))


def test_old_cursors_are_reset_after_as_many_new_events(
    database: Database, settings: Settings, publisher: Publisher
) -> None:
    def create(count: int) -> None:
        notifications.create(database, publisher, [Draft("42", content())] * count, answer=lambda _: "")

    create(3)
    with database.autocommit() as db:
        old = [cursors.encode(database.name, "42", event.id) for event in log.read_events(db, "42", 1, 3, 10, NOW)]
    assert len(old) == 3
    users.erase(database, publisher, "42")
    assert [position(database, settings, "42", cursor).reset for cursor in old] == [replay.REWOUND] * 3
    create(3)
    assert [position(database, settings, "42", cursor).reset for cursor in old] == [replay.REWOUND] * 3
    create(2)
    assert [position(database, settings, "42", cursor).reset for cursor in old] == [replay.REWOUND] * 3


def test_an_erasure_continues_from_any_step(
    database: Database, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "STEP", 2)
    for done in range(20):
        notifications.create(database, publisher, [Draft("42", content())] * 7, answer=lambda _: "")
        with database.transaction() as db:
            erasure.request(db, "42", NOW)
        steps = users.steps(database, publisher, "42")
        for _, _ in zip(range(done), steps, strict=False):
            pass
        del steps  # as if the process had been killed
        for _ in users.steps(database, publisher, "42"):
            pass
        assert mentions(database, "42") == [], done


def test_the_relay_finishes_what_a_handler_left(
    database: Database, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "LONGEST", -1)
    monkeypatch.setattr(erasures, "YOUNG", 0)
    notifications.create(database, publisher, [Draft("42", content())] * 7, answer=lambda _: "")
    assert not users.erase(database, publisher, "42")
    assert mentions(database, "42") != []
    eraser = Eraser()
    for _ in range(100):
        eraser.work(database, publisher)
        with database.autocommit() as db:
            if not erasure.is_pending(db, "42"):
                break
    assert mentions(database, "42") == []


@pytest.mark.parametrize("user_id", ["aiko/export", "aiko/contact", "aiko/export/export"])
def test_an_id_that_ends_as_a_path_does_is_erased(
    user_id: str, ask: Callable[..., TestResponse], database: Database, publisher: Publisher
) -> None:
    for user in ("aiko", user_id):
        notifications.create(database, publisher, [Draft(user, content())], answer=lambda _: "")
    assert ask("DELETE", f"/api/users/{user_id}", scope="").status_code == 403
    assert ask("DELETE", f"/api/users/{user_id}").status_code == 204
    assert mentions(database, user_id) == []
    assert mentions(database, "aiko") != []


def test_an_unfinished_erasure_is_202(
    ask: Callable[..., TestResponse], database: Database, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifications.create(database, publisher, [Draft("42", content())], answer=lambda _: "")
    with monkeypatch.context() as patched:
        patched.setattr(users, "LONGEST", -1)
        answer = ask("DELETE", "/api/users/42")
        assert (answer.status_code, answer.json) == (202, {"user_id": "42", "status": "erasing"})
    assert [ask("DELETE", "/api/users/42").status_code for _ in range(2)] == [204, 204]
    assert mentions(database, "42") == []


def test_only_an_operator_erases_and_exports(ask: Callable[..., TestResponse]) -> None:
    for method, path in (("DELETE", "/api/users/42"), ("GET", "/api/users/42/export")):
        assert ask(method, path, "notifications:write").status_code == 403
        refused = ask(method, path.replace("42", "%01"))
        assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "user_id")  # type: ignore[index]


def test_an_erased_stream_ends_and_is_not_recovered(
    database: Database, settings: Settings, publisher: Publisher
) -> None:
    connection = connections.new(settings, "42", None, "agent", "10.0.0.1")
    connections.admit(database, publisher, settings, connection)
    users.erase(database, publisher, "42")
    assert mentions(database, "42") == []
    assert mentions(database, "10.0.0.1") == []
    with database.autocommit() as db:
        assert connections.standing(db, connection)[0] == connections.REVOKED


def test_an_erased_reader_still_counts_for_an_announcement(database: Database, publisher: Publisher) -> None:
    notifications.create(database, publisher, [Draft("42", content())], answer=lambda _: "")
    with database.transaction() as db:
        number = announcements.add(db, EVERYONE, Draft("", content()), NOW, for_newcomers=False).id

    arrive(database, publisher, "42", None, replay.position(database, "42"), patient=True)
    users.erase(database, publisher, "42")
    with database.autocommit() as db:
        result = announcements.find(db, number)
        assert result
        assert result.reached == 1
        assert db.execute(select(func.count()).select_from(text("shirase_notifications"))).scalar_one() == 0
