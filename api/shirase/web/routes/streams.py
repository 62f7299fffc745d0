"""The stream, its continuation by the proxy, and the long poll."""

import sys
import time

from shirase.access.rate_limits import CONNECTS
from shirase.access.tokens import Identity
from shirase.errors import Forbidden, ProxyRequired
from shirase.inbox import announcements, connections, recoveries, streams
from shirase.proxy import grip, sse
from shirase.types import StreamConnection
from shirase.web import bodies
from shirase.web.blueprint import Blueprint
from shirase.web.call import request, services
from shirase.web.http import Response
from shirase.web.operation import PROXY, USER_IN_QUERY, Header, Operation, json_answer, operation
from shirase.web.origin_node import node_of_request
from shirase.web.schemas.streams import HoldsView, PollQuery, PollView, Recoveries, StreamQuery

blueprint = Blueprint("streams")

LONGEST_CURSOR = 64  # characters; ours are half as long, and a longer one would only lengthen the URL of the next page
NOT_THE_PROXY = "this address is for the proxy alone"


@blueprint.get(streams.PATH)
@operation(
    Operation(
        "Open a stream of your notifications",
        USER_IN_QUERY,
        {200: ("Events, held open by the proxy", sse.CONTENT_TYPE)},
        query=StreamQuery,
        headers={"Last-Event-ID": Header("Resume behind this cursor, as a browser does by itself.")},
        problems=(422, 429, 501),
        rate=CONNECTS,
        is_hold=True,
        description="""\
| event | when | id | data |
|---|---|---|---|
| `connected` | first | where it begins | `{"user_id", "status": "connected", "connection_id"}` and the counts |
| `notification` | one is created for this user | its cursor | the notification, in its newest revision |
| `updated` | one is replaced or folded | its cursor | the whole notification, and the counts |
| `read` | marked read, on any device | its cursor | `{"ids": […] or "all", "read_at"}` and the counts |
| `unread` | marked unread again | its cursor | `{"ids": […]}` and the counts |
| `archived` | archived | its cursor | `{"ids": […] or "all", "archived_at"}` and the counts |
| `unarchived` | brought back from the archive | its cursor | `{"ids": […]}` and the counts |
| `seen` | everything up to here is seen | its cursor | `{"unseen_count"}` |
| `deleted` | deleted, retracted or expired | its cursor | `{"ids": […]}` and the counts |
| `heartbeat` | every `SSE_KEEPALIVE_TIMEOUT` seconds of silence | none | `{"type": "heartbeat"}` |
| `reset` | the cursor is too old, or from elsewhere | the new cursor | `{"reason"}`: fetch the list again |
| `closing` | the service ends this stream for good | none | `{"reason", "reconnect": true or false}` |

The counts are `unread_count` and `unseen_count`, as of the event's own place in the log; every `notification` adds one
to both. A `read` of no `ids` follows an event that a client of the first edition ignores, for its count.

The reasons of `closing`: `connection-limit`, a newer stream of the user replaced this one, and `revoked`, an operator
ended it: do not reconnect (a `retry:` of a day keeps a native EventSource from it). `token-expired`: reconnect with a
new token. `draining`: the proxy's node is about to stop: reconnect.""",
    )
)
def open_stream(caller: Identity, query: StreamQuery) -> Response:
    """``connected``, missed events, then events as they happen."""
    wired = services()
    _require_proxy()
    if wired.draining.includes(node_of_request()):
        return _stream(streams.elsewhere())
    cursor = (request().headers.get("Last-Event-ID") or query.cursor or "")[:LONGEST_CURSOR] or None
    connection = _connection(caller, caller.expires_at)
    answer = streams.open_stream(
        wired.database,
        wired.publisher,
        wired.settings,
        connection,
        cursor,
        next_path=_next_path(),
        topics=caller.topics,
    )
    return _stream(answer)


@blueprint.get(streams.NEXT_PATH)
@operation(
    Operation("Recover a held stream", PROXY, {200: ("Events", sse.CONTENT_TYPE)}, problems=(403,), is_hold=True)
)
def recover() -> Response:
    """What the proxy missed of a held stream."""
    wired = services()
    last = grip.parse_last(request().headers.get("Grip-Last", ""), grip.sealing_keys(wired.settings))
    if not _is_from_proxy() or last is None:
        raise Forbidden(NOT_THE_PROXY)
    answer = streams.recover(
        wired.database, wired.publisher, wired.settings, last, next_path=_next_path(), node=node_of_request()
    )
    return _stream(answer)


@blueprint.post(streams.HOLDS_PATH)
@operation(Operation("Recover held streams", PROXY, {200: ("Holds", HoldsView)}, problems=(403, *bodies.PROBLEMS)))
def recover_many() -> Response:
    """The holds of those of many streams that missed nothing; a node's standby requests it."""
    wired = services()
    keys = grip.sealing_keys(wired.settings)
    if not _is_from_proxy() or grip.parse_last(request().headers.get("Grip-Last", ""), keys) is None:
        raise Forbidden(NOT_THE_PROXY)
    bodies.require(None)
    body = bodies.read(Recoveries)
    lasts = [grip.parse_last(text, keys) for text in body.last]
    known = [last for last in lasts if last]
    holds = recoveries.holds(wired.database, wired.settings, known, next_path=_next_path())
    result = [holds[last].headers("GET") if last in holds else None for last in lasts]
    return json_answer({"holds": result})


@blueprint.get(f"{streams.NEXT_PATH}/<sealed>")
@operation(
    Operation("Continue a long replay", PROXY, {200: ("Events", sse.CONTENT_TYPE)}, problems=(403,), is_hold=True)
)
def continue_stream(sealed: str) -> Response:
    """The next page of missed events, at a signed URL that only the proxy gets."""
    wired = services()
    if not _is_from_proxy():
        raise Forbidden(NOT_THE_PROXY)
    answer = streams.continue_stream(
        wired.database, wired.publisher, wired.settings, sealed, next_path=_next_path(), node=node_of_request()
    )
    if answer is None:
        raise Forbidden(NOT_THE_PROXY)
    return _stream(answer)


@blueprint.get("/api/notifications/poll")
@operation(
    Operation(
        "Wait for your next events",
        USER_IN_QUERY,
        {200: ("What happened after the cursor; empty at the timeout", PollView)},
        query=PollQuery,
        problems=(422, 429, 501),
        rate=CONNECTS,
        is_hold=True,
        description="The proxy rounds a `timeout` of less than 6 seconds to about 1 or 6.",
    )
)
def poll(caller: Identity, query: PollQuery) -> Response:
    """The fallback where a middlebox blocks streams. The proxy holds it, so no worker waits."""
    wired = services()
    _require_proxy()
    last, keys = request().headers.get("Grip-Last", ""), grip.sealing_keys(wired.settings)
    held = grip.parse_wait(last, caller.user_id, keys)
    connection_id = grip.parse_polling(last, caller.user_id, keys) if held else None
    connection = _polling(caller, query.timeout)
    if connection_id:
        connection = connections.named(connection_id, caller.user_id, node=node_of_request())
    answer = streams.poll(
        wired.database,
        wired.settings,
        caller.user_id,
        query.after,
        query.timeout,
        held,
        (wired.publisher, connection),
        announcements.arrive(wired.database, wired.publisher, caller.user_id, caller.topics, patient=True),
    )
    response = json_answer(answer.body)
    response.headers.update(answer.headers(request().method))
    response.headers["Cache-Control"] = "no-store"
    return response


def _polling(caller: Identity, timeout: int) -> StreamConnection:
    """The connection that a long poll counts as, until its timeout or its token's expiry."""
    end = min(int(time.time()) + timeout, caller.expires_at or sys.maxsize)
    return _connection(caller, end)


def _connection(caller: Identity, end: int | None) -> StreamConnection:
    headers = request().headers
    address = headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()  # the address that the proxy itself saw
    agent = headers.get("User-Agent", "")
    return connections.new(services().settings, caller.user_id, end, agent, address, node_of_request())


def _next_path() -> str:
    """The path at which the proxy reaches ``recover``, with the prefix at which a host has mounted these routes."""
    return request().proxy_prefix + streams.NEXT_PATH


def _is_from_proxy() -> bool:
    return grip.is_signed(request().headers.get("Grip-Sig", ""), services().settings)


def _require_proxy() -> None:
    if not _is_from_proxy():
        raise ProxyRequired(
            "a stream is held by the Pushpin proxy: ask its address (port 7999 by default), not this one; if you did,"
            " PUSHPIN_SIG_KEY differs from the proxy's sig_key"
        )


def _stream(answer: streams.Answer) -> Response:
    response = Response(answer.body, content_type=sse.CONTENT_TYPE)
    response.headers.update(answer.headers(request().method))
    response.headers["Cache-Control"] = sse.CACHE_CONTROL
    response.headers["X-Accel-Buffering"] = "no"  # nginx in front of the proxy must pass each event at once
    return response
