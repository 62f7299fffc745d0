"""How the Python client processes answers: retries, delays and errors."""

from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent

from shirase.client import protocol, requests
from shirase.client.async_client import AsyncClient
from shirase.client.client import Client
from shirase.client.protocol import AGAIN, LONGEST_WAIT, ClientError, Listening, Outcome, Pause, Request, call

PROBLEM = {
    "type": "about:blank",
    "title": "Unprocessable Content",
    "status": 422,
    "detail": "title: is missing",
    "errors": [{"field": "title", "message": "is missing"}],
}


def made(
    request: Request[Any], outcomes: Sequence[Outcome], attempts: int = 5
) -> tuple[Any, list[Request[Any]], list[float]]:
    """Make a call that meets these outcomes; return its result, the requests and the delays."""
    steps = call(request, attempts)
    left = list(outcomes)
    asked: list[Request[Any]] = []
    pauses: list[float] = []
    outcome: Outcome = None
    while True:
        try:
            step = steps.send(outcome)
        except StopIteration as done:
            assert not left
            return done.value, asked, pauses
        if isinstance(step, Pause):
            pauses.append(step.seconds)
            outcome = None
        else:
            asked.append(step)
            outcome = left.pop(0)


def test_all_attempts_of_a_call_share_one_idempotency_key() -> None:
    expected = requests.create({"user_id": "u", "type": "t", "title": "t", "message": ""}, None)
    answer = httpx.Response(
        201, json={**dict.fromkeys(protocol.Notification.__slots__), "created_at": "2026-01-01T00:00:00Z"}
    )
    _, asked, _ = made(expected, [httpx.ConnectError("unreachable"), httpx.Response(503), answer])
    assert len({item.headers["Idempotency-Key"] for item in asked}) == 1
    assert len({item.body for item in asked}) == 1
    again = requests.create({"user_id": "u", "type": "t", "title": "t", "message": ""}, None)
    assert again.headers["Idempotency-Key"] != expected.headers["Idempotency-Key"]
    own = requests.broadcast(["u"], {"type": "t", "title": "t", "message": ""}, "my key")
    assert own.headers["Idempotency-Key"] == "my key"


@pytest.mark.parametrize("status", AGAIN)
def test_what_may_change_is_tried_again(status: int) -> None:
    body, asked, pauses = made(
        requests.unread_count(), [httpx.Response(status), httpx.Response(200, json={"unread_count": 3})]
    )
    assert (body, len(asked), len(pauses)) == (3, 2, 1)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 415, 422, 501])
def test_permanent_errors_are_not_retried(status: int) -> None:
    with pytest.raises(ClientError) as caught:
        made(requests.unread_count(), [httpx.Response(status, text="no")])
    assert caught.value.status == status


def test_pauses_double_and_are_spread() -> None:
    unreachable = httpx.ConnectError("unreachable")
    _, _, pauses = made(
        requests.unread_count(), [unreachable] * 9 + [httpx.Response(200, json={"unread_count": 0})], attempts=10
    )
    for number, seconds in enumerate(pauses):
        longest = min(0.5 * 2**number, 30)
        assert longest / 2 <= seconds <= longest


@pytest.mark.parametrize(("retry_after", "least"), [("7", 7), ("99999", LONGEST_WAIT), ("soon", 0.25), ("-5", 0.25)])
def test_retry_after_is_followed_within_reason(retry_after: str, least: float) -> None:
    refused = httpx.Response(429, headers={"Retry-After": retry_after})
    _, _, pauses = made(requests.unread_count(), [refused, httpx.Response(200, json={"unread_count": 0})])
    assert least <= pauses[0] <= max(least, 0.5)


def test_a_refusal_names_the_wrong_fields() -> None:
    with pytest.raises(ClientError, match="422 Unprocessable Content: title: is missing") as caught:
        made(requests.unread_count(), [httpx.Response(422, json=PROBLEM)])
    assert [(error.field, error.message) for error in caught.value.errors] == [("title", "is missing")]


def test_a_failure_carries_the_key_to_repeat_it_with() -> None:
    expected = requests.create_batch([], "k")
    for outcome in (httpx.ReadTimeout("slow"), httpx.Response(502, text="<html>")):
        with pytest.raises(ClientError) as caught:
            made(expected, [outcome], attempts=1)
        assert caught.value.idempotency_key == "k"


def test_a_repeated_delete_that_finds_nothing_has_done_its_work() -> None:
    assert made(requests.delete(1), [httpx.ReadError("cut"), httpx.Response(404)])[0] is None
    with pytest.raises(ClientError):
        made(requests.delete(1), [httpx.Response(404)])


def test_a_listener_resumes_behind_the_last_id() -> None:
    at = Listening(None)
    assert "Last-Event-ID" not in at.request().headers
    at.take(ServerSentEvent(event="connected", data="{}", id="a-1", retry=100))
    assert at.take(ServerSentEvent(event="heartbeat", data="{}")) is not None
    assert at.take(ServerSentEvent(event="", data="")) is None
    assert at.request().headers["Last-Event-ID"] == "a-1"
    assert at.pause() <= 0.1


def test_a_listener_ends_when_the_service_ends_it_for_good() -> None:
    at = Listening("a-1")
    at.take(ServerSentEvent(event="closing", data='{"reason": "restart", "reconnect": true}'))
    assert not at.over
    at.take(ServerSentEvent(event="closing", data='{"reason": "revoked", "reconnect": false}'))
    assert at.over


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_an_address_that_is_none_is_refused_at_once(client: type[Client | AsyncClient]) -> None:
    for url in ("", "localhost:7999", "ftp://host", "http://"):
        with pytest.raises(ValueError, match="http"):
            client(url, "token")
    with pytest.raises(ValueError, match="attempt"):
        client("http://host", "token", attempts=0)


def test_a_key_of_any_characters_is_part_of_the_address() -> None:
    answer = requests.put({"user_id": "u", "type": "t", "title": "t", "message": "", "key": "a/b?c"}, None)
    assert (answer.method, answer.path) == ("PUT", "/api/notifications/keys/a%2Fb%3Fc")
    assert b'"key"' not in (answer.body or b"")
    assert requests.retract("a/b", None).path == "/api/notifications/keys/a%2Fb"
    with pytest.raises(ValueError, match="takes a key"):
        requests.put({"user_id": "u", "type": "t", "title": "t", "message": ""}, None)


def test_only_filters_that_are_given_are_sent() -> None:
    assert requests.page(5, archived=True, unread=None, q="a b").query == {"limit": "5", "archived": "true", "q": "a b"}
