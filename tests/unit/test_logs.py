"""How a log line is formatted and filtered."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from sqlalchemy.exc import DBAPIError

from shirase import logs
from shirase.errors import DatabaseUnavailable

log = logging.getLogger("test")


@pytest.fixture(params=["json", "text"])
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The written output, under a configuration that is undone at the end."""
    root, hooks = logging.getLogger(), ("sys.excepthook", "threading.excepthook")
    for hook in hooks:
        monkeypatch.setattr(hook, lambda *_: None)
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()  # the configuration closes existing handlers
    output = io.StringIO()
    monkeypatch.setattr("sys.stderr", output)
    logs.start("DEBUG", as_json=request.param == "json")
    yield output
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = handlers, level
    logs.clear()


def test_a_line_has_the_context_of_its_request(written: io.StringIO) -> None:
    logs.begin("r1")
    logs.bind(user="aiko")
    log.info("first")
    logs.bind(event="aiko/7")
    log.info("second", extra={"user": "someone else"})
    logs.clear()
    log.info("third")

    first, second, third = written.getvalue().splitlines()
    if first.startswith("{"):
        known = [{name: json.loads(line).get(name) for name in logs.KNOWN} for line in (first, second, third)]
        assert known[0] == {"request_id": "r1", "user": "aiko", "connection": None, "event": None}
        assert known[1] == {"request_id": "r1", "user": "someone else", "connection": None, "event": "aiko/7"}
        assert known[2] == dict.fromkeys(logs.KNOWN)
    else:
        assert first.endswith("test first [request_id='r1' user='aiko']")
        assert second.endswith("test second [request_id='r1' user='someone else' event='aiko/7']")
        assert third.endswith("test third")


@pytest.mark.parametrize(
    "line",
    [
        "GET /api/sse/notifications?token=SECRET&x=1",
        "GET /api/sse/notifications?ticket=SECRET",
        "Authorization: Bearer SECRET",
        "GET /api/sse/next/SECRET HTTP/1.1",
        "POST /notify/api/unsubscribe/SECRET HTTP/1.1",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.SECRET",
    ],
)
def test_a_secret_in_a_line_of_others_is_cut_out(written: io.StringIO, line: str) -> None:
    log.warning("%s", line)

    assert "SECRET" not in written.getvalue()
    assert "…" in written.getvalue() or "\\u2026" in written.getvalue()


class Broken(Exception):
    sqlstate = "23514"


def refuse(row: str) -> None:
    raise DBAPIError("INSERT", {"title": row}, Broken(f"Failing row contains ({row})"))


def test_a_traceback_has_no_words_but_our_own(written: io.StringIO) -> None:
    secret = "S" + "ECRET"  # composed, because the traceback shows this line
    try:
        try:
            refuse(secret)
        except DBAPIError as exc:
            raise DatabaseUnavailable("the database does not answer") from exc
    except DatabaseUnavailable:
        log.exception("it failed")

    result = written.getvalue()
    assert secret not in result
    for part in (
        "shirase.errors.DatabaseUnavailable: the database does not answer",
        "SQLSTATE 23514",
        "test_logs.py",
        "raise",
    ):
        assert part in result
