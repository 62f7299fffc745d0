"""Notifications with a key: replaced, folded, retracted."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from shirase.access.tokens import WRITE
from shirase.store.database import Database
from tests.integration.living.api import NEW, Api

KEYS = ["k", "a/b", "/a", "a//b/", "a b?c#d%2Fe", "知らせ", "..a", "x" * 255]


@pytest.mark.parametrize("key", KEYS)
def test_any_key_can_be_named_in_an_address(api: Api, key: str) -> None:
    made: Any = api.put(key)
    assert (made.status_code, made.json["key"]) == (201, key)
    assert api.put(key, title="again").json["id"] == made.json["id"]  # type: ignore[index]
    assert api.retract(key).status_code == 204
    assert api.ids() == []


@pytest.mark.parametrize(("key", "status"), [("x" * 256, 422), ("a\n", 422), ("a\x00", 422), ("", 404)])
def test_a_wrong_key_is_refused(api: Api, key: str, status: int) -> None:
    assert api.put(key).status_code == status


def test_a_replaced_notification_is_unread_again_and_on_top(api: Api) -> None:
    first: Any = api.put(title="1 of 2").json
    other = api.create()
    api.change("read", first["id"])
    answer: Any = api.put(title="2 of 2")
    assert (answer.status_code, answer.headers["Location"]) == (200, f"/api/notifications/{first['id']}")
    second = answer.json
    assert (second["id"], second["revision"], second["title"]) == (first["id"], 2, "2 of 2")
    assert (second["is_read"], second["is_seen"]) == (False, False)
    assert second["updated_at"] > first["updated_at"] == first["created_at"] == second["created_at"]
    assert api.ids() == [first["id"], other]
    assert api.page()[0] == second
    assert api.counts() == {"unread_count": 2, "unseen_count": 2, "by_category": {}}


def test_an_updated_event_carries_the_whole_and_the_counts(api: Api) -> None:
    first: Any = api.put().json
    second: Any = api.put(title="new").json
    kind, data = api.log()[-1]
    assert (kind, data) == ("updated", {**second, "unread_count": 1, "unseen_count": 1})
    assert api.log()[0] == ("notification", {**second, "created_at": first["created_at"]})


def test_a_thousand_replaces_are_one_row_and_a_badge_of_one(api: Api) -> None:
    for number in range(1000):
        api.put(title=str(number))
    assert [notification["title"] for notification in api.page()] == ["999"]
    assert api.counts()["unread_count"] == 1
    sent = api.log()
    assert [kind for kind, _ in sent] == ["notification", "updated"]  # an update that is updated again is omitted
    assert {data["title"] for _, data in sent} == {"999"}


def test_nothing_is_sent_if_nothing_changes(api: Api) -> None:
    made: Any = api.put(payload={"a": 1}, actor={"name": "Ann"}).json
    api.change("read", made["id"])
    before = api.log()
    again: Any = api.put(payload={"a": 1}, actor={"name": "Ann"})
    assert (again.status_code, again.json["revision"], again.json["is_read"]) == (200, 1, True)
    assert api.log() == before


def test_a_quiet_replace_changes_the_content_alone(api: Api) -> None:
    made: Any = api.put().json
    other = api.create()
    api.change("read", made["id"])
    quiet: Any = api.put(title="new", quiet=True).json
    assert (quiet["title"], quiet["revision"], quiet["is_read"]) == ("new", 2, True)
    assert api.ids() == [other, made["id"]]
    assert api.log()[-1] == ("updated", {**quiet, "unread_count": 1, "unseen_count": 1})


def test_folding_counts_and_keeps_the_latest_three_actors(api: Api) -> None:
    names = ["Ann", "Bob", "Cy", "Di", "Bob"]
    for name in names:
        folded: Any = api.put(fold=True, title=name, actor={"name": name}).json
    assert (folded["count"], folded["revision"]) == (5, 5)
    assert [actor["name"] for actor in folded["actors"]] == ["Bob", "Di", "Cy"]
    assert api.counts()["unread_count"] == 1
    api.change("read", folded["id"])
    again: Any = api.put(fold=True, actor={"name": "Eve"}).json
    assert (again["count"], [actor["name"] for actor in again["actors"]]) == (1, ["Eve"])


def test_folding_the_same_content_still_counts(api: Api) -> None:
    assert [api.put(fold=True).json["count"] for _ in range(3)] == [1, 2, 3]  # type: ignore[index]


def test_a_create_with_a_key_replaces_in_batch_and_broadcast_too(api: Api) -> None:
    entry = {**NEW, "key": "k"}
    made: Any = api(
        "POST", "/notifications/batch", {"notifications": [entry, {**entry, "title": "2"}, NEW]}, "svc"
    ).json
    first, second, plain = made["notifications"]
    assert first["id"] == second["id"] != plain["id"]
    assert (second["title"], second["revision"]) == ("2", 2)
    content = {name: value for name, value in entry.items() if name != "user_id"}
    api("POST", "/notifications/broadcast", {**content, "title": "3", "user_ids": ["42", "7"]}, "svc")
    assert [(item["title"], item["revision"]) for item in api.page()] == [("3", 3), ("T", 1)]
    seqs = [kind for kind, _ in api.log()]
    assert seqs == ["notification", "notification", "updated"]


def test_fold_and_quiet_need_a_key(api: Api) -> None:
    for name in ("fold", "quiet"):
        answer: Any = api("POST", "/notifications", {**NEW, name: True}, "svc")
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, name)


def test_what_is_retracted_is_never_shown(api: Api) -> None:
    made: Any = api.put().json
    api.put(title="2")
    assert api.retract().status_code == 204
    assert api.log() == [("deleted", {"ids": [made["id"]], "unread_count": 0, "unseen_count": 0})]
    assert (api.ids(), api.counts()["unread_count"]) == ([], 0)
    assert api.retract().status_code == 204  # nothing is left
    fresh: Any = api.put()
    assert (fresh.status_code, fresh.json["revision"]) == (201, 1)
    assert fresh.json["id"] > made["id"]


def test_retracting_without_a_user_takes_it_from_everyone(api: Api) -> None:
    for user in ("42", "7", "9"):
        api.put(user_id=user)
    api.put("other")
    assert api.retract(query="").status_code == 204
    assert [notification["key"] for notification in api.page()] == ["other"]
    assert api("GET", "/notifications", user="7").json["notifications"] == []  # type: ignore[index]


def test_an_expired_one_is_not_replaced_but_created_anew(api: Api, database: Database) -> None:
    made: Any = api.put(expires_at="2100-01-01T00:00:00Z").json
    with database.transaction() as db:
        db.execute(text("UPDATE shirase_notifications SET expires_at = '2001-01-01T00:00:00.000000Z'"))
    fresh: Any = api.put()
    assert (fresh.status_code, fresh.json["id"] > made["id"]) == (201, True)
    assert [kind for kind, _ in api.log()] == ["deleted", "notification"]
    assert api.counts() == {"unread_count": 1, "unseen_count": 1, "by_category": {}}


def test_a_replace_and_a_read_at_once_end_in_one_state(api: Api) -> None:
    made: Any = api.put().json
    for turn in range(10):
        steps: list[Callable[[], Any]] = [
            lambda turn=turn: api.put(title=f"turn {turn}"),  # type: ignore[misc]
            lambda: api.change("read", made["id"]),
            lambda: api.change("seen"),
        ]
        with ThreadPoolExecutor(3) as threads:
            for done in [threads.submit(step) for step in steps]:
                done.result()
        shown, badge = None, 0
        for kind, data in api.log():
            badge = data.get("unread_count", badge + (kind == "notification"))
            if kind in ("notification", "updated"):
                shown = (data["title"], data["is_read"])
            elif kind == "read" and made["id"] in data["ids"] and shown:
                shown = (shown[0], True)
        [stored] = api.page()
        assert shown == (stored["title"], stored["is_read"])
        assert badge == api.counts()["unread_count"] == (not stored["is_read"])


def test_first_keyed_creates_at_once_make_one(api: Api) -> None:
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda number: api.put(title=str(number)), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert (len(api.page()), api.counts()["unread_count"]) == (1, 1)


def test_a_repeat_of_a_fold_with_its_idempotency_key_counts_once(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.token('svc', WRITE)}", "Idempotency-Key": "one"}
    for _ in range(2):
        answer = api.client.put("/api/notifications/keys/k", json={**NEW, "fold": True}, headers=headers)
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert api.page()[0]["count"] == 1
