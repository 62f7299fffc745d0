"""The addresses that a host name resolves to, and whether they are in a private network."""

import socket
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

Address = tuple[int, str]  # socket.AF_INET or AF_INET6, and the address as text


def resolve(host: str) -> list[Address]:
    """All addresses of a host, in the resolver's order of preference.

    Raises:
        socket.gaierror: if the name does not resolve.
    """
    try:
        resolved = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError as exc:  # a label that is empty or too long for IDNA
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from exc
    return list(dict.fromkeys((int(family), str(sockaddr[0])) for family, _, _, _, sockaddr in resolved))


def require_private(host: str) -> str:
    """The preferred address of a host that is in a private network with all its addresses.

    The resolver decides, not the spelling: ``134744072`` and ``0x08080808`` are 8.8.8.8.

    Raises:
        ValueError: if one of them is public.
        socket.gaierror: if the name does not resolve.
    """
    addresses = [address for _, address in resolve(host)]
    public = [address for address in addresses if not _is_private(address)]
    if public:
        raise ValueError(
            f"must be https://: {host} is {public[0]}, which is not in a private network;"
            " JWT_JWKS_HTTP_HOSTS lists hosts for which plain http is accepted"
        )
    return addresses[0]


def is_loopback_name(host: str) -> bool:
    """Whether ``HOST[:PORT]`` names this machine: a loopback address, ``localhost`` or a name below it (RFC 6761)."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or name.endswith(".localhost") or ip_address(name).is_loopback
    except ValueError:
        return False


def with_brackets(host: str) -> str:
    """``HOST[:PORT]`` as a client sent it: Pushpin up to 1.39 passes ``[::1]:7999`` on as ``::1:7999``."""
    if host.startswith("[") or host.count(":") <= 1:
        return host
    address, _, port = host.rpartition(":")
    return f"[{address}]:{port}"


def _is_private(address: str) -> bool:
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return parsed.is_private
