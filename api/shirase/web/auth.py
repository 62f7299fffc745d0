"""Authentication: where a request may carry its token, and the identity that results."""

from typing import Any

from shirase.access import tickets, tokens
from shirase.access.tokens import Identity
from shirase.errors import SettingsError, Unauthenticated
from shirase.inbox.services import Services
from shirase.proxy import grip
from shirase.settings import Settings
from shirase.web.call import HostSignIn, HostTopics
from shirase.web.http import Request
from shirase.web.site_check import refuse_other_pages, require_own_page


def identify(request: Request, services: Services, *, in_query: bool = False) -> Identity:
    """Identify the caller. The first place with a credential decides; the others are ignored.

    Args:
        request: the request.
        services: the keys, and the database of used tickets.
        in_query: whether ``?ticket=`` and ``?token=`` count too, for an EventSource, which cannot send headers.

    Raises:
        Unauthenticated: without a token, or with an invalid one.
        Forbidden: by cookie, from a page of an origin that is neither ours nor listed.
    """
    settings = services.settings
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return tokens.verify(services.keys, settings, token.strip())
    # Another scheme is meant for another party, such as a proxy with Basic authentication.
    if by_cookie := cookie(request, settings):
        require_own_page(request.headers, request.method, settings, is_hold=in_query)
        return tokens.verify(services.keys, settings, by_cookie)
    if in_query:
        return _identify_by_query(request, services)
    raise Unauthenticated("send a token as: Authorization: Bearer TOKEN")


def identify_by_host(request: Request, services: Services, identify: HostSignIn, *, is_hold: bool) -> Identity:
    """Identify the caller by the sign-in of the application that mounts these routes.

    Args:
        request: the request.
        services: the listed origins.
        identify: returns the user's id, or an ``Identity`` with scopes; ``None`` if nobody has signed in.
        is_hold: whether the response is a stream or a long poll.

    Raises:
        Unauthenticated: if nobody has signed in.
        Forbidden: from a page of another origin, since a sign-in usually is a cookie.
        TypeError: if ``identify`` returns anything else: a defect of the application, not an error of the user.
    """
    refuse_other_pages(request.headers, request.method, request.host, services.settings, is_hold=is_hold)
    identity = identify(request.native)
    if identity is None:
        raise Unauthenticated("nobody has signed in")
    if isinstance(identity, Identity) and tokens.is_user_id(identity.user_id):
        return identity
    if (user_id := tokens.as_user_id(identity)) is not None:
        return Identity(user_id)
    raise TypeError(f"identify() must return a user's id, an Identity or None, not {identity!r}")


def check_sign_in(settings: Settings, identify: object, topics: object) -> None:
    """Refuse to mount routes that nobody could ever use.

    Raises:
        SettingsError: if neither the application nor a token identifies a user.
        TypeError: if there are topics for users that the application does not identify.
    """
    if identify is not None:
        return
    if not (settings.jwt_secret or settings.jwt_public_key or settings.jwt_jwks_url):
        raise SettingsError("JWT_SECRET", "is not set, and identify= is missing: nobody could sign in")
    if topics is not None:
        raise TypeError("topics= is for users that identify= returns; a token names its own topics")


def with_topics(identify: HostSignIn, topics: HostTopics | None) -> HostSignIn:
    """Add the topics that the host returns for the user. Only reading requests need them."""
    if topics is None:
        return identify

    def signed_in(asked: Any) -> Any:
        topics_of_user = identify(asked)
        return (
            tokens.name_topics(topics_of_user, topics(asked))
            if topics_of_user is not None and asked.method == "GET"
            else topics_of_user
        )

    return signed_in


def cookie(request: Request, settings: Settings) -> str | None:
    """The token in the cookie ``AUTH_COOKIE``, if that is set."""
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
    """Whether the request is the proxy's repeat of a held poll."""
    if grip.parse_wait(request.headers.get("Grip-Last", ""), user_id, grip.sealing_keys(settings)) is None:
        return False
    return grip.is_signed(request.headers.get("Grip-Sig", ""), settings)
