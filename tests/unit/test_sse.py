"""A browser dispatches exactly what was encoded."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shirase.proxy import sse
from tests.support.event_stream import parse

ONE_LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\x00"))
EVENTS = st.builds(sse.Event, ONE_LINE, st.text(), st.none() | ONE_LINE, st.none() | st.integers(0, 10**9))
# A browser breaks lines at CR, LF and CRLF; str.splitlines does so at each of these.
NO_BREAKS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


@given(st.lists(EVENTS, max_size=5))
def test_events_are_dispatched_as_they_were_meant(events: list[sse.Event]) -> None:
    read = parse("".join(map(sse.encode, events)))
    last_id = ""
    assert len(read.events) == len(events)
    for meant, got in zip(events, read.events, strict=True):
        last_id = last_id if meant.id is None else meant.id
        data = re.sub("\r\n|\r", "\n", meant.data)  # a stream can only express a line break
        assert (got.event, got.data, got.id) == (meant.event or "message", data, last_id)
    assert read.retry == next((event.retry for event in reversed(events) if event.retry is not None), None)


@given(st.lists(EVENTS, min_size=1, max_size=3), st.data())
def test_a_stream_that_is_cut_dispatches_whole_events_alone(events: list[sse.Event], data: st.DataObject) -> None:
    text = "".join(map(sse.encode, events))
    whole = parse(text).events
    cut = parse(text[: data.draw(st.integers(0, len(text) - 1))]).events
    assert cut == whole[: len(cut)]
    assert len(cut) < len(whole)


@pytest.mark.parametrize(
    "data", ["", " ", "a\nb", "a\rb", "a\r\nb", "\n", "\n\n", "\r\n\r\n", "a\x00b", "data: x\n\nid: 9"]
)
def test_line_breaks_in_data_stay_data(data: str) -> None:
    (event,) = parse(sse.encode(sse.Event("x", data, "1"))).events
    assert (event.event, event.id) == ("x", "1")
    assert event.data == data.replace("\r\n", "\n").replace("\r", "\n")


def test_what_only_python_takes_for_line_breaks_does_not_break() -> None:
    (event,) = parse(sse.encode(sse.Event("x", f"a{NO_BREAKS}b", f"1{NO_BREAKS}"))).events
    assert (event.data, event.id) == (f"a{NO_BREAKS}b", f"1{NO_BREAKS}")


@pytest.mark.parametrize("field", ["a\nb", "a\rb", "a\r\nb", "a\x00b", "\n"])
def test_a_field_cannot_forge_another(field: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        sse.encode(sse.Event(field, "{}"))
    with pytest.raises(ValueError, match="line break"):
        sse.encode(sse.Event("x", "{}", id=field))


def test_the_parser_follows_the_standards_examples() -> None:
    """The examples of WHATWG HTML, section 9.2.6, verbatim."""
    first = parse("data: YHOO\ndata: +2\ndata: 10\n\n").events
    assert [(event.event, event.data) for event in first] == [("message", "YHOO\n+2\n10")]
    second = parse(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n")
    assert [(event.data, event.id) for event in second.events] == [("first event", "1"), ("second event", "")]
    assert [event.data for event in parse("data\n\ndata\ndata\n\ndata:").events] == ["", "\n"]
    assert len({event.data for event in parse("data:test\n\ndata: test\n\n").events}) == 1
    assert parse("\ufeffdata: x\rid: a\x00\r\r").events == parse("data: x\n\n").events
    assert parse("retry: 1x\n\nretry: 7\n\n").retry == 7
