"""Web Push: sends deliveries to the push services of browsers."""

import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import timedelta
from http import HTTPStatus

from shirase.errors import DatabaseUnavailable
from shirase.inbox import push as messages
from shirase.outbound import Answer, Outbound, TooLate, Unreachable
from shirase.relay.channels import Failed, Item, Outcome, Refused, Sent, Skipped, Split, in_turn
from shirase.settings import Settings
from shirase.store import push
from shirase.store.database import Database
from shirase.store.push import Subscription
from shirase.vapid import PushKey

logger = logging.getLogger(__name__)

TIMEOUT = 10.0  # seconds for a whole request
AT_ONCE = 8  # requests
GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)  # the browser has unsubscribed (RFC 8030, section 7.3)
NEVER = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


class Push:
    """The channel ``web_push``: a delivery becomes one for each of the user's browsers."""

    name = "web_push"
    batch = 40
    window = timedelta()
    keeps_quiet = True

    def __init__(self, settings: Settings, key: PushKey, database: Database) -> None:
        self._private_hosts = settings.outbound_private_hosts
        self._key = key
        self._database = database
        self._pool = ThreadPoolExecutor(AT_ONCE, "push")
        self._own = threading.local()
        self._opened: list[Outbound] = []

    def send(self, items: Sequence[Item]) -> Iterator[tuple[Item, Outcome]]:
        """Split deliveries to all browsers of a user, and send those to one."""
        with self._database.autocommit() as db:
            known = push.find(db, {item.delivery.target for item in items if item.delivery.target})
            browsers = {
                item.delivery.user_id: push.ids_of(db, item.delivery.user_id)
                for item in items
                if not item.delivery.target
            }
        silent: set[str] = set()
        due = in_turn([item for item in items if _target(item) in known])
        sending = {self._pool.submit(self._send, known[_target(item)], item, silent): item for item in due}
        for item in items:
            if not item.delivery.target:
                result = browsers[item.delivery.user_id]
                yield item, Split(result) if result else Skipped("no browser has subscribed")
            elif _target(item) not in known:
                yield item, Skipped("the browser has unsubscribed")
        for done in as_completed(sending):
            yield sending[done], done.result()

    def _send(self, subscription: Subscription, item: Item, silent: set[str]) -> Outcome:
        """Send one message, unless its user is ``silent``: another endpoint of the user did not answer in time.

        A user chooses up to 20 endpoints. So however many of them hang, they occupy all threads once.
        """
        if item.delivery.user_id in silent:
            return Failed("another browser of the user did not answer in time")
        try:
            body, headers = messages.encrypt(self._key, subscription, item.notification)
            answer = self._outbound().post(subscription.endpoint, body, headers)
        except Unreachable as exc:
            if isinstance(exc, TooLate):
                silent.add(item.delivery.user_id)
            return Failed(str(exc))
        except Exception:  # other messages are not affected
            logger.exception("web_push: a message cannot be made")
            return Failed("the message cannot be made")
        if answer.status in GONE:
            self._forget(subscription)
            return Skipped("the browser has unsubscribed")
        return _outcome(answer)

    def _forget(self, subscription: Subscription) -> None:
        try:
            with self._database.transaction() as db:
                push.remove(db, subscription.id)
        except DatabaseUnavailable as exc:  # the next message for it is refused too
            logger.warning("web_push: a subscription is kept: %s", exc)

    def _outbound(self) -> Outbound:
        if not hasattr(self._own, "outbound"):
            self._own.outbound = Outbound(self._private_hosts, TIMEOUT)
            self._opened.append(self._own.outbound)
        outbound: Outbound = self._own.outbound
        return outbound

    def close(self) -> None:
        """Close connections."""
        self._pool.shutdown()
        for outbound in self._opened:
            outbound.close()


def _target(item: Item) -> tuple[str, str]:
    return item.delivery.user_id, item.delivery.target or ""


def _outcome(answer: Answer) -> Outcome:
    if answer.is_success:
        return Sent()
    reason = f"the push service answered {answer.status}"
    if answer.status in NEVER:
        return Refused(reason)
    return Failed(reason, timedelta(seconds=answer.retry_after))
