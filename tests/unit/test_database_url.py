"""``DATABASE_URL`` as environments hold it works, or is refused in one line that names it and no secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shirase import database_url
from shirase.errors import SettingsError
from shirase.variables import schema_name

SECRET = "hunter2"
WORKS = {
    "postgresql://u:hunter2@h/n": "postgresql+psycopg://u:hunter2@h/n",
    "postgres://u:hunter2@h:/n": "postgresql+psycopg://u:hunter2@h/n",
    "postgresql+psycopg2://u:hunter2@h:5433/n": "postgresql+psycopg://u:hunter2@h:5433/n",
    "postgresql+asyncpg://u:hunter2@h/n?ssl=require": "postgresql+psycopg://u:hunter2@h/n?sslmode=require",
    "postgresql://u:hunter2@h/n?ssl=true": "postgresql+psycopg://u:hunter2@h/n?sslmode=require",
    "postgresql://u:hunter2@h/n?ssl=false": "postgresql+psycopg://u:hunter2@h/n?sslmode=disable",
    "postgresql://u:hunter2@h/n?sslmode=no-verify": "postgresql+psycopg://u:hunter2@h/n?sslmode=require",
    "postgresql://u:hunter2@h/n?connect_timeout=3": "postgresql+psycopg://u:hunter2@h/n?connect_timeout=3",
    "postgresql://u:hunter2@h/n?schema=app": "postgresql+psycopg://u:hunter2@h/n",
    "postgresql://u:hunter2@h/n?pgbouncer=true&connection_limit=1": "postgresql+psycopg://u:hunter2@h/n",
    "postgresql://u:hunt@er2@h/n": "postgresql+psycopg://u:hunt%40er2@h/n",
    "postgresql://u@[::1]:5433/n": "postgresql+psycopg://u@[::1]:5433/n",
    " postgresql://h/n\n": "postgresql+psycopg://h/n",
    "sqlite:////a/x y.db": "sqlite:////a/x y.db",
    "sqlite:///x.db": "sqlite:///x.db",
}
SEVERAL = [
    "postgresql://u@h1:5432,h2:5433/n",
    "postgresql://u@h1,h2:5433/n",
    "postgresql://u@/n?host=h1:5432&host=h2:5433",
    "postgresql://u@/n?host=h1,h2&port=5432,5433",
]
REFUSED = {
    "": "must be sqlite",
    "hunter2": "must be sqlite",
    "mysql://u:hunter2@h/n": "must be sqlite",
    "jdbc:postgresql://u:hunter2@h/n": "must be sqlite",
    '"postgresql://u:hunter2@h/n"': "must be sqlite",
    "sqlite://": "must be sqlite",
    "sqlite:///:memory:": "must be sqlite",
    "sqlite:///x.db?mode=ro": "the parameter 'mode'",
    "postgresql://u:hunter2@h:port/n": "a port that is not a number",
    "postgresql://u:hunter2@h:99999/n": "a port that is not a number",
    "postgresql://u:hunter2/@h/n": "write @ as %40",
    "postgresql://u:12/hunter2@h/n": "write @ as %40",
    "postgresql://u:12?hunter2@h/n": "write @ as %40",
    "postgresql://u:12#hunter2@h/n": "write @ as %40",
    "postgresql://u:hunter2 @h/n": "a space",
    "postgresql://u:hunter2@h/n?sslmode=on": "the parameter 'sslmode' must be one of disable",
    "postgresql://u:hunter2@h/n?ssl=maybe": "the parameter 'ssl' must be one of disable",
    "postgresql://u:hunter2@h/n?sslmode=require&ssl=true": "the parameter 'sslmode' twice",
    "postgresql://u:hunter2@h/n?pool_size=5": "the parameter 'pool_size' is not known",
    "postgresql://u:hunter2@h/n?connection_limit=0": "the parameter 'connection_limit'",
    "postgresql://u:hunter2@h/n?pgbouncer=yes": "the parameter 'pgbouncer'",
    "postgresql://u:hunter2@h/n?schema=My%20App": "the parameter 'schema'",
    "postgresql://u:hunter2@h/n?host=h2": "names hosts both",
    "postgresql://u:hunter2@h1,h2/n?port=1,2,3": "the parameter 'port'",
}


@pytest.mark.parametrize(("given_url", "url"), WORKS.items())
def test_what_environments_hold_works(given_url: str, url: str) -> None:
    assert database_url.read(given_url).url.render_as_string(hide_password=False) == url


@pytest.mark.parametrize("several", SEVERAL)
def test_of_several_hosts_the_one_that_takes_writes_is_chosen(several: str) -> None:
    query = dict(database_url.read(several).url.query)
    assert query.pop("port") == "5432,5433"
    assert query == {"host": "h1,h2", "target_session_attrs": "read-write"}


@pytest.mark.parametrize(("given_url", "reason"), REFUSED.items())
def test_what_cannot_work_is_named_without_a_secret(given_url: str, reason: str) -> None:
    with pytest.raises(SettingsError) as refused:
        database_url.read(given_url)
    message = str(refused.value)
    assert message.startswith("DATABASE_URL: ")
    assert reason in message
    assert SECRET not in message
    assert "\n" not in message


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(rest: str) -> None:
    for text in (rest, f"postgresql://{rest}", f"postgresql://u:p@h/n?{rest}", f"sqlite://{rest}"):
        try:
            database_url.read(text)
        except SettingsError as exc:
            assert "\n" not in str(exc)  # noqa: PT017 - either is right


def test_parameters_set_how_the_database_is_used() -> None:
    read = database_url.read("postgresql://h/n?pgbouncer=true&connection_limit=3&schema=app")
    assert (read.behind_pooler, read.connection_limit, read.schema) == (True, 3, "app")
    assert database_url.read("postgresql://h/n?statement_cache_size=0").behind_pooler


def test_a_schema_is_named_by_the_url_or_the_setting() -> None:
    assert schema_name({"DATABASE_URL": "postgresql://h/n?schema=app"}) == "app"
    assert schema_name({"DATABASE_URL": "postgresql://h/n?schema=app", "DATABASE_SCHEMA": "app"}) == "app"
    with pytest.raises(SettingsError, match="DATABASE_SCHEMA"):
        schema_name({"DATABASE_URL": "postgresql://h/n?schema=app", "DATABASE_SCHEMA": "other"})
