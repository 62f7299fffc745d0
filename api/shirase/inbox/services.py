"""The parts of a process; handlers and the relay are wired from the same ones."""

from dataclasses import dataclass

from shirase.access.jwks import Jwks
from shirase.access.rate_limits import RateLimits
from shirase.inbox.draining import Draining
from shirase.inbox.notifications import CreateBatcher, create_batcher
from shirase.keys import FixedKeys, Keys, public_keys, secret_keys
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store.database import Database


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one process."""

    settings: Settings
    database: Database
    publisher: Publisher
    keys: Keys  # check the signatures of tokens
    rate_limits: RateLimits
    batcher: CreateBatcher  # joins the creates of several threads
    draining: Draining  # which nodes take no new streams


def wire(settings: Settings) -> Services:
    """Create the parts. Nothing connects before its first use."""
    database = Database(settings.database_url, settings.database_timeout, settings.database_schema)
    publisher = Publisher(settings)
    batcher = create_batcher(database, publisher)
    return Services(settings, database, publisher, _keys(settings), RateLimits(settings), batcher, Draining(database))


def _keys(settings: Settings) -> Keys:
    if settings.jwt_jwks_url:
        return Jwks(settings.jwt_jwks_url, settings.jwt_jwks_timeout, settings.jwt_jwks_http_hosts)
    if settings.jwt_public_key:
        return FixedKeys(public_keys(settings.jwt_public_key))
    return FixedKeys(secret_keys(settings.jwt_secret))
