"""``notify`` inside a Django site's own transactions, and ``manage.py check``, in this process."""

import secrets
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from types import ModuleType, SimpleNamespace
from typing import Any
from uuid import UUID

import django
import orjson
import pytest
from django.conf import settings as site_settings
from django.core.checks import run_checks
from django.db import Error, connections, transaction
from django.http import HttpResponseRedirect
from django.test import RequestFactory, override_settings
from django.urls import include, path, resolve
from django.utils import translation
from django.utils.translation import gettext_lazy
from sqlalchemy import inspect, make_url, select
from sqlalchemy.orm import Session

from shirase.errors import Invalid
from shirase.fields import AddressedInput
from shirase.proxy.publisher import Publisher
from shirase.relay import repair
from shirase.settings import Settings
from shirase.store import announcements, erasure, log
from shirase.store.database import Database
from shirase.store.tables import Base, NotificationRow
from tests.support.control_port import ControlPort, control_port

ALIAS = "beside"  # not the default database of the site
KEY = "k" * 32
GRIP = "django_grip.GripMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
COOKIES = {"SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies", "ALLOWED_HOSTS": ["example.com"]}
FIELDS: dict[str, Any] = {"type": "t", "title": "t", "message": ""}

URLS, NO_URLS = ModuleType("urls"), ModuleType("no_urls")

site_settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    GRIP_URL=f"http://127.0.0.1:1?key={KEY}",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "shirase.django"],
    MIDDLEWARE=[GRIP, AUTHENTICATION],
    ROOT_URLCONF=URLS,
    USE_TZ=True,
    TIME_ZONE="UTC",
)
django.setup()
URLS.urlpatterns = [path("inbox/", include("shirase.django.urls"))]  # type: ignore[attr-defined]
NO_URLS.urlpatterns = []  # type: ignore[attr-defined]

from django.contrib.auth.models import AnonymousUser  # noqa: E402 - needs Django's settings

from shirase.django import announce, broadcast, erase, export, notify, notify_many, retract  # noqa: E402 - needs Django's settings
from shirase.django.apps import shirase  # noqa: E402


@pytest.fixture(autouse=True)
def _beside_playwright(monkeypatch: pytest.MonkeyPatch) -> None:
    """The browser tests leave an event loop in this thread, in which Django refuses to run."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "on")


@pytest.fixture
def control() -> Iterator[ControlPort]:
    with control_port() as running:
        yield running


@pytest.fixture
def site(database_url: str, control: ControlPort) -> Iterator[None]:
    """A site with its notifications in a separate database."""
    with connected(database_url), override_settings(**options(control)):
        yield


def connected(url: str) -> Any:
    """Django's connection to that database."""
    parsed = make_url(url)
    chosen: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {"transaction_mode": "IMMEDIATE"}}
    if parsed.get_backend_name() == "postgresql":
        chosen = {"ENGINE": "django.db.backends.postgresql", "HOST": parsed.host, "PORT": parsed.port}
        chosen["USER"] = parsed.username
    chosen["NAME"] = parsed.database
    return _Connected(chosen)


class _Connected:
    def __init__(self, chosen: dict[str, Any]) -> None:
        self._chosen = chosen

    def __enter__(self) -> None:
        filled = connections.configure_settings({**site_settings.DATABASES, ALIAS: self._chosen})
        connections.settings[ALIAS] = filled[ALIAS]

    def __exit__(self, *_: object) -> None:
        connections[ALIAS].close()
        del connections[ALIAS]
        del connections.settings[ALIAS]


def options(control: ControlPort, **more: Any) -> dict[str, Any]:
    return {
        "GRIP_URL": f"{control.url}?key={KEY}",
        "SHIRASE": {"DATABASE": ALIAS, "PUBLISH_TIMEOUT": 0.5, **more},
    }


def stored(database: Database) -> list[str]:
    with database.autocommit() as session:
        return list(session.scalars(select(NotificationRow.__table__.c.title).order_by(NotificationRow.id)))


def left_behind(database: Database) -> list[int]:
    with database.autocommit() as session:
        return [event.seq for event in log.unpublished(session, ("", 0), 100, datetime.now(UTC))]


@pytest.mark.usefixtures("site")
def test_a_commit_stores_and_publishes(database: Database, control: ControlPort) -> None:
    with transaction.atomic(using=ALIAS):
        notify(user_id="42", type="t", title="first", message="")
        notify(user_id="42", type="t", title="second", message="")
        assert stored(database) == []
        assert control.items == []
    assert stored(database) == ["first", "second"]
    assert control.seqs == [1, 2]
    assert left_behind(database) == []


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("user_id", [42, UUID(int=42)])
def test_what_sites_hand_over_is_stored_in_the_active_language(database: Database, user_id: int | UUID) -> None:
    monday = gettext_lazy("Monday")
    with translation.override("de"), transaction.atomic(using=ALIAS):
        payload = {"price": Decimal("9.90"), "day": monday, "at": {UUID(int=1): date(2026, 11, 26)}}
        made = notify(user_id=user_id, type="t", title=monday, message=monday, payload=payload)
    assert made
    assert stored(database) == ["Montag"]
    assert (made.user_id, made.content.message) == (str(user_id), "Montag")
    kept = {"price": "9.90", "day": "Montag", "at": {str(UUID(int=1)): "2026-11-26"}}
    assert orjson.loads(made.content.payload) == kept


@pytest.mark.usefixtures("site")
def test_outside_of_a_transaction_it_has_its_own(database: Database, control: ControlPort) -> None:
    made = notify(user_id="42", type="t", title="alone", message="", payload={"a": "知"})
    assert made
    assert (made.user_id, made.content.payload) == ("42", '{"a":"知"}')
    assert stored(database) == ["alone"]
    assert len(control.items) == 1


@pytest.mark.usefixtures("site")
def test_a_rollback_and_a_savepoints_leave_and_publish_nothing(database: Database, control: ControlPort) -> None:
    with suppress(ZeroDivisionError), transaction.atomic(using=ALIAS):
        notify(user_id="42", type="t", title="no", message="")
        raise ZeroDivisionError
    with transaction.atomic(using=ALIAS):
        notify(user_id="42", type="t", title="before", message="")
        with suppress(ZeroDivisionError), transaction.atomic(using=ALIAS):
            notify(user_id="42", type="t", title="gone", message="")
            raise ZeroDivisionError
        with transaction.atomic(using=ALIAS):
            notify(user_id="42", type="t", title="kept", message="")
    assert stored(database) == ["before", "kept"]
    assert control.seqs == [1, 2]


@pytest.mark.usefixtures("site")
def test_many_and_all(database: Database, control: ControlPort) -> None:
    notify_many([AddressedInput(user_id=user, type="t", title=user, message="") for user in ("b", "a")])
    sent = broadcast(users=[SimpleNamespace(pk=7)], user_ids=["a", "7"], type="t", title="all", message="")
    assert [notification and notification.user_id for notification in sent] == ["7", "a"]
    assert stored(database) == ["b", "a", "all", "all"]
    assert len(control.items) == 4


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("behaviour", ["fail", "hang"])
def test_a_publish_that_fails_is_left_to_the_relay(
    database: Database, settings: Settings, control: ControlPort, behaviour: str
) -> None:
    control.behaviour = behaviour
    notify(user_id="42", type="t", title="late", message="")
    assert left_behind(database) == [1]
    control.behaviour = "accept"
    repair.repair(database, Publisher(Settings.from_env({**_environ(settings), "GRIP_URL": control.url}, tokens=False)))
    assert control.seqs == [1]


@pytest.mark.usefixtures("site")
def test_wrong_fields_are_named_and_database_errors_are_djangos(database: Database) -> None:
    with pytest.raises(Invalid, match="title"):
        notify(user_id="42", type="t", title="", message="")
    with pytest.raises(TypeError, match="user"):
        notify(user=SimpleNamespace(pk=1), user_id="1", type="t", title="t", message="")
    with suppress(ZeroDivisionError), transaction.atomic(using=ALIAS):
        connections[ALIAS].cursor().execute("ALTER TABLE shirase_events RENAME TO elsewhere")
        with pytest.raises(Error):
            notify(user_id="42", type="t", title="t", message="")
        raise ZeroDivisionError
    assert stored(database) == []


@pytest.mark.usefixtures("site")
def test_a_user_without_a_primary_key_is_refused(database: Database) -> None:
    """Anonymous, unsaved or deleted: all of them would be the user "None"."""
    fields: Any = {"type": "t", "title": "t", "message": ""}
    for user in (AnonymousUser(), SimpleNamespace(pk=None)):
        for call in (
            lambda user=user: notify(user=user, **fields),
            lambda user=user: broadcast(users=[SimpleNamespace(pk=1), user], **fields),
            lambda user=user: retract(user=user, key="k"),
            lambda user=user: erase(user=user),
            lambda user=user: export(user=user),
        ):
            with pytest.raises(ValueError, match="no primary key"):
                call()
    with pytest.raises(TypeError, match="user_id"):
        notify(user="42", **fields)
    assert stored(database) == []


def test_the_user_is_mapped_by_the_sites_function(database_url: str, database: Database, control: ControlPort) -> None:
    with (
        connected(database_url),
        override_settings(**options(control, USER_ID=lambda user: f"name:{user.name}")),
    ):
        notify(user=SimpleNamespace(name="aiko"), type="t", title="t", message="")
    with database.autocommit() as session:
        assert session.scalar(select(NotificationRow.user_id)) == "name:aiko"


def test_the_tables_are_in_their_schema(postgres: Any, control: ControlPort) -> None:
    name = f"test_{secrets.token_hex(6)}"
    url = postgres.create(name)
    with connected(url), override_settings(**options(control, DATABASE_SCHEMA="own")):
        for _ in range(2):
            shirase()._migrate(using=ALIAS, plan=[])  # noqa: SLF001 - as Django's signal does
        notify(user_id="42", type="t", title="in its schema", message="")
    database = Database(url, schema="own")
    with database.engine.connect() as connection, Session(connection) as session:
        assert set(inspect(connection).get_table_names("own")) == {*Base.metadata.tables, "shirase_version"}
        assert inspect(connection).get_table_names("public") == []
        assert session.scalars(select(NotificationRow.__table__.c.title)).all() == ["in its schema"]
    database.close()
    postgres.drop(name)


@pytest.mark.usefixtures("site")
def test_an_announcement_exists_with_the_commit_alone(database: Database) -> None:
    with suppress(ZeroDivisionError), transaction.atomic(using=ALIAS):
        announce(topic="a", **FIELDS)
        raise ZeroDivisionError
    with transaction.atomic(using=ALIAS):
        made = announce(topic="a", for_newcomers=True, **FIELDS)
    with database.autocommit() as db:
        assert [notification.id for notification in announcements.page(db, 9)] == [made.id]


def test_a_site_names_the_topics_of_a_user(database_url: str, control: ControlPort, database: Database) -> None:
    user = SimpleNamespace(pk=42, is_authenticated=True, groups=["team:a"])
    chosen = options(control, TOPICS=lambda user: user.groups)
    with connected(database_url), override_settings(**chosen, MIDDLEWARE=[], ALLOWED_HOSTS=["testserver"]):
        announce(topic="team:a", for_newcomers=True, **FIELDS)
        asked = RequestFactory().get("/inbox/api/notifications")
        asked.user = user
        match = resolve("/inbox/api/notifications")
        answer = match.func(asked, *match.args, **match.kwargs)
    assert [notification["title"] for notification in orjson.loads(answer.content)["notifications"]] == ["t"]
    assert stored(database) == ["t"]


def rows_of(user_id: str) -> list[dict[str, Any]]:
    return [orjson.loads(line) for part in export(user_id=user_id) for line in part.splitlines()]


@pytest.mark.usefixtures("site")
def test_a_site_exports_and_erases_its_users(database: Database) -> None:
    for user_id in (7, 8):
        notify(user_id=user_id, type="t", title=f"of {user_id}", message="")
    first, *rows, last = rows_of("7")
    assert (first["user_id"], last) == ("7", {"end": True, "rows": len(rows)})
    assert [row["title"] for row in rows if row["table"] == "notifications"] == ["of 7"]
    with transaction.atomic(using=ALIAS):
        erase(user=SimpleNamespace(pk=7))
        assert stored(database) == ["of 7", "of 8"]  # the site may still roll back
    assert stored(database) == ["of 8"]
    assert rows_of("7")[-1] == {"end": True, "rows": 0}


@pytest.mark.usefixtures("site")
def test_a_rollback_erases_nobody(database: Database) -> None:
    notify(user_id="7", type="t", title="kept", message="")
    with suppress(ZeroDivisionError), transaction.atomic(using=ALIAS):
        erase(user_id="7")
        _ = 1 // 0
    assert stored(database) == ["kept"]
    with database.autocommit() as db:
        assert erasure.pending(db, 10) == []


@pytest.mark.usefixtures("site")
def test_what_a_site_could_not_erase_is_left_to_the_relay(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    notify(user_id="7", type="t", title="gone soon", message="")
    monkeypatch.setattr("shirase.inbox.users.LONGEST", -1.0)
    erase(user_id="7")
    with database.autocommit() as db:
        assert erasure.pending(db, 10) == ["7"]


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("user_id", ["", "a\nb", "x" * 256])
def test_no_invalid_id_is_erased_or_exported(user_id: str) -> None:
    for act in (erase, export):
        with pytest.raises(Invalid):
            act(user_id=user_id)
        with pytest.raises(TypeError):
            act()


def test_a_correct_site_passes_the_checks(site: None) -> None:  # noqa: ARG001
    assert [check.id for check in run_checks(tags=["shirase"])] == []


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"GRIP_URL": None}, "shirase.E001"),
        ({"GRIP_URL": "http://127.0.0.1:1"}, "shirase.E002"),
        ({"GRIP_URL": f"http://127.0.0.1:1?verify-key={KEY}"}, "shirase.E002"),
        ({"SHIRASE": {"SSE_QUEUE_SIZE": "none"}}, "shirase.E003"),
        ({"SHIRASE": {"SSE_QUEUE_SICE": 1}}, "shirase.E003"),
        ({"SHIRASE": {"DATABASE_URL": "sqlite:////x"}}, "shirase.E003"),
        ({"SHIRASE": {"USER_ID": "no.where"}}, "shirase.E003"),
        ({"SHIRASE": {"TOPICS": "no.where"}}, "shirase.E003"),
        ({"GRIP_URL": "http://127.0.0.1:1?key=short"}, "shirase.E003"),
        ({"MIDDLEWARE": [AUTHENTICATION]}, "shirase.E004"),
        ({"MIDDLEWARE": [GRIP]}, "shirase.E005"),
        ({"SHIRASE": {"DATABASE": "nowhere"}}, "shirase.E006"),
        ({"ROOT_URLCONF": NO_URLS}, "shirase.W002"),
        ({"SECURE_SSL_REDIRECT": True}, "shirase.W003"),
        ({"MIDDLEWARE": [GRIP, SESSIONS, AUTHENTICATION, f"{__name__}.sends_to_sign_in"], **COOKIES}, "shirase.W004"),
    ],
)
def test_a_wrong_setting_is_a_check_of_django(wrong: dict[str, Any], expected: str) -> None:
    with override_settings(**wrong):
        ids = [check.id for check in run_checks(tags=["shirase"])]
    assert expected in ids
    assert set(ids) <= {expected, "shirase.W001"}


def test_djangos_own_login_middleware_is_no_hindrance() -> None:
    required = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    with override_settings(MIDDLEWARE=[GRIP, SESSIONS, AUTHENTICATION, required], FORCE_SCRIPT_NAME="/app", **COOKIES):
        assert {check.id for check in run_checks(tags=["shirase"])} <= {"shirase.W001"}


def sends_to_sign_in(get_response: Any) -> Any:
    """A middleware of a site's own."""
    return lambda request: get_response(request) if request.user.is_authenticated else HttpResponseRedirect("/sign-in")


def test_another_database_is_refused() -> None:
    with (
        _Connected({"ENGINE": "django.db.backends.dummy", "NAME": "x"}),
        override_settings(SHIRASE={"DATABASE": ALIAS}),
    ):
        assert "shirase.E007" in [check.id for check in run_checks(tags=["shirase"])]


def test_sqlite_without_its_lock_is_warned_of() -> None:
    assert [check.id for check in run_checks(tags=["shirase"])] == ["shirase.W001"]


def _environ(settings: Settings) -> dict[str, str]:
    return {"DATABASE_URL": settings.database_url, "PUSHPIN_SIG_KEY": settings.pushpin_sig_key}
