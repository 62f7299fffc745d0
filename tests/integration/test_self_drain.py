"""The step of a drain that a stopping node asks for: which node may, and what it is answered."""

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shirase.inbox.streams import DRAIN_PATH
from shirase.keys import key_bytes
from shirase.proxy import grip
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings

Step = Callable[..., TestResponse]


@pytest.fixture
def step(client: FlaskClient, settings: Settings) -> Step:
    """Return a function that sends a step, sealed for a node."""
    key = key_bytes(settings.pushpin_sig_key)

    def send(node: str, body: object = {"seconds": 1}, header: str = grip.DRAIN, key: bytes = key) -> TestResponse:
        return client.post(DRAIN_PATH, json=body, headers={grip.DRAIN: grip.name_node(key, node, header)})

    return send


def test_a_drain_step_needs_the_seal_of_a_drain(client: FlaskClient, settings: Settings, step: Step) -> None:
    (node,) = Publisher(settings).nodes
    assert client.post(DRAIN_PATH, json={"seconds": 1}).status_code == 403
    assert step(node, key=b"o" * 32).status_code == 403
    assert step(node, header=grip.NODE).status_code == 403, "a client's request carries this one through the standby"


def test_the_last_node_is_not_drained(settings: Settings, step: Step) -> None:
    (node,) = Publisher(settings).nodes
    answer = step(node)
    assert (answer.status_code, answer.json["detail"]) == (  # type: ignore[index]
        409,
        f"{node} is the last node that takes streams: start another one first",
    )


def test_a_node_that_is_not_known_is_not_drained(step: Step) -> None:
    answer = step("http://127.0.0.9:1")
    assert (answer.status_code, "no node is called" in answer.json["detail"]) == (409, True)  # type: ignore[index]


@pytest.mark.parametrize("body", [{}, {"seconds": -1}, {"seconds": 1e9}, {"seconds": "1"}, {"seconds": 1, "more": 1}])
def test_a_bad_drain_step_names_its_field(settings: Settings, step: Step, body: object) -> None:
    (node,) = Publisher(settings).nodes
    answer = step(node, body)
    assert (answer.status_code, len(answer.json["errors"])) == (422, 1)  # type: ignore[index]
