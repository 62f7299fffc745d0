"""A cursor stands for one position in one user's log of one database."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shirase.inbox import cursors
from shirase.types import START, EventId

USER_IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=255)
TAGS = st.text("0123456789abcdef", min_size=6, max_size=6)
EVENTS = st.just(START) | st.builds(EventId, st.integers(1, 10**18 - 1), TAGS)


@given(USER_IDS, EVENTS)
def test_a_cursor_is_read_as_it_was_written(user_id: str, event: EventId) -> None:
    cursor = cursors.encode("name", user_id, event)
    assert cursors.decode("name", user_id, cursor) == event
    assert re.fullmatch("[a-z0-9.-]{1,128}", cursor)  # anything else would need a preflight


@given(USER_IDS, EVENTS)
def test_a_cursor_of_another_user_or_database_is_none(user_id: str, event: EventId) -> None:
    cursor = cursors.encode("name", user_id, event)
    assert cursors.decode("other", user_id, cursor) is None
    assert cursors.decode("name", user_id + "x", cursor) is None


@given(st.text())
def test_text_that_we_did_not_write_is_none(text: str) -> None:
    assert cursors.decode("name", "42", text) is None


@pytest.mark.parametrize("seq", ["", "-1", "+1", " 1", "01", "1e3", "٣", "9" * 19, "reset"])
def test_a_seq_that_is_no_number_is_none(seq: str) -> None:
    stream = cursors.encode("name", "42", START).removesuffix("0")
    assert cursors.decode("name", "42", f"{stream}{seq}.0a1b2c") is None


@pytest.mark.parametrize("event", ["1", "0.0a1b2c", "1.", "1.0a1b2", "1.0a1b2c3", "1.0A1B2C", "1.0a1b2c\n", "1.٣a1b2c"])
def test_an_event_without_its_whole_tag_is_none(event: str) -> None:
    stream = cursors.encode("name", "42", START).removesuffix("0")
    assert cursors.decode("name", "42", stream + event) is None


def test_a_cursor_for_no_place_is_none() -> None:
    assert cursors.decode("name", "42", cursors.unusable("name", "42")) is None
