"""From a request to its answer: what surrounds every operation, whichever framework took the request."""

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

PROBES = ("healthz", "readyz", "metrics")  # asked for all the time, by machines


def respond(endpoints: Mapping[str, Endpoint], call: Call, parameters: Mapping[str, Any]) -> Response:
    """Answer a request for one path; never raises.

    Args:
        endpoints: those of the path, by their methods.
        call: the request, and what it is answered with.
        parameters: of the path.
    """
    logs.begin(call.request_id)
    token = current.set(call)
    method = call.request.method
    endpoint = endpoint_for(endpoints, method)
    try:
        response = endpoint.view(**parameters) if endpoint else _without_operation(endpoints, method)
    except Exception as exc:  # noqa: BLE001 - the last resort is here: a framework's own would be a page of the host's
        response = problems.answer(exc, call)
    finally:
        current.reset(token)
    if method == "HEAD":  # not every server takes the body off, and what follows on the connection would be misread
        size = len(response.data.encode() if isinstance(response.data, str) else response.data)
        response.data, response.headers["Content-Length"] = b"", str(size)
    finish(response, call, endpoint.name.rpartition(".")[2] if endpoint else "none")
    logs.clear()
    return response


def finish(response: Response, call: Call, operation: str) -> None:
    """Add what every answer carries, count it and log it."""
    request = call.request
    response.headers.update(call.headers)
    response.headers.update(cors.headers(call.services.settings, request.headers.get("Origin"), request.method))
    browser_headers.harden(response)
    response.headers["X-Request-Id"] = call.request_id
    seconds = time.perf_counter() - call.started
    metrics.REQUESTS.labels(operation, response.status).inc()
    metrics.REQUEST_SECONDS.labels(operation).observe(seconds)
    # By its name alone: its path and its query may hold what no log should.
    level = logging.DEBUG if operation in PROBES else logging.INFO
    log.log(level, "%s %s %d in %.1f ms", request.method, operation, response.status, seconds * 1000)


def _without_operation(endpoints: Mapping[str, Endpoint], method: str) -> Response:
    """OPTIONS, a preflight's included, which carries neither token nor cookie; and what no operation is for."""
    if method == "OPTIONS":
        return Response(status=HTTPStatus.NO_CONTENT, headers={"Allow": allowed(endpoints)})
    answer = problems.problem(HTTPStatus.METHOD_NOT_ALLOWED, f"{method} is not for this address")
    answer.headers["Allow"] = allowed(endpoints)
    return answer
