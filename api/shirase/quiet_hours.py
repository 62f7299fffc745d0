"""Quiet hours: the part of a user's day in which push and mail wait, on the user's own clock."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def zone_of(name: str | None) -> tzinfo:
    """A time zone by its name; UTC without a name, or if this machine lacks it: another one's list may be newer."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From one time of the day to another, which may be on the next day."""

    starts: time
    ends: time
    timezone: str

    def until(self, now: datetime) -> datetime | None:
        """When the quiet hours around ``now`` end, in UTC; ``None`` if now is not in them.

        When summer time ends, a time of the day occurs twice: quiet hours begin at its first occurrence and end at its
        last. When summer time begins, a time that is skipped stands for the moment of the change.
        """
        zone = zone_of(self.timezone)
        today = now.astimezone(zone).date()
        over_midnight = self.ends <= self.starts
        for day in (today - timedelta(days=1), today):
            start = _moment(day, self.starts.replace(fold=0), zone)
            end = _moment(day + timedelta(days=over_midnight), self.ends.replace(fold=1), zone)
            if start <= now < end:
                return end
        return None


def _moment(day: date, at: time, zone: tzinfo) -> datetime:
    wall = datetime.combine(day, at, tzinfo=zone)
    moment = wall.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return moment
    # The clock skips this time: find the change between the readings by the offset after and before it.
    before, after = (wall.replace(fold=fold) for fold in (0, 1))
    low, high = after.astimezone(UTC), before.astimezone(UTC)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before.utcoffset() else (low, middle)
    return high.replace(microsecond=0)
