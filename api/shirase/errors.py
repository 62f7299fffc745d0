"""The errors of the service, as one small tree. ``web/problems.py`` maps them to HTTP in one place."""

from dataclasses import dataclass


class ShiraseError(Exception):
    """The root of the tree. ``str(error)`` is a sentence that may be shown to the caller."""


class SettingsError(ShiraseError):
    """A setting is missing or wrong; the process must not start."""

    def __init__(self, name: str, message: str) -> None:
        """Name the setting, so that one line is enough to mend it."""
        super().__init__(f"{name}: {message}")
        self.name = name


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of a request."""

    field: str
    message: str


class Malformed(ShiraseError):
    """The body cannot be read at all, so that no field can be blamed."""


class Invalid(ShiraseError):
    """One or more fields are wrong. Nothing was written."""

    def __init__(self, *errors: FieldError) -> None:
        """Carry every field that is wrong, not only the first."""
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors


class Unauthenticated(ShiraseError):
    """No token, or one that does not hold."""


class Forbidden(ShiraseError):
    """The caller is known and may not do this."""


class NotFound(ShiraseError):
    """There is no such thing, or it is not the caller's."""


class KeyInProgress(ShiraseError):
    """Another request with the same idempotency key has not finished."""


class KeyReused(ShiraseError):
    """The idempotency key was used before, with another body."""


class TooManyConnections(ShiraseError):
    """The user holds as many streams as they may, and the policy is to reject one more."""


class ProxyRequired(ShiraseError):
    """A stream was asked for without the proxy that could hold it."""


class DatabaseUnavailable(ShiraseError):
    """The database does not answer."""


class KeysUnavailable(ShiraseError):
    """The keys that tokens are checked with cannot be had, so that nobody can be let in or refused."""


class RowsLocked(DatabaseUnavailable):
    """A row that is to be changed is held by another transaction for too long."""


class DatabaseReadOnly(DatabaseUnavailable):
    """The database can be read and takes nothing: its disk is full, or it is a standby."""


class SchemaMismatch(DatabaseUnavailable):
    """The database answers, and has not the tables that this release needs."""


class ProxyMissing(ShiraseError):
    """There is no Pushpin on this machine that could be run."""


class TooLarge(ShiraseError):
    """The body is over its limit."""


class TooSlow(ShiraseError):
    """The body did not arrive whole in time."""


class RateLimited(ShiraseError):
    """The caller asks more often than is allowed; how often is said in the answer's headers."""

    def __init__(self, retry_after: int) -> None:
        """Say in how many seconds another try may succeed."""
        super().__init__(f"too many requests: try again in {retry_after} s")
        self.retry_after = retry_after


class UnsupportedMedia(ShiraseError):
    """The body is not JSON."""
