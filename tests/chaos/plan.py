"""The schedule: which faults, for how long and with which others, determined by a seed."""

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar

from tests.chaos.scene import Watched

CALM = (0.1, 1.5)  # seconds between two steps
LASTS = (0.1, 3.0)
SILENCE = 0.5  # probability that silence follows a step
RECOVERS = 3.0  # estimated seconds until everything is delivered
TOGETHER = 0.4  # probability of one more fault at the same time

S = TypeVar("S", bound=Watched)
Fault = Callable[[S, random.Random], AbstractContextManager[None]]


@dataclass(frozen=True)
class Kind(Generic[S]):
    """A fault and the part that it breaks; two faults of one part never overlap."""

    part: str
    fault: Fault[S]


@dataclass(frozen=True)
class Step(Generic[S]):
    """Faults that overlap."""

    calm: float
    kinds: tuple[Kind[S], ...]
    lasts: float
    silence: bool  # nobody writes after the repair, so that no later event reveals a missing one

    def __str__(self) -> str:
        return f"{self.name}, {self.lasts:.1f} s" + (", then silence" if self.silence else "")

    @property
    def name(self) -> str:
        """The broken parts."""
        return " + ".join(kind.fault.__name__.replace("_", " ") for kind in self.kinds)


def make_plan(kinds: Sequence[Kind[S]], seed: int, seconds: float, lasts: tuple[float, float] = LASTS) -> list[Step[S]]:
    """Plan steps for this many seconds. Every kind occurs once, in random order, before any occurs again."""
    chance = random.Random(seed)
    steps: list[Step[S]] = []
    left: list[Kind[S]] = []
    planned = 0.0
    while planned < seconds:
        if not left:
            left = chance.sample(kinds, k=len(kinds))
        chosen = [left.pop()]
        while left and chance.random() < TOGETHER:
            other = left[-1]
            if other.part in {kind.part for kind in chosen}:
                break
            chosen.append(left.pop())
        step = Step(chance.uniform(*CALM), tuple(chosen), chance.uniform(*lasts), chance.random() < SILENCE)
        steps.append(step)
        planned += step.calm + step.lasts + step.silence * RECOVERS
    return steps
