"""The path prefix under which the proxy reaches the operations.

It may differ from what clients see: nginx may remove ``/app`` before it forwards a request to Pushpin, and report it to
the host in ``X-Forwarded-Prefix``. The proxy does not know ``/app``, and its own requests lack the header. So the
request line alone counts, and no header that a client could have sent.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

ORIGIN_FORM = re.compile(r"(?:[a-z]+://[^/?]*)?([^?#]*)", re.IGNORECASE)


def at_proxy(arrived: str | None, root: str, mount: str, path: str) -> str:
    """The prefix, quoted for a link.

    Args:
        arrived: the path in the request line; ``None`` if the server does not report it, and ``root`` is used.
        root: the framework's root path, from the server, a setting or a header.
        mount: where the host has mounted the operations, below ``root``.
        path: the path that the framework routed, including ``mount``.
    """
    is_real = arrived is None or arrived == root + path
    prefix = (root if is_real else "") + mount
    # A link that begins with two slashes would name another host.
    return quote("/" + prefix.strip("/"), safe="/~") if prefix.strip("/") else ""


def wsgi_path(environ: Mapping[str, Any]) -> str | None:
    """The path in the request line, if the WSGI server reports it."""
    if scope := environ.get("asgi.scope"):  # a2wsgi
        return asgi_path(scope)
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    match = ORIGIN_FORM.match(target) if target else None
    return unquote(match[1]) if match else None


def wsgi_root(environ: Mapping[str, Any], root: str) -> str:
    """The server's own root path, if the framework took its one from a header."""
    if "HTTP_SCRIPT_NAME" in environ:  # gunicorn accepts a header of this name
        return ""
    before: Mapping[str, str] = environ.get("werkzeug.proxy_fix.orig", {})
    return before.get("SCRIPT_NAME", root)


def asgi_path(scope: Mapping[str, Any]) -> str:
    """The path in the request line. Servers prepend their own ``root_path``, which a proxy has removed before them.

    An application that mounts this one appends the mount to ``root_path``; the mount is in the request line.
    """
    path, root = str(scope["path"]), str(scope.get("app_root_path", scope.get("root_path", "")))
    return path.removeprefix(root) if path.startswith(root.rstrip("/") + "/") else path
