"""The endpoints of announcements and topics."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from shirase.access.tokens import ADMIN, WRITE
from shirase.inbox import announcements, connections, scheduled, streams
from shirase.proxy.publisher import Publisher
from shirase.run.trace import lines
from shirase.settings import Settings
from shirase.store.database import Database

NEW = {"topic": "everyone", "type": "a.b", "title": "T", "message": "M"}
LATER = "2100-01-01T00:00:00.000000Z"

Ask = Callable[..., Any]


@pytest.fixture
def ask(client: FlaskClient, token: Callable[..., str]) -> Ask:
    def send(method: str, path: str, body: Any = None, scope: str = WRITE, **headers: str) -> TestResponse:
        named = {"Authorization": f"Bearer {token('svc', scope)}", **headers}
        return client.open(f"/api{path}", method=method, json=body, headers=named)

    return send


@pytest.fixture
def listed(client: FlaskClient, settings: Settings) -> Callable[..., list[str]]:
    """Return a function that lists a user's titles, oldest first, as a token of these topics shows them."""

    def titles(user: str, **claims: Any) -> list[str]:
        signed = jwt.encode({"sub": user, "exp": 2**32, **claims}, settings.jwt_secret or "", algorithm="HS256")
        answer = client.get("/api/notifications", headers={"Authorization": f"Bearer {signed}"})
        shown = answer.json["notifications"]  # type: ignore[index]
        counts = client.get("/api/notifications/counts", headers={"Authorization": f"Bearer {signed}"})
        assert counts.json["unread_count"] == answer.json["unread_count"] == len(shown)  # type: ignore[index]
        return [notification["title"] for notification in reversed(shown)]

    return titles


def test_an_announcement_is_made_listed_and_deleted(ask: Ask, listed: Callable[..., list[str]]) -> None:
    assert listed("42") == []
    made = ask("POST", "/announcements", {**NEW, "payload": {"x": 1}, "priority": "high"})
    assert made.status_code == 201
    assert (made.json["topic"], made.json["reached"], made.json["read"]) == ("everyone", 0, 0)
    assert (made.json["payload"], made.json["priority"], made.json["expires_at"]) == ({"x": 1}, "high", None)
    path = f"/announcements/{made.json['id']}"
    assert made.headers["Location"].endswith(f"/api{path}")
    assert listed("42") == ["T"]
    answer = ask("GET", path).json
    assert (answer["reached"], answer["read"], answer["waiting"]) == (1, 0, 0)
    assert [announcement["id"] for announcement in ask("GET", "/announcements").json["announcements"]] == [
        made.json["id"]
    ]
    assert [ask("DELETE", path).status_code for _ in range(2)] == [204, 404]
    assert listed("42") == []
    assert ask("GET", path).status_code == 404
    assert ask("GET", "/announcements").json == {"announcements": [], "next_before": None}


def test_a_trace_names_the_announcement(ask: Ask, listed: Callable[..., list[str]], database: Database) -> None:
    listed("42")  # known before it is announced
    made = ask("POST", "/announcements", NEW).json["id"]
    listed("42")
    with database.autocommit() as db:
        number = db.execute(text("SELECT id FROM shirase_notifications")).scalar_one()
    trace = ask("GET", f"/notifications/{number}/trace", scope=ADMIN).json
    assert trace["announcement_id"] == made
    assert f"announced  as announcement {made}" in lines(trace)


def test_announcements_are_listed_in_pages(ask: Ask) -> None:
    ids = [ask("POST", "/announcements", NEW).json["id"] for _ in range(5)]
    seen, before = [], ""
    for _ in range(3):
        page = ask("GET", f"/announcements?limit=2{before}").json
        seen += [announcement["id"] for announcement in page["announcements"]]
        before = f"&before={page['next_before']}"
    assert (seen, page["next_before"]) == (ids[::-1], None)


def test_a_repeated_announcement_is_made_once(ask: Ask, listed: Callable[..., list[str]]) -> None:
    listed("42")
    first, second = (ask("POST", "/announcements", NEW, **{"Idempotency-Key": "one"}) for _ in range(2))
    assert (first.status_code, second.status_code, first.json) == (201, 200, second.json)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert listed("42") == ["T"]
    assert ask("POST", "/announcements", {**NEW, "title": "X"}, **{"Idempotency-Key": "one"}).status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/announcements", NEW),
        ("GET", "/announcements", None),
        ("GET", "/announcements/1", None),
        ("DELETE", "/announcements/1", None),
        ("POST", "/topics/a/members", {"add": ["1"]}),
        ("GET", "/topics/a/members", None),
        ("DELETE", "/topics/a", None),
    ],
)
def test_announcing_needs_the_scope(ask: Ask, method: str, path: str, body: Any) -> None:
    assert ask(method, path, body, scope="").status_code == 403


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"topic": ""}, "topic"),
        ({"topic": "a b"}, "topic"),
        ({"topic": "x" * 101}, "topic"),
        ({"topic": None}, "topic"),
        ({"title": ""}, "title"),
        ({"user_id": "42"}, "user_id"),
        ({"for_newcomers": "yes"}, "for_newcomers"),
        ({"fold": True}, "fold"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"send_at": LATER, "expires_at": LATER}, "send_at"),
    ],
)
def test_a_wrong_announcement_is_refused(ask: Ask, database: Database, change: dict[str, Any], field: str) -> None:
    answer = ask("POST", "/announcements", NEW | change)
    assert (answer.status_code, [error["field"] for error in answer.json["errors"]]) == (422, [field])
    with database.autocommit() as db:
        assert db.execute(text("SELECT count(*) FROM shirase_announcements")).scalar_one() == 0


def test_members_are_added_listed_and_removed(ask: Ask) -> None:
    users = [f"u{number:02}" for number in range(25)]
    assert ask("POST", "/topics/team:a/members", {"add": [*users, users[0], 7]}).json == {"added": 26, "removed": 0}
    assert ask("POST", "/topics/team:a/members", {"add": users[:2]}).json == {"added": 0, "removed": 0}
    page = ask("GET", "/topics/team:a/members?limit=20").json
    rest = ask("GET", f"/topics/team:a/members?limit=20&after={page['next_after']}").json
    assert ([*page["members"], *rest["members"]], rest["next_after"]) == (sorted([*users, "7"]), None)
    change = {"remove": [*users[:5], "nobody"], "add": ["new"]}
    assert ask("POST", "/topics/team:a/members", change).json == {"added": 1, "removed": 5}
    assert ask("GET", "/topics/team:b/members").json == {"members": [], "next_after": None}
    assert [ask("DELETE", "/topics/team:a").status_code for _ in range(2)] == [204, 204]
    assert ask("GET", "/topics/team:a/members").json["members"] == []


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("everyone", {"add": ["1"]}, "topic"),
        ("a%20b", {"add": ["1"]}, "topic"),
        ("x" * 101, {"add": ["1"]}, "topic"),
        ("a", {"add": ["x\x00"]}, "add[0]"),
        ("a", {"add": [""]}, "add[0]"),
        ("a", {"add": ["1"], "remove": ["1"]}, "remove"),
        ("a", {"add": ["1"] * 5001, "remove": ["2"] * 5000}, "remove"),
        ("a", {"members": ["1"]}, "members"),
    ],
)
def test_a_wrong_change_of_members_is_refused(ask: Ask, path: str, body: Any, field: str) -> None:
    answer = ask("POST", f"/topics/{path}/members", body)
    assert (answer.status_code, [error["field"] for error in answer.json["errors"]]) == (422, [field])


def test_ten_thousand_members_are_one_request(ask: Ask) -> None:
    users = [str(number) for number in range(10_000)]
    assert ask("POST", "/topics/a/members", {"add": users}).json == {"added": 10_000, "removed": 0}
    assert ask("POST", "/topics/a/members", {"remove": users}).json == {"added": 0, "removed": 10_000}


def test_a_topic_is_by_membership_or_by_claim(ask: Ask, listed: Callable[..., list[str]]) -> None:
    for user in ("member", "claims", "other"):
        listed(user)
    ask("POST", "/topics/a/members", {"add": ["member"]})
    ask("POST", "/announcements", {**NEW, "topic": "a", "title": "A"})
    assert (listed("member"), listed("claims", topics=["a"]), listed("other")) == (["A"], ["A"], [])
    assert listed("other", topics="b a") == ["A"]


@pytest.mark.parametrize("claim", [None, 7, {"a": "b"}, [[], None, "x y", "é", "a" * 101, ""], "\x00"])
def test_a_claim_that_names_no_topic_is_nothing(ask: Ask, listed: Callable[..., list[str]], claim: Any) -> None:
    listed("42")
    ask("POST", "/announcements", {**NEW, "topic": "a", "title": "A"})
    assert listed("42", topics=claim) == []


def test_a_ticket_has_the_topics_of_its_token(client: FlaskClient, settings: Settings, database: Database) -> None:
    signed = jwt.encode({"sub": "42", "exp": 2**32, "topics": ["a"]}, settings.jwt_secret or "", algorithm="HS256")
    client.post("/api/sse/tickets", headers={"Authorization": f"Bearer {signed}"})
    with database.autocommit() as db:
        claimed = db.execute(text("SELECT user_id, topic FROM shirase_topic_members WHERE claimed")).all()
    assert [tuple(row) for row in claimed] == [("42", "a")]


def test_one_for_later_is_kept_and_sent(
    ask: Ask, listed: Callable[..., list[str]], database: Database, settings: Settings
) -> None:
    listed("42")
    answer = ask("POST", "/announcements", {**NEW, "send_at": LATER, "for_newcomers": True})
    assert (answer.status_code, answer.json["send_at"]) == (202, LATER)
    [kept] = ask("GET", "/scheduled").json["scheduled"]
    assert (kept["user_id"], kept["topic"], kept["for_newcomers"], kept["title"]) == (None, "everyone", True, "T")
    cancelled = ask("POST", "/announcements", {**NEW, "send_at": LATER}).json["scheduled_id"]
    assert ask("DELETE", f"/scheduled/{cancelled}").status_code == 204
    with database.transaction() as db:
        past = {"past": "2001-01-01T00:00:00.000000Z"}
        db.execute(text("UPDATE shirase_scheduled SET send_at = :past"), past)
    assert scheduled.send_due(database, Publisher(settings)) == 1
    [made] = ask("GET", "/announcements").json["announcements"]
    assert (made["title"], made["for_newcomers"]) == ("T", True)
    assert datetime.fromisoformat(made["created_at"]) <= datetime.now(UTC)
    assert listed("42") == ["T"]


def test_retracting_a_key_retracts_its_announcement(ask: Ask, listed: Callable[..., list[str]]) -> None:
    for user in ("1", "2"):
        listed(user)
    ask("POST", "/announcements", {**NEW, "key": "k"})
    assert listed("1") == ["T"]
    assert ask("DELETE", "/notifications/keys/k").status_code == 204
    assert (listed("1"), listed("2")) == ([], [])
    assert ask("GET", "/announcements").json["announcements"] == []


def test_metrics_count_users_who_wait_for_an_announcement(
    ask: Ask, client: FlaskClient, database: Database, settings: Settings
) -> None:
    connection = connections.new(settings, "42", None, "", "")
    streams.open_stream(database, Publisher(settings), settings, connection, None)
    ask("POST", "/announcements", NEW)
    shown = client.get("/metrics").text
    assert "shirase_announcement_waiting_users 1.0" in shown
    assert "shirase_announcement_lag_seconds 0.0\n" not in shown
    announcements.spread(database, Publisher(settings))
    shown = client.get("/metrics").text
    assert "shirase_announcement_waiting_users 0.0" in shown
    assert "shirase_announcement_lag_seconds 0.0\n" in shown
