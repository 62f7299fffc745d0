"""Requests to addresses that others choose: webhooks and push services.

Every name is resolved here, each of its addresses is checked, and the connection goes to one that was checked. So
neither a spelling, nor a DNS answer, nor one that changes between check and connect leads into the private network.
Redirects are not followed, answers are cut off, and one deadline covers the whole request, from the lookup to the last
byte read.
"""

import re
import socket
import time
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

from shirase import tls
from shirase.addresses import resolve

LONGEST_ANSWER = 4096  # bytes of a body that are read
PIECE = 16_384  # bytes written at a time, so that the deadline applies between them
PORTS = {"http": 80, "https": 443}
IDLE = 20.0  # seconds for which a connection is kept
LOOKUPS = 4  # at a time, for one ``Outbound``

_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
PRIVATE_NAMES = (".localhost", ".local", ".internal")

# Prefixes whose addresses contain an IPv4 address, and at which byte: NAT64 (RFC 6052), 6to4, IPv4-compatible.
_EMBEDDING = ((IPv6Network("64:ff9b::/96"), 12), (IPv6Network("2002::/16"), 2), (IPv6Network("::/96"), 12))
_TEREDO = IPv6Network("2001::/32")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
# Clouds serve machines their credentials and settings at 192.0.0.192 and 168.63.129.16. Python counts both as public,
# and all of 192.0.0.0/24 but a few addresses, which is for protocols alone (RFC 6890).
_PLATFORM = (IPv4Network("192.0.0.0/24"), IPv4Network("168.63.129.16/32"))


class Unreachable(Exception):
    """The request failed. ``str(error)`` names neither the address nor anything of the answer."""


class TooLate(Unreachable):
    """There was no answer in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, the beginning of its body included."""

    status: int
    headers: Mapping[str, str]  # names in small letters
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the other side accepted the request."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def retry_after(self) -> int:
        """The seconds that the other side asks to wait; 0 if it names none."""
        text = self.headers.get("retry-after", "").strip()
        return min(int(text), 86_400) if text.isascii() and text.isdecimal() and len(text) < 10 else 0  # noqa: PLR2004


def check_url(text: str, private_hosts: Collection[str]) -> httpx.URL:
    """Check an address to which requests are to be sent. A name is not looked up: that happens at each request.

    Args:
        text: the address.
        private_hosts: hosts that may be in the private network, also over plain http; see ``is_listed``.

    Raises:
        ValueError: if it is not an https address, or is in the private network.
    """
    if not text.isprintable() or " " in text or "\\" in text:
        raise ValueError("must be an https:// address, without spaces")
    try:
        url = httpx.URL(text)
        host = url.raw_host.decode("ascii").lower()
    except (httpx.InvalidURL, UnicodeError) as exc:
        raise ValueError("must be an https:// address") from exc
    if url.scheme not in PORTS or not _is_host(host) or not _is_port(url.port):
        raise ValueError("must be an https:// address")
    if url.userinfo or url.fragment:
        raise ValueError("must have neither a user nor a fragment")
    if not is_listed(private_hosts, host, url.port or PORTS[url.scheme]):
        _check_public(url.scheme, host)
    return url


def is_listed(private_hosts: Collection[str], host: str, port: int) -> bool:
    """Whether a host is among ``HOST``, which has every port, or ``HOST:PORT``, in small letters."""
    return host in private_hosts or f"{f'[{host}]' if ':' in host else host}:{port}" in private_hosts


def _is_host(host: str) -> bool:
    """Whether it is an address, or a name that cannot be mistaken for one: the last label is not a number."""
    return bool(_literal(host)) or (
        _NAME.fullmatch(host) is not None and not host.rstrip(".").rpartition(".")[2].isdecimal()
    )


def _is_port(port: int | None) -> bool:
    return port is None or 0 < port < 65_536  # noqa: PLR2004


def _check_public(scheme: str, host: str) -> None:
    if scheme == "http":
        raise ValueError("must be https://, unless OUTBOUND_PRIVATE_HOSTS lists its host")
    literal = _literal(host)
    name = host.rstrip(".")
    is_private = not is_public(literal) if literal else name == "localhost" or name.endswith(PRIVATE_NAMES)
    if is_private:
        raise ValueError("must not be in a private network, unless OUTBOUND_PRIVATE_HOSTS lists its host")


def is_public(address: str) -> bool:
    """Whether an address is on the public internet, and so is any IPv4 address that it contains."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv4Address):
        return _is_public(parsed)
    if parsed.ipv4_mapped:
        return _is_public(parsed.ipv4_mapped)
    if parsed in _TEREDO or parsed in _NAT64_LOCAL or parsed.is_site_local:
        return False
    for network, first in _EMBEDDING:
        if parsed in network:
            return _is_public(IPv4Address(parsed.packed[first : first + 4]))
    return _is_public(parsed)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if any(address in network for network in _PLATFORM):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _literal(host: str) -> str | None:
    """The address that a host spells, also in decimal, octal or hexadecimal; ``None`` for a name."""
    host = host.strip("[]").rstrip(".")
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    try:
        return str(IPv4Address(socket.inet_aton(host)))
    except OSError:
        return None


class Outbound:
    """Sends requests, one at a time, over kept connections. Not for several threads."""

    def __init__(self, private_hosts: Collection[str], timeout: float) -> None:
        """Prepare, without connecting.

        Args:
            private_hosts: hosts that may be in the private network, in small letters.
            timeout: seconds for a whole request.
        """
        self._private = private_hosts
        self._timeout = timeout
        self._network = _Guarded(private_hosts)
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls.context(),
            max_connections=20,
            max_keepalive_connections=10,
            keepalive_expiry=IDLE,
            network_backend=self._network,
        )

    def post(self, address: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a POST and read the answer, but only the beginning of its body.

        Raises:
            Unreachable: without an answer in time.
        """
        self._network.until = time.monotonic() + self._timeout
        try:
            url = check_url(address, self._private)
            target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
            host = url.netloc
            with self._pool.stream("POST", target, headers=_headers(host, headers, content), content=content) as answer:
                body = b""
                for part in answer.iter_stream():
                    body += part[: LONGEST_ANSWER - len(body)]
                    if len(body) >= LONGEST_ANSWER:
                        break  # the connection is closed with the rest
                shown = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
                return Answer(answer.status, shown, body)
        except Unreachable:
            raise
        except ValueError as exc:
            raise Unreachable(f"the address {exc}") from exc
        except (httpcore.TimeoutException, TimeoutError) as exc:
            raise TooLate("no answer in time") from exc
        except Exception as exc:
            raise Unreachable(_reason(exc)) from exc

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()
        self._network.close()


def _headers(host: bytes, headers: Mapping[str, str], content: bytes) -> list[tuple[bytes, bytes]]:
    fixed = [(b"Host", host), (b"Content-Length", str(len(content)).encode()), (b"Accept", b"*/*")]
    return fixed + [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]


def _reason(error: Exception) -> str:
    """The reason of a failure, without an address."""
    kinds = {
        httpcore.ConnectError: "the connection failed",
        httpcore.ReadError: "the connection broke",
        httpcore.WriteError: "the connection broke",
        httpcore.RemoteProtocolError: "the answer is not HTTP, or broke off",
    }
    return next((text for kind, text in kinds.items() if isinstance(error, kind)), "the request failed")


class _Guarded(httpcore.NetworkBackend):
    """Connects to public addresses, and to those of the private hosts, until a deadline."""

    def __init__(self, private_hosts: Collection[str]) -> None:
        self._private = private_hosts
        self._sockets = httpcore.SyncBackend()
        # A resolver may hang for longer than any deadline. Names that hang hold up no other ``Outbound``.
        self._lookups = ThreadPoolExecutor(LOOKUPS, "outbound-lookup")
        self.until = 0.0

    def left(self) -> float:
        """The seconds until the deadline."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline counts
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to one of the addresses that were checked."""
        failed: Exception | None = None
        for address in self._addresses(host, port):
            try:
                opened = self._sockets.connect_tcp(address, port, self.left(), local_address, socket_options)
                return _Deadlined(opened, self)
            except httpcore.ConnectError as exc:
                failed = exc
        raise failed or httpcore.ConnectError("no address")

    def _addresses(self, host: str, port: int) -> list[str]:
        looking_up = self._lookups.submit(resolve, host.strip("[]"))
        try:
            result = [address for _, address in looking_up.result(self.left())]
        except FutureTimeout as exc:
            looking_up.cancel()
            raise httpcore.ConnectTimeout from exc
        except OSError as exc:
            raise Unreachable("the host name does not resolve") from exc
        if not is_listed(self._private, host.strip("[]").lower(), port) and not all(map(is_public, result)):
            raise Unreachable("the host is in a private network, and OUTBOUND_PRIVATE_HOSTS does not list it")
        return result

    def close(self) -> None:
        """Wait for no lookup any more."""
        self._lookups.shutdown(wait=False, cancel_futures=True)


class _Deadlined(httpcore.NetworkStream):
    """A connection whose reads and writes end at the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, network: _Guarded) -> None:
        self._stream = stream
        self._network = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the deadline counts
        return self._stream.read(max_bytes, self._network.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        for first in range(0, len(buffer), PIECE):
            self._stream.write(buffer[first : first + PIECE], self._network.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        opened = self._stream.start_tls(ssl_context, server_hostname, self._network.left())
        return _Deadlined(opened, self._network)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
