"""The keys of a browser that has subscribed to push messages, which decrypt what it gets."""

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import http_ece
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.sink import Got


@dataclass
class Browser:
    """A subscription at an endpoint."""

    endpoint: str
    key: EllipticCurvePrivateKey
    auth: bytes

    @classmethod
    def new(cls, endpoint: str) -> Self:
        """Make keys."""
        return cls(endpoint, generate_private_key(SECP256R1()), b"0123456789abcdef")

    @property
    def path(self) -> str:
        return urlsplit(self.endpoint).path

    @property
    def subscription(self) -> dict[str, Any]:
        """What ``PushSubscription.toJSON()`` returns."""
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys = {"p256dh": encoded(point), "auth": encoded(self.auth)}
        return {"endpoint": self.endpoint, "expirationTime": None, "keys": keys}

    def read(self, got: Got) -> Any:
        """Decrypt a message."""
        plain = http_ece.decrypt(got.body, private_key=self.key, auth_secret=self.auth, version="aes128gcm")
        return json.loads(plain)


def encoded(raw: bytes) -> str:
    """Encode in base64url, without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
