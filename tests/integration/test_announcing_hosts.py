"""Applications announce in their own transactions, and name the topics of who is signed in."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from shirase.access.tokens import Identity
from shirase.errors import Invalid, SettingsError
from shirase.fastapi import announce as announce_async
from shirase.fastapi import router
from shirase.flask.app import create_blueprint
from shirase.inbox import announcements, inbox
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.sqlalchemy import Notifier, announce
from shirase.starlette import routes
from shirase.store import announcements as store
from shirase.store import keyed
from shirase.store.database import Database, parse_url
from shirase.types import EVERYONE, Draft
from tests.integration.test_fastapi import Client, in_fastapi
from tests.support.content import content
from tests.support.loop_thread import run_async

FIELDS: dict[str, Any] = {"type": "a.b", "title": "T", "message": "M"}
TOPICS = {"aiko": ["team:a"], "ben": "team:b team:c", "cy": None}
LIST = "/inbox/api/notifications"


@pytest.fixture
def sessions(settings: Settings) -> Iterator[sessionmaker[Session]]:
    engine = create_engine(parse_url(settings.database_url).url)
    notifier = Notifier(settings)
    made = sessionmaker(engine)
    notifier.attach(made)
    yield made
    notifier.close()
    engine.dispose()


def know(database: Database, *users: str) -> None:
    with database.transaction() as db:
        keyed.lock(db, sorted(users))


def titles(database: Database, settings: Settings, user: str = "42") -> list[str]:
    at = announcements.arrive(database, Publisher(settings), user, None)
    return [notification.content.title for notification in inbox.page(database, user, limit=9, at=at)[0]]


def test_an_announcement_exists_with_the_commit_alone(
    sessions: sessionmaker[Session], database: Database, settings: Settings
) -> None:
    know(database, "42")
    with suppress(ZeroDivisionError), sessions.begin() as session:
        announce(session, **FIELDS)
        raise ZeroDivisionError
    with sessions.begin() as session:
        with suppress(ZeroDivisionError), session.begin_nested():
            announce(session, **FIELDS | {"title": "nested"})
            raise ZeroDivisionError
        made = announce(session, topic=EVERYONE, for_newcomers=True, **FIELDS | {"title": "committed"})
        assert (made.topic, made.for_newcomers, made.reached) == (EVERYONE, True, 0)
    assert titles(database, settings) == titles(database, settings, "new") == ["committed"]
    result, _ = announcements.find(database, made.id)
    assert result.reached == 2


def test_a_wrong_field_is_named(sessions: sessionmaker[Session]) -> None:
    with sessions() as session, pytest.raises(Invalid) as caught:
        announce(session, topic="a b", **FIELDS)
    assert [error.field for error in caught.value.errors] == ["topic"]


@pytest.mark.parametrize("driver", ["sqlite+aiosqlite", "postgresql+asyncpg", "postgresql+psycopg"])
def test_an_async_session_announces(driver: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("sqlite_url" if driver.startswith("sqlite") else "postgres_url")
    settings = Settings(database_url=url, grip_url=("http://127.0.0.1:1",), pushpin_sig_key="k" * 32)
    database = Database(url)
    know(database, "42")

    async def make() -> None:
        engine = create_async_engine(parse_url(url).url.set(drivername=driver))
        notifier = Notifier(settings)
        factory = async_sessionmaker(engine)
        notifier.attach(factory)
        async with factory.begin() as session:
            await announce_async(session, key="k", **FIELDS)
        notifier.close()
        await engine.dispose()

    run_async(make())
    assert titles(database, settings) == ["T"]
    database.close()


# --- topics of who is signed in


@pytest.fixture
def made(sqlite_url: str) -> Settings:
    """Three users, and an announcement to each of two topics. The database does not matter here."""
    settings = Settings(
        database_url=sqlite_url, grip_url=("http://127.0.0.1:1",), pushpin_sig_key="k" * 32, jwt_secret="s" * 32
    )
    database = Database(sqlite_url)
    know(database, *TOPICS)
    for topic in ("team:a", "team:b"):
        with database.transaction() as db:
            store.add(db, topic, Draft("", content(title=topic)), datetime.now(UTC), for_newcomers=False)
    database.close()
    return settings


def shown(get: Callable[..., Any], user: str) -> list[str]:
    answer = get(LIST, headers={"X-User": user})
    result = answer.json if isinstance(answer.json, dict) else answer.json()
    return [notification["title"] for notification in result["notifications"]]


def check(get: Callable[..., Any]) -> None:
    assert {user: shown(get, user) for user in TOPICS} == {"aiko": ["team:a"], "ben": ["team:b"], "cy": []}


def test_a_flask_host_names_topics(made: Settings) -> None:
    app = Flask("host")
    blueprint = create_blueprint(
        made,
        identify=lambda request: request.headers.get("X-User"),
        topics=lambda request: TOPICS[request.headers["X-User"]],
    )
    app.register_blueprint(blueprint, url_prefix="/inbox")
    assert app.test_client().get(LIST).status_code == 401
    check(app.test_client().get)
    app.extensions["shirase"].database.close()


async def by_coroutine(request: Request) -> Any:
    return TOPICS[request.headers["X-User"]]


def by_function(request: Request) -> Any:
    return TOPICS[request.headers["X-User"]]


def signed_in(request):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    return request.headers.get("X-User")


@pytest.mark.parametrize("topics", [by_coroutine, by_function])
@pytest.mark.parametrize("kind", ["fastapi", "starlette"])
def test_an_asgi_host_names_topics(
    made: Settings, kind: str, topics: Callable[[Request], Any | Awaitable[Any]]
) -> None:
    if kind == "fastapi":
        client = Client(in_fastapi(made, signed_in, topics=topics))
    else:
        client = Client(Starlette(routes=[Mount("/inbox", routes=routes(made, identify=signed_in, topics=topics))]))
    assert client.get(LIST).status_code == 401
    check(client.get)


def test_an_identity_may_carry_topics(made: Settings) -> None:
    app = Flask("host")
    identity = Identity("aiko", topics=frozenset({"team:b"}))
    app.register_blueprint(create_blueprint(made, identify=lambda _: identity), url_prefix="/inbox")
    assert shown(app.test_client().get, "aiko") == ["team:b"]
    app.extensions["shirase"].database.close()


@pytest.mark.parametrize("mount", [create_blueprint, router, routes])
def test_routes_that_nobody_could_use_are_not_mounted(mount: Callable[..., Any], settings: Settings) -> None:
    with pytest.raises(SettingsError, match="identify="):
        mount(replace(settings, jwt_secret=""))
    with pytest.raises(TypeError, match="topics="):
        mount(settings, topics=lambda _: ["team:a"])
