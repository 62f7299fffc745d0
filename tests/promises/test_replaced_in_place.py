"""Promise: replaced as often as a producer likes, a notification of a key is one row and one in the badge."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from shirase.access.tokens import WRITE
from tests.support.service import Service, draft

REPLACES = 1000
PRODUCERS = 8
DEVICES = 3


def test_1000_replaces_of_a_key_end_in_one_everywhere(service: Service) -> None:
    user = f"user-{uuid4().hex}"
    devices = service.open_many([user] * DEVICES)

    def put(number: int) -> int:
        body = draft(f"{number} of {REPLACES}", user_id=user)
        answer = service.ask("PUT", "/api/notifications/keys/build", scope=WRITE, json=body)
        assert answer.status_code in (200, 201), answer.text
        return int(answer.json()["revision"])

    with ThreadPoolExecutor(PRODUCERS) as producers:
        revisions = sorted(producers.map(put, range(REPLACES)))

    assert revisions == list(range(1, REPLACES + 1))
    page = service.ask("GET", "/api/notifications", user).json()
    assert [(item["revision"], page["unread_count"]) for item in page["notifications"]] == [(REPLACES, 1)]
    for device in devices:
        device.wait(lambda seen: seen.log and seen.log[-1].json["revision"] == REPLACES)
        assert device.log[-1].json["title"] == page["notifications"][0]["title"]
        assert device.log[-1].json["unread_count"] == 1
        assert device.connections == 1
