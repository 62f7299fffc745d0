"""A push service for Firefox: senders use RFC 8030, and the browser Mozilla's protocol over a WebSocket.

A real one keeps messages for browsers that are closed. This one delivers to the browser that is connected.
"""

import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from uuid import uuid4

from websockets.sync.server import ServerConnection, serve

from tests.support.sink import Got, Sink, sink


class PushService:
    """The service, with all that browsers and senders did."""

    def __init__(self, messages: Sink) -> None:
        self.messages = messages
        self.address = ""  # for ``dom.push.serverURL``
        self.left: list[str] = []  # channels that were unsubscribed
        self._numbers = count(1)
        self._browsers: dict[str, ServerConnection] = {}  # by channel

    def follow(self, browser: ServerConnection) -> None:
        """Answer a browser until it disconnects."""
        for text in browser:
            command = json.loads(text)
            answer = self._answer(browser, command)
            if answer is not None:
                browser.send(json.dumps(answer))

    def _answer(self, browser: ServerConnection, command: dict[str, Any]) -> dict[str, Any] | None:
        channel = command.get("channelID")
        common = {"messageType": command.get("messageType"), "status": 200}
        match common["messageType"]:
            case None:  # a ping
                return {}
            case "hello":
                return {**common, "uaid": command.get("uaid") or uuid4().hex, "use_webpush": True, "broadcasts": {}}
            case "register":
                self._browsers[str(channel)] = browser
                return {**common, "channelID": channel, "pushEndpoint": f"{self.messages.url}/push/{channel}"}
            case "unregister":
                self.left.append(str(channel))
                return {**common, "channelID": channel}
        return None  # an acknowledgement

    def deliver(self, message: Got) -> None:
        """Pass a message on to the browser of its endpoint, still encrypted."""
        channel = message.path.rpartition("/")[2]
        notification = {
            "messageType": "notification",
            "channelID": channel,
            "version": str(next(self._numbers)),
            "data": urlsafe_b64encode(message.body).rstrip(b"=").decode(),
            "headers": {"encoding": message.headers["content-encoding"]},
        }
        self._browsers[channel].send(json.dumps(notification))


@contextmanager
def push_service() -> Iterator[PushService]:
    """Run one on free ports."""
    with sink() as messages:
        service = PushService(messages)
        messages.before_answer = service.deliver
        with serve(service.follow, "127.0.0.1", 0) as server:
            service.address = "ws://{}:{}/".format(*server.socket.getsockname())
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield service
            server.shutdown()
