"""Errors, as RFC 9457 describes them."""

from pydantic import BaseModel


class FieldProblem(BaseModel):
    """The error of one field."""

    field: str
    message: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] | None = None
    request_id: str | None = None
