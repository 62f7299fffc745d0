"""Valid and invalid requests generated from the OpenAPI document: no 5xx, and no undocumented answer.

``make test`` tries a few of each kind, the same in every run; ``make attack`` more, different ones each time.
"""

import os
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from shirase.access.tokens import ADMIN, WRITE
from tests.attack.conftest import Headers

EXAMPLES = int(os.environ.get("ATTACK_EXAMPLES", "4"))  # per operation, valid and invalid ones each
CURSORS = {"after", "last_event_id"}  # any text is valid; a number is text in an address
BEYOND_A_SCHEMA = {
    *("expires_at", "send_at"),  # in the future
    "payload",  # limited in total size, and without NUL
    *("fold", "quiet"),  # need a key
    "remove",  # nobody who is in "add" too
    "rules",  # one for a scope and a channel
    *("timezone", "locale", "email"),  # in use
    *("endpoint", "url"),  # an address that may be posted to
    "apprise",  # addresses that Apprise knows, where it is on
    *("keys", "p256dh", "auth", "secret"),  # of the right length, or on the curve
    *("channels", "after"),  # 30 days at the most
}
OUR_OWN: list[CheckFunction] = [positive_data_acceptance]  # replaced below, with these exceptions


class Attack:
    """Sends cases, and collects answers that the document does not describe."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.broken: dict[str, str] = {}
        self.tried: Counter[str] = Counter()
        self._headers = headers

    def attempt(self, case: Any) -> None:
        answer = case.call(headers=self._headers)
        self.tried[f"{case.operation.label} {answer.status_code}"] += 1
        # An empty array or object is serialised as nothing, and a lone surrogate is dropped: that is another case.
        on_the_wire = parse_qs(urlsplit(answer.request.url).query, keep_blank_values=True)
        query = case.query or {}
        vanished = (query.keys() - on_the_wire.keys()) | {
            name
            for name, value in query.items()
            if (isinstance(value, str) and on_the_wire.get(name) != [value])
            or (name in CURSORS and type(value) is not str)
            or isinstance(value, list | dict)  # a name several times, or other names: what an address cannot hold
        }
        unchecked = [*OUR_OWN, negative_data_rejection] if vanished else OUR_OWN
        try:
            case.validate_response(answer, headers=self._headers, excluded_checks=unchecked)
        except AssertionError as complaint:
            self._note(case, answer, str(complaint))
        except BaseExceptionGroup as complaints:
            self._note(case, answer, str(complaints.exceptions))
        if case.meta.generation.mode.is_positive and answer.status_code == 422 and not vanished:
            # Without fields: an idempotency key of an earlier case.
            refused = {error["field"].rpartition(".")[2].partition("[")[0] for error in answer.json().get("errors", [])}
            if not refused <= BEYOND_A_SCHEMA:
                self._note(case, answer, "it is as described, and was refused")

    def _note(self, case: Any, answer: Any, complaint: str) -> None:
        self.broken[f"{case.operation.label}: {complaint}"] = (
            f"{case.as_curl_command()}: {answer.status_code} {answer.text[:500]}"
        )


@pytest.mark.timeout(240 + EXAMPLES * 20)
def test_every_answer_is_in_the_openapi_document(app: Flask, headers: Headers) -> None:
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", app)
    attack = Attack(headers("42", f"{WRITE} {ADMIN}"))
    limits = hypothesis_settings(
        max_examples=EXAMPLES,
        derandomize="ATTACK_EXAMPLES" not in os.environ,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for operation in (result.ok() for result in schema.get_all_operations()):  # type: ignore[union-attr]
        for mode in GenerationMode:
            try:
                limits(given(operation.as_strategy(generation_mode=mode))(attack.attempt))()
            except Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE  # an operation without input has no invalid cases
    assert not attack.broken, "\n".join(f"{complaint}: {case}" for complaint, case in attack.broken.items())
    total = attack.tried.total()
    assert total > EXAMPLES * 20
    print(f"\n{total} cases", *sorted(attack.tried.items()), sep="\n  ")  # noqa: T201 - what `make attack` is run for
