"""WebDriver, as far as the tests need it: the standard's HTTP, and Firefox's own Marionette, which needs no driver.

Both take the same commands with the same parameters; only how they travel differs.
"""

import json
import socket
from typing import Any, Protocol

import httpx

TIMEOUT = 60.0
ROUTES = {
    "Back": ("POST", "back"),
    "CloseWindow": ("DELETE", "window"),
    "ElementClick": ("POST", "element/{id}/click"),
    "ExecuteScript": ("POST", "execute/sync"),
    "Forward": ("POST", "forward"),
    "GetWindowHandle": ("GET", "window"),
    "Navigate": ("POST", "url"),
    "NewWindow": ("POST", "window/new"),
    "PerformActions": ("POST", "actions"),
    "SwitchToWindow": ("POST", "window"),
    "TakeScreenshot": ("GET", "screenshot"),
}


class CommandError(Exception):
    """The browser refused a command."""


class Remote(Protocol):
    """A session with a browser."""

    def call(self, command: str, **parameters: Any) -> Any:
        """Carry out a command and return its value.

        Raises:
            CommandError: with what the browser answered.
        """

    def close(self) -> None:
        """End the session, and the browser with it."""


class Http:
    """A session with a driver that speaks W3C WebDriver."""

    def __init__(self, driver: str, capabilities: dict[str, Any]) -> None:
        self._client = httpx.Client(base_url=driver, timeout=TIMEOUT)
        made = self._send("POST", "session", {"capabilities": {"alwaysMatch": capabilities}})
        self._session = f"session/{made['sessionId']}"

    def call(self, command: str, **parameters: Any) -> Any:
        method, path = ROUTES[command]
        return self.send(method, path.format(**parameters), parameters)

    def send(self, method: str, path: str, body: dict[str, Any]) -> Any:
        """Send a command that only this driver knows."""
        return self._send(method, f"{self._session}/{path}", body)

    def _send(self, method: str, path: str, body: dict[str, Any]) -> Any:
        answer = self._client.request(method, path, json=body if method == "POST" else None)
        value = answer.json()["value"]
        if answer.is_error:
            raise CommandError(f"{value['error']}: {value['message']}")
        return value

    def close(self) -> None:
        self._client.delete(self._session)
        self._client.close()


class Marionette:
    """A session with a Firefox that was started with ``--marionette``."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self._buffer = b""
        self._number = 0
        self._receive()  # its greeting
        self.call("NewSession")

    def call(self, command: str, **parameters: Any) -> Any:
        result = self.send(f"WebDriver:{command}", parameters)
        return result["value"] if isinstance(result, dict) and result.keys() == {"value"} else result

    def send(self, command: str, parameters: dict[str, Any]) -> Any:
        """Send a command of any of its modules."""
        self._number += 1
        text = json.dumps([0, self._number, command, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(text), text))
        _, _, error, result = self._receive()
        if error:
            raise CommandError(f"{error['error']}: {error['message']}")
        return result

    def in_firefox(self, script: str, *arguments: Any) -> Any:
        """Run a script in Firefox's own window instead of a page."""
        self.send("Marionette:SetContext", {"value": "chrome"})
        try:
            return self.call("ExecuteScript", script=script, args=list(arguments))
        finally:
            self.send("Marionette:SetContext", {"value": "content"})

    def _receive(self) -> Any:
        while b":" not in self._buffer:
            self._read()
        length, _, self._buffer = self._buffer.partition(b":")
        while len(self._buffer) < int(length):
            self._read()
        text, self._buffer = self._buffer[: int(length)], self._buffer[int(length) :]
        return json.loads(text)

    def _read(self) -> None:
        received = self._socket.recv(65_536)
        if not received:
            raise CommandError("the browser is gone")
        self._buffer += received

    def close(self) -> None:
        self.send("Marionette:Quit", {"flags": ["eForceQuit"]})
        self._socket.close()
