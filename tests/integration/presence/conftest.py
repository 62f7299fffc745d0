"""Two nodes' statistics and control ports, and relays that listen to them."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace

import pytest

from shirase.proxy.publisher import Publisher
from shirase.relay.presence import Presence
from shirase.settings import Settings
from shirase.store.database import Database
from tests.integration.presence.voices import MakePresence, Voice
from tests.support.control_port import ControlPort, control_port


@pytest.fixture
def voices() -> Iterator[list[Voice]]:
    with ExitStack() as speaking:
        yield [speaking.enter_context(closing(Voice())) for _ in range(2)]


@pytest.fixture
def ports() -> Iterator[list[ControlPort]]:
    with ExitStack() as running:
        yield [running.enter_context(control_port()) for _ in range(2)]


@pytest.fixture
def listen(
    settings: Settings, database: Database, voices: list[Voice], ports: list[ControlPort]
) -> Iterator[MakePresence]:
    """Return a factory of relays' presences, which by default receive both nodes."""
    with ExitStack() as running:

        def make(addresses: list[str] | None = None) -> Presence:
            arguments = [voice.address for voice in voices] if addresses is None else addresses
            chosen = replace(settings, grip_url=tuple(port.url for port in ports), pushpin_stats_url=tuple(arguments))
            made = running.enter_context(Presence(chosen, database, Publisher(chosen)))
            for voice in voices:
                if voice.address in arguments:
                    voice.wait_listener()
            return made

        yield make
