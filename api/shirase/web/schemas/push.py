"""Web Push."""

from pydantic import BaseModel


class PushKeyView(BaseModel):
    """The service's public key, in base64url."""

    public_key: str
