"""The usual design, with which Shirase is compared.

FastAPI, one asyncio queue per connection, SQLAlchemy's async session on asyncpg, one uvicorn process. There is no log:
events are lost while a client is disconnected, and queues are lost in a restart. There can be no second process,
because each has only its own queues.
"""

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import jwt
from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import JSON, DateTime, String, Text, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

HEARTBEAT = 30  # seconds

engine = create_async_engine(os.environ["DATABASE_URL"])
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """The base of the tables."""


class Notification(Base):
    """A stored notification."""

    __tablename__ = "notifications"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(String(255), index=True)
    type: Mapped[str] = mapped_column(String(100))
    title: Mapped[str] = mapped_column(String(200))
    message: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    is_read: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=lambda: datetime.now(UTC))


class New(BaseModel):
    """A notification to create."""

    user_id: str = Field(min_length=1, max_length=255)
    type: str = Field(min_length=1, max_length=100)
    title: str = Field(min_length=1, max_length=200)
    message: str = Field(max_length=4000)
    payload: dict[str, Any] = {}


class View(New):
    """A notification as it is returned."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    is_read: bool
    created_at: datetime


class Connections:
    """A queue for each open stream."""

    def __init__(self) -> None:
        self._of_user: dict[str, set[asyncio.Queue[str]]] = defaultdict(set)

    def open(self, user_id: str) -> "asyncio.Queue[str]":
        """Add a stream of the user."""
        queue: asyncio.Queue[str] = asyncio.Queue(maxsize=100)
        self._of_user[user_id].add(queue)
        return queue

    def close(self, user_id: str, queue: "asyncio.Queue[str]") -> None:
        """Remove the stream."""
        self._of_user[user_id].discard(queue)
        if not self._of_user[user_id]:
            del self._of_user[user_id]

    def send(self, user_id: str, text: str) -> None:
        """Send to every open stream of the user whose queue is not full."""
        for queue in self._of_user.get(user_id, ()):
            if not queue.full():
                queue.put_nowait(text)


connections = Connections()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Create the tables."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def caller(authorization: Annotated[str, Header()]) -> str:
    """Return the caller's user id."""
    try:
        claims = jwt.decode(authorization.removeprefix("Bearer "), os.environ["JWT_SECRET"], algorithms=["HS256"])
    except jwt.PyJWTError as exc:
        raise HTTPException(401) from exc
    return str(claims["sub"])


async def session() -> AsyncIterator[AsyncSession]:
    """Open a session per request."""
    async with sessions() as opened:
        yield opened


Caller = Annotated[str, Depends(caller)]
Session = Annotated[AsyncSession, Depends(session)]


@app.post("/api/notifications", status_code=201)
async def create(new: New, _: Caller, database: Session) -> View:
    """Store a notification and send it to the open streams."""
    notification = Notification(**new.model_dump())
    database.add(notification)
    await database.commit()
    await database.refresh(notification)
    view = View.model_validate(notification)
    connections.send(new.user_id, f"event: notification\nid: {view.id}\ndata: {view.model_dump_json()}\n\n")
    return view


@app.get("/api/sse/notifications")
async def stream(user_id: Caller, database: Session) -> StreamingResponse:
    """Hold a stream open."""
    unread = await database.scalar(
        select(func.count()).where(Notification.user_id == user_id, Notification.is_read.is_(False))
    )
    await database.close()  # a held stream must not hold a connection to the database
    queue = connections.open(user_id)

    async def events() -> AsyncIterator[str]:
        try:
            greeting = {"user_id": user_id, "status": "connected", "unread_count": unread}
            yield f"event: connected\ndata: {json.dumps(greeting)}\n\n"
            while True:
                try:
                    yield await asyncio.wait_for(queue.get(), HEARTBEAT)
                except TimeoutError:
                    yield 'event: heartbeat\ndata: {"type":"heartbeat"}\n\n'
        finally:
            connections.close(user_id, queue)

    return StreamingResponse(events(), media_type="text/event-stream")
