"""An API for the tests of living notifications."""

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from shirase.store.database import Database
from tests.integration.living.api import Api


@pytest.fixture
def api(client: FlaskClient, token: Callable[..., str], database: Database) -> Api:
    return Api(client, token, database)
