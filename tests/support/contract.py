"""Checks every response in the tests against the application's OpenAPI document."""

from functools import cached_property
from typing import Any

from flask import Flask, Response, request
from openapi_schema_validator import OAS31Validator, oas31_format_checker

from shirase.web.blueprint import with_braces
from shirase.web.openapi import describe

SUCCESS = 300  # statuses below


class Contract:
    """Collects differences between responses and document; the application's fixture asserts that there are none."""

    def __init__(self, app: Flask) -> None:
        self.broken: list[str] = []
        self.seen: set[tuple[str, int]] = set()  # (operation, status)
        self._app = app

    @cached_property
    def document(self) -> dict[str, Any]:
        return describe(self._app.extensions["shirase.endpoints"], self._app.extensions["shirase"].settings)

    @property
    def successes(self) -> set[tuple[str, int]]:
        """The successful responses that the document describes."""
        return {
            (operation["operationId"], int(status))
            for methods in self.document["paths"].values()
            for operation in methods.values()
            for status in operation["responses"]
            if int(status) < SUCCESS
        }

    def check(self, response: Response) -> Response:
        """Check a response and return it unchanged."""
        path = with_braces(request.url_rule.rule) if request.url_rule else ""
        operation = self.document["paths"].get(path, {}).get(request.method.lower())
        if operation:
            self.seen.add((operation["operationId"], response.status_code))
            documented = operation["responses"].get(str(response.status_code))
            self.broken += [
                f"{request.method} {path} {response.status_code}: {complaint}"
                for complaint in (
                    ["is not in the document"] if documented is None else self._complaints(documented, response)
                )
            ]
        return response

    def _complaints(self, documented: dict[str, Any], response: Response) -> list[str]:
        content = documented.get("content", {})
        if not content:
            return ["has a body"] if response.data else []
        if response.mimetype not in content:
            return [f"is {response.mimetype}"]
        schema = content[response.mimetype].get("schema")
        if schema is None:
            return []
        whole = {**schema, "components": self.document["components"]}
        validator = OAS31Validator(whole, format_checker=oas31_format_checker)
        return [error.message for error in validator.iter_errors(response.json)]
