"""A cursor stands for one place, in one user's stream, in one database."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shirase.inbox import cursors

USER_IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=255)
SEQS = st.integers(0, 10**18 - 1)


@given(USER_IDS, SEQS)
def test_a_cursor_is_read_as_it_was_written(user_id: str, seq: int) -> None:
    cursor = cursors.encode("name", user_id, seq)
    assert cursors.decode("name", user_id, cursor) == seq
    assert re.fullmatch("[a-z0-9-]{1,128}", cursor)  # more would cost a browser a preflight


@given(USER_IDS, SEQS)
def test_a_cursor_of_another_user_or_database_is_none(user_id: str, seq: int) -> None:
    cursor = cursors.encode("name", user_id, seq)
    assert cursors.decode("other", user_id, cursor) is None
    assert cursors.decode("name", user_id + "x", cursor) is None


@given(st.text())
def test_text_that_we_did_not_write_is_none(text: str) -> None:
    assert cursors.decode("name", "42", text) is None


@pytest.mark.parametrize("seq", ["", "-1", "+1", " 1", "1 ", "1\n", "1.0", "1e3", "٣", "9" * 19, "reset"])
def test_a_seq_that_is_no_number_is_none(seq: str) -> None:
    tag = cursors.encode("name", "42", 0).removesuffix("0")
    assert cursors.decode("name", "42", tag + seq) is None


def test_a_cursor_for_no_place_is_none() -> None:
    assert cursors.decode("name", "42", cursors.unusable("name", "42")) is None
