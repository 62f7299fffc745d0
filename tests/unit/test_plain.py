"""What a host's own code hands over: stored as the text that it obviously has, or refused by path and type."""

import enum
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple

import orjson
import pytest
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from shirase.errors import Invalid
from shirase.inbox.drafts import NewBatch, NewNotification, check
from shirase.plain import as_json

UUID = uuid.UUID("3f1c2d4e-0000-4000-8000-000000000042")
MOMENT = datetime(2026, 11, 26, 9, 30, tzinfo=timezone(timedelta(hours=9)))


class Kind(enum.StrEnum):
    OFFER = "offer"


class Older(str, enum.Enum):  # noqa: UP042 - as Django's TextChoices and older code are
    OFFER = "offer"


class Level(enum.IntEnum):
    HIGH = 3


class Plain(enum.Enum):
    A = Decimal("1.5")


class Point(NamedTuple):
    x: int
    y: int


class Speaking:
    """As Flask-Babel's and Babel's late translations are: no text, but every method of one."""

    def __str__(self) -> str:
        return "面接"

    def __getattr__(self, name: str) -> Any:
        return getattr(str(self), name)


class Model:
    """Something of the host's that has no one text, though Python gives it one."""

    def __str__(self) -> str:
        return "Interview 7"


TEXTS = [lazystr("面接"), Speaking(), mark_safe("面接"), Markup("面接")]
VALUES: list[tuple[Any, Any]] = [
    *((text, "面接") for text in TEXTS),
    (Decimal("9.90"), "9.90"),
    (UUID, str(UUID)),
    (MOMENT, "2026-11-26T09:30:00+09:00"),
    (date(2026, 11, 26), "2026-11-26"),
    (time(9, 30), "09:30:00"),
    *((member, "offer") for member in (Kind.OFFER, Older.OFFER)),
    (Level.HIGH, 3),
    (Plain.A, "1.5"),
    (Point(1, 2), [1, 2]),
    ({1: "a", UUID: "b", Kind.OFFER: "c", lazystr("k"): "d"}, {"1": "a", str(UUID): "b", "offer": "c", "k": "d"}),
    ([{"deep": (Decimal(1), [lazystr("x")])}], [{"deep": ["1", ["x"]]}]),
]


def payload_of(**fields: Any) -> Any:
    expected = {"user_id": "42", "type": "t", "title": "T", "message": "", **fields}
    return orjson.loads(check(NewNotification, expected).draft().content.payload)


@pytest.mark.parametrize(("value", "stored"), VALUES)
def test_what_has_an_obvious_text_is_stored_as_it(value: Any, stored: Any) -> None:
    assert payload_of(payload={"value": value}) == {"value": stored}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("field", ["title", "message"])
def test_late_translations_are_texts_of_a_notification(field: str, text: Any) -> None:
    expected = {"user_id": "42", "type": Kind.OFFER, "title": "T", "message": "", field: text}
    content = check(NewNotification, expected).draft().content
    assert (getattr(content, field), type(getattr(content, field)), content.type) == ("面接", str, "offer")


@pytest.mark.parametrize(("user", "stored"), [(42, "42"), (UUID, str(UUID)), ("42", "42"), (lazystr("x"), "x")])
def test_a_primary_key_is_a_user_id(user: Any, stored: str) -> None:
    entry = {"type": "t", "title": "T", "message": "", "user_id": user}
    assert check(NewNotification, entry).draft().user_id == stored
    assert check(NewBatch, {"notifications": [entry]}).drafts()[0].user_id == stored


@pytest.mark.parametrize(
    ("payload", "path", "kind"),
    [
        ({"price": Model()}, "payload.price", "Model cannot be stored as JSON"),
        ({"items": [{}, {"of": Model()}]}, "payload.items[1].of", "Model cannot"),
        ({"x": {1, 2}}, "payload.x", "set cannot"),
        ({"x": b"bytes"}, "payload.x", "bytes cannot"),
        ({"x": timedelta(1)}, "payload.x", "timedelta cannot"),
        ({"x": 1j}, "payload.x", "complex cannot"),
        ({"x": Model}, "payload.x", "type cannot"),
        ({"x": str}, "payload.x", "type cannot"),
        ({"x": [float("nan")]}, "payload.x[0]", "nan is not a number"),
        ({"x": float("-inf")}, "payload.x", "-inf is not a number"),
        ({"x": 2**64}, "payload.x", "more than 64 bits"),
        ({"x": {None: 1}}, "payload.x", "a key of type NoneType"),
        ({(1, 2): 1}, "payload", "a key of type tuple"),
    ],
)
def test_anything_else_is_refused_by_its_path_and_type(payload: Any, path: str, kind: str) -> None:
    with pytest.raises(Invalid) as refused:
        payload_of(payload=payload)
    (error,) = refused.value.errors
    assert error.field == path
    assert kind in error.message
    batch = {"notifications": [{"user_id": "1", "type": "t", "title": "T", "message": ""}] * 2}
    batch["notifications"] = [*batch["notifications"], {**batch["notifications"][0], "payload": payload}]
    with pytest.raises(Invalid) as refused:
        check(NewBatch, batch)
    assert [error.field for error in refused.value.errors] == [f"notifications[2].{path}"]


def test_what_refers_to_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    with pytest.raises(Invalid, match="nested too deeply"):
        payload_of(payload=endless)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(JSON)
def test_json_is_stored_as_it_is(value: Any) -> None:
    assert as_json(value, "payload", 100) == value


def test_the_moment_is_kept() -> None:
    assert datetime.fromisoformat(payload_of(payload={"at": MOMENT})["at"]).astimezone(UTC) == MOMENT
