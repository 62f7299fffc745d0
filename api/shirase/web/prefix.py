"""Where the proxy finds the operations: behind the prefix at which it asks for them.

That is not always what clients see. nginx takes ``/app`` off before it passes a request on to Pushpin, and tells the
host by ``X-Forwarded-Prefix``; the proxy knows of no ``/app``, and its own requests have no such header. So only what
stood in the request line counts, and no header that a client could have sent.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

ORIGIN_FORM = re.compile(r"(?:[a-z]+://[^/?]*)?([^?#]*)", re.IGNORECASE)


def at_proxy(arrived: str | None, root: str, mount: str, path: str) -> str:
    """The prefix, ready to be a part of a link.

    Args:
        arrived: the path in the request line; ``None`` if the server does not tell, and its ``root`` is believed.
        root: what the framework takes for its own root, from a server, a setting or a header.
        mount: where the host has mounted the operations, below that.
        path: what the framework routed by, with the mount.
    """
    is_real = arrived is None or arrived == root + path
    prefix = (root if is_real else "") + mount
    # Two slashes at the beginning of a link would name another host.
    return quote("/" + prefix.strip("/"), safe="/~") if prefix.strip("/") else ""


def wsgi_path(environ: Mapping[str, Any]) -> str | None:
    """The path in the request line, as far as the WSGI server tells it."""
    if scope := environ.get("asgi.scope"):  # a2wsgi
        return asgi_path(scope)
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    found = ORIGIN_FORM.match(target) if target else None
    return unquote(found[1]) if found else None


def wsgi_root(environ: Mapping[str, Any], root: str) -> str:
    """The root that is the server's own, where the framework took one from a header."""
    if "HTTP_SCRIPT_NAME" in environ:  # gunicorn believes a header of this name
        return ""
    before: Mapping[str, str] = environ.get("werkzeug.proxy_fix.orig", {})
    return before.get("SCRIPT_NAME", root)


def asgi_path(scope: Mapping[str, Any]) -> str:
    """The path as it arrived: servers put their own ``root_path`` in front, which a proxy before them has taken off.

    Inside another application ``root_path`` has grown by where that mounted this one, which is in the request line.
    """
    path, root = str(scope["path"]), str(scope.get("app_root_path", scope.get("root_path", "")))
    return path.removeprefix(root) if path.startswith(root.rstrip("/") + "/") else path
