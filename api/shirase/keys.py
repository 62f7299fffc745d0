"""The keys that tokens are checked with, each bound to the one algorithm that it is for."""

import re
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

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


@dataclass(frozen=True, slots=True, eq=False)  # a public key has no hash, which tokens are remembered by
class Key:
    """One key. What a token says of its algorithm is compared with this and never followed (RFC 8725, 3.1)."""

    material: bytes | PublicKey
    algorithm: str


class Keys(Protocol):
    """Where keys come from."""

    def candidates(self, key_id: str | None) -> Sequence[Key]:
        """The keys that may have signed a token with this ``kid``."""


@dataclass(frozen=True, slots=True)
class FixedKeys:
    """The keys of the configuration: one, or two while they are rotated. They have no ids, so each is tried."""

    keys: tuple[Key, ...]

    def candidates(self, key_id: str | None) -> Sequence[Key]:  # noqa: ARG002 - see the class
        """All of them."""
        return self.keys


def secrets(text: str) -> tuple[bytes, ...]:
    """The secrets that are shared with who signs, separated by white space or commas; the first is to sign with.

    Raises:
        ValueError: if one cannot be read or is too short.
        OSError: if a file cannot be read.
    """
    found = tuple(map(key_bytes, _parts(text)))
    if any(len(secret) < MIN_SECRET_BYTES for secret in found):
        which = "every key must have" if len(found) > 1 else "must have"
        raise ValueError(f"{which} at least {MIN_SECRET_BYTES} bytes; make one with: openssl rand -hex 32")
    return found


def secret_keys(text: str) -> tuple[Key, ...]:
    """The same, to check with."""
    return tuple(Key(secret, SHARED) for secret in secrets(text))


def public_keys(text: str) -> tuple[Key, ...]:
    """Public keys and certificates in PEM, one or several, as text or as ``file:…``.

    Raises:
        ValueError: if there is none, or one that no accepted algorithm is for.
        OSError: if a file cannot be read.
    """
    if text.startswith("file:"):
        text = "\n".join(key_bytes(part).decode() for part in _parts(text))
    # Files for compose and systemd have one line a variable, and so "\n" as two characters.
    blocks = list(_BLOCK.finditer(text.replace("\\n", "\n")))
    if not blocks:
        raise ValueError("must be a public key in PEM, or file: and the path of one")
    return tuple(_from_pem(block[1], block[0].encode()) for block in blocks)


def public_key(material: object) -> Key:
    """A public key with the one algorithm that it is for.

    Raises:
        ValueError: if there is none that we accept.
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
    """A key as Pushpin writes it: plain, ``base64:…`` or ``file:…``."""
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
