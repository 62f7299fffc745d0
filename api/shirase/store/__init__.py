"""All queries. Each function runs on the connection that it is passed; the caller begins and commits.

``append`` and ``log`` write and read users' logs. ``inbox`` is the state that REST reads. ``idempotency`` makes a
repeated request harmless. ``used_tickets`` limits a ticket to one stream. ``connections`` and ``registry`` track who is
connected. ``pending`` checks whether the relay has work.
"""

from shirase.store import webhook_tables  # noqa: F401 - registers its tables beside those of ``tables``
