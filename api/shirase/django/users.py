"""Erasure and export of a site's user, by the site itself."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from shirase.access.tokens import check_user_id
from shirase.fields import UserId
from shirase.inbox import users
from shirase.inbox.drafts import UserOnly, check
from shirase.store import erasure


def erase(*, user: Any = None, user_id: UserId | None = None) -> None:
    """Erase a user if, and only if, the site's transaction is committed.

    The erasure is requested in the transaction and begins after its commit, for at most five seconds; what is left
    then, the relay erases. Old cursors of the user are reset.

    Args:
        user: one of the site's users, mapped by ``SHIRASE["USER_ID"]``; its row may be deleted in the same transaction.
        user_id: the id, instead of ``user``.

    Raises:
        Invalid: if the id cannot be a user's.
        django.db.Error: as for any query of the site.
    """
    application, own = _application(), _id(user, user_id)
    alias = application.site.alias
    with transaction.atomic(using=alias, savepoint=False):
        with application.database.within() as db:
            erasure.request(db, own, datetime.now(UTC))
        # If it fails, or the process ends before, the relay erases.
        transaction.on_commit(
            lambda: users.erase(application.database, application.publisher, own) and None, using=alias, robust=True
        )


def export(*, user: Any = None, user_id: UserId | None = None) -> Iterator[bytes]:
    """Everything stored about a user, as lines of JSON for a ``StreamingHttpResponse``; arguments as for ``erase``.

    The lines are those of ``GET /api/users/ID/export``; without the last one, ``end``, the export is incomplete.
    """
    return users.export_lines(_application().database, _id(user, user_id))


def _id(user: Any, user_id: UserId | None) -> str:
    if (user is None) == (user_id is None):
        raise TypeError("this takes either user or user_id")
    own = check(UserOnly, {"user_id": _application().site.user_id(user) if user_id is None else user_id}).user_id
    check_user_id(own)
    return own


def _application() -> Any:
    from shirase.django.apps import shirase  # noqa: PLC0415 - this module may be imported before Django is set up

    return shirase()
