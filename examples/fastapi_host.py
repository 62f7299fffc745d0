"""A FastAPI application that schedules interviews and notifies the candidates, behind the proxy of `shirase up`.

    .venv/bin/pip install "shirase[fastapi]" asyncpg aiosqlite python-multipart uvicorn
    .venv/bin/shirase up --demo --route /meetings/=127.0.0.1:8300 --inbox /meetings/inbox/
    set -a; . var/shirase.env; set +a  # where the proxy and the database are, in another terminal
    .venv/bin/python -m examples.fastapi_host  # makes the application's own table
    .venv/bin/uvicorn --factory examples.fastapi_host:create_app --port 8300

Then open http://127.0.0.1:7999/meetings/?user=aiko, sign in as others in other browsers, and schedule something.
"""

import asyncio
import os
from html import escape
from typing import Annotated

from fastapi import FastAPI, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.middleware.sessions import SessionMiddleware

from shirase.fastapi import Notifier, notify, router
from shirase.settings import Settings

DRIVERS = {"postgresql": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}
PAGE = """<!doctype html><title>Interviews</title><p>Signed in as {user}</p>
<form method="post" action="/meetings/interviews"><input name="candidate" placeholder="candidate" required>
<input name="title" placeholder="title" required> <button>Schedule</button></form><ul id="events"></ul><script>
const stream = new EventSource("/meetings/inbox/api/sse/notifications");
for (const name of ["connected", "notification", "read", "deleted", "reset", "closing"])
  stream.addEventListener(name, (event) => {{
    const line = document.createElement("li"); line.textContent = `${{name}} ${{event.data}}`;
    document.getElementById("events").append(line); }});
</script>"""


class Base(DeclarativeBase):
    """The application's own tables, beside those of Shirase."""


class Meeting(Base):
    """An interview of a candidate."""

    __tablename__ = "meetings"
    id: Mapped[int] = mapped_column(primary_key=True)
    candidate: Mapped[str]
    title: Mapped[str]


def current_user(request: Request) -> str | None:
    """The signed-in user: a dependency like that of any other route."""
    user: str | None = request.session.get("user")
    return user


def create_app() -> FastAPI:
    """The application, with the stream and the inbox of the signed-in user below /meetings/inbox."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key=os.environ.get("SECRET_KEY", "only for this example, on loopback"))
    sessions = async_sessionmaker(create_engine())
    settings = Settings.from_env(os.environ, tokens=False)
    Notifier(settings).attach(sessions)
    app.include_router(router(settings, identify=current_user), prefix="/meetings/inbox")

    @app.get("/meetings/")
    async def home(request: Request, user: str | None = None) -> HTMLResponse:
        request.session["user"] = user or current_user(request) or "nobody"  # a real one asks for a password
        return HTMLResponse(PAGE.format(user=escape(request.session["user"])))

    @app.post("/meetings/interviews")
    async def schedule(candidate: Annotated[str, Form()], title: Annotated[str, Form()]) -> RedirectResponse:
        async with sessions.begin() as session:  # both exist, or neither
            session.add(Meeting(candidate=candidate, title=title))
            await notify(session, user_id=candidate, type="interview.scheduled", title=title, message="")
        return RedirectResponse("/meetings/", status_code=302)

    return app


def create_engine() -> AsyncEngine:
    """An engine of the application's own, with an asynchronous driver."""
    url = make_url(os.environ["DATABASE_URL"])
    return create_async_engine(url.set(drivername=DRIVERS[url.get_backend_name()]))


async def create_tables() -> None:
    """Make the application's own table."""
    engine = create_engine()
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(create_tables())
