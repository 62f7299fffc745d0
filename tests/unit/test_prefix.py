"""The prefix of the link that the proxy follows, for each way in which a server or a proxy puts one in front."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shirase.web.prefix import asgi_path, at_proxy, wsgi_path, wsgi_root

NEXT = "/api/sse/next"
ROUTED = "/inbox/api/sse/notifications"
STRIPPED = {"HTTP_X_FORWARDED_PREFIX": "/app", "werkzeug.proxy_fix.orig": {"SCRIPT_NAME": ""}}


def by_wsgi(environ: dict[str, Any]) -> str:
    """As the adapters call it: the framework's root is the SCRIPT_NAME of the environment."""
    root = environ["SCRIPT_NAME"]
    return at_proxy(wsgi_path(environ), wsgi_root(environ, root), "/inbox", environ["PATH_INFO"]) + NEXT


@pytest.mark.parametrize("variable", ["RAW_URI", "REQUEST_URI", None])
@pytest.mark.parametrize(
    ("environ", "arrived", "link"),
    [
        ({"SCRIPT_NAME": ""}, ROUTED, "/inbox" + NEXT),
        # The server itself, or a dispatcher in the application, removes it, so the link must contain it again.
        ({"SCRIPT_NAME": "/site"}, "/site" + ROUTED, "/site/inbox" + NEXT),
        # nginx has removed it and names it in a header; the proxy has never seen it.
        ({"SCRIPT_NAME": "/app", **STRIPPED}, ROUTED, "/inbox" + NEXT),
        # A client sends SCRIPT_NAME: gunicorn uses it as the root if the path begins with it.
        ({"SCRIPT_NAME": "/site", "HTTP_SCRIPT_NAME": "/site"}, "/site" + ROUTED, "/inbox" + NEXT),
    ],
)
def test_only_what_is_in_the_request_line_is_in_the_link(
    variable: str | None, environ: dict[str, Any], arrived: str, link: str
) -> None:
    line = {variable: f"{arrived}?_=1"} if variable else {}
    assert by_wsgi({"PATH_INFO": ROUTED, **environ, **line}) == link


@pytest.mark.parametrize("line", ["http://evil.example/site" + ROUTED, "/%73ite" + ROUTED])
def test_other_spellings_of_the_request_line_are_the_same(line: str) -> None:
    assert by_wsgi({"SCRIPT_NAME": "/site", "PATH_INFO": ROUTED, "RAW_URI": line}) == "/site/inbox" + NEXT


@pytest.mark.parametrize(
    ("scope", "arrived"),
    [
        ({"path": ROUTED, "root_path": ""}, ROUTED),
        ({"path": ROUTED}, ROUTED),
        # uvicorn --root-path /app puts in front what nginx has taken off.
        ({"path": "/app" + ROUTED, "root_path": "/app"}, ROUTED),
        # Starlette has mounted the application at /site.
        ({"path": "/site" + ROUTED, "root_path": "/site", "app_root_path": ""}, "/site" + ROUTED),
        ({"path": "/app/site" + ROUTED, "root_path": "/app/site", "app_root_path": "/app"}, "/site" + ROUTED),
    ],
)
def test_a_root_path_of_asgi_is_left_out_unless_it_arrived(scope: dict[str, Any], arrived: str) -> None:
    assert asgi_path(scope) == arrived
    assert wsgi_path({"asgi.scope": scope, "RAW_URI": None}) == arrived


ANY = st.text(max_size=20)


@given(ANY, ANY, ANY, ANY)
def test_no_prefix_leaves_the_path_of_a_link(arrived: str, root: str, mount: str, path: str) -> None:
    for variable in (arrived, root + path, None):
        prefix = at_proxy(variable, root, mount, path)
        assert prefix == "" or (prefix[0] == "/" and prefix[:2] != "//")
        assert not set(prefix) & set('<>;,\\?#"\r\n ')
        assert prefix.isascii()
