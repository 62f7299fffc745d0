"""An event that a listener cannot read is reported and passed over: to reconnect would bring the same one again."""

import httpx
import pytest
from httpx_sse import EventSource, ServerSentEvent

from shirase.client.protocol import Listening
from shirase.proxy import sse

DAMAGED = ["{", "[]", "null", '"text"', '{"title": "cut', "\x00", "{'a': 1}"]


@pytest.mark.parametrize("data", DAMAGED)
def test_a_damaged_event_is_logged_and_passed_over(caplog: pytest.LogCaptureFixture, data: str) -> None:
    at = Listening("before")
    assert at.take(ServerSentEvent("notification", data, "cursor-7")) is None
    assert "'notification' with id 'cursor-7' is damaged" in caplog.text
    assert data not in caplog.text or len(data) < 8
    assert at.request().headers["Last-Event-ID"] == "cursor-7"  # or it would come again
    whole = at.take(ServerSentEvent("notification", '{"id": 8}', "cursor-8"))
    assert whole is not None
    assert (whole.data, at.over) == ({"id": 8}, False)


@pytest.mark.parametrize("text", ["a\u2028b", "a\u2029b", "a\x85b", "知\u2028"])
def test_a_reader_that_breaks_lines_at_u2028_gets_whole_events(text: str) -> None:
    json = f'{{"title":"{text}"}}'
    encoded = sse.encode(sse.Event("notification", sse.unbroken(json), "1"))
    assert encoded.splitlines() == encoded.split("\n")[:-1]
    answer = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=encoded.encode())
    (event,) = EventSource(answer).iter_sse()
    assert event.json() == {"title": text}
