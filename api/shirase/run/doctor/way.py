"""The way that clients go: through the address that they know, to the handlers and back, and one real event."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx

from shirase.run.doctor.files import file_limit
from shirase.run.doctor.findings import Check, Failed, Skipped
from shirase.run.doctor.stream import PATH, Stream

TIMEOUT = 5.0  # seconds for an answer, and until a stream's first event
ARRIVAL = 10.0  # seconds until a real event must have come
MOST_SKEW = 5.0  # seconds; tokens and signatures forgive ten
FEWEST_FILES = 10_000  # a stream is an open file; at 1,024 it ends with the 989th
TYPE = "shirase.doctor"


class Way:
    """One walk along the way; each check goes by what those before it have found."""

    def __init__(self, url: str, token: str, database_clock: Callable[[], datetime | None]) -> None:
        """Prepare, without connecting.

        Args:
            url: the address that clients use.
            token: of a user who may create notifications, and who gets one.
            database_clock: the time at the database.
        """
        self._url = url.rstrip("/")
        self._token = token
        self._database_clock = database_clock
        self._http = httpx.Client(
            timeout=TIMEOUT,
            trust_env=False,
            headers={"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"},
        )
        self._health: httpx.Response | None = None
        self._signed = False
        self._stream = Stream(f"{self._url}{PATH}", token)

    def close(self) -> None:
        """Let go of the stream."""
        self._stream.close()
        self._http.close()

    def checks(self) -> list[Check]:
        """In the order in which they make sense."""
        return [
            ("route", self.route),
            ("clocks", self.clocks),
            ("signing key", self.signing_key),
            ("file limit", self.files),
            ("buffering", self.buffering),
            ("event", self.event),
        ]

    def route(self) -> str:
        """Whether the address leads to the proxy, and from there to the handlers."""
        mend = "start Pushpin, or name the address that clients use by --url or SHIRASE_URL"
        try:
            answer = self._http.get(f"{self._url}/healthz")
        except httpx.HTTPError as exc:
            raise Failed(f"{self._url} does not answer: {exc}", mend) from exc
        if answer.status_code != HTTPStatus.OK or not _is_ours(answer):
            what = f"{self._url}/healthz is answered with {answer.status_code}, and not by Shirase's handlers"
            raise Failed(
                what, "have the proxy's route lead to them (`shirase proxy --origin HOST:PORT`), and start them"
            )
        self._health = answer
        return f"{self._url} leads to the handlers"

    def clocks(self) -> str:
        """Whether this machine's clock, the handlers' and the database's agree."""
        there = {}
        if self._health and "Date" in self._health.headers:
            there["the handlers'"] = parsedate_to_datetime(self._health.headers["Date"])
        if at := self._database_clock():
            there["the database's"] = at
        if not there:
            raise Skipped("not looked at: neither handlers nor database say their time")
        now = datetime.now(UTC)
        off = [f"{whose} is {(at - now).total_seconds():+.0f} s off" for whose, at in there.items() if _far(at, now)]
        if off:
            raise Failed(
                f"compared with this machine's clock, {' and '.join(off)}", "timedatectl set-ntp true, on each"
            )
        return f"{' and '.join(there)} and this machine's agree"

    def signing_key(self) -> str:
        """Whether the handlers accept what the proxy signs, by a question that they answer at once."""
        self._need_route()
        try:
            # A cursor that is nobody's: the answer is a reset, and nothing is held.
            answer = self._http.get(f"{self._url}/api/notifications/poll", params={"after": "x", "timeout": "1"})
        except httpx.HTTPError as exc:
            raise Failed(f"a poll is not answered: {exc}", "look into the handlers' log") from exc
        if answer.status_code == HTTPStatus.NOT_IMPLEMENTED:
            mend = "set the same PUSHPIN_SIG_KEY for the proxy and for the handlers, and start both again"
            raise Failed("the handlers do not accept the proxy's signature", mend)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            mend = "run this with the JWT settings of the handlers, or give a token by --token"
            raise Failed(f"the handlers do not accept this token: {_detail(answer)}", mend)
        if not answer.is_success:
            raise Failed(
                f"a poll is answered with {answer.status_code}: {_detail(answer)}", "look into the handlers' log"
            )
        self._signed = True
        return "the handlers accept the proxy's signature"

    def files(self) -> str:
        """Whether the proxy may hold many streams open."""
        address = urlsplit(self._url)
        limit = file_limit(address.port or (443 if address.scheme == "https" else 80))
        if limit is None:
            raise Skipped("not looked at: what listens at that port is not on this machine, or another user's")
        if limit < FEWEST_FILES:
            mend = "raise it before Pushpin starts: `ulimit -n`, LimitNOFILE= in systemd, ulimits in compose"
            raise Failed(f"the proxy may open {limit} files, and each stream is one", mend)
        return f"the proxy may open {limit} files"

    def buffering(self) -> str:
        """Whether a stream's first event comes at once."""
        self._need_route()
        if not self._signed:
            raise Skipped("not looked at: no stream opens without the signature")
        self._stream.open()
        greeting = self._stream.next("connected", TIMEOUT)
        if greeting:
            return f"a stream says so {greeting.after * 1000:.0f} ms after it was asked for"
        if self._stream.refused:
            raise Failed(f"a stream is answered with {self._stream.refused}", "look into the handlers' log")
        mend = "switch buffering off in what stands before Pushpin: in nginx `proxy_buffering off;` and no gzip there"
        raise Failed(f"a stream opens, but nothing of it comes within {TIMEOUT:.0f} s", mend)

    def event(self) -> str:
        """Whether a notification that is created now arrives, and how fast."""
        if not self._stream.greeted:
            raise Skipped("not tried: there is no stream that it could arrive on")
        user = self._stream.greeted["user_id"]
        body = {"user_id": user, "type": TYPE, "title": "shirase doctor", "message": "", "payload": {}}
        begun = time.monotonic()
        answer = self._http.post(f"{self._url}/api/notifications", json=body)
        if answer.status_code != HTTPStatus.CREATED:
            mend = (
                "give a token with the scope notifications:write" if answer.status_code == HTTPStatus.FORBIDDEN else ""
            )
            what = f"a notification is not created: {answer.status_code} {_detail(answer)}"
            raise Failed(what, mend or "look at the other lines, and into the handlers' log")
        number = answer.json()["id"]
        arrived = self._stream.next("notification", ARRIVAL, lambda data: data["id"] == number)
        self._http.delete(f"{self._url}/api/notifications/{number}")
        if arrived is None:
            mend = f"look at the other lines; `shirase trace {number}` tells how far one like it came"
            raise Failed(f"a notification was created and did not arrive within {ARRIVAL:.0f} s", mend)
        return f"a notification arrived {(arrived.at - begun) * 1000:.1f} ms after it was sent off"

    def _need_route(self) -> None:
        if self._health is None:
            raise Skipped("not looked at: the way does not lead to the handlers")


def _is_ours(answer: httpx.Response) -> bool:
    try:
        return "X-Request-Id" in answer.headers and answer.json() == {"status": "ok"}
    except ValueError:
        return False


def _far(one: datetime, other: datetime) -> bool:
    return abs((one - other).total_seconds()) > MOST_SKEW


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase
