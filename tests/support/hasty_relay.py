"""``python -m tests.support.hasty_relay``: a relay that waits for seconds where others wait for minutes."""

from datetime import timedelta

from shirase.relay import deliveries, push, webhooks
from shirase.run.cli import main

LEASE = 8.0  # seconds until what a killed relay has claimed is free
TIMEOUT = 1.5  # seconds for a request, and for each answer of the mail server
SOON, LATER = timedelta(seconds=0.3), timedelta(seconds=2)  # between attempts

if __name__ == "__main__":
    deliveries.LEASE = webhooks.LEASE = timedelta(seconds=LEASE)
    deliveries.FIRST_RETRY = webhooks.FIRST_RETRY = SOON
    deliveries.LONGEST_RETRY = webhooks.LONGEST_RETRY = LATER
    push.TIMEOUT = webhooks.TIMEOUT = TIMEOUT
    push.Push.batch = push.AT_ONCE  # so that a batch takes a timeout at the most
    main(["relay"])
