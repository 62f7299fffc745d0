"""The OpenAPI 3.1 document, made from the declarations of the routes, and a page to read it."""

from collections.abc import Sequence
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from apispec import APISpec
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shirase.access.tokens import MAX_USER_ID
from shirase.fields import KEY, MAX_NAME, NAME_LETTER, NO_CONTROL
from shirase.settings import Settings
from shirase.types import EVERYONE, LARGEST_ID
from shirase.web.blueprint import Blueprint, Endpoint, with_braces
from shirase.web.call import services
from shirase.web.http import Response
from shirase.web.operation import OPERATOR, PROXY, PUBLIC, USER_IN_QUERY, Operation, json_answer, operation
from shirase.web.schemas.problems import Problem

REF = "#/components/schemas/{model}"
PROBLEM = {"application/problem+json": {"schema": {"$ref": REF.format(model="Problem")}}}
ALWAYS = (400, 500, 503)
BEARER = "A JWT whose `sub` is the user's id. `shirase token --user ID` prints one for development."
DESCRIPTION = """
Notifications in real time. Send every request through the proxy.

## A token

A token identifies the caller: a JWT whose `sub` is the user's id. For development, print one and paste it under
*Authorize*:

    shirase token --user ID                              # reads and changes that user's notifications
    shirase token --user ID --scope notifications:write  # creates notifications for anyone
    shirase token --user ID --scope notifications:admin  # does what operators do

In production your own backend signs it for the signed-in user, with the service's `JWT_SECRET` or a key of its own.
""".strip()
NAME_PARAMETER = {"type": "string", "minLength": 1, "maxLength": MAX_NAME, "pattern": f"^{NAME_LETTER}+$"}
TEXT_PARAMETERS = {
    "topic": NAME_PARAMETER | {"pattern": f"^(?!{EVERYONE}$){NAME_LETTER}+$"},
    "key": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": KEY},
    "kind": NAME_PARAMETER,
    "name": NAME_PARAMETER,
    "user_id": {"type": "string", "minLength": 1, "maxLength": MAX_USER_ID, **NO_CONTROL},
}


def document_of(endpoints: Sequence[Endpoint]) -> Sequence[Endpoint]:
    """The endpoint that serves the document of these endpoints and of itself."""
    blueprint = Blueprint("docs")
    described = cache(lambda settings: describe([*endpoints, *blueprint.endpoints], settings))

    @blueprint.get("/api/openapi.json")
    @operation(Operation("This document", PUBLIC, {200: ("OpenAPI 3.1", "application/json")}))
    def document() -> Response:
        """The OpenAPI document."""
        return json_answer(described(services().settings))

    return blueprint.endpoints


def describe(endpoints: Sequence[Endpoint], settings: Settings) -> dict[str, Any]:
    """The document of every operation except those for the proxy alone."""
    spec = APISpec(
        title="Shirase",
        version=version("shirase"),
        openapi_version="3.1.0",
        info={
            "description": DESCRIPTION,
            "license": {"name": "MIT"},
        },
    )
    if settings.public_url:
        spec.options["servers"] = [{"url": settings.public_url}]
    bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": BEARER}
    spec.components.security_scheme("bearer", bearer)
    if settings.auth_cookie:
        spec.components.security_scheme("cookie", {"type": "apiKey", "in": "cookie", "name": settings.auth_cookie})
    for name in in_query(settings):
        spec.components.security_scheme(name, {"type": "apiKey", "in": "query", "name": name})
    public = sorted(
        (endpoint for endpoint in endpoints if endpoint.operation.access != PROXY), key=lambda endpoint: endpoint.path
    )
    for name, schema in _schemas(public).items():
        spec.components.schema(name, schema)
    for endpoint in public:
        path = with_braces(endpoint.path)
        spec.path(path=path, operations={endpoint.method.lower(): _operation(endpoint, settings)})
    return spec.to_dict()


def _schemas(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The bodies and answers of all operations, and what those refer to."""
    models: set[type[BaseModel]] = {Problem}
    for endpoint in endpoints:
        shapes = [endpoint.operation.body, *(shape for _, shape in endpoint.operation.answers.values())]
        models |= {shape for shape in shapes if isinstance(shape, type)}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, document = models_json_schema([(model, "validation") for model in ordered], ref_template=REF)
    definitions: dict[str, Any] = document["$defs"]
    return definitions


def request_of(endpoint: Endpoint) -> dict[str, Any]:
    """The parameters and the body of one operation, for the document of a host: it refers to nothing in ours."""
    described: dict[str, Any] = {"parameters": _parameters(endpoint.parameters, endpoint.operation)}
    if body := endpoint.operation.body:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": _whole(body)}}}
    return described


def problems_of(described: Operation) -> dict[int | str, dict[str, Any]]:
    """The problem documents that an operation may answer to a user whom a host identifies, in the same form."""
    content = {"application/problem+json": {"schema": _whole(Problem)}}
    statuses = sorted({*described.problems, *ALWAYS, *([401] if described.access != PUBLIC else [])})
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def _whole(model: type[BaseModel]) -> Any:
    schema = model.model_json_schema()
    return _without_references(schema, schema.pop("$defs", {}))


def _without_references(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_without_references(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if name := schema.get("$ref"):
        schema = definitions[name.rpartition("/")[2]] | {key: part for key, part in schema.items() if key != "$ref"}
    return {key: _without_references(part, definitions) for key, part in schema.items()}


def in_query(settings: Settings) -> tuple[str, ...]:
    """The query parameters that can authenticate a stream."""
    return ("ticket", "token") if settings.auth_query_token else ("ticket",)


def _security(described: Operation, settings: Settings) -> list[dict[str, list[str]]]:
    ways = ["bearer", *(["cookie"] if settings.auth_cookie else [])]
    if described.access == USER_IN_QUERY:
        ways += in_query(settings)
    return [{way: []} for way in ways]


def _operation(endpoint: Endpoint, settings: Settings) -> dict[str, Any]:
    described = endpoint.operation
    name = endpoint.name.rpartition(".")[2]
    made: dict[str, Any] = {"operationId": name, "summary": described.summary, "tags": ["Notifications"]}
    if described.description:
        made["description"] = described.description
    made["parameters"] = _parameters(endpoint.parameters, described)
    if described.body:
        content = {"application/json": {"schema": {"$ref": REF.format(model=described.body.__name__)}}}
        made["requestBody"] = {"required": True, "content": content}
    made["responses"] = {str(status): _answer(*answer) for status, answer in described.answers.items()}
    problems = set(described.problems) | set(ALWAYS)
    if described.rate:
        problems.add(429)
    if described.access == OPERATOR:
        problems.add(404)
    elif described.access != PUBLIC:
        problems |= {401} | ({403} if described.scope or settings.auth_cookie else set())
        made["security"] = _security(described, settings)
    for status in sorted(problems):
        made["responses"][str(status)] = {"description": HTTPStatus(status).phrase, "content": PROBLEM}
    return made


def _parameters(arguments: Sequence[str], described: Operation) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": TEXT_PARAMETERS.get(name, {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}),
        }
        for name in sorted(arguments)
    ]
    if described.query:
        shape = described.query.model_json_schema(ref_template=REF)
        parameters += [
            {"name": name, "in": "query", "required": name in shape.get("required", ()), "schema": schema}
            for name, schema in shape["properties"].items()
            if name not in ("ticket", "token")  # documented as security schemes
        ]
    return parameters + [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": header.description,
            "schema": {"type": "string", "pattern": header.pattern},
        }
        for name, header in described.headers.items()
    ]


def _answer(description: str, shape: type[BaseModel] | str | None) -> dict[str, Any]:
    if shape is None:
        return {"description": description}
    if isinstance(shape, str):
        return {"description": description, "content": {shape: {}}}
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": REF.format(model=shape.__name__)}}},
    }
