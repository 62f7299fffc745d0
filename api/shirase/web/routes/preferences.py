"""Preferences of the caller, and the contacts of users."""

from shirase.access.rate_limits import CREATES, PREFERENCES
from shirase.access.tokens import WRITE, Identity
from shirase.inbox import apprise, preferences
from shirase.inbox.drafts import UserOnly, check
from shirase.inbox.reach import ContactInput, PreferencesInput
from shirase.store import contacts
from shirase.web import bodies
from shirase.web.blueprint import Blueprint
from shirase.web.call import services
from shirase.web.http import Response
from shirase.web.operation import USER, Operation, json_answer, operation
from shirase.web.schemas.reach import ContactView, PreferencesView

blueprint = Blueprint("preferences", "/api")


@blueprint.get("/preferences")
@operation(Operation("Get the caller's preferences", USER, {200: ("The caller's preferences", PreferencesView)}))
def get_preferences(caller: Identity) -> Response:
    """The rules that are in force, and the quiet hours."""
    return json_answer(preferences.to_json(preferences.read(services().database, caller.user_id)))


@blueprint.put("/preferences")
@operation(
    Operation(
        "Replace the caller's preferences",
        USER,
        {200: ("The stored preferences", PreferencesView)},
        body=PreferencesInput,
        problems=bodies.PROBLEMS,
        rate=PREFERENCES,
        description="Of the rules that match a notification, the one with the narrowest scope applies: its type, then"
        " its category, then `*`. Without a matching rule a channel is on. A notification that is off for `inbox` is"
        " not stored, and goes nowhere else. A critical type cannot be switched off, and wider rules do not apply to"
        " it. Quiet hours hold back push, mail and Apprise, never the inbox.",
    )
)
def put_preferences(caller: Identity, body: PreferencesInput) -> Response:
    """Store them, publish them to all devices, and cancel deliveries that they no longer allow."""
    wired = services()
    stored = preferences.replace(wired.database, wired.publisher, caller.user_id, body.preferences())
    return json_answer(preferences.to_json(stored))


@blueprint.put("/users/<path:user_id>/contact")
@operation(
    Operation(
        "Set where a user's mail and messages go",
        WRITE,
        {200: ("The stored contact", ContactView)},
        body=ContactInput,
        problems=bodies.PROBLEMS,
        rate=CREATES,
        description="Mail is written in the language `locale`, with times in `timezone`. Omitted fields are removed.",
    )
)
def put_contact(caller: Identity, body: ContactInput, user_id: str) -> Response:  # noqa: ARG001 - the scope is what matters
    """Store the contact, replacing the present one."""
    wired = services()
    apprise.check(wired.settings, body.apprise)
    contact = body.model_dump()
    with wired.database.transaction() as db:
        contacts.put(db, check(UserOnly, {"user_id": user_id}).user_id, contact)
    return json_answer(contact | {"apprise": list(map(apprise.shown, body.apprise))})
