"""The keys that verify tokens, each bound to one algorithm."""

import re
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

SHARED = "HS256"  # the algorithm of secrets
MIN_SECRET_BYTES = 32  # RFC 7518 section 3.2: an HS256 key has at least the size of the hash
MIN_RSA_BITS = 2048  # RFC 7518 section 3.3

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True, eq=False)  # public keys have no hash, and the cache needs one
class Key:
    """One key. A token's ``alg`` is compared with its algorithm and never followed (RFC 8725, section 3.1)."""

    material: bytes | PublicKey
    algorithm: str


class Keys(Protocol):
    """A source of keys."""

    have_ids: ClassVar[bool]  # whether a token's ``kid`` selects among them

    def candidates(self, key_id: str | None) -> Sequence[Key]:
        """The keys that may have signed a token with this ``kid``."""


@dataclass(frozen=True, slots=True)
class FixedKeys:
    """The configured keys: one, or two during a rotation. They have no ids, so each is tried."""

    keys: tuple[Key, ...]
    have_ids: ClassVar[bool] = False

    def candidates(self, key_id: str | None) -> Sequence[Key]:  # noqa: ARG002 - see the class
        """All keys."""
        return self.keys


def secrets(text: str) -> tuple[bytes, ...]:
    """Parse shared secrets, separated by white space or commas; the first one signs.

    Raises:
        ValueError: if a secret cannot be decoded or is too short.
        OSError: if a file cannot be read.
    """
    keys = tuple(map(key_bytes, _parts(text)))
    if any(len(secret) < MIN_SECRET_BYTES for secret in keys):
        which = "every key must have" if len(keys) > 1 else "must have"
        raise ValueError(f"{which} at least {MIN_SECRET_BYTES} bytes; make one with: openssl rand -hex 32")
    return keys


def secret_keys(text: str) -> tuple[Key, ...]:
    """Parse shared secrets as keys that verify."""
    return tuple(Key(secret, SHARED) for secret in secrets(text))


def public_keys(text: str) -> tuple[Key, ...]:
    """Parse public keys and certificates in PEM, one or several, as text or as ``file:PATH``.

    Raises:
        ValueError: if there is none, or if one fits no accepted algorithm.
        OSError: if a file cannot be read.
    """
    if text.startswith("file:"):
        text = "\n".join(key_bytes(part).decode() for part in _parts(text))
    # Environment files of compose and systemd hold one line a variable, so line breaks come as the two characters "\n".
    blocks = list(_BLOCK.finditer(text.replace("\\n", "\n")))
    if not blocks:
        raise ValueError("must be a public key in PEM, or file: and the path of one")
    return tuple(_from_pem(block[1], block[0].encode()) for block in blocks)


def public_key(material: object) -> Key:
    """Bind a public key to its algorithm.

    Raises:
        ValueError: if no accepted algorithm fits.
    """
    if isinstance(material, RSAPublicKey):
        if material.key_size < MIN_RSA_BITS:
            raise ValueError(f"an RSA key must have at least {MIN_RSA_BITS} bits")
        return Key(material, "RS256")
    if isinstance(material, EllipticCurvePublicKey) and isinstance(material.curve, SECP256R1):
        return Key(material, "ES256")
    if isinstance(material, Ed25519PublicKey):
        return Key(material, "EdDSA")
    raise ValueError("a key must be RSA, on the curve P-256, or Ed25519")


def key_bytes(text: str) -> bytes:
    """Decode a key in Pushpin's notation: plain, ``base64:…`` or ``file:PATH``."""
    if text.startswith("base64:"):
        return b64decode(text.removeprefix("base64:"), validate=True)
    if text.startswith("file:"):
        return Path(text.removeprefix("file:")).read_bytes().strip()
    return text.encode()


def _from_pem(label: str, block: bytes) -> Key:
    if "PRIVATE" in label:
        raise ValueError("is a private key: give the public one, and keep that where tokens are signed")
    if label == "CERTIFICATE":
        return public_key(load_pem_x509_certificate(block).public_key())
    return public_key(load_pem_public_key(block))


def _parts(text: str) -> list[str]:
    return [part for part in re.split(r"[\s,]+", text) if part]
