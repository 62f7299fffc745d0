"""A channel that keeps what it is sent, and returns the outcome that a test chose."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from shirase.relay.channels import Item, Outcome, Sent


class Letterbox:
    """Stands for mail."""

    name = "email"
    batch = 20
    window = timedelta()
    keeps_quiet = True

    def __init__(self, answer: Callable[[Item], Outcome] = lambda _: Sent()) -> None:
        self.answer = answer
        self.sent: list[Item] = []

    def send(self, items: Sequence[Item]) -> Iterator[tuple[Item, Outcome]]:
        for item in items:
            self.sent.append(item)
            yield item, self.answer(item)

    def close(self) -> None:
        pass

    @property
    def ids(self) -> list[int]:
        return [item.notification.id for item in self.sent]
