"""The errors of the service, as one small tree. ``web/problems.py`` maps them to HTTP in one place."""

from dataclasses import dataclass


class ShiraseError(Exception):
    """The root of the tree. ``str(error)`` may be shown to the caller."""


class SettingsError(ShiraseError):
    """A setting is missing or wrong; the process must not start."""

    def __init__(self, name: str, message: str) -> None:
        """Name the setting, so that one line is enough to correct it."""
        super().__init__(f"{name}: {message}")
        self.name = name


@dataclass(frozen=True, slots=True)
class FieldError:
    """An error in one field of a request."""

    field: str
    message: str


class Malformed(ShiraseError):
    """The body cannot be parsed, so no field can be named."""


class Invalid(ShiraseError):
    """One or more fields are invalid. Nothing was written."""

    def __init__(self, *errors: FieldError) -> None:
        """Take every invalid field, not only the first."""
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors


class Unauthenticated(ShiraseError):
    """There is no token, or it is not valid."""


class Forbidden(ShiraseError):
    """The caller is authenticated, but not allowed to do this."""


class NotFound(ShiraseError):
    """The resource does not exist, or is not the caller's."""


class KeyInProgress(ShiraseError):
    """Another request with the same idempotency key has not finished."""


class KeyReused(ShiraseError):
    """The idempotency key was used before, with another body."""


class TooManyConnections(ShiraseError):
    """The user has reached the limit of streams, and the policy is to reject."""


class ProxyRequired(ShiraseError):
    """A stream was requested without the proxy, which alone can hold it."""


class DatabaseUnavailable(ShiraseError):
    """The database does not answer."""


class KeysUnavailable(ShiraseError):
    """The issuer's key set cannot be fetched, so no token can be verified."""


class RowsLocked(DatabaseUnavailable):
    """Another transaction keeps a row locked for too long."""


class DatabaseReadOnly(DatabaseUnavailable):
    """The database can be read but not written: its disk is full, or it is a standby."""


class SchemaMismatch(DatabaseUnavailable):
    """The database answers, but lacks the tables that this release needs."""


class DatabaseUnusable(ShiraseError):
    """The database answers, but the service cannot use it."""


class MigrationFailed(ShiraseError):
    """A migration failed; the database is unchanged."""


class ProxyMissing(ShiraseError):
    """Pushpin is not installed on this machine."""


class TooLarge(ShiraseError):
    """The body is over its limit."""


class TooSlow(ShiraseError):
    """The body did not arrive completely in time."""


class RateLimited(ShiraseError):
    """The caller exceeded a rate limit; the response headers name it."""

    def __init__(self, retry_after: int) -> None:
        """Take the seconds after which a retry may succeed."""
        super().__init__(f"too many requests: try again in {retry_after} s")
        self.retry_after = retry_after


class UnsupportedMedia(ShiraseError):
    """The body is not JSON."""
