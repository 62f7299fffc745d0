"""What a proxy node asks for itself."""

from http import HTTPStatus

from shirase.errors import Forbidden
from shirase.inbox import draining, streams
from shirase.proxy import grip
from shirase.web import bodies
from shirase.web.blueprint import Blueprint
from shirase.web.call import request, services
from shirase.web.http import Response
from shirase.web.operation import PROXY, Operation, json_answer, operation
from shirase.web.problems import problem
from shirase.web.schemas.streams import DrainStep, DrainView

blueprint = Blueprint("nodes")


@blueprint.post(streams.DRAIN_PATH)
@operation(
    Operation("Drain a node that stops", PROXY, {200: ("Progress", DrainView)}, problems=(403, 409, *bodies.PROBLEMS))
)
def drain_step() -> Response:
    """One step; the node repeats it until none is left. Its seal proves which node asks: no client can end streams."""
    wired = services()
    node = grip.parse_node(request().headers.get(grip.DRAIN, ""), grip.sealing_keys(wired.settings), grip.DRAIN)
    if node is None:
        raise Forbidden("this address is for a node that stops")
    bodies.require(None)
    step = bodies.read(DrainStep)
    try:
        moved, left = draining.drain_step(wired.database, wired.publisher, node, step.seconds)
    except draining.NotDrained as exc:
        return problem(HTTPStatus.CONFLICT, str(exc))
    return json_answer({"moved": moved, "left": left})
