"""Compares what the other sides accepted with what was created and read, and when relays were killed."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.support.hasty_relay import LEASE, TIMEOUT
from tests.support.mail_server import Arrival
from tests.support.push_browser import Browser
from tests.support.sink import Got

# Seconds after an acceptance in which a kill explains its repeat: what was accepted is recorded within a second, or
# after the next request, which may take two timeouts.
UNRECORDED = 1 + 2 * TIMEOUT + 1


@dataclass
class Happened:
    """What the producers and the killer did; times are those of the monotonic clock."""

    created: dict[int, str] = field(default_factory=dict)  # the user, by notification
    read_from: dict[int, float] = field(default_factory=dict)  # when the request began
    read_by: dict[int, float] = field(default_factory=dict)  # when it was answered
    kills: list[float] = field(default_factory=list)  # of relays


@dataclass
class Verdict:
    """The counts, and what is wrong."""

    created: int = 0
    read: int = 0
    kills: int = 0
    accepted: Counter[str] = field(default_factory=Counter)  # by channel
    repeated: Counter[str] = field(default_factory=Counter)
    explained: Counter[str] = field(default_factory=Counter)  # repeats after a lost answer, and after a kill
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Format the figures."""
        what = f"{self.created} notifications, {self.read} of them read, {self.kills} kills of relays"
        lines = [f"{what}; accepted: {dict(self.accepted)}, repeats: {dict(self.repeated)} {dict(self.explained)}"]
        return "\n".join([*lines, f"wrong: {len(self.wrong)}", *self.wrong[:20]])


@dataclass(frozen=True)
class Acceptance:
    """One notification that was accepted by one other side."""

    notification: int
    what: str  # the notification's delivery or event, which has one id
    id: str  # for the outside
    at: float
    lost: bool  # the answer was


def judge(
    happened: Happened,
    rows: Sequence[Any],
    refused: Collection[int],
    mails: Iterable[Arrival],
    pushes: Iterable[Got],
    webhooks: Iterable[Got],
    browsers: Mapping[str, Browser],
) -> Verdict:
    """Compare everything.

    Args:
        happened: what was done.
        rows: the deliveries: id, tag, notification, channel, state and reason.
        refused: notifications whose mail is refused for good.
        mails: that were accepted, in order, as the next two.
        pushes: messages.
        webhooks: requests.
        browsers: by user.
    """
    verdict = Verdict(len(happened.created), len(happened.read_by), len(happened.kills))
    of_uid = {f"{row.id}-{row.tag}": row.notification_id for row in rows}
    _compare("email", _of_mails(mails, of_uid), happened, refused, verdict)
    _compare("web_push", _of_pushes(pushes, browsers), happened, (), verdict)
    of_webhook = list(_of_webhooks(webhooks))
    _compare("webhook", of_webhook, happened, (), verdict, cancelled_by_reading=False)
    _compare_order(of_webhook, happened, verdict)
    for row in rows:
        is_refused = row.channel == "email" and row.notification_id in refused
        allowed = {"sent", "cancelled"} | ({"dead"} if is_refused else set())
        if row.state not in allowed or (is_refused and row.state == "sent"):
            verdict.wrong.append(f"{row.channel} of {row.notification_id} is {row.state}: {row.reason}")
    return verdict


def _of_mails(mails: Iterable[Arrival], of_uid: Mapping[str, int]) -> list[Acceptance]:
    return [
        Acceptance(of_uid[uid], uid, mail.message_id, mail.at, mail.lost) for mail in mails for uid in mail.deliveries
    ]


def _of_pushes(pushes: Iterable[Got], browsers: Mapping[str, Browser]) -> list[Acceptance]:
    of_path = {browser.path: browser for browser in browsers.values()}
    read = ((got, of_path[got.path].read(got)["id"]) for got in pushes)
    return [Acceptance(number, str(number), got.headers["topic"], got.at, got.lost) for got, number in read]


def _of_webhooks(webhooks: Iterable[Got]) -> list[Acceptance]:
    read = ((got, json.loads(got.body)["data"]["id"]) for got in webhooks)
    return [Acceptance(number, str(number), got.headers["webhook-id"], got.at, got.lost) for got, number in read]


def _compare(
    channel: str,
    acceptances: Sequence[Acceptance],
    happened: Happened,
    refused: Collection[int],
    verdict: Verdict,
    *,
    cancelled_by_reading: bool = True,
) -> None:
    arrived: dict[int, list[Acceptance]] = defaultdict(list)
    for acceptance in acceptances:
        arrived[acceptance.notification].append(acceptance)
    verdict.accepted[channel] = len(acceptances)
    needless = set(refused) | (happened.read_from.keys() if cancelled_by_reading else set())
    wrong = [f"{number} was not read and did not arrive" for number in happened.created.keys() - arrived - needless]
    for number, several in sorted(arrived.items()):
        if len({(acceptance.what, acceptance.id) for acceptance in several}) > 1:
            wrong.append(f"{number} arrived under several ids: {[acceptance.id for acceptance in several]}")
        for first, second in pairwise(several):
            verdict.repeated[channel] += 1
            why = _why_repeated(first, happened)
            verdict.explained[why] += 1
            if not why:
                wrong.append(f"{number} was repeated after {second.at - first.at:.1f} s for no reason")
        late = several[-1].at - happened.read_by.get(number, several[-1].at)
        if cancelled_by_reading and late > LEASE:
            wrong.append(f"{number} arrived {late:.1f} s after it was read")
    verdict.wrong += [f"{channel}: {text}" for text in wrong]


def _why_repeated(first: Acceptance, happened: Happened) -> str:
    if first.lost:
        return "after a lost answer"
    near = any(first.at - 1 <= kill <= first.at + UNRECORDED for kill in happened.kills)
    return "after a kill" if near else ""


def _compare_order(acceptances: Sequence[Acceptance], happened: Happened, verdict: Verdict) -> None:
    """A webhook gets the events of a user in the order of their log, in which ids of notifications ascend."""
    seen: dict[str, list[int]] = defaultdict(list)
    for acceptance in acceptances:
        user = happened.created.get(acceptance.notification, "")
        if acceptance.notification not in seen[user]:
            seen[user].append(acceptance.notification)
    for user, numbers in seen.items():
        if numbers != sorted(numbers):
            verdict.wrong.append(f"webhook: the events of {user!r} arrived out of order")
