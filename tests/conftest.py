"""Fresh databases for each test, and an application on one of them."""

import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import hypothesis
import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from shirase.access import tokens
from shirase.flask.app import create_app
from shirase.settings import Settings
from shirase.store.database import Database
from shirase.store.migrate import migrate
from tests.support.contract import Contract
from tests.support.postgres import Cluster, cluster

pytest_plugins = ["tests.support.fragile"]  # complete services, for every folder

TEMPLATE = "shirase_template"
REFUSED = "http://127.0.0.1:1"  # a control port that nothing listens on

# The same examples in every run, so that failures are reproducible. No deadline: a busy machine is not a defect.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.load_profile("same")

MakeDatabase = Callable[[str], AbstractContextManager[str]]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    with cluster() as running:
        migrate(running.create(TEMPLATE))
        yield running


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "shirase.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def make_database(
    request: pytest.FixtureRequest, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> MakeDatabase:
    """Return a factory of migrated databases, each of which rejects the cursors of the others."""

    @contextmanager
    def make(kind: str) -> Iterator[str]:
        name = f"test_{secrets.token_hex(6)}"
        if kind == "sqlite":
            path = tmp_path_factory.mktemp("database") / "shirase.db"
            shutil.copy(sqlite_template, path)
            _rename(f"sqlite:///{path}")
            yield f"sqlite:///{path}"
        else:
            running: Cluster = request.getfixturevalue("postgres")
            url = running.create(name, TEMPLATE)
            _rename(url)
            yield url
            running.drop(name)

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, make_database: MakeDatabase) -> Iterator[str]:
    with make_database(request.param) as url:
        yield url


@pytest.fixture
def sqlite_url(make_database: MakeDatabase) -> Iterator[str]:
    with make_database("sqlite") as url:
        yield url


@pytest.fixture
def postgres_url(make_database: MakeDatabase) -> Iterator[str]:
    with make_database("postgresql") as url:
        yield url


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(
        database_url=database_url,
        grip_url=(REFUSED,),
        pushpin_sig_key=secrets.token_hex(32),
        jwt_secret=secrets.token_hex(32),
    )


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.database_url)
    yield opened
    opened.close()


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """An application; a test fails if one of its answers differs from the OpenAPI document."""
    made = create_app(settings)
    contract = made.extensions["contract"] = Contract(made)
    made.after_request(contract.check)
    yield made
    made.extensions["shirase"].database.close()
    assert contract.broken == []


@pytest.fixture
def contract(app: Flask) -> Contract:
    seen: Contract = app.extensions["contract"]
    return seen


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def token(settings: Settings) -> Callable[..., str]:
    """Return a function that signs tokens: ``token("42", scope="notifications:write")``."""

    def sign(user_id: str, scope: str = "") -> str:
        return tokens.mint(settings, user_id, scope=scope)

    return sign


@pytest.fixture
def signed(settings: Settings) -> dict[str, str]:
    """The header that authenticates the proxy."""
    claims = {"iss": "pushpin", "exp": int(time.time()) + 3600}
    return {"Grip-Sig": jwt.encode(claims, settings.pushpin_sig_key, algorithm="HS256")}


def _rename(url: str) -> None:
    database = Database(url)
    with database.transaction() as db:
        db.execute(text("UPDATE shirase_database_name SET name = :name"), {"name": secrets.token_hex(16)})
    database.close()
