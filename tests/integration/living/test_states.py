"""Unread, archived and seen, and the list that shows them."""

import json
from typing import Any

from shirase.inbox import cursors
from shirase.store.database import Database
from shirase.types import START
from tests.integration.living.api import Api


def test_states_change_together_with_the_counts(api: Api) -> None:
    first, second, third = (api.create() for _ in range(3))
    assert api.change("read", first, second) == {"updated": 2, "unread_count": 1}
    assert api.change("unread", first, 10**12) == {"updated": 1, "unread_count": 2}
    assert api.change("archive", first, second) == {"updated": 2, "unread_count": 1}
    assert (api.ids(), api.ids("?archived=true")) == ([third], [second, first])
    assert api.change("unarchive", first) == {"updated": 1, "unread_count": 2}
    assert api.change("archive-all") == {"updated": 2, "unread_count": 0}
    assert api.change("archive-all") == {"updated": 0, "unread_count": 0}
    kinds = [kind for kind, data in api.log(3) if data.get("ids") != []]
    assert kinds == ["read", "unread", "archived", "unarchived", "archived"]
    assert all(data["archived_at"] for kind, data in api.log() if kind == "archived")
    assert all(data["read_at"] for kind, data in api.log() if kind == "read" and data["ids"])


def test_clients_that_ignore_new_events_end_with_the_right_count(api: Api) -> None:
    made: Any = api.put().json
    other = api.create()
    api.change("read", made["id"])
    for step in (
        lambda: api.put(title="2"),
        lambda: api.change("archive", other),
        lambda: api.change("unarchive", other),
        lambda: api.change("read-all"),
        lambda: api.change("unread", other, made["id"]),
        lambda: api.change("archive-all"),
    ):
        step()
        count = 0
        for kind, data in api.log():
            if kind in ("read", "deleted"):
                count = data["unread_count"]
            count += kind == "notification"
        assert count == api.counts()["unread_count"]


def test_seen_is_one_number_and_unread_stays(api: Api) -> None:
    first = api.create()
    api.create()
    assert api.change("seen") == {"unseen_count": 0}
    assert api.counts() == {"unread_count": 2, "unseen_count": 0, "by_category": {}}
    assert [item["is_seen"] for item in api.page()] == [True, True]
    assert api.log()[-1] == ("seen", {"unseen_count": 0})
    length = len(api.log())
    api.change("seen")
    assert len(api.log()) == length  # nothing was unseen
    api.create()
    api.change("read", first)
    assert api.counts()["unseen_count"] == 1
    assert [item["is_seen"] for item in api.page()] == [False, True, True]


def test_connected_carries_both_counts_as_of_its_cursor(api: Api, signed: dict[str, str], database: Database) -> None:
    api.create()
    api.change("seen")
    api.create()
    path = "/sse/notifications?last_event_id=" + cursors.encode(database.name, "42", START)
    headers = {"Authorization": f"Bearer {api.token('42')}", **signed}
    for query, counts in (("/sse/notifications", (2, 1)), (path, (0, 0))):
        body = api.client.get(f"/api{query}", headers=headers).text
        connected = json.loads(body.split("data: ")[1].split("\n")[0])
        assert (connected["unread_count"], connected["unseen_count"]) == counts


def test_the_list_is_filtered_by_category_and_words(api: Api) -> None:
    plain = api.create(title="Invoice 100%", message="from Ann")
    order = api.create(category="orders", title="Order 7", message="Shipped")
    api.create(category="orders", title="Order 8", message="Shipped")
    api.change("read", order)
    assert api.ids("?category=orders&unread=false") == [order]
    assert api.ids("?q=order%207") == [order]
    assert api.ids("?q=ANN%20invoice") == [plain]
    assert api.ids("?q=100%25") == [plain]
    assert api.ids("?q=_") == []
    assert api.counts()["by_category"] == {"orders": 1}
    for wrong in ("category=a%20b", "archived=yes", "q=", "q=%00", "q=" + "x" * 201):
        assert api("GET", f"/notifications?{wrong}").status_code == 422, wrong


def test_pages_follow_the_order_of_the_list(api: Api) -> None:
    for key in "abcde":
        api.put(key)
    api.put("b", title="again")
    result, query = [], "?limit=2"
    while True:
        page: Any = api("GET", f"/notifications{query}").json
        result += [notification["key"] for notification in page["notifications"]]
        if page["next_before"] is None:
            break
        query = f"?limit=2&before={page['next_before']}"
    assert result == ["b", "e", "d", "c", "a"]
