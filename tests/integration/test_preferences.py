"""Types, preferences and contacts over HTTP, and what is muted in every kind of create."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import create_engine, text
from sqlalchemy.orm import sessionmaker
from werkzeug.test import TestResponse

from shirase.access.tokens import ADMIN, WRITE
from shirase.inbox import scheduled
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.sqlalchemy.notifier import Notifier, broadcast, notify, notify_many
from shirase.store import deliveries
from shirase.store.database import Database
from shirase.types import CANCELLED, PENDING

NEW = {"user_id": "42", "type": "a.b", "title": "T", "message": "M"}
MUTED = {"muted": True}
OFF = {"scope": "*", "channel": "inbox", "enabled": False}
MAIL: dict[str, Any] = {
    "label": "A",
    "category": "c",
    "channels": [{"channel": "email", "after": "10m", "unless": "read"}],
}


class Api:
    def __init__(self, client: FlaskClient, token: Callable[..., str], database: Database) -> None:
        self.client, self.token, self.database = client, token, database

    def __call__(self, method: str, path: str, body: Any = None, user: str = "42", scope: str = "") -> TestResponse:
        headers = {"Authorization": f"Bearer {self.token(user, scope)}"}
        return self.client.open(f"/api{path}", method=method, json=body, headers=headers)

    def create(self, path: str = "", method: str = "POST", **fields: Any) -> Any:
        return self(method, f"/notifications{path}", {**NEW, **fields}, "svc", WRITE)

    def put_type(self, name: str = "a.b", **entry: Any) -> TestResponse:
        return self("PUT", f"/types/{name}", entry, "op", ADMIN)

    def prefer(self, *rules: tuple[str, str, bool], user: str = "42", **more: Any) -> TestResponse:
        listed = [{"scope": scope, "channel": channel, "enabled": on} for scope, channel, on in rules]
        return self("PUT", "/preferences", {"rules": listed, **more}, user)

    def titles(self, user: str = "42") -> list[str]:
        page: Any = self("GET", "/notifications", user=user).json
        return [item["title"] for item in page["notifications"]]

    def log(self, user: str = "42") -> list[str]:
        with self.database.autocommit() as db:
            query = text("SELECT kind FROM shirase_events WHERE user_id = :user ORDER BY seq")
            return list(db.scalars(query, {"user": user}))


@pytest.fixture
def api(client: FlaskClient, token: Callable[..., str], database: Database) -> Api:
    return Api(client, token, database)


def errors(answer: TestResponse) -> list[str]:
    body: Any = answer.json
    return [item["field"] for item in body["errors"]]


def test_a_type_is_described_and_listed(api: Api) -> None:
    answer = api.put_type(**MAIL, description="Of interviews", critical=True)
    assert answer.status_code == 200
    listed: Any = api("GET", "/types").json
    assert listed == {"types": [answer.json]}
    assert answer.json == {
        "type": "a.b",
        "label": "A",
        "description": "Of interviews",
        "category": "c",
        "critical": True,
        "channels": [{"channel": "email", "after": "10m", "unless": "read"}],
    }
    assert api.put_type(label="B").json["channels"] == []  # type: ignore[index]
    assert api("DELETE", "/types/a.b", user="op", scope=ADMIN).status_code == 204
    assert api("DELETE", "/types/a.b", user="op", scope=ADMIN).status_code == 404
    assert api("GET", "/types").json == {"types": []}


def test_only_operators_describe_types(api: Api) -> None:
    assert api("PUT", "/types/a.b", {}, "svc", WRITE).status_code == 403
    assert api("DELETE", "/types/a.b", user="svc", scope=WRITE).status_code == 403


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ({"channels": [{"channel": "pigeon"}]}, "channels[0].channel"),
        ({"channels": [{"channel": "email", "after": "soon"}]}, "channels[0].after"),
        ({"channels": [{"channel": "email", "after": 600}]}, "channels[0].after"),
        ({"channels": [{"channel": "email", "after": "31d"}]}, "channels[0].after"),
        ({"channels": [{"channel": "email", "unless": "asleep"}]}, "channels[0].unless"),
        ({"channels": [{"channel": "email", "if": 1}]}, "channels[0].if"),
        ({"channels": [{"channel": "email"}] * 11}, "channels"),
        ({"category": "no category"}, "category"),
        ({"critical": "yes"}, "critical"),
        ({"label": "\x00"}, "label"),
    ],
)
def test_a_wrong_entry_names_the_field_and_is_not_stored(api: Api, entry: dict[str, Any], field: str) -> None:
    answer = api.put_type(**entry)
    assert (answer.status_code, errors(answer)) == (422, [field])
    assert api("GET", "/types").json == {"types": []}


def test_preferences_are_stored_and_sent_to_all_devices(api: Api) -> None:
    assert api("GET", "/preferences").json == {"rules": [], "quiet": None}
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    rules = [
        {"scope": "*", "channel": "email", "enabled": False, "until": None},
        {"scope": "a.b", "channel": "inbox", "enabled": False, "until": until},
    ]
    chosen = {"rules": rules, "quiet": {"from": "22:00", "to": "07:00", "timezone": "Asia/Tokyo"}}
    answer = api("PUT", "/preferences", chosen)
    assert (answer.status_code, answer.json) == (200, chosen)
    assert api("GET", "/preferences").json == chosen
    assert api("GET", "/preferences", user="7").json == {"rules": [], "quiet": None}
    poll: Any = api("GET", "/notifications/poll?timeout=1&after=").json
    assert api.log() == ["preferences"]
    assert poll is not None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"rules": [{"scope": "*", "channel": "pigeon", "enabled": True}]}, "rules[0].channel"),
        ({"rules": [{"scope": "a b", "channel": "inbox", "enabled": True}]}, "rules[0].scope"),
        ({"rules": [{"scope": "", "channel": "inbox", "enabled": True}]}, "rules[0].scope"),
        ({"rules": [{"scope": "*", "channel": "inbox"}]}, "rules[0].enabled"),
        ({"rules": [{"scope": "*", "channel": "inbox", "enabled": True, "until": "2030-01-01"}]}, "rules[0].until"),
        ({"rules": [{**OFF, "until": "20301224"}]}, "rules[0].until"),  # not a second of 1970
        ({"rules": [{**OFF, "until": "4102444800"}]}, "rules[0].until"),
        ({"rules": [{**OFF, "until": "9999-12-31T23:59:59-01:00"}]}, "rules[0].until"),
        ({"rules": [{**OFF, "until": "0001-01-01T00:00:00+01:00"}]}, "rules[0].until"),
        ({"rules": [{"scope": "*", "channel": "inbox", "enabled": True}] * 2}, "rules"),
        ({"quiet": {"from": "22:00", "to": "22:00", "timezone": "UTC"}}, "quiet.to"),
        ({"quiet": {"from": "24:00", "to": "22:00", "timezone": "UTC"}}, "quiet.from"),
        ({"quiet": {"from": "22:00", "to": "07:00", "timezone": "../../etc/passwd"}}, "quiet.timezone"),
        ({"quiet": {"from": "22:00", "to": "07:00", "timezone": "Mars/Olympus"}}, "quiet.timezone"),
        ({"quiet": {"from": "22:00", "to": "07:00", "timezone": "localtime"}}, "quiet.timezone"),
        ({"quiet": {"from": "22:00", "to": "07:00"}}, "quiet.timezone"),
    ],
)
def test_wrong_preferences_name_the_field_and_change_nothing(api: Api, body: dict[str, Any], field: str) -> None:
    answer = api("PUT", "/preferences", body)
    assert (answer.status_code, errors(answer)) == (422, [field])
    assert api.log() == []


def test_a_critical_type_cannot_be_switched_off(api: Api) -> None:
    api.put_type(critical=True, category="c")
    answer = api.prefer(("*", "inbox", False), ("a.b", "email", False))
    assert (answer.status_code, errors(answer)) == (422, ["rules[1].enabled"])
    assert api.prefer(("*", "inbox", False), ("c", "inbox", False)).status_code == 200  # do not apply to it
    assert api.create().status_code == 201
    assert api.create(type="other").json == MUTED


def test_a_rule_from_before_a_type_was_critical_may_stay(api: Api) -> None:
    api.prefer(("a.b", "email", False))
    api.put_type(critical=True)
    assert api.prefer(("a.b", "email", False), ("other", "email", False)).status_code == 200
    answer = api.prefer(("a.b", "email", False), ("a.b", "inbox", False))
    assert (answer.status_code, errors(answer)) == (422, ["rules[1].enabled"])


def test_preferences_that_do_not_change_are_not_sent_again(api: Api) -> None:
    for _ in range(3):
        answer = api.prefer(("b", "email", False), ("a", "inbox", True))
        assert (answer.status_code, len(answer.json["rules"])) == (200, 2)  # type: ignore[index]
    assert api.log() == ["preferences"]
    api.prefer(("b", "email", True), ("a", "inbox", True))
    assert api.log() == ["preferences"] * 2


@pytest.mark.parametrize(
    ("rules", "is_muted"),
    [
        ([("*", False)], True),
        ([("*", False), ("c", True)], False),
        ([("*", True), ("c", False)], True),
        ([("c", False), ("a.b", True)], False),
        ([("*", True), ("c", True), ("a.b", False)], True),
        ([("other", False)], False),
    ],
)
def test_the_narrowest_scope_wins(api: Api, rules: list[tuple[str, bool]], is_muted: bool) -> None:  # noqa: FBT001
    api.prefer(*((scope, "inbox", on) for scope, on in rules))
    answer = api.create(category="c")
    assert (answer.status_code, answer.json == MUTED) == ((200, True) if is_muted else (201, False))
    assert api.titles() == ([] if is_muted else ["T"])


def test_the_catalogues_category_is_that_of_a_type_without_one(api: Api) -> None:
    api.put_type(category="c")
    api.prefer(("c", "inbox", False))
    assert api.create().json == MUTED
    assert api.create(category="d").status_code == 201


def test_a_mute_ends(api: Api, database: Database) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    rule = {"scope": "a.b", "channel": "inbox", "enabled": False, "until": soon}
    api("PUT", "/preferences", {"rules": [rule]})
    assert api.create().json == MUTED
    with database.transaction() as db:
        db.execute(text("UPDATE shirase_preferences SET until = '2020-01-01T00:00:00.000000Z'"))
    assert api.create().status_code == 201
    assert api("GET", "/preferences").json == {"rules": [], "quiet": None}


def test_what_is_muted_leaves_no_trace(api: Api) -> None:
    api.prefer(("a.b", "inbox", False))
    answer = api.create()
    assert (answer.status_code, answer.json, "Location" in answer.headers) == (200, MUTED, False)
    assert api.log() == ["preferences"]
    assert api("GET", "/notifications/unread-count").json == {"unread_count": 0}


def test_batch_and_broadcast_store_what_is_not_muted(api: Api) -> None:
    api.prefer(("a.b", "inbox", False))
    entries = [NEW, {**NEW, "type": "x"}, {**NEW, "user_id": "7"}, NEW, {**NEW, "type": "y"}]
    answer: Any = api("POST", "/notifications/batch", {"notifications": entries}, "svc", WRITE)
    assert answer.status_code == 201
    listed = answer.json["notifications"]
    assert [item == MUTED for item in listed] == [True, False, False, True, False]
    assert [item.get("type") for item in listed] == [None, "x", "a.b", None, "y"]
    body = {name: value for name, value in NEW.items() if name != "user_id"} | {"user_ids": ["42", "7", "9"]}
    assert api("POST", "/notifications/broadcast", body, "svc", WRITE).json == {"created": 2}
    assert (len(api.titles()), len(api.titles("7")), len(api.titles("9"))) == (2, 2, 1)
    assert api.log() == ["preferences", "notification", "notification"]


def test_everything_of_a_batch_may_be_muted(api: Api) -> None:
    api.prefer(("*", "inbox", False))
    answer: Any = api("POST", "/notifications/batch", {"notifications": [NEW, NEW]}, "svc", WRITE)
    assert (answer.status_code, answer.json) == (201, {"notifications": [MUTED, MUTED]})


def test_a_muted_key_is_neither_created_nor_replaced(api: Api) -> None:
    made = api.create("/keys/k", "PUT")
    assert made.status_code == 201
    api.prefer(("a.b", "inbox", False))
    for path in ("/keys/k", "/keys/other"):
        answer = api.create(path, "PUT", title="new")
        assert (answer.status_code, answer.json) == (200, MUTED)
    assert api.titles() == ["T"]


def test_a_repeat_of_a_muted_create_has_the_same_answer(api: Api, client: FlaskClient) -> None:
    api.prefer(("a.b", "inbox", False))
    headers = {"Authorization": f"Bearer {api.token('svc', WRITE)}", "Idempotency-Key": "k"}
    first = client.post("/api/notifications", json=NEW, headers=headers)
    api.prefer()
    again = client.post("/api/notifications", json=NEW, headers=headers)
    assert (first.json, again.json, again.headers["Idempotency-Replayed"]) == (MUTED, MUTED, "true")


def test_a_muted_announcement_is_not_taken_over(api: Api) -> None:
    for user in ("42", "7"):
        api.titles(user)
    api.prefer(("a.b", "inbox", False))
    body = {name: value for name, value in NEW.items() if name != "user_id"} | {"topic": "everyone"}
    assert api("POST", "/announcements", body, "svc", WRITE).status_code == 201
    assert (api.titles(), api.titles("7")) == ([], ["T"])
    listed: Any = api("GET", "/announcements", user="svc", scope=WRITE).json
    assert listed["announcements"][0]["reached"] == 1


def test_a_scheduled_one_is_muted_when_it_is_due(api: Api, database: Database, settings: Settings) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert api.create(send_at=later).status_code == 202
    api.prefer(("a.b", "inbox", False))
    with database.transaction() as db:
        db.execute(text("UPDATE shirase_scheduled SET send_at = created_at"))
    assert scheduled.send_due(database, Publisher(settings)) == 1
    assert api.titles() == []


def test_a_host_gets_none_for_a_muted_type(api: Api, database: Database, settings: Settings) -> None:
    engine = create_engine(database.engine.url)
    sessions = sessionmaker(engine)
    notifier = Notifier(settings)
    notifier.attach(sessions)
    api.prefer(("a.b", "inbox", False))
    fields: Any = {"type": "a.b", "title": "T", "message": ""}
    with sessions.begin() as session:
        assert notify(session, user_id="42", **fields) is None
        several: Any = [{"user_id": user, **fields} for user in ("7", "42")]
        assert [bool(item) for item in notify_many(session, several)] == [True, False]
        assert [bool(item) for item in broadcast(session, user_ids=["42", "7"], **fields)] == [False, True]
    notifier.close()
    engine.dispose()
    assert (api.titles(), len(api.titles("7"))) == ([], 2)


def test_a_mute_cancels_what_has_not_been_sent(api: Api, database: Database) -> None:
    api.put_type(**MAIL)
    made, other = api.create().json["id"], api.create(user_id="7").json["id"]
    states = []
    for rules in ([("a.b", "web_push", False)], [("c", "email", False)]):
        api.prefer(*rules)
        with database.autocommit() as db:
            states.append([item.state for number in (made, other) for item in deliveries.of_notification(db, number)])
    assert states == [[PENDING, PENDING], [CANCELLED, PENDING]]
    with database.autocommit() as db:
        assert deliveries.of_notification(db, api.create().json["id"]) == []  # no mail: the inbox alone


def test_a_contact_is_stored_and_replaced(api: Api) -> None:
    contact = {"email": "aiko@example.com", "locale": "ja-JP", "timezone": "Asia/Tokyo"}
    answer = api("PUT", "/users/a%2Fb c/contact", contact, "svc", WRITE)
    assert (answer.status_code, answer.json) == (200, contact | {"apprise": []})
    empty = dict.fromkeys(contact) | {"apprise": []}
    assert api("PUT", "/users/a%2Fb c/contact", {}, "svc", WRITE).json == empty
    assert api("PUT", "/users/42/contact", contact).status_code == 403


@pytest.mark.parametrize(
    "email", ["a+b=c@x-y.example.co", "é@bücher.example", "面接@例え.テスト", "a@localhost", "o'x@1and1.com"]
)
def test_addresses_in_any_script_are_stored(api: Api, email: str) -> None:
    answer: Any = api("PUT", "/users/42/contact", {"email": email}, "svc", WRITE).json
    assert answer["email"] == email


@pytest.mark.parametrize(
    ("contact", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a@b@c"}, "email"),
        ({"email": "a@b\r\nBcc: c@d"}, "email"),
        ({"email": "a b@c"}, "email"),
        ({"email": "a@[127.0.0.1]"}, "email"),
        ({"email": "a@127.1"}, "email"),
        ({"email": "a@2130706433"}, "email"),
        ({"email": "a@0x7f000001"}, "email"),
        ({"email": "a@\uff11\uff12\uff17.1"}, "email"),
        ({"email": "a@example..com"}, "email"),
        ({"email": "=?utf-8?q?b=40c.d=2c?=@example.com"}, "email"),
        ({"email": "a\u202eb@example.com"}, "email"),
        ({"email": "a\x9bb@example.com"}, "email"),
        ({"email": "a\u061cb@example.com"}, "email"),
        ({"email": "a\u3164b@example.com"}, "email"),
        ({"email": "a\ufe0fb@example.com"}, "email"),
        ({"email": "a\U000e0041b@example.com"}, "email"),
        ({"email": f"{'x' * 250}@b.c"}, "email"),
        ({"locale": "no locale"}, "locale"),
        ({"timezone": "Mars"}, "timezone"),
        ({"phone": "1"}, "phone"),
        ({"apprise": ["jsons://example.com"]}, "apprise"),  # the channel is off
        ({"apprise": [f"jsons://example.com/{n}" for n in range(6)]}, "apprise"),
        ({"apprise": [""]}, "apprise[0]"),
    ],
)
def test_a_wrong_contact_names_the_field(api: Api, contact: dict[str, Any], field: str) -> None:
    answer = api("PUT", "/users/42/contact", contact, "svc", WRITE)
    assert (answer.status_code, errors(answer)) == (422, [field])


@pytest.mark.parametrize(
    ("method", "path", "body", "error"),
    [
        ("PUT", "/users/42/contact", {"locale": "en-US.UTF-8"}, "must be a language tag (BCP 47), such as en or pt-BR"),
        ("PUT", "/users/42/contact", {"name": "Aiko"}, "is not a known field"),
        (
            "PUT",
            "/preferences",
            {"quiet": {"from": "10pm", "to": "07:00", "timezone": "UTC"}},
            "must be a time such as 22:00",
        ),
        (
            "POST",
            "/notifications",
            {"user_id": "42", "type": "a b", "title": "t", "message": ""},
            "must have no characters but A-Z, a-z, 0-9, . _ : and -",
        ),
        ("GET", "/notifications?colour=red", None, "is not a known field"),
    ],
)
def test_a_wrong_field_is_explained_in_a_sentence(api: Api, method: str, path: str, body: Any, error: str) -> None:
    answer = api(method, path, body, "svc", WRITE)
    problem: Any = answer.json
    assert (answer.status_code, [each["message"] for each in problem["errors"]]) == (422, [error])
