"""Who is calling: where a request may carry its token, and what follows from it."""

from typing import Any

from shirase.access import tickets, tokens
from shirase.access.tokens import Identity
from shirase.errors import Unauthenticated
from shirase.inbox.services import Services
from shirase.proxy import grip
from shirase.settings import Settings
from shirase.web.call import HostSignIn, HostTopics
from shirase.web.http import Request
from shirase.web.site_check import refuse_other_pages, require_own_page


def identify(request: Request, services: Services, *, in_query: bool = False) -> Identity:
    """Who a request is from. The first place that carries something decides; the others are not looked at.

    Args:
        request: the request.
        services: the keys, and where used tickets are remembered.
        in_query: whether ``?ticket=`` and ``?token=`` count too, for an EventSource, which cannot send headers.

    Raises:
        Unauthenticated: without a token, or with one that does not hold.
        Forbidden: by cookie, from a page that is neither ours nor listed.
    """
    settings = services.settings
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return tokens.verify(services.keys, settings, token.strip())
    # Another scheme is for somebody else, such as a password that a proxy in between asks for.
    if by_cookie := cookie(request, settings):
        require_own_page(request.headers, request.method, settings, held=in_query)
        return tokens.verify(services.keys, settings, by_cookie)
    if in_query:
        return _identify_by_query(request, services)
    raise Unauthenticated("send a token as: Authorization: Bearer TOKEN")


def identify_by_host(request: Request, services: Services, identify: HostSignIn, *, held: bool) -> Identity:
    """Who a request is from, as the application says that has mounted these routes.

    Args:
        request: the request.
        services: the listed origins.
        identify: gives the user's id, or an ``Identity`` with scopes; ``None`` if nobody has signed in.
        held: whether the answer is a stream or a long poll.

    Raises:
        Unauthenticated: if nobody has signed in.
        Forbidden: from a page of another origin, since a sign-in is a cookie as a rule.
        TypeError: if the application answers with something else; a defect of it, and no user's mistake.
    """
    refuse_other_pages(request.headers, request.method, request.host, services.settings, held=held)
    found = identify(request.native)
    if found is None:
        raise Unauthenticated("nobody has signed in")
    if isinstance(found, Identity) and tokens.is_user_id(found.user_id):
        return found
    if (user_id := tokens.as_user_id(found)) is not None:
        return Identity(user_id)
    raise TypeError(f"identify() must return a user's id, an Identity or None, not {found!r}")


def with_topics(identify: HostSignIn, topics: HostTopics | None) -> HostSignIn:
    """The host's sign-in, with the topics that the host names for the user. Only requests that read need them."""
    if topics is None:
        return identify

    def signed_in(asked: Any) -> Any:
        found = identify(asked)
        return tokens.name_topics(found, topics(asked)) if found is not None and asked.method == "GET" else found

    return signed_in


def cookie(request: Request, settings: Settings) -> str | None:
    """The token in the cookie, where the operator has named one."""
    return request.cookies.get(settings.auth_cookie) if settings.auth_cookie else None


def _identify_by_query(request: Request, services: Services) -> Identity:
    settings = services.settings
    if ticket := request.args.get("ticket"):
        return tickets.redeem(
            services.database, settings, ticket, is_repeat=lambda user_id: is_held_poll(request, settings, user_id)
        )
    if token := request.args.get("token"):
        if settings.auth_query_token:
            return tokens.verify(services.keys, settings, token)
        raise Unauthenticated("?token= is switched off here: get a ticket from POST /api/sse/tickets")
    raise Unauthenticated("send a token as Authorization: Bearer TOKEN, or a ticket as ?ticket=")


def is_held_poll(request: Request, settings: Settings, user_id: str) -> bool:
    """Whether the proxy repeats a poll that we had it hold."""
    if grip.parse_wait(request.headers.get("Grip-Last", ""), user_id, grip.sealing_keys(settings)) is None:
        return False
    return grip.is_signed(request.headers.get("Grip-Sig", ""), settings)
