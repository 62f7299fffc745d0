"""The schedule: which faults, for how long and with which others, determined by a seed."""

import random
from dataclasses import dataclass

from tests.chaos.faults import KINDS, Kind

CALM = (0.1, 1.5)  # seconds between two steps
LASTS = (0.1, 3.0)
LONG = 60.0  # seconds for which the origin is unreachable once, in a long run
LONG_RUN = 300.0
SILENCE = 0.5  # probability that silence follows a step
RECOVERS = 3.0  # estimated seconds until everything is delivered
TOGETHER = 0.4  # probability of one more fault at the same time


@dataclass(frozen=True)
class Step:
    """Faults that overlap."""

    calm: float
    kinds: tuple[Kind, ...]
    lasts: float
    silence: bool  # nobody writes after the repair, so that no later event reveals a missing one

    def __str__(self) -> str:
        return f"{self.name}, {self.lasts:.1f} s" + (", then silence" if self.silence else "")

    @property
    def name(self) -> str:
        """The broken parts."""
        return " + ".join(kind.fault.__name__.replace("_", " ") for kind in self.kinds)


def make_plan(seed: int, seconds: float, database: str) -> list[Step]:
    """Plan steps for this many seconds. Every kind occurs once, in random order, before any occurs again."""
    chance = random.Random(seed)
    kinds = [kind for kind in KINDS if database in kind.databases]
    steps: list[Step] = []
    left: list[Kind] = []
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
        step = Step(chance.uniform(*CALM), tuple(chosen), chance.uniform(*LASTS), chance.random() < SILENCE)
        steps.append(step)
        planned += step.calm + step.lasts + step.silence * RECOVERS
    if seconds >= LONG_RUN:
        origin = next(kind for kind in kinds if kind.fault.__name__ == "origin_unreachable")
        steps.insert(len(steps) // 2, Step(1.0, (origin,), LONG, silence=True))
    return steps
