"""Liveness, readiness and metrics, for operators."""

from contextlib import closing

from sqlalchemy.exc import SQLAlchemyError

from shirase.errors import DatabaseUnavailable
from shirase.store import schema
from shirase.store.database import Database
from shirase.web import scrape
from shirase.web.blueprint import Blueprint
from shirase.web.call import services
from shirase.web.http import Response
from shirase.web.operation import OPERATOR, PUBLIC, Operation, json_answer, operation
from shirase.web.origin_node import DRAINING, node_of_request
from shirase.web.problems import problem

blueprint = Blueprint("health")

READY_TIMEOUT = 2.0  # seconds for the database, since probes have short timeouts


@blueprint.get("/healthz")
@operation(Operation("Whether the process is up", PUBLIC, {200: ("It is", "application/json")}))
def healthz() -> Response:
    """Checks nothing else: an unavailable database is no reason to restart this process."""
    answer = json_answer({"status": "ok"})
    if services().draining.includes(node_of_request()):
        answer.headers[DRAINING] = "true"
    return answer


@blueprint.get("/readyz")
@operation(
    Operation(
        "Whether the database and the control port answer",
        OPERATOR,
        {200: ("They do", "application/json")},
        description="On the origin, not through the proxy. `unavailable` lists what does not work: `database` if it"
        " does not answer or takes no changes, `schema` if the migrations have not run, and control addresses. 503 if"
        " the database, the schema or every control address is unavailable; one proxy node of several is enough.",
    )
)
def readyz() -> Response:
    """Whether a notification that is created now is stored and published."""
    wired = services()
    nodes = wired.publisher.unreachable()
    database, reason = _database_state()
    unavailable = [*database, *nodes]
    if reason:
        return problem(503, reason, unavailable=unavailable)
    if len(nodes) == len(wired.publisher.nodes):
        return problem(503, f"no answer from: {', '.join(unavailable)}", unavailable=unavailable)
    return json_answer({"status": "ready", "unavailable": unavailable})


@blueprint.get("/metrics")
@operation(Operation("Figures for Prometheus", OPERATOR, {200: ("Prometheus text, version 0.0.4", "text/plain")}))
def metrics() -> Response:
    """At the origin only. A part that does not answer is reported as down, without its other metrics."""
    wired = services()
    return Response(
        scrape.render(wired.database, scrape.addresses(wired.settings, wired.publisher.nodes)),
        content_type=scrape.CONTENT_TYPE,
    )


def _database_state() -> tuple[list[str], str]:
    """Which part of the database is unavailable, and a line that explains it."""
    # On a new connection, because a pooled one does not prove that another can be opened, and with a shorter timeout.
    settings = services().settings
    with closing(Database(settings.database_url, READY_TIMEOUT, settings.database_schema)) as database:
        try:
            with database.autocommit() as db:
                state = schema.read(db, settings.database_schema)
            if state.is_usable and not database.accepts_writes():
                return ["database"], "the database can be read but not written"
        except (DatabaseUnavailable, SQLAlchemyError):
            return ["database"], "no answer from: database"
    return ([], "") if state.is_usable else (["schema"], str(state))
