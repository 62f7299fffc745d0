"""The node that a request came through."""

from shirase.proxy import grip
from shirase.web.call import request, services

DRAINING = "Shirase-Draining"  # a header for the standby of a node that takes no new streams


def node_of_request() -> str | None:
    """The node that the request came through, if its standby named it by an address that is known here."""
    name = grip.parse_node(request().headers.get(grip.NODE, ""), grip.sealing_keys(services().settings))
    return name if name and services().publisher.knows(name) else None
