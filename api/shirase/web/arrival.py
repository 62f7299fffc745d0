"""Bodies that are still arriving, and how a server collects them without a thread."""

from collections.abc import Callable

from shirase.errors import RateLimited

RETRY_AFTER = 1  # seconds


class StillArriving(BaseException):
    """Raised by a read beyond what has arrived of a request.

    The server then collects the rest and processes the request again from the start. It is not an ``Exception``, so
    that neither a framework nor a host handles it as a failed request.
    """

    def __init__(self, claim: Callable[[str], bool]) -> None:
        """Take the function that counts an arriving body of a user; it returns ``False`` at the limit."""
        super().__init__()
        self._claim = claim

    def claim(self, user_id: str) -> None:
        """Count an arriving body of a user.

        Raises:
            RateLimited: if the user has as many arriving bodies as allowed.
        """
        if not self._claim(user_id):
            raise RateLimited(RETRY_AFTER)
