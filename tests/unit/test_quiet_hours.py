"""Quiet hours on the user's clock, around midnight and at both changes of summer time."""

from datetime import UTC, datetime, time

import pytest

from shirase.quiet_hours import QuietHours, zone_of


def quiet(starts: str, ends: str, zone: str) -> QuietHours:
    return QuietHours(time.fromisoformat(starts), time.fromisoformat(ends), zone)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "now", "end"),
    [
        pytest.param(("22:00", "07:00", "Asia/Tokyo"), "2026-07-01T12:59", None, id="before they begin"),
        pytest.param(("22:00", "07:00", "Asia/Tokyo"), "2026-07-01T13:00", "2026-07-01T22:00", id="they begin"),
        pytest.param(("22:00", "07:00", "Asia/Tokyo"), "2026-07-01T21:59", "2026-07-01T22:00", id="after midnight"),
        pytest.param(("22:00", "07:00", "Asia/Tokyo"), "2026-07-01T22:00", None, id="their end is not in them"),
        pytest.param(("13:00", "14:30", "Asia/Kolkata"), "2026-07-01T08:00", "2026-07-01T09:00", id="within a day"),
        # Berlin: on 29 March 02:00 becomes 03:00, on 25 October 03:00 becomes 02:00.
        pytest.param(("22:00", "07:00", "Europe/Berlin"), "2026-03-28T23:00", "2026-03-29T05:00", id="a short night"),
        pytest.param(("22:00", "07:00", "Europe/Berlin"), "2026-10-24T23:00", "2026-10-25T06:00", id="a long night"),
        pytest.param(("22:00", "02:30", "Europe/Berlin"), "2026-03-29T00:30", "2026-03-29T01:00", id="a skipped end"),
        pytest.param(("02:30", "07:00", "Europe/Berlin"), "2026-03-29T00:59", None, id="before a skipped begin"),
        pytest.param(("02:30", "07:00", "Europe/Berlin"), "2026-03-29T01:00", "2026-03-29T05:00", id="a skipped begin"),
        pytest.param(
            ("22:00", "02:30", "Europe/Berlin"), "2026-10-25T01:00", "2026-10-25T01:30", id="an end that is twice"
        ),
        pytest.param(
            ("02:30", "07:00", "Europe/Berlin"), "2026-10-25T00:30", "2026-10-25T06:00", id="a begin that is twice"
        ),
        pytest.param(
            ("22:00", "07:00", "Australia/Lord_Howe"), "2026-04-04T15:15", "2026-04-04T20:30", id="half an hour"
        ),
    ],
)
def test_quiet_hours_end_on_the_users_clock(hours: tuple[str, str, str], now: str, end: str | None) -> None:
    assert quiet(*hours).until(utc(now)) == (utc(end) if end else None)


def test_a_zone_that_this_machine_lacks_is_utc() -> None:
    """Another one's list of zones, by which the preferences were checked, may be newer."""
    for zone in ("America/Newest", "America", "../../etc/passwd", "\x00"):
        hours = quiet("22:00", "07:00", zone)
        assert hours.until(utc("2026-07-01T23:00")) == utc("2026-07-02T07:00")
        assert str(zone_of(zone)) == "UTC"
