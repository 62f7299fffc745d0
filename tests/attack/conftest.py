"""An application on each database, with requests as from the proxy and no rate limits."""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import jwt
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from shirase import vapid
from shirase.access import tokens
from shirase.flask.app import create_app
from shirase.settings import Settings
from shirase.vapid import PushKey
from tests.support.control_port import ControlPort, control_port

# All that instructions for the proxy contain: base64url names, hexadecimal and decimal numbers, our path, a constant.
SAFE_GRIP = re.compile(r"[A-Za-z0-9 ;:,=_.<>/{}\"\\-]*")

Headers = Callable[..., dict[str, str]]


@pytest.fixture
def control() -> Iterator[ControlPort]:
    with control_port() as running:
        yield running


@pytest.fixture
def unlimited(settings: Settings, control: ControlPort) -> Settings:
    return replace(
        settings,
        grip_url=(control.url,),
        push_key=PushKey(vapid.generate(), "ops@example.com"),
        rate_limit_creates=None,
        rate_limit_preferences=None,
        rate_limit_connects=None,
        rate_limit_tickets=None,
    )


@pytest.fixture
def app(unlimited: Settings) -> Iterator[Flask]:
    made = create_app(unlimited)
    yield made
    made.extensions["shirase"].database.close()


@pytest.fixture
def headers(unlimited: Settings) -> Headers:
    """Return the headers of a user's request through the proxy."""

    def make(user: str, scope: str = "") -> dict[str, str]:
        claims = {"iss": "pushpin", "exp": int(time.time()) + 3600}
        signed = jwt.encode(claims, unlimited.pushpin_sig_key, algorithm="HS256")
        return {"Authorization": f"Bearer {tokens.mint(unlimited, user, scope=scope)}", "Grip-Sig": signed}

    return make


def check(answer: TestResponse) -> TestResponse:
    """Check that nothing crashed, errors have their form, and instructions for the proxy contain only our text."""
    assert answer.status_code < 500 or answer.status_code == 501
    if answer.status_code >= 400:
        assert answer.content_type == "application/problem+json"
        assert json.loads(answer.data)["status"] == answer.status_code
    for name, value in answer.headers:
        if name.startswith("Grip-"):
            assert SAFE_GRIP.fullmatch(value), (name, value)
            assert len(value) < 4000
    return answer
