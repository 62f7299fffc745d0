"""Parameters of addresses, and ids, as more than one group of routes takes them."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model, model_validator

from shirase.fields import FIELDS
from shirase.inbox.drafts import Request
from shirase.types import LARGEST_ID

CACHE_BUSTER = re.compile(r"_\w*|cb|ts?|timestamp|rand(om)?|no_?cache|cache_?bust(er)?", re.IGNORECASE)


def _as_integer(value: Any) -> Any:
    """JSON has one kind of number: ``3.0`` is an integer there, as JSON Schema reads it too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


NotificationId = Annotated[int, Field(ge=1, le=LARGEST_ID), BeforeValidator(_as_integer)]

DeclaredFields: Any = create_model(
    "DeclaredFields",
    **{name: (field.annotation, ...) for name, field in FIELDS.items()},  # type: ignore[call-overload]
)


class OpenQuery(BaseModel):
    """Parameters of a stream's address. Unknown ones are ignored: polyfills and trackers add their own."""

    model_config = ConfigDict(extra="ignore")


class Query(Request):
    """Parameters of an address. An unknown one is an error, as it may be a filter that was misspelled."""

    @model_validator(mode="before")
    @classmethod
    def _without_cache_busters(cls, query: dict[str, str]) -> dict[str, str]:
        """Libraries append ``_=1700000000000`` and the like, so that no cache answers."""
        return {name: value for name, value in query.items() if not CACHE_BUSTER.fullmatch(name)}
