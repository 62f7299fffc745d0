"""The schedule: which faults, for how long and together with which others, all from one seed."""

import random
from dataclasses import dataclass

from tests.chaos.faults import KINDS, Kind

CALM = (0.1, 1.5)  # seconds between two steps
LASTS = (0.1, 3.0)
LONG = 60.0  # seconds that the origin is away once, in a run that is long enough
LONG_RUN = 300.0
SILENCE = 0.5  # how often
RECOVERS = 3.0  # seconds that it is likely to take until all is delivered
TOGETHER = 0.4  # how often a second fault comes to the first, and a third to those


@dataclass(frozen=True)
class Step:
    """Faults in force together."""

    calm: float
    kinds: tuple[Kind, ...]
    lasts: float
    silence: bool  # nobody writes any more once the parts are back: nothing that follows can show what is missing

    def __str__(self) -> str:
        """For the log."""
        return f"{self.name}, {self.lasts:.1f} s" + (", then silence" if self.silence else "")

    @property
    def name(self) -> str:
        """What is broken."""
        return " + ".join(kind.fault.__name__.replace("_", " ") for kind in self.kinds)


def make_plan(seed: int, seconds: float, database: str) -> list[Step]:
    """Steps for so many seconds. All kinds come in turn, in an order of the seed's, before one comes again."""
    chance = random.Random(seed)
    kinds = [kind for kind in KINDS if database in kind.databases]
    steps: list[Step] = []
    left: list[Kind] = []
    planned = 0.0
    while planned < seconds:
        if not left:
            left = chance.sample(kinds, k=len(kinds))
        batcher = [left.pop()]
        while left and chance.random() < TOGETHER:
            other = left[-1]
            if other.part in {kind.part for kind in batcher}:
                break
            batcher.append(left.pop())
        step = Step(chance.uniform(*CALM), tuple(batcher), chance.uniform(*LASTS), chance.random() < SILENCE)
        steps.append(step)
        planned += step.calm + step.lasts + step.silence * RECOVERS
    if seconds >= LONG_RUN:
        origin = next(kind for kind in kinds if kind.fault.__name__ == "origin_away")
        steps.insert(len(steps) // 2, Step(1.0, (origin,), LONG, silence=True))
    return steps
