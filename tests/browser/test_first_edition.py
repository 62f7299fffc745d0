"""The client of the first edition, as it was built then, against the service of now."""

from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import BrowserContext

from tests.browser.client_page import open_client
from tests.support.stack import Stack

FIRST = Path(__file__).parent / "first_edition" / "client.js"
ROOT = "/api/notifications"


def test_the_first_edition_ends_with_the_right_list_and_counts(context: BrowserContext, demo: Stack, user: str) -> None:
    context.route("**/demo/client.js", lambda route: route.fulfill(path=FIRST, content_type="text/javascript"))
    clients = [open_client(context, demo, user).wait_for("open") for _ in range(2)]
    with httpx.Client(base_url=demo.url, headers=_bearer(demo, "producer", "notifications:write")) as producer:
        for number in range(6):
            _create(producer, user, f"No {number}")
        for step in range(1, 1001):  # of one key: one row, and a badge of one more
            _put(producer, user, "build", f"Build {step}")
        _put(producer, user, "thread", "First", fold=True)
        _put(producer, user, "thread", "Second", fold=True)
        _put(producer, user, "gone", "Retracted")
        producer.delete(f"{ROOT}/keys/gone", params={"user_id": user}).raise_for_status()
    with httpx.Client(base_url=demo.url, headers=_bearer(demo, user)) as own:
        ids = {
            notification["title"]: notification["id"]
            for notification in own.get(ROOT).raise_for_status().json()["notifications"]
        }
        for change, titles in (
            ("read", ["No 0", "No 1"]),
            ("unread", ["No 0"]),
            ("archive", ["No 2", "No 3"]),
            ("unarchive", ["No 3"]),
        ):
            own.post(f"{ROOT}/{change}", json={"ids": [ids[title] for title in titles]}).raise_for_status()
        own.post(f"{ROOT}/seen").raise_for_status()
        own.delete(f"{ROOT}/{ids['No 4']}").raise_for_status()
        page = own.get(ROOT).raise_for_status().json()
    assert page["unread_count"] == 5  # No 0, 3 and 5, the build, the thread
    expected = sorted(
        (notification["id"], notification["title"], notification["is_read"]) for notification in page["notifications"]
    )
    assert [title for _, title, _ in expected if title.startswith("Build")] == ["Build 1000"]
    for client in clients:
        client.wait_for_badge(5)
        client.page.evaluate("inbox.refresh()")  # what an event that it does not know changed, it fetches
        client.wait_for_badge(5)
        shown = client.page.evaluate(
            "inbox.getSnapshot().notifications.map(({ id, title, is_read }) => [id, title, is_read])"
        )
        assert sorted(map(tuple, shown)) == expected


def _create(producer: httpx.Client, user: str, title: str) -> None:
    body = {"user_id": user, "type": "test", "title": title, "message": ""}
    producer.post(ROOT, json=body).raise_for_status()


def _put(producer: httpx.Client, user: str, key: str, title: str, **more: Any) -> None:
    body = {"user_id": user, "type": "test", "title": title, "message": "", **more}
    producer.put(f"{ROOT}/keys/{key}", json=body).raise_for_status()


def _bearer(stack: Stack, user: str, scope: str = "") -> dict[str, str]:
    return {"Authorization": f"Bearer {stack.token(user, scope)}"}
