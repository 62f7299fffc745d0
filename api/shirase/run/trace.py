"""The output of ``shirase trace``: one line for each step of a notification."""

from datetime import UTC, datetime, timedelta
from typing import Any

LATE = timedelta(minutes=1)  # a relay looks for due deliveries twice a second
OMITTED = {
    "muted": "the user has switched it off",
    "not_planned": "it was switched off, or not in the type's policy, when this was created",
}


def lines(trace: dict[str, Any], now: datetime | None = None) -> list[str]:
    """The steps, from the answer of ``GET /api/notifications/ID/trace``."""
    created = _moment(trace["created_at"]) or datetime.now(UTC)
    steps = [
        f"notification {trace['id']} for {trace['user_id']}, {trace['type']}; event {trace['user_id']}/{trace['seq']}",
        f"created    {trace['created_at']}",
    ]
    if trace["announcement_id"]:
        steps.insert(1, f"announced  as announcement {trace['announcement_id']}")
    committed, published = _moment(trace["committed_at"]), _moment(trace["published_at"])
    if committed:
        steps.append(f"committed  {_after(created, committed)}")
    if published is None:
        waits = _after(created, now or datetime.now(UTC)).removeprefix("+")
        steps.append(f"published  not yet: no node has accepted it for {waits}; it waits for the relay")
    else:
        how = "by the relay" if trace["way"] == "relay" else "at once"
        tries = f", attempt {trace['attempts']}" if trace["attempts"] else ""
        by = f"accepted by {_list(trace['nodes'])}" if trace["nodes"] else _by_none(trace)
        steps.append(f"published  {_after(created, published)}, {how}{tries}; {by}")
    if trace["connections"] is not None:
        count = trace["connections"]
        steps.append(f"streams    {count} of this user {'was' if count == 1 else 'were'} open then")
    if trace["waiting_nodes"]:
        steps.append(f"waiting    {_list(trace['waiting_nodes'])}: not yet asked to read this user's stream again")
    if trace["expires_at"]:
        steps.append(f"expires    {trace['expires_at']}")
    device = f" on {trace['read_by']}" if trace["read_by"] else ""
    steps.append(f"read       {trace['read_at']}{device}" if trace["read_at"] else "read       not yet")
    steps += [_delivery(created, delivery, now or datetime.now(UTC)) for delivery in trace["deliveries"]]
    steps += [f"{each['channel']:<10} no delivery: {OMITTED[each['reason']]}" for each in trace["omitted"]]
    if not trace["deliveries"] and not trace["omitted"]:
        steps.append(f"policy     none: the catalogue has no channel for the type {trace['type']}")
    return steps + [_webhook(created, step) for step in trace["webhooks"]]


def _delivery(created: datetime, delivery: dict[str, Any], now: datetime) -> str:
    at = _moment(delivery["ended_at"]) or _moment(delivery["due_at"]) or created
    reason = f": {delivery['reason']}" if delivery["reason"] else ""
    when = f"due {_after(created, at)}" if delivery["state"] == "pending" else _after(created, at)
    tries = f", attempt {delivery['attempts']}" if delivery["attempts"] else ""
    if delivery["state"] == "pending" and not delivery["attempts"] and at < now - LATE:
        reason = ": no relay has taken it; `shirase doctor` has the reason"
    return f"{delivery['channel']:<10} {delivery['state']} {when}{tries}{reason} ({delivery['id']})"


def _webhook(created: datetime, step: dict[str, Any]) -> str:
    what = f"webhook {step['name']}: {step['event']} {_after(created, _moment(step['happened_at']) or created)}"
    if step["state"] == "done":
        return f"{what}, accepted or not needed any more"
    due = f", due {_after(created, at)}" if (at := _moment(step["next_attempt_at"])) else ""
    reason = f", {step['attempts']} attempts failed: {step['reason']}" if step["reason"] else ""
    return f"{what}, {step['state']}{due}{reason} ({step['id']})"


def _by_none(trace: dict[str, Any]) -> str:
    return "by no node so far" if trace["waiting_nodes"] else "no node held a stream of this user"


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _after(start: datetime, moment: datetime) -> str:
    seconds = (moment - start).total_seconds()
    return f"+{seconds * 1000:.1f} ms" if seconds < 1 else f"+{seconds:.1f} s"


def _list(nodes: list[str]) -> str:
    return ", ".join(nodes) or "no known node"
