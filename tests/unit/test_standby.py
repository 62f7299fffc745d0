"""The standby forwards complete answers of handlers only, and ends without a word about those that it drops."""

import socket

import pytest

from shirase.inbox.streams import PATH
from shirase.run.http_text import is_whole
from shirase.run.standby import Standby
from shirase.settings import ProxySettings

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


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


def test_a_standby_that_ends_logs_no_dropped_request(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as handlers, socket.socket() as client:
        with Standby(f"127.0.0.1:{handlers.getsockname()[1]}", ProxySettings(pushpin_sig_key="k" * 32)) as standby:
            host, _, port = standby.address.partition(":")
            client.connect((host, int(port)))
            client.sendall(f"GET {PATH} HTTP/1.1\r\nHost: node\r\n\r\n".encode())
            unanswered, _ = handlers.accept()
        unanswered.close()
    assert caplog.records == []
