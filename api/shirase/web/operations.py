"""The operations of the service, and those that a host's application mounts."""

from shirase.web.routes import (
    announcements,
    connections,
    health,
    inbox,
    keyed,
    nodes,
    notifications,
    preferences,
    push,
    scheduled,
    streams,
    tickets,
    topics,
    types,
    unsubscribe,
    users,
    webhooks,
)

FOR_HOSTS = (
    *streams.blueprint.endpoints,
    *nodes.blueprint.endpoints,
    *connections.blueprint.endpoints,
    *notifications.blueprint.endpoints,
    *inbox.blueprint.endpoints,
    *keyed.blueprint.endpoints,
    *scheduled.blueprint.endpoints,
    *announcements.blueprint.endpoints,
    *topics.blueprint.endpoints,
    *types.blueprint.endpoints,
    *preferences.blueprint.endpoints,
    *unsubscribe.blueprint.endpoints,
    *users.blueprint.endpoints,
    *push.blueprint.endpoints,
    *webhooks.blueprint.endpoints,
)
FOR_TOKENS = (*FOR_HOSTS, *tickets.blueprint.endpoints)
SERVICE = (*FOR_TOKENS, *health.blueprint.endpoints)
