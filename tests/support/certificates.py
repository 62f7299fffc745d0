"""A private certificate authority, as companies have them."""

import datetime as dt
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """Its own certificate, alone in a file and in a directory as OpenSSL expects it, and one for a host."""

    file: Path
    directory: Path
    certificate: Path
    key: Path


def make_authority(directory: Path, host: str = "localhost") -> Authority:
    """Make all of it."""
    own_key, key = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    own = _certificate("a company", own_key, "a company", own_key, is_authority=True)
    served = _certificate(host, key, "a company", own_key, is_authority=False)
    (directory / "authorities").mkdir()
    made = Authority(
        directory / "authorities" / "company.pem",
        directory / "authorities",
        directory / "host.pem",
        directory / "host.key",
    )
    made.file.write_bytes(own.public_bytes(Encoding.PEM))
    made.certificate.write_bytes(served.public_bytes(Encoding.PEM))
    made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    subprocess.run(["openssl", "rehash", str(made.directory)], check=True)
    return made


_USAGE = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=False,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


def _certificate(
    subject: str, key: EllipticCurvePrivateKey, issuer: str, signer: EllipticCurvePrivateKey, *, is_authority: bool
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    named = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (subject, issuer)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(named[0])
        .issuer_name(named[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    # Python 3.13 verifies as strictly as RFC 5280 asks.
    identifiers = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = builder.add_extension(identifiers, critical=False)
    signed_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = builder.add_extension(signed_by, critical=False)
    if is_authority:
        builder = builder.add_extension(_USAGE, critical=True)
    else:
        names = x509.SubjectAlternativeName([x509.DNSName(subject)])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, SHA256())
