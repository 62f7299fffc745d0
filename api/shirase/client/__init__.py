"""The Python client of the REST API. It needs neither Flask nor SQLAlchemy."""

from shirase.client.client import AsyncClient, Client, ClientError

__all__ = ["AsyncClient", "Client", "ClientError"]
