"""The catalogue of types."""

from typing import Any

from shirase.access.tokens import ADMIN, Identity
from shirase.errors import NotFound
from shirase.inbox.drafts import check
from shirase.inbox.reach import TypeInput, TypeOnly
from shirase.policies import shown
from shirase.store import type_catalogue
from shirase.store.type_catalogue import TypeEntry
from shirase.web import bodies
from shirase.web.blueprint import Blueprint
from shirase.web.call import services
from shirase.web.http import Response
from shirase.web.operation import USER, Operation, json_answer, operation
from shirase.web.schemas.reach import TypesView, TypeView

blueprint = Blueprint("types", "/api/types")


@blueprint.get("")
@operation(
    Operation(
        "List the types of the catalogue",
        USER,
        {200: ("All entries, by type", TypesView)},
        description="A type without an entry may be used too; it goes to the inbox alone.",
    )
)
def list_types(caller: Identity) -> Response:  # noqa: ARG001 - for anyone who is signed in
    """All entries."""
    with services().database.autocommit() as db:
        result = type_catalogue.entries(db)
    return json_answer({"types": [_shown(entry) for entry in result]})


@blueprint.put("/<kind>")
@operation(
    Operation(
        "Describe a type",
        ADMIN,
        {200: ("The entry", TypeView)},
        body=TypeInput,
        problems=bodies.PROBLEMS,
        description="The entry applies to notifications that are created from then on.",
    )
)
def put_type(caller: Identity, body: TypeInput, kind: str) -> Response:  # noqa: ARG001 - the scope is what matters
    """Store an entry, replacing the present one."""
    entry = body.entry(check_type(kind))
    with services().database.transaction() as db:
        type_catalogue.put(db, entry)
    return json_answer(_shown(entry))


@blueprint.delete("/<kind>")
@operation(
    Operation("Remove a type from the catalogue", ADMIN, {204: ("Removed", None)}, problems=(404, 422)),
)
def delete_type(caller: Identity, kind: str) -> Response:  # noqa: ARG001 - the scope is what matters
    """Delete an entry; the type then goes to the inbox alone."""
    with services().database.transaction() as db:
        if not type_catalogue.remove(db, check_type(kind)):
            raise NotFound("the catalogue has no such type")
    return Response(status=204)


def check_type(name: str) -> str:
    """Check the type in a path.

    Raises:
        Invalid: if it is not a valid type.
    """
    return str(check(TypeOnly, {"type": name}).type)


def _shown(entry: TypeEntry) -> dict[str, Any]:
    channels = [
        {"channel": channel.channel, "after": shown(channel.after), "unless": channel.unless}
        for channel in entry.channels
    ]
    names = ("type", "label", "description", "category", "critical")
    return {name: getattr(entry, name) for name in names} | {"channels": channels}
