"""A page with the client only: ``/demo/client.js``, a stream and an inbox."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, Request, Route

from tests.support.stack import Stack

ADDRESS = "/client-page"
EMPTY_PAGE = "<!doctype html><title>Client</title>"
BUILT = Path(__file__).parents[2] / "api" / "shirase" / "flask" / "demo" / "static" / "client.js"
START = """async ([user, token, how, options]) => {
    const { createNotificationStream, createInbox, ticketsFrom } = await import("/demo/client.js");
    const tokens = [].concat(token);
    // Each refusal gets the next token, and the last one stays.
    const getToken = ({ refresh }) => {
        if (refresh && tokens.length > 1) tokens.shift();
        return tokens[0];
    };
    const credentials = {
        token: { getToken },
        ticket: { getToken, getTicket: ticketsFrom({ url: options.url, getToken }) },
        cookie: { cookies: true },
    }[how];
    window.received = [];
    window.stream = createNotificationStream({ user, ...credentials, ...options });
    window.inbox = createInbox(window.stream);
    window.stream.listen((event) => window.received.push(event));
}"""


class ClientPage:
    """One tab with a stream of one user."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.page.evaluate("stream.getState()")
        return state

    @property
    def titles(self) -> list[str]:
        """The titles of the notifications that the stream delivered, in order."""
        titles: list[str] = self.page.evaluate(
            "received.filter(({ event }) => event === 'notification').map(({ data }) => data.title)"
        )
        return titles

    def wait_for(self, status: str) -> "ClientPage":
        self.page.wait_for_function("status => stream.getState().status === status", arg=status)
        return self

    def wait_for_title(self, title: str) -> "ClientPage":
        self.page.wait_for_function("title => received.some(({ data }) => data.title === title)", arg=title)
        return self

    def wait_for_badge(self, count: int) -> "ClientPage":
        self.page.wait_for_function("count => inbox.getSnapshot().unreadCount === count", arg=count)
        return self

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all scripts of the page without notice; its connections stay open."""
        debugger = self.page.context.new_cdp_session(self.page)
        with self.page.expect_event("console", lambda message: message.text == "last words"):
            self.page.evaluate("setTimeout(() => { console.log('last words'); debugger; }, 50)")
            debugger.send("Debugger.enable")
        yield
        debugger.send("Debugger.disable")


def open_client(context: BrowserContext, stack: Stack, user: str, **more: Any) -> ClientPage:
    """Open a new tab with a stream of ``user``; see ``start_client``."""
    return start_client(context.new_page(), stack, user, **more)


def start_client(
    page: Page,
    stack: Stack,
    user: str,
    *,
    token: str | list[str] = "",
    how: str = "token",
    origin: str = "",
    **options: object,
) -> ClientPage:
    """Start a client in an existing tab, identified by ``token``, ``ticket`` or ``cookie``.

    With another ``origin``, the page belongs to a host application, which must serve it.
    """
    if origin:
        options.setdefault("url", stack.url)
        page.goto(origin + ADDRESS)
    else:
        go_to_empty_page(page, stack.url)
    page.evaluate(START, [user, token or stack.token(user), how, options])
    return ClientPage(page)


def go_to_empty_page(page: Page, origin: str) -> None:
    """Open an empty page of that origin without a content policy; no server is needed."""
    page.route(f"**{ADDRESS}", _blank)
    page.goto(origin + ADDRESS)


class Streams:
    """The streams opened by the tabs of a browser, and which of them are still open."""

    def __init__(self, context: BrowserContext) -> None:
        self.opened: list[Request] = []
        self._ended: list[Request] = []
        self.polls: list[str] = []
        context.on("request", self._begin)
        context.on("requestfinished", self._end)
        context.on("requestfailed", self._end)

    def _begin(self, request: Request) -> None:
        if "/api/sse/notifications" in request.url:
            self.opened.append(request)
        elif "/api/notifications" in request.url:
            self.polls.append(request.url)

    def _end(self, request: Request) -> None:
        self._ended.append(request)

    @property
    def open(self) -> list[Request]:
        """The streams that have not ended; a closed tab does not report the end of its requests."""
        return [
            connection
            for connection in self.opened
            if connection not in self._ended and not connection.frame.page.is_closed()
        ]


def _blank(route: Route) -> None:
    route.fulfill(content_type="text/html", body=EMPTY_PAGE)
