"""The parts that a command on this machine can ask by themselves: the database, the control ports, the relay."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from shirase.errors import DatabaseUnavailable
from shirase.proxy.publisher import Publisher
from shirase.run.doctor.findings import Check, Failed, Skipped
from shirase.settings import Settings
from shirase.store import registry
from shirase.store.database import Database, versions

TIMEOUT = 5.0  # seconds that the database may take
BEATS = 6.0  # seconds in which a relay must be seen at work: it notes that it is there every second
LOOK = 0.2  # seconds between two looks for that

Nodes = dict[str, tuple[datetime, datetime | None]]


class Parts:
    """What is asked, and what was found that later checks go by."""

    def __init__(self, settings: Settings) -> None:
        """Prepare, without connecting."""
        self._settings = settings
        self._database = Database(settings.database_url, TIMEOUT, settings.database_schema)
        self._publisher = Publisher(settings)
        self._answers = False
        self._current = False  # the schema
        self._before: Nodes = {}
        self._after: Nodes = {}

    def close(self) -> None:
        """Give the connections back."""
        self._database.close()

    def checks(self) -> list[Check]:
        """In the order in which they make sense."""
        return [
            ("database", self.database),
            ("schema", self.schema),
            ("writable", self.writable),
            ("control port", self.control_port),
            ("relay", self.relay),
            ("statistics", self.statistics),
        ]

    def clock(self) -> datetime | None:
        """The time at the database's machine, if it has one of its own."""
        if not self._answers or self._database.engine.dialect.name == "sqlite":
            return None
        with self._asked() as db:
            now: datetime = db.execute(text("SELECT clock_timestamp()")).scalar_one()
        return now

    def database(self) -> str:
        """Whether it answers."""
        dialect = self._database.engine.dialect
        query = "sqlite_version()" if dialect.name == "sqlite" else "split_part(version(), ' ', 2)"
        try:
            with self._database.autocommit() as db:
                release = db.execute(text(f"SELECT {query}")).scalar_one()
        except DatabaseUnavailable as exc:
            raise Failed(f"no answer: {_reason(exc.__cause__)}", "start it, or correct DATABASE_URL") from exc
        self._answers = True
        return f"{'SQLite' if dialect.name == 'sqlite' else 'PostgreSQL'} {release} answers"

    def schema(self) -> str:
        """Whether the migrations were run, all of them."""
        self._need_database()
        try:
            current, newest = versions(self._settings.database_url, self._settings.database_schema)
        except SQLAlchemyError as exc:
            raise Failed(f"it cannot be read: {_reason(exc)}", "look at the database's log") from exc
        if current != newest:
            raise Failed(f"it is at {current or 'nothing'}, and the newest is {newest}", "shirase migrate")
        self._current = True
        return f"is the newest, {current}"

    def writable(self) -> str:
        """Whether a change is taken; it is rolled back."""
        self._need_schema()
        mend = (
            "let go of the standby or of default_transaction_read_only in PostgreSQL; for SQLite make the file and its"
            " directory writable for the service's user, and look at the free space"
        )
        try:
            with self._database.transaction() as db:
                db.execute(text("UPDATE shirase_database_name SET name = name"))
                db.rollback()
        except (DatabaseUnavailable, SQLAlchemyError) as exc:
            raise Failed(f"it refuses a change: {_reason(exc.__cause__ or exc)}", mend) from exc
        return "a change is taken"

    def control_port(self) -> str:
        """Whether every node can be published to."""
        away = self._publisher.unreachable()
        if away:
            mend = "start Pushpin there, or correct GRIP_URL: by `shirase proxy` it is two ports above the clients' one"
            raise Failed(f"no answer from {', '.join(away)}", mend)
        return f"{', '.join(self._publisher.nodes)} answers"

    def relay(self) -> str:
        """Whether some relay is at work, by the note that each leaves every second."""
        self._need_schema()
        deadline = time.monotonic() + BEATS
        self._before = self._after = self._nodes()
        while time.monotonic() < deadline:
            time.sleep(LOOK)
            self._after = self._nodes()
            if self._noted(0) == self._noted(1) == set(self._publisher.nodes):
                break
        if not self._noted(0):
            mend = "start `shirase relay`; its log says why it ended"
            raise Failed("no relay is at work: what a failed publish leaves behind waits", mend)
        return "is at work"

    def statistics(self) -> str:
        """Whether a relay hears every node say who is connected."""
        self._need_schema()
        if not self._noted(0):
            raise Skipped("not looked at: no relay is at work")
        deaf = set(self._publisher.nodes) - self._noted(1)
        if deaf:
            mend = "PUSHPIN_STATS_URL must name the node's stats_spec, reachable from the relay: by `shirase proxy` it"
            mend += " is three ports above the clients' one"
            raise Failed(f"no relay hears {', '.join(sorted(deaf))}, so counts and limits go wrong", mend)
        return "a relay hears every node"

    def _nodes(self) -> Nodes:
        with self._asked() as db:
            return registry.nodes_heard(db)

    def _noted(self, which: int) -> set[str]:
        """The nodes whose times changed while we looked: so it does not matter what the relay's clock says."""
        never = (None, None)
        return {
            name
            for name in self._publisher.nodes
            if self._after.get(name, never)[which] != self._before.get(name, never)[which]
        }

    def _need_database(self) -> None:
        if not self._answers:
            raise Skipped("not looked at: the database does not answer")

    def _need_schema(self) -> None:
        self._need_database()
        if not self._current:
            raise Skipped("not looked at: the schema is not the newest")

    @contextmanager
    def _asked(self) -> Iterator[Connection]:
        try:
            with self._database.autocommit() as db:
                yield db
        except DatabaseUnavailable as exc:
            raise Skipped("not looked at: the database does not answer any more") from exc


def _reason(error: BaseException | None) -> str:
    """The first line of what the database itself says."""
    said = str(getattr(error, "orig", error)).strip()
    return said.splitlines()[0] if said else "no reason given"
