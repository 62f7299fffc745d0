"""Checks of the path that clients take: through the proxy to the handlers and back, and one real event."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx

from shirase import tls
from shirase.inbox.streams import NEXT_PATH
from shirase.run.doctor.files import file_limit
from shirase.run.doctor.findings import Check, Failed, Skipped
from shirase.run.doctor.stream import PATH, Stream
from shirase.web.problems import CONTENT_TYPE

TIMEOUT = 5.0  # seconds to wait for an answer, and for a stream's first event
ARRIVAL = 10.0  # seconds to wait for a real event
MOST_SKEW = 5.0  # seconds; tokens and signatures allow ten
FEWEST_FILES = 10_000  # a stream is an open file; with 1,024 the 990th hangs
TYPE = "shirase.doctor"
# A forged recovery: the proxy forwards this spelling, and several servers treat it as Grip-Last.
FORGED = {"Grip_Last": "u-ZG9jdG9y; last-id=0, c-0; last-id=0"}

UNAVAILABLE = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)


class ClientPath:
    """The checks; each depends on the results of those before it."""

    def __init__(
        self, url: str, token: str, database_clock: Callable[[], datetime | None], inboxes: Sequence[str] = ()
    ) -> None:
        """Prepare, without connecting.

        Args:
            url: the address that clients use.
            token: of a user with the scope to create notifications, who receives one.
            database_clock: the time at the database.
            inboxes: where applications have mounted the routes, below that address.
        """
        self._url = url.rstrip("/")
        self._token = token
        self._database_clock = database_clock
        self._inboxes = inboxes
        self._http = httpx.Client(
            timeout=TIMEOUT,
            trust_env=False,
            verify=tls.context(),
            headers={"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"},
        )
        self._health: httpx.Response | None = None
        self._signed = False
        self._stream = Stream(f"{self._url}{PATH}", token)

    def close(self) -> None:
        """Close the stream and the connections."""
        self._stream.close()
        self._http.close()

    def checks(self) -> list[Check]:
        """Return the checks, each after those it depends on."""
        return [
            ("route", self.route),
            ("clocks", self.clocks),
            ("signing key", self.signing_key),
            ("file limit", self.files),
            ("buffering", self.buffering),
            ("event", self.event),
            *(("inbox", partial(self.inbox, prefix)) for prefix in self._inboxes),
        ]

    def inbox(self, prefix: str) -> str:
        """Check that no guard of an application answers in place of its inbox."""
        for path, status, whom in (
            (NEXT_PATH, HTTPStatus.FORBIDDEN, "the proxy, whose streams stop receiving events"),
            ("/api/notifications", HTTPStatus.UNAUTHORIZED, "clients that are not signed in"),
        ):
            try:
                answer = self._http.get(f"{self._url}{prefix}{path}", headers={"Authorization": "", **FORGED})
            except httpx.HTTPError as exc:
                raise Failed(f"{prefix}{path} does not answer: {exc}", "start the application") from exc
            if answer.status_code in UNAVAILABLE:
                what = (
                    f"{prefix}{path} is answered with {answer.status_code}: the application behind it does not answer"
                )
                raise Failed(what, "start the application, and check the address in the --route that leads to it")
            if answer.status_code == HTTPStatus.NOT_FOUND:
                what = f"{prefix}{path} does not exist: no application has mounted the routes at {prefix}"
                raise Failed(what, "pass the prefix of the application's inbox as --inbox")
            if answer.status_code != status or answer.headers.get("Content-Type") != CONTENT_TYPE:
                what = f"{prefix}{path} answers {whom}, with {answer.status_code} instead of {status.value} in JSON"
                fix = f"let requests for {prefix}/api/ pass whatever guards the application, and route the proxy there"
                raise Failed(what, fix)
        return f"{prefix} is answered by the mounted routes"

    def route(self) -> str:
        """Check that the address leads to the proxy, and from there to the handlers."""
        fix = "start Pushpin, or pass the address that clients use as --url or SHIRASE_URL"
        try:
            answer = self._http.get(f"{self._url}/healthz")
        except httpx.HTTPError as exc:
            raise Failed(f"{self._url} does not answer: {exc}", fix) from exc
        if answer.status_code != HTTPStatus.OK or not _is_ours(answer):
            what = f"{self._url}/healthz is answered with {answer.status_code}, but not by Shirase's handlers"
            raise Failed(what, "route the proxy to the handlers (`shirase proxy --origin HOST:PORT`), and start them")
        self._health = answer
        return f"{self._url} leads to the handlers"

    def clocks(self) -> str:
        """Check that the clocks of this machine, the handlers and the database agree."""
        there = {}
        if self._health and "Date" in self._health.headers:
            there["the handlers'"] = parsedate_to_datetime(self._health.headers["Date"])
        if at := self._database_clock():
            there["the database's"] = at
        if not there:
            raise Skipped("not checked: neither the handlers nor the database report their time")
        now = datetime.now(UTC)
        off = [f"{clock} is {(at - now).total_seconds():+.0f} s off" for clock, at in there.items() if _far(at, now)]
        if off:
            raise Failed(
                f"compared with this machine's clock, {' and '.join(off)}", "run `timedatectl set-ntp true` on each"
            )
        return f"{' and '.join(there)} and this machine's agree"

    def signing_key(self) -> str:
        """Check that the handlers accept the proxy's signature, and nothing else in its place."""
        self._need_route()
        try:
            # A cursor of no log, so that the response is a reset and is not held.
            answer = self._http.get(f"{self._url}/api/notifications/poll", params={"after": "x", "timeout": "1"})
            forged = self._http.get(f"{self._url}{NEXT_PATH}", headers=FORGED)
        except httpx.HTTPError as exc:
            raise Failed(f"a poll is not answered: {exc}", "see the handlers' log") from exc
        if answer.status_code == HTTPStatus.NOT_IMPLEMENTED:
            fix = "set the same PUSHPIN_SIG_KEY for the proxy and the handlers, and restart both"
            raise Failed("the handlers do not accept the proxy's signature", fix)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            fix = "run this with the handlers' JWT settings, or pass a token as --token"
            raise Failed(f"the handlers do not accept this token: {_detail(answer)}", fix)
        if not answer.is_success:
            raise Failed(f"a poll is answered with {answer.status_code}: {_detail(answer)}", "see the handlers' log")
        if forged.status_code != HTTPStatus.FORBIDDEN:
            what = f"a recovery that a client forged is answered with {forged.status_code} instead of 403"
            raise Failed(what, "route the proxy to this version's handlers, and to nothing that answers in their place")
        self._signed = True
        return "the handlers accept the proxy's signature, and no forged recovery"

    def files(self) -> str:
        """Check that the proxy may hold many streams open."""
        address = urlsplit(self._url)
        limit = file_limit(address.port or (443 if address.scheme == "https" else 80))
        if limit is None:
            raise Skipped("not checked: the process behind that port is on another machine, or another user's")
        if limit < FEWEST_FILES:
            fix = "raise it before Pushpin starts: `ulimit -n`, LimitNOFILE= in systemd, ulimits in compose"
            raise Failed(f"the proxy may open {limit} files only, and each stream is one", fix)
        return f"the proxy may open {limit} files"

    def buffering(self) -> str:
        """Check that a stream's first event arrives at once."""
        self._need_route()
        if not self._signed:
            raise Skipped("not checked: no stream opens without the signature")
        self._stream.open()
        greeting = self._stream.next("connected", TIMEOUT)
        if greeting:
            return f"a stream's first event arrived {greeting.after * 1000:.0f} ms after the request"
        if self._stream.refused:
            raise Failed(f"a stream is answered with {self._stream.refused}", "see the handlers' log")
        fix = (
            "switch off buffering in front of Pushpin: in nginx `proxy_buffering off;` and no gzip of text/event-stream"
        )
        raise Failed(f"a stream opens, but none of it arrives within {TIMEOUT:.0f} s", fix)

    def event(self) -> str:
        """Check that a notification arrives, and how fast."""
        if not self._stream.greeted:
            raise Skipped("not checked: no stream is open")
        user = self._stream.greeted["user_id"]
        body = {"user_id": user, "type": TYPE, "title": "shirase doctor", "message": "", "payload": {}}
        begun = time.monotonic()
        answer = self._http.post(f"{self._url}/api/notifications", json=body)
        if answer.status_code != HTTPStatus.CREATED:
            fix = (
                "pass a token with the scope notifications:write" if answer.status_code == HTTPStatus.FORBIDDEN else ""
            )
            what = f"no notification could be created: {answer.status_code} {_detail(answer)}"
            raise Failed(what, fix or "see the other lines and the handlers' log")
        number = answer.json()["id"]
        arrived = self._stream.next("notification", ARRIVAL, lambda data: data["id"] == number)
        self._http.delete(f"{self._url}/api/notifications/{number}")
        if arrived is None:
            fix = f"see the other lines; `shirase trace {number}` shows how far the notification got"
            raise Failed(f"a notification was created, but did not arrive within {ARRIVAL:.0f} s", fix)
        return f"a notification arrived {(arrived.at - begun) * 1000:.1f} ms after it was sent"

    def _need_route(self) -> None:
        if self._health is None:
            raise Skipped("not checked: the address does not lead to the handlers")


def _is_ours(answer: httpx.Response) -> bool:
    try:
        return "X-Request-Id" in answer.headers and answer.json() == {"status": "ok"}
    except ValueError:
        return False


def _far(first: datetime, second: datetime) -> bool:
    return abs((first - second).total_seconds()) > MOST_SKEW


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase
