"""From request to response: what all operations share, independent of the framework."""

import logging
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from shirase import logs, metrics
from shirase.web import browser_headers, cors, problems
from shirase.web.blueprint import Endpoint, allowed, endpoint_for
from shirase.web.call import Call, current
from shirase.web.http import Response

log = logging.getLogger(__name__)

PROBES = ("healthz", "readyz", "metrics")  # requested regularly by machines


def respond(endpoints: Mapping[str, Endpoint], call: Call, parameters: Mapping[str, Any]) -> Response:
    """Answer a request for one path; never raises.

    Args:
        endpoints: the endpoints of the path, by method.
        call: the request, with its services.
        parameters: the path's parameters.
    """
    logs.begin(call.request_id)
    token = current.set(call)
    method = call.request.method
    endpoint = endpoint_for(endpoints, method)
    try:
        response = endpoint.view(**parameters) if endpoint else _without_operation(endpoints, method)
    except Exception as exc:  # noqa: BLE001 - the framework's own handler would answer with a page of the host
        response = problems.answer(exc, call)
    finally:
        current.reset(token)
    if method == "HEAD":  # some servers do not discard the body, and would misread the next request
        if response.parts is None:
            size = len(response.data.encode() if isinstance(response.data, str) else response.data)
            response.headers["Content-Length"] = str(size)
        response.data, response.parts = b"", None
    finish(response, call, endpoint.name.rpartition(".")[2] if endpoint else "none")
    logs.clear()
    return response


def finish(response: Response, call: Call, operation: str) -> None:
    """Add the headers of every response, count it and log it."""
    request = call.request
    response.headers.update(call.headers)
    response.headers.update(cors.headers(call.services.settings, request.headers.get("Origin"), request.method))
    browser_headers.harden(response)
    response.headers["X-Request-Id"] = call.request_id
    seconds = time.perf_counter() - call.started
    metrics.REQUESTS.labels(operation, response.status).inc()
    metrics.REQUEST_SECONDS.labels(operation).observe(seconds)
    # Logged by the operation's name: path and query may contain secrets.
    level = logging.DEBUG if operation in PROBES else logging.INFO
    log.log(level, "%s %s %d in %.1f ms", request.method, operation, response.status, seconds * 1000)


def _without_operation(endpoints: Mapping[str, Endpoint], method: str) -> Response:
    """Answer OPTIONS, including preflights, which have no credentials; refuse methods without an operation."""
    if method == "OPTIONS":
        return Response(status=HTTPStatus.NO_CONTENT, headers={"Allow": allowed(endpoints)})
    answer = problems.problem(HTTPStatus.METHOD_NOT_ALLOWED, f"{method} is not for this address")
    answer.headers["Allow"] = allowed(endpoints)
    return answer
