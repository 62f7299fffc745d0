"""Who is calling: where a request may carry its token, and what follows from it."""

from collections.abc import Callable

from flask import Request

from api import tokens
from api.errors import Unauthenticated
from api.settings import Settings
from api.tokens import Identity

HostSignIn = Callable[[Request], Identity | str | int | None]


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


def identify_by_host(request: Request, identify: HostSignIn) -> Identity:
    """Who a request is from, as the application says that has mounted these routes.

    Args:
        request: the request.
        identify: gives the user's id, or an ``Identity`` with scopes; ``None`` if nobody has signed in.

    Raises:
        Unauthenticated: if nobody has signed in.
        TypeError: if the application answers with something else; a defect of it, and no user's mistake.
    """
    found = identify(request)
    if found is None:
        raise Unauthenticated("nobody has signed in")
    if isinstance(found, int) and not isinstance(found, bool):
        found = str(found)
    if isinstance(found, str) and tokens.is_user_id(found):
        return Identity(found)
    if isinstance(found, Identity) and tokens.is_user_id(found.user_id):
        return found
    raise TypeError(f"identify() must return a user's id, an Identity or None, not {found!r}")
