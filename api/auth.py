"""Who is calling: where a request may carry its token, and what follows from it."""

from flask import Request

from api import tokens
from api.errors import Unauthenticated
from api.settings import Settings
from api.tokens import Identity


def identify(request: Request, settings: Settings, *, in_query: bool = False) -> Identity:
    """Who a request is from.

    Args:
        request: the request.
        settings: the keys.
        in_query: whether ``?token=`` counts too, for an EventSource, which cannot send headers.

    Raises:
        Unauthenticated: without a token, or with one that does not hold.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return tokens.verify(settings, token.strip())
    if scheme:
        raise Unauthenticated("the Authorization header must be: Bearer TOKEN")
    if in_query and request.args.get("token"):
        return tokens.verify(settings, request.args["token"])
    raise Unauthenticated("send a token as: Authorization: Bearer TOKEN")
