"""Operations by path and method, for a framework to mount."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shirase.web.http import Response
from shirase.web.operation import Operation

View = Callable[..., Response]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation with its path and method."""

    path: str  # parameters in the syntax of Flask and Django: <int:number>
    method: str
    name: str
    view: View
    operation: Operation

    @property
    def parameters(self) -> list[str]:
        """The names of the path's parameters."""
        return re.findall(r"<(?:\w+:)?(\w+)>", self.path)


class Blueprint:
    """A set of endpoints."""

    def __init__(self, name: str, url_prefix: str = "") -> None:
        """Begin empty."""
        self.name = name
        self.endpoints: list[Endpoint] = []
        self._prefix = url_prefix

    def get(self, path: str) -> Callable[[View], View]:
        """Add an operation for GET."""
        return self._add("GET", path)

    def post(self, path: str) -> Callable[[View], View]:
        """Add an operation for POST."""
        return self._add("POST", path)

    def put(self, path: str) -> Callable[[View], View]:
        """Add an operation for PUT."""
        return self._add("PUT", path)

    def delete(self, path: str) -> Callable[[View], View]:
        """Add an operation for DELETE."""
        return self._add("DELETE", path)

    def _add(self, method: str, path: str) -> Callable[[View], View]:
        def add(view: View) -> View:
            described: Operation = view.operation  # type: ignore[attr-defined]
            name = f"{self.name}.{view.__name__}"
            self.endpoints.append(Endpoint(self._prefix + path, method, name, view, described))
            return view

        return add


def by_path(endpoints: Iterable[Endpoint]) -> dict[str, dict[str, Endpoint]]:
    """The endpoints of each path, by their methods.

    A parameter of any text may end as another path does: ``DELETE /api/users/aiko/export`` erases ``aiko/export``.
    """
    grouped: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        grouped.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    for path, methods in grouped.items():
        whole, _, ending = path.rpartition("/")
        if re.search(r"<path:\w+>$", whole):
            for method, endpoint in grouped.get(whole, {}).items():
                methods.setdefault(method, _with_ending(endpoint, f"/{ending}"))
    return grouped


def _with_ending(endpoint: Endpoint, ending: str) -> Endpoint:
    """The endpoint for a last parameter that ends so."""
    name = endpoint.parameters[-1]

    def view(**parameters: Any) -> Response:
        return endpoint.view(**{**parameters, name: f"{parameters[name]}{ending}"})

    return replace(endpoint, view=view)


def with_braces(path: str, types: Mapping[str, str] | None = None) -> str:
    """Convert a path to OpenAPI's syntax, ``{number}``; with ``types`` to Starlette's, ``{number:int}``.

    Args:
        path: in the syntax of blueprints, ``/<int:number>``.
        types: names for Flask's types.
    """

    def written(match: re.Match[str]) -> str:
        return f"{{{match[2]}:{types[match[1]]}}}" if types and match[1] else f"{{{match[2]}}}"

    return re.sub(r"<(?:(\w+):)?(\w+)>", written, path)


def endpoint_for(endpoints: Mapping[str, Endpoint], method: str) -> Endpoint | None:
    """The endpoint for a method. GET's serves HEAD too, unless the proxy holds its response."""
    endpoint = endpoints.get("GET" if method == "HEAD" else method)
    return None if method == "HEAD" and endpoint and endpoint.operation.is_hold else endpoint


def allowed(endpoints: Mapping[str, Endpoint]) -> str:
    """The value of ``Allow``."""
    methods = {*endpoints, "OPTIONS"} | ({"HEAD"} if endpoint_for(endpoints, "HEAD") else set())
    return ", ".join(sorted(methods))
