"""The effect of a request reaches all devices of its user, and nobody else."""

from uuid import uuid4

import pytest

from tests.support.service import Service, draft

pytestmark = pytest.mark.usefixtures("service")

ODD_IDS = [
    "a",
    "A",
    "a b",
    " a",
    "a ",
    "a,b",
    "b",
    "a;b",
    "a; last-id=0",
    "a,u-Yg",
    "u-YQ",
    "YQ",
    "YQ==",
    '"a"',
    "O'Brien",
    "a/../b",
    "a?b&c=d#e",
    "%61",
    "a\\b",
    "<a>",
    "é",
    "e\u0301",
    "\uff41",  # a full-width a
    "日本語",
    "עברית",
    "a\u200bb",
    "a\u2028b",
    "😀",
    "😀" * 255,
    "😀" * 254 + "😁",
    "0",
    "null",
]


def user() -> str:
    return f"user-{uuid4().hex}"


def test_a_notification_reaches_all_streams_of_its_user_alone(service: Service) -> None:
    alice, bob = user(), user()
    hers = service.open_many([alice] * 3)
    his = service.open(bob)

    created = service.create(alice, "for Alice", headers={"Idempotency-Key": uuid4().hex})
    service.create(bob, "for Bob")

    for device in hers:
        device.wait(lambda seen: seen.titles == ["for Alice"])
        assert device.log[0].json == created
    his.wait(lambda seen: seen.titles == ["for Bob"])  # nothing before it
    assert len(his.log) == 1


def test_a_repeated_request_publishes_nothing(service: Service) -> None:
    alice = user()
    device = service.open(alice)
    key = {"Idempotency-Key": uuid4().hex}

    first = service.create(alice, "once", headers=key)
    repeated = service.create(alice, "once", headers=key)
    service.create(alice, "then")

    assert repeated == first
    device.wait(lambda seen: seen.titles == ["once", "then"])


def test_read_and_read_all_and_deleted_reach_the_other_devices(service: Service) -> None:
    alice = user()
    devices = service.open_many([alice] * 2)
    first, second, third = (service.create(alice, title)["id"] for title in ("1", "2", "3"))

    assert service.ask("POST", "/api/notifications/read", alice, json={"ids": [first]}).json()["unread_count"] == 2
    assert service.ask("DELETE", f"/api/notifications/{second}", alice).status_code == 204
    assert service.ask("POST", "/api/notifications/read-all", alice).json() == {"updated": 1, "unread_count": 0}

    for device in devices:
        device.wait(lambda seen: len(seen.log) == 6)
        assert [(event.event, event.json["ids"], event.json["unread_count"]) for event in device.log[3:]] == [
            ("read", [first], 2),
            ("deleted", [second], 1),
            ("read", "all", 0),
        ]
        assert device.seqs == [*service.seqs_of(alice)[:1], 2, 3, 4, 5, 6]
    kept = service.ask("GET", "/api/notifications", alice).json()
    assert [notification["id"] for notification in kept["notifications"]] == [third, first]


def test_a_batch_arrives_whole_and_in_its_order(service: Service) -> None:
    alice, bob = user(), user()
    device, other = service.open(alice), service.open(bob)
    drafts = [draft(str(number), user_id=bob if number % 3 == 0 else alice) for number in range(300)]

    service.produce("/batch", {"notifications": drafts})

    device.wait(lambda seen: len(seen.titles) == 200)
    other.wait(lambda seen: len(seen.titles) == 100)
    assert device.titles == [item["title"] for item in drafts if item["user_id"] == alice]
    assert other.titles == [item["title"] for item in drafts if item["user_id"] == bob]


def test_a_broadcast_reaches_each_user_once(service: Service) -> None:
    users = [user() for _ in range(30)]
    devices = service.open_many(users)

    answer = service.produce("/broadcast", draft("all", user_ids=users + users))
    for item in users:
        service.create(item, "then")

    assert answer == {"created": 30}
    for device in devices:
        device.wait(lambda seen: seen.titles == ["all", "then"])


def test_every_spelling_of_a_user_id_gets_exactly_its_own(service: Service) -> None:
    devices = service.open_many(ODD_IDS)

    for each in ODD_IDS:
        service.produce("", draft("own", user_id=each, payload={"id": each}))
    for each in reversed(ODD_IDS):
        service.produce("", draft("again", user_id=each, payload={"id": each}))

    for each, device in zip(ODD_IDS, devices, strict=True):
        device.wait(lambda seen: len(seen.titles) >= 2)
        assert device.titles == ["own", "again"]
        assert {event.json["payload"]["id"] for event in device.log} == {each}
        assert {event.json["user_id"] for event in device.log} == {each}
        assert device.named("connected")[0].json["user_id"] == each
