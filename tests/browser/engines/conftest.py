"""Each engine's own browser, and the pages that it opens."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.engines import site as pages
from tests.browser.engines.start import NEEDED, missing, running
from tests.browser.engines.tabs import Engine, Tab
from tests.support.stack import Stack


@pytest.fixture(scope="module", params=list(NEEDED))
def browser_of(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One browser for all tests of an engine."""
    if absent := missing(request.param):
        pytest.skip(f"{request.param} is not tested, because this machine lacks {absent}")
    with running(request.param, tmp_path_factory.mktemp(request.param)) as engine:
        yield engine


@pytest.fixture
def engine(browser_of: Engine) -> Iterator[Engine]:
    """The browser, in which each test closes what it opened."""
    yield browser_of
    browser_of.close_tabs()


@pytest.fixture(scope="session")
def built(site: Path) -> Path:
    """The pages, below the host application's other files."""
    directory = site / "engines"
    pages.build(directory)
    return directory


class Host:
    """The host application, as its users open it."""

    def __init__(self, engine: Engine, stack: Stack, origin: str) -> None:
        self.engine = engine
        self._stack = stack
        self.address = f"{origin}/engines/"

    def open(self) -> Tab:
        """Open a page, and wait for its script."""
        return self.engine.open(self.address).wait("window.listen")

    def listen(self, user: str, tab: Tab | None = None, **options: Any) -> Tab:
        """Open a user's stream in a page."""
        tab = tab or self.open()
        arguments = {"user": user, "url": self._stack.url, "token": self._stack.token(user), **options}
        tab.run("listen(arguments[0])", arguments)
        return tab.wait("stream.getState().status === 'open'")

    def show_bell(self, user: str, *tokens: str) -> Tab:
        """Show a user's bell in a page."""
        tab = self.open()
        arguments = {"user": user, "url": self._stack.url, "tokens": list(tokens) or [self._stack.token(user)]}
        tab.run("showBell(arguments[0])", arguments)
        return tab.wait("document.querySelector('.shirase-bell-button')")


@pytest.fixture
def host(engine: Engine, demo: Stack, elsewhere: str, built: Path) -> Host:  # noqa: ARG001 - `built` are its files
    """A host application in the engine's browser."""
    return Host(engine, demo, elsewhere)
