"""The key that identifies this service to push services (RFC 8292)."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from email_validator import EmailNotValidError, validate_email

from shirase import variables
from shirase.errors import SettingsError

SIZE = 32  # bytes of a private key


@dataclass(frozen=True, slots=True)
class PushKey:
    """The key pair, and the contact for push services."""

    private: str = field(repr=False)  # the scalar, in base64url
    contact: str  # an e-mail address

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "PushKey | None":
        """Read and check both; ``None`` without ``VAPID_PRIVATE_KEY``.

        Raises:
            SettingsError: if one is missing or wrong, by its name.
        """
        private = variables.secret(environ, "VAPID_PRIVATE_KEY")
        if private is None:
            return None
        contact = variables.required(environ, "VAPID_CONTACT")
        try:
            validate_email(contact, check_deliverability=False, test_environment=True)
        except EmailNotValidError as exc:
            raise SettingsError("VAPID_CONTACT", "must be an e-mail address") from exc
        try:
            _read(private)
        except ValueError as exc:
            raise SettingsError("VAPID_PRIVATE_KEY", "must be what `shirase push-key` prints") from exc
        return cls(private, contact)

    @property
    def public(self) -> str:
        """The public key as browsers take it, ``applicationServerKey``."""
        point = _read(self.private).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return _encode(point)

    def pems(self) -> tuple[bytes, bytes]:
        """The private and the public key in PEM."""
        key = _read(self.private)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def generate() -> str:
    """A new private key."""
    number = generate_private_key(SECP256R1()).private_numbers().private_value
    return _encode(number.to_bytes(SIZE, "big"))


def _read(text: str) -> EllipticCurvePrivateKey:
    scalar = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if len(scalar) != SIZE:
        raise ValueError("is not a private key on P-256")
    return derive_private_key(int.from_bytes(scalar, "big"), SECP256R1())


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
