"""A browser of any engine, and its tabs."""

from collections.abc import Callable
from typing import Any

from tests.browser.engines.remote import CommandError, Remote
from tests.support.loop_thread import wait_until

CONDITION = 20.0  # seconds until a page is as it should be
CHECK = 0.05
KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "Tab": "\ue004"}
SetOffline = Callable[["Tab", bool], object]
STATE = "return [location.href, window.stream?.getState(), document.body?.innerText]"


class Engine:
    """A running browser, whose tabs share one profile.

    ``set_offline`` disconnects a tab from the network, or reconnects it.
    """

    def __init__(self, remote: Remote, set_offline: "SetOffline") -> None:
        self.remote = remote
        self.set_offline = set_offline
        self._tabs: list[Tab] = []
        self._first = self._current = remote.call("GetWindowHandle")

    def open(self, address: str) -> "Tab":
        """Open a page in a new tab."""
        tab = Tab(self, self.remote.call("NewWindow", type="tab")["handle"])
        self._tabs.append(tab)
        return tab.go(address)

    def call(self, handle: str, command: str, **parameters: Any) -> Any:
        """Carry out a command in one tab."""
        if handle != self._current:
            self.remote.call("SwitchToWindow", handle=handle)
            self._current = handle
        return self.remote.call(command, **parameters)

    def close_tabs(self) -> None:
        """Close what a test has opened. The first window stays, since the session ends with the last."""
        while self._tabs:
            self._tabs[-1].close()

    def forget(self, tab: "Tab") -> None:
        """Note that the current tab is closed."""
        self._tabs.remove(tab)
        self.remote.call("SwitchToWindow", handle=self._first)
        self._current = self._first


class Tab:
    """One page."""

    def __init__(self, engine: Engine, handle: str) -> None:
        self._engine = engine
        self._handle = handle

    def _call(self, command: str, **parameters: Any) -> Any:
        return self._engine.call(self._handle, command, **parameters)

    def go(self, address: str) -> "Tab":
        self._call("Navigate", url=address)
        return self

    def back(self) -> None:
        self._call("Back")

    def forward(self) -> None:
        self._call("Forward")

    def close(self) -> None:
        self._call("CloseWindow")
        self._engine.forget(self)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of an async function in the page, and wait for its end."""
        script = f"return (async function () {{ {script} }}).apply(null, arguments)"
        return self._call("ExecuteScript", script=script, args=list(arguments))

    def wait(self, expression: str, *arguments: Any) -> "Tab":
        """Wait until an expression, which may use ``arguments``, is true."""

        def is_true() -> bool:
            try:
                return bool(self.run(f"return !!({expression})", *arguments))
            except CommandError:  # while the page is being loaded
                return False

        wait_until(is_true, CONDITION, lambda: f"{expression} {arguments}: {self.run(STATE)}", CHECK)
        return self

    def click(self, expression: str) -> None:
        """Click the element that an expression returns, as a user does."""
        (element,) = self.wait(expression).run(f"return {expression}").values()
        self._call("ElementClick", id=element)

    def press(self, key: str) -> None:
        """Press a key and release it."""
        actions = [{"type": kind, "value": KEYS[key]} for kind in ("keyDown", "keyUp")]
        self._call("PerformActions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])
