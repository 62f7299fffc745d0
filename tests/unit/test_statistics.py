"""The messages of nodes' statistics."""

import pytest

from shirase.proxy.statistics import Report, parse


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"sub ",
        b"sub J",
        b"sub J{",
        b"sub J[]",
        b"sub J3",
        b'sub J{"channel":3,"mode":"stream","ttl":15,"from":"p"}',
        b'sub J{"channel": "c-", "mode": "stream", "ttl": 15, "from": "p"}',
        b'sub J{"channel": "u-YQ", "mode": "stream", "ttl": 15, "from": "p"}',
        b'sub J{"channel": "c-a b", "mode": "stream", "ttl": 15, "from": "p"}',
        b'sub J{"channel": "c-a", "mode": "response", "ttl": 15, "from": "p"}',
        b'sub J{"channel": "c-a", "mode": "stream", "ttl": "x", "from": "p"}',
        b'sub J{"channel": "c-a", "mode": "stream", "from": "p"}',
        b'sub T{"channel": "c-a", "mode": "stream", "ttl": 15, "from": "p"}',
        b'conn J{"channel": "c-a", "mode": "stream", "ttl": 15, "from": "p"}',
        b"sub J\xff\xfe",
    ],
)
def test_what_is_not_of_a_connection_means_nothing(message: bytes) -> None:
    assert parse("n", message) is None


def test_pushpins_messages_are_parsed() -> None:
    """As recorded from 1.36."""
    held = b'sub J{"channel":"c-9edb-6b","from":"pushpin-handler_8","mode":"stream","subscribers":1,"ttl":15}'
    left = b'sub J{"channel":"c-9edb-6b","from":"pushpin-handler_8","mode":"stream","unavailable":true}'
    assert parse("n", held) == Report("n", "9edb-6b", 15.0, "pushpin-handler_8")
    assert parse("n", left) == Report("n", "9edb-6b", 0.0, "pushpin-handler_8")
