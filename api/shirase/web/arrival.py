"""A body that is still on its way, and how a server collects it without a thread."""

from collections.abc import Callable

from shirase.errors import RateLimited

RETRY_AFTER = 1  # seconds


class StillArriving(BaseException):
    """Raised where a request is read further than it has arrived.

    The server then collects the rest and answers the request from its beginning. This is no ``Exception``, so that
    neither a framework nor a host takes it for a failed request.
    """

    def __init__(self, claim: Callable[[str], bool]) -> None:
        """Take what reserves a place among the bodies that are on their way: ``False`` if the user has no more."""
        super().__init__()
        self._claim = claim

    def claim(self, user_id: str) -> None:
        """Let a user's body go on arriving.

        Raises:
            RateLimited: if as many of the user's are on their way as may be.
        """
        if not self._claim(user_id):
            raise RateLimited(RETRY_AFTER)
