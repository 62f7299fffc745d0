"""The standby forwards complete answers of handlers only, and ends without a word about those that it drops."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from shirase.inbox.streams import PATH
from shirase.run import standby
from shirase.run.http_text import is_whole
from shirase.run.standby import OPENING, Standby
from shirase.settings import ProxySettings

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BOUND = 10.0  # seconds


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 3\r\n\r\nabc",
        HEAD + b"\r\nuntil the end",
        CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"5;x=y\r\n0\r\n\r\n\r\n0\r\n\r\n",
        CHUNKED + b"A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
        CHUNKED + b"0\r\n\r\n",
    ],
)
def test_a_complete_answer_is_forwarded(answer: bytes) -> None:
    assert is_whole(answer)


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 4\r\n\r\nabc",
        HEAD.rstrip(),
        CHUNKED,
        CHUNKED + b"3\r\nabc\r\n",
        CHUNKED + b"3\r\nabc\r\n0\r\n",
        CHUNKED + b"3\r\nabc\r\n0\r\nTrailer: x\r\n",
        CHUNKED + b"5\r\n0\r\n\r\n",  # the chunk's own content
        CHUNKED + b"64\r\ndata: 0\r\n\r\n",
        CHUNKED + b"x\r\n0\r\n\r\n",
    ],
)
def test_a_truncated_answer_is_not_forwarded(answer: bytes) -> None:
    assert not is_whole(answer)


@contextmanager
def streams_opening(count: int) -> Iterator[socket.socket]:
    """The socket of handlers that a standby asks for so many new streams."""
    with ExitStack() as opened:
        handlers = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        handlers.settimeout(BOUND)
        place = f"127.0.0.1:{handlers.getsockname()[1]}"
        node = opened.enter_context(Standby(place, ProxySettings(pushpin_sig_key="k" * 32)))
        host, _, port = node.address.partition(":")
        for _ in range(count):
            client = opened.enter_context(socket.create_connection((host, int(port))))
            client.sendall(f"GET {PATH} HTTP/1.1\r\nHost: node\r\n\r\n".encode())
        yield handlers


def test_a_standby_that_ends_logs_no_dropped_request(caplog: pytest.LogCaptureFixture) -> None:
    with streams_opening(1) as handlers:
        unanswered, _ = handlers.accept()
    unanswered.close()
    assert caplog.records == []


def test_handlers_have_few_new_streams_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standby, "OPENING_SECONDS", BOUND)
    with streams_opening(OPENING + 1) as handlers:
        asked = [handlers.accept()[0] for _ in range(OPENING)]
        handlers.settimeout(0.1)
        with pytest.raises(TimeoutError):
            handlers.accept()
        asked.pop().close()
        handlers.settimeout(BOUND)
        asked.append(handlers.accept()[0])
    for connection in asked:
        connection.close()


def test_answers_that_take_long_hold_up_no_new_stream() -> None:
    with streams_opening(OPENING * 3) as handlers:
        for connection in [handlers.accept()[0] for _ in range(OPENING * 3)]:
            connection.close()
