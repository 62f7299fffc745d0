"""Shirase inside a FastAPI application: the stream and the inbox behind its own sign-in, and ``await notify()``.

settings = Settings.from_env(os.environ, tokens=False)
Notifier(settings).attach(sessions)  # an async_sessionmaker
app.include_router(router(settings, identify=current_user_id), prefix="/inbox")

async with sessions.begin() as session:
    session.add(interview)
    await notify(session, user_id=42, type="interview.scheduled", title="Interview", message="Tomorrow at ten")
"""

from collections.abc import Callable, Coroutine
from inspect import Parameter, isawaitable, iscoroutinefunction, signature
from typing import Any

from fastapi import APIRouter, Depends, Request, params
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from shirase.errors import FieldError, Invalid
from shirase.settings import Settings
from shirase.sqlalchemy.asyncio import Notifier, announce, broadcast, notify, notify_many, retract
from shirase.starlette import METHODS, TYPES, Methods, Operations, Topics, named, settled
from shirase.web.auth import check_sign_in
from shirase.web.blueprint import Endpoint, by_path, with_braces
from shirase.web.openapi import problems_of, request_of
from shirase.web.operation import PROXY
from shirase.web.operations import FOR_HOSTS, FOR_TOKENS

__all__ = ["Notifier", "Settings", "announce", "broadcast", "notify", "notify_many", "retract", "router"]


def router(
    settings: Settings,
    *,
    identify: Callable[..., Any] | params.Depends | None = None,
    topics: Topics | None = None,
) -> APIRouter:
    """The stream, the long poll and the inbox, for ``app.include_router(…, prefix="/inbox")``.

    Args:
        settings: the same as those of the proxy and the relay.
        identify: the application's own sign-in, as a dependency that gives a user's id, an ``Identity`` with scopes,
            or ``None`` if nobody has signed in. A function of one parameter without annotation gets the request.
            Without it, tokens count as they do at the service.
        topics: which topics the signed-in user of a request has: a function or a coroutine function of the request.
    """
    check_sign_in(settings, identify, topics)
    operations = Operations(settings)
    dependency = _dependency(identify) if identify else None
    made = APIRouter(route_class=_route_class(operations), tags=["Notifications"])
    for path, methods in by_path(FOR_HOSTS if identify else FOR_TOKENS).items():
        handler = _handler(operations, methods, dependency, topics)
        for method, endpoint in methods.items():
            _add(made, path, [method], handler, endpoint)
        _add(made, path, [method for method in METHODS if method not in methods], handler, None)
    return made


def _add(router: APIRouter, path: str, methods: list[str], handler: Any, endpoint: Endpoint | None) -> None:
    is_shown = endpoint is not None and endpoint.path == path and endpoint.operation.access != PROXY
    router.add_api_route(
        with_braces(path, TYPES),
        handler,
        methods=methods,
        response_model=None,
        include_in_schema=is_shown,
        **(_described(endpoint) if endpoint and is_shown else {}),
    )


def _described(endpoint: Endpoint) -> dict[str, Any]:
    """What the application's own OpenAPI document states about an operation."""
    operation = endpoint.operation
    responses = problems_of(operation)
    for status, (description, shape) in operation.answers.items():
        is_model = isinstance(shape, type)
        responses[status] = {"description": description, **({"model": shape} if is_model else {})}
        if isinstance(shape, str):
            responses[status]["content"] = {shape: {}}
    return {
        "summary": operation.summary,
        "description": operation.description,
        "operation_id": f"shirase_{endpoint.name.rpartition('.')[2]}",
        "status_code": min(operation.answers),
        "responses": responses,
        "openapi_extra": request_of(endpoint),
    }


def _handler(
    operations: Operations, methods: Methods, dependency: Any, topics: Topics | None
) -> Callable[..., Coroutine[Any, Any, Response]]:
    if dependency is None:

        async def by_token(request: Request) -> Response:
            return await operations.answer(methods, request, None)

        by_token.methods = methods  # type: ignore[attr-defined]
        return by_token

    async def by_host(request: Request, who: Any = dependency) -> Response:
        return await operations.answer(methods, request, await settled(named(who, topics, request)))

    by_host.methods = methods  # type: ignore[attr-defined]
    return by_host


def _route_class(operations: Operations) -> type[APIRoute]:
    class Route(APIRoute):
        """Answers refusals of the dependency in the form of all other errors."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            answer = super().get_route_handler()
            methods: Methods = self.endpoint.methods  # type: ignore[attr-defined]

            async def refusing(request: Request) -> Response:
                try:
                    return await answer(request)
                except RequestValidationError as exc:
                    error: Exception = Invalid(*(_field_error(detail) for detail in exc.errors()))
                except Exception as exc:  # noqa: BLE001 - a defect of the dependency's is answered as one of ours
                    error = exc
                return await operations.answer(methods, request, await settled(_failed(error)))

            return refusing

    return Route


async def _failed(error: Exception) -> Any:
    raise error


def _field_error(entry: dict[str, Any]) -> FieldError:
    return FieldError(".".join(str(part) for part in entry["loc"][1:]), str(entry["msg"]))


def _dependency(identify: Callable[..., Any] | params.Depends) -> Any:
    if isinstance(identify, params.Depends):
        return identify
    taken = list(signature(identify).parameters.values())
    if len(taken) != 1 or taken[0].annotation is not Parameter.empty or taken[0].default is not Parameter.empty:
        return Depends(identify)

    async def from_request(request: Request) -> Any:
        if iscoroutinefunction(identify):
            return await identify(request)
        user = await run_in_threadpool(identify, request)
        return await user if isawaitable(user) else user

    return Depends(from_request)
