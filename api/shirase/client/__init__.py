"""The Python client of the REST API. It needs neither Flask nor SQLAlchemy."""

from shirase.client.async_client import AsyncClient
from shirase.client.client import Client, ClientError

__all__ = ["AsyncClient", "Client", "ClientError"]
