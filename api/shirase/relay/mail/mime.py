"""Writes a mail as it is sent (RFC 5322, 2045 and 2047).

``email.message`` folds every long header as text. An address in ``List-Unsubscribe`` then becomes encoded words, which
mail programs do not read. It also takes most of the time of a mail.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Iterable
from email.header import Header
from email.utils import formataddr

LONGEST_LINE = 998  # bytes (RFC 5322, section 2.1.1)
LONGEST_ADDRESS = 900  # characters on a line, with room for the header's name
FOLD = "\r\n "  # a line of a header that goes on
_BREAK = re.compile(r"\r\n?|\n")


def written(headers: Iterable[tuple[str, str]], plain: str, html: str) -> bytes:
    """A mail with a body in two forms.

    Args:
        headers: names and values, encoded (``text``, ``mailbox``). Only addresses may have other characters than ASCII.
        plain: the text.
        html: the same as HTML.

    Raises:
        ValueError: if a value has a line break, which would begin another header.
    """
    boundary = secrets.token_hex(16)  # no text can contain it
    fields = [
        *headers,
        ("MIME-Version", "1.0"),
        ("Content-Type", f'multipart/alternative; boundary="{boundary}"'),
    ]
    if any(_BREAK.search(value.replace(FOLD, "")) for _, value in fields):
        raise ValueError("a header has a line break")
    head = "".join(f"{name}: {value}\r\n" for name, value in fields).encode()
    delimiter = b"\r\n--" + boundary.encode()
    return b"".join((head, delimiter, _part("plain", plain), delimiter, _part("html", html), delimiter, b"--\r\n"))


def text(value: str) -> str:
    """Encode a line of text for a header such as ``Subject``."""
    if value.isascii() and value.isprintable() and "=?" not in value:
        return value
    return Header(value, "utf-8", header_name="Subject").encode(linesep="\r\n")


def mailbox(name: str, address: str) -> str:
    """Encode an address with the name of its owner, if it has one."""
    if not name:
        return address
    encoded = text(name)
    phrase = formataddr((name, "")).removesuffix(" <>") if encoded == name else encoded  # with quotes where needed
    return f"{phrase} <{address}>"


def address(url: str) -> str:
    """Encode an address for ``List-Unsubscribe``. Readers ignore white space in it (RFC 2369, section 2)."""
    whole = f"<{url}>"
    return FOLD.join(whole[first : first + LONGEST_ADDRESS] for first in range(0, len(whole), LONGEST_ADDRESS))


def _part(subtype: str, body: str) -> bytes:
    data = _BREAK.sub("\r\n", body).encode()
    encoding = "7bit"
    if not data.isascii() or max(map(len, data.split(b"\r\n"))) > LONGEST_LINE:
        quoted = binascii.b2a_qp(data)
        packed = base64.encodebytes(data).replace(b"\n", b"\r\n")
        encoding, data = ("quoted-printable", quoted) if len(quoted) <= len(packed) else ("base64", packed)
    head = f'\r\nContent-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    return head.encode() + data
