"""Payloads against the schemas of their types."""

from collections.abc import Sequence

import orjson

from shirase.catalogue import Catalogue
from shirase.types import Draft


def check_payloads(catalogue: Catalogue, drafts: Sequence[Draft]) -> None:
    """Check each payload; a broadcast shares one between its users.

    Raises:
        Invalid: naming the field of the payload that is wrong.
    """
    contents = dict.fromkeys(draft.content for draft in drafts)
    for number, content in enumerate(contents):
        if catalogue.has_schema(content.type):
            path = "payload" if len(contents) == 1 else f"notifications.{number}.payload"
            catalogue.check(content.type, orjson.loads(content.payload), path)
