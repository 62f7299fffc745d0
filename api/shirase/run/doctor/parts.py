"""Checks of the parts that this machine reaches directly: the database, the control ports, the relay."""

import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from shirase.access.jwks import Jwks
from shirase.addresses import resolve
from shirase.errors import DatabaseUnavailable, DatabaseUnusable, KeysUnavailable
from shirase.proxy.publisher import Publisher
from shirase.run.doctor.findings import TIMEOUT, Check, Failed, Skipped
from shirase.settings import Settings, TokenSettings
from shirase.store import registry
from shirase.store import schema as schemas
from shirase.store.database import Database
from shirase.store.migrate import check_encoding
from shirase.store.sessions import is_behind_pooler, not_in_force
from shirase.variables import EVERY_ADDRESS

BEATS = 6.0  # seconds to wait for a sign of life of a relay, which writes one every second
POLL = 0.2  # seconds between two reads of it

Nodes = dict[str, tuple[datetime, datetime | None]]


class Parts:
    """The checks, and the results that later checks depend on."""

    def __init__(self, settings: Settings, issuer: TokenSettings | None = None) -> None:
        """Prepare, without connecting; ``issuer`` has the address of a key set, if tokens are checked by one."""
        self._settings = settings
        self._issuer = issuer
        self._database = Database(settings.database_url, TIMEOUT, settings.database_schema)
        self._publisher = Publisher(settings)
        self._answers = False
        self.has_schema = False  # a usable one; known after its check
        self._before: Nodes = {}
        self._after: Nodes = {}

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def checks(self) -> list[Check]:
        """Return the checks, each after those it depends on."""
        return [
            ("database", self.database),
            ("session", self.session),
            ("schema", self.schema),
            ("writable", self.writable),
            ("control port", self.control_port),
            ("relay", self.relay),
            ("statistics", self.statistics),
            *([("token keys", self.token_keys)] if self._issuer else []),
        ]

    def clock(self) -> datetime | None:
        """Return the database server's time; ``None`` if it runs in this process."""
        if not self._answers or self._database.engine.dialect.name == "sqlite":
            return None
        with self._autocommit() as db:
            now: datetime = db.execute(text("SELECT clock_timestamp()")).scalar_one()
        return now

    def database(self) -> str:
        """Check that the database answers."""
        dialect = self._database.engine.dialect
        query = "sqlite_version()" if dialect.name == "sqlite" else "split_part(version(), ' ', 2)"
        try:
            with self._database.autocommit() as db:
                release = db.execute(text(f"SELECT {query}")).scalar_one()
                if dialect.name != "sqlite":
                    check_encoding(db)
        except DatabaseUnavailable as exc:
            raise Failed(f"no answer: {_reason(exc.__cause__ or exc)}", "start it, or correct DATABASE_URL") from exc
        except DatabaseUnusable as exc:
            raise Failed(str(exc), "dump it, and restore the dump into a database with this encoding") from exc
        self._answers = True
        return f"{'SQLite' if dialect.name == 'sqlite' else 'PostgreSQL'} {release} answers"

    def session(self) -> str:
        """Check that the timeouts, the isolation level and the schema of our sessions are ours."""
        self._need_database()
        if self._database.engine.dialect.name == "sqlite":
            return "SQLite needs no settings"
        with self._autocommit() as db:
            wrong = not_in_force(db, self._database.sessions.settings)
            through = " through a pooler" if is_behind_pooler(db) else ""
        if wrong:
            fix = "add ?pgbouncer=true to DATABASE_URL if a pooler stands before the database"
            raise Failed(f"not in force: {', '.join(wrong)}", fix)
        return f"timeouts and isolation level are in force{through}"

    def schema(self) -> str:
        """Check that all migrations have been applied."""
        self._need_database()
        try:
            with self._database.autocommit() as db:
                state = schemas.read(db, self._settings.database_schema)
        except (DatabaseUnavailable, SQLAlchemyError) as exc:
            raise Failed(
                f"the schema cannot be read: {_reason(exc.__cause__ or exc)}", "see the database's log"
            ) from exc
        self.has_schema = state.is_usable
        if state.is_newer:
            raise Failed(str(state), "install the release that migrated it here too; until then this one works on it")
        if not state.is_usable:
            raise Failed(str(state), "run `shirase migrate`")
        return str(state)

    def writable(self) -> str:
        """Check that the database accepts a change; it is rolled back."""
        self._need_schema()
        fix = (
            "in PostgreSQL, promote the standby or switch default_transaction_read_only off; for SQLite, make the file"
            " and its directory writable for the service's user, and check the free disk space"
        )
        try:
            with self._database.transaction() as db:
                db.execute(text("UPDATE shirase_database_name SET name = name"))
                db.rollback()
        except (DatabaseUnavailable, SQLAlchemyError) as exc:
            raise Failed(f"the database refuses changes: {_reason(exc.__cause__ or exc)}", fix) from exc
        return "the database accepts changes"

    def control_port(self) -> str:
        """Check that every node's control port answers."""
        for host in _hosts(self._settings.grip_url):
            _require_address(host)
        unreachable = self._publisher.unreachable()
        if unreachable:
            fix = "start Pushpin there, or correct GRIP_URL: `shirase proxy` uses the client port + 2"
            raise Failed(f"no answer from {', '.join(unreachable)}", fix)
        _require_one_node(self._settings.grip_url, "GRIP_URL")
        hosts = "".join(f", by the addresses of {host}" for host in _hosts(self._settings.grip_url))
        return f"answers at {', '.join(self._publisher.nodes)}{hosts}"

    def token_keys(self) -> str:
        """Check that the issuer's key set can be fetched from here."""
        issuer = self._issuer or TokenSettings()
        keys = Jwks(issuer.jwt_jwks_url, issuer.jwt_jwks_timeout, issuer.jwt_jwks_http_hosts)
        try:
            candidates = keys.candidates(None)
        except KeysUnavailable as exc:
            fix = "correct JWT_JWKS_URL; SSL_CERT_FILE or SSL_CERT_DIR names an authority of your own"
            raise Failed(f"the key set cannot be fetched: {keys.failure}", fix) from exc
        return f"{len(candidates)} of {issuer.jwt_jwks_url}"

    def relay(self) -> str:
        """Check that a relay runs, by the sign of life that each writes every second."""
        self._need_schema()
        deadline = time.monotonic() + BEATS
        self._before = self._after = self._nodes()
        while time.monotonic() < deadline:
            time.sleep(POLL)
            self._after = self._nodes()
            if self._changed(0) == self._changed(1) == set(self._publisher.nodes):
                break
        if not self._changed(0):
            fix = "start `shirase relay`; its log has the reason why it ended"
            raise Failed("no relay is running, so events whose publish failed wait", fix)
        return "a relay is running"

    def statistics(self) -> str:
        """Check that a relay receives every node's statistics, which report who is connected."""
        self._need_schema()
        if not self._changed(0):
            raise Skipped("not checked: no relay is running")
        missing = set(self._publisher.nodes) - self._changed(1)
        if missing:
            fix = "set PUSHPIN_STATS_URL to the node's stats_spec, reachable from the relay: `shirase proxy` uses the"
            fix += " client port + 3"
            nodes = ", ".join(sorted(missing))
            raise Failed(f"no relay receives the statistics of {nodes}, so counts and limits are wrong", fix)
        return "a relay receives those of every node"

    def _nodes(self) -> Nodes:
        with self._autocommit() as db:
            return registry.node_checks(db)

    def _changed(self, which: int) -> set[str]:
        """Return the nodes whose times changed meanwhile, so that the relay's clock does not matter."""
        never = (None, None)
        return {
            name
            for name in self._publisher.nodes
            if self._after.get(name, never)[which] != self._before.get(name, never)[which]
        }

    def _need_database(self) -> None:
        if not self._answers:
            raise Skipped("not checked: the database does not answer")

    def _need_schema(self) -> None:
        self._need_database()
        if not self.has_schema:
            raise Skipped("not checked: the schema is not up to date")

    @contextmanager
    def _autocommit(self) -> Iterator[Connection]:
        try:
            with self._database.autocommit() as db:
                yield db
        except DatabaseUnavailable as exc:
            raise Skipped("not checked: the database stopped answering") from exc


def _reason(error: BaseException | None) -> str:
    """Return the first line of the database's own message."""
    message = str(getattr(error, "orig", error)).strip()
    return message.splitlines()[0] if message else "no reason given"


def _require_one_node(urls: Sequence[str], setting: str) -> None:
    """Fail if a name has several addresses: an event is sent to one of them, and the other nodes would get it late."""
    for url in urls:
        host = urlsplit(url).hostname or ""
        if url.startswith(EVERY_ADDRESS):
            continue
        with suppress(socket.gaierror):
            families = Counter(family for family, _ in resolve(host))
            if (most := max(families.values())) > 1:
                what = f"{host} in {setting} has {most} addresses, and events are sent to one of them alone"
                fix = "give each Pushpin node a name or an address of its own, separated by spaces; or write"
                raise Failed(what, f"{fix} {EVERY_ADDRESS}{url} if each of these addresses is a node")


def _hosts(urls: Sequence[str]) -> list[str]:
    """The hosts whose every address is a node."""
    return [urlsplit(url).hostname or "" for url in urls if url.startswith(EVERY_ADDRESS)]


def _require_address(host: str) -> None:
    try:
        resolve(host)
    except socket.gaierror as exc:
        fix = "start a node; the resolver must name it here"
        raise Failed(f"{host} in GRIP_URL has no address: {exc.strerror}, so events wait", fix) from exc
