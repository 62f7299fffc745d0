"""A mail server, and a channel that sends to it."""

from collections.abc import Iterator
from dataclasses import replace
from email.headerregistry import Address

import pytest

from shirase.mail_settings import MailSettings
from shirase.settings import Settings
from shirase.store.database import Database
from tests.integration.mail.post import HOST, Post
from tests.support.certificates import Authority, make_authority
from tests.support.mail_server import MailServer


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as running:
        yield running


@pytest.fixture
def mail(server: MailServer) -> MailSettings:
    return MailSettings(
        host=HOST,
        port=server.port,
        security="none",
        timeout=2.0,
        sender=Address("Example", "noreply", "example.com"),
        link_base="https://example.com/notify",
        window=0,
    )


@pytest.fixture
def settings(settings: Settings, mail: MailSettings) -> Settings:
    return replace(settings, mail=mail)


@pytest.fixture
def post(database: Database, settings: Settings) -> Iterator[Post]:
    post = Post(database, settings)
    post.contact()
    yield post
    post.channel.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))
