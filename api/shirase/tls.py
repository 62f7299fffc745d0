"""The certificate authorities that are trusted for outgoing connections."""

import os
import ssl
from functools import lru_cache

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # OpenSSL's own


def context() -> ssl.SSLContext:
    """A context that trusts ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` if set, else the system's authorities and certifi's.

    httpx by itself reads only one of the two variables, and neither with ``trust_env=False``.
    """
    return _context(*map(os.environ.get, VARIABLES))


@lru_cache(1)  # loading all authorities takes some 20 ms
def _context(*variables: str | None) -> ssl.SSLContext:
    made = ssl.create_default_context()  # OpenSSL reads the variables itself
    if not any(variables):
        import certifi  # noqa: PLC0415 - for small images, which lack the system's authorities

        made.load_verify_locations(certifi.where())
    return made
