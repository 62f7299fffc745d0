"""Whether this process is up."""

from flask import Blueprint, Response

from api.routes.operation import PUBLIC, Operation, json_answer, operation

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@operation(Operation("Whether the process is up", PUBLIC, {200: ("It is", "application/json")}))
def healthz() -> Response:
    """Touches nothing else: a database that is away is no reason to restart this process."""
    return json_answer({"status": "ok"})
