"""The host's sessions, with a notifier and a control port."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

from shirase.settings import Settings
from shirase.sqlalchemy import Notifier
from shirase.store.database import parse_url
from tests.integration.notify.host import Base
from tests.support.control_port import ControlPort, control_port


@pytest.fixture
def control() -> Iterator[ControlPort]:
    with control_port() as running:
        yield running


@pytest.fixture
def settings(settings: Settings, control: ControlPort) -> Settings:
    return replace(settings, grip_url=(control.url,), publish_timeout=0.5)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """The host's own engine, without our settings."""
    made = create_engine(parse_url(settings.database_url).url)
    Base.metadata.create_all(made)
    yield made
    made.dispose()


@pytest.fixture
def notifier(settings: Settings) -> Iterator[Notifier]:
    made = Notifier(settings)
    yield made
    made.close()


@pytest.fixture
def sessions(engine: Engine, notifier: Notifier) -> sessionmaker[Session]:
    made = sessionmaker(engine)
    notifier.attach(made)
    return made
