"""The standby forwards complete answers of handlers only."""

import pytest

from shirase.run.http_text import is_whole

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
